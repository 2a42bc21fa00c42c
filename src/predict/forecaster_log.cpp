// forecaster_log.cpp - checks jobs and keeps the newest.
#include "predict/forecaster_log.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <set>

#include "finops/base/error.hpp"

namespace finops::predict {

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

const JobRecord& JobLog::required(std::string_view job_id) const {
  const auto found = in_flight_.find(std::string(job_id));
  FINOPS_REQUIRE(found != in_flight_.end(), ErrorCode::NotFound,
                 "no job " + std::string(job_id) + " is in flight; submit it first");
  return found->second;
}

void JobLog::start(std::string_view job_id, UtcTime start_time) {
  const auto found = in_flight_.find(required(job_id).job.job_id);
  found->second.start_time = start_time;
}

void JobLog::end(std::string_view job_id, const JobEnd& end) {
  const auto found = in_flight_.find(required(job_id).job.job_id);
  found->second.end = end;
  ended_.push_back(std::move(found->second));
  in_flight_.erase(found);
  ++ended_count_;
  if (ended_.size() > max_ended_count_) {
    ended_.pop_front();
  }
}

std::vector<PastJob> JobLog::newest_like(const Job& job, std::size_t most) const {
  std::array<std::vector<PastJob>, 3> by_kind;
  for (auto record = ended_.rbegin(); record != ended_.rend() && by_kind[0].size() < most;
       ++record) {
    const Job& other = record->job;
    if (other.user_name != job.user_name) {
      continue;
    }
    const bool is_same_gpus = other.gpu_count == job.gpu_count;
    const bool is_same_request = other.requested_seconds == job.requested_seconds;
    const std::array<bool, 3> is_like{is_same_gpus && is_same_request, is_same_gpus, true};
    for (std::size_t kind = 0; kind < by_kind.size(); ++kind) {
      if (is_like[kind] && by_kind[kind].size() < most) {
        by_kind[kind].push_back({other.job_id, used_gpu_seconds(other, *record->end),
                                 record->end->status});
      }
    }
  }
  const auto found =
      std::find_if(by_kind.begin(), by_kind.end(), [](const auto& jobs) { return !jobs.empty(); });
  return found == by_kind.end() ? std::vector<PastJob>{} : std::move(*found);
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
