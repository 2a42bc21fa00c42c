// sqlite_budget_queries.cpp - budgets as reports and the agent read them.
#include "ledger/sqlite_ledger.hpp"

namespace finops::ledger {

std::optional<BudgetRecord> SqliteLedger::find_budget(const BudgetId& budget_id) {
  Statement row = database_->prepare(
      "SELECT scope, period, currency, is_hard, created_by, created_at_ns FROM budgets WHERE "
      "budget_id=?");
  row << budget_id.str();
  if (!row.step()) {
    return std::nullopt;
  }
  BudgetRecord budget;
  budget.budget_id = budget_id;
  budget.scope = parse_budget_scope(row.text());
  budget.period = Period::parse(row.text());
  budget.currency = Currency(row.text());
  budget.is_hard = row.boolean();
  budget.created_by = row.text();
  budget.created_at = row.utc();
  return budget;
}

BudgetRecord SqliteLedger::budget_record(const BudgetId& budget_id) {
  std::optional<BudgetRecord> found = find_budget(budget_id);
  FINOPS_REQUIRE(found.has_value(), ErrorCode::NotFound,
                 "there is no budget '" + budget_id.str() + "'; see: finops budget show");
  return *std::move(found);
}

Currency SqliteLedger::budget_currency(const BudgetId& budget_id) {
  return budget_record(budget_id).currency;
}

BudgetSummary SqliteLedger::summarise_budget(const BudgetRecord& record, UtcTime now) {
  BudgetSummary summary;
  summary.budget = record;
  summary.terms = load_terms(record.budget_id);
  summary.parent_id = parent_of(record.budget_id);
  summary.approvers = approvers_of(record.budget_id);
  summary.window = record.period.window_at(now);
  summary.burn_per_hour = burn_of(record.budget_id, record.currency);
  if (const auto found = find_balance(record.budget_id, summary.window.start)) {
    summary.accounts = *found;
  } else {  // nothing was used in this window yet
    summary.accounts = BudgetAccounts::zero(record.currency);
    summary.accounts.limit = summary.terms.limit;
    summary.accounts.available = summary.terms.limit;
  }
  Statement open = database_->prepare(
      "SELECT count(*) FROM attempt_budgets JOIN accounts USING (attempt_id) WHERE budget_id=? "
      "AND state <> 'SETTLED'");
  open << record.budget_id.str();
  open.step();
  summary.open_lease_count = open.integer();
  return summary;
}

std::vector<BudgetSummary> SqliteLedger::budgets(UtcTime now) {
  const Use use(*this);
  std::vector<BudgetId> ids;
  {
    Statement rows = database_->prepare("SELECT budget_id FROM budgets ORDER BY budget_id");
    while (rows.step()) {
      ids.emplace_back(rows.text());
    }
  }
  std::vector<BudgetSummary> summaries;
  summaries.reserve(ids.size());
  for (const BudgetId& id : ids) {
    summaries.push_back(summarise_budget(budget_record(id), now));
  }
  return summaries;
}

std::optional<BudgetSummary> SqliteLedger::budget(const BudgetId& budget_id, UtcTime now) {
  const Use use(*this);
  const std::optional<BudgetRecord> found = find_budget(budget_id);
  return found.has_value() ? std::optional(summarise_budget(*found, now)) : std::nullopt;
}

std::vector<BudgetLine> SqliteLedger::budget_lines(const BudgetId& budget_id) {
  const Use use(*this);
  const Currency currency = budget_currency(budget_id);
  std::vector<BudgetLine> lines;
  Statement rows = database_->prepare(
      "SELECT attempt_id, from_account, to_account, amount_units, amount_picos, who, why, "
      "recorded_at_ns, period_start_ns FROM budget_lines WHERE budget_id=? ORDER BY rowid");
  rows << budget_id.str();
  while (rows.step()) {
    BudgetLine line;
    line.budget_id = budget_id;
    line.attempt_id = AttemptId{rows.text()};
    line.from = parse_budget_account(rows.text());
    line.to = parse_budget_account(rows.text());
    line.amount = rows.money(currency);
    line.who = rows.text();
    line.why = rows.text();
    line.recorded_at = rows.utc();
    line.period_start = rows.utc();
    lines.push_back(std::move(line));
  }
  return lines;
}

std::vector<OverspentEntry> SqliteLedger::overspent(const BudgetId& budget_id) {
  const Use use(*this);
  const Period period = budget_record(budget_id).period;
  std::vector<OverspentEntry> entries;
  for (const BudgetLine& line : budget_lines(budget_id)) {
    const bool grows = line.from == BudgetAccount::Overspent;
    if (!grows && line.to != BudgetAccount::Overspent) {
      continue;
    }
    OverspentEntry entry;
    entry.budget_id = budget_id;
    entry.window = period.is_lifetime() ? PeriodWindow{} : period.window_at(line.period_start);
    entry.attempt_id = line.attempt_id;
    entry.amount = grows ? line.amount : -line.amount;
    if (grows) {
      entry.why = "metered past the limit by " + label_of(line.attempt_id);
    } else {
      entry.why = "paid off: " + line.why;
    }
    entry.recorded_at = line.recorded_at;
    // One row for each attempt and window: its slices add up.
    OverspentEntry* same = entries.empty() ? nullptr : &entries.back();
    if (grows && same != nullptr && same->attempt_id == entry.attempt_id &&
        same->window == entry.window) {
      same->amount += entry.amount;
      same->recorded_at = entry.recorded_at;
    } else {
      entries.push_back(std::move(entry));
    }
  }
  return entries;
}

}  // namespace finops::ledger
