// random.hpp - the chance of a simulation: every draw comes from one printed seed.
//
// Owns: Random. Invariant: equal seeds give equal draws on every machine, so no standard
// distribution is used, whose results are the library's own affair.
#pragma once

#include <chrono>
#include <cstdint>

namespace finops::simulation {

class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}

  /// SplitMix64 (Steele, Lea, Flood 2014; constants of the public-domain reference).
  std::uint64_t next() {
    std::uint64_t word = (state_ += 0x9e3779b97f4a7c15U);
    word = (word ^ (word >> 30)) * 0xbf58476d1ce4e5b9U;
    word = (word ^ (word >> 27)) * 0x94d049bb133111ebU;
    return word ^ (word >> 31);
  }
  /// A number of 0 to `count` - 1; `count` is above zero. The bias is below 2^-32 here.
  std::uint64_t below(std::uint64_t count) { return next() % count; }
  /// A number of `low` to `high`, both included.
  std::int64_t between(std::int64_t low, std::int64_t high) {
    return low + static_cast<std::int64_t>(below(static_cast<std::uint64_t>(high - low) + 1));
  }
  /// A span of `low` to `high`, to the nanosecond.
  std::chrono::nanoseconds between(std::chrono::nanoseconds low, std::chrono::nanoseconds high) {
    return std::chrono::nanoseconds{between(low.count(), high.count())};
  }
  bool one_in(std::uint64_t count) { return below(count) == 0; }

 private:
  std::uint64_t state_;
};

}  // namespace finops::simulation
