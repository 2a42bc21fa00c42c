// forecaster.hpp - what a job will use, with calibrated p10, p50 and p90, learned job by job.
//
// Owns: Forecaster: features, blend of cold start and trees, calibration, refits, drift alarm.
// Does not own: prices (they are applied after), files, clocks.
// Invariants: p10 <= p50 <= p90; a forecast uses only what was known at its moment; equal histories
// give equal forecasts.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "finops/predict/job.hpp"

namespace finops::predict {

struct ForecasterOptions {
  int tree_count = 100;
  double learning_rate = 0.05;
  /// A refit is due after so much time and so many ended jobs; while the history is young, also
  /// each time that it has doubled.
  Nanoseconds refit_period = std::chrono::hours{24 * 7};
  int refit_job_count = 200;
  /// Ended jobs at which trees and cold start weigh the same: n / (n + k).
  int blend_job_count = 200;
  /// The newest. So many ended jobs are kept, in memory and in a model file.
  std::size_t max_training_rows = 150'000;
  std::uint64_t seed = 1;
};

/// A feature and how much it moved this forecast, in log units; or a past run it rests on.
struct Driver {
  std::string name;
  double value = 0;             ///< of the feature; NaN: missing
  double log_contribution = 0;  ///< above 0: makes the forecast larger
};
struct PastJob {
  std::string job_id;
  double gpu_seconds = 0;
  JobStatus status = JobStatus::COMPLETED;
};

/// GPU-seconds of the whole job.
struct UsageForecast {
  double p10_gpu_seconds = 0;
  double p50_gpu_seconds = 0;
  double p90_gpu_seconds = 0;
  double mean_gpu_seconds = 0;  ///< adds up over jobs; quantiles do not
  /// What the request allows, if jobs of this history keep to theirs; infinity: no limit is known.
  double most_gpu_seconds = std::numeric_limits<double>::infinity();
  std::int64_t ended_job_count = 0;  ///< the history it rests on
  int similar_job_count = 0;         ///< of the most specific key that has any
  double tree_weight = 0;            ///< 0: cold start alone, towards 1: trees alone
  std::vector<Driver> drivers;       ///< strongest first; empty unless asked for
  std::vector<PastJob> past_jobs;    ///< newest first; empty unless asked for
};

/// Chance, 0 to 1, that a job with this forecast uses more than `gpu_seconds`: piecewise linear in
/// log GPU-seconds through the three quantiles, with exponential tails of the outer spans' slopes.
[[nodiscard]] double chance_to_exceed(const UsageForecast& forecast, double gpu_seconds);

/// How well recent forecasts held: each ended job scored against what was said at its submission.
struct ForecastHealth {
  std::int64_t scored_job_count = 0;  ///< in the rolling window
  double coverage_ratio = 0;          ///< inside p10..p90; 0.8 is meant
  double p90_coverage_ratio = 0;      ///< at or below p90; 0.9 is meant
  bool is_drifting = false;           ///< the calibration had to move far: see docs
  std::string reason;                 ///< of the alarm, in plain words
};

class Forecaster {
 public:
  explicit Forecaster(const ForecasterOptions& options);
  ~Forecaster();
  Forecaster(Forecaster&&) noexcept;
  Forecaster& operator=(Forecaster&&) noexcept;
  Forecaster(const Forecaster&) = delete;
  Forecaster& operator=(const Forecaster&) = delete;

  /// Feeds a whole history, refitting on the way as it would have been live. Rows in any order.
  /// Throws Error(InvalidArgument) on an empty one.
  void learn(std::span<const JobRecord> history);

  // Live, times in order. `submit` makes and keeps the forecast that `end` is scored against.
  UsageForecast submit(const Job& job);
  void start(std::string_view job_id, UtcTime start_time);
  void end(std::string_view job_id, const JobEnd& end);
  /// Refits if it is due. Returns whether it did.
  bool refit_if_due(UtcTime now);

  /// Asks without submitting. `is_explained` fills drivers and past_jobs.
  [[nodiscard]] UsageForecast forecast(const Job& job, UtcTime now, bool is_explained) const;
  /// The same for a job in flight that has run for so long already: never below what it has used.
  [[nodiscard]] UsageForecast refresh(std::string_view job_id, UtcTime now) const;
  [[nodiscard]] ForecastHealth health() const;

  /// A model file: trees, calibration and the statistics of keys, with schema version and checksum.
  [[nodiscard]] std::string to_json() const;
  /// Throws Error(InvalidArgument) on a file that is damaged, hostile or past a limit;
  /// Error(UnsupportedSchema) on a newer one.
  [[nodiscard]] static Forecaster from_json(std::string_view json_text);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace finops::predict
