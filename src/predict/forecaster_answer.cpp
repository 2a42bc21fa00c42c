// forecaster_answer.cpp - from a row of features to a forecast, and why it is what it is.
#include <algorithm>
#include <cmath>
#include <limits>

#include "finops/base/error.hpp"
#include "predict/forecaster_refit.hpp"
#include "predict/forecaster_spread.hpp"
#include "predict/forecaster_state.hpp"

namespace finops::predict {
namespace {

constexpr std::size_t kShownDriverCount = 5;
constexpr std::size_t kShownJobCount = 5;
// A contribution below a thousandth moves no digit that is shown.
constexpr double kLeastContribution = 1e-3;

// Means of recent jobs and of the forecast's own distribution err in opposite ways: the first lags
// behind, the second lives by its tail (docs/accuracy.md), which at a cold start is all tail.
constexpr double kOwnMeanWeight = 0.5;

// Nothing is told below nothing, or above what the job can use.
LogForecast within_limits(LogForecast logs, double most_gpu_seconds) {
  for (double& value : logs) {
    value = std::clamp(value, 0.0, std::log1p(most_gpu_seconds));
  }
  return logs;
}

}  // namespace

LogForecast Forecaster::State::tree_forecast(const RawForecast& raw) const {
  std::array<float, kModelOutputCount> outputs{};
  scorer->score_one(raw.row, outputs);
  LogForecast logs{};
  for (std::size_t index = 0; index < logs.size(); ++index) {
    logs[index] = std::max(0.0, raw.anchor.log_gpu_seconds + static_cast<double>(outputs[index]));
  }
  // Sorting never worsens the pinball loss, and keeps what is monotone so (Chernozhukov,
  // Fernandez-Val and Galichon, Quantile and probability curves without crossing, 2010).
  std::sort(logs.begin(), logs.end());
  return logs;
}

RawForecast Forecaster::State::raw_forecast(const Job& job, UtcTime now) const {
  RawForecast raw;
  raw.row.resize(feature_names().size());
  raw.anchor = features.row(job, now, raw.row);
  raw.most_gpu_seconds = request_limit.most_gpu_seconds(job);
  const ColdForecast prior = cold.forecast(raw.row, raw.anchor);
  raw.logs = {prior.p10_level, prior.p50_level, prior.p90_level};
  if (model) {
    const auto count = static_cast<double>(refit_ended_count);
    raw.tree_weight = count / (count + options.blend_job_count);
    const LogForecast trees = tree_forecast(raw);
    for (std::size_t index = 0; index < trees.size(); ++index) {
      raw.logs[index] = std::lerp(raw.logs[index], trees[index], raw.tree_weight);
    }
  }
  return raw;
}

Promise Forecaster::State::promise_of(const Job& job, const RawForecast& raw) const {
  Promise promise;
  promise.group = calibration_group(job, raw.anchor.job_count);
  promise.logs = within_limits(calibration.apply(promise.group, raw.logs), raw.most_gpu_seconds);
  const double own = mean_beyond(Spread(promise.logs), 1, raw.most_gpu_seconds);
  const double anchor = std::min(raw.anchor.mean_gpu_seconds, raw.most_gpu_seconds);
  promise.is_balanced = raw.tree_weight >= 0.5;
  promise.mean_gpu_seconds =
      raw.anchor.job_count > 0 ? std::lerp(anchor, own, kOwnMeanWeight * raw.tree_weight) : own;
  return promise;
}

UsageForecast Forecaster::State::usage_forecast(const Job& job, const RawForecast& raw) const {
  const Promise promise = promise_of(job, raw);
  const LogForecast& logs = promise.logs;
  UsageForecast result;
  result.p10_gpu_seconds = std::expm1(logs[0]);
  result.p50_gpu_seconds = std::expm1(logs[1]);
  result.p90_gpu_seconds = std::expm1(logs[2]);
  result.mean_gpu_seconds =
      std::min(promise.mean_gpu_seconds * (promise.is_balanced ? balance.factor() : 1),
               raw.most_gpu_seconds);
  result.most_gpu_seconds = raw.most_gpu_seconds;
  result.ended_job_count = log.ended_count();
  result.similar_job_count = raw.anchor.job_count;
  result.tree_weight = raw.tree_weight;
  return result;
}

// A feature's contribution is what the median would be without knowing it, and how far that is.
void Forecaster::State::explain(const Job& job, const RawForecast& raw,
                                UsageForecast& forecast) const {
  if (model) {
    RawForecast changed = raw;
    const double known = tree_forecast(raw)[1];
    for (std::size_t index = 0; index < raw.row.size(); ++index) {
      if (std::isnan(raw.row[index])) {
        continue;
      }
      changed.row[index] = std::numeric_limits<float>::quiet_NaN();
      const double moved = raw.tree_weight * (known - tree_forecast(changed)[1]);
      changed.row[index] = raw.row[index];
      if (std::abs(moved) >= kLeastContribution) {
        forecast.drivers.push_back({std::string(feature_names()[index]),
                                    static_cast<double>(raw.row[index]), moved});
      }
    }
    std::stable_sort(forecast.drivers.begin(), forecast.drivers.end(),
                     [](const Driver& left, const Driver& right) {
                       return std::abs(left.log_contribution) > std::abs(right.log_contribution);
                     });
    forecast.drivers.resize(std::min(forecast.drivers.size(), kShownDriverCount));
  }
  forecast.past_jobs = log.newest_like(job, kShownJobCount);
}

// What is known by `now` moves the quantiles (siblings that ended, failed or go on), and the run so
// far cuts off what lies below it.
UsageForecast Forecaster::State::refreshed(const JobRecord& record, UtcTime now) const {
  const RawForecast raw = raw_forecast(record.job, now);
  UsageForecast result = usage_forecast(record.job, raw);
  if (!record.start_time || now <= *record.start_time) {
    return result;
  }
  const double run_seconds = std::chrono::duration<double>(now - *record.start_time).count();
  const double used = run_seconds * static_cast<double>(record.job.gpu_count);
  const Spread spread({std::log1p(result.p10_gpu_seconds), std::log1p(result.p50_gpu_seconds),
                       std::log1p(result.p90_gpu_seconds)});
  const double chance = spread.chance_above(std::log1p(used));
  const auto beyond = [&](double quantile) {
    const double gpu_seconds = std::expm1(spread.log_at_chance((1 - quantile) * chance));
    return std::max(used, std::min(gpu_seconds, raw.most_gpu_seconds));
  };
  const double ratio = result.mean_gpu_seconds / mean_beyond(spread, 1, raw.most_gpu_seconds);
  result.p10_gpu_seconds = beyond(kQuantiles[0]);
  result.p50_gpu_seconds = beyond(kQuantiles[1]);
  result.p90_gpu_seconds = beyond(kQuantiles[2]);
  result.mean_gpu_seconds =
      std::max(used, ratio * mean_beyond(spread, chance, raw.most_gpu_seconds));
  return result;
}

ForecastHealth Forecaster::health() const {
  ForecastHealth health;
  health.scored_job_count = std::ssize(state_->scored);
  if (health.scored_job_count == 0) {
    return health;
  }
  const auto share_of = [&](bool Scored::* is_so) {
    const auto count = std::count_if(state_->scored.begin(), state_->scored.end(),
                                     [&](const Scored& scored) { return scored.*is_so; });
    return static_cast<double>(count) / static_cast<double>(health.scored_job_count);
  };
  const double above = share_of(&Scored::is_above_p90);
  const double below = share_of(&Scored::is_below_p10);
  health.coverage_ratio = 1 - above - below;
  health.p90_coverage_ratio = 1 - above;
  // Nominal outside is 0.1 a side: twice that, or a span that had to double, is drift. Fewer jobs
  // than this are too few to tell.
  constexpr std::int64_t kLeastScoredCount = 100;
  constexpr double kMostOutside = 0.2;
  const Calibration::LogFactors& factors = state_->calibration.factors()[0];
  const double widest = std::max(factors[0], factors[1]);
  if (health.scored_job_count < kLeastScoredCount) {
    return health;
  }
  if (above > kMostOutside || below > kMostOutside) {
    const bool is_above = above >= below;
    health.is_drifting = true;
    health.reason = std::to_string(std::lround(100 * std::max(above, below))) + " % of the last " +
                    std::to_string(health.scored_job_count) + " jobs used " +
                    (is_above ? "more than their p90" : "less than their p10") +
                    ", where 10 % are meant: the work has changed";
  } else if (widest > std::log(2.0)) {
    health.is_drifting = true;
    health.reason = "the intervals had to grow to " +
                    std::to_string(std::lround(100 * std::exp(widest))) +
                    " % of what the trees say: the work has changed since they were trained";
  }
  return health;
}

double chance_to_exceed(const UsageForecast& forecast, double gpu_seconds) {
  FINOPS_REQUIRE(std::isfinite(gpu_seconds), ErrorCode::InvalidArgument,
                 "the amount to exceed is not finite; give GPU-seconds");
  if (gpu_seconds <= 0) {
    return 1;  // a job that runs at all uses more than nothing
  }
  if (gpu_seconds >= forecast.most_gpu_seconds) {
    return 0;
  }
  const Spread spread({std::log1p(forecast.p10_gpu_seconds), std::log1p(forecast.p50_gpu_seconds),
                       std::log1p(forecast.p90_gpu_seconds)});
  return spread.chance_above(std::log1p(gpu_seconds));
}

}  // namespace finops::predict
