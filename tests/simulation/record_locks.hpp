// record_locks.hpp - fcntl's locks as the kernel keeps them, for simulated processes.
//
// Owns: RecordLocks: POSIX record locks (of a process) and open-file-description locks.
// Invariants, from fcntl(2): closing any descriptor of a file drops all record locks of the process
// on it; OFD locks go with their description; a process never sees its own record locks.
#pragma once

#include <fcntl.h>

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

namespace finops::simulation {

/// A file by device and inode.
using FileId = std::pair<std::uint64_t, std::uint64_t>;

/// Who holds a lock: a process (record locks) or an open file description.
struct LockOwner {
  bool is_description = false;
  std::uint64_t id = 0;
  bool operator==(const LockOwner&) const = default;
};

class RecordLocks {
 public:
  /// F_SETLK and F_OFD_SETLK. False: somebody else holds a part of the range.
  bool set(const FileId& file, const LockOwner& owner, const struct flock& wanted, pid_t pid);
  /// F_GETLK: overwrites `asked` with a lock that is in the way, or says F_UNLCK.
  void get(const FileId& file, const LockOwner& owner, struct flock& asked) const;
  /// A process or description lets go of one file, or (`file` null) of all.
  void drop(const LockOwner& owner, const FileId* file);
  /// The process that holds the record lock on the first byte of `file`; 0: nobody.
  [[nodiscard]] std::uint64_t holder(const FileId& file) const;
  void clear() { held_.clear(); }

 private:
  struct Held {
    LockOwner owner;
    std::int64_t first = 0;
    std::int64_t end = 0;  ///< exclusive
    pid_t pid = 0;
  };
  static std::pair<std::int64_t, std::int64_t> range_of(const struct flock& lock);
  std::map<FileId, std::vector<Held>> held_;
};

}  // namespace finops::simulation
