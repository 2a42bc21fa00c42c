// history.cpp - checks the rows of a history, and replays it.
#include "finops/predict/history.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <tuple>
#include <unordered_set>

#include "finops/base/error.hpp"

namespace finops::predict {
namespace {

// 2200-01-01: later times are damaged ones, and spans between two times stay far from overflow.
constexpr UtcTime kLatestTime{std::chrono::seconds{7'258'118'400}};

struct Complaint {
  std::string column;
  std::string reason;
};

std::optional<Complaint> complain_about_time(std::string_view column, UtcTime time) {
  if (time >= UtcTime{} && time < kLatestTime) {
    return std::nullopt;
  }
  return Complaint{std::string(column), "a time outside 1970 to 2200; check the unit (seconds?)"};
}

std::optional<Complaint> complain_about_job(const Job& job) {
  if (job.job_id.empty()) {
    return Complaint{"job_id", "is empty; every job needs an id of its own"};
  }
  if (job.gpu_count < 0) {
    return Complaint{"gpu_count", std::to_string(job.gpu_count) + " is below 0"};
  }
  if (job.node_count < 0) {
    return Complaint{"node_count", std::to_string(job.node_count) + " is below 0; 0 is unknown"};
  }
  if (job.requested_seconds.value_or(0) < 0) {
    return Complaint{"requested_seconds",
                     std::to_string(*job.requested_seconds) + " is below 0; leave it out"};
  }
  if (job.planned_steps.value_or(0) < 0) {
    return Complaint{"planned_steps",
                     std::to_string(*job.planned_steps) + " is below 0; leave it out"};
  }
  return complain_about_time("submit_time", job.submit_time);
}

std::optional<Complaint> complain_about_times(const JobRecord& record) {
  if (record.start_time.has_value()) {
    if (auto complaint = complain_about_time("start_time", *record.start_time)) {
      return complaint;
    }
    if (*record.start_time < record.job.submit_time) {
      return Complaint{"start_time", format_utc(*record.start_time) +
                                         " is before the submission at " +
                                         format_utc(record.job.submit_time) +
                                         "; check the clocks and time zones of both"};
    }
  }
  if (!record.end.has_value()) {
    return std::nullopt;
  }
  if (!std::isfinite(record.end->run_seconds) || record.end->run_seconds < 0) {
    return Complaint{"run_seconds", std::to_string(record.end->run_seconds) +
                                        " is no time; it must be finite and not below 0"};
  }
  if (auto complaint = complain_about_time("end_time", record.end->end_time)) {
    return complaint;
  }
  const UtcTime earliest = record.start_time.value_or(record.job.submit_time);
  if (record.end->end_time < earliest) {
    return Complaint{"end_time", format_utc(record.end->end_time) + " is before the " +
                                     (record.start_time.has_value() ? "start" : "submission") +
                                     " at " + format_utc(earliest) +
                                     "; check the clocks and time zones of both"};
  }
  return std::nullopt;
}

// What the times say together where one is not told. A run time alone: the wait is unknown and
// taken as none, and that is reported. A start and an end alone: the job ran from one to the other.
bool complete_times(JobRecord& record) {
  constexpr double kLongestSeconds = 100.0 * 366 * 86'400;
  if (!record.end.has_value()) {
    return false;
  }
  JobEnd& end = *record.end;
  if (std::isnan(end.run_seconds) && record.start_time.has_value() && end.end_time != UtcTime{}) {
    end.run_seconds = std::chrono::duration<double>(end.end_time - *record.start_time).count();
    return false;
  }
  if (end.end_time != UtcTime{} || !(end.run_seconds >= 0 && end.run_seconds <= kLongestSeconds)) {
    return false;
  }
  record.start_time = record.start_time.value_or(record.job.submit_time);
  end.end_time = *record.start_time + Nanoseconds(static_cast<std::int64_t>(end.run_seconds * 1e9));
  return true;
}

void sort_records(std::vector<JobRecord>& records) {
  std::stable_sort(records.begin(), records.end(),
                   [](const JobRecord& left, const JobRecord& right) {
                     return is_earlier(left.job, right.job);
                   });
}

}  // namespace

bool is_earlier(const Job& left, const Job& right) noexcept {
  return std::tuple(left.submit_time, left.job_id.size(), std::string_view(left.job_id)) <
         std::tuple(right.submit_time, right.job_id.size(), std::string_view(right.job_id));
}

History check_history(std::vector<JobRecord> rows) {
  History history;
  std::unordered_set<std::string> known_ids;
  for (std::size_t index = 0; index < rows.size(); ++index) {
    JobRecord& row = rows[index];
    std::optional<Complaint> complaint = complain_about_job(row.job);
    if (!complaint && !known_ids.insert(row.job.job_id).second) {
      complaint = Complaint{"job_id",
                            "'" + row.job.job_id + "' came before; the first row of an id is kept"};
    }
    const bool is_time_assumed = !complaint && complete_times(row);
    if (!complaint) {
      complaint = complain_about_times(row);
    }
    if (complaint) {
      ++history.problem_count;
      if (history.problems.size() < kMaxListedProblems) {
        history.problems.push_back({index, complaint->column, complaint->reason});
      }
    } else if (row.job.gpu_count == 0) {
      ++history.cpu_job_count;
    } else {
      history.unfinished_count += row.end.has_value() ? 0 : 1;
      history.assumed_time_count += is_time_assumed ? 1 : 0;
      history.records.push_back(std::move(row));
    }
  }
  sort_records(history.records);
  return history;
}

std::vector<JobEvent> events_of(std::span<const JobRecord> records) {
  FINOPS_REQUIRE(records.size() <= std::numeric_limits<std::uint32_t>::max(),
                 ErrorCode::InvalidArgument,
                 std::to_string(records.size()) + " jobs are more than a history may have");
  std::vector<JobEvent> events;
  events.reserve(3 * records.size());
  for (std::uint32_t index = 0; index < records.size(); ++index) {
    const JobRecord& record = records[index];
    events.push_back({record.job.submit_time, JobEventKind::Submit, index});
    if (record.start_time.has_value()) {
      events.push_back({*record.start_time, JobEventKind::Start, index});
    }
    if (record.end.has_value()) {
      events.push_back({record.end->end_time, JobEventKind::End, index});
    }
  }
  std::sort(events.begin(), events.end(), [](const JobEvent& left, const JobEvent& right) {
    return std::tuple(left.time, left.kind, left.record_index) <
           std::tuple(right.time, right.kind, right.record_index);
  });
  return events;
}

FeatureTable build_features(std::span<const JobRecord> records) {
  for (std::size_t index = 1; index < records.size(); ++index) {
    FINOPS_REQUIRE(!is_earlier(records[index].job, records[index - 1].job),
                   ErrorCode::InvalidArgument,
                   "job '" + records[index].job.job_id +
                       "' is out of order; take the records of check_history");
  }
  const std::size_t feature_count = feature_names().size();
  FeatureTable table;
  table.features.resize(records.size() * feature_count);
  table.anchors.resize(records.size());
  FeatureStream stream;
  for (const JobEvent& event : events_of(records)) {
    const JobRecord& record = records[event.record_index];
    switch (event.kind) {
      case JobEventKind::Submit:
        table.anchors[event.record_index] = stream.row(
            record.job, event.time,
            std::span(table.features).subspan(event.record_index * feature_count, feature_count));
        stream.submit(record.job);
        break;
      case JobEventKind::Start: stream.start(record.job.job_id, event.time); break;
      case JobEventKind::End: stream.end(record.job.job_id, *record.end); break;
    }
  }
  return table;
}

}  // namespace finops::predict
