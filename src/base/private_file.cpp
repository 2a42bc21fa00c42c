// private_file.cpp - looking before opening, and once more after it.
#include "finops/base/private_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "finops/base/error.hpp"

namespace finops {
namespace {

// With O_NONBLOCK the open of a pipe that was put there in the last moment does not wait. Plain
// files do not know it.
constexpr int kSafeFlags = O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;

PrivateFile refused(int error_number, std::string why) {
  return {.descriptor = -1, .error_number = error_number, .why = std::move(why)};
}

PrivateFile refused_by_system(const std::string& path) {
  const int error_number = errno;
  return refused(error_number, path + ": " + errno_text(error_number));
}

PrivateFile create(const std::string& path, int flags) {
  const int descriptor = open(path.c_str(), flags | O_CREAT | O_EXCL | kSafeFlags, 0600);
  if (descriptor < 0) {
    return refused_by_system(path);
  }
  // A umask can take away from 0600 what we need ourselves.
  (void)fchmod(descriptor, 0600);
  return {.descriptor = descriptor, .error_number = 0, .why = {}};
}

PrivateFile open_existing(const std::string& path, int flags) {
  struct stat info{};
  if (lstat(path.c_str(), &info) != 0) {
    return refused_by_system(path);
  }
  if (std::string why = why_file_is_unsafe(info, path); !why.empty()) {
    return refused(EPERM, std::move(why));
  }
  const int descriptor = open(path.c_str(), flags | kSafeFlags);
  if (descriptor < 0) {
    return refused_by_system(path);
  }
  // What lies there may be another file by now.
  std::string why = fstat(descriptor, &info) == 0 ? why_file_is_unsafe(info, path)
                                                  : path + ": " + errno_text(errno);
  if (!why.empty()) {
    close(descriptor);
    return refused(EPERM, std::move(why));
  }
  return {.descriptor = descriptor, .error_number = 0, .why = {}};
}

}  // namespace

std::string why_file_is_unsafe(const struct stat& info, const std::string& path) {
  if (!S_ISREG(info.st_mode)) {
    return path + " is not a plain file; look who put it there, and move it away";
  }
  if (info.st_uid != geteuid()) {
    return path + " belongs to user id " + std::to_string(info.st_uid) + ", not to us (" +
           std::to_string(geteuid()) + "); look who put it there, and move it away";
  }
  if ((info.st_mode & 022U) != 0) {
    return path + " can be written by other users; look at what it holds, then run: chmod 600 " +
           path;
  }
  if (info.st_nlink > 1) {
    return path + " has " + std::to_string(info.st_nlink) +
           " names (hard links), so that writing to it changes another file; keep one of them";
  }
  return {};
}

std::string why_folder_is_unsafe(const struct stat& info, const std::string& path) {
  if (!S_ISDIR(info.st_mode)) {
    return path + " is not a folder";
  }
  if (info.st_uid != geteuid()) {
    return path + " belongs to user id " + std::to_string(info.st_uid) + ", not to us (" +
           std::to_string(geteuid()) + ")";
  }
  if ((info.st_mode & 022U) != 0) {
    return path + " can be written by other users; run: chmod 700 " + path;
  }
  return {};
}

PrivateFile open_private_file(const std::string& path, int flags) {
  const int own_flags = flags & ~(O_CREAT | O_EXCL);
  if ((flags & O_EXCL) != 0) {
    return create(path, own_flags);
  }
  constexpr int kRounds = 3;  // each more means that somebody makes and removes it all the time
  PrivateFile file = open_existing(path, own_flags);
  for (int round = 0;
       round < kRounds && (flags & O_CREAT) != 0 && !file.is_open() && file.error_number == ENOENT;
       ++round) {
    file = create(path, own_flags);
    if (!file.is_open() && file.error_number == EEXIST) {
      file = open_existing(path, own_flags);
    }
  }
  return file;
}

bool create_private_folder(const std::string& path) {
  if (mkdir(path.c_str(), 0700) == 0) {
    (void)chmod(path.c_str(), 0700);  // ours, and new: a umask can take away what we need ourselves
    return true;
  }
  FINOPS_REQUIRE(errno == EEXIST, ErrorCode::PermissionDenied,
                 "cannot create " + path + ": " + errno_text(errno));
  return false;
}

}  // namespace finops
