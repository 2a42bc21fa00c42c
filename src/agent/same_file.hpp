// same_file.hpp - whether a path still leads to the file that it led to before.
//
// Owns: FileIdentity. Does not own: what is done when it does not (the caller).
// Invariant: asks by stat alone: opening and closing a file would drop this process's locks on it.
#pragma once

#include <sys/stat.h>

#include <string>

namespace finops::agent {

struct FileIdentity {
  dev_t device = 0;
  ino_t inode = 0;  ///< 0: no file

  /// Of what `path` leads to now.
  static FileIdentity of(const std::string& path) noexcept {
    struct stat info{};
    return stat(path.c_str(), &info) == 0 ? FileIdentity{info.st_dev, info.st_ino} : FileIdentity{};
  }
  static FileIdentity of(int descriptor) noexcept {
    struct stat info{};
    return fstat(descriptor, &info) == 0 ? FileIdentity{info.st_dev, info.st_ino} : FileIdentity{};
  }
  bool operator==(const FileIdentity&) const = default;
};

}  // namespace finops::agent
