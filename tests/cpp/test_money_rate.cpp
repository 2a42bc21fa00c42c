// test_money_rate.cpp - tests of prices over time: the one rounding, its inverse, price texts.
//
// Owns: the checks of rate.hpp. Does not own: amounts (test_money.cpp), look-up (test_pricing.cpp).
// Invariants: the expected costs come from long multiplication and division on decimal digits, not
// from the arithmetic under test; random values come from FINOPS_TEST_SEED.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <iterator>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "finops/base/error.hpp"
#include "finops/money/rate.hpp"

namespace finops {
namespace {

using std::chrono::hours;

constexpr Int128 kMaximum = ~(Int128{1} << 127);
constexpr std::int64_t kNanosecondsPerHour = 3'600'000'000'000;
constexpr Nanoseconds kCentury = hours{24 * 36525};

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

Money usd_picos(Int128 picos) { return Money::from_picos(picos, Currency::usd()); }
Money usd(const char* amount) { return Money::parse(amount, Currency::usd()); }

// Uniform in [low, high].
std::int64_t pick(std::mt19937_64& random, std::int64_t low, std::int64_t high) {
  return std::uniform_int_distribution<std::int64_t>(low, high)(random);
}

// A rate like those in use, and some odd ones: up to 8 GPUs in millionths, prices of all lengths.
Rate random_rate(std::mt19937_64& random) {
  const Int128 price = Int128{pick(random, 1, INT64_MAX)} >> static_cast<int>(random() % 60);
  return {usd_picos(price + 1), pick(random, 1, 8'000'000), pick(random, 1, 8'000'000)};
}

std::string describe(const Rate& rate) {
  return rate.price_per_hour().str() + "/h x " + std::to_string(rate.used()) + " / " +
         std::to_string(rate.block());
}

// --- the independent computation -----------------------------------------------------------------

// Long multiplication of a decimal number by an integer below 1e18.
std::string times(const std::string& digits, std::int64_t factor) {
  std::string product;
  Int128 carry = 0;
  for (auto digit = digits.rbegin(); digit != digits.rend() || carry != 0;) {
    if (digit != digits.rend()) {
      carry += Int128{*digit++ - '0'} * factor;
    }
    product.insert(product.begin(), static_cast<char>('0' + static_cast<int>(carry % 10)));
    carry /= 10;
  }
  return product;
}

// Long division of a decimal number, rounded half to even.
Int128 divided_half_even(const std::string& digits, Int128 divisor) {
  Int128 quotient = 0;
  Int128 rest = 0;
  for (const char digit : digits) {
    rest = rest * 10 + (digit - '0');
    quotient = quotient * 10 + rest / divisor;
    rest %= divisor;
  }
  const Int128 twice = rest * 2;
  return quotient + ((twice > divisor || (twice == divisor && (quotient & 1) == 1)) ? 1 : 0);
}

// price x used x span / (ns per hour x block), with every digit kept until the end.
Int128 expected_cost(const Rate& rate, Nanoseconds span) {
  const std::string price = int128_text(rate.price_per_hour().picos());
  return divided_half_even(times(times(price, rate.used()), span.count()),
                           Int128{kNanosecondsPerHour} * rate.block());
}

// --- cost ----------------------------------------------------------------------------------------

// Goal: an exact half goes to the even pico. Method: 1.80 USD/h is half a pico a nanosecond; only
// the span moves, over ties and whole values.
TEST(RateCost, RoundsHalfToEven) {
  const Rate rate = Rate::whole(usd("1.80"));
  constexpr std::int64_t kExpectedPicos[] = {0, 0, 1, 2, 2, 2, 3, 4, 4, 4, 5, 6};
  for (std::int64_t nanoseconds = 0; nanoseconds < std::ssize(kExpectedPicos); ++nanoseconds) {
    EXPECT_EQ(int128_text(rate.cost_of(Nanoseconds{nanoseconds}).picos()),
              std::to_string(kExpectedPicos[nanoseconds]))
        << nanoseconds << " ns";
  }
}

// Goal: the total is even, not only a part of it. Method: odd and even whole picos per nanosecond
// below the half; the price moves, 1 and 3 ns are ties.
TEST(RateCost, RoundsHalfToEvenInTheTotal) {
  struct Case {
    const char* price;
    const char* expected_at_1_ns;
    const char* expected_at_3_ns;
  };
  constexpr Case kCases[] = {{"1.80", "0", "2"},      // 0.5 and 1.5
                             {"5.40", "2", "4"},      // 1.5 and 4.5
                             {"9.00", "2", "8"},      // 2.5 and 7.5
                             {"12.60", "4", "10"},    // 3.5 and 10.5
                             {"45.00", "12", "38"}};  // 12.5 and 37.5
  for (const Case& c : kCases) {
    const Rate rate = Rate::whole(usd(c.price));
    EXPECT_EQ(int128_text(rate.cost_of(Nanoseconds{1}).picos()), c.expected_at_1_ns) << c.price;
    EXPECT_EQ(int128_text(rate.cost_of(Nanoseconds{3}).picos()), c.expected_at_3_ns) << c.price;
  }
}

// Goal: next to a half the nearer pico wins. Method: the same spans, the price one pico off.
TEST(RateCost, RoundsToTheNearestBesideATie) {
  const Money half_rate = usd("1.80");
  struct Case {
    std::int64_t nanoseconds;
    const char* below;
    const char* at;
    const char* above;
  };
  constexpr Case kCases[] = {{1, "0", "0", "1"}, {3, "1", "2", "2"}, {5, "2", "2", "3"}};
  for (const Case& c : kCases) {
    const auto cost = [&](Money price) {
      return int128_text(Rate::whole(price).cost_of(Nanoseconds{c.nanoseconds}).picos());
    };
    EXPECT_EQ(cost(half_rate - usd_picos(1)), c.below) << c.nanoseconds << " ns";
    EXPECT_EQ(cost(half_rate), c.at) << c.nanoseconds << " ns";
    EXPECT_EQ(cost(half_rate + usd_picos(1)), c.above) << c.nanoseconds << " ns";
  }
}

// Goal: ties are even at any size and for shares of a block. Method: an odd number of half picos,
// from an odd span and an odd multiple of 1.80 USD/h, for a random share written unreduced.
TEST(RateCost, RoundsLargeTiesToEven) {
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE("FINOPS_TEST_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  for (int i = 0; i < 2000 && !HasFailure(); ++i) {
    const std::int64_t share = pick(random, 1, 8'000'000);
    const std::int64_t odd_price = 2 * pick(random, 0, 500'000) + 1;
    const std::int64_t odd_span = 2 * pick(random, 0, kCentury.count() / 2 - 1) + 1;
    const Rate rate(usd_picos(Int128{1'800'000'000'000} * odd_price * share), 1'000'000,
                    1'000'000 * share);
    const Int128 halves = Int128{odd_price} * odd_span;
    const Int128 lower = halves / 2;
    const Int128 expected = lower % 2 == 0 ? lower : lower + 1;
    EXPECT_EQ(int128_text(rate.cost_of(Nanoseconds{odd_span}).picos()), int128_text(expected))
        << describe(rate) << ", " << odd_span << " ns";
  }
}

// Goal: the cost is the exact product, rounded once. Method: random rates and spans up to a century
// against long arithmetic on decimal digits.
TEST(RateCost, AgreesWithLongArithmetic) {
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE("FINOPS_TEST_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  for (int i = 0; i < 3000 && !HasFailure(); ++i) {
    const Rate rate = random_rate(random);
    const Nanoseconds span{pick(random, 0, kCentury.count()) >> static_cast<int>(random() % 60)};
    EXPECT_EQ(int128_text(rate.cost_of(span).picos()), int128_text(expected_cost(rate, span)))
        << describe(rate) << ", " << span.count() << " ns";
  }
}

// Goal: the cost is exact or refused, never wrong, for shares far beyond any machine.
// Method: shares of 1e15 to 1e17, near which products leave 128 bits; only then Overflow is right.
TEST(RateCost, IsExactOrRefusedForHugeShares) {
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE("FINOPS_TEST_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  for (int i = 0; i < 3000 && !HasFailure(); ++i) {
    const std::int64_t block = pick(random, 1, 100) * 1'000'000'000'000'000 + 1;
    const std::int64_t used = block - pick(random, 1, 1000);
    const Money price = usd_picos(pick(random, 1, 10'000'000'000'000));
    const Nanoseconds span{pick(random, 0, kCentury.count())};
    const std::string refused = code_of([&] {
      const Rate rate(price, used, block);
      EXPECT_EQ(int128_text(rate.cost_of(span).picos()), int128_text(expected_cost(rate, span)))
          << describe(rate) << ", " << span.count() << " ns";
    });
    EXPECT_TRUE(refused == "none" || refused == "Overflow") << refused;
  }
}

// Goal: slices of a run add up to the price of the whole run, and none is negative.
// Method: random rates and runs, cut at random points, some of them equal.
TEST(RateCost, SlicesAddUpToTheWhole) {
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE("FINOPS_TEST_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  for (int i = 0; i < 500 && !HasFailure(); ++i) {
    const Rate rate = random_rate(random);
    const std::int64_t length =
        pick(random, 0, kCentury.count()) >> static_cast<int>(random() % 60);
    std::vector<std::int64_t> cuts(random() % 50);
    for (std::int64_t& cut : cuts) {
      cut = pick(random, 0, length);
    }
    cuts.push_back(length);
    std::sort(cuts.begin(), cuts.end());
    Money charged = Money::zero(Currency::usd());
    for (const std::int64_t cut : cuts) {
      const Money slice = rate.cost_of(Nanoseconds{cut}) - charged;
      EXPECT_FALSE(slice.is_negative()) << describe(rate) << ", slice up to " << cut << " ns";
      charged += slice;
    }
    EXPECT_EQ(int128_text(charged.picos()), int128_text(expected_cost(rate, Nanoseconds{length})))
        << describe(rate) << ", " << length << " ns in " << cuts.size() << " slices";
  }
}

// Goal: a span has a sign. Method: below, at and above zero.
TEST(RateCost, RefusesANegativeSpan) {
  const Rate rate = Rate::whole(usd("24"));
  EXPECT_EQ(code_of([&] { (void)rate.cost_of(Nanoseconds{-1}); }), "InvalidArgument");
  EXPECT_TRUE(rate.cost_of(Nanoseconds{0}).is_zero());
  EXPECT_EQ(int128_text(rate.cost_of(Nanoseconds{1}).picos()), "7");  // 6.67
}

// Goal: an hour costs the price times the share. Method: shares of one price of 24 USD.
TEST(RateCost, HourlyIsTheShareOfThePrice) {
  EXPECT_EQ(Rate::whole(usd("24")).hourly().str(), "24 USD");
  EXPECT_EQ(Rate(usd("24"), 8'000'000, 8'000'000).hourly().str(), "24 USD");
  EXPECT_EQ(Rate(usd("24"), 1'000'000, 8'000'000).hourly().str(), "3 USD");
  EXPECT_EQ(Rate(usd("24"), 250'000, 8'000'000).hourly().str(), "0.75 USD");
  EXPECT_EQ(Rate(usd("3"), 8'000'000, 1'000'000).hourly().str(), "24 USD");
  EXPECT_EQ(Rate(Money::parse("7 EUR"), 1, 1).hourly().str(), "7 EUR");
}

// --- the rate itself -----------------------------------------------------------------------------

// Goal: a price may be zero but not negative, a share is above zero. Method: around each limit.
TEST(RateMade, RefusesNegativePricesAndEmptyShares) {
  const auto made = [](Int128 picos, std::int64_t used, std::int64_t block) {
    return code_of([&] { (void)Rate(usd_picos(picos), used, block); });
  };
  EXPECT_EQ(made(-1, 1, 1), "InvalidMoney");
  EXPECT_EQ(made(0, 1, 1), "none");
  EXPECT_EQ(made(1, 0, 1), "InvalidArgument");
  EXPECT_EQ(made(1, -1, 1), "InvalidArgument");
  EXPECT_EQ(made(1, 1, 0), "InvalidArgument");
  EXPECT_EQ(made(1, 1, -1), "InvalidArgument");
  EXPECT_EQ(made(1, 1, 1), "none");
}

// Goal: equal shares are equal rates. Method: the same share, written in two ways.
TEST(RateMade, ReducesItsShare) {
  const Rate rate(usd("24"), 2'000'000, 8'000'000);
  EXPECT_EQ(rate.used(), 1);
  EXPECT_EQ(rate.block(), 4);
  EXPECT_TRUE(rate == Rate(usd("24"), 1, 4));
  EXPECT_FALSE(rate == Rate(usd("24"), 1, 5));
  EXPECT_FALSE(rate == Rate(usd("25"), 1, 4));
  EXPECT_EQ(rate.price_per_hour().str(), "24 USD");
}

// Goal: a rate whose century leaves the range is refused when it is made, not in a running job.
// Method: the highest price that fits and one pico more; used alone overflowing too.
TEST(RateMade, RefusesWhatACenturyCannotHold) {
  const Int128 highest = kMaximum / (kCentury / hours{1});
  const Rate rate = Rate::whole(usd_picos(highest));
  EXPECT_EQ(int128_text(rate.cost_of(kCentury).picos()),
            int128_text(highest * (kCentury / hours{1})));
  EXPECT_EQ(code_of([&] { (void)Rate::whole(usd_picos(highest + 1)); }), "Overflow");
  EXPECT_EQ(code_of([&] { (void)Rate(usd_picos(kMaximum), 2, 1); }), "Overflow");
}

// Goal: a rate that stays in the range of money is never refused, whatever its share looks like.
// Method: a third of a GPU of a block of 16 GPUs; only the price moves. Its century costs about
// 3 million USD, against a range of 1.7e26.
TEST(RateMade, TakesOddSharesOfLargeBlocks) {
  for (const char* price : {"1", "100", "170", "1000"}) {
    EXPECT_EQ(code_of([&] { (void)Rate(usd(price), 333'333, 16'000'000); }), "none")
        << price << " USD/h";
  }
}

// --- the inverse ---------------------------------------------------------------------------------

// Goal: `affordable` is the exact inverse: cost_of(a) <= amount < cost_of(a + 1 ns).
// Method: random rates; amounts up to what fifty years cost, some of them exact costs.
TEST(RateAffordable, IsTheExactInverseOfCost) {
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE("FINOPS_TEST_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  for (int i = 0; i < 2000 && !HasFailure(); ++i) {
    const Rate rate = random_rate(random);
    const Nanoseconds span{pick(random, 0, kCentury.count() / 2) >>
                           static_cast<int>(random() % 50)};
    const Money exact = rate.cost_of(span);
    for (const std::int64_t offset : {-1, 0, 1}) {
      const Money amount = exact + usd_picos(offset);
      const Nanoseconds longest = rate.affordable(amount);
      const std::string where = describe(rate) + ", " + amount.str();
      if (amount.is_negative()) {
        EXPECT_EQ(longest.count(), 0) << where;
        continue;
      }
      const std::string costs = where + " for " + std::to_string(longest.count()) + " ns";
      EXPECT_TRUE(rate.cost_of(longest) <= amount)
          << costs << " at " << rate.cost_of(longest).str();
      if (longest < kCentury) {
        const Money one_more = rate.cost_of(longest + Nanoseconds{1});
        EXPECT_TRUE(one_more > amount) << costs << ", and 1 ns more at " << one_more.str();
      }
      EXPECT_EQ(longest >= span, exact <= amount) << where;
    }
  }
}

// Goal: the documented corners. Method: 3.60 USD/h is one pico a nanosecond; only the amount moves.
TEST(RateAffordable, KnowsItsLimits) {
  const Rate rate = Rate::whole(usd("3.60"));
  EXPECT_EQ(rate.affordable(usd_picos(-1)).count(), 0);
  EXPECT_EQ(rate.affordable(usd_picos(0)).count(), 0);
  EXPECT_EQ(rate.affordable(usd_picos(1)).count(), 1);
  EXPECT_EQ(rate.affordable(usd_picos(INT64_MAX - 1)).count(), INT64_MAX - 1);
  EXPECT_EQ(rate.affordable(usd_picos(INT64_MAX)).count(), INT64_MAX);
  EXPECT_EQ(rate.affordable(usd_picos(kMaximum)).count(), INT64_MAX) << "longer than a span is";
  EXPECT_EQ(Rate::whole(usd("1.80")).affordable(usd_picos(0)).count(), 1) << "rounded down to 0";
}

// Goal: what costs nothing lasts. Method: a price of zero, with something and nothing to spend.
TEST(RateAffordable, IsEndlessForAFreeResource) {
  const Rate free = Rate::whole(usd("0"));
  EXPECT_TRUE(free.is_free());
  EXPECT_FALSE(Rate::whole(usd_picos(1)).is_free());
  EXPECT_TRUE(free.cost_of(kCentury).is_zero());
  EXPECT_EQ(free.affordable(usd("1")).count(), INT64_MAX);
  EXPECT_EQ(free.affordable(usd("0")).count(), INT64_MAX);
}

// Goal: a price is paid in its own currency. Method: EUR for a USD price, also for a free one.
TEST(RateAffordable, RefusesAnotherCurrency) {
  for (const char* price : {"0", "24"}) {
    EXPECT_EQ(code_of([&] { (void)Rate::whole(usd(price)).affordable(Money::parse("1 EUR")); }),
              "CurrencyMismatch")
        << price << " USD/h";
  }
}

// --- price texts ---------------------------------------------------------------------------------

// Goal: a price says whether it is per GPU. Method: the documented spellings.
TEST(ParsePrice, ReadsBothUnits) {
  struct Case {
    const char* text;
    const char* amount;
    bool is_per_gpu;
  };
  constexpr Case kCases[] = {{"24 USD/h", "24 USD", false},    {"24 USD/hour", "24 USD", false},
                             {"3 USD/gpu/h", "3 USD", true},   {"3 USD/gpu/hour", "3 USD", true},
                             {"24.5USD/h", "24.5 USD", false}, {"EUR 3/gpu/h", "3 EUR", true},
                             {"0 USD/h", "0 USD", false}};
  for (const Case& c : kCases) {
    const PriceText price = parse_price(c.text);
    EXPECT_EQ(price.amount.str(), c.amount) << c.text;
    EXPECT_EQ(price.is_per_gpu, c.is_per_gpu) << c.text;
  }
}

// Goal: anything else is refused, and the message shows the form. Method: one fault each.
TEST(ParsePrice, RefusesOtherTexts) {
  for (const char* text :
       {"", "24", "24 USD", "/h", "24/h", "USD/h", "24 USD/", "24 USD/s", "24 USD/day",
        "24 USD/gpu", "24 USD/h/gpu", "24 USD/gpu/h/h", "24 USD/GPU/h", "24 USD/h ", "-24 USD/h",
        "24 $/h", "24 usd/h", "1.0000000000001 USD/h", "2e1 USD/h"}) {
    EXPECT_EQ(code_of([&] { (void)parse_price(text); }), "InvalidMoney") << text;
  }
  try {
    (void)parse_price("24 USD");
  } catch (const Error& error) {
    EXPECT_NE(std::string_view(error.what()).find("24 USD/h"), std::string_view::npos)
        << error.what();
  }
}

}  // namespace
}  // namespace finops
