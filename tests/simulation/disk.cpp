// disk.cpp - files, locks and shared memory of the simulated disk, as SQLite's unix VFS has them.
#include "disk.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace finops::simulation {
namespace {

using Kind = StorageChange::Kind;

constexpr int kDeadHandle = SQLITE_IOERR;

}  // namespace

void Disk::change(StorageChange change) {
  storage_.apply(change);
  if (is_recording_) {
    recording_.push_back(std::move(change));
  }
}

int Disk::ask(const Handle& handle, const DiskCall& call, std::int64_t& torn_bytes) {
  if (handle.is_dead) {
    return kDeadHandle;
  }
  if (handle.path.empty()) {
    return SQLITE_OK;
  }
  const int answer = observer_.before(call, torn_bytes);
  return handle.is_dead ? kDeadHandle : answer;  // others ran meanwhile, and may have killed it
}

int Disk::ask(const Handle& handle, const DiskCall& call) {
  std::int64_t ignored = 0;
  return ask(handle, call, ignored);
}

// --- files ---------------------------------------------------------------------------------------

int Disk::open(Handle& handle, int flags) {
  if (const int refused = ask(handle, {.operation = DiskOperation::Open, .path = handle.path});
      refused != SQLITE_OK) {
    return refused;
  }
  if (handle.path.empty() || exists(handle.path)) {
    return SQLITE_OK;
  }
  // The product makes an empty main database itself, by open(2), and opens it without CREATE.
  const bool is_ours = (flags & SQLITE_OPEN_MAIN_DB) != 0 && (flags & SQLITE_OPEN_READWRITE) != 0;
  if ((flags & SQLITE_OPEN_CREATE) == 0 && !is_ours) {
    return SQLITE_CANTOPEN;
  }
  change({.kind = Kind::Create, .path = handle.path, .bytes = {}});
  return SQLITE_OK;
}

int Disk::write(Handle& handle, const unsigned char* source, std::int64_t size,
                std::int64_t offset) {
  std::int64_t torn_bytes = 0;
  const int refused =
      ask(handle,
          {.operation = DiskOperation::Write, .path = handle.path, .offset = offset, .size = size},
          torn_bytes);
  if (handle.path.empty() && refused == SQLITE_OK) {
    const auto end = static_cast<std::size_t>(offset + size);
    handle.temporary.resize(std::max(handle.temporary.size(), end));
    std::copy_n(source, size, handle.temporary.begin() + offset);
    return SQLITE_OK;
  }
  const std::int64_t written = refused == SQLITE_OK ? size : std::min(torn_bytes, size);
  if (written > 0 && !handle.is_dead) {
    change({.kind = Kind::Write,
            .path = handle.path,
            .offset = offset,
            .bytes = Bytes(source, source + written)});
  }
  return refused;
}

int Disk::truncate(Handle& handle, std::int64_t size) {
  const int refused =
      ask(handle, {.operation = DiskOperation::Truncate, .path = handle.path, .offset = size});
  if (refused == SQLITE_OK && handle.path.empty()) {
    handle.temporary.resize(static_cast<std::size_t>(size));
  } else if (refused == SQLITE_OK) {
    change({.kind = Kind::Truncate, .path = handle.path, .offset = size, .bytes = {}});
  }
  return refused;
}

int Disk::sync(Handle& handle) {
  const int refused = ask(handle, {.operation = DiskOperation::Sync, .path = handle.path});
  if (handle.is_dead || handle.path.empty()) {
    return refused;
  }
  if (refused != SQLITE_OK) {
    change({.kind = Kind::FailedSync, .path = handle.path, .bytes = {}});
    return refused;
  }
  change({.kind = Kind::Sync, .path = handle.path, .bytes = {}});
  if (std::exchange(handle.syncs_name, false)) {
    change({.kind = Kind::NameSync, .path = handle.path, .bytes = {}});
  }
  return SQLITE_OK;
}

void Disk::close(Handle* handle) {
  if (!handle->is_dead && handle->is_deleted_on_close && !handle->path.empty()) {
    change({.kind = Kind::Delete, .path = handle->path, .bytes = {}});
  }
  std::erase_if(handles_, [handle](const auto& known) { return known.get() == handle; });
}

void Disk::remove(const std::string& path) {
  change({.kind = Kind::DurableDelete, .path = path, .bytes = {}});
}

void Disk::name_is_durable(const std::string& path) {
  if (exists(path)) {
    change({.kind = Kind::NameSync, .path = path, .bytes = {}});
  }
}

// --- locks ---------------------------------------------------------------------------------------

bool Disk::is_locked_by_others(const Handle& handle, int level) const {
  return std::any_of(handles_.begin(), handles_.end(), [&](const auto& other) {
    return other.get() != &handle && other->path == handle.path && other->lock >= level;
  });
}

