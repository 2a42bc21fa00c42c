// fake_nvml.cpp - a driver's library for hosts without a GPU: it answers what a text file says.
//
// Owns: the functions of libnvidia-ml.so.1 that finops asks. Does not own: what they answer.
// Invariant: the file named by FAKE_NVML_FILE is read at every call, so that a test moves the
// driver while somebody watches it; what the file does not say is NOT_SUPPORTED.
//
// Lines, with fields in any order:
//   gpu uuid=GPU-a name=H100 utilization=97 memory=1000 power=300 limit=700 mig=0
//   mig gpu=0 uuid=MIG-a memory=10              an instance of the GPU that is the 0th here
//   process gpu=0 pid=12 memory=500 utilization=80     or mig=0 in place of gpu=0
//   error nvmlDeviceGetCount_v2 999             what the function answers
//   block nvmlDeviceGetCount_v2                 it answers when the line is gone
// FAKE_NVML_PROCESSES is the newest version of the process list that is built in: 1, 2 or 3.
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "detect/nvml_abi.hpp"

namespace abi = finops::detect::abi;

namespace {

constexpr int kNotSupported = 3;
constexpr int kNoDriver = abi::kDriverNotLoaded;

struct Line {
  std::string kind;
  std::string subject;  // of `error` and `block`
  std::string code;
  std::map<std::string, std::string> fields;
};

std::vector<Line> read_lines() {
  const char* path = std::getenv("FAKE_NVML_FILE");
  std::ifstream file(path != nullptr ? path : "");
  std::vector<Line> lines;
  std::string text;
  while (std::getline(file, text)) {
    std::istringstream words(text);
    Line line;
    words >> line.kind;
    if (line.kind == "error" || line.kind == "block") {
      words >> line.subject >> line.code;
    }
    std::string word;
    while (words >> word) {
      const std::size_t equals = word.find('=');
      if (equals != std::string::npos) {
        line.fields[word.substr(0, equals)] = word.substr(equals + 1);
      }
    }
    lines.push_back(line);
  }
  return lines;
}

std::vector<Line> lines_of(const std::string& kind) {
  std::vector<Line> found;
  for (const Line& line : read_lines()) {
    if (line.kind == kind) {
      found.push_back(line);
    }
  }
  return found;
}

// What the file wants of this call; 0: nothing.
int enter(const char* function) {
  for (;;) {
    bool is_blocked = false;
    for (const Line& line : read_lines()) {
      if (line.kind == "error" && line.subject == function) {
        return static_cast<int>(std::strtol(line.code.c_str(), nullptr, 10));
      }
      is_blocked = is_blocked || (line.kind == "block" && line.subject == function);
    }
    if (!is_blocked) {
      return abi::kSuccess;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds{2});
  }
}

// A handle is a number: 1 + the GPU's place, or 1001 + the instance's.
constexpr std::size_t kFirstInstance = 1'000;

abi::Handle handle_of(std::size_t place) {
  return reinterpret_cast<abi::Handle>(place + 1);  // NOLINT(performance-no-int-to-ptr)
}
std::size_t place_of(abi::Handle handle) { return reinterpret_cast<std::size_t>(handle) - 1; }

std::string field_of(abi::Handle handle, const std::string& name) {
  const std::size_t place = place_of(handle);
  const bool is_instance = place >= kFirstInstance;
  const std::vector<Line> lines = lines_of(is_instance ? "mig" : "gpu");
  const std::size_t index = is_instance ? place - kFirstInstance : place;
  if (index >= lines.size()) {
    return {};
  }
  const auto found = lines[index].fields.find(name);
  return found != lines[index].fields.end() ? found->second : std::string();
}

template <class Value>
int answer(const char* function, abi::Handle handle, const std::string& field, Value* value,
           unsigned factor = 1) {
  if (const int code = enter(function); code != abi::kSuccess) {
    return code;
  }
  const std::string text = field_of(handle, field);
  if (text.empty()) {
    return kNotSupported;
  }
  *value = static_cast<Value>(std::strtoull(text.c_str(), nullptr, 10) * factor);
  return abi::kSuccess;
}

int answer_text(const char* function, abi::Handle handle, const std::string& field, char* text,
                unsigned size) {
  if (const int code = enter(function); code != abi::kSuccess) {
    return code;
  }
  const std::string value = field_of(handle, field);
  if (value.empty() || value.size() >= size) {
    return value.empty() ? kNotSupported : abi::kInsufficientSize;
  }
  std::memcpy(text, value.c_str(), value.size() + 1);
  return abi::kSuccess;
}

std::vector<Line> processes_of(abi::Handle handle) {
  const std::size_t place = place_of(handle);
  const bool is_instance = place >= kFirstInstance;
  const std::string wanted = std::to_string(is_instance ? place - kFirstInstance : place);
  std::vector<Line> found;
  for (const Line& line : lines_of("process")) {
    const auto field = line.fields.find(is_instance ? "mig" : "gpu");
    if (field != line.fields.end() && field->second == wanted) {
      found.push_back(line);
    }
  }
  return found;
}

unsigned long long number_of(const Line& line, const std::string& name,
                             unsigned long long otherwise) {
  const auto found = line.fields.find(name);
  return found != line.fields.end() ? std::strtoull(found->second.c_str(), nullptr, 10) : otherwise;
}

template <class Entry>
int list(const char* function, abi::Handle handle, unsigned* count, Entry* entries) {
  if (const int code = enter(function); code != abi::kSuccess) {
    return code;
  }
  const std::vector<Line> lines = processes_of(handle);
  const unsigned room = *count;
  *count = static_cast<unsigned>(lines.size());
  if (room < lines.size()) {
    return abi::kInsufficientSize;
  }
  for (std::size_t index = 0; index < lines.size(); ++index) {
    entries[index] = Entry{};
    entries[index].pid = static_cast<unsigned>(number_of(lines[index], "pid", 0));
    entries[index].used_memory = number_of(lines[index], "memory", abi::kValueNotAvailable);
  }
  return abi::kSuccess;
}

}  // namespace

