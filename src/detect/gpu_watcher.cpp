// gpu_watcher.cpp - the thread that waits for the driver, so that nobody else does.
#include "finops/detect/gpu_watcher.hpp"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <condition_variable>
#include <exception>
#include <mutex>
#include <new>
#include <optional>
#include <system_error>
#include <utility>

#include "finops/base/error.hpp"

namespace finops::detect {
namespace {

// A sample is used for this many intervals.
constexpr int kFreshIntervals = 3;
// A host without a driver is asked again after this many: one that is installed is found.
constexpr int kRetryIntervals = 60;

// Suspension counts: what was measured before it says nothing of now.
BootTime boot_now() { return SystemClock{}.now().boot; }

// The agent's thread gets the signals, as if this one did not exist.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_{};
};

}  // namespace

/// What the thread and its watcher share; whoever leaves last destroys it.
struct GpuWatcher::Shared {
  explicit Shared(GpuWatcherOptions given) : options(std::move(given)) {}

  const GpuWatcherOptions options;
  std::mutex mutex;
  std::condition_variable changed;
  bool is_stopping = false;
  bool is_done = false;
  bool has_driver = true;  // until the library says otherwise
  std::string why = "the driver has not answered yet";
  std::optional<BootTime> sampled_at;
  std::vector<GpuSample> gpus;
};

GpuWatcher::GpuWatcher(GpuWatcherOptions options)
    : shared_(std::make_shared<Shared>(std::move(options))) {
  FINOPS_REQUIRE(shared_->options.interval > Nanoseconds::zero(), ErrorCode::InvalidArgument,
                 "the interval between two looks at the GPUs must be above zero");
}

GpuWatcher::~GpuWatcher() {
  if (thread_ == nullptr) {
    return;
  }
  if (getpid() != owner_) {
    // The thread stayed in the parent, and so may a lock that it held: both are left as they are.
    [[maybe_unused]] const auto* left =
        new (std::nothrow) std::pair(std::move(thread_), std::move(shared_));
    return;
  }
  std::unique_lock lock(shared_->mutex);
  shared_->is_stopping = true;
  shared_->changed.notify_all();
  const bool is_done = shared_->changed.wait_for(lock, shared_->options.stop_limit,
                                                 [this] { return shared_->is_done; });
  lock.unlock();
  if (is_done) {
    thread_->join();
  } else {
    thread_->detach();
  }
}

void GpuWatcher::start() {
  if (thread_ != nullptr) {
    return;
  }
  const SignalsBlocked blocked;
  try {
    thread_ = std::make_unique<std::thread>([shared = shared_] { watch(shared); });
    owner_ = getpid();
    pthread_setname_np(thread_->native_handle(), "finops-nvml");
  } catch (const std::system_error& error) {
    const std::lock_guard lock(shared_->mutex);
    shared_->why = std::string("no thread to ask the driver: ") + error.what();
  }
}

GpuReading GpuWatcher::latest() const {
  GpuReading reading;
  if (thread_ != nullptr && getpid() != owner_) {
    reading.why = "a forked child does not watch GPUs";
    return reading;
  }
  const BootTime now = boot_now();
  const std::lock_guard lock(shared_->mutex);
  if (shared_->sampled_at.has_value()) {
    reading.age = now - *shared_->sampled_at;
    if (reading.age <= kFreshIntervals * shared_->options.interval) {
      reading.sight = GpuSight::Fresh;
      reading.gpus = shared_->gpus;
      return reading;
    }
  }
  reading.sight = shared_->has_driver ? GpuSight::Blind : GpuSight::NoDriver;
  reading.why = shared_->why;
  return reading;
}

void GpuWatcher::watch(const std::shared_ptr<Shared>& shared) {
  std::string why;
  try {
    watch_until_stopped(*shared);
  } catch (const std::exception& error) {
    why = error.what();  // out of memory: readings grow old, and nobody is stopped for that
  }
  const std::lock_guard lock(shared->mutex);
  shared->why = why.empty() ? shared->why : why;
  shared->is_done = true;
  shared->changed.notify_all();
}

void GpuWatcher::watch_until_stopped(Shared& shared) {
  NvmlLoad driver;
  std::unique_lock lock(shared.mutex);
  while (!shared.is_stopping) {
    lock.unlock();
    // Nothing is held here: any of this may take for ever.
    std::optional<std::vector<GpuSample>> gpus;
    if (driver.nvml == nullptr) {
      driver = Nvml::load(shared.options.library);
    }
    if (driver.nvml != nullptr) {
      const BootTime asked_at = boot_now();
      gpus = driver.nvml->sample();
      if (!gpus.has_value()) {
        driver = {};  // opened anew with the next look
        driver.why = "the driver does not say how many GPUs there are";
        driver.may_have_gpus = true;
      }
      lock.lock();
      if (gpus.has_value()) {
        shared.sampled_at = asked_at;
        shared.gpus = *std::move(gpus);
      }
    } else {
      lock.lock();
    }
    shared.has_driver = driver.nvml != nullptr || driver.may_have_gpus;
    shared.why = driver.nvml != nullptr ? "the driver does not answer" : driver.why;
    const int intervals = shared.has_driver ? 1 : kRetryIntervals;
    shared.changed.wait_for(lock, intervals * shared.options.interval,
                            [&shared] { return shared.is_stopping; });
  }
  lock.unlock();
  driver = {};  // the driver's shutdown may block as well
}

}  // namespace finops::detect
