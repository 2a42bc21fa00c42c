// process_usage.cpp - adds up what the processes of a run use.
#include "finops/detect/process_usage.hpp"

#include <algorithm>
#include <utility>

namespace finops::detect {

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

}  // namespace finops::detect
