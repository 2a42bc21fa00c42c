// clock.cpp - reads the machine's clocks and writes times as text.
#include "finops/base/clock.hpp"

#include <array>
#include <cstdio>
#include <ctime>
#include <string_view>

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
  const auto fail = [&]() {
    detail::throw_error(ErrorCode::InvalidArgument,
                        "not a UTC time: '" + text + "'; write 2026-11-24 or 2026-11-24T05:44:26Z");
  };
  // strptime takes 30 February, missing zeros and blanks: dates of prices must be exact.
  const std::string_view shape =
      text.size() == 10 ? std::string_view("dddd-dd-dd") : std::string_view("dddd-dd-ddTdd:dd:ddZ");
  bool fits = text.size() == shape.size();
  for (std::size_t i = 0; fits && i < shape.size(); ++i) {
    fits = shape[i] == 'd' ? text[i] >= '0' && text[i] <= '9' : text[i] == shape[i];
  }
  if (!fits) {
    fail();
  }
  const auto number = [&](std::size_t at, std::size_t size) {
    return std::stoi(text.substr(at, size));
  };
  const bool has_time = text.size() > 10;
  const std::chrono::year_month_day date{std::chrono::year{number(0, 4)},
                                         std::chrono::month{static_cast<unsigned>(number(5, 2))},
                                         std::chrono::day{static_cast<unsigned>(number(8, 2))}};
  const std::chrono::hours hours{has_time ? number(11, 2) : 0};
  const std::chrono::minutes minutes{has_time ? number(14, 2) : 0};
  const std::chrono::seconds seconds{has_time ? number(17, 2) : 0};
  const bool is_time = hours.count() <= 23 && minutes.count() <= 59 && seconds.count() <= 59;
  if (!date.ok() || !is_time) {
    fail();
  }
  const std::chrono::sys_seconds time = std::chrono::sys_days{date} + hours + minutes + seconds;
  constexpr std::int64_t kLast = INT64_MAX / 1'000'000'000;  // seconds that fit in nanoseconds
  FINOPS_REQUIRE(std::abs(time.time_since_epoch().count()) <= kLast, ErrorCode::InvalidArgument,
                 "the time '" + text + "' is not between 1678 and 2261; leave an open end out");
  return UtcTime{time};
}

}  // namespace finops
