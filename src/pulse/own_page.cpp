// own_page.cpp - making, attaching, locking and leaving a live page.
#include "finops/pulse/own_page.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <mutex>
#include <set>
#include <thread>

#include "finops/base/durable.hpp"
#include "finops/base/error.hpp"
#include "finops/base/per_process.hpp"
#include "finops/base/private_file.hpp"
#include "pulse/record_lock.hpp"

namespace finops::pulse {
namespace {

// Which pages this process holds.
struct Registry {
  std::mutex mutex;
  std::set<std::string> paths;
};

Registry& registry() { return per_process<Registry>(); }

void remember(const std::string& path) {
  const std::lock_guard<std::mutex> guard(registry().mutex);
  registry().paths.insert(path);
}

void forget(const std::string& path) {
  const std::lock_guard<std::mutex> guard(registry().mutex);
  registry().paths.erase(path);
}

// Longer than a write takes; a rank that stands still with the lock holds up nobody else.
constexpr std::chrono::milliseconds kCheckpointWait{500};

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

OwnerMark::OwnerMark() {
  void* memory =
      mmap(nullptr, kPageSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  FINOPS_REQUIRE(memory != MAP_FAILED, ErrorCode::SystemFailure,
                 "cannot map memory: " + errno_text(errno));
  // On a file mapping this is EINVAL, hence a page of its own.
  madvise(memory, kPageSize, MADV_WIPEONFORK);
  words_ = static_cast<std::atomic<std::uint32_t>*>(memory);
  new (&words_[0]) std::atomic<std::uint32_t>(1);
  new (&words_[1]) std::atomic<std::uint32_t>(1);
}

OwnerMark::~OwnerMark() { munmap(words_, kPageSize); }

OwnPage::~OwnPage() {
  release();
  if (page_ != nullptr) {
    munmap(page_, kPageSize);
  }
}

void OwnPage::map_file(int descriptor) {
  descriptor_ = descriptor;
  void* memory = mmap(nullptr, kPageSize, PROT_READ | PROT_WRITE,
                      descriptor < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED, descriptor, 0);
  FINOPS_REQUIRE(memory != MAP_FAILED, ErrorCode::SystemFailure,
                 "cannot map the live page: " + errno_text(errno));
  page_ = static_cast<PageLayout*>(memory);
}

bool OwnPage::set_lock(int byte, short type) const {
  struct flock lock{};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = byte;
  lock.l_len = 1;
  return fcntl(descriptor_, F_SETLK, &lock) == 0;
}

void OwnPage::take_rank_byte() {
  for (int byte = kFirstRankLockByte; byte < kLifeByteCount; ++byte) {
    if (set_lock(byte, F_WRLCK)) {
      rank_byte_ = byte;
      return;
    }
  }
}

std::unique_ptr<OwnPage> OwnPage::create(const std::string& live_path, const PageInfo& info) {
  std::unique_ptr<OwnPage> own(new OwnPage);
  const std::string path = page_path(live_path, info.attempt_id);
  const std::string unfinished = live_path + "/." + info.attempt_id.str() + ".new";
  const PrivateFile file = open_private_file(unfinished, O_RDWR | O_CREAT | O_EXCL);
  FINOPS_REQUIRE(file.is_open(), ErrorCode::SystemFailure, "cannot make the live page " + file.why);
  const int descriptor = file.descriptor;
  own->descriptor_ = descriptor;
  try {
    const int code = posix_fallocate(descriptor, 0, kPageSize);
    FINOPS_REQUIRE(code == 0, ErrorCode::SystemFailure,
                   "no room for the live page " + path + ": " + errno_text(code));
    own->map_file(descriptor);
    encode(info, own->page_->fixed);
    own->page_->process.state.store(ProcessState::Running, std::memory_order_relaxed);
    own->page_->group.rank_count.store(info.is_command ? 0 : 1, std::memory_order_relaxed);
    own->page_->process.last_seen_ns.store(info.started_at.monotonic.time_since_epoch().count(),
                                           std::memory_order_relaxed);
    FINOPS_REQUIRE(own->set_lock(kOwnerLockByte, F_WRLCK), ErrorCode::SystemFailure,
                   "cannot lock the live page " + path + ": " + errno_text(errno));
    // The ledger's rows come after the page, and survive a power loss: so must what settles them,
    // or the attempt would stay open with what it holds.
    FINOPS_REQUIRE(fsync(descriptor) == 0, ErrorCode::SystemFailure,
                   "cannot sync the live page " + path + ": " + errno_text(errno));
    // Before anybody can see it: a scan of this process that opened it would drop its lock.
    remember(path);
    FINOPS_REQUIRE(rename(unfinished.c_str(), path.c_str()) == 0, ErrorCode::SystemFailure,
                   "cannot name the live page " + path + ": " + errno_text(errno));
    if (!sync_folder(live_path)) {
      const int error_number = errno;
      unlink(path.c_str());
      detail::throw_error(ErrorCode::SystemFailure, "cannot sync the live folder " + live_path +
                                                        ": " + errno_text(error_number));
    }
  } catch (...) {
    forget(path);
    unlink(unfinished.c_str());
    throw;
  }
  own->info_ = info;
  own->is_counted_ = !info.is_command;
  own->path_ = path;
  return own;
}

std::unique_ptr<OwnPage> OwnPage::attach(const std::string& live_path, const AttemptId& attempt_id,
                                         bool only_if_alive) {
  std::unique_ptr<OwnPage> own(new OwnPage);
  const std::string path = page_path(live_path, attempt_id);
  FINOPS_REQUIRE(!is_own_page(path), ErrorCode::Conflict,
                 "this process holds the live page of " + attempt_id.str() + " already");
  const PrivateFile file = open_private_file(path, O_RDWR);
  FINOPS_REQUIRE(file.is_open(), ErrorCode::NotFound,
                 "there is no live page of attempt " + attempt_id.str() + ": " + file.why);
  const int descriptor = file.descriptor;
  own->descriptor_ = descriptor;
  struct stat info{};
  FINOPS_REQUIRE(fstat(descriptor, &info) == 0 && info.st_size == kPageSize,
                 ErrorCode::InvalidArgument, path + " is not a live page of ours");
  own->map_file(descriptor);
  std::string why;
  const std::optional<PageInfo> decoded = decode(own->page_->fixed, why);
  FINOPS_REQUIRE(decoded.has_value(), ErrorCode::InvalidArgument,
                 "the live page " + path + " cannot be used: " + why);
  own->info_ = *decoded;
  own->is_keeper_ = false;
  FINOPS_REQUIRE(!only_if_alive || is_any_locked(descriptor, kOwnerLockByte, kLifeByteCount),
                 ErrorCode::NotFound, "the attempt " + attempt_id.str() + " is over");
  own->path_ = path;
  remember(path);
  if (!own->try_keep()) {
    own->take_rank_byte();
  }
  own->page_->group.rank_count.fetch_add(1, std::memory_order_relaxed);
  own->is_counted_ = true;
  return own;
}

bool OwnPage::try_keep() {
  if (is_keeper() || !is_on_disk() || descriptor_ < 0) {
    return is_keeper();
  }
  if (set_lock(keeper_byte(), F_WRLCK)) {
    is_keeper_ = true;
    page_->process.reporter_pid.store(static_cast<std::uint32_t>(getpid()),
                                      std::memory_order_release);
  }
  return is_keeper();
}

bool OwnPage::has_other_ranks() const {
  return is_on_disk() && descriptor_ >= 0 &&
         is_any_locked(descriptor_, keeper_byte(), kLifeByteCount - keeper_byte());
}

bool OwnPage::is_last_to_leave() {
  if (!is_on_disk()) {
    return true;
  }
  // First the own byte is given up, then the keeper's is asked for; a keeper gives up its byte
  // first and then asks for the others'. So of two that leave at once one sees the other's step.
  if (rank_byte_ >= 0) {
    (void)set_lock(rank_byte_, F_UNLCK);
    rank_byte_ = -1;
  }
  constexpr int kRounds = 3;  // each more means that another process came and went meanwhile
  for (int round = 0; round < kRounds && try_keep(); ++round) {
    if (page_->process.state.load(std::memory_order_acquire) != ProcessState::Running) {
      return false;  // the keeper before saw nobody any more, and has ended the attempt
    }
    if (!has_other_ranks()) {
      return true;
    }
    is_keeper_ = false;
    (void)set_lock(keeper_byte(), F_UNLCK);
    if (has_other_ranks()) {
      return false;
    }
  }
  return false;
}

bool OwnPage::try_add_user() noexcept {
  int count = user_count_.load();
  while (count > 0 && !user_count_.compare_exchange_weak(count, count + 1)) {
  }
  return count > 0;
}

void OwnPage::confirm_checkpoint(std::int64_t step, const std::string& path, UtcTime now) {
  const std::lock_guard<std::mutex> guard(checkpoint_mutex_);
  const bool is_shared = descriptor_ >= 0;
  const auto deadline = std::chrono::steady_clock::now() + kCheckpointWait;
  while (is_shared && !set_lock(kCheckpointLockByte, F_WRLCK) &&
         std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(std::chrono::milliseconds{2});
  }
  const std::optional<PageCheckpoint> newest = read_checkpoint(*page_);
  if (!newest.has_value() || newest->step != step || newest->path != path) {
    const std::uint64_t count = page_->process.checkpoint_count.load(std::memory_order_relaxed);
    write_checkpoint(*page_, {.count = count + 1, .step = step, .confirmed_at = now, .path = path});
  }
  if (is_shared) {
    (void)set_lock(kCheckpointLockByte, F_UNLCK);
  }
}

std::unique_ptr<OwnPage> OwnPage::in_memory(const PageInfo& info) {
  std::unique_ptr<OwnPage> own(new OwnPage);
  own->map_file(-1);
  own->info_ = info;
  own->page_->process.state.store(ProcessState::Running, std::memory_order_relaxed);
  return own;
}

void OwnPage::release() {
  const bool was_owner = is_owner();
  if (was_owner) {
    mark_.clear();
    if (is_counted_) {
      page_->group.rank_count.fetch_sub(1, std::memory_order_relaxed);
    }
  }
  // A forked child closes its copy of the descriptor: its locks are not the parent's.
  if (descriptor_ >= 0) {
    close(descriptor_);
    descriptor_ = -1;
  }
  if (was_owner && is_on_disk()) {
    forget(path_);
  }
}

void OwnPage::remove() {
  if (is_on_disk() && mark_.is_made_here()) {
    unlink(path_.c_str());
  }
}

}  // namespace finops::pulse
