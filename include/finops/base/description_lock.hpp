// description_lock.hpp - locks of an open file description.
//
// Owns: try_lock_description, unlock_description. Does not own: the locks of a process, which prove
// that it lives (pulse/own_page.cpp) or writes (ledger/write_lock.cpp).
// Invariants: never waits; two descriptors of one process exclude each other as well, so that
// agents and threads in one process do.
#pragma once

#include <fcntl.h>

namespace finops {

namespace detail {
inline bool set_description_lock(int descriptor, short type, off_t first, off_t count) noexcept {
  struct flock lock{};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = first;
  lock.l_len = count;
  return fcntl(descriptor, F_OFD_SETLK, &lock) == 0;
}
}  // namespace detail

/// Takes `count` bytes from `first` on; a count of 0: all there will ever be. False if another
/// description has any of them, or the system refuses.
[[nodiscard]] inline bool try_lock_description(int descriptor, off_t first = 0,
                                               off_t count = 0) noexcept {
  return detail::set_description_lock(descriptor, F_WRLCK, first, count);
}

/// Lets go of them. To close the descriptor is not enough: a child that another thread forked
/// meanwhile holds a copy of it, and with it the lock.
inline void unlock_description(int descriptor, off_t first = 0, off_t count = 0) noexcept {
  (void)detail::set_description_lock(descriptor, F_UNLCK, first, count);
}

}  // namespace finops
