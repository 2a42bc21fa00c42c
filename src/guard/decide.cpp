// decide.cpp - which rule counts, and the rungs of the ladder.
#include "finops/guard/decide.hpp"

#include <algorithm>
#include <optional>

#include "finops/base/error.hpp"
#include "guard/rules.hpp"

namespace finops::guard {
namespace {

bool tells_to_stop(Rule rule) {
  return rule == Rule::Silence || rule == Rule::Duration || rule == Rule::Idle ||
         rule == Rule::Operator;
}

bool is_money(Rule rule) { return rule == Rule::Budget || rule == Rule::Lease; }

// A rung that was only recorded told nobody: the ladder begins at its foot.
Rung real_rung(const RunState& state) { return state.is_rung_dry ? Rung::Watch : state.rung; }

std::string stop_reason(Rule rule, const RunState& state, const Policy& policy, BootTime now) {
  switch (rule) {
    case Rule::Duration: return duration_reason(state, policy, now);
    case Rule::Idle: return idle_reason(state, policy);
    case Rule::Operator: return "a person asked for it";
    default: return silence_reason(state, policy, now);
  }
}

Decision stop_decision(Rule rule, const RunState& state, const Policy& policy, BootTime now) {
  Decision decision{.directive = Directive::STOP,
                    .rule = rule,
                    .rung = Rung::Directive,
                    .reason = stop_reason(rule, state, policy, now)};
  const Nanoseconds waited = now - state.rung_since;
  const Rung rung = real_rung(state);
  if (rung >= Rung::Sigterm) {  // whatever brought it there: the ladder only goes up
    decision.rung = waited >= policy.term_grace ? Rung::Sigkill : rung;
  } else if (policy.is_dry_run) {
    decision.is_dry_run = true;
  } else if (tells_to_stop(state.rule) && rung == Rung::Directive &&
             waited >= policy.directive_grace) {
    decision.rung = Rung::Sigterm;
  }
  return decision;
}

Rule money_rule(const RunState& state) {
  if (real_rung(state) >= Rung::Sigterm && is_money(state.rule)) {
    return state.rule;  // what it was told stays true
  }
  return state.is_exhausted ? Rule::Budget : Rule::Lease;
}

Decision money_decision(const RunState& state, BootTime now) {
  const Nanoseconds elapsed = now - state.started_at;
  // Counted back from the end of the money, which no settlement moves.
  const Nanoseconds last = state.lease.ends_at - state.terms.billing_quantum -
                           std::min(state.look_gap, state.terms.stop_time / 3);
  const Nanoseconds half_way = last - state.terms.stop_time / 2;
  Decision decision{.directive = elapsed < half_way ? Directive::CHECKPOINT : Directive::PAUSE,
                    .rule = money_rule(state),
                    .rung = Rung::Directive,
                    .reason = {}};
  decision.reason =
      decision.rule == Rule::Budget
          ? "the budget is used up: what is left pays for the checkpoint and the stop"
          : "its lease ends and the ledger cannot renew it: what is left pays for the checkpoint "
            "and the stop";
  // A command that does not report cannot read a directive: its first word is SIGTERM.
  if (!state.reports || elapsed >= half_way) {
    decision.rung = Rung::Sigterm;
  }
  if (elapsed >= last) {
    decision.rung = Rung::Sigkill;
  }
  const Rung rung = real_rung(state);
  const bool stays_up = rung >= Rung::Sigterm || is_money(state.rule);
  decision.rung = std::max(decision.rung, stays_up ? rung : Rung::Watch);
  return decision;
}

std::optional<Rule> stop_rule(const RunState& state, const Policy& policy, BootTime now) {
  if (is_over_duration(state, policy, now)) {
    return Rule::Duration;
  }
  if (is_silent(state, policy, now)) {
    return Rule::Silence;
  }
  return is_idle(state, policy, now) ? std::optional(Rule::Idle) : std::nullopt;
}

// A ladder that has signalled goes on under its own rule, unless the money ends sooner.
Decision ongoing_decision(const RunState& state, const Policy& policy, BootTime now,
                          bool is_out_of_money) {
  if (is_money(state.rule)) {
    Decision money = money_decision(state, now);
    // More money came after the signal, so that the end is far again: one that hangs, or ignores
    // the signal, is judged as any other run meanwhile.
    const std::optional<Rule> stop = stop_rule(state, policy, now);
    const bool is_urgent = money.directive == Directive::PAUSE || money.rung == Rung::Sigkill;
    return is_urgent || !stop.has_value() || policy.is_dry_run
               ? money
               : stop_decision(*stop, state, policy, now);
  }
  Decision decision = stop_decision(state.rule, state, policy, now);
  if (is_out_of_money) {
    Decision money = money_decision(state, now);
    return money.rung > decision.rung ? money : decision;
  }
  return decision;
}

}  // namespace

Decision decide(const RunState& state, const Policy& policy, BootTime now) {
  const bool has_no_money = is_out_of_money(state, now);
  if (real_rung(state) >= Rung::Sigterm && (tells_to_stop(state.rule) || is_money(state.rule))) {
    return ongoing_decision(state, policy, now, has_no_money);
  }
  const std::optional<Rule> stop = stop_rule(state, policy, now);
  if (has_no_money) {
    Decision money = money_decision(state, now);
    const bool is_urgent = money.directive == Directive::PAUSE || money.rung >= Rung::Sigterm;
    if (is_urgent || !stop.has_value() || policy.is_dry_run) {
      return money;
    }
  }
  return stop.has_value() ? stop_decision(*stop, state, policy, now) : Decision{};
}

void decide_all(std::span<const RunState> states, std::span<const Policy* const> policies,
                BootTime now, std::vector<Decision>& decisions) {
  FINOPS_REQUIRE(states.size() == policies.size(), ErrorCode::InvalidArgument,
                 std::to_string(states.size()) + " states and " + std::to_string(policies.size()) +
                     " policies: each state needs its own");
  decisions.resize(states.size());
  for (std::size_t index = 0; index < states.size(); ++index) {
    decisions[index] = decide(states[index], *policies[index], now);
  }
}

}  // namespace finops::guard
