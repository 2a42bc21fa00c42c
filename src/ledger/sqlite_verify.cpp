// sqlite_verify.cpp - rebuilds every cache from the journal and compares.
#include <map>

#include "ledger/schema.hpp"
#include "ledger/sqlite_ledger.hpp"

namespace finops::ledger {
namespace {

void compare(VerifyReport& report, const std::string& what, const Money& journal,
             const Money& cache) {
  if (journal != cache) {
    report.problems.push_back(what + ": the journal says " + journal.str() + ", the cache says " +
                              cache.str());
  }
}

}  // namespace

void SqliteLedger::verify_budgets(VerifyReport& report) {
  for (const BudgetSummary& summary : budgets(UtcTime{})) {
    ++report.budget_count;
    const std::string id = summary.budget.budget_id.str();
    BudgetAccounts rebuilt = BudgetAccounts::zero(summary.budget.currency);
    for (const BudgetLine& line : budget_lines(summary.budget.budget_id)) {
      apply(line, rebuilt);
    }
    if (!rebuilt.balances()) {
      report.problems.push_back(id + ": the journal's lines do not balance");
    }
    compare(report, id + ", limit", rebuilt.limit, summary.accounts.limit);
    compare(report, id + ", available", rebuilt.available, summary.accounts.available);
    compare(report, id + ", held", rebuilt.held, summary.accounts.held);
    compare(report, id + ", spent", rebuilt.spent, summary.accounts.spent);
    compare(report, id + ", overspent", rebuilt.overspent, summary.accounts.overspent);
  }
}

void SqliteLedger::verify_accounts(VerifyReport& report) {
  std::vector<AttemptId> attempt_ids;
  {
    Statement all = database_->prepare("SELECT attempt_id FROM attempts");
    while (all.step()) {
      attempt_ids.emplace_back(all.text());
    }
  }
  std::map<BudgetId, Money> held_by_accounts;
  for (const AttemptId& attempt_id : attempt_ids) {
    ++report.attempt_count;
    const AccountRow row = load_account(attempt_id);
    verify_account(row, report);
    for (const BudgetId& budget_id : row.budget_chain) {
      const Money held = row.account.held.value();
      held_by_accounts.try_emplace(budget_id, Money::zero(held.currency())).first->second += held;
    }
  }
  for (const auto& [budget_id, held] : held_by_accounts) {
    compare(report, budget_id.str() + ", held by its runs", load_balance(budget_id).held, held);
  }
}

void SqliteLedger::verify_account(const AccountRow& row, VerifyReport& report) {
  const AttemptId& attempt_id = row.attempt_id;
  const std::string id = "attempt " + attempt_id.str();
  Statement usage = database_->prepare(
      "SELECT u.sequence, u.from_ns, u.to_ns, u.kind, s.outcome, c.billed_cost_units, "
      "c.billed_cost_picos FROM usage u LEFT JOIN settlements s USING (attempt_id) LEFT JOIN "
      "charges c ON c.event_id = u.attempt_id || '/charge/' || u.sequence "
      "WHERE u.attempt_id=? ORDER BY u.sequence");
  usage << attempt_id.str();
  std::int64_t count = 0;
  Nanoseconds reached{};
  std::optional<Money> charged = row.account.charged;
  charged = charged.has_value() ? std::optional(Money::zero(charged->currency())) : charged;
  while (usage.step()) {
    const std::int64_t sequence = usage.integer();
    const Nanoseconds from = usage.nanoseconds();
    const bool in_order = sequence == ++count && from == reached;
    const Nanoseconds to = usage.nanoseconds();
    const bool is_metered = usage.text() == "METERED";
    const bool is_spent = is_metered || usage.text() == "SPENT";
    usage.skip(is_metered ? 1 : 0);
    if (!in_order) {
      report.problems.push_back(id + ": slice " + std::to_string(count) + " leaves a gap");
    }
    reached = is_spent ? to : reached;
    if (is_spent && charged.has_value()) {
      if (usage.next_is_null()) {
        report.problems.push_back(id + ": slice " + std::to_string(count) + " has no charge");
      } else {
        charged = *charged + usage.money(charged->currency());
      }
    }
  }
  if (count != row.usage_count || reached != row.account.settled) {
    report.problems.push_back(id + ": the journal and the cache differ in settled time");
  }
  if (charged.has_value()) {
    compare(report, id + ", charged", *charged, *row.account.charged);
    compare(report, id + ", price of the whole", row.account.rate->cost_of(reached), *charged);
  }
  Statement ends = database_->prepare(
      "SELECT (SELECT count(*) FROM attempt_ends WHERE attempt_id=?1), "
      "(SELECT count(*) FROM settlements WHERE attempt_id=?1)");
  ends << attempt_id.str();
  ends.step();
  const std::int64_t end_count = ends.integer();
  const std::int64_t settlement_count = ends.integer();
  const AccountState expected = settlement_count > 0 ? AccountState::SETTLED
                                : end_count > 0      ? AccountState::SUSPECT
                                                     : AccountState::OPEN;
  if (row.account.state != expected) {
    report.problems.push_back(id + ": is " + std::string(account_state_name(row.account.state)) +
                              ", the journal says " + std::string(account_state_name(expected)));
  }
}

VerifyReport SqliteLedger::verify() {
  const std::lock_guard<std::recursive_mutex> guard(mutex_);
  VerifyReport report;
  {
    Statement check = database_->prepare("PRAGMA integrity_check(20)");
    while (check.step()) {
      if (const std::string line = check.text(); line != "ok") {
        report.problems.push_back("the file: " + line);
      }
    }
    Statement foreign = database_->prepare("PRAGMA foreign_key_check");
    while (foreign.step()) {
      report.problems.push_back("table " + foreign.text() +
                                ": a row refers to one that is missing");
    }
  }
  for (const char* table : journal_tables()) {
    const std::string sql = "SELECT count(*) FROM " + std::string(table);
    report.journal_row_count += database_->count(sql);
    const std::string triggers =
        "SELECT count(*) FROM sqlite_schema WHERE type='trigger' AND tbl_name='" +
        std::string(table) + "'";
    if (database_->count(triggers) != 2) {
      report.problems.push_back("table " + std::string(table) +
                                " has lost its triggers: its rows may have been changed");
    }
  }
  database_->execute("BEGIN");  // one snapshot for both, whatever is written meanwhile
  try {
    verify_budgets(report);
    verify_accounts(report);
  } catch (const std::exception& error) {
    report.problems.push_back(std::string("the journal cannot be rebuilt: ") + error.what());
  }
  database_->execute("COMMIT");
  return report;
}

}  // namespace finops::ledger
