// decide.hpp - what to do about a run: a pure function of what is known of it.
//
// Owns: RunState, Decision, decide. Does not own: observation and acting (agent).
// Invariants: pure: no clock, no I/O; unknown never kills; alive is not progress.
#pragma once

#include <optional>
#include <string>

#include "finops/base/clock.hpp"
#include "finops/budget/lease.hpp"
#include "finops/guard/policy.hpp"
#include "finops/record/decision.hpp"

namespace finops::guard {

/// Four states that stay apart everywhere. Idle and hung need samples of CPU and GPU use; without
/// them a run that does not report is silent.
enum class Signal { NoSignal, Working, Silent, LongRunning };
[[nodiscard]] std::string_view signal_name(Signal signal) noexcept;

struct RunState {
  bool reports = false;             ///< some process called init; false: an unmodified command
  bool is_long_running = false;     ///< exempt from the silence rule
  Nanoseconds silence_limit{};      ///< the run's own; zero: the policy's
  BootTime progress_changed_at{};   ///< when the agent last saw the progress counter move
  BootTime silent_until{};          ///< expect_silence; epoch: none
  BootTime silence_announced_at{};  ///< when the agent first saw that announcement

  BootTime started_at{};
  bool is_hard_budget = false;  ///< false: soft, or no budget at all
  bool is_exhausted = false;    ///< no more money could be had
  budget::LeasePlan lease;
  budget::LeaseTerms terms;

  Rung rung = Rung::Watch;  ///< how far the ladder has come, and since when, and why
  Rule rule = Rule::None;
  BootTime rung_since{};
};

struct Decision {
  Directive directive = Directive::CONTINUE;
  Rule rule = Rule::None;
  Rung rung = Rung::Watch;
  std::string reason;
};

/// The decision for one run at `now`. Limits are inclusive: a run may be silent for exactly its
/// limit. From SIGTERM on the ladder only goes up; before it, progress or money takes it back.
[[nodiscard]] Decision decide(const RunState& state, const Policy& policy, BootTime now);

/// How the run looks at `now`, for people.
[[nodiscard]] Signal signal_of(const RunState& state, const Policy& policy, BootTime now);

/// "6 s", "12 min", "3.5 h": a span as people say it.
[[nodiscard]] std::string format_span(Nanoseconds span);

}  // namespace finops::guard
