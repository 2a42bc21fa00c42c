// private_file.hpp - files and folders that nobody else may have had a hand in.
//
// Owns: how every file of the home is opened and created, and what makes one unsafe.
// Does not own: where the home is (ledger/home.hpp).
// Invariants: a link at a path's end is never followed; what is no plain file of ours with one
// name is never opened: opening a device may do something, opening a pipe may wait, and closing
// another name of a file drops this process's record locks on it; what is created is 0600 or 0700,
// whatever the umask.
#pragma once

#include <sys/stat.h>

#include <string>

namespace finops {

/// A descriptor, or why there is none.
struct PrivateFile {
  int descriptor = -1;
  int error_number = 0;  ///< errno of the system; EPERM if the file is there and unsafe
  std::string why;       ///< what is wrong and what to type; empty if `descriptor` is one

  [[nodiscard]] bool is_open() const noexcept { return descriptor >= 0; }
};

/// Opens `path` with the `flags` of open(2); with O_CREAT a file that is not there is made, empty.
/// The caller closes the descriptor.
[[nodiscard]] PrivateFile open_private_file(const std::string& path, int flags);

/// What makes the file unsafe; empty: it is a plain file of ours with one name, and others cannot
/// write to it. A file that was unlinked meanwhile has no name, and is safe.
[[nodiscard]] std::string why_file_is_unsafe(const struct stat& info, const std::string& path);

/// What makes the folder unsafe; empty: it is a folder, no link to one, ours, and others cannot
/// write to it.
[[nodiscard]] std::string why_folder_is_unsafe(const struct stat& info, const std::string& path);

/// Makes the folder, for us alone. Returns false if it is there already, whatever it is.
/// Throws Error(PermissionDenied) if the system refuses.
bool create_private_folder(const std::string& path);

}  // namespace finops
