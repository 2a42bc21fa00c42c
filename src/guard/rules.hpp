// rules.hpp - when each rule speaks, shared by the decisions and their explanation.
//
// Owns: the limits that hold for one run and the conditions of the rules. Does not own: the ladder.
// Invariants: pure, and no allocation: 100,000 runs are judged in a round.
#pragma once

#include "finops/guard/decide.hpp"

namespace finops::guard {

/// The run's own limit, or the policy's; where the policy is enforced the tighter one.
[[nodiscard]] Nanoseconds silence_limit_of(const RunState& state, const Policy& policy);
/// The same for max_duration; zero: no limit.
[[nodiscard]] Nanoseconds duration_limit_of(const RunState& state, const Policy& policy);

/// Until when an announced silence holds, cut at the policy's longest.
[[nodiscard]] BootTime announced_until(const RunState& state, const Policy& policy);
/// Whether the silence rule is spared by long_running.
[[nodiscard]] bool is_exempt(const RunState& state, const Policy& policy);

[[nodiscard]] bool is_silent(const RunState& state, const Policy& policy, BootTime now);
[[nodiscard]] bool is_over_duration(const RunState& state, const Policy& policy, BootTime now);

/// Why the idle rule does not judge a run, or that it does.
enum class IdleJudgement { NoRule, NotMeasured, TooLittle, NoGpu, Announced, Judged };
[[nodiscard]] IdleJudgement idle_judgement(const RunState& state, const Policy& policy,
                                           BootTime now);
/// The GPU that is used least, of those with enough samples; null: there is none.
[[nodiscard]] const GpuUsage* least_used_gpu(const RunState& state);
[[nodiscard]] bool is_idle(const RunState& state, const Policy& policy, BootTime now);

/// Whether the money of a hard budget (the lease, if nobody can be asked for more) has come so far
/// that the run must be told.
[[nodiscard]] bool is_out_of_money(const RunState& state, BootTime now);

/// The reasons, with the numbers that decided.
[[nodiscard]] std::string silence_reason(const RunState& state, const Policy& policy, BootTime now);
[[nodiscard]] std::string duration_reason(const RunState& state, const Policy& policy,
                                          BootTime now);
[[nodiscard]] std::string idle_reason(const RunState& state, const Policy& policy);

}  // namespace finops::guard
