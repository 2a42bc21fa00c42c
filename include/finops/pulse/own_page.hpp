// own_page.hpp - a live page as the process that reports into it sees it.
//
// Owns: OwnerMark, OwnPage (create, attach, lock, unlink) and the registry of this process's pages.
// Invariants: the page's POSIX record locks are the proof of life, so this process never opens a
// page of its own a second time (closing any descriptor of the file would drop them); an owner mark
// reads 0 in a forked child, which then touches nothing; an attempt has at most one keeper.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "finops/pulse/page.hpp"

namespace finops::pulse {

/// Bytes of the page file that carry record locks. A lock on any of the first kLifeByteCount is a
/// proof of life.
inline constexpr int kOwnerLockByte = 0;      ///< the process that made the page
inline constexpr int kReporterLockByte = 1;   ///< the keeper below `finops run`
inline constexpr int kFirstRankLockByte = 2;  ///< one byte for each further process
inline constexpr int kLifeByteCount = 1024;
inline constexpr int kCheckpointLockByte = 1024;  ///< held while a checkpoint is written

/// 1 in the process that made it until `clear`, 0 from the start in its forked children.
class OwnerMark {
 public:
  /// Throws Error(SystemFailure) if there is no memory.
  OwnerMark();
  ~OwnerMark();
  OwnerMark(const OwnerMark&) = delete;
  OwnerMark& operator=(const OwnerMark&) = delete;

  [[nodiscard]] const std::atomic<std::uint32_t>& value() const noexcept { return words_[0]; }
  [[nodiscard]] bool is_set() const noexcept {
    return words_[0].load(std::memory_order_acquire) != 0;
  }
  void clear() noexcept { words_[0].store(0, std::memory_order_release); }
  /// Whether this is the process that made it, cleared or not.
  [[nodiscard]] bool is_made_here() const noexcept {
    return words_[1].load(std::memory_order_relaxed) != 0;
  }

 private:
  std::atomic<std::uint32_t>* words_;  // private anonymous page, MADV_WIPEONFORK
};

class OwnPage {
 public:
  /// Makes "<live_path>/<attempt>.page": 0600, allocated in full (so that a full disk is an error
  /// here and no SIGBUS later), locked, and visible only when whole.
  /// Throws Error(SystemFailure) if the file cannot be made, Error(InvalidArgument) for texts
  /// that are too long.
  static std::unique_ptr<OwnPage> create(const std::string& live_path, const PageInfo& info);

  /// Attaches to a page that another process made, to report into it; the first to attach below
  /// `finops run` becomes the keeper. Throws Error(NotFound) if there is no such page or, with
  /// `only_if_alive`, no process holds it any more; Error(InvalidArgument) if it is damaged.
  static std::unique_ptr<OwnPage> attach(const std::string& live_path, const AttemptId& attempt_id,
                                         bool only_if_alive = false);

  /// A page in memory alone, for a run that goes on although the home folder is broken.
  static std::unique_ptr<OwnPage> in_memory(const PageInfo& info);

  ~OwnPage();
  OwnPage(const OwnPage&) = delete;
  OwnPage& operator=(const OwnPage&) = delete;

  [[nodiscard]] const PageInfo& info() const noexcept { return info_; }
  [[nodiscard]] PageLayout& page() const noexcept { return *page_; }
  [[nodiscard]] bool is_on_disk() const noexcept { return !path_.empty(); }

  /// The keeper settles money where no agent does, and ends the attempt: the process that made the
  /// page, or the first to attach below `finops run`; after it died or left, whoever asks first.
  [[nodiscard]] bool is_keeper() const noexcept { return is_keeper_.load(); }
  /// Becomes the keeper if there is none. One system call.
  bool try_keep();
  /// Whether another process is attached to the attempt; `finops run` itself does not count.
  [[nodiscard]] bool has_other_ranks() const;
  /// Gives up this process's part in the attempt unless it is the last: true if no other process is
  /// left and this one, now its keeper, must end it; false if another one will.
  /// Of two that leave at once, one is told true.
  bool is_last_to_leave();

  /// 1 while this process may touch the page; 0 after `release` and in forked children.
  [[nodiscard]] const std::atomic<std::uint32_t>& owner_mark() const noexcept {
    return mark_.value();
  }
  [[nodiscard]] bool is_owner() const noexcept { return mark_.is_set(); }

  /// Several runs of this process may report into one page.
  void add_user() noexcept { user_count_.fetch_add(1); }
  /// False if the last one has left: this process's part is over.
  bool try_add_user() noexcept;
  /// True if that was the last one.
  bool drop_user() noexcept { return user_count_.fetch_sub(1) == 1; }

  /// Confirms a checkpoint, whichever rank wrote it; the same step and path again is a no-op.
  /// Throws Error(InvalidArgument) if the path is too long.
  void confirm_checkpoint(std::int64_t step, const std::string& path, UtcTime now);

  /// Ends this process's part: the mark falls, the lock is dropped. The mapping stays until
  /// destruction, so a hot call in another thread is harmless. Does nothing in a forked child.
  void release();
  /// Unlinks the file: its attempt is settled. A missing file is fine. Does nothing in a forked
  /// child.
  void remove();

 private:
  OwnPage() = default;
  void map_file(int descriptor);
  [[nodiscard]] bool set_lock(int byte, short type) const;
  [[nodiscard]] int keeper_byte() const noexcept {
    return info_.is_command ? kReporterLockByte : kOwnerLockByte;
  }
  void take_rank_byte();

  OwnerMark mark_;
  PageInfo info_;
  PageLayout* page_ = nullptr;
  std::string path_;
  int descriptor_ = -1;
  int rank_byte_ = -1;  // of a process that attached and is not the keeper
  bool is_counted_ = false;
  std::atomic<bool> is_keeper_{true};
  std::atomic<int> user_count_{0};
  std::mutex checkpoint_mutex_;
};

/// Whether `path` is a page that this process holds: scans must not open it.
[[nodiscard]] bool is_own_page(const std::string& path);

/// The file of an attempt's page.
[[nodiscard]] std::string page_path(const std::string& live_path, const AttemptId& attempt_id);

}  // namespace finops::pulse
