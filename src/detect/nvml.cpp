// nvml.cpp - opens the driver's library and asks it, function by function.
#include "finops/detect/nvml.hpp"

#include <dlfcn.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <iterator>

#include "detect/nvml_abi.hpp"

namespace finops::detect {
namespace {

// Far above any host; what comes from outside is bounded.
constexpr unsigned kMaximumGpuCount = 256;
constexpr unsigned kMaximumProcessCount = 65'536;

template <class Function>
void find(void* library, const char* name, Function& function) {
  // POSIX says that dlsym's object pointer may be converted to a function pointer.
  function = reinterpret_cast<Function>(dlsym(library, name));
}

// The value that `function` writes, or empty if it is missing or refuses.
template <class Value, class Function, class... Arguments>
std::optional<Value> ask(Function function, Arguments... arguments) {
  Value value{};
  if (function == nullptr || function(arguments..., &value) != abi::kSuccess) {
    return std::nullopt;
  }
  return value;
}

std::string text_of(abi::DeviceText function, abi::Handle handle, unsigned size) {
  std::array<char, std::max(abi::kUuidSize, abi::kNameSize)> text{};
  if (function == nullptr || function(handle, text.data(), size) != abi::kSuccess) {
    return {};
  }
  text.back() = '\0';
  return text.data();
}

std::optional<double> watts(std::optional<unsigned> milliwatts) {
  return milliwatts.has_value() ? std::optional(*milliwatts / 1e3) : std::nullopt;
}

std::optional<double> percent(unsigned value) {
  return value <= 100 ? std::optional<double>(value) : std::nullopt;
}

// Asks for the size first, then for the list, again while it grows.
template <class Entry, class Function>
std::optional<std::vector<GpuProcess>> list_processes(Function function, abi::Handle handle) {
  if (function == nullptr) {
    return std::nullopt;
  }
  unsigned count = 0;
  std::vector<Entry> entries;
  int code = function(handle, &count, nullptr);
  for (int attempt = 0; code == abi::kInsufficientSize && attempt < 3; ++attempt) {
    count = std::min(count * 2 + 8, kMaximumProcessCount);
    entries.assign(count, Entry{});
    code = function(handle, &count, entries.data());
  }
  if (code != abi::kSuccess) {
    return std::nullopt;
  }
  entries.resize(std::min<std::size_t>(count, entries.size()));
  std::vector<GpuProcess> processes;
  processes.reserve(entries.size());
  for (const Entry& entry : entries) {
    GpuProcess process{.pid = static_cast<pid_t>(entry.pid), .memory_bytes = {}, .utilization = {}};
    if (entry.used_memory != abi::kValueNotAvailable) {
      process.memory_bytes = static_cast<std::int64_t>(entry.used_memory);
    }
    processes.push_back(process);
  }
  return processes;
}

}  // namespace

/// Null where the library does not have it.
struct Nvml::Functions {
  abi::Plain init;
  abi::Plain shutdown;
  abi::ErrorString error_string;
  abi::DeviceCount device_count;
  abi::HandleByIndex handle_by_index;
  abi::DeviceText uuid;
  abi::DeviceText name;
  abi::DeviceUtilization utilization;
  abi::DeviceMemory memory;
  abi::DeviceMemoryV2 memory_v2;
  abi::DeviceNumber power_usage;
  abi::DeviceNumber enforced_power_limit;
  abi::DeviceNumber power_limit;
  abi::RunningProcessesV2 processes_v3;
  abi::RunningProcessesV2 processes_v2;
  abi::RunningProcessesV1 processes_v1;
  abi::DeviceProcessUtilization process_utilization;
  abi::DeviceTwoNumbers mig_mode;
  abi::DeviceNumber maximum_mig_count;
  abi::MigHandleByIndex mig_handle_by_index;

