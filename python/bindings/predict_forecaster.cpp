// predict_forecaster.cpp - binds the forecaster, its answers, and jobs as it takes them.
//
// Each call lets go of the interpreter's lock and takes the forecaster's own.
#include <cmath>
#include <mutex>
#include <optional>

#include "convert.hpp"
#include "finops/predict/forecaster.hpp"
#include "release.hpp"

namespace finops::bindings {

void bind_predict_forecaster(py::module_& module);

namespace {

using predict::Driver;
using predict::Forecaster;
using predict::ForecasterOptions;
using predict::ForecastHealth;
using predict::Job;
using predict::JobEnd;
using predict::JobRecord;
using predict::PastJob;
using predict::UsageForecast;

struct ForecasterHandle {
  explicit ForecasterHandle(Forecaster given) : forecaster(std::move(given)) {}
  Forecaster forecaster;
  std::mutex mutex;
};

template <class Ask>
auto with_forecaster(ForecasterHandle& self, const Ask& ask) {
  const ReleaseGil release;
  const std::lock_guard<std::mutex> lock(self.mutex);
  return ask(self.forecaster);
}

std::string text_of(const py::dict& row, const char* key) {
  return row.contains(key) && !row[key].is_none() ? row[key].cast<std::string>() : std::string();
}

template <class Number>
std::optional<Number> number_of(const py::dict& row, const char* key) {
  return row.contains(key) && !row[key].is_none() ? std::optional(row[key].cast<Number>())
                                                  : std::nullopt;
}

// A job is a dict with the names of predict::Job; what is missing or None is unknown.
Job job_of(const py::dict& row) {
  Job job;
  job.job_id = text_of(row, "job_id");
  job.user_name = text_of(row, "user_name");
  job.group_name = text_of(row, "group_name");
  job.queue = text_of(row, "queue");
  job.name = text_of(row, "name");
  job.gpu_model = text_of(row, "gpu_model");
  job.gpu_count = number_of<std::int32_t>(row, "gpu_count").value_or(0);
  job.node_count = number_of<std::int32_t>(row, "node_count").value_or(0);
  job.requested_seconds = number_of<std::int64_t>(row, "requested_seconds");
  job.planned_steps = number_of<std::int64_t>(row, "planned_steps");
  job.submit_time = from_datetime(row["submit_time"]);
  return job;
}

JobEnd end_of(const py::handle& end_time, double run_seconds, const std::string& status) {
  return {from_datetime(end_time), run_seconds, predict::parse_job_status(status)};
}

JobRecord record_of(const py::dict& row) {
  JobRecord record{job_of(row), {}, {}};
  if (row.contains("start_time") && !row["start_time"].is_none()) {
    record.start_time = from_datetime(row["start_time"]);
  }
  if (row.contains("end_time") && !row["end_time"].is_none()) {
    record.end = end_of(row["end_time"], row["run_seconds"].cast<double>(), text_of(row, "status"));
  }
  return record;
}

void bind_answers(py::module_& module) {
  py::class_<Driver>(module, "ForecastDriver")
      .def_readonly("name", &Driver::name)
      .def_readonly("value", &Driver::value)
      .def_readonly("log_contribution", &Driver::log_contribution);
  py::class_<PastJob>(module, "PastJob")
      .def_readonly("job_id", &PastJob::job_id)
      .def_readonly("gpu_seconds", &PastJob::gpu_seconds)
      .def_property_readonly("status", [](const PastJob& job) {
        return predict::job_status_name(job.status);
      });
  py::class_<UsageForecast>(module, "UsageForecast")
      .def_readonly("p10_gpu_seconds", &UsageForecast::p10_gpu_seconds)
      .def_readonly("p50_gpu_seconds", &UsageForecast::p50_gpu_seconds)
      .def_readonly("p90_gpu_seconds", &UsageForecast::p90_gpu_seconds)
      .def_readonly("mean_gpu_seconds", &UsageForecast::mean_gpu_seconds)
      .def_property_readonly("most_gpu_seconds",
                             [](const UsageForecast& usage) {
                               const bool is_known = std::isfinite(usage.most_gpu_seconds);
                               return is_known ? std::optional(usage.most_gpu_seconds)
                                               : std::nullopt;
                             })
      .def_readonly("ended_job_count", &UsageForecast::ended_job_count)
      .def_readonly("similar_job_count", &UsageForecast::similar_job_count)
      .def_readonly("tree_weight", &UsageForecast::tree_weight)
      .def_readonly("drivers", &UsageForecast::drivers)
      .def_readonly("past_jobs", &UsageForecast::past_jobs)
      .def("chance_to_exceed", &predict::chance_to_exceed, py::arg("gpu_seconds"));
  py::class_<ForecastHealth>(module, "ForecastHealth")
      .def_readonly("scored_job_count", &ForecastHealth::scored_job_count)
      .def_readonly("coverage_ratio", &ForecastHealth::coverage_ratio)
      .def_readonly("p90_coverage_ratio", &ForecastHealth::p90_coverage_ratio)
      .def_readonly("is_drifting", &ForecastHealth::is_drifting)
      .def_readonly("reason", &ForecastHealth::reason);
}

// Python's keyword arguments, each by its name. NOLINTNEXTLINE(readability-function-size)
std::unique_ptr<ForecasterHandle> make_forecaster(int tree_count, double learning_rate,
                                                  const py::handle& refit_period,
                                                  int refit_job_count, int blend_job_count,
                                                  std::size_t max_training_rows,
                                                  std::uint64_t seed) {
  ForecasterOptions options;
  options.tree_count = tree_count;
  options.learning_rate = learning_rate;
  if (!refit_period.is_none()) {
    options.refit_period = from_timedelta(refit_period);
  }
  options.refit_job_count = refit_job_count;
  options.blend_job_count = blend_job_count;
  options.max_training_rows = max_training_rows;
  options.seed = seed;
  return std::make_unique<ForecasterHandle>(Forecaster(options));
}

void learn(ForecasterHandle& self, const py::iterable& rows) {
  std::vector<JobRecord> history;
  for (const py::handle& row : rows) {
    history.push_back(record_of(row.cast<py::dict>()));
  }
  with_forecaster(self, [&](Forecaster& forecaster) { forecaster.learn(history); });
}

void bind_live(py::class_<ForecasterHandle>& type) {
  type.def(
          "submit",
          [](ForecasterHandle& self, const py::dict& row) {
            const Job job = job_of(row);
            return with_forecaster(self, [&](Forecaster& f) { return f.submit(job); });
          },
          py::arg("job"))
      .def(
          "start",
          [](ForecasterHandle& self, const std::string& job_id, const py::object& start_time) {
            const UtcTime time = from_datetime(start_time);
            with_forecaster(self, [&](Forecaster& f) { f.start(job_id, time); });
          },
          py::arg("job_id"), py::arg("start_time"))
      .def(
          "end",
          [](ForecasterHandle& self, const std::string& job_id, const py::object& end_time,
             double run_seconds, const std::string& status) {
            const JobEnd end = end_of(end_time, run_seconds, status);
            with_forecaster(self, [&](Forecaster& f) { f.end(job_id, end); });
          },
          py::arg("job_id"), py::kw_only(), py::arg("end_time"), py::arg("run_seconds"),
          py::arg("status"))
      .def(
          "refit_if_due",
          [](ForecasterHandle& self, const py::object& now) {
            const UtcTime time = from_datetime(now);
            return with_forecaster(self, [&](Forecaster& f) { return f.refit_if_due(time); });
          },
          py::arg("now"));
}

}  // namespace

void bind_predict_forecaster(py::module_& module) {
  bind_answers(module);
  py::class_<ForecasterHandle> type(module, "Forecaster");
  const ForecasterOptions defaults;
  type.def(py::init(&make_forecaster), py::kw_only(), py::arg("tree_count") = defaults.tree_count,
           py::arg("learning_rate") = defaults.learning_rate, py::arg("refit_period") = py::none(),
           py::arg("refit_job_count") = defaults.refit_job_count,
           py::arg("blend_job_count") = defaults.blend_job_count,
           py::arg("max_training_rows") = defaults.max_training_rows,
           py::arg("seed") = defaults.seed)
      .def("learn", &learn, py::arg("history"))
      .def(
          "forecast",
          [](ForecasterHandle& self, const py::dict& row, const py::object& now,
             bool is_explained) {
            const Job job = job_of(row);
            const UtcTime time = now.is_none() ? job.submit_time : from_datetime(now);
            return with_forecaster(self, [&](Forecaster& f) {
              return f.forecast(job, time, is_explained);
            });
          },
          py::arg("job"), py::kw_only(), py::arg("now") = py::none(),
          py::arg("is_explained") = false)
      .def(
          "refresh",
          [](ForecasterHandle& self, const std::string& job_id, const py::object& now) {
            const UtcTime time = from_datetime(now);
            return with_forecaster(self, [&](Forecaster& f) { return f.refresh(job_id, time); });
          },
          py::arg("job_id"), py::arg("now"))
      .def("health",
           [](ForecasterHandle& self) {
             return with_forecaster(self, [](Forecaster& f) { return f.health(); });
           })
      .def("to_json",
           [](ForecasterHandle& self) {
             return with_forecaster(self, [](Forecaster& f) { return f.to_json(); });
           })
      .def_static(
          "from_json",
          [](const std::string& text) {
            const ReleaseGil release;
            return std::make_unique<ForecasterHandle>(Forecaster::from_json(text));
          },
          py::arg("json_text"));
  bind_live(type);
}

}  // namespace finops::bindings
