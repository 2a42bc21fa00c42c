// nvml.hpp - what NVIDIA's driver tells of the GPUs of this host.
//
// Owns: Nvml, GpuSample. Does not own: when it is asked (gpu_watcher.hpp), whose GPU it is (agent).
// Invariants: the driver's library is opened at run time and never linked; what the driver does not
// tell is an empty optional, never zero; a call may block for as long as the driver likes, so no
// training thread and no agent's round makes one.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace finops::detect {

/// The name under which every NVIDIA driver installs its library.
inline constexpr const char* kNvmlLibrary = "libnvidia-ml.so.1";

/// A process that holds memory of a GPU. Inside a container the driver may give host pids.
struct GpuProcess {
  pid_t pid = 0;
  std::optional<std::int64_t> memory_bytes;
  std::optional<double> utilization;  ///< percent; its highest since the last look
};

/// One GPU, or one MIG instance of it, at one look.
struct GpuSample {
  std::string uuid;  ///< "GPU-..." or "MIG-..."; never empty
  std::string name;
  std::int64_t index = 0;                    ///< NVML's: PCI order; a MIG instance has its GPU's
  std::optional<double> utilization;         ///< percent of the time with a kernel running
  std::optional<std::int64_t> memory_bytes;  ///< in use
  std::optional<double> power_watts;
  std::optional<double> power_limit_watts;
  bool is_mig = false;
  /// Empty optional: the driver does not list them. An empty list is no proof that there are none:
  /// in a container the driver may hide them.
  std::optional<std::vector<GpuProcess>> processes;
};

class Nvml;

struct NvmlLoad {
  std::unique_ptr<Nvml> nvml;  ///< null: there is none, and `why` says so
  std::string why;
  /// Without `nvml`: GPUs may be there all the same (a driver that is newer than its library).
  bool may_have_gpus = false;
};

/// The driver's library, initialised. Used by one thread at a time; after a fork the child's copy
/// answers nothing and closes nothing.
class Nvml {
 public:
  /// Opens and initialises the library. Never throws for the state of the driver.
  [[nodiscard]] static NvmlLoad load(const std::string& library = kNvmlLibrary);
  ~Nvml();
  Nvml(const Nvml&) = delete;
  Nvml& operator=(const Nvml&) = delete;

  /// All GPUs that can be named; where a GPU is split by MIG, its instances in its place. A GPU
  /// that fell off the bus is left out. Empty optional: the driver does not even say how many there
  /// are.
  [[nodiscard]] std::optional<std::vector<GpuSample>> sample();

 private:
  struct Functions;
  struct Device;
  Nvml(std::unique_ptr<Functions> functions, pid_t owner);
  [[nodiscard]] std::optional<GpuSample> read_device(const Device& device) const;
  [[nodiscard]] std::vector<GpuSample> read_instances(const Device& device) const;
  [[nodiscard]] std::optional<std::vector<GpuProcess>> read_processes(const Device& device) const;
  void add_utilization(const Device& device, GpuSample& sample);

  std::unique_ptr<Functions> functions_;
  pid_t owner_;
  std::map<std::string, unsigned long long> seen_until_;  // per UUID, the driver's microseconds
};

}  // namespace finops::detect
