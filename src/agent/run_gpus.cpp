// run_gpus.cpp - attributes GPUs by the driver's process lists, then by the environment.
#include "agent/run_gpus.hpp"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <string_view>

#include "finops/detect/process_usage.hpp"

namespace finops::agent {
namespace {

using detect::GpuProcess;
using detect::GpuSample;

// How many descendants are asked for their environment in one round.
constexpr std::size_t kEnvironmentLimit = 64;

std::optional<std::size_t> parse_index(std::string_view text) {
  std::size_t value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool is_number = code == std::errc{} && end == text.data() + text.size() && !text.empty();
  return is_number ? std::optional(value) : std::nullopt;
}

std::vector<std::string_view> entries_of(std::string_view list) {
  std::vector<std::string_view> entries;
  while (!list.empty()) {
    std::string_view entry = list.substr(0, list.find(','));
    list.remove_prefix(std::min(entry.size() + 1, list.size()));
    while (entry.starts_with(' ')) {
      entry.remove_prefix(1);
    }
    while (entry.ends_with(' ')) {
      entry.remove_suffix(1);
    }
    entries.push_back(entry);
  }
  return entries;
}

// The one GPU whose UUID begins so; null if there is none or several.
const GpuSample* gpu_named(std::span<const GpuSample> gpus, std::string_view name) {
  if (!name.starts_with("GPU-") && !name.starts_with("MIG-")) {
    return nullptr;
  }
  const GpuSample* found = nullptr;
  for (const GpuSample& gpu : gpus) {
    if (gpu.uuid == name) {
      return &gpu;
    }
    if (gpu.uuid.starts_with(name)) {
      if (found != nullptr) {
        return nullptr;
      }
      found = &gpu;
    }
  }
  return found;
}

void add_once(const GpuSample* gpu, std::vector<const GpuSample*>& found) {
  if (std::ranges::find(found, gpu) == found.end()) {
    found.push_back(gpu);
  }
}

std::vector<const GpuSample*> gpus_at(std::span<const GpuSample> gpus,
                                      std::span<const std::size_t> indexes, bool is_pci_order) {
  std::vector<const GpuSample*> found;
  if (std::ranges::any_of(gpus, &GpuSample::is_mig)) {
    return found;
  }
  for (const GpuSample& gpu : gpus) {
    const auto index = static_cast<std::size_t>(gpu.index);
    if (std::ranges::find(indexes, index) != indexes.end()) {
      found.push_back(&gpu);
    }
  }
  const bool is_clear = is_pci_order || found.size() == gpus.size();
  return is_clear ? found : std::vector<const GpuSample*>{};
}

// A driver that sees the device busy and none of its processes does not tell who it is.
bool tells_who_works(const GpuSample& gpu) {
  const bool is_somebody = std::ranges::any_of(*gpu.processes, [](const GpuProcess& process) {
    return process.utilization.value_or(0) > 0;
  });
  return is_somebody || gpu.utilization.value_or(0) <= 0;
}

// The run's part of a GPU that others hold too; empty if the driver does not tell it.
std::optional<double> own_utilization(const GpuSample& gpu, std::span<const pid_t> pids) {
  if (!tells_who_works(gpu)) {
    return std::nullopt;
  }
  double sum = 0;
  for (const GpuProcess& process : *gpu.processes) {
    if (std::ranges::find(pids, process.pid) != pids.end()) {
      if (!process.utilization.has_value()) {
        return std::nullopt;
      }
      sum += *process.utilization;
    }
  }
  return std::min(sum, 100.0);
}

std::optional<RunGpu> held_gpu(const GpuSample& gpu, std::span<const pid_t> pids) {
  if (!gpu.processes.has_value()) {
    return std::nullopt;
  }
  const auto is_own = [pids](const GpuProcess& process) {
    return std::ranges::find(pids, process.pid) != pids.end();
  };
  const auto own_count = std::ranges::count_if(*gpu.processes, is_own);
  if (own_count == 0) {
    return std::nullopt;
  }
  RunGpu held{.gpu = &gpu, .utilization = gpu.utilization, .has_process = true};
  const bool is_shared = own_count < std::ranges::ssize(*gpu.processes);
  if (is_shared) {
    const std::optional<double> own = own_utilization(gpu, pids);
    held.utilization = own.has_value() ? own : gpu.utilization;
  }
  return held;
}

}  // namespace

std::vector<GpuEnvironment> gpu_environments(std::span<const pid_t> pids, std::size_t root_count) {
  std::vector<GpuEnvironment> environments;
  for (std::size_t index = 0; index < std::min(pids.size(), kEnvironmentLimit); ++index) {
    if (index == root_count && !environments.empty()) {
      break;  // what the owner and the ranks may see, their descendants share
    }
    GpuEnvironment environment;
    environment.visible_devices = start_environment(pids[index], "CUDA_VISIBLE_DEVICES");
    if (environment.visible_devices.has_value()) {
      environment.device_order = start_environment(pids[index], "CUDA_DEVICE_ORDER");
      environments.push_back(std::move(environment));
    }
  }
  return environments;
}

std::vector<const GpuSample*> visible_gpus(std::span<const GpuSample> gpus,
                                           const GpuEnvironment& environment) {
  std::vector<const GpuSample*> found;
  std::vector<std::size_t> indexes;
  if (!environment.visible_devices.has_value()) {
    return found;
  }
  for (const std::string_view entry : entries_of(*environment.visible_devices)) {
    if (const std::optional<std::size_t> index = parse_index(entry)) {
      if (*index >= gpus.size()) {
        break;
      }
      indexes.push_back(*index);
    } else if (const GpuSample* gpu = gpu_named(gpus, entry)) {
      add_once(gpu, found);
    } else {
      break;
    }
  }
  const bool is_pci_order = environment.device_order == "PCI_BUS_ID";
  for (const GpuSample* gpu : gpus_at(gpus, indexes, is_pci_order)) {
    add_once(gpu, found);
  }
  return found;
}

std::vector<RunGpu> gpus_of(std::span<const GpuSample> gpus, std::span<const pid_t> pids,
                            std::size_t root_count) {
  std::vector<RunGpu> own;
  for (const GpuSample& gpu : gpus) {
    if (const std::optional<RunGpu> held = held_gpu(gpu, pids)) {
      own.push_back(*held);
    }
  }
  if (!own.empty() || gpus.empty()) {
    return own;
  }
  std::vector<const GpuSample*> named;
  for (const GpuEnvironment& environment : gpu_environments(pids, root_count)) {
    for (const GpuSample* gpu : visible_gpus(gpus, environment)) {
      add_once(gpu, named);
    }
  }
  for (const GpuSample* gpu : named) {
    own.push_back({.gpu = gpu, .utilization = gpu->utilization, .has_process = false});
  }
  return own;
}

}  // namespace finops::agent
