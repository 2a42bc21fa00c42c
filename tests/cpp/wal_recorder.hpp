// wal_recorder.hpp - when SQLite really writes and checkpoints a log, seen from below it.
//
// Owns: WalRecorder (memory that processes share), WalRecorderVfs (stands between SQLite and the
// real VFS). Does not own: who writes.
// Invariant: an interval begins after SQLite got its lock and ends before it gives it back, so that
// two that overlap here did overlap. A write lock under which nothing was written to the log counts
// for nothing: readers take it to repair the index.
#pragma once

#include <sqlite3.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <ctime>
#include <new>
#include <vector>

namespace finops::testing {

/// [begin, end) in ns of CLOCK_MONOTONIC, which processes share.
struct WalInterval {
  pid_t pid = 0;
  bool is_checkpoint = false;
  std::int64_t begin_ns = 0;
  std::int64_t end_ns = 0;
};

/// Made before the processes are forked.
class WalRecorder {
 public:
  static constexpr std::size_t kCapacity = 100'000;

  WalRecorder() {
    void* memory = mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
      throw std::bad_alloc();
    }
    shared_ = new (memory) Shared;
  }
  ~WalRecorder() { munmap(shared_, sizeof(Shared)); }
  WalRecorder(const WalRecorder&) = delete;
  WalRecorder& operator=(const WalRecorder&) = delete;

  /// The processes begin together.
  void say_go() { shared_->is_go.store(true); }
  void wait_for_go() const {
    while (!shared_->is_go.load()) {
      usleep(100);
    }
  }

  static std::int64_t now_ns() {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
  }
  void add(const WalInterval& interval) {
    const std::size_t index = shared_->claimed_count.fetch_add(1);
    if (index < kCapacity) {
      shared_->intervals[index] = interval;
      shared_->is_written[index].store(true, std::memory_order_release);
    }
  }
  /// Those of writers, or those of checkpoints, by their begin.
  [[nodiscard]] std::vector<WalInterval> intervals(bool is_checkpoint) const {
    std::vector<WalInterval> found;
    const std::size_t count = std::min(kCapacity, shared_->claimed_count.load());
    for (std::size_t i = 0; i < count; ++i) {
      if (shared_->is_written[i].load(std::memory_order_acquire) &&
          shared_->intervals[i].is_checkpoint == is_checkpoint) {
        found.push_back(shared_->intervals[i]);
      }
    }
    std::sort(found.begin(), found.end(),
              [](const auto& a, const auto& b) { return a.begin_ns < b.begin_ns; });
    return found;
  }
  /// How often another process wrote than the one before.
  [[nodiscard]] int turn_count() const {
    const std::vector<WalInterval> writes = intervals(false);
    int count = 0;
    for (std::size_t i = 1; i < writes.size(); ++i) {
      count += writes[i].pid != writes[i - 1].pid ? 1 : 0;
    }
    return count;
  }
  /// Pairs of a checkpoint and a writer that were at work at the same time.
  [[nodiscard]] int overlap_count() const {
    int count = 0;
    const std::vector<WalInterval> writes = intervals(false);
    for (const WalInterval& checkpoint : intervals(true)) {
      // SQLite has one writer at a time, so that their ends are in order as well.
      auto write = std::partition_point(writes.begin(), writes.end(), [&](const WalInterval& w) {
        return w.end_ns <= checkpoint.begin_ns;
      });
      for (; write != writes.end() && write->begin_ns < checkpoint.end_ns; ++write) {
        ++count;
      }
    }
    return count;
  }

 private:
  struct Shared {
    std::atomic<bool> is_go{false};
    std::atomic<std::size_t> claimed_count{0};
    std::array<std::atomic<bool>, kCapacity> is_written{};
    std::array<WalInterval, kCapacity> intervals{};
  };
  Shared* shared_;
};

