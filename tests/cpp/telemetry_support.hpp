// telemetry_support.hpp - rounds of telemetry over a real process and scripted GPUs.
//
// Owns: TelemetryRounds, ScriptedGpus, Taker. Does not own: the tests.
// Invariants: time comes from a ManualClock; the run is this process, whose CPU time in real time
// is next to nothing beside the ten seconds that a round moves the clock.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "finops/agent/telemetry.hpp"
#include "support.hpp"

namespace finops::agent {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

/// The edge of the world: a driver that says what the test says.
class ScriptedGpus final : public detect::GpuSource {
 public:
  ScriptedGpus(const detect::GpuSight& sight, const std::vector<detect::GpuSample>& gpus)
      : sight_(sight), gpus_(gpus) {}
  void start() override {}
  [[nodiscard]] detect::GpuReading latest() const override {
    detect::GpuReading reading;
    reading.sight = sight_;
    if (sight_ == detect::GpuSight::Fresh) {
      reading.gpus = gpus_;
    }
    return reading;
  }

 private:
  const detect::GpuSight& sight_;
  const std::vector<detect::GpuSample>& gpus_;
};

/// A ledger's side of the windows, which can fail.
struct Taker {
  std::vector<TelemetryWindow> taken;
  std::optional<ErrorCode> failure;
  std::optional<AttemptId> unknown;

  [[nodiscard]] TelemetrySink sink() {
    return [this](std::span<const TelemetryWindow> windows) {
      FINOPS_REQUIRE(!failure.has_value(), *failure, "the ledger takes nothing");
      for (const TelemetryWindow& window : windows) {
        FINOPS_REQUIRE(window.attempt_id != unknown, ErrorCode::NotFound, "no such attempt");
      }
      taken.insert(taken.end(), windows.begin(), windows.end());
    };
  }
  /// The first window of the metric and device; null if there is none.
  [[nodiscard]] const TelemetryWindow* find(Metric metric, const std::string& device) const {
    for (const TelemetryWindow& window : taken) {
      if (window.metric == metric && window.device == device) {
        return &window;
      }
    }
    return nullptr;
  }
};

/// A GPU that this process holds, idle, at a seventh of its power.
inline detect::GpuSample held_gpu(const std::string& uuid) {
  detect::GpuSample gpu;
  gpu.uuid = uuid;
  gpu.utilization = 0;
  gpu.memory_bytes = 5'000;
  gpu.power_watts = 100;
  gpu.power_limit_watts = 700;
  gpu.processes.emplace();
  gpu.processes->push_back({.pid = getpid(), .memory_bytes = 4'000, .utilization = {}});
  return gpu;
}

class TelemetryRounds : public ::testing::Test {
 protected:
  /// Ten seconds on, and a sample.
  void next_round() {
    clock_.advance(seconds{10});
    telemetry_.sample(page_, clock_.now());
  }
  void rounds(int count) {
    for (int round = 0; round < count; ++round) {
      next_round();
    }
  }
  [[nodiscard]] guard::UsageSummary summary(Nanoseconds window) const {
    return telemetry_.summary(page_.attempt_id, window, clock_.now());
  }

  ManualClock clock_{{testing::example_time(), BootTime{hours{2}}, MonotonicTime{hours{2}}}};
  pulse::PageInfo page_ = testing::example_page("run", clock_.now());
  detect::GpuSight sight_ = detect::GpuSight::Fresh;
  std::vector<detect::GpuSample> gpus_;
  Telemetry telemetry_{TelemetryOptions{}, std::make_unique<ScriptedGpus>(sight_, gpus_)};
};

}  // namespace finops::agent
