// budget_records.cpp - binds budgets, requests, notices and telemetry as the ledger gives them
// back.
#include "convert.hpp"
#include "finops/ledger/queries.hpp"
#include "finops/record/telemetry.hpp"

namespace finops::bindings {
namespace {

#define FINOPS_FIELD(name, expression) \
  def_property_readonly(name, [](const Row& row) { return expression; })

void bind_terms(py::module_& module) {
  using Row = BudgetTerms;
  py::class_<Row>(module, "BudgetTerms", py::is_final())
      .def(py::init([](const Money& limit, const std::optional<Money>& burn_cap_per_hour,
                       const py::object& max_duration, std::vector<int> warning_percents,
                       std::vector<std::string> approvers) {
             Row terms;
             terms.limit = limit;
             terms.burn_cap_per_hour = burn_cap_per_hour;
             terms.max_duration =
                 from_optional_timedelta(max_duration).value_or(Nanoseconds::zero());
             terms.warning_percents = std::move(warning_percents);
             terms.approvers = std::move(approvers);
             return terms;
           }),
           py::arg("limit"), py::kw_only(), py::arg("burn_cap_per_hour") = py::none(),
           py::arg("max_duration") = py::none(),
           py::arg("warning_percents") = BudgetTerms{}.warning_percents,
           py::arg("approvers") = std::vector<std::string>{})
      .def_readwrite("limit", &Row::limit)
      .def_readwrite("burn_cap_per_hour", &Row::burn_cap_per_hour)
      .def_property(
          "max_duration",
          [](const Row& row) -> py::object {
            return row.max_duration == Nanoseconds::zero() ? py::object(py::none())
                                                           : to_timedelta(row.max_duration);
          },
          [](Row& row, const py::object& span) {
            row.max_duration = from_optional_timedelta(span).value_or(Nanoseconds::zero());
          })
      .def_readwrite("warning_percents", &Row::warning_percents)
      .def_readwrite("approvers", &Row::approvers);
}

void bind_summaries(py::module_& module) {
  {
    using Row = BudgetSummary;
    py::class_<Row>(module, "BudgetSummary", py::is_final())
        .FINOPS_FIELD("budget_id", row.budget.budget_id.str())
        .FINOPS_FIELD("scope", budget_scope_name(row.budget.scope))
        .FINOPS_FIELD("period", row.budget.period.str())
        .FINOPS_FIELD("period_label", row.window.label)
        .FINOPS_FIELD("period_start", to_datetime(row.window.start))
        .FINOPS_FIELD("period_end",
                      to_datetime(row.window.end == UtcTime::max() ? UtcTime{} : row.window.end))
        .FINOPS_FIELD("is_hard", row.budget.is_hard)
        .FINOPS_FIELD("parent_id", row.parent_id.str())
        .FINOPS_FIELD("created_by", row.budget.created_by)
        .FINOPS_FIELD("created_at", to_datetime(row.budget.created_at))
        .FINOPS_FIELD("limit", row.accounts.limit)
        .FINOPS_FIELD("available", row.accounts.available)
        .FINOPS_FIELD("held", row.accounts.held)
        .FINOPS_FIELD("spent", row.accounts.spent)
        .FINOPS_FIELD("overspent", row.accounts.overspent)
        .def_readonly("burn_per_hour", &Row::burn_per_hour)
        .def_readonly("terms", &Row::terms, py::return_value_policy::copy)
        .def_readonly("approvers", &Row::approvers)
        .def_readonly("open_lease_count", &Row::open_lease_count);
  }
  {
    using Row = BudgetLine;
    py::class_<Row>(module, "BudgetLine", py::is_final())
        .FINOPS_FIELD("budget_id", row.budget_id.str())
        .FINOPS_FIELD("period_start", to_datetime(row.period_start))
        .FINOPS_FIELD("attempt_id", row.attempt_id.str())
        .FINOPS_FIELD("from_account", budget_account_name(row.from))
        .FINOPS_FIELD("to_account", budget_account_name(row.to))
        .def_readonly("amount", &Row::amount)
        .def_readonly("who", &Row::who)
        .def_readonly("why", &Row::why)
        .FINOPS_FIELD("recorded_at", to_datetime(row.recorded_at));
  }
}

void bind_changes(py::module_& module) {
  {
    using Row = BudgetTermsChange;
    py::class_<Row>(module, "BudgetTermsChange", py::is_final())
        .FINOPS_FIELD("budget_id", row.budget_id.str())
        .def_readonly("sequence", &Row::sequence)
        .def_readonly("terms", &Row::terms, py::return_value_policy::copy)
        .def_readonly("who", &Row::who)
        .def_readonly("why", &Row::why)
        .FINOPS_FIELD("recorded_at", to_datetime(row.recorded_at));
  }
  {
    using Row = Membership;
    py::class_<Row>(module, "Membership", py::is_final())
        .FINOPS_FIELD("child_id", row.child_id.str())
        .FINOPS_FIELD("parent_id", row.parent_id.str())
        .def_readonly("who", &Row::who)
        .FINOPS_FIELD("recorded_at", to_datetime(row.recorded_at));
  }
  {
    using Row = OverspentEntry;
    py::class_<Row>(module, "OverspentEntry", py::is_final())
        .FINOPS_FIELD("budget_id", row.budget_id.str())
        .FINOPS_FIELD("period_label", row.window.label)
        .FINOPS_FIELD("attempt_id", row.attempt_id.str())
        .def_readonly("amount", &Row::amount)
        .def_readonly("why", &Row::why)
        .FINOPS_FIELD("recorded_at", to_datetime(row.recorded_at));
  }
}

void bind_requests(py::module_& module) {
  using Row = RequestSummary;
  py::class_<Row>(module, "RequestSummary", py::is_final())
      .FINOPS_FIELD("request_id", row.request.request_id.str())
      .FINOPS_FIELD("budget_id", row.request.budget_id.str())
      .FINOPS_FIELD("run_id", row.request.run_id.str())
      .FINOPS_FIELD("amount", row.request.amount)
      .FINOPS_FIELD("who", row.request.who)
      .FINOPS_FIELD("why", row.request.why)
      .FINOPS_FIELD("requested_at", to_datetime(row.request.requested_at))
      .FINOPS_FIELD("expires_at", to_datetime(row.request.expires_at))
      .FINOPS_FIELD("is_ruled", row.ruling.has_value())
      .FINOPS_FIELD("is_approved", row.ruling && row.ruling->outcome == RulingOutcome::Approved)
      .FINOPS_FIELD("outcome", row.ruling ? ruling_outcome_name(row.ruling->outcome) : "")
      .FINOPS_FIELD("ruled_by", row.ruling ? row.ruling->who : std::string())
      .FINOPS_FIELD("ruling_reason", row.ruling ? row.ruling->why : std::string())
      .FINOPS_FIELD("old_limit", row.ruling ? std::optional(row.ruling->old_limit) : std::nullopt)
      .FINOPS_FIELD("new_limit", row.ruling ? std::optional(row.ruling->new_limit) : std::nullopt)
      .FINOPS_FIELD("ruled_at", to_datetime(row.ruling ? row.ruling->ruled_at : UtcTime{}));
}

void bind_notices(py::module_& module) {
  {
    using Row = Notice;
    py::class_<Row>(module, "Notice", py::is_final())
        .def_readonly("number", &Row::number)
        .def_readonly("notice_id", &Row::notice_id)
        .FINOPS_FIELD("kind", notice_kind_name(row.kind))
        .FINOPS_FIELD("budget_id", row.budget_id.str())
        .FINOPS_FIELD("attempt_id", row.attempt_id.str())
        .def_readonly("text", &Row::text)
        .FINOPS_FIELD("recorded_at", to_datetime(row.recorded_at));
  }
  {
    using Row = Delivery;
    py::class_<Row>(module, "Delivery", py::is_final())
        .def_readonly("channel", &Row::channel)
        .def_readonly("sequence", &Row::sequence)
        .def_readonly("first_number", &Row::first_number)
        .def_readonly("last_number", &Row::last_number)
        .def_readonly("state", &Row::state)
        .def_readonly("detail", &Row::detail)
        .FINOPS_FIELD("recorded_at", to_datetime(row.recorded_at));
  }
  {
    using Row = TelemetryWindow;
    py::class_<Row>(module, "TelemetryWindow", py::is_final())
        .FINOPS_FIELD("attempt_id", row.attempt_id.str())
        .FINOPS_FIELD("window_start", to_datetime(row.window_start))
        .FINOPS_FIELD("metric", metric_name(row.metric))
        .def_readonly("device", &Row::device)
        .def_readonly("sample_count", &Row::sample_count)
        .def_readonly("minimum", &Row::minimum)
        .def_readonly("mean", &Row::mean)
        .def_readonly("maximum", &Row::maximum);
  }
  {
    using Row = MergeReport;
    py::class_<Row>(module, "MergeReport", py::is_final())
        .def_readonly("run_count", &Row::run_count)
        .def_readonly("attempt_count", &Row::attempt_count)
        .def_readonly("usage_count", &Row::usage_count)
        .def_readonly("charge_count", &Row::charge_count)
        .def_readonly("other_count", &Row::other_count);
  }
}

}  // namespace

void bind_budget_records(py::module_& module) {
  bind_terms(module);
  bind_summaries(module);
  bind_changes(module);
  bind_requests(module);
  bind_notices(module);
}

}  // namespace finops::bindings
