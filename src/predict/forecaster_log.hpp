// forecaster_log.hpp - the newest jobs of a history, in the order in which things happened.
//
// Owns: JobLog, JobEvent, ordered_events. Does not own: what is learned from them.
// Invariant: at most a stated number of ended jobs is kept; a job in flight always is.
#pragma once

#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "finops/predict/job.hpp"

namespace finops::predict {

enum class JobEventKind : std::uint8_t { Submit, Start, End };

/// One moment of the record with this index.
struct JobEvent {
  UtcTime time{};
  JobEventKind kind = JobEventKind::Submit;
  std::size_t record_index = 0;
};

/// Submits before starts before ends at one time: what ended *at* a submission was not known to it.
/// Within a kind, by job id, so that the order of the rows does not matter.
[[nodiscard]] std::vector<JobEvent> ordered_events(std::span<const JobRecord> history);

/// Throws Error(InvalidArgument): no id, less than one GPU, a request or a plan below zero.
void require_job(const Job& job);
/// Throws Error(InvalidArgument): a run time that is negative or not finite, an end before submit.
void require_end(const Job& job, const JobEnd& end);
/// Throws Error(InvalidArgument) for a row that is no job, an end before its start, an id twice.
void require_history(std::span<const JobRecord> history);

/// GPU-seconds that the job used: what a forecast is about.
[[nodiscard]] double used_gpu_seconds(const Job& job, const JobEnd& end) noexcept;

/// Killed, timed out or ended by the system: the work needed more than was seen.
[[nodiscard]] constexpr bool is_censored(JobStatus status) noexcept {
  return status != JobStatus::COMPLETED && status != JobStatus::FAILED;
}

class JobLog {
 public:
  explicit JobLog(std::size_t max_ended_count) : max_ended_count_(max_ended_count) {}

  /// Throws Error(InvalidArgument) if the id is in flight already.
  void submit(const Job& job);
  /// These throw Error(InvalidArgument) if no such job is in flight.
  void start(std::string_view job_id, UtcTime start_time);
  void end(std::string_view job_id, const JobEnd& end);

  /// Null if no such job is in flight.
  [[nodiscard]] const JobRecord* in_flight(std::string_view job_id) const;
  /// The newest ended jobs, oldest first, then those in flight by id.
  [[nodiscard]] std::vector<JobRecord> records() const;
  [[nodiscard]] std::int64_t ended_count() const noexcept { return ended_count_; }
  /// Newest last.
  [[nodiscard]] const std::deque<JobRecord>& ended() const noexcept { return ended_; }
  /// What a saved log had seen beyond what it kept.
  void set_ended_count(std::int64_t count) noexcept { ended_count_ = count; }

 private:
  JobRecord& required(std::string_view job_id);

  std::size_t max_ended_count_;
  std::int64_t ended_count_ = 0;
  std::deque<JobRecord> ended_;
  std::unordered_map<std::string, JobRecord> in_flight_;
};

}  // namespace finops::predict
