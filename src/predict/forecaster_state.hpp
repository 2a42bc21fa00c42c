// forecaster_state.hpp - what a Forecaster holds.
//
// Owns: Forecaster::State, LogForecast. Does not own: the parts' own rules.
#pragma once

#include <array>
#include <deque>
#include <string>
#include <unordered_map>

#include "finops/predict/forecaster.hpp"
#include "predict/forecaster_log.hpp"
#include "predict/forecaster_recent.hpp"

namespace finops::predict {

/// So many ended jobs are kept, in memory and in a model file; statistics beyond are not rebuilt.
inline constexpr std::size_t kMaxLoggedJobCount = 50'000;
/// Ended jobs over which ForecastHealth counts.
inline constexpr std::size_t kHealthWindow = 1'000;

inline constexpr std::array<double, 3> kQuantiles{0.1, 0.5, 0.9};
/// log1p of GPU-seconds at kQuantiles, in order.
using LogForecast = std::array<double, 3>;

/// How one ended job lay to its forecast.
struct Scored {
  bool is_below_p10 = false;
  bool is_above_p90 = false;
};

struct Forecaster::State {
  explicit State(const ForecasterOptions& given) : options(given), log(kMaxLoggedJobCount) {}

  [[nodiscard]] LogForecast log_forecast(const Job& job) const;
  [[nodiscard]] UsageForecast forecast(const Job& job) const;
  void advance(UtcTime time);
  UsageForecast submit(const Job& job);
  void start(std::string_view job_id, UtcTime start_time);
  void end(std::string_view job_id, const JobEnd& end);
  void replay(std::span<const JobRecord> history);
  void add_explanation(const Job& job, UsageForecast& forecast) const;

  ForecasterOptions options;
  UtcTime last_time{};
  JobLog log;
  RecentJobs recent;
  std::unordered_map<std::string, LogForecast> promised;  ///< to jobs in flight, at submission
  std::deque<Scored> scored;
};

}  // namespace finops::predict
