// splitmix.hpp - chance that is the same on every machine.
//
// Owns: SplitMix64, and drawing rows or features by it. Private to predict.
// Invariant: equal seeds give equal draws; the standard's distributions promise no such thing.
#pragma once

#include <cstdint>
#include <vector>

namespace finops::predict {

/// Source: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014;
/// constants as in Vigna's public-domain splitmix64.c.
class SplitMix64 {
 public:
  explicit SplitMix64(std::uint64_t seed) noexcept : state_(seed) {}

  std::uint64_t next() noexcept {
    state_ += 0x9E3779B97F4A7C15U;
    std::uint64_t mixed = state_;
    mixed = (mixed ^ (mixed >> 30U)) * 0xBF58476D1CE4E5B9U;
    mixed = (mixed ^ (mixed >> 27U)) * 0x94D049BB133111EBU;
    return mixed ^ (mixed >> 31U);
  }
  /// 0 to `count` - 1; `count` at most 2^32. The bias is below count / 2^32.
  std::uint64_t below(std::uint64_t count) noexcept { return ((next() >> 32U) * count) >> 32U; }

 private:
  std::uint64_t state_;
};

/// `drawn_count` of the numbers 0 to `count` - 1, ascending, each set as likely as any other.
/// Source: Knuth, The Art of Computer Programming 2, 3.4.2, algorithm S.
inline void draw_sorted(SplitMix64& random, std::size_t count, std::size_t drawn_count,
                        std::vector<std::uint32_t>& drawn) {
  drawn.clear();
  for (std::size_t i = 0; i < count && drawn.size() < drawn_count; ++i) {
    if (random.below(count - i) < drawn_count - drawn.size()) {
      drawn.push_back(static_cast<std::uint32_t>(i));
    }
  }
}

}  // namespace finops::predict
