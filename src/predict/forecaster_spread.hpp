// forecaster_spread.hpp - the whole distribution that three quantiles stand for.
//
// Owns: Spread, its means. Does not own: where the quantiles come from.
// Invariant: chance_above never rises with the amount, and log_at_chance undoes it.
#pragma once

#include "predict/forecaster_calibration.hpp"

namespace finops::predict {

/// Piecewise linear in log1p of GPU-seconds through the quantiles; the tails go on with the
/// density of their span, and fall exponentially.
class Spread {
 public:
  explicit Spread(const LogForecast& logs);
  /// Chance, 0 to 1, of more than this log.
  [[nodiscard]] double chance_above(double log_amount) const;
  /// The log that is exceeded with this chance, 0 < chance < 1; not below 0.
  [[nodiscard]] double log_at_chance(double chance) const;

 private:
  LogForecast logs_;
  double low_span_;
  double high_span_;
};

/// GPU-seconds on average, none above `most`, of the part that is exceeded with `chance` (1: all).
/// By 20 points of equal weight: the exponential tail of a log has no mean of its own.
[[nodiscard]] double mean_beyond(const Spread& spread, double chance, double most_gpu_seconds);

}  // namespace finops::predict
