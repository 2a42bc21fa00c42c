// durable.cpp - fsync of a folder.
#include "finops/base/durable.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

namespace finops {

bool sync_folder(const std::string& folder) {
  const int descriptor = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) {
    return false;
  }
  const bool is_done = fsync(descriptor) == 0 || errno == EINVAL || errno == ENOTSUP;
  const int error_number = errno;
  close(descriptor);
  errno = error_number;
  return is_done;
}

std::string folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) {
    return ".";
  }
  return slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace finops
