// home.cpp - finds, creates and checks the home folder.
#include "finops/ledger/home.hpp"

#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <vector>

#include "finops/base/durable.hpp"
#include "finops/base/error.hpp"
#include "finops/base/private_file.hpp"

namespace finops {
namespace {

constexpr const char* kNextStep = "; set FINOPS_HOME to a folder of your own on a local disk";

struct FileSystem {
  long magic;
  const char* name;
};
// Source: linux/magic.h and statfs(2). Locks or shared mappings are not dependable on these.
constexpr std::array<FileSystem, 9> kNetworkFileSystems{{{0x6969, "NFS"},
                                                         {0xFF534D42L, "CIFS"},
                                                         {0xFE534D42L, "SMB2"},
                                                         {0x517B, "SMB"},
                                                         {0x5346414FL, "AFS"},
                                                         {0x00C36400, "Ceph"},
                                                         {0x0BD00BD0, "Lustre"},
                                                         {0x47504653, "GPFS"},
                                                         {0x01021997, "9P"}}};
constexpr std::array<FileSystem, 2> kDoubtfulFileSystems{
    {{0x794C7630, "overlay"}, {0x65735546, "FUSE"}}};

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

void check_file_system(Home& home) {
  struct statfs info{};
  FINOPS_REQUIRE(statfs(home.path.c_str(), &info) == 0, ErrorCode::SystemFailure,
                 "cannot examine " + home.path + ": " + errno_text(errno) + kNextStep);
  const auto magic = static_cast<long>(static_cast<unsigned int>(info.f_type));
  for (const FileSystem& known : kNetworkFileSystems) {
    FINOPS_REQUIRE(magic != known.magic, ErrorCode::SystemFailure,
                   home.path + " is on a network file system (" + known.name +
                       "), where locks cannot be trusted" + kNextStep);
  }
  for (const FileSystem& known : kDoubtfulFileSystems) {
    if (magic == known.magic) {
      home.warnings.push_back(home.path + " is on a " + known.name +
                              " file system: what it holds may not outlive the container");
    }
  }
}

void check_folder(const std::string& path) {
  struct stat info{};
  FINOPS_REQUIRE(lstat(path.c_str(), &info) == 0, ErrorCode::SystemFailure,
                 "cannot examine " + path + ": " + errno_text(errno) + kNextStep);
  const std::string why = why_folder_is_unsafe(info, path);
  FINOPS_REQUIRE(why.empty(), ErrorCode::PermissionDenied, why + kNextStep);
  FINOPS_REQUIRE(access(path.c_str(), W_OK | X_OK) == 0, ErrorCode::PermissionDenied,
                 path + " cannot be written: " + errno_text(errno) + kNextStep);
}

void create_folder(const std::string& path) {
  try {
    if (create_private_folder(path)) {
      // Best effort: the ledger insists on its own folder before it acknowledges anything.
      (void)sync_folder(folder_of(path));
    }
  } catch (const Error& error) {
    detail::throw_error(error.code(), error.what() + std::string(kNextStep));
  }
}

// The folders above a new home are for us alone as well, as the XDG base directory specification
// asks. What cannot be made is told of by whoever needs it.
void create_folders_above(const std::string& path) {
  std::vector<std::string> missing;
  struct stat info{};
  for (std::string folder = folder_of(path);
       folder != "/" && folder != "." && lstat(folder.c_str(), &info) != 0;
       folder = folder_of(folder)) {
    missing.push_back(folder);
  }
  try {
    std::for_each(missing.rbegin(), missing.rend(), create_private_folder);
  } catch (const Error&) {
    return;
  }
}

// A link above the home is followed, one in its place is not: who may change it would choose the
// ledger. One home has one path in a process: locks and pages are known by it.
std::string real_path(const std::string& path) {
  std::error_code error;
  const std::filesystem::path real = std::filesystem::canonical(path, error);
  FINOPS_REQUIRE(!error, ErrorCode::PermissionDenied,
                 path + " cannot be followed to a folder: " + error.message() + kNextStep);
  return real.string();
}

// "home/" and "home/." are the folder that a link called "home" leads to, not the link.
std::string without_trailing_slash(const std::string& path) {
  std::string normal = std::filesystem::path(path).lexically_normal().string();
  while (normal.size() > 1 && normal.back() == '/') {
    normal.pop_back();
  }
  return normal;
}

// Who can rename the home can put another one in its place. That one would not be ours, and is
// refused; but runs would be unknown meanwhile.
void warn_of_folder_above(Home& home) {
  const std::string above = folder_of(home.path);
  struct stat info{};
  if (stat(above.c_str(), &info) == 0 && (info.st_mode & 02U) != 0 &&
      (info.st_mode & static_cast<unsigned>(S_ISVTX)) == 0) {
    home.warnings.push_back("every user can rename " + home.path + ", since " + above +
                            " can be written by all; run: chmod o-w " + above +
                            " (or chmod +t), or set FINOPS_HOME to another folder");
  }
}

}  // namespace

std::string default_home_path(const std::string& path) {
  if (!path.empty()) {
    return path;
  }
  if (const std::string home = environment("FINOPS_HOME"); !home.empty()) {
    return home;
  }
  if (const std::string state = environment("XDG_STATE_HOME"); !state.empty()) {
    return state + "/finops";
  }
  const std::string user_home = environment("HOME");
  FINOPS_REQUIRE(!user_home.empty(), ErrorCode::PermissionDenied,
                 std::string("no home folder: HOME is not set") + kNextStep);
  return user_home + "/.local/state/finops";
}

Home open_home(const std::string& path) {
  Home home{.path = without_trailing_slash(default_home_path(path)), .warnings = {}};
  FINOPS_REQUIRE(home.path.starts_with('/'), ErrorCode::InvalidArgument,
                 "the home folder must be an absolute path, not '" + home.path + "'");
  create_folders_above(home.path);
  create_folder(home.path);
  check_folder(home.path);
  home.path = real_path(home.path);
  warn_of_folder_above(home);
  check_file_system(home);
  create_folder(home.live_path());
  check_folder(home.live_path());
  return home;
}

void check_home(const Home& home) {
  check_folder(home.path);
  check_folder(home.live_path());
}

std::string check_readable_home(const std::string& path) {
  const std::string folder = without_trailing_slash(path);
  struct stat info{};
  if (lstat(folder.c_str(), &info) != 0) {
    return path;  // nothing is there to be read
  }
  const std::string why = why_folder_is_unsafe(info, folder);
  FINOPS_REQUIRE(why.empty(), ErrorCode::PermissionDenied, why + kNextStep);
  return real_path(folder);
}

}  // namespace finops