// NOLINTBEGIN(readability-identifier-naming): the names are NVML's.
extern "C" {

int nvmlInit_v2() {
  const int code = enter("nvmlInit_v2");
  return code == abi::kSuccess && read_lines().empty() ? kNoDriver : code;
}
int nvmlShutdown() { return enter("nvmlShutdown"); }
const char* nvmlErrorString(int /*code*/) { return "as the file says"; }

int nvmlDeviceGetCount_v2(unsigned* count) {
  *count = static_cast<unsigned>(lines_of("gpu").size());
  return enter("nvmlDeviceGetCount_v2");
}
int nvmlDeviceGetHandleByIndex_v2(unsigned index, abi::Handle* handle) {
  *handle = handle_of(index);
  // "lost=1" is a GPU that fell off the bus (NVML_ERROR_GPU_IS_LOST).
  return field_of(*handle, "lost") == "1" ? 15 : enter("nvmlDeviceGetHandleByIndex_v2");
}
int nvmlDeviceGetUUID(abi::Handle handle, char* text, unsigned size) {
  return answer_text("nvmlDeviceGetUUID", handle, "uuid", text, size);
}
int nvmlDeviceGetName(abi::Handle handle, char* text, unsigned size) {
  return answer_text("nvmlDeviceGetName", handle, "name", text, size);
}
int nvmlDeviceGetUtilizationRates(abi::Handle handle, abi::Utilization* rates) {
  return answer("nvmlDeviceGetUtilizationRates", handle, "utilization", &rates->gpu);
}
int nvmlDeviceGetMemoryInfo(abi::Handle handle, abi::Memory* memory) {
  return answer("nvmlDeviceGetMemoryInfo", handle, "memory", &memory->used);
}
int nvmlDeviceGetPowerUsage(abi::Handle handle, unsigned* milliwatts) {
  return answer("nvmlDeviceGetPowerUsage", handle, "power", milliwatts, 1'000);
}
int nvmlDeviceGetPowerManagementLimit(abi::Handle handle, unsigned* milliwatts) {
  return answer("nvmlDeviceGetPowerManagementLimit", handle, "limit", milliwatts, 1'000);
}
int nvmlDeviceGetMigMode(abi::Handle handle, unsigned* current, unsigned* pending) {
  *pending = 0;
  return answer("nvmlDeviceGetMigMode", handle, "mig", current);
}
int nvmlDeviceGetComputeRunningProcesses(abi::Handle handle, unsigned* count,
                                         abi::ProcessV1* entries) {
  return list("nvmlDeviceGetComputeRunningProcesses", handle, count, entries);
}
#if FAKE_NVML_PROCESSES >= 2
int nvmlDeviceGetComputeRunningProcesses_v2(abi::Handle handle, unsigned* count,
                                            abi::ProcessV2* entries) {
  return list("nvmlDeviceGetComputeRunningProcesses_v2", handle, count, entries);
}
#endif
#if FAKE_NVML_PROCESSES >= 3
int nvmlDeviceGetComputeRunningProcesses_v3(abi::Handle handle, unsigned* count,
                                            abi::ProcessV2* entries) {
  return list("nvmlDeviceGetComputeRunningProcesses_v3", handle, count, entries);
}
int nvmlDeviceGetMemoryInfo_v2(abi::Handle handle, abi::MemoryV2* memory) {
  if (memory->version != abi::kMemoryV2Version) {
    return 25;  // NVML_ERROR_ARGUMENT_VERSION_MISMATCH
  }
  return answer("nvmlDeviceGetMemoryInfo_v2", handle, "memory", &memory->used);
}
int nvmlDeviceGetEnforcedPowerLimit(abi::Handle handle, unsigned* milliwatts) {
  return answer("nvmlDeviceGetEnforcedPowerLimit", handle, "limit", milliwatts, 1'000);
}
int nvmlDeviceGetMaxMigDeviceCount(abi::Handle handle, unsigned* count) {
  *count = 7;
  return field_of(handle, "mig") == "1" ? abi::kSuccess : kNotSupported;
}
int nvmlDeviceGetMigDeviceHandleByIndex(abi::Handle handle, unsigned index, abi::Handle* instance) {
  const std::vector<Line> instances = lines_of("mig");
  for (std::size_t place = 0, met = 0; place < instances.size(); ++place) {
    if (number_of(instances[place], "gpu", 0) == place_of(handle) && met++ == index) {
      *instance = handle_of(kFirstInstance + place);
      return abi::kSuccess;
    }
  }
  return abi::kNotFound;
}
#endif

int nvmlDeviceGetProcessUtilization(abi::Handle handle, abi::ProcessUtilization* entries,
                                    unsigned* count, unsigned long long seen_until) {
  if (const int code = enter("nvmlDeviceGetProcessUtilization"); code != abi::kSuccess) {
    return code;
  }
  std::vector<abi::ProcessUtilization> found;
  for (const Line& line : processes_of(handle)) {
    const unsigned long long stamp = number_of(line, "stamp", seen_until + 1);
    if (line.fields.contains("utilization") && stamp > seen_until) {
      abi::ProcessUtilization entry{};
      entry.pid = static_cast<unsigned>(number_of(line, "pid", 0));
      entry.time_stamp = stamp;
      entry.sm = static_cast<unsigned>(number_of(line, "utilization", 0));
      found.push_back(entry);
    }
  }
  const unsigned room = *count;
  *count = static_cast<unsigned>(found.size());
  if (found.empty()) {
    return abi::kNotFound;
  }
  if (entries == nullptr || room < found.size()) {
    return abi::kInsufficientSize;
  }
  std::memcpy(entries, found.data(), found.size() * sizeof(abi::ProcessUtilization));
  return abi::kSuccess;
}

}  // extern "C"
// NOLINTEND(readability-identifier-naming)
