// record_lock.hpp - asking the kernel who else holds bytes of a file.
//
// Owns: is_any_locked. Does not own: taking locks (own_page.cpp).
#pragma once

#include <fcntl.h>

namespace finops::pulse {

/// Whether another process holds a record lock on any of the `count` bytes from `first` on. If the
/// kernel cannot say, one counts as held: unknown never kills.
[[nodiscard]] inline bool is_any_locked(int descriptor, int first, int count) noexcept {
  struct flock lock{};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  lock.l_start = first;
  lock.l_len = count;
  return fcntl(descriptor, F_GETLK, &lock) != 0 || lock.l_type != F_UNLCK;
}

}  // namespace finops::pulse
