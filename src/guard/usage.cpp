// usage.cpp - reads a window of samples.
#include "finops/guard/usage.hpp"

#include <algorithm>

namespace finops::guard {
namespace {

// Source: dstack issue 2384 (idle: every sample below 5 %, at least ten samples a window).
constexpr double kIdleGpuPercent = 5;
// A tenth of a core is above what a loop that only waits and logs uses.
constexpr double kIdleCores = 0.1;
// Without a GPU to look at, a run is idle only if it does nothing at all: a job whose GPUs we do
// not see may well wait for them at a few percent of a core.
constexpr double kIdleCoresAlone = 0.01;
// Source: nebius/soperator issue 796: a stuck collective shows 100 % at a fraction of the power.
constexpr double kHungGpuPercent = 95;
constexpr double kHungPowerShare = 0.5;

// What a GPU did in a part of the window says nothing of the rest.
bool is_seen_throughout(const GpuUsage& gpu, const UsageSummary& usage) {
  return gpu.sample_count * 10 >= usage.sample_count * 9;
}

bool is_idle(const GpuUsage& gpu) {
  return gpu.maximum_utilization.has_value() && *gpu.maximum_utilization < kIdleGpuPercent;
}

bool is_used(const GpuUsage& gpu) {
  return gpu.maximum_utilization.has_value() && *gpu.maximum_utilization >= kIdleGpuPercent;
}

bool is_spinning(const GpuUsage& gpu) {
  return gpu.minimum_utilization.has_value() && *gpu.minimum_utilization >= kHungGpuPercent &&
         gpu.mean_power_share.has_value() && *gpu.mean_power_share < kHungPowerShare;
}

}  // namespace

std::string_view use_name(Use use) noexcept {
  switch (use) {
    case Use::Unknown: return "unknown";
    case Use::Idle: return "idle";
    case Use::Hung: return "hung";
    case Use::Working: break;
  }
  return "working";
}

Use use_of(const UsageSummary& usage, bool is_silent) {
  if (!usage.is_enough()) {
    return Use::Unknown;
  }
  const bool sees_gpus = !usage.gpus.empty() && !usage.may_miss_gpus &&
                         std::ranges::all_of(usage.gpus, [&](const GpuUsage& gpu) {
                           return is_seen_throughout(gpu, usage);
                         });
  // Hung comes first: a process that spins in a collective uses a core and its GPU.
  if (is_silent && sees_gpus && std::ranges::all_of(usage.gpus, is_spinning)) {
    return Use::Hung;
  }
  if (usage.maximum_cpu_use >= kIdleCores || std::ranges::any_of(usage.gpus, is_used)) {
    return Use::Working;
  }
  if (sees_gpus && std::ranges::all_of(usage.gpus, is_idle) && usage.maximum_cpu_use < kIdleCores) {
    return Use::Idle;
  }
  if (usage.gpus.empty() && !usage.may_miss_gpus && usage.maximum_cpu_use < kIdleCoresAlone) {
    return Use::Idle;
  }
  return Use::Unknown;
}

}  // namespace finops::guard
