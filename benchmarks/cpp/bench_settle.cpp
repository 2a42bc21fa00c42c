// bench_settle.cpp - how long a start needs for 1,000 runs that died.
//
// A child makes 1,000 live pages with their attempts in the ledger, on one hard budget, and is
// gone. Then one agent concludes them all: reads the pages, proves each death, settles and closes
// each account durably. seconds is the whole first round of `finops guard`.
#include <benchmark/benchmark.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "bench_support.hpp"
#include "finops/agent/agent.hpp"

namespace finops {
namespace {

pulse::PageInfo page_of(int number, const ClockReading& now) {
  pulse::PageInfo info;
  info.run_id = RunId{"run" + std::to_string(number)};
  info.attempt_id = AttemptId{info.run_id.str() + "-1"};
  info.project = "benchmark";
  info.experiment = "settle";
  info.user_name = "ada";
  info.host = "node1";
  info.process = current_process();
  info.started_at = now;
  info.lease_term = std::chrono::seconds{60};
  info.check_gap = std::chrono::seconds{5};
  info.stop_time = std::chrono::seconds{30};
  info.billing_quantum = std::chrono::seconds{1};
  info.budget_id = "team:bench";
  const StoredMoney amount = bench::example_price().list_unit_price.to_stored();
  info.price_id = bench::example_price().price_id.str();
  info.currency = "USD";
  info.price_units = amount.units;
  info.price_picos = amount.picos;
  return info;
}

void start_runs(const Home& home, int count) {
  const std::unique_ptr<Ledger> ledger = open_ledger(home.ledger_path(), {});
  ledger->add_price(bench::example_price());
  const BudgetId budget_id = bench::make_budget(*ledger, "team:bench");
  const ClockReading now = SystemClock{}.now();
  std::vector<std::unique_ptr<pulse::OwnPage>> pages;
  ledger->together([&] {
    for (int number = 0; number < count; ++number) {
      const pulse::PageInfo info = page_of(number, now);
      pages.push_back(pulse::OwnPage::create(home.live_path(), info));
      RunRecord run;
      run.run_id = info.run_id;
      run.project = info.project;
      run.experiment = info.experiment;
      run.tags = "{}";
      ledger->add_run(run);
      AttemptRecord attempt;
      attempt.attempt_id = info.attempt_id;
      attempt.run_id = info.run_id;
      attempt.process = info.process;
      attempt.price_id = bench::example_price().price_id;
      attempt.budget_chain = {budget_id};
      attempt.started_at = now;
      ledger->add_attempt(attempt);
      ledger->settle({attempt.attempt_id, 1, Nanoseconds{0}, now.utc, Money::parse("0.6 USD")});
    }
  });
}

void settle_dead_runs(benchmark::State& state) {
  const int count = bench::is_short() ? 50 : 1'000;
  for (auto round : state) {
    const bench::TemporaryFolder folder;
    const Home home = open_home(folder.path() + "/home");
    const pid_t child = fork();
    if (child == 0) {
      start_runs(home, count);
      _exit(0);
    }
    waitpid(child, nullptr, 0);
    const SystemClock clock;
    const auto begin = std::chrono::steady_clock::now();
    agent::Agent agent({.home = home}, clock);
    if (!agent.try_serve()) {
      throw std::runtime_error("cannot serve");
    }
    const agent::TickReport report = agent.tick();
    const double seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    if (report.concluded.size() != static_cast<std::size_t>(count)) {
      throw std::runtime_error("concluded " + std::to_string(report.concluded.size()));
    }
    state.counters["seconds"] = seconds;
  }
}
BENCHMARK(settle_dead_runs)
    ->Iterations(1)
    ->Repetitions(bench::is_short() ? 1 : 5)
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace finops
