// process_usage.hpp - CPU time and memory of a run's processes, from /proc.
//
// Owns: ProcessTable, ProcessMeter. Does not own: whose process it is (the page says), GPUs.
// Invariants: one walk of the process table serves all runs; a reused pid is not taken for the old
// process; use is never negative, and a process that ended between two looks takes nothing away
// from the use of the others.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "finops/base/clock.hpp"
#include "finops/base/process.hpp"

namespace finops::detect {

/// One process at one look.
struct ProcessEntry {
  pid_t pid = 0;
  pid_t parent_pid = 0;
  std::uint64_t start_ticks = 0;
  Nanoseconds cpu_time{};         ///< user and system
  Nanoseconds reaped_cpu_time{};  ///< of its children that ended and were waited for
  std::int64_t resident_bytes = 0;
  bool is_zombie = false;
};

/// Reads the text of /proc/PID/stat. Nullopt if it is none.
[[nodiscard]] std::optional<ProcessEntry> parse_process_stat(std::string_view text);

/// The processes of this host, as far as this user may see them.
class ProcessTable {
 public:
  ProcessTable() = default;
  explicit ProcessTable(std::vector<ProcessEntry> entries);
  /// Walks /proc once. Empty where it is not mounted.
  [[nodiscard]] static ProcessTable read();

  /// The owner first, then its descendants, ended ones that nobody waited for among them. Empty if
  /// the owner is gone, was replaced, or is of another boot.
  [[nodiscard]] std::vector<const ProcessEntry*> family_of(const ProcessIdentity& owner) const;
  /// The same for a run of several processes that need not descend from each other: the living ones
  /// of owner and `ranks` first, their number in `root_count`, then the descendants of all, each
  /// once. Ranks are named by pid: they are who they are now.
  [[nodiscard]] std::vector<const ProcessEntry*> family_of(const ProcessIdentity& owner,
                                                           std::span<const pid_t> ranks,
                                                           std::size_t& root_count) const;

 private:
  std::vector<ProcessEntry> entries_;
  std::map<pid_t, std::size_t> index_of_;
  std::multimap<pid_t, std::size_t> children_of_;
  std::string boot_id_;
};

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

/// A variable of the environment with which the process was started. Nullopt: not set, or not
/// ours to read. What the process changed later does not show: the kernel keeps what exec got.
[[nodiscard]] std::optional<std::string> start_environment(pid_t pid, std::string_view variable);

}  // namespace finops::detect
