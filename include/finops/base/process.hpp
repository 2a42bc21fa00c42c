// process.hpp - who a process is, beyond its pid.
//
// Owns: boot id, process start time, process identity, pidfds.
// Invariant: a pid alone never identifies a process: it comes with its start time and boot id,
// so that a reused pid is not taken for the old process.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace finops {

/// Identifies one process of one boot of one machine.
struct ProcessIdentity {
  std::string boot_id;  ///< /proc/sys/kernel/random/boot_id
  pid_t pid = 0;
  std::uint64_t start_ticks = 0;  ///< field 22 of /proc/PID/stat: clock ticks since boot

  bool operator==(const ProcessIdentity&) const = default;
};

/// The boot id of this machine; "unknown" where /proc is not mounted.
[[nodiscard]] std::string current_boot_id();

/// The start time of `pid` in clock ticks since boot; 0 if there is no such process.
[[nodiscard]] std::uint64_t process_start_ticks(pid_t pid);

/// The calling process.
[[nodiscard]] ProcessIdentity current_process();

/// All living descendants of `pid`, children before grandchildren, without `pid` itself.
/// Read from /proc; a process that appears meanwhile may be missing. Empty if there are none.
[[nodiscard]] std::vector<ProcessIdentity> descendants_of(pid_t pid);

/// A descriptor that refers to one process, whatever happens to its pid. Move-only.
class PidFd {
 public:
  /// Opens the process only if it is still the one that `identity` names.
  /// `valid()` is false if it is gone or was replaced; that is an expected outcome.
  explicit PidFd(const ProcessIdentity& identity);
  ~PidFd();
  PidFd(PidFd&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  PidFd(const PidFd&) = delete;
  PidFd& operator=(const PidFd&) = delete;
  PidFd& operator=(PidFd&&) = delete;

  [[nodiscard]] bool valid() const noexcept { return fd_ >= 0; }
  /// Sends `signal_number`. False if the process is gone.
  bool send_signal(int signal_number) const noexcept;

 private:
  int fd_ = -1;
};

}  // namespace finops
