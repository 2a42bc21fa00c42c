// gpu_watcher.hpp - the GPUs of this host as last seen, without waiting for the driver.
//
// Owns: GpuReading, GpuSource, GpuWatcher and its thread. Does not own: the driver (nvml.hpp).
// Invariants: readers never wait for the driver, whatever it does; a sample older than three
// intervals is not given out; the thread exists only in a process that asked for it by `start`
// (an agent's), and a driver that never answers delays its end by the stop limit only.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "finops/base/clock.hpp"
#include "finops/detect/nvml.hpp"

namespace finops::detect {

/// NoDriver: this host has no NVIDIA GPU, as far as can be told. Blind: it may have some, and
/// nothing fresh is known of them.
enum class GpuSight { NoDriver, Blind, Fresh };

struct GpuReading {
  GpuSight sight = GpuSight::Blind;
  std::vector<GpuSample> gpus;  ///< empty unless Fresh
  Nanoseconds age{};            ///< of the last sample, fresh or not; zero if there was none
  std::string why;              ///< why it is not Fresh, for people
};

/// Where readings come from; tests hand in their own.
class GpuSource {
 public:
  virtual ~GpuSource() = default;
  /// Begins to look, if it has not begun. Never waits.
  virtual void start() = 0;
  /// The last reading. Never waits for a driver.
  [[nodiscard]] virtual GpuReading latest() const = 0;
};

struct GpuWatcherOptions {
  Nanoseconds interval{std::chrono::seconds{10}};
  Nanoseconds stop_limit{std::chrono::seconds{1}};  ///< how long the end waits for the driver
  std::string library = kNvmlLibrary;
};

class GpuWatcher final : public GpuSource {
 public:
  /// Throws Error(InvalidArgument) unless the interval is above zero.
  explicit GpuWatcher(GpuWatcherOptions options);
  /// Stops the thread. One that is stuck inside the driver is left to itself: it owns all that it
  /// touches, and the process can exit. In a forked child nothing is done.
  ~GpuWatcher() override;
  GpuWatcher(const GpuWatcher&) = delete;
  GpuWatcher& operator=(const GpuWatcher&) = delete;

  /// Starts the thread. Where the system gives none, readings stay Blind and say why.
  void start() override;
  [[nodiscard]] GpuReading latest() const override;

 private:
  struct Shared;
  static void watch(const std::shared_ptr<Shared>& shared);
  static void watch_until_stopped(Shared& shared);

  std::shared_ptr<Shared> shared_;
  std::unique_ptr<std::thread> thread_;
  pid_t owner_ = 0;
};

}  // namespace finops::detect