  explicit Functions(void* library) {
    find(library, "nvmlInit_v2", init);
    find(library, "nvmlShutdown", shutdown);
    find(library, "nvmlErrorString", error_string);
    find(library, "nvmlDeviceGetCount_v2", device_count);
    find(library, "nvmlDeviceGetHandleByIndex_v2", handle_by_index);
    find(library, "nvmlDeviceGetUUID", uuid);
    find(library, "nvmlDeviceGetName", name);
    find(library, "nvmlDeviceGetUtilizationRates", utilization);
    find(library, "nvmlDeviceGetMemoryInfo", memory);
    find(library, "nvmlDeviceGetMemoryInfo_v2", memory_v2);
    find(library, "nvmlDeviceGetPowerUsage", power_usage);
    find(library, "nvmlDeviceGetEnforcedPowerLimit", enforced_power_limit);
    find(library, "nvmlDeviceGetPowerManagementLimit", power_limit);
    find(library, "nvmlDeviceGetComputeRunningProcesses_v3", processes_v3);
    find(library, "nvmlDeviceGetComputeRunningProcesses_v2", processes_v2);
    find(library, "nvmlDeviceGetComputeRunningProcesses", processes_v1);
    find(library, "nvmlDeviceGetProcessUtilization", process_utilization);
    find(library, "nvmlDeviceGetMigMode", mig_mode);
    find(library, "nvmlDeviceGetMaxMigDeviceCount", maximum_mig_count);
    find(library, "nvmlDeviceGetMigDeviceHandleByIndex", mig_handle_by_index);
  }
};

struct Nvml::Device {
  abi::Handle handle = nullptr;
  std::int64_t index = 0;
};

NvmlLoad Nvml::load(const std::string& library) {
  NvmlLoad result;
  void* opened = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (opened == nullptr) {
    const char* reason = dlerror();
    result.why = reason != nullptr ? reason : "cannot open " + library;
    // The driver's device is there even where its library is not, as in a bare container.
    result.may_have_gpus = access("/dev/nvidiactl", F_OK) == 0;
    return result;
  }
  // Never closed: the driver keeps state of its own, and loading it again gives the same copy.
  auto functions = std::make_unique<Functions>(opened);
  if (functions->init == nullptr || functions->device_count == nullptr ||
      functions->handle_by_index == nullptr || functions->uuid == nullptr) {
    result.why = library + " is no NVML that can be used: functions of version 2 are missing";
    result.may_have_gpus = true;
    return result;
  }
  const int code = functions->init();
  if (code != abi::kSuccess) {
    const char* reason = functions->error_string != nullptr ? functions->error_string(code) : "";
    result.why = "nvmlInit_v2 failed: " + std::string(reason != nullptr ? reason : "") + " (NVML " +
                 std::to_string(code) + ")";
    result.may_have_gpus =
        code != abi::kDriverNotLoaded && code != abi::kLibraryNotFound && code != abi::kGpuNotFound;
    return result;
  }
  result.nvml = std::unique_ptr<Nvml>(new Nvml(std::move(functions), getpid()));
  return result;
}

Nvml::Nvml(std::unique_ptr<Functions> functions, pid_t owner)
    : functions_(std::move(functions)), owner_(owner) {}

Nvml::~Nvml() {
  if (getpid() == owner_ && functions_->shutdown != nullptr) {
    functions_->shutdown();
  }
}

std::optional<std::vector<GpuSample>> Nvml::sample() {
  // NVML does not work on the far side of a fork: its descriptors and locks are the parent's.
  if (getpid() != owner_) {
    return std::nullopt;
  }
  const std::optional<unsigned> count = ask<unsigned>(functions_->device_count);
  if (!count.has_value()) {
    return std::nullopt;
  }
  std::vector<GpuSample> samples;
  for (unsigned index = 0; index < std::min(*count, kMaximumGpuCount); ++index) {
    const auto handle = ask<abi::Handle>(functions_->handle_by_index, index);
    if (!handle.has_value()) {
      continue;
    }
    const Device device{.handle = *handle, .index = index};
    std::optional<GpuSample> read = read_device(device);
    if (!read.has_value()) {
      continue;
    }
    std::vector<GpuSample> instances;
    if (read->is_mig) {
      instances = read_instances(device);
    }
    if (instances.empty()) {
      add_utilization(device, *read);
      instances.push_back(*std::move(read));
    }
    std::move(instances.begin(), instances.end(), std::back_inserter(samples));
  }
  return samples;
}

std::optional<GpuSample> Nvml::read_device(const Device& device) const {
  GpuSample sample;
  sample.uuid = text_of(functions_->uuid, device.handle, abi::kUuidSize);
  if (sample.uuid.empty()) {
    return std::nullopt;
  }
  sample.name = text_of(functions_->name, device.handle, abi::kNameSize);
  sample.index = device.index;
  if (const auto rates = ask<abi::Utilization>(functions_->utilization, device.handle)) {
    sample.utilization = percent(rates->gpu);
  }
  abi::MemoryV2 memory_v2{};
  memory_v2.version = abi::kMemoryV2Version;
  if (functions_->memory_v2 != nullptr &&
      functions_->memory_v2(device.handle, &memory_v2) == abi::kSuccess) {
    sample.memory_bytes = static_cast<std::int64_t>(memory_v2.used);
  } else if (const auto memory = ask<abi::Memory>(functions_->memory, device.handle)) {
    sample.memory_bytes = static_cast<std::int64_t>(memory->used);
  }
  sample.power_watts = watts(ask<unsigned>(functions_->power_usage, device.handle));
  // The enforced limit is the lowest of all limits; what an administrator set is one of them.
  sample.power_limit_watts = watts(ask<unsigned>(functions_->enforced_power_limit, device.handle));
  if (!sample.power_limit_watts.has_value()) {
    sample.power_limit_watts = watts(ask<unsigned>(functions_->power_limit, device.handle));
  }
  unsigned pending = 0;
  unsigned current = 0;
  sample.is_mig = functions_->mig_mode != nullptr &&
                  functions_->mig_mode(device.handle, &current, &pending) == abi::kSuccess &&
                  current == 1;
  sample.processes = read_processes(device);
  return sample;
}

std::vector<GpuSample> Nvml::read_instances(const Device& device) const {
  std::vector<GpuSample> instances;
  const unsigned count = ask<unsigned>(functions_->maximum_mig_count, device.handle).value_or(0);
  for (unsigned index = 0; index < std::min(count, kMaximumGpuCount); ++index) {
    // Most places are empty: the driver counts how many instances there could be.
    const auto handle = ask<abi::Handle>(functions_->mig_handle_by_index, device.handle, index);
    if (!handle.has_value()) {
      continue;
    }
    if (auto instance = read_device({.handle = *handle, .index = device.index})) {
      instance->is_mig = true;
      instances.push_back(*std::move(instance));
    }
  }
  return instances;
}

std::optional<std::vector<GpuProcess>> Nvml::read_processes(const Device& device) const {
  // A library may have a function that its older driver does not know: then the next is asked.
  if (auto list = list_processes<abi::ProcessV2>(functions_->processes_v3, device.handle)) {
    return list;
  }
  if (auto list = list_processes<abi::ProcessV2>(functions_->processes_v2, device.handle)) {
    return list;
  }
  return list_processes<abi::ProcessV1>(functions_->processes_v1, device.handle);
}

void Nvml::add_utilization(const Device& device, GpuSample& sample) {
  if (functions_->process_utilization == nullptr || !sample.processes.has_value()) {
    return;
  }
  unsigned long long& seen_until = seen_until_[sample.uuid];
  unsigned count = 0;
  std::vector<abi::ProcessUtilization> entries;
  int code = functions_->process_utilization(device.handle, nullptr, &count, seen_until);
  if (code == abi::kInsufficientSize) {
    entries.resize(std::min(count, kMaximumProcessCount));
    code = functions_->process_utilization(device.handle, entries.data(), &count, seen_until);
    entries.resize(code == abi::kSuccess ? std::min<std::size_t>(count, entries.size()) : 0);
  }
  // "Not found" says that nothing ran since the last look, which is a number: zero.
  if (code != abi::kSuccess && code != abi::kNotFound) {
    return;
  }
  std::map<pid_t, double> highest;
  for (const abi::ProcessUtilization& entry : entries) {
    seen_until = std::max(seen_until, entry.time_stamp);
    if (const std::optional<double> value = percent(entry.sm)) {
      double& known = highest[static_cast<pid_t>(entry.pid)];
      known = std::max(known, *value);
    }
  }
  for (GpuProcess& process : *sample.processes) {
    const auto found = highest.find(process.pid);
    process.utilization = found != highest.end() ? found->second : 0.0;
  }
}

}  // namespace finops::detect
