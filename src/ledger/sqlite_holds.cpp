// sqlite_holds.cpp - leases: what an attempt holds of each budget above it, and how it is spent.
//
// An attempt's lease is continuous in time; each part of it lies in the window of its budget that
// it will be used in, so that no lease crosses a period. Hard budgets hold the whole lease; a soft
// one holds what it has, and what is used beyond that is overspent there.
#include <algorithm>

#include "finops/base/planted.hpp"
#include "ledger/sqlite_ledger.hpp"
#include "ledger/windows.hpp"

namespace finops::ledger {

// Posts a line on behalf of the attempt; one of nothing is none.
void SqliteLedger::post_for(AccountRow& row, BudgetLine line) {
  if (line.amount.is_zero()) {
    return;
  }
  // Deterministic: the epoch this transaction ends with, and the line's number in it.
  const std::string event_id = row.attempt_id.str() + "/budget/" +
                               std::to_string(row.account.epoch + 1) + "." +
                               std::to_string(++row.line_count);
  line.attempt_id = row.attempt_id;
  line.who = "finops";
  post(line, event_id);
}

Money SqliteLedger::load_hold(const AccountRow& row, const ChainLink& link, UtcTime period_start) {
  Statement hold = database_->prepare(
      "SELECT held_units, held_picos FROM holds WHERE attempt_id=? AND budget_id=? AND "
      "period_start_ns=?");
  hold << row.attempt_id.str() << link.budget_id.str() << period_start;
  return hold.step() ? hold.money(link.currency) : Money::zero(link.currency);
}

void SqliteLedger::change_hold(const AccountRow& row, const ChainLink& link, UtcTime period_start,
                               Money held) {
  Statement hold = database_->prepare(
      "INSERT INTO holds VALUES (?,?,?,?,?) ON CONFLICT (attempt_id, budget_id, period_start_ns) "
      "DO UPDATE SET held_units=excluded.held_units, held_picos=excluded.held_picos");
  hold << row.attempt_id.str() << link.budget_id.str() << period_start << held;
  hold.run();
}

void SqliteLedger::spend(AccountRow& row, Money cost, Nanoseconds at, UtcTime now) {
  if (!row.account.held.has_value()) {
    return;
  }
  for (const ChainLink& link : row.chain) {
    const PeriodWindow window = window_of(link, row.started_at, at);
    open_window(link.budget_id, window.start, now);
    const Money before = load_balance(link.budget_id, window.start).spent;
    const Money hold = load_hold(row, link, window.start);
    const Money from_held = std::min(cost, hold);
    const Money rest = cost - from_held;
    const auto move = [&](BudgetAccount from, Money amount) {
      post_for(row, {.budget_id = link.budget_id,
                     .period_start = window.start,
                     .from = from,
                     .to = BudgetAccount::Spent,
                     .amount = amount,
                     .recorded_at = now});
    };
    move(BudgetAccount::Held, from_held);
    if (!from_held.is_zero()) {
      change_hold(row, link, window.start, hold - from_held);
    }
    const Money available = load_balance(link.budget_id, window.start).available;
    const Money from_available = std::min(rest, available);
    move(BudgetAccount::Available, from_available);
    move(BudgetAccount::Overspent, rest - from_available);
    notify_spent(row, link, window, before, now);
  }
  row.account.held = *row.account.held - std::min(cost, *row.account.held);
}

Money SqliteLedger::grant(AccountRow& row, Money missing, Nanoseconds at, UtcTime now) {
  Money granted = missing;
  for (const ChainLink& link : row.chain) {
    const UtcTime start = window_of(link, row.started_at, at).start;
    open_window(link.budget_id, start, now);
    if (link.is_hard) {
      granted = std::min(granted, load_balance(link.budget_id, start).available);
    }
  }
  for (const ChainLink& link : row.chain) {
    if (planted::is_on(planted::Bug::ParentNotDebited) && &link != row.chain.data()) {
      break;
    }
    const UtcTime start = window_of(link, row.started_at, at).start;
    const Money amount = std::min(granted, load_balance(link.budget_id, start).available);
    if (!amount.is_zero()) {
      post_for(row, {.budget_id = link.budget_id,
                     .period_start = start,
                     .from = BudgetAccount::Available,
                     .to = BudgetAccount::Held,
                     .amount = amount,
                     .recorded_at = now});
      change_hold(row, link, start, load_hold(row, link, start) + amount);
    }
  }
  row.account.held = *row.account.held + granted;
  return granted;
}

void SqliteLedger::top_up(AccountRow& row, Money wanted, UtcTime now) {
  if (!row.account.held.has_value()) {
    return;
  }
  row.account.is_exhausted = false;
  const Rate& rate = row.account.rate.value();
  const Money settled_cost = rate.cost_of(row.account.settled);
  Nanoseconds from = row.account.settled;
  Money covered = Money::zero(wanted.currency());
  while (covered < wanted) {
    const Nanoseconds to =
        rate.is_free() ? Nanoseconds::max() : next_boundary(row.chain, row.started_at, from);
    // What of the wish will be used before the next window begins.
    const Money until =
        to == Nanoseconds::max() ? wanted : std::min(wanted, rate.cost_of(to) - settled_cost);
    const Money have = std::max(*row.account.held, covered);
    if (until > have && grant(row, until - have, from, now) < until - have) {
      row.account.is_exhausted = true;
      return;
    }
    covered = until;
    from = to;
  }
}

void SqliteLedger::release_all(AccountRow& row, UtcTime now) {
  if (!row.account.held.has_value()) {
    return;
  }
  for (const ChainLink& link : row.chain) {
    std::vector<std::pair<UtcTime, Money>> held;
    {
      Statement holds = database_->prepare(
          "SELECT period_start_ns, held_units, held_picos FROM holds WHERE attempt_id=? AND "
          "budget_id=? AND (held_units > 0 OR held_picos > 0) ORDER BY period_start_ns");
      holds << row.attempt_id.str() << link.budget_id.str();
      while (holds.step()) {
        const UtcTime start = holds.utc();
        held.emplace_back(start, holds.money(link.currency));
      }
    }
    for (const auto& [start, amount] : held) {
      post_for(row, {.budget_id = link.budget_id,
                     .period_start = start,
                     .from = BudgetAccount::Held,
                     .to = BudgetAccount::Available,
                     .amount = amount,
                     .recorded_at = now});
      change_hold(row, link, start, Money::zero(link.currency));
    }
  }
  row.account.held = Money::zero(row.account.held->currency());
}

}  // namespace finops::ledger
