// chain.cpp - what a chain of budgets means for a start.
#include "tracker/chain.hpp"

#include <algorithm>

#include "finops/base/error.hpp"

namespace finops::tracker {
namespace {

// What `finops budget` calls it: an experiment's budget goes by PROJECT/EXPERIMENT alone.
std::string name_of(const BudgetId& budget_id) {
  const std::string prefix = "experiment:";
  const std::string& text = budget_id.str();
  return text.starts_with(prefix) ? text.substr(prefix.size()) : text;
}

std::string describe(const BudgetSummary& found) {
  return "budget " + found.budget.budget_id.str() + " has " + found.accounts.available.str() +
         " of " + found.accounts.limit.str() + " left";
}

}  // namespace

bool is_worth_a_start(const Rate& rate, Money available, const budget::LeaseTerms& terms) {
  return rate.affordable(available) > budget::reserve_span(terms);
}

bool is_worth_a_start(const std::vector<BudgetSummary>& chain, const Rate& rate,
                      const budget::LeaseTerms& terms) {
  return std::ranges::all_of(chain, [&](const BudgetSummary& found) {
    return !found.budget.is_hard || is_worth_a_start(rate, found.accounts.available, terms);
  });
}

void check_chain(const std::vector<BudgetSummary>& chain, const Rate& rate,
                 const budget::LeaseTerms& terms, std::vector<std::string>& warnings) {
  for (const BudgetSummary& found : chain) {
    FINOPS_REQUIRE(rate.currency() == found.budget.currency, ErrorCode::CurrencyMismatch,
                   "budget " + found.budget.budget_id.str() + " is in " +
                       found.budget.currency.str() + ", the price in " + rate.currency().str());
    if (is_worth_a_start(rate, found.accounts.available, terms)) {
      continue;
    }
    FINOPS_REQUIRE(!found.budget.is_hard, ErrorCode::BudgetExhausted,
                   describe(found) + ": less than a start and a stop at " + rate.hourly().str() +
                       "/h cost. Ask for more with: finops budget request " +
                       name_of(found.budget.budget_id) + " AMOUNT --why REASON");
    warnings.push_back(describe(found) + "; it is soft, so the run goes on");
  }
}

void require_start_paid(const BudgetId& lowest, const std::optional<Money>& held, const Rate& rate,
                        const budget::LeaseTerms& terms) {
  FINOPS_REQUIRE(
      held.has_value() && is_worth_a_start(rate, *held, terms), ErrorCode::BudgetExhausted,
      "budget " + lowest.str() + ", or one above it, has less left than a start and a stop at " +
          rate.hourly().str() +
          "/h cost: other runs took the rest meanwhile. Ask for more with: finops budget "
          "request " +
          name_of(lowest) + " AMOUNT --why REASON");
}

Nanoseconds max_duration_of(const std::vector<BudgetSummary>& chain,
                            std::optional<Nanoseconds> own) {
  Nanoseconds smallest = own.value_or(Nanoseconds::zero());
  for (const BudgetSummary& found : chain) {
    const Nanoseconds limit = found.terms.max_duration;
    if (limit > Nanoseconds::zero() && (smallest == Nanoseconds::zero() || limit < smallest)) {
      smallest = limit;
    }
  }
  return smallest;
}

std::vector<BudgetSummary> chain_of(Ledger& ledger, const pulse::PageInfo& info, UtcTime now) {
  return ledger.budget_chain(info.project, info.experiment, info.user_name, now);
}

std::optional<BudgetSummary> tightest(const std::vector<BudgetSummary>& chain) {
  const BudgetSummary* found = nullptr;
  for (const BudgetSummary& budget : chain) {
    const bool is_first = found == nullptr;
    const bool is_harder = !is_first && budget.budget.is_hard && !found->budget.is_hard;
    const bool is_tighter = !is_first && budget.budget.is_hard && found->budget.is_hard &&
                            budget.budget.currency == found->budget.currency &&
                            budget.accounts.available < found->accounts.available;
    found = is_first || is_harder || is_tighter ? &budget : found;
  }
  return found == nullptr ? std::nullopt : std::optional(*found);
}

}  // namespace finops::tracker