/// Notes what SQLite does in this process, from here on. One at a time, with one connection at a
/// time. Syncs are left out: nobody loses power here, and the disk would set the pace.
class WalRecorderVfs {
 public:
  explicit WalRecorderVfs(WalRecorder& recorder)
      : recorder_(recorder), real_(sqlite3_vfs_find(nullptr)), vfs_(*real_) {
    current = this;
    vfs_.pNext = nullptr;
    vfs_.zName = "finops-recorder";
    vfs_.xOpen = open;
    sqlite3_vfs_register(&vfs_, 1);
  }
  ~WalRecorderVfs() {
    sqlite3_vfs_unregister(&vfs_);
    sqlite3_vfs_register(real_, 1);
  }
  WalRecorderVfs(const WalRecorderVfs&) = delete;
  WalRecorderVfs& operator=(const WalRecorderVfs&) = delete;

 private:
  // Source: sqlite.org/walformat.html, "WAL Locks": slot 0 is the writer's, slot 1 the
  // checkpointer's.
  static constexpr int kWriteSlot = 0;
  static constexpr int kCheckpointSlot = 1;

  // The real VFS opens the file; of its methods, three are replaced by ours, which call them.
  static int open(sqlite3_vfs*, const char* path, sqlite3_file* file, int flags, int* flags_given) {
    WalRecorderVfs& self = *current;
    const int code = self.real_->xOpen(self.real_, path, file, flags, flags_given);
    if (code == SQLITE_OK && (flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL)) != 0) {
      self.methods_ = file->pMethods;
      sqlite3_io_methods& ours = (flags & SQLITE_OPEN_WAL) != 0 ? self.of_log_ : self.of_file_;
      ours = *file->pMethods;
      ours.xSync = [](sqlite3_file*, int) { return SQLITE_OK; };
      ours.xShmLock = lock_slots;
      if ((flags & SQLITE_OPEN_WAL) != 0) {
        ours.xWrite = write_log;
      }
      file->pMethods = &ours;
    }
    return code;
  }
  static int write_log(sqlite3_file* file, const void* source, int size, sqlite3_int64 offset) {
    current->is_log_written_ = true;
    return current->methods_->xWrite(file, source, size, offset);
  }
  static int lock_slots(sqlite3_file* file, int first, int count, int flags) {
    WalRecorderVfs& self = *current;
    const bool is_one_exclusive = count == 1 && (flags & SQLITE_SHM_EXCLUSIVE) != 0;
    const bool is_write = is_one_exclusive && first == kWriteSlot;
    const bool is_checkpoint = is_one_exclusive && first == kCheckpointSlot;
    const bool is_unlock = (flags & SQLITE_SHM_UNLOCK) != 0;
    std::int64_t& begin_ns = is_write ? self.write_begin_ns_ : self.checkpoint_begin_ns_;
    if (is_unlock && (is_checkpoint || (is_write && self.is_log_written_))) {
      self.recorder_.add({.pid = getpid(),
                          .is_checkpoint = is_checkpoint,
                          .begin_ns = begin_ns,
                          .end_ns = WalRecorder::now_ns()});
    }
    const int code = self.methods_->xShmLock(file, first, count, flags);
    if (code == SQLITE_OK && !is_unlock && (is_write || is_checkpoint)) {
      begin_ns = WalRecorder::now_ns();
      self.is_log_written_ = self.is_log_written_ && !is_write;
    }
    return code;
  }

  static inline WalRecorderVfs* current = nullptr;
  WalRecorder& recorder_;
  sqlite3_vfs* real_;
  sqlite3_vfs vfs_;
  const sqlite3_io_methods* methods_ = nullptr;
  sqlite3_io_methods of_file_{};
  sqlite3_io_methods of_log_{};
  bool is_log_written_ = false;
  std::int64_t write_begin_ns_ = 0;
  std::int64_t checkpoint_begin_ns_ = 0;
};

}  // namespace finops::testing
