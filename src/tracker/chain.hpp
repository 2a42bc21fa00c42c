// chain.hpp - the budgets that an attempt debits, from the smallest scope up.
//
// Owns: what a chain means for a start and for a request. Does not own: moves of money (ledger).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "finops/budget/lease.hpp"
#include "finops/ledger/ledger.hpp"
#include "finops/pulse/page.hpp"

namespace finops::tracker {

/// Whether `available` pays for a start and a stop: less than a reserve is not worth a start.
[[nodiscard]] bool is_worth_a_start(const Rate& rate, Money available,
                                    const budget::LeaseTerms& terms);

/// Whether every hard budget of the chain pays for a start.
[[nodiscard]] bool is_worth_a_start(const std::vector<BudgetSummary>& chain, const Rate& rate,
                                    const budget::LeaseTerms& terms);

/// Throws Error(CurrencyMismatch) if a budget is in another currency than `rate`, and
/// Error(BudgetExhausted) if a hard one does not pay for a start and a stop, each naming it. A soft
/// one that is used up is a warning.
void check_chain(const std::vector<BudgetSummary>& chain, const Rate& rate,
                 const budget::LeaseTerms& terms, std::vector<std::string>& warnings);

/// For a chain with a hard budget, once the first lease is held: of several that start at once,
/// each found enough, and the last ones got less. Throws Error(BudgetExhausted) unless `held` pays
/// for more than the reserve.
void require_start_paid(const BudgetId& lowest, const std::optional<Money>& held, const Rate& rate,
                        const budget::LeaseTerms& terms);

/// The smaller of the run's own limit and those of its budgets; zero: none.
[[nodiscard]] Nanoseconds max_duration_of(const std::vector<BudgetSummary>& chain,
                                          std::optional<Nanoseconds> own);

/// The budgets of a running attempt as they are now.
[[nodiscard]] std::vector<BudgetSummary> chain_of(Ledger& ledger, const pulse::PageInfo& info,
                                                  UtcTime now);

/// The hard budget with the least money left: the one that stops the run. The first of the chain if
/// none is hard; nullopt for an empty chain.
[[nodiscard]] std::optional<BudgetSummary> tightest(const std::vector<BudgetSummary>& chain);

}  // namespace finops::tracker
