// nvml_abi.hpp - the part of NVML's binary interface that is used, declared by hand.
//
// Owns: the structs, codes and prototypes. Does not own: their use (nvml.cpp).
// Source: nvidia-ml-py 13.615 (pynvml.py, `c_nvml*_t` and NVML_ERROR_*), published by NVIDIA.
#pragma once

namespace finops::detect::abi {

using Handle = struct OpaqueDevice*;

inline constexpr int kSuccess = 0;
inline constexpr int kNotFound = 6;
inline constexpr int kInsufficientSize = 7;
inline constexpr int kDriverNotLoaded = 9;
inline constexpr int kLibraryNotFound = 12;
inline constexpr int kGpuNotFound = 28;

inline constexpr unsigned kUuidSize = 96;
inline constexpr unsigned kNameSize = 96;
inline constexpr unsigned long long kValueNotAvailable = ~0ULL;

struct Utilization {
  unsigned gpu;
  unsigned memory;
};

struct Memory {
  unsigned long long total;
  unsigned long long free;
  unsigned long long used;  // what the driver reserves for itself is in it
};

struct MemoryV2 {
  unsigned version;
  unsigned long long total;
  unsigned long long reserved;
  unsigned long long free;
  unsigned long long used;
};
// The struct's size, and 2 in the top byte.
inline constexpr unsigned kMemoryV2Version = 0x0200'0028;
static_assert(sizeof(MemoryV2) == 0x28);

struct ProcessV1 {
  unsigned pid;
  unsigned long long used_memory;
};

struct ProcessV2 {  // _v3 has the same
  unsigned pid;
  unsigned long long used_memory;
  unsigned gpu_instance_id;
  unsigned compute_instance_id;
};
static_assert(sizeof(ProcessV1) == 16 && sizeof(ProcessV2) == 24);

struct ProcessUtilization {
  unsigned pid;
  unsigned long long time_stamp;  // microseconds
  unsigned sm;
  unsigned memory;
  unsigned encoder;
  unsigned decoder;
};
static_assert(sizeof(ProcessUtilization) == 32);

using Plain = int (*)();
using ErrorString = const char* (*)(int);
using DeviceCount = int (*)(unsigned*);
using HandleByIndex = int (*)(unsigned, Handle*);
using DeviceText = int (*)(Handle, char*, unsigned);
using DeviceNumber = int (*)(Handle, unsigned*);
using DeviceTwoNumbers = int (*)(Handle, unsigned*, unsigned*);
using DeviceUtilization = int (*)(Handle, Utilization*);
using DeviceMemory = int (*)(Handle, Memory*);
using DeviceMemoryV2 = int (*)(Handle, MemoryV2*);
using RunningProcessesV1 = int (*)(Handle, unsigned*, ProcessV1*);
using RunningProcessesV2 = int (*)(Handle, unsigned*, ProcessV2*);
using DeviceProcessUtilization = int (*)(Handle, ProcessUtilization*, unsigned*,
                                         unsigned long long);
using MigHandleByIndex = int (*)(Handle, unsigned, Handle*);

}  // namespace finops::detect::abi
