// large_vector.hpp - a vector for hundreds of megabytes that are read at random.
//
// Owns: LargeVector. Does not own: what lies in it.
// Invariant: beside these three things it is a std::vector: from 4 MiB on it asks the kernel for
// huge pages, since with small ones most of a random read is the walk through the page table; it
// begins at a whole huge page; and what resize adds is not set to zero if its type allows that.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <limits>
#include <new>
#include <utility>
#include <vector>

namespace finops::genealogy {

template <typename T>
class LargeAllocator {
 public:
  using value_type = T;

  LargeAllocator() = default;
  template <typename U>
  explicit LargeAllocator(const LargeAllocator<U>& /*other*/) noexcept {}

  [[nodiscard]] T* allocate(std::size_t count) {
    if (count > std::numeric_limits<std::size_t>::max() / sizeof(T)) {
      throw std::bad_array_new_length();
    }
    const std::size_t size_bytes = count * sizeof(T);
    void* memory = ::operator new(size_bytes, alignment(size_bytes));
    if (size_bytes >= kLargeBytes) {
      madvise(memory, size_bytes, MADV_HUGEPAGE);  // a wish: without it all is as right
    }
    return static_cast<T*>(memory);
  }
  void deallocate(T* memory, std::size_t count) noexcept {
    ::operator delete(memory, alignment(count * sizeof(T)));
  }

  /// Without arguments: left as it is, not set to zero.
  template <typename U, typename... Arguments>
  void construct(U* place, Arguments&&... arguments) {
    if constexpr (sizeof...(Arguments) == 0) {
      ::new (static_cast<void*>(place)) U;
    } else {
      ::new (static_cast<void*>(place)) U(std::forward<Arguments>(arguments)...);
    }
  }

  bool operator==(const LargeAllocator& /*other*/) const noexcept { return true; }

 private:
  static constexpr std::size_t kHugePageBytes = std::size_t{2} << 20;
  static constexpr std::size_t kLargeBytes = 2 * kHugePageBytes;

  static constexpr std::align_val_t alignment(std::size_t size_bytes) noexcept {
    return std::align_val_t{size_bytes >= kLargeBytes ? kHugePageBytes : alignof(T)};
  }
};

template <typename T>
using LargeVector = std::vector<T, LargeAllocator<T>>;

}  // namespace finops::genealogy
