// durable.hpp - makes the names of files and folders survive a power loss.
//
// Owns: the sync of folders. Does not own: the sync of what files hold; whoever writes does that.
// Source: fsync(2): syncing a file does not make its entry in the folder durable, that takes an
// fsync of the folder.
#pragma once

#include <string>

namespace finops {

/// Makes the names in `folder` durable: what was created, renamed and removed there until now.
/// Returns false, with errno set, if the system refuses. File systems that know no sync of a folder
/// (EINVAL, ENOTSUP) keep names their own way, and count as done.
[[nodiscard]] bool sync_folder(const std::string& folder);

/// The folder that holds `path`: "/" if it lies there, "." if the path names none.
[[nodiscard]] std::string folder_of(const std::string& path);

}  // namespace finops
