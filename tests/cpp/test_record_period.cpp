// test_record_period.cpp - calendar periods in time zones.
#include <gtest/gtest.h>

#include "finops/base/error.hpp"
#include "finops/record/period.hpp"
#include "support.hpp"

namespace finops {
namespace {

using std::chrono::hours;
using testing::code_of;

UtcTime at(const char* text) { return parse_utc(text); }

// Goal: every kind of window, with its label. Method: one instant whose day, week, month and
// quarter are known, in zones on both sides of it.
TEST(Period, FindsTheWindow) {
  struct Case {
    const char* period;
    const char* time;
    const char* start;
    const char* end;
    const char* label;
  };
  const Case cases[] = {
      {"day", "2026-11-24T15:00:00Z", "2026-11-24T00:00:00Z", "2026-11-25T00:00:00Z", "2026-11-24"},
      {"day@Asia/Tokyo", "2026-11-24T15:00:00Z", "2026-11-24T15:00:00Z", "2026-11-25T15:00:00Z",
       "2026-11-25"},
      {"day@Asia/Tokyo", "2026-11-24T14:59:59Z", "2026-11-23T15:00:00Z", "2026-11-24T15:00:00Z",
       "2026-11-24"},
      {"week", "2026-11-24T15:00:00Z", "2026-11-23T00:00:00Z", "2026-11-30T00:00:00Z", "2026-W48"},
      {"week", "2026-11-23T00:00:00Z", "2026-11-23T00:00:00Z", "2026-11-30T00:00:00Z", "2026-W48"},
      {"week", "2027-01-01T00:00:00Z", "2026-12-28T00:00:00Z", "2027-01-04T00:00:00Z", "2026-W53"},
      {"week", "2024-12-31T00:00:00Z", "2024-12-30T00:00:00Z", "2025-01-06T00:00:00Z", "2025-W01"},
      {"month@America/New_York", "2026-11-01T03:00:00Z", "2026-10-01T04:00:00Z",
       "2026-11-01T04:00:00Z", "2026-10"},
      {"month", "2026-12-31T23:59:59Z", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z", "2026-12"},
      {"quarter", "2026-11-24T15:00:00Z", "2026-10-01T00:00:00Z", "2027-01-01T00:00:00Z",
       "2026-Q4"},
  };
  for (const Case& c : cases) {
    const PeriodWindow window = Period::parse(c.period).window_at(at(c.time));
    EXPECT_EQ(format_utc(window.start), c.start) << c.period << " at " << c.time;
    EXPECT_EQ(format_utc(window.end), c.end) << c.period << " at " << c.time;
    EXPECT_EQ(window.label, c.label) << c.period << " at " << c.time;
  }
}

// Goal: a day has 23 or 25 hours where the clock changes, and starts at its first instant where
// midnight does not exist. Method: Berlin's two changes of 2026, and Beirut, which changes at
// midnight (2026-03-29).
TEST(Period, FollowsTheClockChange) {
  const Period berlin = Period::parse("day@Europe/Berlin");
  const auto length = [](const PeriodWindow& window) { return window.end - window.start; };
  EXPECT_EQ(length(berlin.window_at(at("2026-03-29T12:00:00Z"))), hours{23});
  EXPECT_EQ(length(berlin.window_at(at("2026-10-25T12:00:00Z"))), hours{25});
  EXPECT_EQ(length(berlin.window_at(at("2026-11-24T12:00:00Z"))), hours{24});
  const PeriodWindow beirut =
      Period::parse("day@Asia/Beirut").window_at(at("2026-03-29T12:00:00Z"));
  EXPECT_EQ(format_utc(beirut.start), "2026-03-28T22:00:00Z");
}

// Goal: windows follow each other without gap or overlap, and every instant lies in its own.
// Method: two years in steps of 7 hours, every kind, three zones.
TEST(Period, WindowsFollowEachOther) {
  for (const char* kind : {"day", "week", "month", "quarter"}) {
    for (const char* zone : {"UTC", "America/St_Johns", "Pacific/Apia"}) {
      const Period period = Period::parse(std::string(kind) + "@" + zone);
      PeriodWindow last = period.window_at(at("2025-01-01"));
      for (UtcTime time = at("2025-01-01"); time < at("2027-01-01"); time += hours{7}) {
        const PeriodWindow window = period.window_at(time);
        ASSERT_TRUE(window.start <= time && time < window.end) << period.str();
        ASSERT_TRUE(window == last || window.start == last.end) << period.str();
        ASSERT_EQ(period.window_at(window.start), window) << period.str();
        last = window;
      }
    }
  }
}

TEST(Period, ReadsAndWritesItsText) {
  for (const char* text : {"lifetime", "day@UTC", "week@Asia/Tokyo", "quarter@Europe/Berlin"}) {
    EXPECT_EQ(Period::parse(text).str(), text);
  }
  EXPECT_EQ(Period::parse("month"), Period::parse("month@UTC"));
  EXPECT_EQ(Period{}.window_at(at("2026-01-01")).end, UtcTime::max());
  for (const char* text : {"", "year", "Month", "month@", "month@Mars/Olympus", "lifetime@UTC",
                           "month@../../etc/passwd", "day@Europe/Berlin "}) {
    EXPECT_EQ(code_of([&] { (void)Period::parse(text); }), "InvalidArgument") << text;
  }
}

}  // namespace
}  // namespace finops
