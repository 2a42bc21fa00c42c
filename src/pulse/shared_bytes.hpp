// shared_bytes.hpp - texts in a page, which others may read while they are written.
//
// Owns: load_bytes, store_bytes. Does not own: telling a torn text from a whole one (checksums of
// checkpoint slots; a reason is for people and may be torn).
// Invariant: each byte is an atomic access, so that a reader in another thread gets old or new
// bytes and the program stays defined. On our machines that is a plain move.
#pragma once

#include <atomic>
#include <cstddef>

namespace finops::pulse {

inline void store_bytes(char* shared, const char* source, std::size_t size) noexcept {
  for (std::size_t index = 0; index < size; ++index) {
    std::atomic_ref<char>(shared[index]).store(source[index], std::memory_order_relaxed);
  }
}

inline void load_bytes(const char* shared, char* target, std::size_t size) noexcept {
  for (std::size_t index = 0; index < size; ++index) {
    // An atomic_ref wants a mutable object, also to read; a page is mapped writable.
    target[index] =
        std::atomic_ref<char>(const_cast<char&>(shared[index])).load(std::memory_order_relaxed);
  }
}

}  // namespace finops::pulse
