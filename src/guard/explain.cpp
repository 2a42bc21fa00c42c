// explain.cpp - what every rule says of a run, in plain words.
#include <algorithm>
#include <array>
#include <cstdio>

#include "guard/rules.hpp"

namespace finops::guard {
namespace {

RuleReading read_duration(const RunState& state, const Policy& policy, BootTime now) {
  const Nanoseconds limit = duration_limit_of(state, policy);
  const std::string ran = "duration: it has run for " + format_span(now - state.started_at);
  return {.rule = Rule::Duration,
          .text = limit == Nanoseconds::zero() ? ran + ", no limit"
                                               : ran + ", the limit is " + format_span(limit),
          .is_fired = is_over_duration(state, policy, now)};
}

RuleReading read_silence(const RunState& state, const Policy& policy, BootTime now) {
  RuleReading reading{.rule = Rule::Silence, .text = {}, .is_fired = is_silent(state, policy, now)};
  if (!state.reports) {
    reading.text = "silence: the command reports nothing: not judged";
    return reading;
  }
  if (is_exempt(state, policy)) {
    reading.text = "silence: long_running: not judged";
    return reading;
  }
  reading.text = "silence: last progress " + format_span(now - state.progress_changed_at) +
                 " ago, the limit is " + format_span(silence_limit_of(state, policy));
  if (state.is_long_running) {
    reading.text += ", long_running is not allowed here";
  }
  const BootTime announced = announced_until(state, policy);
  if (announced > now) {
    reading.text += ", silence is announced for " + format_span(announced - now) + " more";
  } else if (announced > state.progress_changed_at) {
    reading.text +=
        ", counted from the end of the announced silence " + format_span(now - announced) + " ago";
  }
  return reading;
}

std::string idle_text(const RunState& state, const Policy& policy, BootTime now) {
  const std::string window = format_span(policy.utilization_window);
  switch (idle_judgement(state, policy, now)) {
    case IdleJudgement::NoRule: return "idle: min_gpu_utilization is not set: not judged";
    case IdleJudgement::NotMeasured: return "idle: nothing measures its GPUs: not judged";
    case IdleJudgement::TooLittle:
      return "idle: only " + std::to_string(state.usage->sample_count) + " samples over " +
             format_span(state.usage->covered) + " of the " + window + " window: not judged";
    case IdleJudgement::NoGpu:
      return "idle: no GPU of the run tells its utilization for the whole " + window +
             " window: not judged";
    case IdleJudgement::Announced:
      return "idle: silence is announced, or was within the " + window + " window: not judged";
    case IdleJudgement::Judged: break;
  }
  const GpuUsage& gpu = *least_used_gpu(state);
  std::array<char, 96> numbers{};
  std::snprintf(numbers.data(), numbers.size(), "at most %.3g %%, the limit is %.3g %%",
                *gpu.maximum_utilization, policy.min_gpu_utilization);
  return "idle: GPU " + gpu.uuid + " was used to " + numbers.data() + " in " +
         format_span(state.usage->covered);
}

std::string money_text(const RunState& state, BootTime now) {
  if (!state.is_hard_budget) {
    return "budget: no hard budget: not judged";
  }
  std::string paid = "no end of the lease is known";
  if (state.lease.pause_at != Nanoseconds::max()) {
    const Nanoseconds left = state.lease.pause_at - (now - state.started_at);
    paid = left > Nanoseconds::zero() ? "paid for " + format_span(left) + " more"
                                      : "at the end of the lease since " + format_span(-left);
  }
  if (state.is_exhausted) {
    return "budget: used up, " + paid;
  }
  return state.is_ledger_away ? "budget: the ledger cannot renew its lease, " + paid
                              : "budget: " + paid + ", and more can be had";
}

}  // namespace

std::vector<RuleReading> explain(const RunState& state, const Policy& policy, BootTime now) {
  return {read_duration(state, policy, now),
          read_silence(state, policy, now),
          {.rule = Rule::Idle,
           .text = idle_text(state, policy, now),
           .is_fired = is_idle(state, policy, now)},
          {.rule = Rule::Budget,
           .text = money_text(state, now),
           .is_fired = is_out_of_money(state, now)}};
}

std::string_view signal_name(Signal signal) noexcept {
  switch (signal) {
    case Signal::NoSignal: return "no signal";
    case Signal::Working: return "working";
    case Signal::Silent: return "silent";
    case Signal::Idle: return "idle";
    case Signal::Hung: return "hung";
    case Signal::LongRunning: break;
  }
  return "long-running";
}

Signal signal_of(const RunState& state, const Policy& policy, BootTime now) {
  if (state.usage.has_value()) {
    const bool has_no_progress =
        state.reports && now - state.progress_changed_at >= state.usage->asked;
    switch (use_of(*state.usage, has_no_progress)) {
      case Use::Idle: return Signal::Idle;
      case Use::Hung: return Signal::Hung;
      case Use::Working:
      case Use::Unknown: break;  // use is never progress
    }
  }
  if (!state.reports) {
    return Signal::NoSignal;
  }
  if (is_exempt(state, policy)) {
    return Signal::LongRunning;
  }
  return is_silent(state, policy, now) ? Signal::Silent : Signal::Working;
}

}  // namespace finops::guard
