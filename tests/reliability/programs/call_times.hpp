// call_times.hpp - how long single calls take, in ticks of the processor's counter.
//
// Owns: the counter, the histogram, its percentiles. Does not own: which calls are measured.
// Invariant: fixed size; taking a time allocates nothing and makes no system call.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

namespace reliability {

/// A reading of the finest counter that needs no system call.
inline std::uint64_t ticks() noexcept {
#if defined(__x86_64__)
  unsigned core = 0;
  return __rdtscp(&core);
#else
  return static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
#endif
}

class CallTimes {
 public:
  CallTimes() : began_ticks_(ticks()), began_(std::chrono::steady_clock::now()) {
    // What two readings cost without a call between them: the least of many.
    for (int i = 0; i < 10'000; ++i) {
      const std::uint64_t before = ticks();
      reading_cost_ = std::min(reading_cost_, ticks() - before);
    }
  }

  void add(std::uint64_t span_ticks) noexcept {
    const std::uint64_t net = span_ticks - std::min(span_ticks, reading_cost_);
    ++bins_[std::min<std::uint64_t>(net / kTicksPerBin, kBinCount - 1)];
    ++count_;
    longest_ = std::max(longest_, net);
  }

  [[nodiscard]] std::uint64_t count() const noexcept { return count_; }
  [[nodiscard]] double longest_ns() const { return static_cast<double>(longest_) * ns_per_tick(); }

  /// The upper end of the bin that the share of all calls reaches, in ns. 0 without calls.
  [[nodiscard]] double percentile_ns(double share) const {
    const auto wanted = static_cast<std::uint64_t>(share * static_cast<double>(count_));
    std::uint64_t seen = 0;
    for (std::size_t bin = 0; bin < kBinCount; ++bin) {
      seen += bins_[bin];
      if (count_ > 0 && seen >= wanted) {
        return static_cast<double>((bin + 1) * kTicksPerBin) * ns_per_tick();
      }
    }
    return 0;
  }

  /// "under 64 ns: 1200, under 128 ns: 30, ...": the bins joined to powers of two.
  [[nodiscard]] std::string histogram() const {
    std::string text;
    double end_ns = 32;
    std::uint64_t in_range = 0;
    for (std::size_t bin = 0; bin < kBinCount; ++bin) {
      if (static_cast<double>(bin * kTicksPerBin) * ns_per_tick() >= end_ns) {
        append(text, end_ns, in_range);
        in_range = 0;
        end_ns *= 2;
      }
      in_range += bins_[bin];
    }
    append(text, end_ns, in_range);
    return text;
  }

 private:
  static constexpr std::uint64_t kTicksPerBin = 16;
  static constexpr std::size_t kBinCount = 4'096;  // the last one holds all that is longer

  static void append(std::string& text, double end_ns, std::uint64_t calls) {
    if (calls > 0) {
      text += (text.empty() ? "under " : ", under ") +
              std::to_string(static_cast<std::uint64_t>(end_ns)) + " ns: " + std::to_string(calls);
    }
  }

  [[nodiscard]] double ns_per_tick() const {
    const auto span = std::chrono::steady_clock::now() - began_;
    return static_cast<double>(std::chrono::nanoseconds{span}.count()) /
           static_cast<double>(std::max<std::uint64_t>(ticks() - began_ticks_, 1));
  }

  std::uint64_t began_ticks_;
  std::chrono::steady_clock::time_point began_;
  std::uint64_t reading_cost_ = UINT64_MAX;
  std::uint64_t count_ = 0;
  std::uint64_t longest_ = 0;
  std::array<std::uint64_t, kBinCount> bins_{};
};

}  // namespace reliability
