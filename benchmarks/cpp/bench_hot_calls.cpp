// bench_hot_calls.cpp - what progress, heartbeat and check_budget cost a C++ training loop.
//
// The lease is long enough that no slow path falls into the measurement; the counter `slow_ns`
// says so. The rows `EmptyLoop` and `CoarseClock` are what a call cannot go below: each of ours
// reads CLOCK_MONOTONIC_COARSE once, to see whether its lease has to be renewed.
#include <benchmark/benchmark.h>

#include <chrono>
#include <cstdint>
#include <memory>

#include "bench_support.hpp"
#include "finops/base/clock.hpp"
#include "finops/tracker/run.hpp"

namespace finops {
namespace {

constexpr double kGoalNs = 5;  // design goal of a hot call, loop included

std::unique_ptr<Run> start_run(const std::string& home) {
  RunOptions options;
  options.project = "benchmark";
  options.experiment = "hot_calls";
  options.budget = Money::parse("1000000 USD");
  options.price = "36 USD/h";
  options.price_book =
      R"({"schema": "finops-price-book", "schema_version": 1, "book_version": "", "skus": []})";
  options.home = home;
  options.lease_terms.term = std::chrono::hours{24};
  return Run::start(options);
}

/// One run for all benchmarks of the process: with a budget, and a lease of a day.
Run& tracked_run() {
  static const bench::TemporaryFolder home;
  static const std::unique_ptr<Run> run = start_run(home.path());
  return *run;
}

void report(benchmark::State& state, Nanoseconds slow_before) {
  state.counters["goal"] = kGoalNs;
  state.counters["slow_ns"] =
      static_cast<double>((tracked_run().slow_path_time() - slow_before).count());
}

void EmptyLoop(benchmark::State& state) {
  std::int64_t step = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(++step);
  }
}
BENCHMARK(EmptyLoop);

void CoarseClock(benchmark::State& state) {
  for (auto _ : state) {
    benchmark::DoNotOptimize(coarse_monotonic_now());
  }
}
BENCHMARK(CoarseClock);

void Progress(benchmark::State& state) {
  Run& run = tracked_run();
  const Nanoseconds slow_before = run.slow_path_time();
  std::int64_t step = 0;
  for (auto _ : state) {
    run.progress(++step);
  }
  report(state, slow_before);
}
BENCHMARK(Progress);

void Heartbeat(benchmark::State& state) {
  Run& run = tracked_run();
  const Nanoseconds slow_before = run.slow_path_time();
  for (auto _ : state) {
    run.heartbeat();
  }
  report(state, slow_before);
}
BENCHMARK(Heartbeat);

void CheckBudget(benchmark::State& state) {
  Run& run = tracked_run();
  const Nanoseconds slow_before = run.slow_path_time();
  for (auto _ : state) {
    benchmark::DoNotOptimize(run.check_budget());
  }
  report(state, slow_before);
}
BENCHMARK(CheckBudget);

}  // namespace
}  // namespace finops
