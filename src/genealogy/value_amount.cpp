// value_amount.cpp - what a recurring value comes to: per month, and up to a time.
#include <algorithm>
#include <array>
#include <chrono>
#include <vector>

#include "finops/genealogy/value.hpp"

namespace finops::genealogy {
namespace {

using std::chrono::months;
using std::chrono::year_month;

UtcTime start_of(year_month month) {
  return UtcTime{std::chrono::sys_days{month / std::chrono::day{1}}.time_since_epoch()};
}

year_month month_of(UtcTime time) {
  const std::chrono::year_month_day date{std::chrono::floor<std::chrono::days>(time)};
  return date.year() / date.month();
}

int months_in(ValuePeriod period) {
  return period == ValuePeriod::Month ? 1 : period == ValuePeriod::Quarter ? 3 : 12;
}

// The first month of the period that `time` lies in; quarters and years are the calendar's.
year_month period_start(UtcTime time, int month_count) {
  const year_month month = month_of(time);
  const auto index = static_cast<int>(static_cast<unsigned>(month.month())) - 1;
  return month - months{index % month_count};
}

// The share of `amount` that falls into [from, to) of the window [start, end).
Money share_of_window(Money amount, UtcTime start, UtcTime end, UtcTime from, UtcTime to) {
  const Nanoseconds inside = std::min(end, to) - std::max(start, from);
  const Nanoseconds whole = end - start;
  return amount.split(std::array{inside.count(), (whole - inside).count()}).front();
}

// The periods that are counted have a start and an end in range: ns of 64 bits end in 2262.
constexpr UtcTime kFirst{};
UtcTime last_time() { return start_of(std::chrono::year{2261} / std::chrono::January); }

Money up_to(const BusinessValue& value, UtcTime begin, UtcTime until) {
  const UtcTime from = std::max(begin, kFirst);
  Money sum = Money::zero(value.amount.currency());
  const int month_count = months_in(value.period);
  for (year_month first = period_start(from, month_count); start_of(first) < until;
       first += months{month_count}) {
    sum += share_of_window(value.amount, start_of(first), start_of(first + months{month_count}),
                           from, until);
  }
  return sum;
}

}  // namespace

ValueAmount value_amount(const BusinessValue& value, UtcTime as_of) {
  const Money zero = Money::zero(value.amount.currency());
  const UtcTime now = std::min(as_of, last_time());
  const UtcTime end = value.valid_to == UtcTime{} ? UtcTime::max() : value.valid_to;
  // Nobody said from when: from when it was said, and never from 1970.
  const UtcTime begin = value.valid_from == UtcTime{} ? value.recorded_at : value.valid_from;
  if (now < begin) {
    return {.per_month = zero, .to_date = zero};
  }
  if (value.period == ValuePeriod::Once) {  // whatever was said of its end
    return {.per_month = zero, .to_date = value.amount};
  }
  if (begin >= end) {
    return {.per_month = zero, .to_date = zero};
  }
  const auto month_count = static_cast<std::size_t>(months_in(value.period));
  const std::vector<std::int64_t> equally(month_count, 1);
  return {.per_month = now < end ? value.amount.split(equally).front() : zero,
          .to_date = begin == UtcTime{} ? zero : up_to(value, begin, std::min(now, end))};
}

}  // namespace finops::genealogy
