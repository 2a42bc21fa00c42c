// test_budget.cpp - tests of lease sizes, of the points in time they buy, and of the overspend
// bound.
//
// Owns: the checks of include/finops/budget. Does not own: budget accounts (test_record.cpp), the
// atomic moves of money (ledger's tests).
// Invariant: random values come from FINOPS_TEST_SEED, which a failure prints.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <random>
#include <string>

#include "finops/base/error.hpp"
#include "finops/budget/lease.hpp"

namespace finops::budget {
namespace {

using std::chrono::hours;
using std::chrono::seconds;

constexpr Nanoseconds kNanosecond{1};
constexpr Nanoseconds kYear = hours{24 * 366};
constexpr Nanoseconds kNever = Nanoseconds::max();

std::uint64_t test_seed() {
  const char* text = std::getenv("FINOPS_TEST_SEED");
  return text != nullptr ? std::strtoull(text, nullptr, 10) : 20261124;
}

// The name of the code that `call` throws, "none" if it throws no Error.
template <class Call>
std::string code_of(Call call) {
  try {
    call();
  } catch (const Error& error) {
    return std::string(error_code_name(error.code()));
  }
  return "none";
}

Money usd(const char* amount) { return Money::parse(amount, Currency::usd()); }
Money usd_picos(Int128 picos) { return Money::from_picos(picos, Currency::usd()); }

// 3.60 USD/h: a milli-dollar a second, a pico a nanosecond, so that money and time are one number.
Rate plain_rate() { return Rate::whole(usd("3.60")); }

// A number of nanoseconds, so that a failure shows it.
std::int64_t count_of(Nanoseconds span) { return span.count(); }

// Uniform in [low, high].
std::int64_t pick(std::mt19937_64& random, std::int64_t low, std::int64_t high) {
  return std::uniform_int_distribution<std::int64_t>(low, high)(random);
}

// Up to 200 USD/h for a share of 8 GPUs in millionths: rates at which rounding shows.
Rate random_rate(std::mt19937_64& random) {
  return {usd_picos(pick(random, 1, 200'000'000'000'000)), pick(random, 1, 8'000'000), 8'000'000};
}

std::string describe(const Rate& rate) {
  return rate.price_per_hour().str() + "/h x " + std::to_string(rate.used()) + " / " +
         std::to_string(rate.block());
}

// --- terms ---------------------------------------------------------------------------------------

// Goal: the term is above zero and at most a year. Method: around both limits.
TEST(LeaseTerms, HaveATermAboveZero) {
  const auto with_term = [](Nanoseconds term) {
    LeaseTerms terms;
    terms.term = term;
    return code_of([&] { check_terms(terms); });
  };
  EXPECT_EQ(with_term(-kNanosecond), "InvalidArgument");
  EXPECT_EQ(with_term(Nanoseconds{0}), "InvalidArgument");
  EXPECT_EQ(with_term(kNanosecond), "none");
  EXPECT_EQ(with_term(kYear), "none");
  EXPECT_EQ(with_term(kYear + kNanosecond), "InvalidArgument");
  EXPECT_EQ(with_term(kNever), "InvalidArgument");
  EXPECT_EQ(code_of([] { check_terms({}); }), "none") << "the defaults";
}

// Goal: the other three are zero to a year. Method: around both limits, one field at a time.
TEST(LeaseTerms, HaveNoNegativeParts) {
  for (Nanoseconds LeaseTerms::* const field :
       {&LeaseTerms::check_gap, &LeaseTerms::stop_time, &LeaseTerms::billing_quantum}) {
    const auto with = [&](Nanoseconds span) {
      LeaseTerms terms;
      terms.*field = span;
      return code_of([&] { check_terms(terms); });
    };
    EXPECT_EQ(with(-kNanosecond), "InvalidArgument");
    EXPECT_EQ(with(Nanoseconds{0}), "none");
    EXPECT_EQ(with(kYear), "none");
    EXPECT_EQ(with(kYear + kNanosecond), "InvalidArgument");
  }
}

// Goal: the reserve covers gap, stop and quantum, and a full lease the term too.
// Method: the defaults (60, 5, 30, 1 s), then each field one second longer.
TEST(LeaseTerms, AddUpToTheReserveAndTheFullLease) {
  EXPECT_EQ(count_of(reserve_span({})), count_of(seconds{36}));
  EXPECT_EQ(full_lease(plain_rate(), {}).str(), "0.096 USD");
  struct Case {
    Nanoseconds LeaseTerms::* field;
    Nanoseconds expected_reserve;
  };
  const Case cases[] = {{&LeaseTerms::term, seconds{36}},
                        {&LeaseTerms::check_gap, seconds{37}},
                        {&LeaseTerms::stop_time, seconds{37}},
                        {&LeaseTerms::billing_quantum, seconds{37}}};
  for (const Case& c : cases) {
    LeaseTerms terms;
    terms.*c.field += seconds{1};
    EXPECT_EQ(count_of(reserve_span(terms)), count_of(c.expected_reserve));
    EXPECT_EQ(full_lease(plain_rate(), terms).str(), "0.097 USD");
  }
  EXPECT_TRUE(full_lease(Rate::whole(usd("0")), {}).is_zero()) << "a free resource";
}

// --- plans ---------------------------------------------------------------------------------------

// Goal: a full lease renews at half its term, pauses after it, and ends after the reserve.
// Method: the default terms; only the time already settled moves, the plan moves with it.
TEST(PlanLease, CountsAFullLeaseFromWhatIsSettled) {
  for (const Nanoseconds settled : {Nanoseconds{0}, Nanoseconds{1}, Nanoseconds{hours{1000}}}) {
    const Money held = full_lease(plain_rate(), {});
    const LeasePlan plan = plan_lease(plain_rate(), settled, held, {});
    EXPECT_EQ(count_of(plan.renew_at), count_of(settled + seconds{30}))
        << settled.count() << " ns settled";
    EXPECT_EQ(count_of(plan.pause_at), count_of(settled + seconds{60}))
        << settled.count() << " ns settled";
    EXPECT_EQ(count_of(plan.ends_at), count_of(settled + seconds{96}))
        << settled.count() << " ns settled";
  }
}

// Goal: less money is less time, and a rest below the reserve pauses at once.
// Method: only the held amount moves, over the reserve of 36 s and over half a term beyond it.
TEST(PlanLease, ShrinksWithTheMoneyThatIsHeld) {
  struct Case {
    std::int64_t held_picos;
    std::int64_t renew_nanoseconds;
    std::int64_t pause_nanoseconds;
  };
  constexpr std::int64_t kReserve = 36'000'000'000;
  constexpr std::int64_t kHalfTerm = 30'000'000'000;
  constexpr Case kCases[] = {{0, 0, 0},
                             {1, 0, 0},
                             {kReserve - 1, 0, 0},
                             {kReserve, 0, 0},
                             {kReserve + 1, 1, 1},
                             {kReserve + kHalfTerm - 1, kHalfTerm - 1, kHalfTerm - 1},
                             {kReserve + kHalfTerm, kHalfTerm, kHalfTerm},
                             {kReserve + kHalfTerm + 1, kHalfTerm, kHalfTerm + 1}};
  const Nanoseconds settled = hours{2};
  for (const Case& c : kCases) {
    const LeasePlan plan = plan_lease(plain_rate(), settled, usd_picos(c.held_picos), {});
    EXPECT_EQ((plan.ends_at - settled).count(), c.held_picos) << c.held_picos << " picos held";
    EXPECT_EQ((plan.pause_at - settled).count(), c.pause_nanoseconds)
        << c.held_picos << " picos held";
    EXPECT_EQ((plan.renew_at - settled).count(), c.renew_nanoseconds)
        << c.held_picos << " picos held";
  }
}

// Goal: without a budget a run settles at half terms and never ends. Method: with and without a
// price; a budget without a price is refused.
TEST(PlanLease, HasNoEndWithoutABudget) {
  for (const std::optional<Rate>& rate : {std::optional<Rate>{}, std::optional{plain_rate()}}) {
    const LeasePlan plan = plan_lease(rate, hours{1}, std::nullopt, {});
    EXPECT_EQ(count_of(plan.renew_at), count_of(hours{1} + seconds{30})) << rate.has_value();
    EXPECT_EQ(count_of(plan.pause_at), count_of(kNever)) << rate.has_value();
    EXPECT_EQ(count_of(plan.ends_at), count_of(kNever)) << rate.has_value();
  }
  EXPECT_EQ(code_of([] { (void)plan_lease(std::nullopt, hours{1}, usd("1"), {}); }),
            "UnpricedResource");
}

// Goal: what costs nothing never ends, even with nothing held. Method: a price of zero.
TEST(PlanLease, HasNoEndForAFreeResource) {
  const LeasePlan plan = plan_lease(Rate::whole(usd("0")), hours{1}, usd("0"), {});
  EXPECT_EQ(count_of(plan.renew_at), count_of(hours{1} + seconds{30}));
  EXPECT_EQ(count_of(plan.pause_at), count_of(kNever));
  EXPECT_EQ(count_of(plan.ends_at), count_of(kNever));
}

// Goal: a lease is in the currency of the price. Method: euros for a price in dollars.
TEST(PlanLease, RefusesAnotherCurrency) {
  EXPECT_EQ(code_of([] { (void)plan_lease(plain_rate(), hours{1}, Money::parse("1 EUR"), {}); }),
            "CurrencyMismatch");
}

// Goal: a plan never spends more than is held and wastes less than a nanosecond, and its points are
// in order. Method: random rates, settled times, terms and amounts up to two full leases.
TEST(PlanLease, NeverSpendsMoreThanIsHeld) {
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE("FINOPS_TEST_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  for (int i = 0; i < 2000 && !HasFailure(); ++i) {
    const Rate rate = random_rate(random);
    LeaseTerms terms;
    terms.term = Nanoseconds{pick(random, 1, 600'000'000'000)};
    terms.stop_time = Nanoseconds{pick(random, 0, 300'000'000'000)};
    const Nanoseconds settled{pick(random, 0, kYear.count())};
    const Money most = full_lease(rate, terms) + full_lease(rate, terms);
    const Money held = usd_picos(pick(random, 0, static_cast<std::int64_t>(most.picos())));
    const LeasePlan plan = plan_lease(rate, settled, held, terms);
    const std::string where = describe(rate) + ", " + std::to_string(settled.count()) +
                              " ns settled, " + held.str() + " held";
    if (plan.ends_at > settled + kYear) {
      continue;  // so cheap that nothing is ever owed
    }
    const Money most_cost = rate.cost_of(settled) + held;
    EXPECT_TRUE(rate.cost_of(plan.ends_at) <= most_cost) << where;
    EXPECT_TRUE(rate.cost_of(plan.ends_at + kNanosecond) > most_cost) << where;
    EXPECT_LE(count_of(settled), count_of(plan.renew_at)) << where;
    EXPECT_LE(count_of(plan.renew_at), count_of(plan.pause_at)) << where;
    EXPECT_LE(count_of(plan.renew_at), count_of(settled + terms.term / 2)) << where;
    EXPECT_EQ(count_of(plan.pause_at),
              count_of(std::max(settled, plan.ends_at - reserve_span(terms))))
        << where;
  }
}

// --- the bound -----------------------------------------------------------------------------------

// Goal: a run that stops within its reserve owes nothing, one that is late owes its lateness.
// Method: each actual span one second below, at and above what was reserved.
TEST(OverspendBound, IsTheCostOfBeingLate) {
  for (Nanoseconds LeaseTerms::* const field :
       {&LeaseTerms::check_gap, &LeaseTerms::stop_time, &LeaseTerms::billing_quantum}) {
    const auto bound = [&](Nanoseconds late) {
      LeaseTerms actual;
      actual.*field += late;
      return static_cast<std::int64_t>(overspend_bound(plain_rate(), actual, {}).picos());
    };
    EXPECT_EQ(bound(seconds{-1}), 0);
    EXPECT_EQ(bound(Nanoseconds{0}), 0);
    for (const Nanoseconds late : {kNanosecond, Nanoseconds{seconds{1}}}) {
      EXPECT_GE(bound(late), late.count());
      EXPECT_LE(bound(late), late.count() + 1) << "a pico for rounding at most";
    }
  }
  LeaseTerms longer_term;
  longer_term.term = hours{1};
  EXPECT_EQ(overspend_bound(plain_rate(), longer_term, {}).str(), "0 USD") << "the term is no part";
  LeaseTerms early_and_late;
  early_and_late.check_gap -= seconds{2};
  early_and_late.stop_time += seconds{2};
  EXPECT_EQ(overspend_bound(plain_rate(), early_and_late, {}).str(), "0 USD") << "only the sum";
  EXPECT_EQ(overspend_bound(Rate::whole(Money::parse("3.60 EUR")), {}, {}).str(), "0 EUR");
}

// What a run is metered past a full lease when it takes `actual` to stop.
Money metered_past_lease(const Rate& rate, Nanoseconds settled, const LeaseTerms& actual,
                         const LeaseTerms& reserved) {
  const Money held = full_lease(rate, reserved);
  const LeasePlan plan = plan_lease(rate, settled, held, reserved);
  return rate.cost_of(plan.pause_at + reserve_span(actual)) - rate.cost_of(settled) - held;
}

// Goal: strict mode: a run that stops within its reserve is never metered past its lease.
// Method: random rates, starts and stop times up to the reserved one.
TEST(OverspendBound, IsZeroInStrictMode) {
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE("FINOPS_TEST_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  for (int i = 0; i < 2000 && !HasFailure(); ++i) {
    const Rate rate = random_rate(random);
    const Nanoseconds settled{pick(random, 0, kYear.count())};
    LeaseTerms actual;
    actual.stop_time = Nanoseconds{pick(random, 0, actual.stop_time.count())};
    const std::string where = describe(rate) + ", " + std::to_string(settled.count()) + " ns";
    const Money past = metered_past_lease(rate, settled, actual, {});
    EXPECT_TRUE(past <= usd("0")) << past.str() << " at " << where;
    EXPECT_TRUE(overspend_bound(rate, actual, {}).is_zero()) << where;
  }
}

// Goal: nobody is metered past the bound, not by a pico. Method: random rates, starts and stop
// times up to three times the reserved one.
TEST(OverspendBound, HoldsToThePico) {
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE("FINOPS_TEST_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  for (int i = 0; i < 2000 && !HasFailure(); ++i) {
    const Rate rate = random_rate(random);
    const Nanoseconds settled{pick(random, 0, kYear.count())};
    LeaseTerms actual;
    actual.stop_time = Nanoseconds{pick(random, 0, 3 * actual.stop_time.count())};
    const Money past = metered_past_lease(rate, settled, actual, {});
    const Money bound = overspend_bound(rate, actual, {});
    EXPECT_TRUE(past <= bound) << past.str() << " past the lease, bound " << bound.str() << ", at "
                               << describe(rate) << ", " << settled.count()
                               << " ns settled, stops in " << actual.stop_time.count() << " ns";
  }
}

}  // namespace
}  // namespace finops::budget
