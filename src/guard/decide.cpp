// decide.cpp - the rules and the ladder.
#include "finops/guard/decide.hpp"

#include <algorithm>
#include <array>
#include <cstdio>

#include "finops/base/error.hpp"

namespace finops::guard {
namespace {

Nanoseconds silence_limit_of(const RunState& state, const Policy& policy) {
  return state.silence_limit > Nanoseconds::zero() ? state.silence_limit : policy.silence_limit;
}

bool is_silent(const RunState& state, const Policy& policy, BootTime now) {
  const BootTime longest = state.silence_announced_at + policy.longest_expected_silence;
  const BootTime announced_until = std::min(state.silent_until, longest);
  // The window starts anew when an announced silence ends.
  const BootTime since = std::max(state.progress_changed_at, announced_until);
  return now - since > silence_limit_of(state, policy);
}

Decision silence_decision(const RunState& state, const Policy& policy, BootTime now) {
  Decision decision{.directive = Directive::STOP,
                    .rule = Rule::Silence,
                    .rung = Rung::Directive,
                    .reason = "no progress for " + format_span(now - state.progress_changed_at) +
                              ", the limit is " + format_span(silence_limit_of(state, policy))};
  const Nanoseconds waited = now - state.rung_since;
  if (state.rung >= Rung::Sigterm) {  // whatever brought it there: the ladder only goes up
    decision.rung = waited >= policy.term_grace ? Rung::Sigkill : state.rung;
  } else if (state.rule == Rule::Silence && state.rung == Rung::Directive &&
             waited >= policy.directive_grace) {
    decision.rung = Rung::Sigterm;
  }
  return decision;
}

Decision budget_decision(const RunState& state, BootTime now) {
  const Nanoseconds elapsed = now - state.started_at;
  // Counted back from the end of the money, which no settlement moves.
  const Nanoseconds last = state.lease.ends_at - state.terms.billing_quantum;
  const Nanoseconds half_way = last - state.terms.stop_time / 2;
  Decision decision{.directive = elapsed < half_way ? Directive::CHECKPOINT : Directive::PAUSE,
                    .rule = Rule::Budget,
                    .rung = Rung::Directive,
                    .reason =
                        "the budget is used up: what is left pays for the checkpoint and "
                        "the stop"};
  // A command that does not report cannot read a directive: its first word is SIGTERM.
  if (!state.reports || elapsed >= half_way) {
    decision.rung = Rung::Sigterm;
  }
  if (elapsed >= last) {
    decision.rung = Rung::Sigkill;
  }
  const bool stays_up = state.rung >= Rung::Sigterm || state.rule == Rule::Budget;
  decision.rung = std::max(decision.rung, stays_up ? state.rung : Rung::Watch);
  return decision;
}

}  // namespace

void check_policy(const Policy& policy) {
  for (const Nanoseconds limit : {policy.silence_limit, policy.longest_expected_silence,
                                  policy.directive_grace, policy.term_grace}) {
    FINOPS_REQUIRE(limit > Nanoseconds::zero(), ErrorCode::InvalidArgument,
                   "the guard's limits must be above zero");
  }
}

std::string_view signal_name(Signal signal) noexcept {
  switch (signal) {
    case Signal::NoSignal: return "no signal";
    case Signal::Working: return "working";
    case Signal::Silent: return "silent";
    case Signal::LongRunning: break;
  }
  return "long-running";
}

Signal signal_of(const RunState& state, const Policy& policy, BootTime now) {
  if (!state.reports) {
    return Signal::NoSignal;
  }
  if (state.is_long_running) {
    return Signal::LongRunning;
  }
  return is_silent(state, policy, now) ? Signal::Silent : Signal::Working;
}

Decision decide(const RunState& state, const Policy& policy, BootTime now) {
  const bool was_signalled = state.rung >= Rung::Sigterm;
  if (signal_of(state, policy, now) == Signal::Silent ||
      (was_signalled && state.rule == Rule::Silence)) {
    return silence_decision(state, policy, now);
  }
  const bool is_out_of_money =
      state.is_hard_budget && state.is_exhausted && now - state.started_at >= state.lease.pause_at;
  if (is_out_of_money || (was_signalled && state.rule == Rule::Budget)) {
    return budget_decision(state, now);
  }
  return {};
}

std::string format_span(Nanoseconds span) {
  const double seconds = std::chrono::duration<double>(span).count();
  std::array<char, 32> buffer{};
  if (seconds < 120) {
    std::snprintf(buffer.data(), buffer.size(), "%.0f s", seconds);
  } else if (seconds < 7'200) {
    std::snprintf(buffer.data(), buffer.size(), "%.0f min", seconds / 60);
  } else {
    std::snprintf(buffer.data(), buffer.size(), "%.1f h", seconds / 3'600);
  }
  return buffer.data();
}

}  // namespace finops::guard
