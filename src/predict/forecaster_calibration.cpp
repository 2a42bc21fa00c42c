// forecaster_calibration.cpp - the tracking of two spans, for all jobs and for each group.
#include "predict/forecaster_calibration.hpp"

#include <algorithm>
#include <cmath>

#include "finops/base/error.hpp"

namespace finops::predict {
namespace {

// Steps in log units for each job outside. Slow, since an outcome is known hours or days after its
// forecast and fast steps then swing; chosen on the middle of the shared traces (docs/accuracy.md).
constexpr double kGain = 0.003;
constexpr double kGroupGain = 0.001;
// A span of nothing cannot grow by a factor.
constexpr double kLeastSpan = 0.02;
constexpr double kBurstPower = -0.25;
constexpr double kOutside = 0.1;

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
                          std::int64_t sibling_count) {
  const double weight = std::pow(static_cast<double>(sibling_count), kBurstPower);
  const std::array<double, 2> misses{(log_used < promised[0] ? 1 : 0) - kOutside,
                                     (log_used > promised[2] ? 1 : 0) - kOutside};
  for (std::size_t side = 0; side < misses.size(); ++side) {
    factors_[0][side] = moved(factors_[0][side], kGain * weight * misses[side]);
    double& own = factors_.at(1 + group)[side];
    own = moved(own, kGroupGain * weight * misses[side]);
  }
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
