// scanner.cpp - finds, maps and drops the pages of a live folder.
#include "finops/pulse/scanner.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <string_view>
#include <utility>

#include "finops/base/error.hpp"
#include "finops/base/private_file.hpp"
#include "pulse/record_lock.hpp"

namespace finops::pulse {
namespace {

constexpr std::string_view kSuffix = ".page";
constexpr std::string_view kUnfinishedSuffix = ".new";  // as OwnPage::create names them
// A page has its name within milliseconds; its lock is taken a little after the file is there.
constexpr std::chrono::minutes kUnfinishedFor{1};

bool is_left_behind(const std::string& path) {
  struct stat info{};
  if (lstat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) {
    return false;
  }
  const auto changed_at = std::chrono::system_clock::from_time_t(info.st_mtime);
  if (std::chrono::system_clock::now() - changed_at < kUnfinishedFor) {
    return false;
  }
  const int descriptor = open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW);
  if (descriptor < 0) {
    return false;
  }
  const bool is_held = is_any_locked(descriptor, kOwnerLockByte, kLifeByteCount);
  close(descriptor);
  return !is_held;
}

// Whether the file that a page was mapped from still has all its bytes, under its name.
bool is_same_file(int folder, const std::string& name, std::uint64_t inode) {
  struct stat info{};
  return fstatat(folder, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0 && info.st_ino == inode &&
         info.st_size == kPageSize;
}

// For messages: a name in a folder may hold anything, also what moves a terminal's cursor.
std::string shown(std::string name) {
  constexpr std::size_t kLongest = 120;
  std::replace_if(name.begin(), name.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  return name.size() <= kLongest ? name : name.substr(0, kLongest) + "...";
}

}  // namespace

ForeignPage::~ForeignPage() { munmap(page_, kPageSize); }

// A descriptor of the mapped file; -1 if another file bears its name by now.
int ForeignPage::open_same() const {
  const PrivateFile file = open_private_file(path_, O_RDWR);
  struct stat info{};
  if (file.is_open() && fstat(file.descriptor, &info) == 0 && info.st_ino == inode_) {
    return file.descriptor;
  }
  const int error_number = file.is_open() ? ESTALE : file.error_number;
  if (file.is_open()) {
    close(file.descriptor);
  }
  errno = error_number;
  return -1;
}

bool ForeignPage::is_locked() const {
  if (is_own_page(path_)) {
    return true;  // this process has joined it since: opening it would drop the lock
  }
  const int descriptor = open_same();
  if (descriptor < 0) {
    return errno != ENOENT;
  }
  const bool locked = is_any_locked(descriptor, kOwnerLockByte, kLifeByteCount);
  close(descriptor);
  return locked;
}

std::vector<pid_t> ForeignPage::holders() const {
  std::vector<pid_t> pids;
  if (is_own_page(path_)) {
    return {getpid()};
  }
  const int descriptor = open_same();
  if (descriptor < 0) {
    return pids;
  }
  // The kernel names one lock in a range, not the first: the ranges beside it are asked in turn.
  std::vector<std::pair<int, int>> ranges{{kOwnerLockByte, kLifeByteCount}};
  for (int asked = 0; asked < 2 * kLifeByteCount && !ranges.empty(); ++asked) {
    const auto [first, end] = ranges.back();
    ranges.pop_back();
    struct flock lock{};
    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;
    lock.l_start = first;
    lock.l_len = end - first;
    if (first >= end || fcntl(descriptor, F_GETLK, &lock) != 0 || lock.l_type == F_UNLCK) {
      continue;
    }
    if (lock.l_pid > 0 && std::ranges::find(pids, lock.l_pid) == pids.end()) {
      pids.push_back(lock.l_pid);
    }
    ranges.emplace_back(first, static_cast<int>(lock.l_start));
    ranges.emplace_back(static_cast<int>(lock.l_start + lock.l_len), end);
  }
  close(descriptor);
  return pids;
}

void PageScanner::reject(const std::string& name, const std::string& why) {
  if (const auto known = bad_.find(name); known != bad_.end()) {
    known->second = scan_count_;
    return;
  }
  if (bad_.size() < kNamedAtOnce) {
    bad_.emplace(name, scan_count_);
    rejected_.push_back({live_path_ + "/" + shown(name), why});
  } else if (!has_told_of_more_) {
    has_told_of_more_ = true;
    rejected_.push_back({live_path_, "more than " + std::to_string(kNamedAtOnce) +
                                         " files look like live pages and are none; the others "
                                         "are not named"});
  }
}

void PageScanner::open_page(const std::string& name) {
  const std::string path = live_path_ + "/" + name;
  if (is_own_page(path)) {
    return;
  }
  const PrivateFile file = open_private_file(path, O_RDWR);
  if (!file.is_open()) {
    if (file.error_number != ENOENT) {
      reject(name, file.why);
    }
    return;
  }
  struct stat info{};
  const bool is_page = fstat(file.descriptor, &info) == 0 && info.st_size == kPageSize;
  void* memory =
      is_page ? mmap(nullptr, kPageSize, PROT_READ | PROT_WRITE, MAP_SHARED, file.descriptor, 0)
              : MAP_FAILED;
  close(file.descriptor);
  if (memory == MAP_FAILED) {
    reject(name, is_page ? "it cannot be mapped" : "it is not a file of ours with 4096 bytes");
    return;
  }
  auto* page = static_cast<PageLayout*>(memory);
  std::string why;
  std::optional<PageInfo> decoded = decode(page->fixed, why);
  if (decoded.has_value() && decoded->attempt_id.str() + std::string(kSuffix) != name) {
    why = "it names another attempt than its file";
    decoded.reset();
  }
  if (!decoded.has_value()) {
    munmap(memory, kPageSize);
    reject(name, why);
    return;
  }
  auto foreign = std::make_unique<ForeignPage>(path, std::move(*decoded), page, info.st_ino);
  foreign->seen_in_scan_ = scan_count_;
  pages_.push_back(foreign.get());
  known_.emplace(name, std::move(foreign));
}

void PageScanner::scan() {
  ++scan_count_;
  pages_.clear();
  rejected_.clear();
  struct stat folder{};
  FINOPS_REQUIRE(lstat(live_path_.c_str(), &folder) == 0, ErrorCode::SystemFailure,
                 "cannot read the live folder " + live_path_ + ": " + errno_text(errno));
  const std::string why = why_folder_is_unsafe(folder, live_path_);
  FINOPS_REQUIRE(why.empty(), ErrorCode::PermissionDenied, "the live folder is not read: " + why);
  DIR* directory = opendir(live_path_.c_str());
  FINOPS_REQUIRE(directory != nullptr, ErrorCode::SystemFailure,
                 "cannot read the live folder " + live_path_ + ": " + errno_text(errno));
  std::string name;
  while (const dirent* entry = readdir(directory)) {
    name = entry->d_name;
    if (!name.ends_with(kSuffix) || name.front() == '.') {
      continue;
    }
    const auto found = known_.find(name);
    if (found != known_.end() && is_same_file(dirfd(directory), name, found->second->inode_)) {
      found->second->seen_in_scan_ = scan_count_;
      pages_.push_back(found->second.get());
      continue;
    }
    if (found != known_.end()) {
      known_.erase(found);
    }
    open_page(name);
  }
  closedir(directory);
  std::erase_if(known_,
                [&](const auto& item) { return item.second->seen_in_scan_ != scan_count_; });
  std::erase_if(bad_, [&](const auto& item) { return item.second != scan_count_; });
  has_told_of_more_ = has_told_of_more_ && bad_.size() == kNamedAtOnce;
}

void remove_unfinished_pages(const std::string& live_path) noexcept {
  DIR* directory = opendir(live_path.c_str());
  if (directory == nullptr) {
    return;
  }
  while (const dirent* entry = readdir(directory)) {
    const std::string_view name = entry->d_name;
    if (name.front() != '.' || !name.ends_with(kUnfinishedSuffix)) {
      continue;
    }
    try {
      const std::string path = live_path + "/" + std::string(name);
      if (is_left_behind(path)) {
        unlink(path.c_str());
      }
    } catch (const std::exception&) {
      break;  // no memory: the next call tries again
    }
  }
  closedir(directory);
}

}  // namespace finops::pulse
