// storage.hpp - simulated files: what processes see, what is durable, what a power loss leaves.
//
// Owns: Storage (a value: a copy is a disk of its own) and the changes that can be made to it.
// Does not own: SQLite's view of it, locks and shared memory (disk.hpp).
// Invariants: what was synced with a durable name survives every power loss whole; what a failed
// sync left unwritten never becomes durable, whatever is synced later.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace finops::simulation {

using Bytes = std::vector<unsigned char>;
/// Gives back a number in [0, n). Of two, 1 says that a change survives; so a function that always
/// gives 0 loses all that may be lost, and one that gives n - 1 loses nothing.
using Choose = std::function<std::uint64_t(std::uint64_t)>;

/// One change of a file or of its name, as a recording keeps it.
struct StorageChange {
  enum class Kind {
    Create,         ///< a new, empty file; its name is not durable yet
    Write,          ///< `bytes` at `offset`
    Truncate,       ///< to the size `offset`
    Sync,           ///< what was written until now becomes durable
    FailedSync,     ///< what was written until now is seen, but never becomes durable any more
    NameSync,       ///< the folder was synced: the name becomes durable, deletions in it too
    Delete,         ///< the name is gone for processes; a power loss may bring it back
    DurableDelete,  ///< the name is gone for good
  };
  Kind kind = Kind::Create;
  std::string path;
  std::int64_t offset = 0;
  Bytes bytes;
};

class Storage {
 public:
  static constexpr std::int64_t kSectorSize = 512;

  void apply(const StorageChange& change);

  [[nodiscard]] bool exists(std::string_view path) const { return files_.contains(path); }
  /// What processes see of the file; empty also if there is none.
  [[nodiscard]] const Bytes& content(std::string_view path) const;

  /// Leaves of every file its durable image with some of the unsynced changes: each sector of each
  /// unsynced write survives or not, as `choose` says, and so does each truncate, each size (grown
  /// without its data: zeros), and each name that is not durable.
  void lose_power(const Choose& choose);

 private:
  struct File {
    Bytes content;
    Bytes durable;
    std::vector<StorageChange> unsynced;  // writes and truncates, in their order
    bool is_name_durable = false;
  };
  static void put(Bytes& target, std::int64_t offset, const unsigned char* source,
                  std::int64_t size);
  static void replay(Bytes& target, const StorageChange& change);
  static void replay_torn(Bytes& target, const StorageChange& change, const Choose& choose);
  static Bytes what_is_left(const File& file, const Choose& choose);
  void remove(const StorageChange& change);

  std::map<std::string, File, std::less<>> files_;
  std::map<std::string, File, std::less<>> removed_;  // whose names a power loss may bring back
};

}  // namespace finops::simulation
