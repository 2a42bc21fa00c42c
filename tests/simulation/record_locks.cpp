// record_locks.cpp - taking, asking for and dropping ranges.
#include "record_locks.hpp"

#include <algorithm>

namespace finops::simulation {

std::pair<std::int64_t, std::int64_t> RecordLocks::range_of(const struct flock& lock) {
  return {lock.l_start, lock.l_len == 0 ? INT64_MAX : lock.l_start + lock.l_len};
}

bool RecordLocks::set(const FileId& file, const LockOwner& owner, const struct flock& wanted,
                      pid_t pid) {
  const auto [first, end] = range_of(wanted);
  std::vector<Held>& all = held_[file];
  const auto overlaps = [first = first, end = end](const Held& held) {
    return held.first < end && first < held.end;
  };
  if (wanted.l_type != F_UNLCK && std::ranges::any_of(all, [&](const Held& held) {
        return overlaps(held) && held.owner != owner;
      })) {
    return false;
  }
  std::vector<Held> kept;
  kept.reserve(all.size() + 2);
  for (const Held& held : all) {
    if (held.owner != owner || !overlaps(held)) {
      kept.push_back(held);
      continue;
    }
    if (held.first < first) {
      kept.push_back({held.owner, held.first, first, held.pid});
    }
    if (held.end > end) {
      kept.push_back({held.owner, end, held.end, held.pid});
    }
  }
  if (wanted.l_type != F_UNLCK) {
    kept.push_back({owner, first, end, pid});
  }
  all = std::move(kept);
  return true;
}

void RecordLocks::get(const FileId& file, const LockOwner& owner, struct flock& asked) const {
  const auto [first, end] = range_of(asked);
  asked.l_type = F_UNLCK;
  const auto found = held_.find(file);
  if (found == held_.end()) {
    return;
  }
  for (const Held& held : found->second) {
    if (held.owner != owner && held.first < end && first < held.end) {
      asked.l_type = F_WRLCK;
      asked.l_start = held.first;
      asked.l_len = held.end == INT64_MAX ? 0 : held.end - held.first;
      asked.l_pid = held.owner.is_description ? -1 : held.pid;
      return;
    }
  }
}

void RecordLocks::drop(const LockOwner& owner, const FileId* file) {
  for (auto& [held_file, all] : held_) {
    if (file == nullptr || held_file == *file) {
      std::erase_if(all, [&](const Held& held) { return held.owner == owner; });
    }
  }
}

std::uint64_t RecordLocks::holder(const FileId& file) const {
  const auto found = held_.find(file);
  if (found == held_.end()) {
    return 0;
  }
  for (const Held& held : found->second) {
    if (!held.owner.is_description && held.first == 0) {
      return held.owner.id;
    }
  }
  return 0;
}

}  // namespace finops::simulation
