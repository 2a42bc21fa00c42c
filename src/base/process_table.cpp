// process_table.cpp - walks /proc.
#include "finops/base/process_table.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <set>
#include <utility>

#include "base/read_file.hpp"

namespace finops {
namespace {

// Environments are small; what is longer is not read to its end.
constexpr std::size_t kMaximumEnvironment = 1U << 20U;

// proc(5): fields of /proc/PID/stat, counted from 1.
constexpr std::size_t kState = 3;
constexpr std::size_t kParent = 4;
constexpr std::size_t kUserTime = 14;
constexpr std::size_t kSystemTime = 15;
constexpr std::size_t kReapedUserTime = 16;
constexpr std::size_t kReapedSystemTime = 17;
constexpr std::size_t kStartTime = 22;
constexpr std::size_t kResidentPages = 24;

// Of both parts together. What /proc says is never past a century; a number that is comes from
// somewhere else, and must not overflow.
Nanoseconds from_ticks(std::int64_t user, std::int64_t system) {
  static const std::int64_t kTicksPerSecond = std::max(sysconf(_SC_CLK_TCK), 1L);
  const std::int64_t most = kTicksPerSecond * 3'155'760'000;
  const std::int64_t ticks =
      std::clamp<std::int64_t>(user, 0, most / 2) + std::clamp<std::int64_t>(system, 0, most / 2);
  return std::chrono::seconds{ticks / kTicksPerSecond} +
         Nanoseconds{ticks % kTicksPerSecond * 1'000'000'000 / kTicksPerSecond};
}

}  // namespace

std::string read_file(const std::string& path, std::size_t limit) {
  std::string text;
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) {
    return text;
  }
  std::array<char, 4096> buffer{};
  ssize_t size = 0;
  while (text.size() < limit && (size = read(descriptor, buffer.data(), buffer.size())) > 0) {
    text.append(buffer.data(), static_cast<std::size_t>(size));
  }
  close(descriptor);
  return text;
}

std::optional<ProcessEntry> parse_process_stat(std::string_view text) {
  // The command's name (field 2) may hold spaces and parentheses: the last one ends it.
  const std::size_t close = text.rfind(')');
  if (close == std::string_view::npos || close + 2 > text.size()) {
    return std::nullopt;
  }
  ProcessEntry entry;
  std::from_chars(text.data(), text.data() + text.size(), entry.pid);
  std::array<std::int64_t, kResidentPages + 1> numbers{};
  std::string_view rest = text.substr(close + 2);
  for (std::size_t field = kState; field <= kResidentPages; ++field) {
    const std::string_view word = rest.substr(0, rest.find(' '));
    if (word.empty()) {
      return std::nullopt;
    }
    if (field == kState) {
      entry.is_zombie = word == "Z" || word == "X";
    } else {
      std::from_chars(word.data(), word.data() + word.size(), numbers[field]);
    }
    rest.remove_prefix(std::min(word.size() + 1, rest.size()));
  }
  entry.parent_pid = static_cast<pid_t>(numbers[kParent]);
  entry.start_ticks = static_cast<std::uint64_t>(numbers[kStartTime]);
  entry.cpu_time = from_ticks(numbers[kUserTime], numbers[kSystemTime]);
  entry.reaped_cpu_time = from_ticks(numbers[kReapedUserTime], numbers[kReapedSystemTime]);
  const std::int64_t page_size = std::max(sysconf(_SC_PAGESIZE), 1L);
  entry.resident_bytes =
      std::clamp<std::int64_t>(numbers[kResidentPages], 0, INT64_MAX / page_size) * page_size;
  return entry.pid > 0 ? std::optional(entry) : std::nullopt;
}

std::optional<ProcessEntry> read_process(pid_t pid) {
  return parse_process_stat(read_file("/proc/" + std::to_string(pid) + "/stat", 4096));
}

ProcessTable::ProcessTable(std::vector<ProcessEntry> entries)
    : entries_(std::move(entries)), boot_id_(current_boot_id()) {
  for (std::size_t index = 0; index < entries_.size(); ++index) {
    index_of_.emplace(entries_[index].pid, index);
    children_of_.emplace(entries_[index].parent_pid, index);
  }
}

ProcessTable ProcessTable::read() {
  std::vector<ProcessEntry> entries;
  DIR* directory = opendir("/proc");
  if (directory == nullptr) {
    return {};
  }
  while (const dirent* found = readdir(directory)) {
    const long pid = std::strtol(found->d_name, nullptr, 10);
    if (pid <= 0) {
      continue;
    }
    if (const auto entry = read_process(static_cast<pid_t>(pid))) {
      entries.push_back(*entry);
    }
  }
  closedir(directory);
  return ProcessTable(std::move(entries));
}

std::vector<const ProcessEntry*> ProcessTable::family_of(const ProcessIdentity& owner) const {
  std::size_t root_count = 0;
  return family_of(owner, {}, root_count);
}

// Appends the descendants of `family[first...]`, each once. The table was read while processes came
// and went, so a pid could be its own ancestor.
void ProcessTable::add_below(std::vector<const ProcessEntry*>& family, std::size_t first) const {
  std::set<const ProcessEntry*> met(family.begin(), family.end());
  for (std::size_t next = first; next < family.size(); ++next) {
    const auto [begin, end] = children_of_.equal_range(family[next]->pid);
    for (auto child = begin; child != end; ++child) {
      if (met.insert(&entries_[child->second]).second) {
        family.push_back(&entries_[child->second]);
      }
    }
  }
}

std::vector<const ProcessEntry*> ProcessTable::family_of(const ProcessIdentity& owner,
                                                         std::span<const pid_t> ranks,
                                                         std::size_t& root_count) const {
  std::vector<const ProcessEntry*> family;
  if (has(owner)) {
    family.push_back(&entries_[index_of_.at(owner.pid)]);
  }
  for (const pid_t rank : ranks) {
    const auto entry = index_of_.find(rank);
    const bool is_living = entry != index_of_.end() && !entries_[entry->second].is_zombie;
    if (is_living && std::ranges::find(family, &entries_[entry->second]) == family.end()) {
      family.push_back(&entries_[entry->second]);
    }
  }
  root_count = family.size();
  add_below(family, 0);
  return family;
}

ProcessIdentity ProcessTable::identity_of(const ProcessEntry& entry) const {
  return {boot_id_, entry.pid, entry.start_ticks};
}

bool ProcessTable::has(const ProcessIdentity& process) const {
  const auto found = index_of_.find(process.pid);
  return found != index_of_.end() && process.start_ticks != 0 && process.boot_id == boot_id_ &&
         entries_[found->second].start_ticks == process.start_ticks &&
         !entries_[found->second].is_zombie;
}

std::vector<ProcessIdentity> ProcessTable::living() const {
  std::vector<ProcessIdentity> processes;
  processes.reserve(entries_.size());
  for (const ProcessEntry& entry : entries_) {
    if (!entry.is_zombie) {
      processes.push_back(identity_of(entry));
    }
  }
  return processes;
}

std::vector<pid_t> ProcessTable::ancestors_of(pid_t pid) const {
  std::vector<pid_t> found;
  auto entry = index_of_.find(pid);
  while (entry != index_of_.end() && found.size() < entries_.size()) {
    found.push_back(entries_[entry->second].parent_pid);
    entry = index_of_.find(found.back());
  }
  return found;
}

std::vector<ProcessIdentity> ProcessTable::descendants_of(const std::vector<pid_t>& roots) const {
  std::vector<const ProcessEntry*> family;
  for (const pid_t root : roots) {
    const auto entry = index_of_.find(root);
    if (entry != index_of_.end() &&
        std::ranges::find(family, &entries_[entry->second]) == family.end()) {
      family.push_back(&entries_[entry->second]);
    }
  }
  const std::size_t root_count = family.size();
  add_below(family, 0);
  std::vector<ProcessIdentity> found;
  for (std::size_t index = root_count; index < family.size(); ++index) {
    if (!family[index]->is_zombie) {
      found.push_back(identity_of(*family[index]));
    }
  }
  return found;
}

std::optional<std::string> start_environment(pid_t pid, std::string_view variable) {
  const std::string text =
      read_file("/proc/" + std::to_string(pid) + "/environ", kMaximumEnvironment);
  std::string_view rest = text;
  while (!rest.empty()) {
    const std::string_view entry = rest.substr(0, rest.find('\0'));
    if (entry.size() > variable.size() && entry.starts_with(variable) &&
        entry[variable.size()] == '=') {
      return std::string(entry.substr(variable.size() + 1));
    }
    rest.remove_prefix(std::min(entry.size() + 1, rest.size()));
  }
  return std::nullopt;
}

}  // namespace finops
