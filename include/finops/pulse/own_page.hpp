// own_page.hpp - a live page as the process that reports into it sees it.
//
// Owns: OwnPage (create, attach, lock, unlink) and the registry of this process's pages.
// Invariants: the page's POSIX record lock is the proof of life, so this process never opens a
// page of its own a second time (closing any descriptor of the file would drop the lock); the
// owner mark reads 0 in a forked child, which then touches nothing.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "finops/pulse/page.hpp"

namespace finops::pulse {

/// Bytes of the page file that carry record locks.
inline constexpr int kOwnerLockByte = 0;     ///< the process that made the page
inline constexpr int kReporterLockByte = 1;  ///< the process that reports below `finops run`

class OwnPage {
 public:
  /// Makes "<live_path>/<attempt>.page": 0600, allocated in full (so that a full disk is an error
  /// here and no SIGBUS later), locked, and visible only when whole.
  /// Throws Error(SystemFailure) if the file cannot be made, Error(InvalidArgument) for texts
  /// that are too long.
  static std::unique_ptr<OwnPage> create(const std::string& live_path, const PageInfo& info);

  /// Attaches to the page that `finops run` made, to report into it. The first process to attach
  /// reports; others only read the directive (`is_reporter()` is false).
  /// Throws Error(NotFound) if there is no such page, Error(InvalidArgument) if it is damaged.
  static std::unique_ptr<OwnPage> attach(const std::string& live_path, const AttemptId& attempt_id);

  /// A page in memory alone, for a run that goes on although the home folder is broken.
  static std::unique_ptr<OwnPage> in_memory(const PageInfo& info);

  ~OwnPage();
  OwnPage(const OwnPage&) = delete;
  OwnPage& operator=(const OwnPage&) = delete;

  [[nodiscard]] const PageInfo& info() const noexcept { return info_; }
  [[nodiscard]] PageLayout& page() const noexcept { return *page_; }
  [[nodiscard]] bool is_reporter() const noexcept { return is_reporter_; }
  [[nodiscard]] bool is_on_disk() const noexcept { return !path_.empty(); }

  /// 1 while this process may touch the page; 0 after `release` and in forked children.
  [[nodiscard]] const std::atomic<std::uint32_t>& owner_mark() const noexcept { return *mark_; }
  [[nodiscard]] bool is_owner() const noexcept {
    return mark_->load(std::memory_order_acquire) != 0;
  }

  /// Ends this process's part: the mark falls, the lock is dropped. The mapping stays until
  /// destruction, so a hot call in another thread is harmless. Does nothing in a forked child.
  void release();
  /// Unlinks the file: its attempt is settled. A missing file is fine.
  void remove();

 private:
  OwnPage();
  void map_file(int descriptor);
  bool lock_byte(int byte);

  PageInfo info_;
  PageLayout* page_ = nullptr;
  std::atomic<std::uint32_t>* mark_ = nullptr;  // private anonymous page, MADV_WIPEONFORK
  std::string path_;
  int descriptor_ = -1;
  bool is_reporter_ = true;
};

/// Whether `path` is a page that this process holds: scans must not open it.
[[nodiscard]] bool is_own_page(const std::string& path);

/// The file of an attempt's page.
[[nodiscard]] std::string page_path(const std::string& live_path, const AttemptId& attempt_id);

}  // namespace finops::pulse
