// forecast_records.cpp - binds stored forecasts, what became of them, and the ledger's calls on
// both.
#include "ledger_handle.hpp"
#include "release.hpp"

namespace finops::bindings {
namespace {

// A read-only property of `Class` computed by `read`.
#define FINOPS_FIELD(name, expression) \
  def_property_readonly(name, [](const Row& row) { return expression; })

void bind_cost(py::module_& module) {
  using Row = ForecastCost;
  py::class_<Row>(module, "ForecastCost", py::is_final())
      .def(py::init([](const Money& p10, const Money& p50, const Money& p90, const Money& mean) {
             return Row{.p10 = p10, .p50 = p50, .p90 = p90, .mean = mean};
           }),
           py::kw_only(), py::arg("p10"), py::arg("p50"), py::arg("p90"), py::arg("mean"))
      .def_readonly("p10", &Row::p10)
      .def_readonly("p50", &Row::p50)
      .def_readonly("p90", &Row::p90)
      .def_readonly("mean", &Row::mean)
      .def("__eq__", [](const Row& self, const Row& other) { return self == other; });
}

void bind_job(py::module_& module) {
  using Row = ForecastJob;
  py::class_<Row>(module, "ForecastJob", py::is_final())
      .def(py::init([](std::string user_name, std::string group_name, std::string experiment,
                       std::string name, std::string queue, std::string gpu_model,
                       std::int32_t node_count, std::optional<std::int64_t> requested_seconds,
                       std::optional<std::int64_t> planned_steps) {
             return Row{.user_name = std::move(user_name),
                        .group_name = std::move(group_name),
                        .experiment = std::move(experiment),
                        .name = std::move(name),
                        .queue = std::move(queue),
                        .gpu_model = std::move(gpu_model),
                        .node_count = node_count,
                        .requested_seconds = requested_seconds,
                        .planned_steps = planned_steps};
           }),
           py::kw_only(), py::arg("user_name") = "", py::arg("group_name") = "",
           py::arg("experiment") = "", py::arg("name") = "", py::arg("queue") = "",
           py::arg("gpu_model") = "", py::arg("node_count") = 0,
           py::arg("requested_seconds") = py::none(), py::arg("planned_steps") = py::none())
      .def_readonly("user_name", &Row::user_name)
      .def_readonly("group_name", &Row::group_name)
      .def_readonly("experiment", &Row::experiment)
      .def_readonly("name", &Row::name)
      .def_readonly("queue", &Row::queue)
      .def_readonly("gpu_model", &Row::gpu_model)
      .def_readonly("node_count", &Row::node_count)
      .def_readonly("requested_seconds", &Row::requested_seconds)
      .def_readonly("planned_steps", &Row::planned_steps)
      .def("__eq__", [](const Row& self, const Row& other) { return self == other; });
}

// What is wrong with a forecast is told where it is made.
void bind_making(py::class_<ForecastRecord>& type) {
  type.def(py::init([](std::string run_id, const std::string& kind, const py::object& made_at,
                       double p10_gpu_seconds, double p50_gpu_seconds, double p90_gpu_seconds,
                       double mean_gpu_seconds, std::int32_t gpu_count, std::string attempt_id,
                       double elapsed_gpu_seconds, std::int64_t ended_job_count,
                       std::string model_id, std::string price_id, std::optional<ForecastCost> cost,
                       std::optional<ForecastJob> job) {
             ForecastRecord forecast{.run_id = RunId{std::move(run_id)},
                                     .attempt_id = AttemptId{std::move(attempt_id)},
                                     .kind = parse_forecast_kind(kind),
                                     .made_at = from_datetime(made_at),
                                     .p10_gpu_seconds = p10_gpu_seconds,
                                     .p50_gpu_seconds = p50_gpu_seconds,
                                     .p90_gpu_seconds = p90_gpu_seconds,
                                     .mean_gpu_seconds = mean_gpu_seconds,
                                     .gpu_count = gpu_count,
                                     .elapsed_gpu_seconds = elapsed_gpu_seconds,
                                     .ended_job_count = ended_job_count,
                                     .model_id = std::move(model_id),
                                     .price_id = PriceId{std::move(price_id)},
                                     .cost = cost,
                                     .job = std::move(job).value_or(ForecastJob{})};
             require_valid(forecast);
             return forecast;
           }),
           py::kw_only(), py::arg("run_id"), py::arg("kind"), py::arg("made_at"),
           py::arg("p10_gpu_seconds"), py::arg("p50_gpu_seconds"), py::arg("p90_gpu_seconds"),
           py::arg("mean_gpu_seconds"), py::arg("gpu_count"), py::arg("attempt_id") = "",
           py::arg("elapsed_gpu_seconds") = 0.0, py::arg("ended_job_count") = 0,
           py::arg("model_id") = "", py::arg("price_id") = "", py::arg("cost") = py::none(),
           py::arg("job") = py::none());
}

void bind_forecast(py::module_& module) {
  using Row = ForecastRecord;
  py::class_<Row> type(module, "ForecastRecord", py::is_final());
  bind_making(type);
  type.FINOPS_FIELD("event_id", forecast_event_id(row).str())
      .FINOPS_FIELD("run_id", row.run_id.str())
      .FINOPS_FIELD("attempt_id", row.attempt_id.str())
      .FINOPS_FIELD("kind", forecast_kind_name(row.kind))
      .FINOPS_FIELD("made_at", to_datetime(row.made_at))
      .def_readonly("p10_gpu_seconds", &Row::p10_gpu_seconds)
      .def_readonly("p50_gpu_seconds", &Row::p50_gpu_seconds)
      .def_readonly("p90_gpu_seconds", &Row::p90_gpu_seconds)
      .def_readonly("mean_gpu_seconds", &Row::mean_gpu_seconds)
      .def_readonly("gpu_count", &Row::gpu_count)
      .def_readonly("elapsed_gpu_seconds", &Row::elapsed_gpu_seconds)
      .def_readonly("ended_job_count", &Row::ended_job_count)
      .def_readonly("model_id", &Row::model_id)
      .FINOPS_FIELD("price_id", row.price_id.str())
      .def_readonly("cost", &Row::cost)
      .def_readonly("job", &Row::job)
      .def("__eq__", [](const Row& self, const Row& other) { return self == other; });
}

void bind_outcome(py::module_& module) {
  {
    using Row = LedgerJob;
    py::class_<Row>(module, "LedgerJob", py::is_final())
        .FINOPS_FIELD("run_id", row.run_id.str())
        .def_readonly("user_name", &Row::user_name)
        .def_readonly("project", &Row::project)
        .def_readonly("experiment", &Row::experiment)
        .def_readonly("name", &Row::name)
        .def_readonly("resource", &Row::resource)
        .def_readonly("gpu_model", &Row::gpu_model)
        .def_readonly("queue", &Row::queue)
        .def_readonly("node_count", &Row::node_count)
        .def_readonly("requested_seconds", &Row::requested_seconds)
        .def_readonly("planned_steps", &Row::planned_steps)
        .def_readonly("gpu_count", &Row::gpu_count)
        .FINOPS_FIELD("submitted_at", to_datetime(row.submitted_at))
        .FINOPS_FIELD("started_at", to_datetime(row.started_at))
        .FINOPS_FIELD("ended_at", to_datetime(row.ended_at))
        .def_readonly("attempt_count", &Row::attempt_count)
        .def_readonly("run_seconds", &Row::run_seconds)
        .def_readonly("gpu_seconds", &Row::gpu_seconds)
        .FINOPS_FIELD("status", run_status_name(row.status))
        .def_readonly("reason", &Row::reason)
        .def_readonly("metered_cost", &Row::metered_cost);
  }
  {
    using Row = ForecastOutcome;
    py::class_<Row>(module, "ForecastOutcome", py::is_final())
        .def_readonly("forecast", &Row::forecast)
        .def_readonly("job", &Row::job);
  }
}

#undef FINOPS_FIELD

// `call` gives the rows of a filter, without Python's lock.
template <class Call>
void bind_filtered(py::class_<LedgerHandle>& type, const char* name, Call call) {
  type.def(
      name,
      [call](const LedgerHandle& self, const std::string& run_id, const std::string& project,
             const std::string& experiment, const std::string& kind, const py::object& made_from,
             const py::object& made_until, std::optional<std::int64_t> limit) {
        ForecastFilter filter{.run_id = RunId{run_id},
                              .project = project,
                              .experiment = experiment,
                              .kind = {},
                              .made_from = from_datetime(made_from)};
        if (!kind.empty()) {
          filter.kind = parse_forecast_kind(kind);
        }
        if (!made_until.is_none()) {
          filter.made_until = from_datetime(made_until);
        }
        filter.limit = limit.value_or(filter.limit);
        const ReleaseGil release;
        return call(*self.ledger, filter);
      },
      py::kw_only(), py::arg("run_id") = "", py::arg("project") = "", py::arg("experiment") = "",
      py::arg("kind") = "", py::arg("made_from") = py::none(), py::arg("made_until") = py::none(),
      py::arg("limit") = py::none());
}

}  // namespace

void bind_forecast_records(py::module_& module) {
  bind_cost(module);
  bind_job(module);
  bind_forecast(module);
  bind_outcome(module);
}

void bind_forecast_calls(py::class_<LedgerHandle>& type) {
  type.def(
          "add_forecast",
          [](const LedgerHandle& self, const ForecastRecord& forecast) {
            self->add_forecast(forecast);
          },
          py::arg("forecast"), Release())
      .def(
          "job_history",
          [](const LedgerHandle& self, const py::object& since) {
            const UtcTime from = since.is_none() ? UtcTime::min() : from_datetime(since);
            const ReleaseGil release;
            return self->job_history(from);
          },
          py::arg("since") = py::none());
  bind_filtered(type, "forecasts", [](Ledger& ledger, const ForecastFilter& filter) {
    return ledger.forecasts(filter);
  });
  bind_filtered(type, "forecast_outcomes", [](Ledger& ledger, const ForecastFilter& filter) {
    return ledger.forecast_outcomes(filter);
  });
}

}  // namespace finops::bindings