int Disk::lock(Handle& handle, int level) {
  const int refused =
      ask(handle, {.operation = DiskOperation::Lock, .path = handle.path, .offset = level});
  if (refused != SQLITE_OK || handle.lock >= level) {
    return refused;
  }
  if (handle.path.empty()) {
    handle.lock = level;
    return SQLITE_OK;
  }
  const int limit = level == SQLITE_LOCK_SHARED ? SQLITE_LOCK_PENDING : SQLITE_LOCK_RESERVED;
  if (is_locked_by_others(handle, limit)) {
    return SQLITE_BUSY;
  }
  if (level == SQLITE_LOCK_EXCLUSIVE && is_locked_by_others(handle, SQLITE_LOCK_SHARED)) {
    handle.lock = SQLITE_LOCK_PENDING;  // keeps new readers out until those here have left
    return SQLITE_BUSY;
  }
  handle.lock = level;
  return SQLITE_OK;
}

// --- shared memory -------------------------------------------------------------------------------

bool Disk::is_mapped(std::string_view path) const {
  return std::any_of(handles_.begin(), handles_.end(), [path](const auto& other) {
    return other->path == path && other->has_shared_memory;
  });
}

void Disk::discard_shared_memory(std::string_view path) {
  if (const auto found = shared_memory_.find(path); found != shared_memory_.end()) {
    std::move(found->second.begin(), found->second.end(), std::back_inserter(discarded_));
    shared_memory_.erase(found);
  }
}

int Disk::map_region(Handle& handle, int index, int size, bool is_extended, void** memory) {
  *memory = nullptr;
  if (handle.is_dead) {
    return kDeadHandle;
  }
  if (!handle.has_shared_memory) {
    // As the unix VFS: whoever finds nobody else there empties the file, so that what a dead
    // process left half-way is rebuilt from the log.
    if (!is_mapped(handle.path)) {
      discard_shared_memory(handle.path);
    }
    handle.has_shared_memory = true;
  }
  std::vector<Region>& regions = shared_memory_[handle.path];
  while (is_extended && std::cmp_less_equal(regions.size(), index)) {
    regions.push_back(std::make_unique<unsigned char[]>(static_cast<std::size_t>(size)));
  }
  if (std::cmp_less(index, regions.size())) {
    *memory = regions[static_cast<std::size_t>(index)].get();
  }
  return SQLITE_OK;
}

int Disk::lock_slots(Handle& handle, int first, int count, int flags) {
  const auto begin = handle.slots.begin() + first;
  if ((flags & SQLITE_SHM_UNLOCK) != 0) {
    std::fill_n(begin, count, 0);
    return SQLITE_OK;
  }
  const int refused = ask(handle, {.operation = DiskOperation::SharedLock,
                                   .path = handle.path,
                                   .offset = first,
                                   .size = count});
  if (refused != SQLITE_OK) {
    return refused;
  }
  const int wanted = flags & (SQLITE_SHM_SHARED | SQLITE_SHM_EXCLUSIVE);
  for (const auto& other : handles_) {
    if (other.get() == &handle || other->path != handle.path) {
      continue;
    }
    for (int i = first; i < first + count; ++i) {
      const int held = other->slots[static_cast<std::size_t>(i)];
      if (held == SQLITE_SHM_EXCLUSIVE || (held != 0 && wanted == SQLITE_SHM_EXCLUSIVE)) {
        return SQLITE_BUSY;
      }
    }
  }
  std::fill_n(begin, count, wanted);
  return SQLITE_OK;
}

void Disk::unmap(Handle& handle, bool is_deleted) {
  handle.has_shared_memory = false;
  handle.slots.fill(0);
  if (is_deleted && !handle.is_dead && !is_mapped(handle.path)) {
    discard_shared_memory(handle.path);
  }
}

// --- deaths --------------------------------------------------------------------------------------

void Disk::kill_handle(Handle& handle) {
  handle.is_dead = true;
  handle.lock = SQLITE_LOCK_NONE;
  handle.has_shared_memory = false;
  handle.slots.fill(0);
}

void Disk::process_died(int process) {
  for (const auto& handle : handles_) {
    if (handle->process == process && !handle->is_dead) {
      kill_handle(*handle);
    }
  }
}

void Disk::lose_power(const Choose& choose) {
  for (const auto& handle : handles_) {
    kill_handle(*handle);
  }
  while (!shared_memory_.empty()) {
    discard_shared_memory(shared_memory_.begin()->first);
  }
  storage_.lose_power(choose);
}

// SplitMix64 (Steele, Lea, Flood, 2014): small, and the same everywhere.
std::uint64_t Disk::next_random() {
  std::uint64_t mixed = random_state_ += 0x9e37'79b9'7f4a'7c15U;
  mixed = (mixed ^ (mixed >> 30U)) * 0xbf58'476d'1ce4'e5b9U;
  mixed = (mixed ^ (mixed >> 27U)) * 0x94d0'49bb'1331'11ebU;
  return mixed ^ (mixed >> 31U);
}

}  // namespace finops::simulation
