// rules.cpp - the conditions of the rules, and their reasons in words.
#include "guard/rules.hpp"

#include <algorithm>
#include <array>
#include <cstdio>

namespace finops::guard {
namespace {

Nanoseconds own_or_policy(Nanoseconds own, Nanoseconds policy_limit, bool is_enforced) {
  if (own <= Nanoseconds::zero()) {
    return policy_limit;
  }
  const bool has_policy_limit = policy_limit > Nanoseconds::zero();
  return is_enforced && has_policy_limit ? std::min(own, policy_limit) : own;
}

// Ten samples over nine tenths of the window, as the summary itself has to have: a GPU that came
// late or whose driver was mute for a while is not known well enough.
bool has_enough_samples(const GpuUsage& gpu, const UsageSummary& usage) {
  return gpu.maximum_utilization.has_value() && gpu.sample_count >= 10 &&
         gpu.sample_count * 10 >= usage.sample_count * 9;
}

std::string with_rules(std::string reason, const RunState& state) {
  return state.policy_rules.empty() ? reason
                                    : std::move(reason) + " (policy " + state.policy_rules + ")";
}

std::string format_percent(double percent) {
  std::array<char, 32> buffer{};
  std::snprintf(buffer.data(), buffer.size(), "%.3g %%", percent);
  return buffer.data();
}

}  // namespace

Nanoseconds silence_limit_of(const RunState& state, const Policy& policy) {
  return own_or_policy(state.silence_limit, policy.silence_limit, policy.is_enforced);
}

Nanoseconds duration_limit_of(const RunState& state, const Policy& policy) {
  return own_or_policy(state.max_duration, policy.max_duration, policy.is_enforced);
}

BootTime announced_until(const RunState& state, const Policy& policy) {
  // The page's word may be any number: nothing before the boot is a time.
  return std::clamp(state.silent_until, BootTime{},
                    state.silence_announced_at + policy.longest_expected_silence);
}

bool is_exempt(const RunState& state, const Policy& policy) {
  return state.is_long_running && policy.allows_long_running;
}

bool is_silent(const RunState& state, const Policy& policy, BootTime now) {
  if (!state.reports || is_exempt(state, policy)) {
    return false;
  }
  // The window starts anew when an announced silence ends.
  const BootTime since = std::max(state.progress_changed_at, announced_until(state, policy));
  return now - since > silence_limit_of(state, policy);
}

bool is_over_duration(const RunState& state, const Policy& policy, BootTime now) {
  const Nanoseconds limit = duration_limit_of(state, policy);
  return limit > Nanoseconds::zero() && now - state.started_at > limit;
}

const GpuUsage* least_used_gpu(const RunState& state) {
  const GpuUsage* least = nullptr;
  for (const GpuUsage& gpu : state.usage->gpus) {
    if (has_enough_samples(gpu, *state.usage) &&
        (least == nullptr || *gpu.maximum_utilization < *least->maximum_utilization)) {
      least = &gpu;
    }
  }
  return least;
}

IdleJudgement idle_judgement(const RunState& state, const Policy& policy, BootTime now) {
  if (policy.min_gpu_utilization <= 0) {
    return IdleJudgement::NoRule;
  }
  if (!state.usage.has_value()) {
    return IdleJudgement::NotMeasured;
  }
  if (!state.usage->is_enough() || state.usage->asked < policy.utilization_window) {
    return IdleJudgement::TooLittle;
  }
  // Somebody who announced a silence waits for something; the window starts anew after it. Without
  // an announcement the epoch of this clock is no time: the host may have started a minute ago.
  const BootTime announced = announced_until(state, policy);
  if (announced > BootTime{} && now - announced < policy.utilization_window) {
    return IdleJudgement::Announced;
  }
  return least_used_gpu(state) == nullptr ? IdleJudgement::NoGpu : IdleJudgement::Judged;
}

bool is_idle(const RunState& state, const Policy& policy, BootTime now) {
  return idle_judgement(state, policy, now) == IdleJudgement::Judged &&
         *least_used_gpu(state)->maximum_utilization < policy.min_gpu_utilization;
}

bool is_out_of_money(const RunState& state, BootTime now) {
  return state.is_hard_budget && (state.is_exhausted || state.is_ledger_away) &&
         now - state.started_at >= state.lease.pause_at;
}

std::string silence_reason(const RunState& state, const Policy& policy, BootTime now) {
  return with_rules("no progress for " + format_span(now - state.progress_changed_at) +
                        ", the limit is " + format_span(silence_limit_of(state, policy)),
                    state);
}

std::string duration_reason(const RunState& state, const Policy& policy, BootTime now) {
  return with_rules("it has run for " + format_span(now - state.started_at) + ", the limit is " +
                        format_span(duration_limit_of(state, policy)),
                    state);
}

std::string idle_reason(const RunState& state, const Policy& policy) {
  const GpuUsage* gpu = state.usage.has_value() ? least_used_gpu(state) : nullptr;
  if (gpu == nullptr) {  // a ladder that goes on without a new measurement
    return with_rules("its GPUs were not used", state);
  }
  return with_rules("GPU " + gpu->uuid + " was used to at most " +
                        format_percent(*gpu->maximum_utilization) + " in " +
                        format_span(state.usage->covered) + ", the limit is " +
                        format_percent(policy.min_gpu_utilization),
                    state);
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
