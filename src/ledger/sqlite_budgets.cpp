// sqlite_budgets.cpp - budgets: their terms, windows, double-entry lines, parents and approvers.
#include <algorithm>
#include <charconv>

#include "ledger/audit.hpp"
#include "ledger/sqlite_ledger.hpp"

namespace finops::ledger {
namespace {

constexpr int kDeepest = 20;  // organisation > team > ... : more is a mistake

std::string percents_text(const std::vector<int>& percents) {
  std::string text;
  for (const int percent : percents) {
    text += (text.empty() ? "" : ",") + std::to_string(percent);
  }
  return text;
}

std::vector<std::string> split_names(const std::string& text) {
  std::vector<std::string> names;
  for (std::size_t from = 0; from < text.size();) {
    const std::size_t to = std::min(text.find(',', from), text.size());
    names.push_back(text.substr(from, to - from));
    from = to + 1;
  }
  return names;
}

std::vector<int> parse_percents(const std::string& text) {
  std::vector<int> percents;
  for (const std::string& name : split_names(text)) {
    int percent = 0;
    std::from_chars(name.data(), name.data() + name.size(), percent);
    percents.push_back(percent);
  }
  return percents;
}

void check_terms(const BudgetTerms& terms, Currency currency) {
  FINOPS_REQUIRE(!terms.limit.is_negative(), ErrorCode::InvalidMoney,
                 "a budget cannot be negative: " + terms.limit.str());
  FINOPS_REQUIRE(terms.limit.currency() == currency, ErrorCode::CurrencyMismatch,
                 "the budget is in " + currency.str() + ", its limit is " + terms.limit.str());
  if (terms.burn_cap_per_hour.has_value()) {
    const Money cap = *terms.burn_cap_per_hour;
    FINOPS_REQUIRE(!cap.is_negative() && !cap.is_zero(), ErrorCode::InvalidMoney,
                   "a burn cap must be above zero, not " + cap.str() + " per hour");
    FINOPS_REQUIRE(cap.currency() == currency, ErrorCode::CurrencyMismatch,
                   "the budget is in " + currency.str() + ", its burn cap is " + cap.str());
  }
  FINOPS_REQUIRE(terms.max_duration >= Nanoseconds::zero(), ErrorCode::InvalidArgument,
                 "max_duration cannot be negative");
  int last = 0;
  for (const int percent : terms.warning_percents) {
    FINOPS_REQUIRE(percent > last && percent <= 100, ErrorCode::InvalidArgument,
                   "warning thresholds must rise and lie from 1 to 100 %, as in 50,80,95, not " +
                       percents_text(terms.warning_percents));
    last = percent;
  }
  for (const std::string& name : terms.approvers) {
    FINOPS_REQUIRE(!name.empty() && name.find(',') == std::string::npos, ErrorCode::InvalidArgument,
                   "an approver is a user's name without a comma, not '" + name + "'");
  }
}

std::string window_event(const BudgetId& budget_id, UtcTime period_start) {
  return budget_id.str() + "/" + std::to_string(period_start.time_since_epoch().count());
}

}  // namespace

std::optional<BudgetAccounts> SqliteLedger::find_balance(const BudgetId& budget_id,
                                                         UtcTime period_start) {
  const Currency currency = budget_currency(budget_id);
  Statement row = database_->prepare(
      "SELECT limit_units, limit_picos, available_units, available_picos, held_units, held_picos, "
      "spent_units, spent_picos, overspent_units, overspent_picos FROM budget_balances "
      "WHERE budget_id=? AND period_start_ns=?");
  row << budget_id.str() << period_start;
  if (!row.step()) {
    return std::nullopt;
  }
  BudgetAccounts accounts = BudgetAccounts::zero(currency);
  accounts.limit = row.money(currency);
  accounts.available = row.money(currency);
  accounts.held = row.money(currency);
  accounts.spent = row.money(currency);
  accounts.overspent = row.money(currency);
  require_whole(accounts.balances(), "its accounts do not balance", budget_id.str());
  return accounts;
}

BudgetAccounts SqliteLedger::load_balance(const BudgetId& budget_id, UtcTime period_start) {
  const std::optional<BudgetAccounts> found = find_balance(budget_id, period_start);
  require_whole(found.has_value(), "a window has no accounts", budget_id.str());
  return *found;
}

void SqliteLedger::open_window(const BudgetId& budget_id, UtcTime period_start, UtcTime now) {
  if (find_balance(budget_id, period_start).has_value()) {
    return;
  }
  Statement balance =
      database_->prepare("INSERT INTO budget_balances VALUES (?,?,0,0,0,0,0,0,0,0,0,0)");
  balance << budget_id.str() << period_start;
  balance.run();
  BudgetLine line;
  line.who = "finops";
  line.why = "a new period";
  line.recorded_at = now;
  change_limit(budget_id, period_start, load_terms(budget_id).limit,
               window_event(budget_id, period_start) + "/opened", line);
}

void SqliteLedger::post(const BudgetLine& line, const std::string& event_id) {
  BudgetAccounts accounts = load_balance(line.budget_id, line.period_start);
  require_whole(line.from != BudgetAccount::Held || line.amount <= accounts.held,
                "a run holds more of it than it holds in all", line.budget_id.str());
  apply(line, accounts);
  FINOPS_ASSERT(accounts.balances());
  Statement insert = database_->prepare("INSERT INTO budget_lines VALUES (?,?,?,?,?,?,?,?,?,?,?)");
  insert << event_id << line.budget_id.str();
  insert.bind_text_or_null(line.attempt_id.str());
  insert << budget_account_name(line.from) << budget_account_name(line.to) << line.amount
         << line.who << line.why << line.recorded_at << line.period_start;
  insert.run();
  if (line.from == BudgetAccount::Limit || line.to == BudgetAccount::Limit) {
    chain_record(*database_, AuditKind::Limit, event_id);
  }
  Statement update = database_->prepare(
      "UPDATE budget_balances SET limit_units=?, limit_picos=?, available_units=?, "
      "available_picos=?, held_units=?, held_picos=?, spent_units=?, spent_picos=?, "
      "overspent_units=?, overspent_picos=? WHERE budget_id=? AND period_start_ns=?");
  update << accounts.limit << accounts.available << accounts.held << accounts.spent
         << accounts.overspent << line.budget_id.str() << line.period_start;
  update.run();
}

BudgetTerms SqliteLedger::load_terms(const BudgetId& budget_id) {
  const std::vector<BudgetTermsChange> history = terms_history(budget_id);
  require_whole(!history.empty(), "it has no terms", budget_id.str());
  return history.back().terms;
}

std::vector<BudgetTermsChange> SqliteLedger::terms_history(const BudgetId& budget_id) {
  const Use use(*this);
  const Currency currency = budget_currency(budget_id);
  std::vector<BudgetTermsChange> history;
  Statement rows = database_->prepare(
      "SELECT sequence, limit_units, limit_picos, max_duration_ns, warning_percents, approvers, "
      "who, why, recorded_at_ns, burn_cap_units, burn_cap_picos FROM budget_terms "
      "WHERE budget_id=? ORDER BY sequence");
  rows << budget_id.str();
  while (rows.step()) {
    BudgetTermsChange change;
    change.budget_id = budget_id;
    change.sequence = rows.integer();
    change.terms.limit = rows.money(currency);
    change.terms.max_duration = rows.nanoseconds();
    change.terms.warning_percents = parse_percents(rows.text());
    change.terms.approvers = split_names(rows.text());
    change.who = rows.text();
    change.why = rows.text();
    change.recorded_at = rows.utc();
    if (!rows.next_is_null()) {
      change.terms.burn_cap_per_hour = rows.money(currency);
    }
    history.push_back(std::move(change));
  }
  return history;
}

void SqliteLedger::insert_terms(const BudgetId& budget_id, const BudgetTerms& terms,
                                const std::string& who, const std::string& why, UtcTime now) {
  std::string approvers;
  for (const std::string& name : terms.approvers) {
    approvers += (approvers.empty() ? "" : ",") + name;
  }
  Statement last = database_->prepare("SELECT count(*) FROM budget_terms WHERE budget_id=?");
  last << budget_id.str();
  last.step();
  const std::int64_t sequence = last.integer() + 1;
  Statement insert =
      database_->prepare("INSERT INTO budget_terms VALUES (?,?,?,?,?,?,?,?,?,?,?,?)");
  insert << budget_id.str() << sequence << terms.limit << terms.burn_cap_per_hour
         << terms.max_duration << percents_text(terms.warning_percents) << approvers << who << why
         << now;
  insert.run();
  chain_record(*database_, AuditKind::Terms, budget_id.str(), sequence);
}

void SqliteLedger::ensure_budget(const BudgetRecord& budget, const BudgetTerms& terms) {
  check_terms(terms, budget.currency);
  write([&] {
    if (const std::optional<BudgetRecord> known = find_budget(budget.budget_id)) {
      const std::vector<BudgetTermsChange> history = terms_history(budget.budget_id);
      const Money limit = history.back().terms.limit;
      // A script that resumes after an approval still says what it said at its first start.
      const bool has_limit = terms.limit == limit || terms.limit == history.front().terms.limit;
      const bool same = known->currency == budget.currency && has_limit &&
                        known->is_hard == budget.is_hard && known->period == budget.period;
      const auto describe = [](bool is_hard, const Money& amount, const Period& period) {
        return std::string(is_hard ? "hard" : "soft") + " limit of " + amount.str() +
               (period.is_lifetime() ? "" : " each " + period.str());
      };
      FINOPS_REQUIRE(same, ErrorCode::BudgetMismatch,
                     "budget " + budget.budget_id.str() + " exists with a " +
                         describe(known->is_hard, limit, known->period) + ", not a " +
                         describe(budget.is_hard, terms.limit, budget.period) +
                         "; ask for more with: finops budget request");
      return;
    }
    if (!terms.approvers.empty()) {
      require_entitled(budget.budget_id, budget.created_by);  // those above would be passed over
    }
    Statement insert = database_->prepare("INSERT INTO budgets VALUES (?,?,NULL,?,?,?,?,?)");
    insert << budget.budget_id.str() << budget_scope_name(budget.scope) << budget.period.str()
           << budget.currency.str() << budget.is_hard << budget.created_by << budget.created_at;
    insert.run();
    chain_record(*database_, AuditKind::Budget, budget.budget_id.str());
    insert_terms(budget.budget_id, terms, budget.created_by, "created", budget.created_at);
    open_window(budget.budget_id, budget.period.window_at(budget.created_at).start,
                budget.created_at);
  });
}

BudgetAccounts SqliteLedger::change_limit(const BudgetId& budget_id, UtcTime period_start,
                                          Money new_limit, const std::string& event,
                                          const BudgetLine& who_and_why) {
  const BudgetAccounts before = load_balance(budget_id, period_start);
  BudgetLine line = who_and_why;
  line.budget_id = budget_id;
  line.period_start = period_start;
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
  return load_balance(budget_id, period_start);
}

BudgetAccounts SqliteLedger::change_terms(const BudgetId& budget_id, const BudgetTerms& terms,
                                          const std::string& who, const std::string& why,
                                          UtcTime now) {
  BudgetAccounts result = BudgetAccounts::zero(terms.limit.currency());
  write([&] {
    const BudgetRecord budget = budget_record(budget_id);
    check_terms(terms, budget.currency);
    require_entitled(budget_id, who);
    const UtcTime start = budget.period.window_at(now).start;
    open_window(budget_id, start, now);
    // A window that an approval has raised keeps that, unless the limit itself changes.
    if (load_terms(budget_id).limit != terms.limit) {
      std::vector<UtcTime> starts;
      {
        Statement windows = database_->prepare(
            "SELECT period_start_ns FROM budget_balances WHERE budget_id=? AND "
            "period_start_ns>=?");
        windows << budget_id.str() << start;
        while (windows.step()) {
          starts.push_back(windows.utc());
        }
      }
      BudgetLine line;
      line.who = who;
      line.why = why;
      line.recorded_at = now;
      const std::string change = random_id_text(8);
      for (const UtcTime each : starts) {
        change_limit(budget_id, each, terms.limit, window_event(budget_id, each) + "/" + change,
                     line);
      }
    }
    insert_terms(budget_id, terms, who, why, now);
    result = load_balance(budget_id, start);
  });
  return result;
}

BudgetId SqliteLedger::parent_of(const BudgetId& budget_id) {
  Statement row = database_->prepare(
      "SELECT parent_id FROM budget_parents WHERE child_id=? ORDER BY sequence DESC LIMIT 1");
  row << budget_id.str();
  if (row.step()) {
    return BudgetId{row.text()};
  }
  // An experiment belongs to its project by itself.
  constexpr std::string_view kExperiment = "experiment:";
  const std::string& text = budget_id.str();
  const std::size_t slash = text.find('/');
  return text.starts_with(kExperiment) && slash != std::string::npos
             ? BudgetId{"project:" + text.substr(kExperiment.size(), slash - kExperiment.size())}
             : BudgetId{};
}

void SqliteLedger::set_parent(const Membership& membership) {
  const BudgetId& child = membership.child_id;
  const BudgetId& parent = membership.parent_id;
  const BudgetScope scope = parse_budget_id(child);
  const BudgetScope above = parent.empty() ? BudgetScope::Organisation : parse_budget_id(parent);
  FINOPS_REQUIRE((parent.empty() || scope < above) && above <= BudgetScope::Organisation,
                 ErrorCode::InvalidArgument,
                 child.str() + " cannot belong to " + parent.str() +
                     ": an experiment belongs to a project, a project to a team, a team to an "
                     "organisation; users stand by themselves");
  write([&] {
    if (parent_of(child) == parent) {
      return;
    }
    require_entitled(child, membership.who);  // leaving a budget must not bypass its approvers
    std::string path = child.str();
    int depth = 0;
    for (BudgetId next = parent; !next.empty(); next = parent_of(next)) {
      path += " > " + next.str();
      FINOPS_REQUIRE(next != child && ++depth < kDeepest, ErrorCode::InvalidArgument,
                     "budgets cannot belong to each other in a circle: " + path);
    }
    Statement last = database_->prepare("SELECT count(*) FROM budget_parents WHERE child_id=?");
    last << child.str();
    last.step();
    const std::int64_t sequence = last.integer() + 1;
    Statement insert = database_->prepare("INSERT INTO budget_parents VALUES (?,?,?,?,?)");
    insert << child.str() << sequence << parent.str() << membership.who << membership.recorded_at;
    insert.run();
    chain_record(*database_, AuditKind::Parent, child.str(), sequence);
  });
}

std::vector<Membership> SqliteLedger::memberships() {
  const Use use(*this);
  std::vector<Membership> memberships;
  Statement rows = database_->prepare(
      "SELECT child_id, parent_id, who, recorded_at_ns FROM budget_parents p WHERE sequence = "
      "(SELECT max(sequence) FROM budget_parents q WHERE q.child_id = p.child_id) AND "
      "parent_id <> '' ORDER BY child_id");
  while (rows.step()) {
    Membership membership;
    membership.child_id = BudgetId{rows.text()};
    membership.parent_id = BudgetId{rows.text()};
    membership.who = rows.text();
    membership.recorded_at = rows.utc();
    memberships.push_back(std::move(membership));
  }
  return memberships;
}

std::vector<BudgetSummary> SqliteLedger::budget_chain(const std::string& project,
                                                      const std::string& experiment,
                                                      const std::string& user_name, UtcTime now) {
  const Use use(*this);
  std::vector<BudgetSummary> chain;
  const auto add = [&](const BudgetId& budget_id) {
    if (const std::optional<BudgetRecord> found = find_budget(budget_id)) {
      chain.push_back(summarise_budget(*found, now));
    }
  };
  int depth = 0;
  for (BudgetId id = experiment_budget_id(project, experiment); !id.empty() && depth < kDeepest;
       id = parent_of(id), ++depth) {
    add(id);
  }
  add(BudgetId{"user:" + user_name});
  return chain;
}

std::vector<std::string> SqliteLedger::approvers_of(const BudgetId& budget_id) {
  int depth = 0;
  for (BudgetId id = budget_id; !id.empty() && depth < kDeepest; id = parent_of(id), ++depth) {
    if (find_budget(id).has_value()) {
      if (std::vector<std::string> own = load_terms(id).approvers; !own.empty()) {
        return own;
      }
    }
  }
  return {};
}

void SqliteLedger::require_entitled(const BudgetId& budget_id, const std::string& who) {
  const std::vector<std::string> approvers = approvers_of(budget_id);
  std::string names;
  for (const std::string& name : approvers) {
    names += (names.empty() ? "" : ", ") + name;
  }
  FINOPS_REQUIRE(approvers.empty() || std::ranges::find(approvers, who) != approvers.end(),
                 ErrorCode::NotEntitled,
                 who + " may not change " + budget_id.str() + "; ask one of: " + names);
}

Money SqliteLedger::burn_of(const BudgetId& budget_id, Currency currency) {
  Money burn = Money::zero(currency);
  Statement rows = database_->prepare(
      "SELECT p.currency, p.list_unit_price_units, p.list_unit_price_picos, a.used_micro_gpus, "
      "a.block_micro_gpus FROM attempt_budgets l JOIN accounts c USING (attempt_id) JOIN attempts "
      "a USING (attempt_id) JOIN prices p ON p.price_id = a.price_id "
      "WHERE l.budget_id=? AND c.state='OPEN'");
  rows << budget_id.str();
  while (rows.step()) {
    const Currency own(rows.text());
    const Money price = rows.money(own);
    const std::int64_t used = rows.integer();
    burn += Rate(price, used, rows.integer()).hourly();
  }
  return burn;
}

void SqliteLedger::require_burn_cap(const AttemptRecord& attempt, const Rate& rate) {
  for (const BudgetId& budget_id : attempt.budget_chain) {
    const BudgetRecord budget = budget_record(budget_id);
    const std::optional<Money> cap = load_terms(budget_id).burn_cap_per_hour;
    if (!budget.is_hard || !cap.has_value()) {
      continue;
    }
    const Money burn = burn_of(budget_id, budget.currency);
    FINOPS_REQUIRE(burn + rate.hourly() <= *cap, ErrorCode::BurnCapExceeded,
                   "budget " + budget_id.str() + " allows " + cap->str() + " per hour: " +
                       burn.str() + " is running, and this run would add " + rate.hourly().str() +
                       ". Wait until another run ends, or raise it with: finops budget set " +
                       budget_id.str() + " --burn-cap AMOUNT");
  }
}

}  // namespace finops::ledger
