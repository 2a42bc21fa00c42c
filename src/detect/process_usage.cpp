// process_usage.cpp - walks /proc and adds up what the processes of a run use.
#include "finops/detect/process_usage.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <set>
#include <utility>

namespace finops::detect {
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

Nanoseconds from_ticks(std::int64_t ticks) {
  static const std::int64_t kTicksPerSecond = std::max(sysconf(_SC_CLK_TCK), 1L);
  return std::chrono::seconds{ticks / kTicksPerSecond} +
         Nanoseconds{ticks % kTicksPerSecond * 1'000'000'000 / kTicksPerSecond};
}

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

}  // namespace

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
  entry.cpu_time = from_ticks(numbers[kUserTime] + numbers[kSystemTime]);
  entry.reaped_cpu_time = from_ticks(numbers[kReapedUserTime] + numbers[kReapedSystemTime]);
  entry.resident_bytes = numbers[kResidentPages] * sysconf(_SC_PAGESIZE);
  return entry.pid > 0 ? std::optional(entry) : std::nullopt;
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
    if (std::strtol(found->d_name, nullptr, 10) <= 0) {
      continue;
    }
    const std::string text = read_file("/proc/" + std::string(found->d_name) + "/stat", 4096);
    if (const std::optional<ProcessEntry> entry = parse_process_stat(text)) {
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

std::vector<const ProcessEntry*> ProcessTable::family_of(const ProcessIdentity& owner,
                                                         std::span<const pid_t> ranks,
                                                         std::size_t& root_count) const {
  std::vector<const ProcessEntry*> family;
  std::set<const ProcessEntry*> met;
  const auto add = [&](const ProcessEntry& entry) {
    if (met.insert(&entry).second) {
      family.push_back(&entry);
    }
  };
  const auto found = index_of_.find(owner.pid);
  if (found != index_of_.end() && owner.start_ticks != 0 && owner.boot_id == boot_id_) {
    const ProcessEntry& head = entries_[found->second];
    if (head.start_ticks == owner.start_ticks && !head.is_zombie) {
      add(head);
    }
  }
  for (const pid_t rank : ranks) {
    const auto entry = index_of_.find(rank);
    if (entry != index_of_.end() && !entries_[entry->second].is_zombie) {
      add(entries_[entry->second]);
    }
  }
  root_count = family.size();
  // The table was read while processes came and went, so a pid could be its own ancestor: each is
  // met once.
  for (std::size_t next = 0; next < family.size(); ++next) {
    const auto [begin, end] = children_of_.equal_range(family[next]->pid);
    for (auto child = begin; child != end; ++child) {
      add(entries_[child->second]);
    }
  }
  return family;
}

ProcessUsage ProcessMeter::measure(const ProcessTable& table, const ProcessIdentity& owner,
                                   BootTime now, std::span<const pid_t> ranks) {
  ProcessUsage usage;
  std::map<pid_t, Times> current;
  for (const ProcessEntry* entry : table.family_of(owner, ranks, usage.root_count)) {
    current[entry->pid] = {entry->start_ticks, entry->cpu_time, entry->reaped_cpu_time};
    if (!entry->is_zombie) {
      usage.pids.push_back(entry->pid);
      usage.resident_bytes += entry->resident_bytes;
    }
  }
  if (current.empty()) {
    last_.clear();
    looked_at_.reset();
    return usage;
  }
  if (looked_at_.has_value() && now > *looked_at_) {
    usage.cpu_use = std::chrono::duration<double>(growth_to(current)) /
                    std::chrono::duration<double>(now - *looked_at_);
  }
  last_ = std::move(current);
  looked_at_ = now;
  return usage;
}

// What a process used itself only grows. What it reaped of its children holds what they used
// before the last look too, which was counted then: it is taken off again, but never more than was
// reaped, since a child that nobody waited for leaves no trace.
Nanoseconds ProcessMeter::growth_to(const std::map<pid_t, Times>& current) const {
  Nanoseconds own{};
  Nanoseconds reaped{};
  for (const auto& [pid, times] : current) {
    const auto before = last_.find(pid);
    const bool is_known = before != last_.end() && before->second.start_ticks == times.start_ticks;
    const Times known = is_known ? before->second : Times{};
    own += std::max(times.cpu_time - known.cpu_time, Nanoseconds::zero());
    reaped += std::max(times.reaped_cpu_time - known.reaped_cpu_time, Nanoseconds::zero());
  }
  for (const auto& [pid, times] : last_) {
    const auto after = current.find(pid);
    if (after == current.end() || after->second.start_ticks != times.start_ticks) {
      reaped -= times.cpu_time + times.reaped_cpu_time;
    }
  }
  return own + std::max(reaped, Nanoseconds::zero());
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

}  // namespace finops::detect
