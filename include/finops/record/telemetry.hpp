// telemetry.hpp - measured use of a run's hardware, condensed to windows of five minutes.
//
// Owns: Metric, TelemetryWindow. Does not own: sampling (detect), judgement (guard).
// Invariant: telemetry is observation: it never counts as progress and never as money.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "finops/base/clock.hpp"
#include "finops/base/ids.hpp"

namespace finops {

inline constexpr Nanoseconds kTelemetryWindow = std::chrono::minutes{5};

enum class Metric {
  CpuUse,          ///< cores in use by the run's processes: 1.0 is one core
  Memory,          ///< resident bytes of the run's processes
  GpuUtilization,  ///< percent of the time with a kernel running, 0 to 100
  GpuMemory,       ///< bytes in use on the device
  GpuPower,        ///< watts
};
[[nodiscard]] std::string_view metric_name(Metric metric) noexcept;
[[nodiscard]] Metric parse_metric(std::string_view name);

struct TelemetryWindow {
  AttemptId attempt_id;
  UtcTime window_start{};  ///< a multiple of kTelemetryWindow
  Metric metric = Metric::CpuUse;
  std::string device;  ///< GPU UUID; empty for the host's metrics
  std::int64_t sample_count = 0;
  double minimum = 0;
  double mean = 0;
  double maximum = 0;
};

}  // namespace finops
