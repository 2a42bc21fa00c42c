// group_file.cpp - locking, reading and writing a group file.
#include "tracker/group_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <string_view>

#include "finops/base/description_lock.hpp"
#include "finops/base/error.hpp"
#include "finops/base/private_file.hpp"
#include "finops/pulse/own_page.hpp"

namespace finops::tracker {
namespace {

constexpr ssize_t kSize = 160;  // an id and its end
constexpr std::chrono::hours kLongestUse{24 * 7};

}  // namespace

bool GroupFile::try_lock() {
  const PrivateFile file = open_private_file(path_, O_RDWR | O_CREAT);
  FINOPS_REQUIRE(file.is_open(), ErrorCode::SystemFailure, "cannot open " + file.why);
  descriptor_ = file.descriptor;
  if (!try_lock_description(descriptor_)) {
    close(descriptor_);
    descriptor_ = -1;
    return false;
  }
  // Whoever removed the file held this lock: what we have may no longer be what others find.
  struct stat mine{};
  struct stat named{};
  if (fstat(descriptor_, &mine) != 0 || lstat(path_.c_str(), &named) != 0 ||
      mine.st_ino != named.st_ino || mine.st_dev != named.st_dev) {
    unlock();
    return false;
  }
  return true;
}

void GroupFile::unlock() {
  if (descriptor_ < 0) {
    return;
  }
  unlock_description(descriptor_);
  close(descriptor_);
  descriptor_ = -1;
}

AttemptId GroupFile::read() const {
  std::array<char, kSize> bytes{};
  const ssize_t size = pread(descriptor_, bytes.data(), bytes.size(), 0);
  std::string text(bytes.data(), size > 0 ? static_cast<std::size_t>(size) : 0);
  text = text.substr(0, text.find('\n'));
  return is_file_safe(text) ? AttemptId{text} : AttemptId{};
}

void GroupFile::reserve() const {
  const int code = posix_fallocate(descriptor_, 0, kSize);
  FINOPS_REQUIRE(code == 0, ErrorCode::SystemFailure,
                 "no room for " + path_ + ": " + errno_text(code));
}

void GroupFile::write(const AttemptId& attempt_id) const {
  std::string text = attempt_id.str() + "\n";
  text.resize(kSize, ' ');
  FINOPS_REQUIRE(pwrite(descriptor_, text.data(), text.size(), 0) == kSize,
                 ErrorCode::SystemFailure, "cannot write " + path_ + ": " + errno_text(errno));
}

void remove_old_group_files(const std::string& live_path) noexcept {
  constexpr std::string_view kPrefix = ".group-";
  try {
    const auto oldest = std::filesystem::file_time_type::clock::now() - kLongestUse;
    for (const auto& entry : std::filesystem::directory_iterator(live_path)) {
      const std::string name = entry.path().filename().string();
      if (!name.starts_with(kPrefix) || entry.last_write_time() > oldest) {
        continue;
      }
      GroupFile file(live_path, name.substr(kPrefix.size()));
      if (!file.try_lock()) {
        continue;
      }
      const AttemptId named = file.read();
      if (named.empty() || !std::filesystem::exists(pulse::page_path(live_path, named))) {
        file.remove();
      }
    }
  } catch (const std::exception&) {
    return;  // the next job tries again
  }
}

void GroupFile::remove() const { unlink(path_.c_str()); }

}  // namespace finops::tracker
