// scanner.hpp - the live pages of other processes, as the agent sees them.
//
// Owns: ForeignPage, PageScanner, what half-made pages leave. Does not own: judgement (guard).
// Invariants: pages of this process are never opened; a damaged page is reported and skipped.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "finops/pulse/own_page.hpp"
#include "finops/pulse/page.hpp"

namespace finops::pulse {

/// One mapped page of another process.
class ForeignPage {
 public:
  /// `inode` is that of the mapped file.
  ForeignPage(std::string path, PageInfo info, PageLayout* page, ino_t inode) noexcept
      : path_(std::move(path)), info_(std::move(info)), page_(page), inode_(inode) {}
  ~ForeignPage();
  ForeignPage(const ForeignPage&) = delete;
  ForeignPage& operator=(const ForeignPage&) = delete;

  [[nodiscard]] const PageInfo& info() const noexcept { return info_; }
  [[nodiscard]] PageLayout& page() noexcept { return *page_; }
  [[nodiscard]] const std::string& path() const noexcept { return path_; }

  /// Whether some process holds one of the page's locks: its owner, or any rank.
  /// Asks the kernel (open, F_GETLK, close): meant for pages that did not change.
  [[nodiscard]] bool is_locked() const;
  /// The processes that hold one of its locks, each once: all ranks, and `finops run` itself.
  /// Empty: none, or the kernel cannot say. A pid alone: check what it is before sending a signal.
  [[nodiscard]] std::vector<pid_t> holders() const;

 private:
  friend class PageScanner;
  [[nodiscard]] int open_same() const;
  std::string path_;
  PageInfo info_;
  PageLayout* page_;
  ino_t inode_;
  std::uint64_t seen_in_scan_ = 0;
};

/// A page that was skipped, and why.
struct RejectedPage {
  std::string path;
  std::string why;
};

class PageScanner {
 public:
  explicit PageScanner(std::string live_path) : live_path_(std::move(live_path)) {}

  /// Maps new pages, drops those whose files are gone, keeps the rest: a warm scan of 10,000 pages
  /// reads one folder and touches no other file.
  /// A page whose file was replaced is mapped anew.
  /// Throws Error(SystemFailure) if the folder cannot be read, Error(PermissionDenied) if it is not
  /// ours alone any more, or a link.
  void scan();

  /// The pages found by the last scan. Valid until the next scan.
  [[nodiscard]] const std::vector<ForeignPage*>& pages() const noexcept { return pages_; }
  /// Files that look like pages and are not usable; each is told of once per scanner.
  [[nodiscard]] const std::vector<RejectedPage>& rejected() const noexcept { return rejected_; }

 private:
  void open_page(const std::string& name);
  [[nodiscard]] static bool is_replaced(const ForeignPage& page, ino_t listed);
  std::string live_path_;
  std::unordered_map<std::string, std::unique_ptr<ForeignPage>> known_;
  std::unordered_map<std::string, std::string> bad_;
  std::vector<ForeignPage*> pages_;
  std::vector<RejectedPage> rejected_;
  std::uint64_t scan_count_ = 0;
};

/// Removes pages that somebody began to make and was killed over: files that never got their name,
/// are held by nobody, and have not been written to for a minute. Never throws: the next call tries
/// again. A page of this process cannot be that old before it has its name.
void remove_unfinished_pages(const std::string& live_path) noexcept;

}  // namespace finops::pulse
