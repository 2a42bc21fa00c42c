// records.cpp - binds the rows that the ledger's queries give back, read-only.
#include "convert.hpp"
#include "finops/ledger/queries.hpp"
#include "finops/record/decision.hpp"
#include "finops/record/price.hpp"

namespace finops::bindings {
namespace {

// A read-only property of `Class` computed by `read`.
#define FINOPS_FIELD(name, expression) \
  def_property_readonly(name, [](const Row& row) { return expression; })

void bind_runs(py::module_& module) {
  {
    using Row = RunRecord;
    py::class_<Row>(module, "RunRecord", py::is_final())
        .FINOPS_FIELD("run_id", row.run_id.str())
        .def_readonly("project", &Row::project)
        .def_readonly("experiment", &Row::experiment)
        .def_readonly("name", &Row::name)
        .def_readonly("user_name", &Row::user_name)
        .FINOPS_FIELD("parent_run_id", row.parent_run_id.str())
        .FINOPS_FIELD("fork_of", row.fork_of.str())
        .def_readonly("tags", &Row::tags)
        .FINOPS_FIELD("created_at", to_datetime(row.created_at));
  }
  {
    using Row = RunSummary;
    py::class_<Row>(module, "RunSummary", py::is_final())
        .def_readonly("run", &Row::run)
        .FINOPS_FIELD("status", run_status_name(row.status))
        .def_readonly("reason", &Row::reason)
        .def_readonly("attempt_count", &Row::attempt_count)
        .def_readonly("metered_cost", &Row::metered_cost)
        .def_readonly("uncertain_cost", &Row::uncertain_cost)
        .FINOPS_FIELD("metered_time", to_timedelta(row.metered_time))
        .FINOPS_FIELD("unpriced_time", to_timedelta(row.unpriced_time))
        .FINOPS_FIELD("started_at", to_datetime(row.started_at))
        .FINOPS_FIELD("ended_at", to_datetime(row.ended_at));
  }
}

void bind_attempts(py::module_& module) {
  {
    using Row = AttemptRecord;
    py::class_<Row>(module, "AttemptRecord", py::is_final())
        .FINOPS_FIELD("attempt_id", row.attempt_id.str())
        .FINOPS_FIELD("run_id", row.run_id.str())
        .def_readonly("attempt_number", &Row::attempt_number)
        .def_readonly("host", &Row::host)
        .FINOPS_FIELD("pid", row.process.pid)
        .FINOPS_FIELD("entry_point", row.entry_point == EntryPoint::Init ? "init" : "command")
        .def_readonly("command", &Row::command)
        .def_readonly("resource", &Row::resource)
        .FINOPS_FIELD("price_id", row.price_id.str())
        .def_property_readonly("budget_chain",
                               [](const Row& row) {
                                 py::list ids;
                                 for (const BudgetId& id : row.budget_chain) {
                                   ids.append(id.str());
                                 }
                                 return ids;
                               })
        .def_readonly("is_long_running", &Row::is_long_running)
        .def_readonly("long_running_reason", &Row::long_running_reason)
        .FINOPS_FIELD("started_at", to_datetime(row.started_at.utc));
  }
  {
    using Row = AttemptSummary;
    py::class_<Row>(module, "AttemptSummary", py::is_final())
        .def_readonly("attempt", &Row::attempt)
        .FINOPS_FIELD("status", run_status_name(row.end ? row.end->status : RunStatus::RUNNING))
        .FINOPS_FIELD("reason", row.end ? row.end->reason : std::string())
        .FINOPS_FIELD("ended_at", to_datetime(row.end ? row.end->ended_at : UtcTime{}))
        .def_readonly("account_state", &Row::account_state)
        .def_readonly("price", &Row::price)
        .def_readonly("metered_cost", &Row::metered_cost)
        .def_readonly("uncertain_cost", &Row::uncertain_cost)
        .FINOPS_FIELD("metered_time", to_timedelta(row.metered_time))
        .FINOPS_FIELD("uncertain_time", to_timedelta(row.uncertain_time));
  }
}

void bind_others(py::module_& module) {
  {
    using Row = DecisionRecord;
    py::class_<Row>(module, "DecisionRecord", py::is_final())
        .FINOPS_FIELD("attempt_id", row.attempt_id.str())
        .def_readonly("sequence", &Row::sequence)
        .FINOPS_FIELD("directive", directive_name(row.directive))
        .FINOPS_FIELD("rule", rule_name(row.rule))
        .FINOPS_FIELD("rung", rung_name(row.rung))
        .def_readonly("reason", &Row::reason)
        .def_readonly("decided_by", &Row::decided_by)
        .FINOPS_FIELD("decided_at", to_datetime(row.decided_at))
        .def_readonly("is_dry_run", &Row::is_dry_run);
  }
  {
    using Row = CheckpointRecord;
    py::class_<Row>(module, "CheckpointRecord", py::is_final())
        .FINOPS_FIELD("run_id", row.run_id.str())
        .FINOPS_FIELD("attempt_id", row.attempt_id.str())
        .def_readonly("step", &Row::step)
        .FINOPS_FIELD("path", py::reinterpret_steal<py::object>(PyUnicode_DecodeFSDefaultAndSize(
                                  row.path.data(), static_cast<Py_ssize_t>(row.path.size()))))
        .FINOPS_FIELD("confirmed_at", to_datetime(row.confirmed_at));
  }
  {
    using Row = PriceRow;
    py::class_<Row>(module, "PriceRow", py::is_final())
        .FINOPS_FIELD("price_id", row.price_id.str())
        .def_readonly("sku_id", &Row::sku_id)
        .def_readonly("provider", &Row::provider)
        .def_readonly("region", &Row::region)
        .def_readonly("zone", &Row::zone)
        .def_readonly("instance_type", &Row::instance_type)
        .def_readonly("gpu", &Row::gpu)
        .def_readonly("gpu_count", &Row::gpu_count)
        .FINOPS_FIELD("pricing_category", pricing_category_name(row.pricing_category))
        .def_readonly("list_unit_price", &Row::list_unit_price)
        .FINOPS_FIELD("valid_from", to_datetime(row.valid_from))
        .FINOPS_FIELD("valid_to", to_datetime(row.valid_to))
        .def_readonly("source", &Row::source)
        .def_readonly("source_date", &Row::source_date)
        .def_readonly("is_default", &Row::is_default)
        .def_readonly("is_user_set", &Row::is_user_set);
  }
  {
    using Row = VerifyReport;
    py::class_<Row>(module, "VerifyReport", py::is_final())
        .def_readonly("journal_row_count", &Row::journal_row_count)
        .def_readonly("budget_count", &Row::budget_count)
        .def_readonly("attempt_count", &Row::attempt_count)
        .def_readonly("audit_record_count", &Row::audit_record_count)
        .def_readonly("audit_head", &Row::audit_head)
        .def_readonly("problems", &Row::problems);
  }
}

}  // namespace

void bind_records(py::module_& module) {
  bind_runs(module);
  bind_attempts(module);
  bind_budget_records(module);
  bind_lineage_records(module);
  bind_forecast_records(module);
  bind_others(module);
}

}  // namespace finops::bindings
