// home.cpp - finds, creates and checks the home folder.
#include "finops/ledger/home.hpp"

#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <filesystem>

#include "finops/base/durable.hpp"
#include "finops/base/error.hpp"

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
  FINOPS_REQUIRE(S_ISDIR(info.st_mode), ErrorCode::PermissionDenied,
                 path + " is not a folder" + kNextStep);
  FINOPS_REQUIRE(info.st_uid == geteuid(), ErrorCode::PermissionDenied,
                 path + " belongs to user id " + std::to_string(info.st_uid) + ", not to us (" +
                     std::to_string(geteuid()) + ")" + kNextStep);
  FINOPS_REQUIRE((info.st_mode & 022U) == 0, ErrorCode::PermissionDenied,
                 path + " can be written by other users; run: chmod 700 " + path);
  FINOPS_REQUIRE(access(path.c_str(), W_OK | X_OK) == 0, ErrorCode::PermissionDenied,
                 path + " cannot be written: " + errno_text(errno) + kNextStep);
}

void create_folder(const std::string& path) {
  if (mkdir(path.c_str(), 0700) == 0) {
    // Best effort: the ledger insists on its own folder before it acknowledges anything.
    (void)sync_folder(folder_of(path));
    return;
  }
  FINOPS_REQUIRE(errno == EEXIST, ErrorCode::PermissionDenied,
                 "cannot create " + path + ": " + errno_text(errno) + kNextStep);
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
  Home home{.path = default_home_path(path), .warnings = {}};
  FINOPS_REQUIRE(home.path.starts_with('/'), ErrorCode::InvalidArgument,
                 "the home folder must be an absolute path, not '" + home.path + "'");
  std::error_code ignored;  // the mkdir below reports what matters
  std::filesystem::create_directories(std::filesystem::path(home.path).parent_path(), ignored);
  create_folder(home.path);
  check_folder(home.path);
  check_file_system(home);
  create_folder(home.live_path());
  check_folder(home.live_path());
  return home;
}

}  // namespace finops
