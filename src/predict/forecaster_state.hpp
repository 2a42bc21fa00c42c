// forecaster_state.hpp - what a Forecaster holds.
//
// Owns: Forecaster::State, Promise. Does not own: the parts' own rules.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <queue>
#include <string>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "finops/predict/feature_stream.hpp"
#include "finops/predict/forecaster.hpp"
#include "finops/predict/forest.hpp"
#include "finops/predict/ridge.hpp"
#include "finops/predict/scorer.hpp"
#include "predict/forecaster_calibration.hpp"
#include "predict/forecaster_limits.hpp"
#include "predict/forecaster_log.hpp"
#include "predict/forecaster_means.hpp"

namespace finops::predict {

/// Ended jobs over which ForecastHealth counts.
inline constexpr std::size_t kHealthWindow = 1'000;

/// What was said of a job at its submission.
struct Promise {
  LogForecast logs{};
  std::size_t group = 0;
  double mean_gpu_seconds = 0;  ///< before the balance
  bool is_balanced = false;     ///< trees had the larger say; a cold start's means are too wild
  bool is_known_above = false;  ///< it went on past its p90
};
struct InFlightJob {
  std::optional<Promise> promise;
  std::vector<float> row;  ///< of its submission, for the cold start
  Anchor anchor;
};

/// When a running job will have used its p90.
struct Overrun {
  UtcTime time{};
  std::string job_id;
  bool operator>(const Overrun& other) const {
    return std::tie(time, job_id) > std::tie(other.time, other.job_id);
  }
};

/// How one ended job lay to its promise.
struct Scored {
  bool is_below_p10 = false;
  bool is_above_p90 = false;
};

/// A forecast on the way: of which row, and in logs.
struct RawForecast {
  std::vector<float> row;
  Anchor anchor;
  LogForecast logs{};  ///< before calibration
  double tree_weight = 0;
  double most_gpu_seconds = 0;  ///< infinity: no limit is known
};

struct Forecaster::State {
  explicit State(const ForecasterOptions& given) : options(given), log(given.max_training_rows) {}

  /// Time goes on: jobs that have run past their p90 by now are noticed.
  void advance(UtcTime time);
  void expect_overrun(const JobRecord& record, const Promise& promise);
  UsageForecast submit(const Job& job);
  void start(std::string_view job_id, UtcTime start_time);
  void end(std::string_view job_id, const JobEnd& end);
  bool refit_if_due(UtcTime now);

  [[nodiscard]] RawForecast raw_forecast(const Job& job, UtcTime now) const;
  [[nodiscard]] LogForecast tree_forecast(const RawForecast& raw) const;
  [[nodiscard]] Promise promise_of(const Job& job, const RawForecast& raw) const;
  [[nodiscard]] UsageForecast usage_forecast(const Job& job, const RawForecast& raw) const;
  void explain(const Job& job, const RawForecast& raw, UsageForecast& forecast) const;
  [[nodiscard]] UsageForecast refreshed(const JobRecord& record, UtcTime now) const;

  /// Feeds records to the features, bursts and log, without forecasts: what was learned from them
  /// is set beside.
  void restore(const std::vector<JobRecord>& records);
  /// A model file's body. Throws as from_json does, and nlohmann's exceptions.
  void read(const nlohmann::json& body);
  void set_model(ForestModel given, std::int64_t ended_count, UtcTime time);

  ForecasterOptions options;
  UtcTime last_time{};
  JobLog log;
  FeatureStream features;
  ColdStart cold;
  Calibration calibration;
  RequestLimit request_limit;
  MeanBalance balance;
  std::priority_queue<Overrun, std::vector<Overrun>, std::greater<>> overruns;
  std::unordered_map<std::string, InFlightJob> in_flight;
  std::deque<Scored> scored;
  std::optional<ForestModel> model;
  std::optional<Scorer> scorer;
  std::int64_t refit_ended_count = 0;
  UtcTime refit_time{};
};

}  // namespace finops::predict
