// failing_disk.cpp - preloaded into a process, it makes the disk of one folder fail on demand.
//
// Owns: what a full disk and a failing fsync look like to a process. Does not own: when
// (tests/reliability/failing_disk.py writes the trigger file).
// Invariants: files outside the folder are never touched; as on a real full disk, what is allocated
// can still be written, and only growth fails.
//
// FAILING_DISK_FOLDER: the folder. FAILING_DISK_TRIGGER: a file; while it holds "ENOSPC", files do
// not grow; while it holds "EIO", nothing can be flushed; absent: all is well.
// FAILING_DISK_LOG: a file that gets a line for each write, flush, refusal and close.
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace {

using Path = std::array<char, 512>;

template <class Function>
Function next(const char* name) {
  return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
}

bool is_in_folder(int descriptor, Path& path) {
  static const char* folder = std::getenv("FAILING_DISK_FOLDER");
  if (folder == nullptr) {
    return false;
  }
  std::array<char, 64> link{};
  std::snprintf(link.data(), link.size(), "/proc/self/fd/%d", descriptor);
  const ssize_t size = readlink(link.data(), path.data(), path.size() - 1);
  path[size > 0 ? static_cast<std::size_t>(size) : 0] = '\0';
  return std::string_view(path.data()).starts_with(folder);
}

// Past the functions below, which would call themselves.
bool is_triggered(std::string_view fault) {
  static const char* trigger = std::getenv("FAILING_DISK_TRIGGER");
  if (trigger == nullptr) {
    return false;
  }
  const int descriptor = static_cast<int>(syscall(SYS_openat, AT_FDCWD, trigger, O_RDONLY));
  if (descriptor < 0) {
    return false;
  }
  std::array<char, 16> text{};
  const auto size = syscall(SYS_read, descriptor, text.data(), text.size());
  syscall(SYS_close, descriptor);
  return size > 0 &&
         std::string_view(text.data(), static_cast<std::size_t>(size)).starts_with(fault);
}

void log_line(const char* what, int descriptor, const Path& path) {
  static const char* log = std::getenv("FAILING_DISK_LOG");
  if (log == nullptr) {
    return;
  }
  std::array<char, 640> line{};
  const int size = std::snprintf(line.data(), line.size(), "%s %d %d %s\n", what,
                                 static_cast<int>(getpid()), descriptor, path.data());
  const int saved = errno;
  const int out = static_cast<int>(syscall(SYS_openat, AT_FDCWD, log,
                                           O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  syscall(SYS_write, out, line.data(),
          std::min<std::size_t>(static_cast<std::size_t>(size), line.size() - 1));
  syscall(SYS_close, out);
  errno = saved;
}

bool would_grow(int descriptor, off_t end) {
  struct stat info{};
  return fstat(descriptor, &info) == 0 && S_ISREG(info.st_mode) && end > info.st_size;
}

// Whether a write that ends at `end` is refused; logged either way.
bool is_refused(int descriptor, off_t end) {
  Path path{};
  if (!is_in_folder(descriptor, path)) {
    return false;
  }
  const bool refused = is_triggered("ENOSPC") && would_grow(descriptor, end);
  log_line(refused ? "refused" : "wrote", descriptor, path);
  return refused;
}

off_t end_of_write(int descriptor, size_t size) {
  struct stat info{};
  const bool appends = (fcntl(descriptor, F_GETFL) & O_APPEND) != 0;
  const off_t from =
      appends && fstat(descriptor, &info) == 0 ? info.st_size : lseek(descriptor, 0, SEEK_CUR);
  return from + static_cast<off_t>(size);
}

int no_space() {
  errno = ENOSPC;
  return -1;
}

template <class Flush>
int flush(int descriptor, Flush real) {
  Path path{};
  if (is_in_folder(descriptor, path)) {
    if (is_triggered("EIO")) {
      log_line("failed", descriptor, path);
      errno = EIO;
      return -1;
    }
    log_line("flushed", descriptor, path);
  }
  return real(descriptor);
}

}  // namespace

// NOLINTBEGIN(readability-inconsistent-declaration-parameter-name): libc's are __fd and __buf.
extern "C" {

ssize_t write(int descriptor, const void* bytes, size_t size) {
  static auto real = next<ssize_t (*)(int, const void*, size_t)>("write");
  return is_refused(descriptor, end_of_write(descriptor, size)) ? no_space()
                                                                : real(descriptor, bytes, size);
}

ssize_t pwrite(int descriptor, const void* bytes, size_t size, off_t offset) {
  static auto real = next<ssize_t (*)(int, const void*, size_t, off_t)>("pwrite");
  return is_refused(descriptor, offset + static_cast<off_t>(size))
             ? no_space()
             : real(descriptor, bytes, size, offset);
}

ssize_t pwrite64(int descriptor, const void* bytes, size_t size, off64_t offset) {
  return pwrite(descriptor, bytes, size, offset);
}

int ftruncate(int descriptor, off_t size) noexcept {
  static auto real = next<int (*)(int, off_t)>("ftruncate");
  return is_refused(descriptor, size) ? no_space() : real(descriptor, size);
}

int ftruncate64(int descriptor, off64_t size) noexcept { return ftruncate(descriptor, size); }

int posix_fallocate(int descriptor, off_t offset, off_t size) {
  static auto real = next<int (*)(int, off_t, off_t)>("posix_fallocate");
  return is_refused(descriptor, offset + size) ? ENOSPC : real(descriptor, offset, size);
}

int posix_fallocate64(int descriptor, off64_t offset, off64_t size) {
  return posix_fallocate(descriptor, offset, size);
}

int fallocate(int descriptor, int mode, off_t offset, off_t size) {
  static auto real = next<int (*)(int, int, off_t, off_t)>("fallocate");
  return is_refused(descriptor, offset + size) ? no_space() : real(descriptor, mode, offset, size);
}

int fallocate64(int descriptor, int mode, off64_t offset, off64_t size) {
  return fallocate(descriptor, mode, offset, size);
}

int fsync(int descriptor) {
  static auto real = next<int (*)(int)>("fsync");
  return flush(descriptor, real);
}

int fdatasync(int descriptor) {
  static auto real = next<int (*)(int)>("fdatasync");
  return flush(descriptor, real);
}

int close(int descriptor) {
  static auto real = next<int (*)(int)>("close");
  Path path{};
  if (is_in_folder(descriptor, path)) {
    log_line("closed", descriptor, path);
  }
  return real(descriptor);
}

}  // extern "C"
// NOLINTEND(readability-inconsistent-declaration-parameter-name)
