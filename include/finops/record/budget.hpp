// budget.hpp - budgets, their double-entry lines, and requests for more.
//
// Owns: BudgetRecord, BudgetTerms, BudgetAccounts, BudgetLine, BudgetRequest, BudgetRuling,
// Membership.
// Does not own: lease sizes (budget), the atomic moves between accounts (ledger).
// Invariant: spent + held + available - overspent = limit, and no account is below zero.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "finops/base/clock.hpp"
#include "finops/base/ids.hpp"
#include "finops/money/money.hpp"
#include "finops/record/period.hpp"

namespace finops {

/// What a budget covers, from the smallest up.
enum class BudgetScope { Experiment, Project, Team, Organisation, User };
[[nodiscard]] std::string_view budget_scope_name(BudgetScope scope) noexcept;
[[nodiscard]] BudgetScope parse_budget_scope(std::string_view name);

/// Reads "experiment:vision/resnet", "project:vision", "team:nlp", "organisation:acme", "user:ada".
/// Throws Error(InvalidArgument) for anything else: an id is its scope, a colon and a name.
[[nodiscard]] BudgetScope parse_budget_id(const BudgetId& budget_id);

/// What a budget is for good. What can be changed stands in BudgetTerms.
struct BudgetRecord {
  BudgetId budget_id;  ///< "experiment:vision/resnet", see parse_budget_id
  BudgetScope scope = BudgetScope::Experiment;
  Period period;  ///< the limit holds anew in each of its windows
  Currency currency = Currency::usd();
  bool is_hard = true;  ///< hard: runs pause at the limit; soft: they go on with a warning
  std::string created_by;
  UtcTime created_at{};
};

/// What a budget demands; the newest terms count. Each change is a record of its own.
struct BudgetTerms {
  Money limit = Money::zero(Currency::usd());  ///< of each window of the period
  /// The most that all its runs together may cost in an hour; empty: no cap. A start that would
  /// pass it is refused (hard) or warned of (soft).
  std::optional<Money> burn_cap_per_hour;
  Nanoseconds max_duration{};                     ///< of one attempt of its runs; zero: no limit
  std::vector<int> warning_percents{50, 80, 95};  ///< of the limit, rising, 1 to 100
  /// Who may change the terms and answer requests. Empty: the approvers of the next budget above
  /// it that names some; if none does, everybody.
  std::vector<std::string> approvers;
};

/// One change of a budget's terms, as its history shows it.
struct BudgetTermsChange {
  BudgetId budget_id;
  std::int64_t sequence = 0;  ///< 1 is the creation
  BudgetTerms terms;
  std::string who;
  std::string why;
  UtcTime recorded_at{};
};

/// "child belongs to parent": project:vision to team:research. The newest one of a child counts; an
/// empty parent ends it. An experiment belongs to its project by itself.
struct Membership {
  BudgetId child_id;
  BudgetId parent_id;
  std::string who;
  UtcTime recorded_at{};
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
  UtcTime period_start{};  ///< which window's accounts
  AttemptId attempt_id;    ///< empty for changes of the limit
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
  UtcTime expires_at{};  ///< nobody can answer it from here on; epoch: never
};

/// APPROVED and DENIED were said by a person, EXPIRED by time.
enum class RulingOutcome { Approved, Denied, Expired };
[[nodiscard]] std::string_view ruling_outcome_name(RulingOutcome outcome) noexcept;

/// The answer to a request, given once.
struct BudgetRuling {
  RequestId request_id;
  RulingOutcome outcome = RulingOutcome::Denied;
  std::string who;
  std::string why;
  Money old_limit = Money::zero(Currency::usd());
  Money new_limit = Money::zero(Currency::usd());
  UtcTime ruled_at{};
};

}  // namespace finops
