// decide.hpp - what to do about a run: a pure function of what is known of it.
//
// Owns: RunState, Decision, decide, explain. Does not own: observation and acting (agent).
// Invariants: pure: no clock, no I/O; unknown never kills; alive is not progress.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "finops/base/clock.hpp"
#include "finops/budget/lease.hpp"
#include "finops/guard/policy.hpp"
#include "finops/guard/usage.hpp"
#include "finops/record/decision.hpp"

namespace finops::guard {

/// How a run looks. Silent: it reports and makes no progress. Idle and Hung are measured
/// (usage.hpp) and stay apart from it: a hung collective is silent at full utilisation, an idle run
/// at none.
enum class Signal { NoSignal, Working, Silent, LongRunning, Idle, Hung };
[[nodiscard]] std::string_view signal_name(Signal signal) noexcept;

struct RunState {
  bool reports = false;             ///< some process called init; false: an unmodified command
  bool is_long_running = false;     ///< exempt from the silence rule, where the policy allows it
  Nanoseconds silence_limit{};      ///< the run's own; zero: the policy's
  Nanoseconds max_duration{};       ///< the run's own; zero: the policy's
  BootTime progress_changed_at{};   ///< when the agent last saw the progress counter move
  BootTime silent_until{};          ///< expect_silence; epoch: none
  BootTime silence_announced_at{};  ///< when the agent first saw that announcement
  /// Measured over the policy's utilization_window; nullopt: nothing measures it.
  std::optional<UsageSummary> usage;

  BootTime started_at{};
  bool is_hard_budget = false;  ///< false: soft, or no budget at all
  bool is_exhausted = false;    ///< no more money could be had
  bool is_ledger_away = false;  ///< nobody can be asked for more: the last known lease counts
  budget::LeasePlan lease;
  budget::LeaseTerms terms;
  /// Until the guard looks again: what must be done before the money ends is done a look earlier,
  /// though never earlier than a third of the stop time.
  Nanoseconds look_gap{};

  Rung rung = Rung::Watch;  ///< how far the ladder has come, and since when, and why
  Rule rule = Rule::None;
  bool is_rung_dry = false;  ///< the rung was only recorded: nobody was told
  BootTime rung_since{};
  /// The names of the policy rules that fit the run, for the reasons; empty: the default alone.
  std::string policy_rules;
};

struct Decision {
  Directive directive = Directive::CONTINUE;
  Rule rule = Rule::None;
  Rung rung = Rung::Watch;
  std::string reason;
  bool is_dry_run = false;  ///< to be recorded and not acted on
};

/// The decision for one run at `now`. Limits are inclusive: a run may be silent for exactly its
/// limit. From SIGTERM on the ladder only goes up; before it, progress, use or money takes it back.
///
/// When several rules speak, the first of these counts:
/// 1. a ladder that has signalled goes on under its own rule; the end of the money may hasten it,
///    and one that signalled for money which has come since may go on under duration, silence or
///    idleness;
/// 2. the budget (or a lease that nobody can renew), once it pauses or signals;
/// 3. duration, silence, idleness, in this order: each tells the run to STOP, and being told by one
///    counts for the next, so that a change of reason grants no new grace;
/// 4. the budget's CHECKPOINT;
/// 5. what a dry run would do: recorded, never beyond the directive. Budgets are never dry.
[[nodiscard]] Decision decide(const RunState& state, const Policy& policy, BootTime now);

/// `decide` for many runs: `policies[i]` is that of `states[i]`, and both are of one length.
/// `decisions` is overwritten; handed in again it costs no allocation for runs that may go on.
/// Throws Error(InvalidArgument) if the lengths differ.
void decide_all(std::span<const RunState> states, std::span<const Policy* const> policies,
                BootTime now, std::vector<Decision>& decisions);

/// How the run looks at `now`, for people.
[[nodiscard]] Signal signal_of(const RunState& state, const Policy& policy, BootTime now);

/// What one rule says of a run.
struct RuleReading {
  Rule rule = Rule::None;
  std::string text;  ///< one line: "silence: last progress 12 min ago, the limit is 30 min"
  bool is_fired = false;
};

/// Every rule's reading at `now`, for people: duration, silence, idle, budget. A rule that is not
/// judged says why.
[[nodiscard]] std::vector<RuleReading> explain(const RunState& state, const Policy& policy,
                                               BootTime now);

/// "6 s", "12 min", "3.5 h": a span as people say it.
[[nodiscard]] std::string format_span(Nanoseconds span);

}  // namespace finops::guard
