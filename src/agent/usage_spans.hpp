// usage_spans.hpp - what was measured of one attempt, the newest in detail, the older condensed.
//
// Owns: UsageSample, UsageSpans. Does not own: measuring (telemetry.cpp), judgement (guard).
// Invariants: bounded whatever the length of the run: where it grows too long, neighbours are
// merged, the more the older they are. A merged span keeps the extremes of its samples, so that a
// window that begins inside it counts more than was asked for: that can hide idleness, never invent
// it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "finops/base/clock.hpp"
#include "finops/guard/usage.hpp"

namespace finops::agent {

/// One GPU of the run at one look.
struct GpuUseSample {
  std::string uuid;
  std::optional<double> utilization;
  std::optional<double> power_share;
  bool has_process = false;
};

struct UsageSample {
  BootTime at{};
  double cpu_use = 0;
  bool may_miss_gpus = false;
  std::vector<GpuUseSample> gpus;
};

class UsageSpans {
 public:
  /// Keeps at most `limit` spans (40, if it is less), and none that ended a day before the newest.
  void add(const UsageSample& sample, std::size_t limit);
  void clear() noexcept { spans_.clear(); }
  [[nodiscard]] bool empty() const noexcept { return spans_.empty(); }
  [[nodiscard]] std::size_t size() const noexcept { return spans_.size(); }
  [[nodiscard]] BootTime newest() const noexcept { return spans_.back().last; }
  /// Over the `window` that ends at `now`, both included.
  [[nodiscard]] guard::UsageSummary summary(Nanoseconds window, BootTime now) const;

 private:
  struct GpuSpan {
    std::uint16_t device = 0;  // in devices_
    bool has_process = false;
    std::int32_t sample_count = 0;
    std::int32_t utilization_count = 0;
    std::int32_t power_count = 0;
    double minimum_utilization = 0;
    double maximum_utilization = 0;
    double power_share_sum = 0;
  };
  struct Span {
    BootTime first{};
    BootTime last{};
    std::int64_t sample_count = 0;
    std::int64_t blind_count = 0;
    double maximum_cpu_use = 0;
    std::vector<GpuSpan> gpus;
  };
  static void merge(const Span& later, Span& earlier);
  static void merge(const GpuSpan& later, GpuSpan& earlier);
  static guard::GpuUsage usage_of(const GpuSpan& gpu, const std::string& uuid);
  std::uint16_t device_of(const std::string& uuid);
  void condense(std::size_t limit);

  std::vector<Span> spans_;
  std::vector<std::string> devices_;
};

}  // namespace finops::agent
