// bench_decide.cpp - one round of judgement over 100,000 runs.
//
// One in a hundred runs is to be stopped and has to say why; all the others may go on. The runs
// have measured use, three policies in turn, and the decisions go where those of the last round
// lay, as in the agent.
#include <benchmark/benchmark.h>

#include <array>
#include <chrono>
#include <vector>

#include "bench_support.hpp"
#include "finops/guard/decide.hpp"

namespace finops::guard {
namespace {

// The goal is for 100,000 runs on one core; the short mode has a hundredth and judges nothing.
const int kRunCount = bench::is_short() ? 1'000 : 100'000;
constexpr double kGoalMs = 100;
constexpr int kStoppedOneIn = 100;

RunState run_at(BootTime now, bool is_silent) {
  RunState state;
  state.reports = true;
  state.started_at = now - std::chrono::hours{2};
  state.progress_changed_at = is_silent ? state.started_at : now - std::chrono::seconds{20};
  state.is_hard_budget = true;
  state.lease = {.renew_at = std::chrono::hours{2},
                 .pause_at = std::chrono::hours{3},
                 .ends_at = std::chrono::hours{4}};
  UsageSummary usage;
  usage.asked = usage.covered = std::chrono::minutes{30};
  usage.sample_count = 180;
  usage.gpus.push_back({.uuid = "GPU-6f1a9c52-5b0a-4e0e-9a57-3f1d8a1f0b11",
                        .sample_count = 180,
                        .minimum_utilization = 10,
                        .maximum_utilization = 97,
                        .mean_power_share = 0.8,
                        .has_process = true});
  state.usage = usage;
  return state;
}

void decide_many(benchmark::State& state) {
  const BootTime now{std::chrono::hours{1'000}};
  std::array<Policy, 3> policies;
  policies[1].min_gpu_utilization = 5;
  policies[2].max_duration = std::chrono::hours{24};
  std::vector<RunState> runs;
  std::vector<const Policy*> policy_of;
  for (int index = 0; index < kRunCount; ++index) {
    runs.push_back(run_at(now, index % kStoppedOneIn == 0));
    policy_of.push_back(&policies[static_cast<std::size_t>(index) % policies.size()]);
  }
  std::vector<Decision> decisions;
  int stopped = 0;
  for (auto _ : state) {
    decide_all(runs, policy_of, now, decisions);
    benchmark::DoNotOptimize(decisions.data());
  }
  for (const Decision& decision : decisions) {
    stopped += decision.directive == Directive::STOP ? 1 : 0;
  }
  if (stopped != kRunCount / kStoppedOneIn) {
    state.SkipWithError("it decided otherwise than expected");
  }
  if (!bench::is_short()) {
    state.counters["goal"] = kGoalMs;
  }
  state.counters["runs"] = kRunCount;
}
BENCHMARK(decide_many)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace finops::guard
