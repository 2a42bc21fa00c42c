// forecaster_log.hpp - the newest jobs of a history, in the order in which things happened.
//
// Owns: JobLog and the checks of what comes in. Does not own: what is learned from it.
// Invariant: at most a stated number of ended jobs is kept; a job in flight always is.
#pragma once

#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "finops/predict/forecaster.hpp"

namespace finops::predict {

/// Throws Error(InvalidArgument): no id, less than one GPU, a request or a plan below zero.
void require_job(const Job& job);
/// Throws Error(InvalidArgument): a run time that is negative or not finite, an end before submit.
void require_end(const Job& job, const JobEnd& end);
/// Throws Error(InvalidArgument) for a row that is no job, an end before its start, an id twice.
void require_history(std::span<const JobRecord> history);

/// GPU-seconds that the job used: what a forecast is about.
[[nodiscard]] double used_gpu_seconds(const Job& job, const JobEnd& end) noexcept;

class JobLog {
 public:
  explicit JobLog(std::size_t max_ended_count) : max_ended_count_(max_ended_count) {}

  /// Throws Error(InvalidArgument) if the id is in flight already.
  void submit(const Job& job);
  /// These throw Error(NotFound) if no such job is in flight.
  void start(std::string_view job_id, UtcTime start_time);
  void end(std::string_view job_id, const JobEnd& end);

  /// Throws Error(NotFound) if no such job is in flight.
  [[nodiscard]] const JobRecord& required(std::string_view job_id) const;
  /// The newest ended jobs of the most specific kind that has any, of (user, GPUs, request), (user,
  /// GPUs), (user); newest first. Looks through the whole log.
  [[nodiscard]] std::vector<PastJob> newest_like(const Job& job, std::size_t most) const;
  /// Null if no such job is in flight.
  [[nodiscard]] const JobRecord* in_flight(std::string_view job_id) const;
  /// The newest ended jobs, oldest first, then those in flight by id.
  [[nodiscard]] std::vector<JobRecord> records() const;
  [[nodiscard]] std::int64_t ended_count() const noexcept { return ended_count_; }
  /// What a saved log had seen beyond what it kept.
  void set_ended_count(std::int64_t count) noexcept { ended_count_ = count; }

 private:
  std::size_t max_ended_count_;
  std::int64_t ended_count_ = 0;
  std::deque<JobRecord> ended_;
  std::unordered_map<std::string, JobRecord> in_flight_;
};

}  // namespace finops::predict
