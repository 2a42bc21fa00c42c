// usage.hpp - measured use of a run's hardware, and what it says: idle, hung, or working.
//
// Owns: GpuUsage, UsageSummary, Use, use_of. Does not own: sampling (detect, agent).
// Invariants: pure; too few samples say nothing (refused, not ignored); use is never progress.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "finops/base/clock.hpp"

namespace finops::guard {

/// One GPU over a window. An empty optional: the driver does not tell (MIG has no utilisation).
struct GpuUsage {
  std::string uuid;
  std::int64_t sample_count = 0;
  std::optional<double> minimum_utilization;  ///< percent
  std::optional<double> maximum_utilization;
  std::optional<double> mean_power_share;  ///< of the power limit, 0 to 1
  bool has_process = false;  ///< a process of the run held it in the newest sample
};

/// A run's use over a window that ends now. Empty: nothing was measured.
struct UsageSummary {
  Nanoseconds asked{};    ///< the window that was asked for
  Nanoseconds covered{};  ///< from its oldest sample to the newest
  std::int64_t sample_count = 0;
  double maximum_cpu_use = 0;  ///< cores
  std::vector<GpuUsage> gpus;  ///< empty: no GPU of the run is known

  /// A window is judged only if it is covered by at least nine tenths and ten samples.
  [[nodiscard]] bool is_enough() const noexcept {
    return sample_count >= 10 && covered * 10 >= asked * 9 && asked > Nanoseconds::zero();
  }
};

/// Idle: processes and no use. Hung: no progress, full utilisation, low power (a stuck collective
/// spins). Unknown: too little is known; it never stops anybody.
enum class Use { Unknown, Idle, Hung, Working };
[[nodiscard]] std::string_view use_name(Use use) noexcept;

/// `is_silent`: the run reports and has made no progress for the window.
[[nodiscard]] Use use_of(const UsageSummary& usage, bool is_silent);

}  // namespace finops::guard
