// forecaster_log.cpp - checks jobs, brings their moments into order, keeps the newest.
#include "predict/forecaster_log.hpp"

#include <algorithm>
#include <cmath>
#include <set>
#include <tuple>

#include "finops/base/error.hpp"

namespace finops::predict {

std::vector<JobEvent> ordered_events(std::span<const JobRecord> history) {
  std::vector<JobEvent> events;
  events.reserve(history.size() * 3);
  for (std::size_t index = 0; index < history.size(); ++index) {
    const JobRecord& record = history[index];
    events.push_back({record.job.submit_time, JobEventKind::Submit, index});
    if (record.start_time) {
      events.push_back({*record.start_time, JobEventKind::Start, index});
    }
    if (record.end) {
      events.push_back({record.end->end_time, JobEventKind::End, index});
    }
  }
  std::sort(events.begin(), events.end(), [&](const JobEvent& lhs, const JobEvent& rhs) {
    return std::tie(lhs.time, lhs.kind, history[lhs.record_index].job.job_id) <
           std::tie(rhs.time, rhs.kind, history[rhs.record_index].job.job_id);
  });
  return events;
}

void require_job(const Job& job) {
  FINOPS_REQUIRE(!job.job_id.empty(), ErrorCode::InvalidArgument,
                 "a job has no id; give each one of its own");
  FINOPS_REQUIRE(job.gpu_count >= 1, ErrorCode::InvalidArgument,
                 "job " + job.job_id + " has " + std::to_string(job.gpu_count) +
                     " GPUs; a forecast is about at least 1: leave jobs without GPUs out");
  FINOPS_REQUIRE(job.requested_seconds.value_or(1) >= 0 && job.planned_steps.value_or(1) >= 0,
                 ErrorCode::InvalidArgument,
                 "job " + job.job_id +
                     " asks for less than nothing (requested_seconds or "
                     "planned_steps below 0); leave unknown values empty");
}

void require_end(const Job& job, const JobEnd& end) {
  FINOPS_REQUIRE(std::isfinite(end.run_seconds) && end.run_seconds >= 0, ErrorCode::InvalidArgument,
                 "job " + job.job_id + " ran for " + std::to_string(end.run_seconds) +
                     " s; a run time is finite and not below 0");
  FINOPS_REQUIRE(end.end_time >= job.submit_time, ErrorCode::InvalidArgument,
                 "job " + job.job_id + " ends at " + format_utc(end.end_time) +
                     ", before its submission at " + format_utc(job.submit_time));
}

void require_history(std::span<const JobRecord> history) {
  FINOPS_REQUIRE(!history.empty(), ErrorCode::InvalidArgument,
                 "the history is empty; give at least one job, or ask without learning");
  std::set<std::string_view> job_ids;
  for (const JobRecord& record : history) {
    require_job(record.job);
    FINOPS_REQUIRE(job_ids.insert(record.job.job_id).second, ErrorCode::InvalidArgument,
                   "job " + record.job.job_id + " occurs twice; ids are unique in a history");
    if (record.end) {
      require_end(record.job, *record.end);
    }
    if (record.start_time) {
      FINOPS_REQUIRE(*record.start_time >= record.job.submit_time &&
                         (!record.end || record.end->end_time >= *record.start_time),
                     ErrorCode::InvalidArgument,
                     "job " + record.job.job_id + " starts at " + format_utc(*record.start_time) +
                         ", not between its submission and its end");
    }
  }
}

double used_gpu_seconds(const Job& job, const JobEnd& end) noexcept {
  return end.run_seconds * static_cast<double>(job.gpu_count);
}

void JobLog::submit(const Job& job) {
  const bool is_new = in_flight_.emplace(job.job_id, JobRecord{job, {}, {}}).second;
  FINOPS_REQUIRE(is_new, ErrorCode::InvalidArgument,
                 "job " + job.job_id + " is in flight already; ids are unique in a history");
}

JobRecord& JobLog::required(std::string_view job_id) {
  const auto found = in_flight_.find(std::string(job_id));
  FINOPS_REQUIRE(found != in_flight_.end(), ErrorCode::InvalidArgument,
                 "no job " + std::string(job_id) + " is in flight; submit it first");
  return found->second;
}

void JobLog::start(std::string_view job_id, UtcTime start_time) {
  required(job_id).start_time = start_time;
}

void JobLog::end(std::string_view job_id, const JobEnd& end) {
  JobRecord& record = required(job_id);
  record.end = end;
  ended_.push_back(std::move(record));
  in_flight_.erase(std::string(job_id));
  ++ended_count_;
  if (ended_.size() > max_ended_count_) {
    ended_.pop_front();
  }
}

const JobRecord* JobLog::in_flight(std::string_view job_id) const {
  const auto found = in_flight_.find(std::string(job_id));
  return found == in_flight_.end() ? nullptr : &found->second;
}

std::vector<JobRecord> JobLog::records() const {
  std::vector<JobRecord> records(ended_.begin(), ended_.end());
  const auto first_in_flight = static_cast<std::ptrdiff_t>(records.size());
  for (const auto& [job_id, record] : in_flight_) {
    records.push_back(record);
  }
  std::sort(records.begin() + first_in_flight, records.end(),
            [](const JobRecord& lhs, const JobRecord& rhs) {
              return lhs.job.job_id < rhs.job.job_id;
            });
  return records;
}

}  // namespace finops::predict
