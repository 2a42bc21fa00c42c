// process.cpp - reads process identities from /proc and signals through pidfds.
#include "finops/base/process.hpp"

#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

#include "base/read_file.hpp"
#include "finops/base/process_table.hpp"

namespace finops {
std::string current_boot_id() {
  constexpr std::size_t kLongest = 64;  // it has 36 characters
  std::string id = read_file("/proc/sys/kernel/random/boot_id", kLongest);
  id.erase(std::min(id.find('\n'), id.size()));
  return id.empty() ? "unknown" : id;
}

std::uint64_t process_start_ticks(pid_t pid) {
  const std::optional<ProcessEntry> entry = read_process(pid);
  // A zombie holds nothing and can do nothing: it counts as gone.
  return entry.has_value() && !entry->is_zombie ? entry->start_ticks : 0;
}

ProcessIdentity current_process() {
  const pid_t pid = getpid();
  return {.boot_id = current_boot_id(), .pid = pid, .start_ticks = process_start_ticks(pid)};
}

std::vector<ProcessIdentity> descendants_of(pid_t pid) {
  return ProcessTable::read().descendants_of({pid});
}

PidFd::PidFd(const ProcessIdentity& identity) {
  if (identity.pid <= 0 || identity.start_ticks == 0 || identity.boot_id != current_boot_id()) {
    return;
  }
  fd_ = static_cast<int>(syscall(SYS_pidfd_open, identity.pid, 0));
  // Checked after opening: from here on the descriptor cannot move to another process.
  if (fd_ >= 0 && process_start_ticks(identity.pid) != identity.start_ticks) {
    close(fd_);
    fd_ = -1;
  }
}

PidFd::~PidFd() {
  if (fd_ >= 0) {
    close(fd_);
  }
}

bool PidFd::send_signal(int signal_number) const noexcept {
  return fd_ >= 0 && syscall(SYS_pidfd_send_signal, fd_, signal_number, nullptr, 0) == 0;
}

}  // namespace finops
