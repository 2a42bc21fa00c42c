// guard_support.hpp - runs as the guard's tests see them, before a test moves one thing.
//
// Owns: working_run, spent_run, measured, text_of. Does not own: the tests (test_guard*.cpp).
// Invariant: a run starts at kStart and is seen to progress there, so that every time is a span.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <string>

#include "finops/guard/decide.hpp"
#include "support.hpp"

namespace finops::guard {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::code_of;

inline constexpr Nanoseconds kNanosecond{1};
inline constexpr BootTime kStart{hours{1'000}};
inline const std::string kNothing = "CONTINUE none watch";

/// A run that reports, has no budget and was seen to progress at its start.
inline RunState working_run() {
  RunState state;
  state.reports = true;
  state.progress_changed_at = kStart;
  state.started_at = kStart;
  state.lease = {
      .renew_at = seconds{30}, .pause_at = Nanoseconds::max(), .ends_at = Nanoseconds::max()};
  state.rung_since = kStart;
  return state;
}

/// A run whose hard budget is used up: to pause from 100 s on, SIGTERM from 120 s (half-way),
/// SIGKILL from 135 s.
inline RunState spent_run() {
  RunState state = working_run();
  state.is_hard_budget = true;
  state.is_exhausted = true;
  state.lease.pause_at = seconds{100};
  state.lease.ends_at = seconds{136};
  state.terms = {.term = seconds{60},
                 .check_gap = seconds{5},
                 .stop_time = seconds{30},
                 .billing_quantum = seconds{1}};
  return state;
}

/// A whole window of 30 minutes in which one GPU was used to at most `maximum` percent.
inline UsageSummary measured(double maximum) {
  UsageSummary usage;
  usage.asked = minutes{30};
  usage.covered = minutes{30};
  usage.sample_count = 180;
  usage.gpus.push_back({.uuid = "GPU-1",
                        .sample_count = 180,
                        .minimum_utilization = 0,
                        .maximum_utilization = maximum,
                        .mean_power_share = 0.5,
                        .has_process = true});
  return usage;
}

inline std::string text_of(const Decision& decision) {
  return std::string(directive_name(decision.directive)) + " " +
         std::string(rule_name(decision.rule)) + " " + std::string(rung_name(decision.rung)) +
         (decision.is_dry_run ? " dry" : "");
}

}  // namespace finops::guard
