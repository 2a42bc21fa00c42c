// bench_leases.cpp - lease grants per second with 8 processes on one budget.
//
// Each child settles and renews its own attempt in a loop, as a run's slow path does: one durable
// transaction each, all on one hard budget (argument 1) or on a chain of three (argument 3);
// grants_per_s is the sum over them. bare_commits is one process, alone, that commits one row each:
// what the disk gives, and no peer of 8 processes.
#include <benchmark/benchmark.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "bench_support.hpp"
#include "finops/ledger/ledger.hpp"

namespace finops {
namespace {

constexpr int kProcesses = 8;
const std::chrono::seconds kRun{bench::is_short() ? 1 : 2};

std::vector<BudgetId> make_budgets(Ledger& ledger, std::int64_t count) {
  std::vector<BudgetId> ids;
  ids.reserve(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i) {
    ids.push_back(bench::make_budget(ledger, "team:t" + std::to_string(i)));
  }
  return ids;
}

// Grants leases for `kRun`; returns how many.
std::int64_t grant_leases(const std::string& path, int number, const std::vector<BudgetId>& chain) {
  const std::unique_ptr<Ledger> ledger = open_ledger(path, {});
  const std::string run_id = "run" + std::to_string(number);
  RunRecord run;
  run.run_id = RunId{run_id};
  run.project = "benchmark";
  run.experiment = "leases";
  run.tags = "{}";
  ledger->add_run(run);
  AttemptRecord attempt;
  attempt.run_id = run.run_id;
  attempt.attempt_id = AttemptId{run_id + "-1"};
  attempt.price_id = bench::example_price().price_id;
  attempt.budget_chain = chain;
  ledger->add_attempt(attempt);
  AttemptAccount account = ledger->account(attempt.attempt_id);
  const auto end = std::chrono::steady_clock::now() + kRun;
  std::int64_t count = 0;
  while (std::chrono::steady_clock::now() < end) {
    account = ledger->settle({attempt.attempt_id, account.epoch, std::chrono::seconds{count + 1},
                              UtcTime{}, Money::parse("0.6 USD")});
    ++count;
  }
  return count;
}

template <class Work>
std::int64_t in_processes(Work work) {
  int ends[2];
  if (pipe(ends) != 0) {
    throw std::runtime_error("no pipe");
  }
  for (int number = 0; number < kProcesses; ++number) {
    if (fork() == 0) {
      const std::int64_t count = work(number);
      const bool is_written = write(ends[1], &count, sizeof count) == sizeof count;
      _exit(is_written ? 0 : 1);
    }
  }
  std::int64_t sum = 0;
  for (int number = 0; number < kProcesses; ++number) {
    std::int64_t count = 0;
    if (read(ends[0], &count, sizeof count) != sizeof count) {
      throw std::runtime_error("a child failed");
    }
    sum += count;
  }
  while (wait(nullptr) > 0) {
  }
  close(ends[0]);
  close(ends[1]);
  return sum;
}

void lease_grants(benchmark::State& state) {
  for (auto round : state) {
    const bench::TemporaryFolder folder;
    const std::string path = folder.path() + "/ledger.db";
    std::vector<BudgetId> chain;
    {
      const std::unique_ptr<Ledger> ledger = open_ledger(path, {});
      ledger->add_price(bench::example_price());
      chain = make_budgets(*ledger, state.range(0));
    }
    const std::int64_t count =
        in_processes([&](int number) { return grant_leases(path, number, chain); });
    state.counters["grants_per_s"] =
        static_cast<double>(count) / std::chrono::duration<double>(kRun).count();
  }
}
BENCHMARK(lease_grants)
    ->Arg(1)
    ->Arg(3)
    ->Iterations(1)
    ->Repetitions(bench::is_short() ? 1 : 3)
    ->Unit(benchmark::kSecond);

// One process, one row a commit: the disk's own rate, the upper bound of any ledger without a group
// commit over processes.
void bare_commits(benchmark::State& state) {
  for (auto round : state) {
    const bench::TemporaryFolder folder;
    sqlite3* raw = nullptr;
    sqlite3_open((folder.path() + "/bare.db").c_str(), &raw);
    sqlite3_exec(raw, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE t (x)",
                 nullptr, nullptr, nullptr);
    const auto end = std::chrono::steady_clock::now() + kRun;
    std::int64_t count = 0;
    while (std::chrono::steady_clock::now() < end) {
      sqlite3_exec(raw, "INSERT INTO t VALUES (1)", nullptr, nullptr, nullptr);
      ++count;
    }
    sqlite3_close(raw);
    state.counters["commits_per_s"] =
        static_cast<double>(count) / std::chrono::duration<double>(kRun).count();
  }
}
BENCHMARK(bare_commits)
    ->Iterations(1)
    ->Repetitions(bench::is_short() ? 1 : 3)
    ->Unit(benchmark::kSecond);

}  // namespace
}  // namespace finops
