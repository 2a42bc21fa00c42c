// auditor_money.cpp - money: balances, leases, charges, and the ledger against what really ran.
#include <algorithm>
#include <map>
#include <utility>

#include "auditor.hpp"
#include "finops/agent/settle.hpp"

namespace finops::simulation {
namespace {

using Wide = Int128;

Wide picos(const std::string& units, const std::string& picos) {
  return Wide{std::stoll(units)} * 1'000'000'000'000 + std::stoll(picos);
}

std::string shown(Wide amount) { return std::to_string(static_cast<double>(amount) / 1e12); }

std::string in_seconds(Nanoseconds span) {
  return std::to_string(span / std::chrono::seconds{1}) + " s";
}

std::int64_t ns(const std::string& text) { return std::stoll(text); }

// What a hot call's coarse clock may be behind.
constexpr std::int64_t kCoarse = 4'000'000;

}  // namespace

// spent + held + available - overspent = limit, and none below zero.
void Auditor::check_balances() {
  for (const Row& row : rows("SELECT budget_id, limit_units, limit_picos, available_units, "
                             "available_picos, held_units, held_picos, spent_units, spent_picos, "
                             "overspent_units, overspent_picos FROM budget_balances")) {
    const Wide limit = picos(row[1], row[2]);
    const Wide available = picos(row[3], row[4]);
    const Wide held = picos(row[5], row[6]);
    const Wide spent = picos(row[7], row[8]);
    const Wide overspent = picos(row[9], row[10]);
    if (spent + held + available - overspent != limit) {
      fail(row[0] + " does not balance: spent " + shown(spent) + ", held " + shown(held) +
           ", available " + shown(available) + ", overspent " + shown(overspent) + ", limit " +
           shown(limit));
    }
    if (std::min({available, held, spent, overspent}) < 0) {
      fail(row[0] + " has an account below zero");
    }
  }
}

// A limit is what it was created with and each approval, once.
void Auditor::check_limits() {
  for (const Row& row :
       rows("SELECT b.budget_id, l.limit_units, l.limit_picos, t.limit_units, t.limit_picos FROM "
            "budgets b JOIN budget_balances l USING (budget_id) JOIN budget_terms t USING "
            "(budget_id) WHERE t.sequence = 1 AND b.period = 'lifetime'")) {
    Wide expected = picos(row[3], row[4]);
    for (const Row& approved :
         rows("SELECT amount_units, amount_picos FROM budget_requests JOIN budget_rulings USING "
              "(request_id) WHERE is_approved = 1 AND budget_id = '" +
              row[0] + "'")) {
      expected += picos(approved[0], approved[1]);
    }
    if (picos(row[1], row[2]) != expected) {
      fail(row[0] + " has a limit of " + shown(picos(row[1], row[2])) + ", its approvals make " +
           shown(expected));
    }
  }
}

// What attempts hold is what budgets say is held, in every budget of a chain; nobody who is settled
// holds anything.
void Auditor::check_holds() {
  std::map<std::string, Wide> by_budget;
  std::map<std::pair<std::string, std::string>, Wide> by_link;
  for (const Row& row : rows("SELECT budget_id, attempt_id, held_units, held_picos FROM holds")) {
    by_budget[row[0]] += picos(row[2], row[3]);
    by_link[{row[1], row[0]}] += picos(row[2], row[3]);
  }
  std::map<std::string, Wide> by_balance;
  for (const Row& row : rows("SELECT budget_id, held_units, held_picos FROM budget_balances")) {
    by_balance[row[0]] += picos(row[1], row[2]);
  }
  for (const auto& [budget, held] : by_balance) {
    if (by_budget[budget] != held) {
      fail(budget + " says that " + shown(held) + " is held, its attempts hold " +
           shown(by_budget[budget]));
    }
  }
  for (const Row& row :
       rows("SELECT a.attempt_id, a.state, a.held_units, a.held_picos, l.budget_id, b.is_hard "
            "FROM accounts a JOIN attempt_budgets l USING (attempt_id) JOIN budgets b USING "
            "(budget_id) WHERE a.held_units IS NOT NULL")) {
    const Wide account = picos(row[2], row[3]);
    const Wide link = by_link[{row[0], row[4]}];
    if (row[1] == "SETTLED" && (account != 0 || link != 0)) {
      fail(row[0] + " is settled and holds " + shown(link) + " of " + row[4]);
    }
    if (row[5] == "1" && link != account) {
      fail(row[0] + " holds " + shown(account) + ", but " + shown(link) + " of " + row[4]);
    }
  }
}

// Each nanosecond is charged once.
void Auditor::check_charges() {
  for (const Row& row :
       rows("SELECT a.attempt_id, a.settled_ns, coalesce(sum(c.consumed_time_ns), 0) FROM accounts "
            "a LEFT JOIN charges c USING (attempt_id) WHERE a.charged_units IS NOT NULL GROUP BY "
            "a.attempt_id HAVING a.settled_ns <> coalesce(sum(c.consumed_time_ns), 0)")) {
    fail(row[0] + " is settled up to " + row[1] + " ns and charged for " + row[2] + " ns");
  }
}

// The ledger against what really happened.
void Auditor::check_attempts() {
  for (const Row& row : rows("SELECT attempt_id, state, settled_ns FROM accounts")) {
    const auto found = truth_.attempts.find(row[0]);
    if (found == truth_.attempts.end()) {
      continue;  // registered at a start that did not come to its end
    }
    const AttemptTruth& attempt = found->second;
    const std::int64_t settled = ns(row[2]);
    if (settled < attempt.acknowledged.count()) {
      fail(row[0] + " was settled up to " + std::to_string(attempt.acknowledged.count()) +
           " ns, now up to " + row[2]);
    }
    if (row[1] != "SETTLED") {
      continue;
    }
    if (attempt.finished_after_at_most.has_value() && attempt.is_page_untouched &&
        (settled > attempt.finished_after_at_most->count() ||
         settled < attempt.finished_after_at_least->count())) {
      fail(row[0] + " ran for " + std::to_string(attempt.finished_after_at_least->count()) +
           " ns and is charged for " + row[2]);
    }
    const std::int64_t lived =
        (attempt.last_progress.monotonic - attempt.info.started_at.monotonic).count();
    if (attempt.is_page_untouched && settled < lived - kCoarse) {
      fail(row[0] + " lived for at least " + std::to_string(lived) + " ns and is charged for " +
           row[2]);
    }
  }
}

// The check gap and the stop time that an attempt really had, charged up to `end` after its start.
budget::LeaseTerms Auditor::actual_terms(const AttemptTruth& attempt, Nanoseconds end) {
  const auto after_start = [&](BootTime time) { return time - attempt.info.started_at.boot; };
  const budget::LeaseTerms reserved = agent::lease_terms_of(attempt.info);
  budget::LeaseTerms actual = reserved;
  // Both: a run that slept through the end of its lease may die before it could stop.
  actual.check_gap = attempt.longest_gap + (end - after_start(attempt.last_call.boot));
  actual.stop_time = attempt.told_at.has_value()
                         ? std::max(Nanoseconds::zero(), end - after_start(*attempt.told_at))
                         : Nanoseconds::zero();
  if (attempt.info.is_command) {
    // An agent tells it, and it hears at its next call. One that does not listen is killed a look
    // before its money ends: its stop takes all of the reserve but that look.
    const BootTime last_look = attempt.last_look.value_or(attempt.info.started_at.boot);
    actual.check_gap += std::max(attempt.longest_look_gap, end - after_start(last_look));
    const Nanoseconds look =
        std::min<Nanoseconds>(std::chrono::seconds{10}, reserved.stop_time / 3);
    actual.stop_time = std::max(actual.stop_time, reserved.stop_time + reserved.check_gap - look);
  }
  return actual;
}

Int128 Auditor::charged_to(const std::string& attempt_id) {
  Wide charged = 0;
  for (const Row& row : rows("SELECT billed_cost_units, billed_cost_picos FROM charges WHERE "
                             "attempt_id='" +
                             attempt_id + "'")) {
    charged += picos(row[0], row[1]);
  }
  return charged;
}

// Metered overspend is at most the stated bound, summed over what really ran.
void Auditor::check_overspend() {
  for (const Row& row : rows("SELECT b.budget_id, sum(overspent_units), sum(overspent_picos) FROM "
                             "budgets b JOIN budget_balances USING (budget_id) WHERE is_hard=1 "
                             "GROUP BY b.budget_id HAVING sum(overspent_units) > 0 OR "
                             "sum(overspent_picos) > 0")) {
    Wide bound = 0;
    std::string parts;
    for (const Row& link : rows("SELECT attempt_id, settled_ns FROM attempt_budgets JOIN accounts "
                                "USING (attempt_id) WHERE budget_id='" +
                                row[0] + "'")) {
      const auto found = truth_.attempts.find(link[0]);
      if (found == truth_.attempts.end()) {
        bound += charged_to(link[0]);  // it died inside its start: nobody knows when
        continue;
      }
      const pulse::PageInfo& info = found->second.info;
      const budget::LeaseTerms actual = actual_terms(found->second, Nanoseconds{ns(link[1])});
      const Money own =
          budget::overspend_bound(*agent::rate_of(info), actual, agent::lease_terms_of(info));
      bound += own.picos();
      parts += "; " + link[0] + " gap " + in_seconds(actual.check_gap) + ", stop " +
               in_seconds(actual.stop_time) + ": " + own.str();
    }
    if (const Wide overspent = picos(row[1], row[2]); overspent > bound) {
      fail(row[0] + " is overspent by " + shown(overspent) + ", the bound is " + shown(bound) +
           parts);
    }
  }
}

}  // namespace finops::simulation
