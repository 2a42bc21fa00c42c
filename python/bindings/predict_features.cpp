// predict_features.cpp - binds histories and their features. Columns come as lists or buffers, rows
// go as bytearrays: NumPy reads them without a copy, and finops does not import it.
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "convert.hpp"
#include "finops/base/error.hpp"
#include "finops/predict/history.hpp"
#include "release.hpp"

namespace finops::bindings {
namespace {

using predict::History;
using predict::Job;
using predict::JobEnd;
using predict::JobRecord;
using predict::JobStatus;

// A moment or a count that is not known.
constexpr std::int64_t kMissing = std::numeric_limits<std::int64_t>::min();

// The columns of a history, by name, each of one length; those that are absent are unknown.
class Columns {
 public:
  explicit Columns(const py::dict& columns) : columns_(columns) {
    FINOPS_REQUIRE(columns.contains("job_id"), ErrorCode::InvalidArgument,
                   "a history needs the column job_id");
    row_count_ = py::len(columns["job_id"]);
  }
  std::size_t row_count() const { return row_count_; }

  template <class Value>
  std::vector<Value> read(const char* name, Value missing) const {
    if (!columns_.contains(name)) {
      return std::vector<Value>(row_count_, missing);
    }
    std::vector<Value> values;
    values.reserve(row_count_);
    for (const py::handle item : columns_[name]) {
      values.push_back(item.is_none() ? missing : item.cast<Value>());
    }
    FINOPS_REQUIRE(values.size() == row_count_, ErrorCode::InvalidArgument,
                   "column " + std::string(name) + " has " + std::to_string(values.size()) +
                       " rows, job_id has " + std::to_string(row_count_));
    return values;
  }

 private:
  const py::dict& columns_;
  std::size_t row_count_ = 0;
};

UtcTime time_of(std::int64_t ns) { return UtcTime(Nanoseconds(ns)); }

JobStatus status_of(std::int64_t code) {
  FINOPS_REQUIRE(code >= 0 && code <= 4, ErrorCode::InvalidArgument,
                 "status " + std::to_string(code) + " is none of 0 to 4");
  return static_cast<JobStatus>(code);
}

std::vector<JobRecord> read_records(const Columns& columns) {
  const auto job_id = columns.read<std::string>("job_id", "");
  const auto user = columns.read<std::string>("user", "");
  const auto group = columns.read<std::string>("group", "");
  const auto queue = columns.read<std::string>("queue", "");
  const auto name = columns.read<std::string>("name", "");
  const auto gpu_model = columns.read<std::string>("gpu_model", "");
  const auto gpu_count = columns.read<std::int32_t>("gpu_count", 1);
  const auto node_count = columns.read<std::int32_t>("node_count", 0);
  const auto requested = columns.read<std::int64_t>("requested_seconds", kMissing);
  const auto steps = columns.read<std::int64_t>("planned_steps", kMissing);
  const auto submit_ns = columns.read<std::int64_t>("submit_ns", kMissing);
  const auto start_ns = columns.read<std::int64_t>("start_ns", kMissing);
  const auto end_ns = columns.read<std::int64_t>("end_ns", kMissing);
  const auto run_seconds = columns.read<double>("run_seconds", std::nan(""));
  const auto status = columns.read<std::int64_t>("status", 0);
  std::vector<JobRecord> records(columns.row_count());
  for (std::size_t row = 0; row < records.size(); ++row) {
    JobRecord& record = records[row];
    record.job = {job_id[row],
                  user[row],
                  group[row],
                  queue[row],
                  name[row],
                  gpu_model[row],
                  gpu_count[row],
                  node_count[row],
                  std::nullopt,
                  std::nullopt,
                  time_of(submit_ns[row])};
    if (requested[row] != kMissing) {
      record.job.requested_seconds = requested[row];
    }
    if (steps[row] != kMissing) {
      record.job.planned_steps = steps[row];
    }
    if (start_ns[row] != kMissing) {
      record.start_time = time_of(start_ns[row]);
    }
    if (end_ns[row] != kMissing || !std::isnan(run_seconds[row])) {
      record.end = JobEnd{end_ns[row] == kMissing ? UtcTime{} : time_of(end_ns[row]),
                          run_seconds[row], status_of(status[row])};
    }
  }
  return records;
}

struct HistoryHandle {
  History history;
};

template <class Value>
py::bytearray bytes_of(const std::vector<Value>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(Value)};
}

py::dict build(const HistoryHandle& self) {
  predict::FeatureTable table;
  {
    const ReleaseGil release;
    table = predict::build_features(self.history.records);
  }
  std::vector<double> anchors;
  std::vector<double> means;
  std::vector<std::int32_t> counts;
  for (const predict::Anchor& anchor : table.anchors) {
    anchors.push_back(anchor.log_gpu_seconds);
    means.push_back(anchor.mean_gpu_seconds);
    counts.push_back(anchor.job_count);
  }
  py::dict result;
  result["features"] = bytes_of(table.features);
  result["anchor_log_gpu_seconds"] = bytes_of(anchors);
  result["anchor_mean_gpu_seconds"] = bytes_of(means);
  result["anchor_job_count"] = bytes_of(counts);
  return result;
}

}  // namespace

void bind_predict_features(py::module_& module) {
  module.def("feature_names", [] {
    std::vector<std::string> names;
    for (const std::string_view name : predict::feature_names()) {
      names.emplace_back(name);
    }
    return names;
  });
  module.def("feature_monotone", [] {
    const auto signs = predict::feature_monotone();
    return std::vector<int>(signs.begin(), signs.end());
  });
  py::class_<HistoryHandle>(module, "JobHistory", py::is_final())
      .def(py::init([](const py::dict& columns) {
             std::vector<JobRecord> rows = read_records(Columns(columns));
             const ReleaseGil release;
             return HistoryHandle{predict::check_history(std::move(rows))};
           }),
           py::arg("columns"))
      .def("__len__", [](const HistoryHandle& self) { return self.history.records.size(); })
      .def_property_readonly("job_ids",
                             [](const HistoryHandle& self) {
                               std::vector<std::string> ids;
                               for (const JobRecord& record : self.history.records) {
                                 ids.push_back(record.job.job_id);
                               }
                               return ids;
                             })
      .def_property_readonly("problems",
                             [](const HistoryHandle& self) {
                               py::list problems;
                               for (const predict::RowProblem& problem : self.history.problems) {
                                 problems.append(py::make_tuple(problem.row_index, problem.column,
                                                                problem.reason));
                               }
                               return problems;
                             })
      .def_property_readonly("problem_count",
                             [](const HistoryHandle& self) { return self.history.problem_count; })
      .def_property_readonly("cpu_job_count",
                             [](const HistoryHandle& self) { return self.history.cpu_job_count; })
      .def_property_readonly("unfinished_count",
                             [](const HistoryHandle& self) {
                               return self.history.unfinished_count;
                             })
      .def_property_readonly("assumed_time_count",
                             [](const HistoryHandle& self) {
                               return self.history.assumed_time_count;
                             })
      .def("build_features", &build);
}

}  // namespace finops::bindings
