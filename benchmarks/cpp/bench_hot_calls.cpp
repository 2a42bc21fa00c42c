// bench_hot_calls.cpp - what progress, heartbeat and check_budget cost a C++ training loop.
//
// The lease is long enough that no slow path falls into the measurement; the counter `slow_ns`
// says so. The rows `empty_loop` and `coarse_clock` are what a call cannot go below: each of ours
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
  static bench::TemporaryFolder home;
  static std::unique_ptr<Run> run = start_run(home.path());
  return *run;
}

void report(benchmark::State& state, Nanoseconds slow_before) {
  state.counters["goal"] = kGoalNs;
  state.counters["slow_ns"] =
      static_cast<double>((tracked_run().slow_path_time() - slow_before).count());
}

void empty_loop(benchmark::State& state) {
  std::int64_t step = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(++step);
  }
}
BENCHMARK(empty_loop);

void coarse_clock(benchmark::State& state) {
  for (auto _ : state) {
    benchmark::DoNotOptimize(coarse_monotonic_now());
  }
}
BENCHMARK(coarse_clock);

void progress(benchmark::State& state) {
  Run& run = tracked_run();
  const Nanoseconds slow_before = run.slow_path_time();
  std::int64_t step = 0;
  for (auto _ : state) {
    run.progress(++step);
  }
  report(state, slow_before);
}
BENCHMARK(progress);

void heartbeat(benchmark::State& state) {
  Run& run = tracked_run();
  const Nanoseconds slow_before = run.slow_path_time();
  for (auto _ : state) {
    run.heartbeat();
  }
  report(state, slow_before);
}
BENCHMARK(heartbeat);

void check_budget(benchmark::State& state) {
  Run& run = tracked_run();
  const Nanoseconds slow_before = run.slow_path_time();
  for (auto _ : state) {
    benchmark::DoNotOptimize(run.check_budget());
  }
  report(state, slow_before);
}
BENCHMARK(check_budget);

}  // namespace
}  // namespace finops
