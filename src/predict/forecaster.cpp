// forecaster.cpp - feeds jobs to the parts in the order of time, and puts their answers together.
#include "finops/predict/forecaster.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "finops/base/error.hpp"
#include "predict/forecaster_state.hpp"

namespace finops::predict {
namespace {

// With no history at all: an hour on one GPU, give or take a factor of 13 (two natural logs
// each way hold 80 % of a normal of deviation 2).
constexpr double kPriorLogSeconds = 8.19;
constexpr double kPriorSpread = 2.56;
// Quantiles of fewer jobs than this say nothing of the tails.
constexpr std::size_t kLeastSpreadCount = 5;

void require_options(const ForecasterOptions& options) {
  FINOPS_REQUIRE(options.tree_count >= 1 && options.learning_rate > 0 &&
                     options.learning_rate <= 1 && options.refit_job_count >= 1 &&
                     options.blend_job_count >= 0 && options.max_training_rows >= 1 &&
                     options.refit_period >= Nanoseconds{0},
                 ErrorCode::InvalidArgument,
                 "options of the forecaster are out of range: tree_count, refit_job_count and "
                 "max_training_rows from 1, learning_rate in (0, 1], none below 0");
}

}  // namespace

void Forecaster::State::advance(UtcTime time) {
  FINOPS_REQUIRE(time >= last_time, ErrorCode::InvalidArgument,
                 format_utc(time) + " is before " + format_utc(last_time) +
                     ", which was given already; times come in order");
  last_time = time;
}

LogForecast Forecaster::State::log_forecast(const Job& job) const {
  const double prior = kPriorLogSeconds + std::log(static_cast<double>(job.gpu_count));
  LogForecast values{prior - kPriorSpread, prior, prior + kPriorSpread};
  const RecentOfKind* kind = recent.of(job, 1);
  const RecentOfKind* spread = recent.of(job, kLeastSpreadCount);
  if (kind == nullptr) {
    return values;
  }
  const auto sorted_logs = [](const RecentOfKind& of) {
    std::vector<double> logs;
    for (const PastJob& past : of.jobs) {
      logs.push_back(std::log1p(past.gpu_seconds));
    }
    std::sort(logs.begin(), logs.end());
    return logs;
  };
  const double middle = quantile_of(sorted_logs(*kind), 0.5);
  values = {middle - kPriorSpread, middle, middle + kPriorSpread};
  if (spread != nullptr) {
    const std::vector<double> logs = sorted_logs(*spread);
    const double center = quantile_of(logs, 0.5);
    values[0] = middle + quantile_of(logs, 0.1) - center;
    values[2] = middle + quantile_of(logs, 0.9) - center;
  }
  values[0] = std::max(values[0], 0.0);
  std::sort(values.begin(), values.end());
  return values;
}

UsageForecast Forecaster::State::forecast(const Job& job) const {
  const LogForecast logs = log_forecast(job);
  UsageForecast result;
  result.p10_gpu_seconds = std::expm1(logs[0]);
  result.p50_gpu_seconds = std::expm1(logs[1]);
  result.p90_gpu_seconds = std::expm1(logs[2]);
  result.mean_gpu_seconds = result.p50_gpu_seconds;
  result.ended_job_count = log.ended_count();
  if (const RecentOfKind* kind = recent.of(job, 1); kind != nullptr) {
    double sum = 0;
    for (const PastJob& past : kind->jobs) {
      sum += past.gpu_seconds;
    }
    result.mean_gpu_seconds = sum / static_cast<double>(kind->jobs.size());
    result.similar_job_count = static_cast<int>(kind->jobs.size());
  }
  return result;
}

void Forecaster::State::add_explanation(const Job& job, UsageForecast& forecast) const {
  constexpr std::ptrdiff_t kShownCount = 5;
  if (const RecentOfKind* kind = recent.of(job, 1); kind != nullptr) {
    forecast.past_jobs.assign(kind->jobs.rbegin(),
                              kind->jobs.rbegin() + std::min(kShownCount, std::ssize(kind->jobs)));
  }
}

UsageForecast Forecaster::State::submit(const Job& job) {
  require_job(job);
  advance(job.submit_time);
  UsageForecast result = forecast(job);
  log.submit(job);
  promised[job.job_id] = log_forecast(job);
  return result;
}

void Forecaster::State::start(std::string_view job_id, UtcTime start_time) {
  advance(start_time);
  log.start(job_id, start_time);
}

void Forecaster::State::end(std::string_view job_id, const JobEnd& end) {
  const JobRecord* record = log.in_flight(job_id);
  FINOPS_REQUIRE(record != nullptr, ErrorCode::InvalidArgument,
                 "no job " + std::string(job_id) + " is in flight; submit it first");
  require_end(record->job, end);
  advance(end.end_time);
  recent.add(record->job, end);
  if (const auto found = promised.find(std::string(job_id)); found != promised.end()) {
    const double log_used = std::log1p(used_gpu_seconds(record->job, end));
    scored.push_back({log_used<found->second[0], log_used> found->second[2]});
    if (scored.size() > kHealthWindow) {
      scored.pop_front();
    }
    promised.erase(found);
  }
  log.end(job_id, end);
}

void Forecaster::State::replay(std::span<const JobRecord> history) {
  for (const JobEvent& event : ordered_events(history)) {
    const JobRecord& record = history[event.record_index];
    switch (event.kind) {
      case JobEventKind::Submit: submit(record.job); break;
      case JobEventKind::Start: start(record.job.job_id, event.time); break;
      case JobEventKind::End: end(record.job.job_id, *record.end); break;
    }
  }
}

Forecaster::Forecaster(const ForecasterOptions& options) {
  require_options(options);
  state_ = std::make_unique<State>(options);
}
Forecaster::~Forecaster() = default;
Forecaster::Forecaster(Forecaster&&) noexcept = default;
Forecaster& Forecaster::operator=(Forecaster&&) noexcept = default;

void Forecaster::learn(std::span<const JobRecord> history) {
  require_history(history);
  state_->replay(history);
}

UsageForecast Forecaster::submit(const Job& job) { return state_->submit(job); }
void Forecaster::start(std::string_view job_id, UtcTime start_time) {
  state_->start(job_id, start_time);
}
void Forecaster::end(std::string_view job_id, const JobEnd& end) { state_->end(job_id, end); }
bool Forecaster::refit_if_due(UtcTime /*now*/) { return false; }

UsageForecast Forecaster::forecast(const Job& job, UtcTime /*now*/, bool is_explained) const {
  UsageForecast result = state_->forecast(job);
  if (is_explained) {
    state_->add_explanation(job, result);
  }
  return result;
}

UsageForecast Forecaster::refresh(std::string_view job_id, UtcTime now) const {
  const JobRecord* record = state_->log.in_flight(job_id);
  FINOPS_REQUIRE(record != nullptr, ErrorCode::InvalidArgument,
                 "no job " + std::string(job_id) + " is in flight; submit it first");
  UsageForecast result = state_->forecast(record->job);
  if (!record->start_time || now <= *record->start_time) {
    return result;
  }
  const double run_seconds = std::chrono::duration<double>(now - *record->start_time).count();
  const double used = run_seconds * static_cast<double>(record->job.gpu_count);
  result.p10_gpu_seconds = std::max(result.p10_gpu_seconds, used);
  result.p50_gpu_seconds = std::max(result.p50_gpu_seconds, used);
  result.p90_gpu_seconds = std::max(result.p90_gpu_seconds, used);
  result.mean_gpu_seconds = std::max(result.mean_gpu_seconds, used);
  return result;
}

ForecastHealth Forecaster::health() const {
  ForecastHealth health;
  health.scored_job_count = std::ssize(state_->scored);
  if (health.scored_job_count == 0) {
    return health;
  }
  const auto count = static_cast<double>(health.scored_job_count);
  const auto above =
      static_cast<double>(std::count_if(state_->scored.begin(), state_->scored.end(),
                                        [](const Scored& s) { return s.is_above_p90; }));
  const auto below =
      static_cast<double>(std::count_if(state_->scored.begin(), state_->scored.end(),
                                        [](const Scored& s) { return s.is_below_p10; }));
  health.coverage_ratio = 1 - (above + below) / count;
  health.p90_coverage_ratio = 1 - above / count;
  return health;
}

double chance_to_exceed(const UsageForecast& forecast, double gpu_seconds) {
  const std::array<double, 3> logs{std::log1p(forecast.p10_gpu_seconds),
                                   std::log1p(forecast.p50_gpu_seconds),
                                   std::log1p(forecast.p90_gpu_seconds)};
  FINOPS_REQUIRE(std::isfinite(gpu_seconds), ErrorCode::InvalidArgument,
                 "the amount to exceed is not finite; give GPU-seconds");
  if (gpu_seconds < 0) {
    return 1;
  }
  constexpr double kLeastSpan = 1e-9;  // a span of one point is a step
  const double asked = std::log1p(gpu_seconds);
  const double low_span = std::max(logs[1] - logs[0], kLeastSpan);
  const double high_span = std::max(logs[2] - logs[1], kLeastSpan);
  // A tail that goes on with the density of its span: 0.1 exp(-0.4 d / (0.1 span)).
  constexpr double kTail = 0.1;
  constexpr double kSpan = 0.4;
  if (asked < logs[0]) {
    return 1 - kTail * std::exp(-kSpan / kTail * (logs[0] - asked) / low_span);
  }
  if (asked < logs[1]) {
    return 0.9 - kSpan * (asked - logs[0]) / low_span;
  }
  if (asked < logs[2]) {
    return 0.5 - kSpan * (asked - logs[1]) / high_span;
  }
  return kTail * std::exp(-kSpan / kTail * (asked - logs[2]) / high_span);
}

}  // namespace finops::predict
