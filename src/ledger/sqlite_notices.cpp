// sqlite_notices.cpp - notices, deliveries and telemetry.
#include "ledger/sqlite_ledger.hpp"

namespace finops::ledger {
namespace {
[[noreturn]] void not_yet() { throw InternalError("not yet", __FILE__, __LINE__); }
}  // namespace

void SqliteLedger::set_parent(const Membership&) { not_yet(); }
std::size_t SqliteLedger::expire_requests(UtcTime) { return 0; }
void SqliteLedger::add_notice(const Notice&) { not_yet(); }
std::vector<Notice> SqliteLedger::notices(std::int64_t, std::int64_t) { return {}; }
Delivery SqliteLedger::add_delivery(const Delivery&) { not_yet(); }
std::optional<Delivery> SqliteLedger::last_delivery(const std::string&) { return {}; }
void SqliteLedger::add_telemetry(std::span<const TelemetryWindow>) {}
std::vector<TelemetryWindow> SqliteLedger::telemetry(const AttemptId&) { return {}; }
MergeReport SqliteLedger::merge(const std::string&, UtcTime) { not_yet(); }
std::vector<BudgetSummary> SqliteLedger::budget_chain(const std::string& project,
                                                      const std::string& experiment,
                                                      const std::string&, UtcTime now) {
  std::vector<BudgetSummary> chain;
  if (std::optional<BudgetSummary> found = budget(experiment_budget_id(project, experiment), now)) {
    chain.push_back(*found);
  }
  return chain;
}
std::vector<Membership> SqliteLedger::memberships() { return {}; }
std::vector<BudgetTermsChange> SqliteLedger::terms_history(const BudgetId&) { return {}; }
std::vector<OverspentEntry> SqliteLedger::overspent(const BudgetId&) { return {}; }

}  // namespace finops::ledger
