// process_usage.hpp - CPU time and memory of a run's processes.
//
// Owns: ProcessMeter. Does not own: reading /proc (base), whose process it is (the page), GPUs.
// Invariants: a reused pid is not taken for the old process; use is never negative, and a process
// that ended between two looks takes nothing away from the use of the others.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "finops/base/clock.hpp"
#include "finops/base/process_table.hpp"

namespace finops::detect {

struct ProcessUsage {
  std::vector<pid_t> pids;     ///< living ones, owner and ranks first; empty: all are gone
  std::size_t root_count = 0;  ///< how many of them are owner and ranks
  /// Cores in use since the last look; empty at the first one.
  std::optional<double> cpu_use;
  /// Sum over the processes: pages that they share count in each.
  std::int64_t resident_bytes = 0;
};

/// Follows the processes of one run from look to look.
class ProcessMeter {
 public:
  /// `now` is when `table` was read. A look at the same time or before the last one gives no
  /// CPU use.
  [[nodiscard]] ProcessUsage measure(const ProcessTable& table, const ProcessIdentity& owner,
                                     BootTime now, std::span<const pid_t> ranks = {});
  /// Forgets the last look: the next one is a first one.
  void restart() noexcept { looked_at_.reset(); }

 private:
  struct Times {
    std::uint64_t start_ticks = 0;
    Nanoseconds cpu_time{};
    Nanoseconds reaped_cpu_time{};
  };
  [[nodiscard]] Nanoseconds growth_to(const std::map<pid_t, Times>& current) const;

  std::map<pid_t, Times> last_;
  std::optional<BootTime> looked_at_;
};

}  // namespace finops::detect
