// lease.hpp - how much money a run holds in advance, and when it has to stop.
//
// Owns: LeaseTerms, LeasePlan, the overspend bound. Does not own: the moves of money (ledger).
// Invariants: pure. In strict mode a run that stops within its reserve never spends past what it
// holds: the lease is debited before it is used (reference: escrow, O'Neil 1986).
#pragma once

#include <optional>

#include "finops/base/clock.hpp"
#include "finops/money/rate.hpp"

namespace finops::budget {

/// The times behind a lease; all can be configured.
struct LeaseTerms {
  Nanoseconds term{std::chrono::seconds{60}};            ///< how long a full lease lasts
  Nanoseconds check_gap{std::chrono::seconds{5}};        ///< longest time between two checks
  Nanoseconds stop_time{std::chrono::seconds{30}};       ///< time a run needs to checkpoint and end
  Nanoseconds billing_quantum{std::chrono::seconds{1}};  ///< the smallest time that is billed
};

/// Throws Error(InvalidArgument) unless the term is above zero and the others are not below it.
void check_terms(const LeaseTerms& terms);

/// The span of time that the reserve pays for: check gap + stop time + one billing quantum.
[[nodiscard]] Nanoseconds reserve_span(const LeaseTerms& terms);

/// What a full lease holds: burn x term + reserve.
[[nodiscard]] Money full_lease(const Rate& rate, const LeaseTerms& terms);

/// A lease read as points in time, each counted from the attempt's start on CLOCK_BOOTTIME.
struct LeasePlan {
  Nanoseconds renew_at{};  ///< settle and renew from here on: half of the term is used
  Nanoseconds pause_at{};  ///< checkpoint from here on, if no more could be had
  Nanoseconds ends_at{};   ///< the money is used up
};

/// Plans for an attempt that is charged up to `settled` and holds `held` beyond it.
/// Without a budget (`held` empty) a run settles every half term and has no end:
/// pause_at and ends_at are Nanoseconds::max().
[[nodiscard]] LeasePlan plan_lease(const std::optional<Rate>& rate, Nanoseconds settled,
                                   const std::optional<Money>& held, const LeaseTerms& terms);

/// The most one run can be metered past its lease:
/// max(0, burn x (check gap + stop time) + quantum - reserve), with the gap and stop time that the
/// run really has, and one pico for the rounding of both ends. Zero if it stops within its reserve.
/// Sum it over runs for a budget's bound.
[[nodiscard]] Money overspend_bound(const Rate& rate, const LeaseTerms& actual,
                                    const LeaseTerms& reserved);

}  // namespace finops::budget
