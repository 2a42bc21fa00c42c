// own_page.cpp - making, attaching, locking and leaving a live page.
#include "finops/pulse/own_page.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <mutex>
#include <set>

#include "finops/base/error.hpp"

namespace finops::pulse {
namespace {

// Which pages this process holds. After a fork the child's copy says nothing about the child.
struct Registry {
  std::mutex mutex;
  pid_t owner = getpid();
  std::set<std::string> paths;
};

Registry& registry() {
  static std::atomic<Registry*> current{new Registry};
  Registry* known = current.load(std::memory_order_acquire);
  if (known->owner != getpid()) {
    auto* fresh = new Registry;  // the parent's mutex may be held by a thread we do not have
    if (current.compare_exchange_strong(known, fresh)) {
      known = fresh;
    } else {
      delete fresh;
    }
  }
  return *known;
}

void remember(const std::string& path) {
  const std::lock_guard<std::mutex> guard(registry().mutex);
  registry().paths.insert(path);
}

void forget(const std::string& path) {
  const std::lock_guard<std::mutex> guard(registry().mutex);
  registry().paths.erase(path);
}

std::atomic<std::uint32_t>* make_owner_mark() {
  void* memory =
      mmap(nullptr, kPageSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  FINOPS_REQUIRE(memory != MAP_FAILED, ErrorCode::SystemFailure,
                 "cannot map memory: " + errno_text(errno));
  // On a file mapping this is EINVAL, hence a page of its own.
  madvise(memory, kPageSize, MADV_WIPEONFORK);
  auto* mark = new (memory) std::atomic<std::uint32_t>;
  mark->store(1, std::memory_order_release);
  return mark;
}

}  // namespace

std::string page_path(const std::string& live_path, const AttemptId& attempt_id) {
  FINOPS_REQUIRE(is_file_safe(attempt_id.str()), ErrorCode::InvalidArgument,
                 "not an attempt id: '" + attempt_id.str() + "'");
  return live_path + "/" + attempt_id.str() + ".page";
}

bool is_own_page(const std::string& path) {
  const std::lock_guard<std::mutex> guard(registry().mutex);
  return registry().paths.contains(path);
}

OwnPage::OwnPage() : mark_(make_owner_mark()) {}

OwnPage::~OwnPage() {
  release();
  if (page_ != nullptr) {
    munmap(page_, kPageSize);
  }
  munmap(mark_, kPageSize);
}

void OwnPage::map_file(int descriptor) {
  descriptor_ = descriptor;
  void* memory = mmap(nullptr, kPageSize, PROT_READ | PROT_WRITE,
                      descriptor < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED, descriptor, 0);
  FINOPS_REQUIRE(memory != MAP_FAILED, ErrorCode::SystemFailure,
                 "cannot map the live page: " + errno_text(errno));
  page_ = static_cast<PageLayout*>(memory);
}

bool OwnPage::lock_byte(int byte) {
  struct flock lock{};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  lock.l_start = byte;
  lock.l_len = 1;
  return fcntl(descriptor_, F_SETLK, &lock) == 0;
}

std::unique_ptr<OwnPage> OwnPage::create(const std::string& live_path, const PageInfo& info) {
  std::unique_ptr<OwnPage> own(new OwnPage);
  const std::string path = page_path(live_path, info.attempt_id);
  const std::string unfinished = live_path + "/." + info.attempt_id.str() + ".new";
  const int descriptor =
      open(unfinished.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  FINOPS_REQUIRE(descriptor >= 0, ErrorCode::SystemFailure,
                 "cannot make the live page " + path + ": " + errno_text(errno));
  own->descriptor_ = descriptor;
  try {
    const int code = posix_fallocate(descriptor, 0, kPageSize);
    FINOPS_REQUIRE(code == 0, ErrorCode::SystemFailure,
                   "no room for the live page " + path + ": " + errno_text(code));
    own->map_file(descriptor);
    encode(info, own->page_->fixed);
    own->page_->process.state.store(ProcessState::Running, std::memory_order_relaxed);
    own->page_->process.last_seen_ns.store(info.started_at.monotonic.time_since_epoch().count(),
                                           std::memory_order_relaxed);
    FINOPS_REQUIRE(own->lock_byte(kOwnerLockByte), ErrorCode::SystemFailure,
                   "cannot lock the live page " + path + ": " + errno_text(errno));
    FINOPS_REQUIRE(rename(unfinished.c_str(), path.c_str()) == 0, ErrorCode::SystemFailure,
                   "cannot name the live page " + path + ": " + errno_text(errno));
  } catch (...) {
    unlink(unfinished.c_str());
    throw;
  }
  own->info_ = info;
  own->path_ = path;
  remember(path);
  return own;
}

std::unique_ptr<OwnPage> OwnPage::attach(const std::string& live_path,
                                         const AttemptId& attempt_id) {
  std::unique_ptr<OwnPage> own(new OwnPage);
  const std::string path = page_path(live_path, attempt_id);
  FINOPS_REQUIRE(!is_own_page(path), ErrorCode::Conflict,
                 "this process holds the live page of " + attempt_id.str() + " already");
  const int descriptor = open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW);
  FINOPS_REQUIRE(descriptor >= 0, ErrorCode::NotFound,
                 "there is no live page of attempt " + attempt_id.str() + ": " + errno_text(errno));
  own->descriptor_ = descriptor;
  struct stat info{};
  FINOPS_REQUIRE(fstat(descriptor, &info) == 0 && S_ISREG(info.st_mode) &&
                     info.st_uid == geteuid() && info.st_size == kPageSize,
                 ErrorCode::InvalidArgument, path + " is not a live page of ours");
  own->map_file(descriptor);
  std::string why;
  const std::optional<PageInfo> decoded = decode(own->page_->fixed, why);
  FINOPS_REQUIRE(decoded.has_value(), ErrorCode::InvalidArgument,
                 "the live page " + path + " cannot be used: " + why);
  own->info_ = *decoded;
  own->path_ = path;
  own->is_reporter_ = own->lock_byte(kReporterLockByte);
  if (own->is_reporter_) {
    own->page_->process.reporter_pid.store(static_cast<std::uint32_t>(getpid()),
                                           std::memory_order_release);
  }
  remember(path);
  return own;
}

std::unique_ptr<OwnPage> OwnPage::in_memory(const PageInfo& info) {
  std::unique_ptr<OwnPage> own(new OwnPage);
  own->map_file(-1);
  own->info_ = info;
  own->page_->process.state.store(ProcessState::Running, std::memory_order_relaxed);
  return own;
}

void OwnPage::release() {
  if (!is_owner()) {
    // A forked child closes its copy of the descriptor: its locks are not the parent's.
    if (descriptor_ >= 0) {
      close(descriptor_);
      descriptor_ = -1;
    }
    return;
  }
  mark_->store(0, std::memory_order_release);
  if (descriptor_ >= 0) {
    close(descriptor_);
    descriptor_ = -1;
  }
  if (is_on_disk()) {
    forget(path_);
  }
}

void OwnPage::remove() {
  if (is_on_disk()) {
    unlink(path_.c_str());
  }
}

}  // namespace finops::pulse
