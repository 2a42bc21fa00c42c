// write_lock.hpp - one writer and checkpointer at a time, over threads and processes.
//
// Owns: the lock that stands before every write and checkpoint of a ledger.
// Why: SQLite 3.7.0 to 3.51.2 can lose commits when one connection checkpoints while another
// writes (sqlite.org/wal.html#walresetbug). Serialising both makes that impossible.
// Invariant: the lock file's descriptor is opened once per process and never closed, since closing
// any descriptor of a file drops all POSIX locks that the process has on it.
#pragma once

#include <string>

#include "finops/base/clock.hpp"

namespace finops::ledger {

/// Holds the lock while it lives. Not recursive.
class WriteLock {
 public:
  /// Waits at most `timeout`, then throws Error(LedgerUnavailable) naming the holder's pid.
  WriteLock(const std::string& lock_path, Nanoseconds timeout);
  ~WriteLock();
  WriteLock(const WriteLock&) = delete;
  WriteLock& operator=(const WriteLock&) = delete;

 private:
  struct LockFile;
  static LockFile& lock_file(const std::string& lock_path);
  LockFile& file_;
};

}  // namespace finops::ledger
