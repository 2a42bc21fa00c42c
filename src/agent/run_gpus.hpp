// run_gpus.hpp - which of a host's GPUs are a run's, and how much of each it uses.
//
// Owns: RunGpu, gpus_of, visible_gpus. Does not own: the driver (detect), what use means (guard).
// Invariant: a GPU is a run's because one of its processes holds it, or because its environment
// names it without doubt; otherwise it is not known, and nothing is guessed.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "finops/detect/nvml.hpp"

namespace finops::agent {

struct RunGpu {
  const detect::GpuSample* gpu = nullptr;
  /// Percent: the device's, or, where others hold the GPU too and the driver tells it for each
  /// process, the sum over the run's. Where it does not, others' work counts as the run's: that can
  /// hide idleness, never invent it.
  std::optional<double> utilization;
  bool has_process = false;
};

/// What a process was told of the GPUs that it may see.
struct GpuEnvironment {
  std::optional<std::string> visible_devices;  ///< CUDA_VISIBLE_DEVICES; nullopt: not set
  std::optional<std::string> device_order;     ///< CUDA_DEVICE_ORDER
};

/// The environments that the run's owner and ranks were started with, or, where they name no GPUs,
/// those of their descendants. `pids` are the run's living processes, owner and ranks first.
[[nodiscard]] std::vector<GpuEnvironment> gpu_environments(std::span<const pid_t> pids,
                                                           std::size_t root_count);

/// The GPUs that the environment names without doubt, as CUDA reads it: up to the first entry that
/// is none. Empty: none, or it cannot be told which. UUIDs may be shortened to what is unique.
/// Indexes count only in PCI order (CUDA_DEVICE_ORDER=PCI_BUS_ID) or where they name all GPUs,
/// since CUDA's own order is by speed; with MIG they are never clear. Source: CUDA C++ Programming
/// Guide 12, "CUDA Environment Variables".
[[nodiscard]] std::vector<const detect::GpuSample*> visible_gpus(
    std::span<const detect::GpuSample> gpus, const GpuEnvironment& environment);

/// The GPUs of a run: those that one of its processes holds, as the driver lists them; if it lists
/// none of them, those that the environment names. Empty: not known.
[[nodiscard]] std::vector<RunGpu> gpus_of(std::span<const detect::GpuSample> gpus,
                                          std::span<const pid_t> pids, std::size_t root_count);

}  // namespace finops::agent
