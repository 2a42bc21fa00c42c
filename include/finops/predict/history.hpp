// history.hpp - a history of jobs, checked and in order, and its replay.
//
// Owns: check_history, History, RowProblem, events_of, build_features. Does not own: reading
// files (callers do), learning.
// Invariants: nothing is dropped silently: each row of the input is in History::records or in
// exactly one of its counts; a replay shows no event before its time, and of events at one time the
// submissions first and the ends last.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "finops/predict/feature_stream.hpp"
#include "finops/predict/job.hpp"

namespace finops::predict {

/// What is wrong with a row of the input, which is left out.
struct RowProblem {
  std::size_t row_index = 0;  ///< of the input, from 0
  std::string column;
  std::string reason;  ///< names the value, the limit and the next step
};

struct History {
  std::vector<JobRecord> records;  ///< by submit time, then job id (see is_earlier)
  /// The first kMaxListedProblems; problem_count has them all.
  std::vector<RowProblem> problems;
  std::int64_t problem_count = 0;
  std::int64_t cpu_job_count = 0;       ///< without a GPU: left out, no problem
  std::int64_t unfinished_count = 0;    ///< kept: they wait or run
  std::int64_t assumed_time_count = 0;  ///< kept: start and end are assumed, see check_history
};
inline constexpr std::size_t kMaxListedProblems = 1000;

/// The order of a history: submit time, then job id; of two ids the shorter comes first, so that
/// plain numbers are in their own order.
[[nodiscard]] bool is_earlier(const Job& left, const Job& right) noexcept;

/// Checks rows in any order and sorts those that make sense. Left out as problems: an empty job id
/// or one that came before, a negative GPU count, a start before the submission, an end before the
/// start, a negative or non-finite run time, a requested time or step count below 0, a time outside
/// 1970 to 2200. Left out as CPU jobs: 0 GPUs.
/// A run time that is NaN is end minus start, if both are known. A run time without an end time
/// (`end_time` at the epoch) is a job taken to start at its submission: traces without queue times
/// have such rows; they are counted.
[[nodiscard]] History check_history(std::vector<JobRecord> rows);

enum class JobEventKind : std::uint8_t { Submit, Start, End };
struct JobEvent {
  UtcTime time{};
  JobEventKind kind = JobEventKind::Submit;
  std::uint32_t record_index = 0;
};
/// All that happens to `records`, in order of time; at one time submissions before starts before
/// ends, so that a row at a submission knows only what ended strictly before.
/// Throws Error(InvalidArgument) past 2^32 - 1 records.
[[nodiscard]] std::vector<JobEvent> events_of(std::span<const JobRecord> records);

/// A row for each record, at its submission.
struct FeatureTable {
  std::vector<float> features;  ///< [record_count x feature_names().size()], row-major
  std::vector<Anchor> anchors;  ///< [record_count]
};
/// `records`: as History has them. Throws Error(InvalidArgument) if they are not in order.
[[nodiscard]] FeatureTable build_features(std::span<const JobRecord> records);

}  // namespace finops::predict
