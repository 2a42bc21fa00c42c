// forecaster_means.cpp - sums of the last days.
#include "predict/forecaster_means.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <string>
#include <utility>

#include "finops/base/error.hpp"

namespace finops::predict {
namespace {

// The root halves the swing (in logs): outcomes of long jobs come late, and the whole ratio
// overshoots. Window and root were compared on public traces (docs/accuracy.md).
constexpr std::int64_t kDayCount = 14;
constexpr std::int64_t kLeastJobCount = 200;
constexpr double kMostRatio = 4;

std::int64_t day_of(UtcTime time) {
  return std::chrono::floor<std::chrono::days>(time).time_since_epoch().count();
}

}  // namespace

void MeanBalance::observe(UtcTime end_time, double said_gpu_seconds, double used_gpu_seconds) {
  const std::int64_t number = day_of(end_time);
  if (days_.empty() || days_.back().number < number) {
    days_.push_back({number, 0, 0, 0});
  }
  Day& day = days_.back();
  ++day.job_count;
  day.said_gpu_seconds += said_gpu_seconds;
  day.used_gpu_seconds += used_gpu_seconds;
  while (days_.front().number <= days_.back().number - kDayCount) {
    days_.pop_front();
  }
}

double MeanBalance::factor() const {
  Day sum;
  for (const Day& day : days_) {
    sum.job_count += day.job_count;
    sum.said_gpu_seconds += day.said_gpu_seconds;
    sum.used_gpu_seconds += day.used_gpu_seconds;
  }
  if (sum.job_count < kLeastJobCount || sum.said_gpu_seconds <= 0) {
    return 1;
  }
  const double ratio = sum.used_gpu_seconds / sum.said_gpu_seconds;
  return std::sqrt(std::clamp(ratio, 1 / kMostRatio, kMostRatio));
}

void MeanBalance::set_days(std::deque<Day> days) {
  std::int64_t last = std::numeric_limits<std::int64_t>::min();
  for (const Day& day : days) {
    const bool is_sum = std::isfinite(day.said_gpu_seconds) && day.said_gpu_seconds >= 0 &&
                        std::isfinite(day.used_gpu_seconds) && day.used_gpu_seconds >= 0;
    FINOPS_REQUIRE(is_sum && day.job_count > 0 && day.number > last, ErrorCode::InvalidArgument,
                   "the model file holds a day of sums that no jobs give; it is damaged");
    last = day.number;
  }
  FINOPS_REQUIRE(days.size() <= std::size_t{kDayCount}, ErrorCode::InvalidArgument,
                 "the model file holds sums of " + std::to_string(days.size()) + " days; at most " +
                     std::to_string(kDayCount) + " are kept");
  days_ = std::move(days);
}

}  // namespace finops::predict
