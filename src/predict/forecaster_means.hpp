// forecaster_means.hpp - keeps sums of forecasts near the sums of what is used.
//
// Owns: MeanBalance. Does not own: the mean of one job.
// Why: a few long jobs are most of the GPU-hours, and when work grows or shrinks all means are off
// the same way for weeks.
#pragma once

#include <cstdint>
#include <deque>

#include "finops/base/clock.hpp"

namespace finops::predict {

class MeanBalance {
 public:
  struct Day {
    std::int64_t number = 0;  ///< since 1970
    std::int64_t job_count = 0;
    double said_gpu_seconds = 0;
    double used_gpu_seconds = 0;
  };

  /// A job that ended; `said`: its mean, before the balance.
  void observe(UtcTime end_time, double said_gpu_seconds, double used_gpu_seconds);
  /// What means are multiplied by: the root of used by said over the last 14 days. 1 while jobs are
  /// few.
  [[nodiscard]] double factor() const;

  [[nodiscard]] const std::deque<Day>& days() const noexcept { return days_; }
  /// Throws Error(InvalidArgument) for days that no jobs give.
  void set_days(std::deque<Day> days);

 private:
  std::deque<Day> days_;
};

}  // namespace finops::predict
