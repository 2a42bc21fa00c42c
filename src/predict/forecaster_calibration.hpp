// forecaster_calibration.hpp - keeps p10 and p90 honest while the work changes.
//
// Owns: Calibration, LogForecast, kQuantiles. Does not own: the forecast that it widens.
// Method: quantile tracking on the spans p50-p10 and p90-p50 (Angelopoulos, Candes and Tibshirani,
// Conformal PID Control for Time Series Prediction, NeurIPS 2023, the P part; Gibbs and Candes,
// Adaptive Conformal Inference, NeurIPS 2021): a span grows by a little for each job that falls
// outside, and shrinks by less for each inside, so that in the long run the stated share is outside
// whatever the work does. Spans are factors, so that jobs which are known well keep narrow ones.
// Invariants: p50 is not moved; factors stay within kMaxLogFactor.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "finops/predict/job.hpp"

namespace finops::predict {

inline constexpr std::array<double, 3> kQuantiles{0.1, 0.5, 0.9};
/// log1p of GPU-seconds at kQuantiles, in order.
using LogForecast = std::array<double, 3>;

/// (new or recurring) x (1, 2-7, 8, more than 8 GPUs).
inline constexpr std::size_t kCalibrationGroupCount = 8;
[[nodiscard]] std::size_t calibration_group(const Job& job, int similar_job_count) noexcept;

class Calibration {
 public:
  /// Natural logs of what the lower and the upper span are multiplied by.
  using LogFactors = std::array<double, 2>;
  static constexpr double kMaxLogFactor = 2.0;

  [[nodiscard]] LogForecast apply(std::size_t group, const LogForecast& raw) const;
  /// `promised`: what was said at the submission. `is_known_above`: `observe_above` was told of
  /// this job already.
  void observe(std::size_t group, const LogForecast& promised, double log_used,
               bool is_known_above);
  /// A job that goes on past its p90: known long before it ends. Those that stay below it are known
  /// early, so without this an interval would always be judged by the short ones.
  void observe_above(std::size_t group);

  /// Of all jobs, then of each group: they add up.
  [[nodiscard]] const std::array<LogFactors, 1 + kCalibrationGroupCount>& factors() const noexcept {
    return factors_;
  }
  /// Throws Error(InvalidArgument) for a number that is not finite or out of range.
  void set_factors(const std::array<LogFactors, 1 + kCalibrationGroupCount>& factors);

 private:
  void move(std::size_t group, std::size_t side, bool is_outside);

  std::array<LogFactors, 1 + kCalibrationGroupCount> factors_{};
};

}  // namespace finops::predict
