// process_table.hpp - the processes of this host, read from /proc once for whoever asks about many.
//
// Owns: ProcessEntry, ProcessTable, start_environment.
// Does not own: who a process is beyond its pid (process.hpp), what a run uses (detect).
// Invariants: a reused pid is not taken for the old process; every walk ends, whatever /proc says.
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

namespace finops {

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

/// The process as it is now; nullopt if there is none.
[[nodiscard]] std::optional<ProcessEntry> read_process(pid_t pid);

/// The processes of this host, as far as this user may see them.
class ProcessTable {
 public:
  ProcessTable() = default;
  explicit ProcessTable(std::vector<ProcessEntry> entries);
  /// Walks /proc once. Empty where it is not mounted.
  [[nodiscard]] static ProcessTable read();

  /// Whether just this process lives, and not another one with its pid.
  [[nodiscard]] bool has(const ProcessIdentity& process) const;
  /// All that live.
  [[nodiscard]] std::vector<ProcessIdentity> living() const;
  /// From the parent of `pid` upwards. Empty if it is not there.
  [[nodiscard]] std::vector<pid_t> ancestors_of(pid_t pid) const;
  /// The living descendants of all `roots` together, each once, without the roots themselves.
  [[nodiscard]] std::vector<ProcessIdentity> descendants_of(const std::vector<pid_t>& roots) const;
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
  [[nodiscard]] ProcessIdentity identity_of(const ProcessEntry& entry) const;
  void add_below(std::vector<const ProcessEntry*>& family, std::size_t first) const;

  std::vector<ProcessEntry> entries_;
  std::map<pid_t, std::size_t> index_of_;
  std::multimap<pid_t, std::size_t> children_of_;
  std::string boot_id_;
};

/// A variable of the environment with which the process was started. Nullopt: not set, or not
/// ours to read. What the process changed later does not show: the kernel keeps what exec got.
[[nodiscard]] std::optional<std::string> start_environment(pid_t pid, std::string_view variable);

}  // namespace finops
