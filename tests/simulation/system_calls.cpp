// system_calls.cpp - what the product's objects find where Linux would be.
//
// Owns: the __wrap_ functions that the linker puts in the place of the C library's (the list stands
// in CMakeLists.txt). Does not own: what they mean (kernel.hpp, files.hpp, record_locks.hpp).
// Invariants: the product is compiled from the same sources as ever and calls these without
// knowing; outside a simulated process each is the real call.
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdarg>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "kernel.hpp"

// The names are the linker's (ld --wrap).
// NOLINTBEGIN(readability-identifier-naming,bugprone-reserved-identifier)

using finops::Nanoseconds;
using finops::simulation::Kernel;
using finops::simulation::LockOwner;
using finops::simulation::OpenFile;
using finops::simulation::Process;
using std::chrono::microseconds;

extern "C" {
int __real_open(const char* path, int flags, ...);
int __real_close(int descriptor);
int __real_fcntl(int descriptor, int command, ...);
ssize_t __real_read(int descriptor, void* buffer, size_t size);
ssize_t __real_pwrite(int descriptor, const void* buffer, size_t size, off_t offset);
int __real_unlink(const char* path);
int __real_rename(const char* from, const char* to);
int __real_posix_fallocate(int descriptor, off_t offset, off_t size);
DIR* __real_opendir(const char* path);
dirent* __real_readdir(DIR* directory);
int __real_closedir(DIR* directory);
int __real_dirfd(DIR* directory);
pid_t __real_getpid();
ssize_t __real_getrandom(void* buffer, size_t size, unsigned flags);
int __real_clock_gettime(clockid_t clock, timespec* value);
int __real_nanosleep(const timespec* wanted, timespec* left);
char* __real_getenv(const char* name);
int __real_fsync(int descriptor);
int __real_fdatasync(int descriptor);
std::chrono::steady_clock::time_point __real__ZNSt6chrono3_V212steady_clock3nowEv();
}

namespace {

// Descriptors that no real file stands behind.
constexpr int kFirstVirtual = 1 << 20;

struct VirtualFile {
  std::string text;  // of a file in /proc
  std::size_t read = 0;
  pid_t target_pid = 0;  // of a pidfd
  std::uint64_t target_serial = 0;
};

// A folder's names, in an order that is the same everywhere.
struct Listing {
  DIR* real = nullptr;  // null: /proc
  std::vector<std::string> names;
  std::size_t next = 0;
  dirent entry{};
};

std::map<int, VirtualFile>& virtual_files() {
  static std::map<int, VirtualFile> all;
  return all;
}

int new_virtual(VirtualFile file) {
  static int last = kFirstVirtual;
  virtual_files()[++last] = std::move(file);
  return last;
}

std::map<DIR*, std::unique_ptr<Listing>>& listings() {
  static std::map<DIR*, std::unique_ptr<Listing>> all;
  return all;
}

Kernel* simulated() {
  Kernel* kernel = Kernel::instance;
  return kernel != nullptr && kernel->running() != nullptr ? kernel : nullptr;
}

int fail(int error_number) {
  errno = error_number;
  return -1;
}

// proc(5), the fields that the product reads.
std::string stat_line(const Process& process) {
  return std::to_string(process.pid) + " (" + process.name + ") S " +
         std::to_string(process.parent) + " 0 0 0 0 0 0 0 0 0 1 1 0 0 0 0 1 0 " +
         std::to_string(process.start_ticks) + " 4096 100\n";
}

int open_proc(Kernel& kernel, const std::string& path) {
  if (path == "/proc/sys/kernel/random/boot_id") {
    return new_virtual({.text = kernel.boot_id() + "\n"});
  }
  const Process* process =
      kernel.find(static_cast<pid_t>(std::strtol(path.c_str() + 6, nullptr, 10)));
  if (process == nullptr) {
    return fail(ENOENT);
  }
  if (path.ends_with("/stat")) {
    return new_virtual({.text = stat_line(*process)});
  }
  std::string text;
  for (const auto& [name, value] : process->environment) {
    text += name + "=" + value + '\0';
  }
  return new_virtual({.text = text});
}

int file_lock(Kernel& kernel, int descriptor, int command, struct flock* lock) {
  const OpenFile* file = kernel.files.find(descriptor);
  if (file == nullptr) {
    return fail(EBADF);
  }
  const bool is_description = command == F_OFD_SETLK || command == F_OFD_GETLK;
  const LockOwner owner{.is_description = is_description,
                        .id = is_description ? file->description : kernel.running()->serial};
  if (command == F_GETLK || command == F_OFD_GETLK) {
    kernel.locks.get(file->file, owner, *lock);
    return 0;
  }
  return kernel.locks.set(file->file, owner, *lock, kernel.running()->pid) ? 0 : fail(EAGAIN);
}

}  // namespace

