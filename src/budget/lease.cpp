// lease.cpp - the arithmetic of leases.
#include "finops/budget/lease.hpp"

#include <algorithm>

#include "finops/base/error.hpp"

namespace finops::budget {

void check_terms(const LeaseTerms& terms) {
  constexpr Nanoseconds kLongest = std::chrono::hours{24 * 366};
  const auto in_range = [&](Nanoseconds span) { return span >= span.zero() && span <= kLongest; };
  FINOPS_REQUIRE(terms.term > terms.term.zero() && terms.term <= kLongest,
                 ErrorCode::InvalidArgument, "the lease term must be above 0 and at most a year");
  FINOPS_REQUIRE(in_range(terms.check_gap) && in_range(terms.stop_time) &&
                     in_range(terms.billing_quantum),
                 ErrorCode::InvalidArgument,
                 "check gap, stop time and billing quantum must be 0 to a year");
}

Nanoseconds reserve_span(const LeaseTerms& terms) {
  return terms.check_gap + terms.stop_time + terms.billing_quantum;
}

Money full_lease(const Rate& rate, const LeaseTerms& terms) {
  return rate.cost_of(terms.term + reserve_span(terms));
}

LeasePlan plan_lease(const std::optional<Rate>& rate, Nanoseconds settled,
                     const std::optional<Money>& held, const LeaseTerms& terms) {
  // Held in range: what is settled comes from a file.
  const Nanoseconds half = terms.term / 2;
  LeasePlan plan{
      .renew_at = settled > Nanoseconds::max() - half ? Nanoseconds::max() : settled + half,
      .pause_at = Nanoseconds::max(),
      .ends_at = Nanoseconds::max()};
  if (!held.has_value()) {
    return plan;
  }
  FINOPS_REQUIRE(rate.has_value(), ErrorCode::UnpricedResource,
                 "a run with a budget needs a price");
  // Counted from the attempt's start, so that the rounding of the slices does not add up.
  plan.ends_at = rate->affordable(rate->cost_of(settled) + *held);
  if (plan.ends_at != Nanoseconds::max()) {
    plan.pause_at = std::max(settled, plan.ends_at - reserve_span(terms));
    // At a small rest the next look is at the pause itself: there may be an approval by then.
    plan.renew_at = std::min(plan.renew_at, plan.pause_at);
  }
  return plan;
}

Money overspend_bound(const Rate& rate, const LeaseTerms& actual, const LeaseTerms& reserved) {
  const Nanoseconds late = reserve_span(actual) - reserve_span(reserved);
  if (late <= Nanoseconds::zero()) {
    return Money::zero(rate.currency());
  }
  // One pico more: both ends of the span are rounded where it lies in the attempt.
  return rate.cost_of(late) + Money::from_picos(1, rate.currency());
}

}  // namespace finops::budget
