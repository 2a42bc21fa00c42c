// forecaster_calibration.cpp - the tracking of two spans, for all jobs and for each group.
#include "predict/forecaster_calibration.hpp"

#include <algorithm>
#include <cmath>

#include "finops/base/error.hpp"

namespace finops::predict {
namespace {

// Steps in log units for each job outside. Slow, since an outcome is known hours or days after its
// forecast and fast steps then swing; compared on public traces (docs/accuracy.md).
constexpr double kGain = 0.002;
constexpr double kGroupGain = 0.001;
// A span of nothing cannot grow by a factor.
constexpr double kLeastSpan = 0.02;
constexpr double kOutside = 0.1;
constexpr std::size_t kLow = 0;
constexpr std::size_t kHigh = 1;

double moved(double log_factor, double step) {
  return std::clamp(log_factor + step, -Calibration::kMaxLogFactor, Calibration::kMaxLogFactor);
}

}  // namespace

std::size_t calibration_group(const Job& job, int similar_job_count) noexcept {
  constexpr int kRecurringCount = 5;
  const std::size_t size = job.gpu_count > 8 ? 3 : job.gpu_count == 8 ? 2 : job.gpu_count > 1;
  return 2 * size + (similar_job_count >= kRecurringCount ? 1 : 0);
}

LogForecast Calibration::apply(std::size_t group, const LogForecast& raw) const {
  const LogFactors& own = factors_.at(1 + group);
  const double low = (raw[1] - raw[0] + kLeastSpan) * std::exp(factors_[0][0] + own[0]);
  const double high = (raw[2] - raw[1] + kLeastSpan) * std::exp(factors_[0][1] + own[1]);
  return {std::max(raw[1] - low, 0.0), raw[1], raw[1] + high};
}

void Calibration::observe(std::size_t group, const LogForecast& promised, double log_used,
                          bool is_known_above) {
  move(group, kLow, log_used < promised[0]);
  if (!is_known_above) {
    move(group, kHigh, log_used > promised[2]);
  }
}

void Calibration::observe_above(std::size_t group) { move(group, kHigh, true); }

void Calibration::move(std::size_t group, std::size_t side, bool is_outside) {
  const double step = (is_outside ? 1 : 0) - kOutside;
  factors_[0].at(side) = moved(factors_[0].at(side), kGain * step);
  double& own = factors_.at(1 + group).at(side);
  own = moved(own, kGroupGain * step);
}

void Calibration::set_factors(const std::array<LogFactors, 1 + kCalibrationGroupCount>& factors) {
  for (const LogFactors& pair : factors) {
    for (const double log_factor : pair) {
      FINOPS_REQUIRE(std::abs(log_factor) <= kMaxLogFactor, ErrorCode::InvalidArgument,
                     "the calibration holds " + std::to_string(log_factor) + "; at most " +
                         std::to_string(kMaxLogFactor) + " either way");
    }
  }
  factors_ = factors;
}

}  // namespace finops::predict