extern "C" {

int __wrap_open(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const int mode = (flags & O_CREAT) != 0 ? va_arg(arguments, int) : 0;
  va_end(arguments);
  Kernel* kernel = simulated();
  if (kernel == nullptr) {
    return __real_open(path, flags, mode);
  }
  if (std::strncmp(path, "/proc/", 6) == 0) {
    kernel->call("proc", microseconds{3});
    return open_proc(*kernel, path);
  }
  kernel->call("open", microseconds{2});
  const bool is_new = (flags & O_CREAT) != 0 && access(path, F_OK) != 0;
  if (is_new && kernel->faults.is_disk_full) {
    return fail(ENOSPC);
  }
  const int descriptor = __real_open(path, flags, mode);
  if (descriptor >= 0) {
    kernel->files.opened(descriptor, path, kernel->running()->serial, is_new);
  }
  return descriptor;
}

int __wrap_close(int descriptor) {
  if (descriptor >= kFirstVirtual) {
    virtual_files().erase(descriptor);
    return 0;
  }
  if (Kernel* kernel = simulated()) {
    if (const OpenFile* file = kernel->files.find(descriptor)) {
      kernel->locks.drop({.is_description = true, .id = file->description}, nullptr);
      kernel->locks.drop({.is_description = false, .id = kernel->running()->serial}, &file->file);
      kernel->files.closed(descriptor);
    }
  }
  return __real_close(descriptor);
}

int __wrap_fcntl(int descriptor, int command, ...) {
  va_list arguments;
  va_start(arguments, command);
  void* argument = va_arg(arguments, void*);
  va_end(arguments);
  Kernel* kernel = simulated();
  const bool is_lock =
      command == F_SETLK || command == F_GETLK || command == F_OFD_SETLK || command == F_OFD_GETLK;
  if (kernel == nullptr || !is_lock) {
    return __real_fcntl(descriptor, command, argument);
  }
  kernel->call("lock", microseconds{1});
  return file_lock(*kernel, descriptor, command, static_cast<struct flock*>(argument));
}

ssize_t __wrap_read(int descriptor, void* buffer, size_t size) {
  const auto found = virtual_files().find(descriptor);
  if (found == virtual_files().end()) {
    return __real_read(descriptor, buffer, size);
  }
  VirtualFile& file = found->second;
  const std::size_t count = std::min(size, file.text.size() - file.read);
  std::memcpy(buffer, file.text.data() + file.read, count);
  file.read += count;
  return static_cast<ssize_t>(count);
}

ssize_t __wrap_pwrite(int descriptor, const void* buffer, size_t size, off_t offset) {
  if (Kernel* kernel = simulated()) {
    kernel->call("write", microseconds{3});
  }
  return __real_pwrite(descriptor, buffer, size, offset);
}

int __wrap_unlink(const char* path) {
  if (Kernel* kernel = simulated()) {
    kernel->call("unlink", microseconds{5});
    kernel->files.unlinking(path);
    kernel->note(std::string("unlink ") + std::strrchr(path, '/'));
  }
  return __real_unlink(path);
}

int __wrap_rename(const char* from, const char* to) {
  Kernel* kernel = simulated();
  if (kernel != nullptr) {
    kernel->call("rename", microseconds{5});
  }
  const int result = __real_rename(from, to);
  if (kernel != nullptr && result == 0) {
    kernel->files.renamed(from, to);
  }
  return result;
}

int __wrap_posix_fallocate(int descriptor, off_t offset, off_t size) {
  if (Kernel* kernel = simulated()) {
    kernel->call("allocate", microseconds{5});
    if (kernel->faults.is_disk_full) {
      return ENOSPC;
    }
  }
  return __real_posix_fallocate(descriptor, offset, size);
}

int __wrap_fsync(int descriptor) {
  Kernel* kernel = simulated();
  if (kernel == nullptr) {
    return __real_fsync(descriptor);
  }
  kernel->call("sync", kernel->sync_cost());
  if (kernel->sync_fails()) {
    return fail(EIO);
  }
  kernel->synced(descriptor);
  return 0;
}

int __wrap_fdatasync(int descriptor) { return __wrap_fsync(descriptor); }

DIR* __wrap_opendir(const char* path) {
  Kernel* kernel = simulated();
  if (kernel == nullptr) {
    return __real_opendir(path);
  }
  kernel->call("list", microseconds{5});
  auto listing = std::make_unique<Listing>();
  if (std::strcmp(path, "/proc") == 0) {
    for (const Process* process : kernel->living()) {
      listing->names.push_back(std::to_string(process->pid));
    }
  } else {
    DIR* directory = __real_opendir(path);
    if (directory == nullptr) {
      return nullptr;
    }
    while (const dirent* found = __real_readdir(directory)) {
      listing->names.emplace_back(found->d_name);
    }
    listing->real = directory;
    std::ranges::sort(listing->names);
  }
  auto* handle = reinterpret_cast<DIR*>(listing.get());
  listings()[handle] = std::move(listing);
  return handle;
}

dirent* __wrap_readdir(DIR* directory) {
  const auto found = listings().find(directory);
  if (found == listings().end()) {
    return __real_readdir(directory);
  }
  Listing& listing = *found->second;
  if (listing.next == listing.names.size()) {
    return nullptr;
  }
  const std::string& name = listing.names[listing.next++];
  std::memcpy(listing.entry.d_name, name.c_str(), name.size() + 1);
  return &listing.entry;
}

int __wrap_closedir(DIR* directory) {
  const auto found = listings().find(directory);
  if (found == listings().end()) {
    return __real_closedir(directory);
  }
  DIR* real = found->second->real;
  listings().erase(found);
  return real == nullptr ? 0 : __real_closedir(real);
}

int __wrap_dirfd(DIR* directory) {
  const auto found = listings().find(directory);
  return __real_dirfd(found == listings().end() ? directory : found->second->real);
}

pid_t __wrap_getpid() {
  Kernel* kernel = simulated();
  return kernel == nullptr ? __real_getpid() : kernel->running()->pid;
}

ssize_t __wrap_getrandom(void* buffer, size_t size, unsigned flags) {
  Kernel* kernel = simulated();
  if (kernel == nullptr) {
    return __real_getrandom(buffer, size, flags);
  }
  auto* bytes = static_cast<unsigned char*>(buffer);
  for (std::size_t at = 0; at < size; ++at) {
    bytes[at] = static_cast<unsigned char>(kernel->random.below(256));
  }
  return static_cast<ssize_t>(size);
}

int __wrap_clock_gettime(clockid_t clock, timespec* value) {
  const Kernel* kernel = simulated();
  if (kernel == nullptr) {
    return __real_clock_gettime(clock, value);
  }
  const finops::ClockReading now = kernel->clocks();
  Nanoseconds span = clock == CLOCK_REALTIME   ? now.utc.time_since_epoch()
                     : clock == CLOCK_BOOTTIME ? now.boot.time_since_epoch()
                                               : now.monotonic.time_since_epoch();
  if (clock == CLOCK_MONOTONIC_COARSE) {
    span -= span % std::chrono::milliseconds{4};
  }
  value->tv_sec = span / std::chrono::seconds{1};
  value->tv_nsec = (span % std::chrono::seconds{1}).count();
  return 0;
}

std::chrono::steady_clock::time_point __wrap__ZNSt6chrono3_V212steady_clock3nowEv() {
  const Kernel* kernel = simulated();
  return kernel == nullptr
             ? __real__ZNSt6chrono3_V212steady_clock3nowEv()
             : std::chrono::steady_clock::time_point{kernel->clocks().monotonic.time_since_epoch()};
}

int __wrap_nanosleep(const timespec* wanted, timespec* left) {
  Kernel* kernel = simulated();
  if (kernel == nullptr) {
    return __real_nanosleep(wanted, left);
  }
  kernel->call("sleep", microseconds{1});
  kernel->sleep_for(std::chrono::seconds{wanted->tv_sec} + Nanoseconds{wanted->tv_nsec});
  return 0;
}

char* __wrap_getenv(const char* name) {
  const Kernel* kernel = simulated();
  if (kernel == nullptr) {
    return __real_getenv(name);
  }
  auto& environment = kernel->running()->environment;
  const auto found = environment.find(name);
  return found == environment.end() ? nullptr : found->second.data();
}

// The product calls only these two by number.
long __wrap_syscall(long number, ...) {
  va_list arguments;
  va_start(arguments, number);
  const int first = va_arg(arguments, int);
  const int second = va_arg(arguments, int);
  va_end(arguments);
  Kernel* kernel = simulated();
  if (kernel == nullptr) {
    return fail(ENOSYS);
  }
  kernel->call("pidfd", microseconds{2});
  if (number == SYS_pidfd_open) {
    const Process* target = kernel->find(first);
    return target == nullptr ? fail(ESRCH)
                             : new_virtual({.target_pid = first, .target_serial = target->serial});
  }
  const auto found = virtual_files().find(first);
  if (number != SYS_pidfd_send_signal || found == virtual_files().end()) {
    return fail(EINVAL);
  }
  Process* target = kernel->by_serial(found->second.target_serial);
  if (target == nullptr || !target->is_alive) {
    return fail(ESRCH);
  }
  kernel->signal(*target, second);
  return 0;
}

}  // extern "C"

// NOLINTEND(readability-identifier-naming,bugprone-reserved-identifier)
