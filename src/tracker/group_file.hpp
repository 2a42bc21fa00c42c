// group_file.hpp - the small file by which the processes of one job on this host find each other.
//
// Owns: GroupFile. Does not own: who reads and writes it when (join.cpp).
// Invariants: its lock falls with the process that holds it; what it names may be long over, so
// whoever reads it looks at the live page before believing it.
#pragma once

#include <string>

#include "finops/base/ids.hpp"

namespace finops::tracker {

class GroupFile {
 public:
  /// `<live_path>/.group-<name>`; made by the first try_lock.
  GroupFile(const std::string& live_path, const std::string& name)
      : path_(live_path + "/.group-" + name) {}
  ~GroupFile() { unlock(); }
  GroupFile(const GroupFile&) = delete;
  GroupFile& operator=(const GroupFile&) = delete;

  /// Locks the file for this process alone; false if another one has it.
  /// Throws Error(SystemFailure) if the file cannot be made.
  bool try_lock();
  void unlock();
  /// The attempt that it names; empty: none, or what is there is no id. Needs the lock.
  [[nodiscard]] AttemptId read() const;
  /// Makes room on the disk, so that `write` does not fail for want of it. Needs the lock.
  /// Throws Error(SystemFailure) if the disk is full.
  void reserve() const;
  void write(const AttemptId& attempt_id) const;
  /// Needs the lock.
  void remove() const;

 private:
  std::string path_;
  int descriptor_ = -1;
};

/// Removes files that are older than a week and name no attempt whose page is still there: what
/// killed jobs left. Failures do not matter.
void remove_old_group_files(const std::string& live_path) noexcept;

}  // namespace finops::tracker
