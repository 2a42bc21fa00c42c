// job.hpp - a job as a forecast sees it: what is known when it is submitted, and how it ended.
//
// Owns: Job, JobEnd, JobStatus, JobRecord. Does not own: where jobs come from (callers read files
// and ledgers).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "finops/base/clock.hpp"

namespace finops::predict {

/// Slurm's words. How a job ended says what its run time tells of the work: all of it (COMPLETED,
/// FAILED), or only that it needs more than that (the others: censored).
enum class JobStatus : std::uint8_t { COMPLETED, FAILED, TIMEOUT, CANCELLED, CANCELLED_BY_SYSTEM };
[[nodiscard]] std::string_view job_status_name(JobStatus status) noexcept;
/// Throws Error(InvalidArgument) with the known names.
[[nodiscard]] JobStatus parse_job_status(std::string_view name);

/// What is known at submission. An empty text is unknown.
struct Job {
  std::string job_id;  ///< unique within a history
  std::string user_name;
  std::string group_name;  ///< project, account or virtual cluster
  std::string queue;       ///< partition
  std::string name;        ///< "sft-llama-7b"
  std::string gpu_model;
  std::int32_t gpu_count = 0;   ///< of the whole job; at least 1
  std::int32_t node_count = 0;  ///< 0: unknown
  std::optional<std::int64_t> requested_seconds;
  std::optional<std::int64_t> planned_steps;
  UtcTime submit_time{};
};

struct JobEnd {
  UtcTime end_time{};
  double run_seconds = 0;  ///< what cost counts; not below 0
  JobStatus status = JobStatus::COMPLETED;
};

/// A job of a history; `end` is empty while it waits or runs.
struct JobRecord {
  Job job;
  std::optional<UtcTime> start_time;
  std::optional<JobEnd> end;
};

}  // namespace finops::predict
