// budget.hpp - budgets, their double-entry lines, and requests for more.
//
// Owns: BudgetRecord, BudgetAccounts, BudgetLine, BudgetRequest, BudgetRuling.
// Does not own: lease sizes (budget), the atomic moves between accounts (ledger).
// Invariant: spent + held + available - overspent = limit, and no account is below zero.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "finops/base/clock.hpp"
#include "finops/base/ids.hpp"
#include "finops/money/money.hpp"

namespace finops {

/// What a budget covers, from the smallest up.
enum class BudgetScope { Experiment, Project, Team, Organisation, User };
[[nodiscard]] std::string_view budget_scope_name(BudgetScope scope) noexcept;

struct BudgetRecord {
  BudgetId budget_id;  ///< "experiment:vision/resnet"
  BudgetScope scope = BudgetScope::Experiment;
  BudgetId parent_budget_id;        ///< empty: the top of its chain
  std::string period = "lifetime";  ///< the only one so far
  Currency currency = Currency::usd();
  bool is_hard = true;  ///< hard: runs pause at the limit; soft: they go on with a warning
  std::string created_by;
  UtcTime created_at{};
};

/// The id of an experiment's budget.
[[nodiscard]] BudgetId experiment_budget_id(const std::string& project,
                                            const std::string& experiment);

/// The five accounts. `overspent` is what was metered past the limit.
struct BudgetAccounts {
  Money limit;
  Money available;
  Money held;
  Money spent;
  Money overspent;

  static BudgetAccounts zero(Currency currency);
  /// Whether the invariant above holds.
  [[nodiscard]] bool balances() const;
};

/// Where a line takes from or gives to. Limit is the outside world.
enum class BudgetAccount { Limit, Available, Held, Spent, Overspent };
[[nodiscard]] std::string_view budget_account_name(BudgetAccount account) noexcept;
[[nodiscard]] BudgetAccount parse_budget_account(std::string_view name);

/// One move of a positive amount between two accounts of one budget.
/// From Overspent means: the overspent account grows by the amount.
struct BudgetLine {
  BudgetId budget_id;
  AttemptId attempt_id;  ///< empty for changes of the limit
  BudgetAccount from = BudgetAccount::Limit;
  BudgetAccount to = BudgetAccount::Available;
  Money amount = Money::zero(Currency::usd());
  std::string who;
  std::string why;
  UtcTime recorded_at{};
};

/// Applies a line. Throws Error(CurrencyMismatch); InternalError if an account would go below zero.
void apply(const BudgetLine& line, BudgetAccounts& accounts);

/// A request for `amount` more.
struct BudgetRequest {
  RequestId request_id;
  BudgetId budget_id;
  RunId run_id;  ///< the run that asks; empty if a person asks
  Money amount = Money::zero(Currency::usd());
  std::string who;
  std::string why;
  UtcTime requested_at{};
};

/// The answer to a request, given once.
struct BudgetRuling {
  RequestId request_id;
  bool is_approved = false;
  std::string who;
  std::string why;
  Money old_limit = Money::zero(Currency::usd());
  Money new_limit = Money::zero(Currency::usd());
  UtcTime ruled_at{};
};

}  // namespace finops
