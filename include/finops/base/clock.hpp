// clock.hpp - the three clocks finops reads, as types that cannot be mixed up.
//
// Owns: UtcTime, BootTime, MonotonicTime, Clock, SystemClock, ManualClock.
// Invariants: UTC is only ever a label; durations are measured on CLOCK_BOOTTIME (which counts
// a suspended host) or, in the hot calls, on CLOCK_MONOTONIC_COARSE (3 ns a read, but it stands
// still while the host is suspended).
#pragma once

#include <time.h>

#include <chrono>
#include <string>

namespace finops {

using Nanoseconds = std::chrono::nanoseconds;

/// Wall-clock time in UTC, nanoseconds since 1970.
using UtcTime = std::chrono::time_point<std::chrono::system_clock, Nanoseconds>;

/// The longest span that an attempt may have. A start that is possible and such a span add up to a
/// time, so that what a page or a file says cannot overflow.
inline constexpr Nanoseconds kCentury = std::chrono::hours{24 * 36'525};
[[nodiscard]] constexpr bool is_possible_start(UtcTime start) noexcept {
  return start >= UtcTime{} && start <= UtcTime::max() - kCentury;
}

/// Tag of CLOCK_BOOTTIME: time since boot, suspension included.
struct BootClock {
  using duration = Nanoseconds;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<BootClock>;
  static constexpr bool is_steady = true;
};
using BootTime = BootClock::time_point;

/// Tag of CLOCK_MONOTONIC(_COARSE): time since boot, suspension excluded.
struct MonotonicClock {
  using duration = Nanoseconds;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<MonotonicClock>;
  static constexpr bool is_steady = true;
};
using MonotonicTime = MonotonicClock::time_point;

/// One set of anchors: the same instant on all three clocks.
struct ClockReading {
  UtcTime utc{};
  BootTime boot{};
  MonotonicTime monotonic{};
};

/// Where the slow path and the agent get the time from; tests hand in a ManualClock.
class Clock {
 public:
  virtual ~Clock() = default;
  [[nodiscard]] virtual ClockReading now() const = 0;
};

/// The machine's clocks. Stateless.
class SystemClock final : public Clock {
 public:
  [[nodiscard]] ClockReading now() const override;
};

/// A clock that moves only when told to. `advance` moves all three clocks, `jump_utc` only the
/// wall clock, `suspend` what a suspended host sees: boot time and UTC move, monotonic does not.
class ManualClock final : public Clock {
 public:
  explicit ManualClock(ClockReading start) : reading_(start) {}
  [[nodiscard]] ClockReading now() const override { return reading_; }
  void advance(Nanoseconds span);
  void jump_utc(Nanoseconds span) { reading_.utc += span; }
  void suspend(Nanoseconds span);

 private:
  ClockReading reading_;
};

/// CLOCK_MONOTONIC_COARSE, for the hot calls: a vDSO read of about 3 ns, resolution 1-4 ms.
/// Inline: a call of its own would cost a quarter of a hot call.
[[nodiscard]] inline MonotonicTime coarse_monotonic_now() noexcept {
  timespec value{};
  clock_gettime(CLOCK_MONOTONIC_COARSE, &value);
  return MonotonicTime{std::chrono::seconds{value.tv_sec} + Nanoseconds{value.tv_nsec}};
}

/// "2026-11-24T05:44:26Z", seconds precision, for reports; empty means never.
[[nodiscard]] std::string format_utc(UtcTime time);

/// The opposite of format_utc; also takes a date alone ("2025-06-26", midnight UTC).
/// Throws Error(InvalidArgument) on anything else.
[[nodiscard]] UtcTime parse_utc(const std::string& text);

}  // namespace finops
