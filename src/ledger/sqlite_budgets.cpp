// sqlite_budgets.cpp - budgets, their double-entry lines, requests and rulings.
#include "ledger/sqlite_ledger.hpp"

#include <algorithm>

namespace finops::ledger {

BudgetAccounts SqliteLedger::load_balance(const BudgetId& budget_id) {
  const Currency currency = budget_currency(budget_id);
  Statement row = database_->prepare(
      "SELECT limit_units, limit_picos, available_units, available_picos, held_units, held_picos, "
      "spent_units, spent_picos, overspent_units, overspent_picos FROM budget_balances "
      "WHERE budget_id=?");
  row << budget_id.str();
  FINOPS_ASSERT(row.step());
  BudgetAccounts accounts = BudgetAccounts::zero(currency);
  accounts.limit = row.money(currency);
  accounts.available = row.money(currency);
  accounts.held = row.money(currency);
  accounts.spent = row.money(currency);
  accounts.overspent = row.money(currency);
  FINOPS_ASSERT(accounts.balances());
  return accounts;
}

void SqliteLedger::post(const BudgetLine& line, const std::string& event_id) {
  BudgetAccounts accounts = load_balance(line.budget_id);
  apply(line, accounts);
  FINOPS_ASSERT(accounts.balances());
  Statement insert = database_->prepare("INSERT INTO budget_lines VALUES (?,?,?,?,?,?,?,?,?,?)");
  insert << event_id << line.budget_id.str();
  insert.bind_text_or_null(line.attempt_id.str());
  insert << budget_account_name(line.from) << budget_account_name(line.to) << line.amount
         << line.who << line.why << line.recorded_at;
  insert.run();
  Statement update = database_->prepare(
      "UPDATE budget_balances SET limit_units=?, limit_picos=?, available_units=?, "
      "available_picos=?, held_units=?, held_picos=?, spent_units=?, spent_picos=?, "
      "overspent_units=?, overspent_picos=? WHERE budget_id=?");
  update << accounts.limit << accounts.available << accounts.held << accounts.spent
         << accounts.overspent << line.budget_id.str();
  update.run();
}

void SqliteLedger::post_for(AccountRow& row, const BudgetId& budget_id, BudgetAccount from,
                            BudgetAccount to, Money amount, UtcTime now) {
  if (amount.is_zero()) {
    return;
  }
  // Deterministic: the epoch this transaction ends with, and the line's number in it.
  const std::string event_id = row.attempt_id.str() + "/budget/" +
                               std::to_string(row.account.epoch + 1) + "." +
                               std::to_string(++row.line_count);
  post({.budget_id = budget_id,
        .period_start = {},
        .attempt_id = row.attempt_id,
        .from = from,
        .to = to,
        .amount = amount,
        .who = "finops",
        .why = {},
        .recorded_at = now},
       event_id);
}

void SqliteLedger::ensure_budget(const BudgetRecord& budget, const BudgetTerms& terms) {
  const Money limit = terms.limit;
  FINOPS_REQUIRE(!limit.is_negative(), ErrorCode::InvalidMoney,
                 "a budget cannot be negative: " + limit.str());
  FINOPS_REQUIRE(limit.currency() == budget.currency, ErrorCode::CurrencyMismatch,
                 "the budget is in " + budget.currency.str() + ", its limit is " + limit.str());
  write([&] {
    if (const std::optional<BudgetSummary> known =
            this->budget(budget.budget_id, budget.created_at)) {
      const bool same = known->accounts.limit.currency() == limit.currency() &&
                        known->accounts.limit == limit && known->budget.is_hard == budget.is_hard;
      FINOPS_REQUIRE(same, ErrorCode::BudgetMismatch,
                     "budget " + budget.budget_id.str() + " exists with a " +
                         (known->budget.is_hard ? "hard" : "soft") + " limit of " +
                         known->accounts.limit.str() + ", not a " +
                         (budget.is_hard ? "hard" : "soft") + " one of " + limit.str() +
                         "; ask for more with: finops budget request");
      return;
    }
    Statement insert = database_->prepare("INSERT INTO budgets VALUES (?,?,?,?,?,?,?,?)");
    insert << budget.budget_id.str() << budget_scope_name(budget.scope);
    insert.bind_text_or_null({});
    insert << budget.period.str() << budget.currency.str() << budget.is_hard << budget.created_by
           << budget.created_at;
    insert.run();
    Statement balance =
        database_->prepare("INSERT INTO budget_balances VALUES (?,0,0,0,0,0,0,0,0,0,0)");
    balance << budget.budget_id.str();
    balance.run();
    BudgetLine line;
    line.who = budget.created_by;
    line.why = "created";
    line.recorded_at = budget.created_at;
    change_limit(budget.budget_id, limit, budget.budget_id.str() + "/created", line);
  });
}

BudgetAccounts SqliteLedger::change_limit(const BudgetId& budget_id, Money new_limit,
                                          const std::string& event, const BudgetLine& who_and_why) {
  const BudgetAccounts before = load_balance(budget_id);
  BudgetLine line = who_and_why;
  line.budget_id = budget_id;
  const auto move = [&](BudgetAccount from, BudgetAccount to, Money amount, const char* suffix) {
    line.from = from;
    line.to = to;
    line.amount = amount;
    if (!amount.is_zero()) {
      post(line, event + suffix);
    }
  };
  if (new_limit >= before.limit) {
    // What was overspent is paid off first, so that it is not lent out a second time.
    const Money more = new_limit - before.limit;
    const Money paid_off = std::min(more, before.overspent);
    move(BudgetAccount::Limit, BudgetAccount::Overspent, paid_off, "/overspent");
    move(BudgetAccount::Limit, BudgetAccount::Available, more - paid_off, "/limit");
  } else {
    const Money less = before.limit - new_limit;
    FINOPS_REQUIRE(less <= before.available, ErrorCode::InvalidArgument,
                   "the limit of " + budget_id.str() + " cannot be lowered to " + new_limit.str() +
                       ": " + (before.spent + before.held).str() + " is spent or held");
    move(BudgetAccount::Available, BudgetAccount::Limit, less, "/limit");
  }
  return load_balance(budget_id);
}

BudgetAccounts SqliteLedger::change_terms(const BudgetId& budget_id, const BudgetTerms& terms,
                                          const std::string& who, const std::string& why,
                                          UtcTime now) {
  const Money new_limit = terms.limit;
  FINOPS_REQUIRE(!new_limit.is_negative(), ErrorCode::InvalidMoney,
                 "a budget cannot be negative: " + new_limit.str());
  BudgetAccounts result = BudgetAccounts::zero(new_limit.currency());
  write([&] {
    BudgetLine line;
    line.who = who;
    line.why = why;
    line.recorded_at = now;
    result = change_limit(budget_id, terms.limit, budget_id.str() + "/" + random_id_text(8), line);
  });
  return result;
}

void SqliteLedger::add_request(const BudgetRequest& request) {
  FINOPS_REQUIRE(!request.amount.is_negative() && !request.amount.is_zero(),
                 ErrorCode::InvalidMoney,
                 "a request must be for more than zero, not " + request.amount.str());
  write([&] {
    const Currency currency = budget_currency(request.budget_id);
    FINOPS_REQUIRE(currency == request.amount.currency(), ErrorCode::CurrencyMismatch,
                   "budget " + request.budget_id.str() + " is in " + currency.str() +
                       ", the request in " + request.amount.currency().str());
    Statement insert = database_->prepare(
        "INSERT INTO budget_requests VALUES (?,?,?,?,?,?,?,?) ON CONFLICT DO NOTHING");
    insert << request.request_id.str() << request.budget_id.str();
    insert.bind_text_or_null(request.run_id.str());
    insert << request.amount << request.who << request.why << request.requested_at;
    insert.run();
  });
}

BudgetRuling SqliteLedger::rule_request(const RequestId& request_id, bool is_approved,
                                        const std::string& who, const std::string& why,
                                        UtcTime now) {
  BudgetRuling result;
  write([&] {
    const std::vector<RequestSummary> all = requests();
    const auto found = std::find_if(all.begin(), all.end(), [&](const RequestSummary& summary) {
      return summary.request.request_id == request_id;
    });
    FINOPS_REQUIRE(found != all.end(), ErrorCode::NotFound,
                   "there is no budget request " + request_id.str() +
                       "; see: finops budget history");
    if (found->ruling.has_value()) {
      FINOPS_REQUIRE((found->ruling->outcome == RulingOutcome::Approved) == is_approved,
                     ErrorCode::Conflict,
                     "request " + request_id.str() + " was " +
                         (found->ruling->outcome == RulingOutcome::Approved ? "approved"
                                                                            : "denied") +
                         " by " + found->ruling->who + " already");
      result = *found->ruling;
      return;
    }
    const BudgetRequest& request = found->request;
    const Money old_limit = load_balance(request.budget_id).limit;
    const Money new_limit = is_approved ? old_limit + request.amount : old_limit;
    Statement insert = database_->prepare("INSERT INTO budget_rulings VALUES (?,?,?,?,?,?,?,?,?)");
    insert << request_id.str() << is_approved << who << why << old_limit << new_limit << now;
    insert.run();
    BudgetLine line;
    line.who = who;
    line.why = "request " + request_id.str() + (why.empty() ? "" : ": " + why);
    line.recorded_at = now;
    change_limit(request.budget_id, new_limit, "request/" + request_id.str(), line);
    result = {request_id, is_approved ? RulingOutcome::Approved : RulingOutcome::Denied,
              who,        why,
              old_limit,  new_limit,
              now};
  });
  return result;
}

}  // namespace finops::ledger
