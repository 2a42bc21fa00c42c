// clock.cpp - reads the machine's clocks and writes times as text.
#include "finops/base/clock.hpp"

#include <array>
#include <cstdio>
#include <ctime>

#include "finops/base/error.hpp"

namespace finops {
namespace {

Nanoseconds read_clock(clockid_t id) noexcept {
  timespec value{};
  // These clock ids exist on every Linux that runs this library, so the call cannot fail.
  clock_gettime(id, &value);
  return std::chrono::seconds{value.tv_sec} + Nanoseconds{value.tv_nsec};
}

}  // namespace

ClockReading SystemClock::now() const {
  return {.utc = UtcTime{read_clock(CLOCK_REALTIME)},
          .boot = BootTime{read_clock(CLOCK_BOOTTIME)},
          .monotonic = MonotonicTime{read_clock(CLOCK_MONOTONIC)}};
}

void ManualClock::advance(Nanoseconds span) {
  reading_.utc += span;
  reading_.boot += span;
  reading_.monotonic += span;
}

void ManualClock::suspend(Nanoseconds span) {
  reading_.utc += span;
  reading_.boot += span;
}

MonotonicTime coarse_monotonic_now() noexcept {
  return MonotonicTime{read_clock(CLOCK_MONOTONIC_COARSE)};
}

std::string format_utc(UtcTime time) {
  if (time == UtcTime{}) {
    return {};
  }
  const std::time_t seconds =
      std::chrono::floor<std::chrono::seconds>(time).time_since_epoch().count();
  std::tm fields{};
  gmtime_r(&seconds, &fields);
  std::array<char, 32> buffer{};
  std::strftime(buffer.data(), buffer.size(), "%Y-%m-%dT%H:%M:%SZ", &fields);
  return buffer.data();
}

UtcTime parse_utc(const std::string& text) {
  std::tm fields{};
  const char* format = text.size() == 10 ? "%Y-%m-%d" : "%Y-%m-%dT%H:%M:%SZ";
  const char* end = strptime(text.c_str(), format, &fields);
  FINOPS_REQUIRE(end != nullptr && *end == '\0', ErrorCode::InvalidArgument,
                 "not a UTC time: '" + text + "'; write 2026-11-24 or 2026-11-24T05:44:26Z");
  return UtcTime{std::chrono::seconds{timegm(&fields)}};
}

}  // namespace finops
