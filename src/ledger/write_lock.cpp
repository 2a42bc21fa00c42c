// write_lock.cpp - a process mutex, then a POSIX record lock, both with a deadline.
#include "ledger/write_lock.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "finops/base/error.hpp"
#include "finops/base/per_process.hpp"
#include "finops/base/planted.hpp"
#include "finops/base/private_file.hpp"

namespace finops::ledger {

struct WriteLock::LockFile {
  int descriptor = -1;
  std::mutex mutex;
};

namespace {

bool try_record_lock(int descriptor, short type) {
  struct flock lock{};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_len = 1;
  return fcntl(descriptor, F_SETLK, &lock) == 0;
}

bool is_same_file(int descriptor, const std::string& path) {
  struct stat opened{};
  struct stat named{};
  return fstat(descriptor, &opened) == 0 && lstat(path.c_str(), &named) == 0 &&
         opened.st_ino == named.st_ino && opened.st_dev == named.st_dev;
}

pid_t lock_holder(int descriptor) {
  struct flock lock{};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  lock.l_len = 1;
  return fcntl(descriptor, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK ? lock.l_pid : 0;
}

}  // namespace

WriteLock::LockFile& WriteLock::lock_file(const std::string& lock_path) {
  struct Registry {
    std::mutex mutex;
    std::map<std::string, std::unique_ptr<LockFile>> files;
    std::vector<std::unique_ptr<LockFile>> replaced;  // their homes were removed meanwhile
  };
  auto& registry = per_process<Registry>();
  const std::lock_guard<std::mutex> guard(registry.mutex);
  std::unique_ptr<LockFile>& file = registry.files[lock_path];
  if (file != nullptr && !is_same_file(file->descriptor, lock_path)) {
    registry.replaced.push_back(std::exchange(file, nullptr));
  }
  if (file == nullptr) {
    const PrivateFile opened = open_private_file(lock_path, O_RDWR | O_CREAT);
    FINOPS_REQUIRE(opened.is_open(), ErrorCode::LedgerUnavailable,
                   "cannot open the lock file " + opened.why);
    file = std::make_unique<LockFile>();
    file->descriptor = opened.descriptor;
  }
  return *file;
}

WriteLock::WriteLock(const std::string& lock_path, Nanoseconds timeout)
    : file_(lock_file(lock_path)) {
  if (planted::is_on(planted::Bug::NoWriteLock)) {
    return;
  }
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  // Both are polled: F_SETLKW knows no deadline, and timed mutexes wait on a clock call that
  // ThreadSanitizer of GCC 12 does not know.
  auto pause = std::chrono::microseconds{50};
  const auto wait_or_fail = [&](const auto& describe) {
    if (std::chrono::steady_clock::now() >= deadline) {
      detail::throw_error(ErrorCode::LedgerUnavailable,
                          describe() + " (" + lock_path + ") for longer than " +
                              std::to_string(timeout / std::chrono::milliseconds{1}) + " ms");
    }
    std::this_thread::sleep_for(pause);
    pause = std::min(pause * 2, std::chrono::microseconds{5'000});
  };
  std::unique_lock<std::mutex> thread_lock(file_.mutex, std::try_to_lock);
  while (!thread_lock.owns_lock()) {
    wait_or_fail([] { return std::string("the ledger is locked by another thread of ours"); });
    (void)thread_lock.try_lock();
  }
  while (!try_record_lock(file_.descriptor, F_WRLCK)) {
    wait_or_fail([&] {
      return "the ledger is locked by process " + std::to_string(lock_holder(file_.descriptor));
    });
  }
  thread_lock.release();  // the destructor unlocks
}

WriteLock::~WriteLock() {
  if (planted::is_on(planted::Bug::NoWriteLock)) {
    return;
  }
  try_record_lock(file_.descriptor, F_UNLCK);
  file_.mutex.unlock();
}

}  // namespace finops::ledger
