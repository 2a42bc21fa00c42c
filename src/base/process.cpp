// process.cpp - reads process identities from /proc and signals through pidfds.
#include "finops/base/process.hpp"

#include <dirent.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>

namespace finops {
namespace {

struct StatFields {
  pid_t parent_pid = 0;
  std::uint64_t start_ticks = 0;
};

// The command name (field 2) may hold spaces and parentheses: fields are counted from the last ')'.
StatFields read_stat(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string line;
  std::getline(file, line);
  const std::size_t close = line.rfind(')');
  if (close == std::string::npos) {
    return {};
  }
  std::istringstream rest(line.substr(close + 1));
  std::string field;
  StatFields fields;
  for (int index = 3; index <= 22 && rest >> field; ++index) {
    if (index == 3 && (field == "Z" || field == "X")) {
      return {};  // a zombie holds nothing and can do nothing: it counts as gone
    }
    if (index == 4) {
      fields.parent_pid = static_cast<pid_t>(std::strtol(field.c_str(), nullptr, 10));
    } else if (index == 22) {
      fields.start_ticks = std::strtoull(field.c_str(), nullptr, 10);
    }
  }
  return fields;
}

}  // namespace

std::string current_boot_id() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string id;
  std::getline(file, id);
  return id.empty() ? "unknown" : id;
}

std::uint64_t process_start_ticks(pid_t pid) { return read_stat(pid).start_ticks; }

ProcessIdentity current_process() {
  const pid_t pid = getpid();
  return {.boot_id = current_boot_id(), .pid = pid, .start_ticks = process_start_ticks(pid)};
}

ProcessTree ProcessTree::read() {
  ProcessTree tree;
  tree.boot_id_ = current_boot_id();
  DIR* directory = opendir("/proc");
  if (directory == nullptr) {
    return tree;
  }
  while (const dirent* entry = readdir(directory)) {
    const pid_t pid = static_cast<pid_t>(std::strtol(entry->d_name, nullptr, 10));
    if (pid > 0) {
      const StatFields fields = read_stat(pid);
      if (fields.start_ticks != 0) {
        tree.entries_[pid] = {fields.parent_pid, fields.start_ticks};
        tree.children_of_[fields.parent_pid].push_back(pid);
      }
    }
  }
  closedir(directory);
  return tree;
}

std::vector<ProcessIdentity> ProcessTree::descendants_of(const std::vector<pid_t>& roots) const {
  std::set<pid_t> seen(roots.begin(), roots.end());  // the walk ends whatever /proc says
  std::vector<ProcessIdentity> found;
  std::vector<pid_t> frontier = roots;
  for (std::size_t next = 0; next < frontier.size(); ++next) {
    const auto children = children_of_.find(frontier[next]);
    if (children == children_of_.end()) {
      continue;
    }
    for (const pid_t child : children->second) {
      if (seen.insert(child).second) {
        found.push_back({boot_id_, child, entries_.at(child).start_ticks});
        frontier.push_back(child);
      }
    }
  }
  return found;
}

std::vector<pid_t> ProcessTree::ancestors_of(pid_t pid) const {
  std::vector<pid_t> found;
  auto entry = entries_.find(pid);
  while (entry != entries_.end() && found.size() < entries_.size()) {
    found.push_back(entry->second.parent_pid);
    entry = entries_.find(entry->second.parent_pid);
  }
  return found;
}

bool ProcessTree::has(const ProcessIdentity& process) const {
  const auto found = entries_.find(process.pid);
  return process.boot_id == boot_id_ && found != entries_.end() &&
         found->second.start_ticks == process.start_ticks;
}

std::vector<ProcessIdentity> ProcessTree::all() const {
  std::vector<ProcessIdentity> processes;
  processes.reserve(entries_.size());
  for (const auto& [pid, entry] : entries_) {
    processes.push_back({boot_id_, pid, entry.start_ticks});
  }
  return processes;
}

std::vector<ProcessIdentity> descendants_of(pid_t pid) {
  return ProcessTree::read().descendants_of({pid});
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
