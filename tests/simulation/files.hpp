// files.hpp - the real files of a simulated host: whose descriptors they are, and what of them a
// power loss leaves.
//
// Owns: Files. Does not own: the ledger's content (disk.hpp), record locks (record_locks.hpp).
// Invariants: the files lie in one real folder, so that the product maps and reads real memory; a
// file's durable image is what it held at its last fsync, its name is durable after an fsync of its
// folder, and neither is promised before.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "record_locks.hpp"
#include "storage.hpp"

namespace finops::simulation {

/// One open descriptor of a simulated process.
struct OpenFile {
  std::string path;
  FileId file{};
  std::uint64_t process = 0;      ///< serial number
  std::uint64_t description = 0;  ///< of its OFD locks
};

class Files {
 public:
  explicit Files(std::string root) : root_(std::move(root)) {}

  [[nodiscard]] bool is_ours(const std::string& path) const { return path.starts_with(root_); }
  /// After open(2) gave `descriptor`; `is_new`: the file was made by it.
  void opened(int descriptor, const std::string& path, std::uint64_t process, bool is_new);
  /// Null: not a descriptor of a simulated process.
  [[nodiscard]] const OpenFile* find(int descriptor) const;
  void closed(int descriptor);
  /// Closes all of a process that died.
  std::vector<OpenFile> close_all(std::uint64_t process);

  /// fsync or fdatasync of a file or folder has returned.
  void synced(int descriptor);
  /// Before unlink(2) and after rename(2).
  void unlinking(const std::string& path);
  void renamed(const std::string& from, const std::string& to);

  /// Every file becomes its durable image, sector by sector old or new as `choose` says; a name
  /// that is not durable may vanish, one whose unlink is not may come back.
  void lose_power(const Choose& choose);

 private:
  static Bytes read_all(const std::string& path);
  static void write_all(const std::string& path, const Bytes& bytes);

  std::string root_;
  std::map<int, OpenFile> open_;
  std::uint64_t description_count_ = 0;
  std::map<std::string, Bytes> durable_;   // content at the last fsync
  std::set<std::string> unsettled_names_;  // made, and the folder not synced since
  std::map<std::string, Bytes> unlinked_;  // and the folder not synced since
};

}  // namespace finops::simulation
