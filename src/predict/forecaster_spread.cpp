// forecaster_spread.cpp - the four pieces of a distribution, and their inverse.
#include "predict/forecaster_spread.hpp"

#include <algorithm>
#include <cmath>

namespace finops::predict {
namespace {

constexpr double kLeastSpan = 1e-9;  // a span of one point is a step
constexpr double kTail = 0.1;        // beyond p10, and beyond p90
constexpr double kSpan = 0.4;        // between two quantiles
constexpr double kRate = kSpan / kTail;

}  // namespace

Spread::Spread(const LogForecast& logs)
    : logs_(logs),
      low_span_(std::max(logs[1] - logs[0], kLeastSpan)),
      high_span_(std::max(logs[2] - logs[1], kLeastSpan)) {}

double Spread::chance_above(double log_amount) const {
  if (log_amount < logs_[0]) {
    return 1 - kTail * std::exp(-kRate * (logs_[0] - log_amount) / low_span_);
  }
  if (log_amount < logs_[1]) {
    return 1 - kTail - kSpan * (log_amount - logs_[0]) / low_span_;
  }
  if (log_amount < logs_[2]) {
    return 0.5 - kSpan * (log_amount - logs_[1]) / high_span_;
  }
  return kTail * std::exp(-kRate * (log_amount - logs_[2]) / high_span_);
}

double Spread::log_at_chance(double chance) const {
  double result = 0;
  if (chance > 1 - kTail) {
    result = logs_[0] + low_span_ / kRate * std::log((1 - chance) / kTail);
  } else if (chance > 0.5) {
    result = logs_[0] + low_span_ * (1 - kTail - chance) / kSpan;
  } else if (chance > kTail) {
    result = logs_[1] + high_span_ * (0.5 - chance) / kSpan;
  } else {
    // A chance of 0 is a double's rounding of a run far past all that was expected.
    constexpr double kLeastChance = 1e-300;
    result = logs_[2] - high_span_ / kRate * std::log(std::max(chance, kLeastChance) / kTail);
  }
  return std::max(result, 0.0);
}

double mean_beyond(const Spread& spread, double chance, double most_gpu_seconds) {
  constexpr int kPointCount = 20;
  double sum = 0;
  for (int point = 0; point < kPointCount; ++point) {
    const double gpu_seconds =
        std::expm1(spread.log_at_chance(chance * (point + 0.5) / kPointCount));
    sum += std::min(gpu_seconds, most_gpu_seconds);
  }
  return sum / kPointCount;
}

}  // namespace finops::predict
