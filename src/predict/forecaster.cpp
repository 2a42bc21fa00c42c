// forecaster.cpp - feeds jobs to the parts in the order of time, and puts their answers together.
#include "finops/predict/forecaster.hpp"

#include <algorithm>
#include <cmath>

#include "finops/base/error.hpp"
#include "finops/predict/history.hpp"
#include "predict/forecaster_refit.hpp"
#include "predict/forecaster_state.hpp"

namespace finops::predict {
namespace {

constexpr int kMostTrainingRows = 1'000'000;
// Past this no running job is waited for: ten years.
constexpr double kLongestSeconds = 10 * 365.25 * 86'400;

bool is_censored(JobStatus status) {
  return status != JobStatus::COMPLETED && status != JobStatus::FAILED;
}

void require_options(const ForecasterOptions& options) {
  FINOPS_REQUIRE(options.tree_count >= 1 && options.tree_count <= int{kMaxTreeCount} &&
                     options.learning_rate > 0 && options.learning_rate <= 1 &&
                     options.refit_job_count >= 1 && options.blend_job_count >= 0 &&
                     options.max_training_rows >= 1 &&
                     options.max_training_rows <= std::size_t{kMostTrainingRows} &&
                     options.refit_period >= Nanoseconds{0},
                 ErrorCode::InvalidArgument,
                 "options of the forecaster are out of range: tree_count 1 to " +
                     std::to_string(kMaxTreeCount) + ", max_training_rows 1 to " +
                     std::to_string(kMostTrainingRows) +
                     ", refit_job_count from 1, learning_rate in (0, 1], none below 0");
}

}  // namespace

void Forecaster::State::advance(UtcTime time) {
  FINOPS_REQUIRE(time >= last_time, ErrorCode::InvalidArgument,
                 format_utc(time) + " is before " + format_utc(last_time) +
                     ", which was given already; times come in order");
  last_time = time;
  while (!overruns.empty() && overruns.top().time < time) {
    const auto found = in_flight.find(overruns.top().job_id);
    overruns.pop();
    if (found != in_flight.end() && found->second.promise) {
      Promise& promise = *found->second.promise;
      promise.is_known_above = true;
      calibration.observe_above(promise.group);
    }
  }
}

void Forecaster::State::expect_overrun(const JobRecord& record, const Promise& promise) {
  const double seconds = std::expm1(promise.logs[2]) / static_cast<double>(record.job.gpu_count);
  if (seconds < kLongestSeconds) {
    overruns.push({*record.start_time + Nanoseconds{std::llround(seconds * 1e9)},
                   record.job.job_id});
  }
}

UsageForecast Forecaster::State::submit(const Job& job) {
  require_job(job);
  FINOPS_REQUIRE(log.in_flight(job.job_id) == nullptr, ErrorCode::InvalidArgument,
                 "job " + job.job_id + " is in flight already; ids are unique in a history");
  advance(job.submit_time);
  const RawForecast raw = raw_forecast(job, job.submit_time);
  in_flight[job.job_id] = {promise_of(job, raw), raw.row, raw.anchor};
  features.submit(job);
  log.submit(job);
  return usage_forecast(job, raw);
}

void Forecaster::State::start(std::string_view job_id, UtcTime start_time) {
  const JobRecord& record = log.required(job_id);
  FINOPS_REQUIRE(!record.start_time, ErrorCode::InvalidArgument,
                 "job " + std::string(job_id) + " has started already");
  advance(start_time);
  features.start(job_id, start_time);
  log.start(job_id, start_time);
  const auto found = in_flight.find(record.job.job_id);
  if (found->second.promise) {
    expect_overrun(record, *found->second.promise);
  }
}

void Forecaster::State::end(std::string_view job_id, const JobEnd& end) {
  const JobRecord& record = log.required(job_id);
  require_end(record.job, end);
  advance(end.end_time);
  features.end(job_id, end);
  const auto found = in_flight.find(record.job.job_id);
  const double used = used_gpu_seconds(record.job, end);
  const double log_used = std::log1p(used);
  request_limit.observe(record.job, end.run_seconds);
  if (!found->second.row.empty()) {
    cold.add(found->second.row, found->second.anchor, log_used, is_censored(end.status));
  }
  if (found->second.promise) {
    const Promise& promise = *found->second.promise;
    calibration.observe(promise.group, promise.logs, log_used, promise.is_known_above);
    if (promise.is_balanced) {
      balance.observe(end.end_time, promise.mean_gpu_seconds, used);
    }
    scored.push_back({log_used<promise.logs[0], log_used> promise.logs[2]});
    if (scored.size() > kHealthWindow) {
      scored.pop_front();
    }
  }
  in_flight.erase(found);
  log.end(job_id, end);
}

// The first trees come as soon as there are jobs enough, and again at each doubling: a young
// history changes much in a week.
bool Forecaster::State::refit_if_due(UtcTime now) {
  const std::int64_t ended_count = log.ended_count();
  const bool is_enough = ended_count - refit_ended_count >= options.refit_job_count;
  const bool is_time =
      !model || now - refit_time >= options.refit_period || ended_count >= 2 * refit_ended_count;
  if (!is_enough || !is_time) {
    return false;
  }
  set_model(refit(log.records(), now, options), ended_count, now);
  return true;
}

void Forecaster::State::set_model(ForestModel given, std::int64_t ended_count, UtcTime time) {
  scorer.emplace(given);
  model = std::move(given);
  refit_ended_count = ended_count;
  refit_time = time;
}

void Forecaster::State::restore(const std::vector<JobRecord>& records) {
  for (const JobEvent& event : events_of(records)) {
    const JobRecord& record = records[event.record_index];
    const std::string& job_id = record.job.job_id;
    switch (event.kind) {
      case JobEventKind::Submit:
        if (!record.end) {
          const RawForecast raw = raw_forecast(record.job, event.time);
          in_flight[job_id].row = raw.row;
          in_flight[job_id].anchor = raw.anchor;
        }
        features.submit(record.job);
        log.submit(record.job);
        break;
      case JobEventKind::Start:
        features.start(job_id, event.time);
        log.start(job_id, event.time);
        break;
      case JobEventKind::End:
        features.end(job_id, *record.end);
        log.end(job_id, *record.end);
        break;
    }
    last_time = event.time;
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
  std::vector<JobRecord> records(history.begin(), history.end());
  std::sort(records.begin(), records.end(), [](const JobRecord& left, const JobRecord& right) {
    return is_earlier(left.job, right.job);
  });
  for (const JobEvent& event : events_of(records)) {
    const JobRecord& record = records[event.record_index];
    switch (event.kind) {
      case JobEventKind::Submit:
        state_->refit_if_due(event.time);
        state_->submit(record.job);
        break;
      case JobEventKind::Start: state_->start(record.job.job_id, event.time); break;
      case JobEventKind::End: state_->end(record.job.job_id, *record.end); break;
    }
  }
  state_->refit_if_due(state_->last_time);
}

UsageForecast Forecaster::submit(const Job& job) { return state_->submit(job); }
void Forecaster::start(std::string_view job_id, UtcTime start_time) {
  state_->start(job_id, start_time);
}
void Forecaster::end(std::string_view job_id, const JobEnd& end) { state_->end(job_id, end); }
bool Forecaster::refit_if_due(UtcTime now) { return state_->refit_if_due(now); }

UsageForecast Forecaster::forecast(const Job& job, UtcTime now, bool is_explained) const {
  require_job(job);
  const RawForecast raw = state_->raw_forecast(job, now);
  UsageForecast result = state_->usage_forecast(job, raw);
  if (is_explained) {
    state_->explain(job, raw, result);
  }
  return result;
}

UsageForecast Forecaster::refresh(std::string_view job_id, UtcTime now) const {
  return state_->refreshed(state_->log.required(job_id), now);
}

}  // namespace finops::predict
