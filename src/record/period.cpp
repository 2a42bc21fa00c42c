// period.cpp - calendar windows; the time zones are CCTZ's, which reads the system's tz database.
#include "finops/record/period.hpp"

#include <cctz/civil_time.h>
#include <cctz/time_zone.h>

#include <array>
#include <cstdio>
#include <string_view>
#include <utility>

#include "finops/base/error.hpp"

namespace finops {
namespace {

constexpr std::array<std::pair<Period::Kind, std::string_view>, 5> kNames{
    {{Period::Kind::Lifetime, "lifetime"},
     {Period::Kind::Day, "day"},
     {Period::Kind::Week, "week"},
     {Period::Kind::Month, "month"},
     {Period::Kind::Quarter, "quarter"}}};

cctz::time_zone load_zone(const std::string& name) {
  cctz::time_zone zone;
  FINOPS_REQUIRE(!name.empty() && cctz::load_time_zone(name, &zone), ErrorCode::InvalidArgument,
                 "unknown time zone '" + name +
                     "'; give an IANA name such as Europe/Berlin or UTC (is tzdata installed?)");
  return zone;
}

// The first day of the window that `day` lies in, and of the next one.
std::pair<cctz::civil_day, cctz::civil_day> days_of(Period::Kind kind, cctz::civil_day day) {
  if (kind == Period::Kind::Day) {
    return {day, day + 1};
  }
  if (kind == Period::Kind::Week) {
    const cctz::civil_day monday = cctz::prev_weekday(day + 1, cctz::weekday::monday);
    return {monday, monday + 7};
  }
  const cctz::civil_month month(day);
  if (kind == Period::Kind::Month) {
    return {cctz::civil_day(month), cctz::civil_day(month + 1)};
  }
  const cctz::civil_month first(month.year(), (month.month() - 1) / 3 * 3 + 1);
  return {cctz::civil_day(first), cctz::civil_day(first + 3)};
}

std::string label_of(Period::Kind kind, cctz::civil_day first) {
  std::array<char, 32> text{};
  const auto year = static_cast<long long>(first.year());
  if (kind == Period::Kind::Day) {
    std::snprintf(text.data(), text.size(), "%04lld-%02d-%02d", year, first.month(), first.day());
  } else if (kind == Period::Kind::Week) {
    // ISO 8601: a week belongs to the year of its Thursday.
    const cctz::civil_day thursday = first + 3;
    const int week = (cctz::get_yearday(thursday) - 1) / 7 + 1;
    std::snprintf(text.data(), text.size(), "%04lld-W%02d", static_cast<long long>(thursday.year()),
                  week);
  } else if (kind == Period::Kind::Month) {
    std::snprintf(text.data(), text.size(), "%04lld-%02d", year, first.month());
  } else {
    std::snprintf(text.data(), text.size(), "%04lld-Q%d", year, (first.month() - 1) / 3 + 1);
  }
  return text.data();
}

}  // namespace

Period Period::parse(const std::string& text) {
  const std::size_t at = text.find('@');
  const std::string word = text.substr(0, at);
  Period period;
  bool is_known = false;
  for (const auto& [kind, name] : kNames) {
    if (name == word) {
      period.kind_ = kind;
      is_known = true;
    }
  }
  const bool has_zone = at != std::string::npos;
  FINOPS_REQUIRE(is_known && !(has_zone && period.is_lifetime()), ErrorCode::InvalidArgument,
                 "unknown period '" + text +
                     "'; known are lifetime, day, week, month and quarter, the last four with a "
                     "time zone if need be: month@Europe/Berlin");
  if (!period.is_lifetime()) {
    period.time_zone_ = has_zone ? text.substr(at + 1) : "UTC";
    (void)load_zone(period.time_zone_);
  }
  return period;
}

std::string Period::str() const {
  for (const auto& [kind, name] : kNames) {
    if (kind == kind_) {
      return std::string(name) + (is_lifetime() ? "" : "@" + time_zone_);
    }
  }
  return "lifetime";
}

PeriodWindow Period::window_at(UtcTime time) const {
  if (is_lifetime()) {
    return {};
  }
  const cctz::time_zone zone = load_zone(time_zone_);
  // At the ends of what a UtcTime can say (the years 1677 and 2262) a window is cut.
  const auto instant_of = [&zone](cctz::civil_day day) {
    const auto instant = cctz::convert(cctz::civil_second(day), zone);
    if (instant < std::chrono::ceil<std::chrono::seconds>(UtcTime::min())) {
      return UtcTime::min();
    }
    return instant > std::chrono::floor<std::chrono::seconds>(UtcTime::max()) ? UtcTime::max()
                                                                              : UtcTime{instant};
  };
  const auto seconds = std::chrono::floor<std::chrono::seconds>(time);
  const auto [first, next] = days_of(kind_, cctz::civil_day(cctz::convert(seconds, zone)));
  // Where midnight does not exist or comes twice, CCTZ takes the first instant of the day.
  return {.start = instant_of(first), .end = instant_of(next), .label = label_of(kind_, first)};
}

}  // namespace finops
