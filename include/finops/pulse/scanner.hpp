// scanner.hpp - the live pages of other processes, as the agent sees them.
//
// Owns: ForeignPage, PageScanner, what half-made pages leave. Does not own: judgement (guard).
// Invariants: pages of this process are never opened; a damaged page is reported and skipped, and
// costs no memory once its file is gone; a page whose file was cut short is not read any more.
#pragma once

#include <sys/types.h>

#include <cstdint>
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
  std::uint64_t inode_ = 0;
  std::uint64_t seen_in_scan_ = 0;
};

/// A page that was skipped, and why.
struct RejectedPage {
  std::string path;
  std::string why;
};

class PageScanner {
 public:
  static constexpr std::size_t kNamedAtOnce = 1'000;

  explicit PageScanner(std::string live_path) : live_path_(std::move(live_path)) {}

  /// Maps new pages, drops those whose files are gone, were replaced or cut short, keeps the rest.
  /// A warm scan reads the folder and asks for each file's size: reading past the end of a mapped
  /// file would end the process. (Who cuts a file between this and the next scan still does that;
  /// only its owner can.)
  /// Throws Error(SystemFailure) if the folder cannot be read, Error(PermissionDenied) if it is not
  /// ours alone any more, or a link.
  void scan();

  /// The pages found by the last scan. Valid until the next scan.
  [[nodiscard]] const std::vector<ForeignPage*>& pages() const noexcept { return pages_; }
  /// Files that look like pages and are not usable; each is told of once while it is there. Of
  /// more than kNamedAtOnce such files the rest is told of as one.
  [[nodiscard]] const std::vector<RejectedPage>& rejected() const noexcept { return rejected_; }

 private:
  void open_page(const std::string& name);
  void reject(const std::string& name, const std::string& why);
  std::string live_path_;
  std::unordered_map<std::string, std::unique_ptr<ForeignPage>> known_;
  std::unordered_map<std::string, std::uint64_t> bad_;  // by name: the scan that saw it last
  bool has_told_of_more_ = false;
  std::vector<ForeignPage*> pages_;
  std::vector<RejectedPage> rejected_;
  std::uint64_t scan_count_ = 0;
};

/// Removes pages that somebody began to make and was killed over: files that never got their name,
/// are held by nobody, and have not been written to for a minute. Never throws: the next call tries
/// again. A page of this process cannot be that old before it has its name.
void remove_unfinished_pages(const std::string& live_path) noexcept;

}  // namespace finops::pulse
