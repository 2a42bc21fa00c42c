// sqlite_verify.cpp - rebuilds every cache from the journal and compares.
#include <map>

#include "ledger/audit.hpp"
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
  std::vector<BudgetId> ids;
  {
    Statement rows = database_->prepare("SELECT budget_id FROM budgets ORDER BY budget_id");
    while (rows.step()) {
      ids.emplace_back(rows.text());
    }
  }
  for (const BudgetId& budget_id : ids) {
    ++report.budget_count;
    verify_windows(budget_id, report);
    if (terms_history(budget_id).empty()) {
      report.problems.push_back(budget_id.str() + ": has no terms");
    }
  }
}

void SqliteLedger::verify_windows(const BudgetId& budget_id, VerifyReport& report) {
  const Currency currency = budget_currency(budget_id);
  std::map<UtcTime, BudgetAccounts> rebuilt;
  for (const BudgetLine& line : budget_lines(budget_id)) {
    apply(line,
          rebuilt.try_emplace(line.period_start, BudgetAccounts::zero(currency)).first->second);
  }
  std::map<UtcTime, Money> held_by_runs;
  {
    Statement windows = database_->prepare(
        "SELECT period_start_ns, held_units, held_picos FROM holds WHERE budget_id=?");
    windows << budget_id.str();
    while (windows.step()) {
      const UtcTime start = windows.utc();
      held_by_runs.try_emplace(start, Money::zero(currency)).first->second +=
          windows.money(currency);
    }
    Statement cached =
        database_->prepare("SELECT period_start_ns FROM budget_balances WHERE budget_id=?");
    cached << budget_id.str();
    while (cached.step()) {  // a window with a limit of zero has no line
      rebuilt.try_emplace(cached.utc(), BudgetAccounts::zero(currency));
    }
  }
  for (const auto& [start, accounts] : rebuilt) {
    const std::string id =
        budget_id.str() + (start == UtcTime{} ? "" : " from " + format_utc(start));
    const std::optional<BudgetAccounts> cache = find_balance(budget_id, start);
    if (!accounts.balances() || !cache.has_value()) {
      report.problems.push_back(id + ": the journal's lines do not balance or have no account");
      continue;
    }
    compare(report, id + ", limit", accounts.limit, cache->limit);
    compare(report, id + ", available", accounts.available, cache->available);
    compare(report, id + ", held", accounts.held, cache->held);
    compare(report, id + ", spent", accounts.spent, cache->spent);
    compare(report, id + ", overspent", accounts.overspent, cache->overspent);
    const auto held = held_by_runs.find(start);
    compare(report, id + ", held by its runs", cache->held,
            held == held_by_runs.end() ? Money::zero(currency) : held->second);
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
  for (const AttemptId& attempt_id : attempt_ids) {
    ++report.attempt_count;
    const AccountRow row = load_account(attempt_id);
    verify_account(row, report);
    verify_holds(row, report);
  }
}

// A hard budget holds the whole lease, a soft one at most that.
void SqliteLedger::verify_holds(const AccountRow& row, VerifyReport& report) {
  for (const ChainLink& link : row.chain) {
    Money held = Money::zero(link.currency);
    Statement holds = database_->prepare(
        "SELECT held_units, held_picos FROM holds WHERE attempt_id=? AND budget_id=?");
    holds << row.attempt_id.str() << link.budget_id.str();
    while (holds.step()) {
      held += holds.money(link.currency);
    }
    const Money lease = row.account.held.value();
    if (link.is_hard ? held != lease : held > lease) {
      report.problems.push_back("attempt " + row.attempt_id.str() + ": its lease is " +
                                lease.str() + ", and it holds " + held.str() + " of " +
                                link.budget_id.str());
    }
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
  Nanoseconds last{};  // where the slice before ended, uncertain ones included
  std::optional<Money> charged = row.account.charged;
  charged = charged.has_value() ? std::optional(Money::zero(charged->currency())) : charged;
  while (usage.step()) {
    const std::int64_t sequence = usage.integer();
    const Nanoseconds from = usage.nanoseconds();
    const bool in_order = sequence == ++count && from == last;
    const Nanoseconds to = usage.nanoseconds();
    const bool is_metered = usage.text() == "METERED";
    const bool is_spent = is_metered || usage.text() == "SPENT";
    usage.skip(is_metered ? 1 : 0);
    if (!in_order) {
      report.problems.push_back(id + ": slice " + std::to_string(count) + " leaves a gap");
    }
    last = to;
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

// A forecast is known by its content, and belongs to one run.
void SqliteLedger::verify_forecasts(VerifyReport& report) {
  Statement strange = database_->prepare(
      "SELECT event_id FROM forecasts f WHERE event_id <> run_id || '/forecast/' || kind || '/' || "
      "made_at_ns OR attempt_id IS NOT NULL AND run_id NOT IN (SELECT run_id FROM attempts a WHERE "
      "a.attempt_id = f.attempt_id) ORDER BY event_id");
  while (strange.step()) {
    report.problems.push_back("forecast " + strange.text() +
                              ": its id, run, kind, time and attempt do not fit each other");
  }
}

VerifyReport SqliteLedger::verify_since(const std::string& noted_head) {
  if (!noted_head.empty()) {
    check_noted_head(noted_head);
  }
  const Use use(*this);
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
    report.journal_row_count += database_->count_on_table("SELECT count(*) FROM @", table);
    Statement triggers = database_->prepare(
        "SELECT count(*) FROM sqlite_schema WHERE type='trigger' AND tbl_name=?");
    triggers << table;
    triggers.step();
    if (triggers.integer() != 2) {
      report.problems.push_back("table " + std::string(table) +
                                " has lost its triggers: its rows may have been changed");
    }
  }
  for (const std::string& change : find_schema_changes(*database_)) {
    report.problems.push_back(change);
  }
  database_->execute("BEGIN");  // one snapshot for all, whatever is written meanwhile
  try {
    verify_chain(*database_, noted_head, report);
    verify_budgets(report);
    verify_accounts(report);
    verify_forecasts(report);
  } catch (const std::exception& error) {
    report.problems.push_back(std::string("the journal cannot be rebuilt: ") + error.what());
  }
  database_->execute("COMMIT");
  return report;
}

}  // namespace finops::ledger
