// ledger_budgets.cpp - binds the ledger's calls about budgets, requests, notices and merging. The
// GIL is released around every call.
#include "finops/base/error.hpp"
#include "ledger_handle.hpp"
#include "release.hpp"

namespace finops::bindings {
namespace {

BudgetSummary existing_budget(const LedgerHandle& self, const BudgetId& budget_id) {
  const std::optional<BudgetSummary> found = self->budget(budget_id, utc_now());
  FINOPS_REQUIRE(found.has_value(), ErrorCode::NotFound,
                 "there is no budget '" + budget_id.str() + "'");
  return *found;
}

BudgetSummary ensure_budget(const LedgerHandle& self, const std::string& budget_id,
                            const BudgetTerms& terms, const std::string& who, bool is_hard,
                            const std::string& period) {
  BudgetRecord budget;
  budget.budget_id = BudgetId{budget_id};
  budget.scope = parse_budget_id(budget.budget_id);
  budget.period = Period::parse(period);
  budget.currency = terms.limit.currency();
  budget.is_hard = is_hard;
  budget.created_by = who;
  budget.created_at = utc_now();
  self->ensure_budget(budget, terms);
  return existing_budget(self, budget.budget_id);
}

void set_parent(const LedgerHandle& self, const std::string& child_id, const std::string& parent_id,
                const std::string& who) {
  const Membership membership{.child_id = BudgetId{child_id},
                              .parent_id = BudgetId{parent_id},
                              .who = who,
                              .recorded_at = utc_now()};
  self->set_parent(membership);
}

std::string add_request(const LedgerHandle& self, BudgetRequest request,
                        const py::object& expires_in) {
  const std::optional<Nanoseconds> span = from_optional_timedelta(expires_in);
  request.request_id = RequestId{random_id_text(8)};
  request.requested_at = utc_now();
  request.expires_at = span.has_value() ? request.requested_at + *span : UtcTime{};
  const ReleaseGil release;
  self->add_request(request);
  return request.request_id.str();
}

RequestSummary rule_request(const LedgerHandle& self, const std::string& request_id,
                            bool is_approved, const std::string& who, const std::string& why) {
  self->rule_request(RequestId{request_id}, is_approved, who, why, utc_now());
  for (RequestSummary& summary : self->requests()) {
    if (summary.request.request_id.str() == request_id) {
      return summary;
    }
  }
  FINOPS_ASSERT(false && "a request that was ruled is in the ledger");
  return {};
}

Delivery add_delivery(const LedgerHandle& self, const std::string& channel,
                      std::int64_t first_number, std::int64_t last_number, const std::string& state,
                      const std::string& detail) {
  return self->add_delivery({.channel = channel,
                             .sequence = 0,
                             .first_number = first_number,
                             .last_number = last_number,
                             .state = state,
                             .detail = detail,
                             .recorded_at = utc_now()});
}

void bind_reading(py::class_<LedgerHandle>& type) {
  type.def(
          "budgets", [](const LedgerHandle& self) { return self->budgets(utc_now()); }, Release())
      .def(
          "budget",
          [](const LedgerHandle& self, const std::string& budget_id) {
            return self->budget(BudgetId{budget_id}, utc_now());
          },
          py::arg("budget_id"), Release())
      .def(
          "budget_chain",
          [](const LedgerHandle& self, const std::string& project, const std::string& experiment,
             const std::string& user_name) {
            return self->budget_chain(project, experiment, user_name, utc_now());
          },
          py::arg("project"), py::arg("experiment"), py::arg("user_name"), Release())
      .def(
          "budget_lines",
          [](const LedgerHandle& self, const std::string& budget_id) {
            return self->budget_lines(BudgetId{budget_id});
          },
          py::arg("budget_id"), Release())
      .def(
          "terms_history",
          [](const LedgerHandle& self, const std::string& budget_id) {
            return self->terms_history(BudgetId{budget_id});
          },
          py::arg("budget_id"), Release())
      .def(
          "overspent",
          [](const LedgerHandle& self, const std::string& budget_id) {
            return self->overspent(BudgetId{budget_id});
          },
          py::arg("budget_id"), Release())
      .def(
          "memberships", [](const LedgerHandle& self) { return self->memberships(); }, Release())
      .def(
          "requests", [](const LedgerHandle& self) { return self->requests(); }, Release())
      .def(
          "notices",
          [](const LedgerHandle& self, std::int64_t after, std::int64_t limit) {
            return self->notices(after, limit);
          },
          py::arg("after") = 0, py::arg("limit") = 1'000, Release())
      .def(
          "last_delivery",
          [](const LedgerHandle& self, const std::string& channel) {
            return self->last_delivery(channel);
          },
          py::arg("channel"), Release())
      .def(
          "telemetry",
          [](const LedgerHandle& self, const std::string& attempt_id) {
            return self->telemetry(AttemptId{attempt_id});
          },
          py::arg("attempt_id"), Release());
}

}  // namespace

void bind_budget_calls(py::class_<LedgerHandle>& type) {
  bind_reading(type);
  type.def("ensure_budget", &ensure_budget, py::arg("budget_id"), py::arg("terms"), py::kw_only(),
           py::arg("who"), py::arg("is_hard") = true, py::arg("period") = "lifetime", Release())
      .def(
          "change_terms",
          [](const LedgerHandle& self, const std::string& budget_id, const BudgetTerms& terms,
             const std::string& who, const std::string& why) {
            self->change_terms(BudgetId{budget_id}, terms, who, why, utc_now());
            return existing_budget(self, BudgetId{budget_id});
          },
          py::arg("budget_id"), py::arg("terms"), py::kw_only(), py::arg("who"),
          py::arg("why") = "", Release())
      .def("set_parent", &set_parent, py::arg("child_id"), py::arg("parent_id"), py::kw_only(),
           py::arg("who"), Release())
      .def(
          "add_request",
          [](const LedgerHandle& self, const std::string& budget_id, const Money& amount,
             const std::string& who, const std::string& why, const std::string& run_id,
             const py::object& expires_in) {
            BudgetRequest request;
            request.budget_id = BudgetId{budget_id};
            request.run_id = RunId{run_id};
            request.amount = amount;
            request.who = who;
            request.why = why;
            return add_request(self, std::move(request), expires_in);
          },
          py::arg("budget_id"), py::arg("amount"), py::kw_only(), py::arg("who"), py::arg("why"),
          py::arg("run_id") = "", py::arg("expires_in") = py::none())
      .def("rule_request", &rule_request, py::arg("request_id"), py::kw_only(),
           py::arg("is_approved"), py::arg("who"), py::arg("why"), Release())
      .def(
          "expire_requests",
          [](const LedgerHandle& self) { return self->expire_requests(utc_now()); }, Release())
      .def("add_delivery", &add_delivery, py::arg("channel"), py::arg("first_number"),
           py::arg("last_number"), py::arg("state"), py::arg("detail") = "", Release())
      .def(
          "merge",
          [](const LedgerHandle& self, const std::string& other_path) {
            return self->merge(other_path, utc_now());
          },
          py::arg("other_path"), Release())
      .def(
          "copy_to", [](const LedgerHandle& self, const std::string& path) { self->copy_to(path); },
          py::arg("path"), Release());
}

}  // namespace finops::bindings
