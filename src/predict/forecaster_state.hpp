// forecaster_state.hpp - what a Forecaster holds.
//
// Owns: Forecaster::State, Promise. Does not own: the parts' own rules.
#pragma once

#include <deque>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "finops/predict/feature_stream.hpp"
#include "finops/predict/forecaster.hpp"
#include "finops/predict/forest.hpp"
#include "finops/predict/scorer.hpp"
#include "predict/forecaster_bursts.hpp"
#include "predict/forecaster_calibration.hpp"
#include "predict/forecaster_log.hpp"

namespace finops::predict {

/// Ended jobs over which ForecastHealth counts.
inline constexpr std::size_t kHealthWindow = 1'000;

/// What was said of a job at its submission.
struct Promise {
  LogForecast logs{};
  std::size_t group = 0;
};
struct InFlightJob {
  std::shared_ptr<Burst> burst;
  std::optional<Promise> promise;
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
};

struct Forecaster::State {
  explicit State(const ForecasterOptions& given) : options(given), log(given.max_training_rows) {}

  void advance(UtcTime time);
  UsageForecast submit(const Job& job);
  void start(std::string_view job_id, UtcTime start_time);
  void end(std::string_view job_id, const JobEnd& end);
  bool refit_if_due(UtcTime now);

  [[nodiscard]] RawForecast raw_forecast(const Job& job, UtcTime now) const;
  [[nodiscard]] LogForecast tree_forecast(const RawForecast& raw) const;
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
  Bursts bursts;
  Calibration calibration;
  std::unordered_map<std::string, InFlightJob> in_flight;
  std::deque<Scored> scored;
  std::optional<ForestModel> model;
  std::optional<Scorer> scorer;
  std::int64_t refit_ended_count = 0;
  UtcTime refit_time{};
};

}  // namespace finops::predict
