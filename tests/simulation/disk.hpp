// disk.hpp - an in-memory disk that SQLite uses in place of the real one: several simulated
// processes in one thread, with file locks, shared memory, killed processes and power losses.
//
// Owns: Disk (SQLite's default VFS for as long as it lives), DiskObserver.
// Does not own: what survives a power loss (storage.hpp), who runs when (the observer).
// Invariants: one thread, one disk at a time; equal seeds and calls give equal bytes; a handle of a
// dead process can do nothing any more.
#pragma once

#include <sqlite3.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "storage.hpp"

namespace finops::simulation {

enum class DiskOperation { Open, Read, Write, Truncate, Sync, Delete, Lock, SharedLock };

struct DiskCall {
  DiskOperation operation;
  std::string_view path;
  std::int64_t offset = 0;  ///< Lock: the wanted level; SharedLock: the first slot
  std::int64_t size = 0;    ///< bytes; SharedLock: how many slots
};

/// Who makes the calls, and what goes wrong with them. Locks are told of when they are wanted, not
/// when they are let go; nothing is told of SQLite's nameless temporary files.
class DiskObserver {
 public:
  virtual ~DiskObserver() = default;
  /// Which simulated process makes this call. Handles and locks belong to it.
  virtual int process() = 0;
  /// Runs before the call and may switch to another process. Gives back SQLITE_OK, or the error
  /// that the call shall fail with, without effect. A Sync that fails (SQLITE_IOERR_FSYNC) leaves
  /// what it should have written visible, but never durable any more. A Write that fails
  /// (SQLITE_FULL, SQLITE_IOERR_WRITE) has written its first `torn_bytes`.
  virtual int before(const DiskCall& call, std::int64_t& torn_bytes) = 0;
  /// SQLite made shared memory visible, or has just read the log's header for a checkpoint: a place
  /// between two calls where another process may come in.
  virtual void barrier(std::string_view path) { (void)path; }
  /// SQLite waits that long.
  virtual void sleep(std::chrono::microseconds span) = 0;
  virtual std::int64_t unix_time_ms() = 0;
};

struct DiskOptions {
  std::uint64_t seed = 1;  ///< of what SQLite takes for randomness: the log's salts
  Storage storage;         ///< what is on the disk at first
};

class Disk {
 public:
  /// Becomes SQLite's default VFS. `observer` outlives the disk.
  explicit Disk(DiskObserver& observer, DiskOptions options = {});
  /// Connections that are not abandoned are closed before.
  ~Disk();
  Disk(const Disk&) = delete;
  Disk& operator=(const Disk&) = delete;

  /// As after SIGKILL: its locks are gone and its handles dead, what it wrote stays. Its
  /// connections are abandoned: never used and never closed again.
  void process_died(int process);
  /// All processes are dead, shared memory is gone, and of every file that is left which
  /// Storage::lose_power leaves.
  void lose_power(const Choose& choose);

  [[nodiscard]] bool exists(std::string_view path) const { return storage_.exists(path); }
  /// What processes see of the file; empty also if there is none.
  [[nodiscard]] Bytes content(std::string_view path) const { return storage_.content(path); }
  void remove(const std::string& path);
  /// Somebody outside SQLite synced the folder that holds the main database: from here on its name
  /// survives. Stricter than Linux, where SQLite's own sync of the folder for its log would do.
  void name_is_durable(const std::string& path);

  /// Keeps all changes from now on, for tests that look at each point between two of them.
  void start_recording() { is_recording_ = true; }
  [[nodiscard]] const std::vector<StorageChange>& recording() const noexcept { return recording_; }

 private:
  friend struct DiskCalls;  // disk_vfs.cpp: what SQLite calls
  static constexpr int kSlotCount = SQLITE_SHM_NLOCK;

  struct Handle {
    std::string path;  // empty: a temporary file
    int process = 0;
    bool is_dead = false;
    bool is_deleted_on_close = false;
    bool syncs_name = false;  // as the unix VFS: the first sync of a journal syncs the folder
    bool has_shared_memory = false;
    int lock = SQLITE_LOCK_NONE;
    std::array<int, kSlotCount> slots{};  // SQLITE_SHM_SHARED, SQLITE_SHM_EXCLUSIVE or 0
    Bytes temporary;
  };
  using Region = std::unique_ptr<unsigned char[]>;

  void change(StorageChange change);
  int open(Handle& handle, int flags);
  int write(Handle& handle, const unsigned char* source, std::int64_t size, std::int64_t offset);
  int truncate(Handle& handle, std::int64_t size);
  int sync(Handle& handle);
  void close(Handle* handle);
  int lock(Handle& handle, int level);
  int map_region(Handle& handle, int index, int size, bool is_extended, void** memory);
  int lock_slots(Handle& handle, int first, int count, int flags);
  void unmap(Handle& handle, bool is_deleted);
  [[nodiscard]] bool is_locked_by_others(const Handle& handle, int level) const;
  [[nodiscard]] bool is_mapped(std::string_view path) const;
  void discard_shared_memory(std::string_view path);
  int ask(const Handle& handle, const DiskCall& call, std::int64_t& torn_bytes);
  int ask(const Handle& handle, const DiskCall& call);
  void kill_handle(Handle& handle);
  std::uint64_t next_random();

  DiskObserver& observer_;
  Storage storage_;
  std::uint64_t random_state_;
  bool is_recording_ = false;
  std::vector<StorageChange> recording_;
  std::vector<std::unique_ptr<Handle>> handles_;  // dead ones stay: somebody may still hold them
  std::map<std::string, std::vector<Region>, std::less<>> shared_memory_;
  std::vector<Region> discarded_;  // dead processes may still point into these
  sqlite3_vfs vfs_{};
  sqlite3_vfs* previous_vfs_ = nullptr;
};

}  // namespace finops::simulation
