// predict_features_support.hpp - jobs and histories for the tests of features.
//
// Owns: at, make_job, make_record, RowView, random_history. Does not own: what a test moves.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "finops/predict/history.hpp"
#include "support.hpp"

namespace finops::testing {

using predict::Job;
using predict::JobEnd;
using predict::JobRecord;
using predict::JobStatus;

/// So many seconds after 2026-01-05T00:00:00Z, a Monday.
inline UtcTime at(std::int64_t seconds) {
  return UtcTime(std::chrono::seconds{1'767'571'200 + seconds});
}

inline Job make_job(std::string job_id, std::int64_t submit_seconds, std::string user = "u1",
                    std::int32_t gpu_count = 1) {
  Job job;
  job.job_id = std::move(job_id);
  job.user_name = std::move(user);
  job.group_name = "g1";
  job.queue = "q1";
  job.gpu_count = gpu_count;
  job.submit_time = at(submit_seconds);
  return job;
}

/// A job that starts at its submission and ends `run_seconds` later.
inline JobRecord make_record(Job job, std::int64_t run_seconds,
                             JobStatus status = JobStatus::COMPLETED) {
  JobRecord record;
  record.start_time = job.submit_time;
  record.end = JobEnd{job.submit_time + std::chrono::seconds{run_seconds},
                      static_cast<double>(run_seconds), status};
  record.job = std::move(job);
  return record;
}

/// A row by the names of its columns.
class RowView {
 public:
  RowView(const predict::FeatureStream& stream, const Job& job, std::int64_t now_seconds)
      : values_(predict::feature_names().size()) {
    anchor = stream.row(job, at(now_seconds), values_);
  }
  double operator[](std::string_view name) const {
    const auto names = predict::feature_names();
    for (std::size_t index = 0; index < names.size(); ++index) {
      if (names[index] == name) {
        return double{values_[index]};
      }
    }
    ADD_FAILURE() << "no feature " << name;
    return 0;
  }
  [[nodiscard]] const std::vector<float>& values() const { return values_; }
  predict::Anchor anchor;

 private:
  std::vector<float> values_;
};

/// Jobs of a few users on a coarse clock, so that many times are equal: bursts, waits, jobs that
/// never start and jobs that never end.
inline std::vector<JobRecord> random_history(Random& random, int job_count) {
  std::vector<JobRecord> records;
  std::int64_t now = 0;
  for (int index = 0; index < job_count; ++index) {
    now += random.chance(60) ? 0 : 60 * random.between(1, random.chance(10) ? 2000 : 10);
    Job job = make_job(std::to_string(index), now, "u" + std::to_string(random.between(1, 3)),
                       static_cast<std::int32_t>(random.between(1, 2) * 4));
    job.group_name = "g" + std::to_string(random.between(1, 2));
    job.name = random.chance(50) ? "sweep-" + std::to_string(index) : "";
    if (random.chance(70)) {
      job.requested_seconds = 3600 * random.between(1, 2);
    }
    JobRecord record;
    record.job = std::move(job);
    if (random.chance(95)) {
      const std::int64_t start = now + 60 * random.between(0, 5);
      record.start_time = at(start);
      if (random.chance(95)) {
        const std::int64_t run = 60 * random.between(0, random.chance(20) ? 600 : 20);
        record.end = JobEnd{at(start + run), static_cast<double>(run),
                            static_cast<JobStatus>(random.between(0, 4))};
      }
    }
    records.push_back(std::move(record));
  }
  return predict::check_history(std::move(records)).records;
}

}  // namespace finops::testing
