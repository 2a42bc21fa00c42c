// test_money.cpp - tests of exact amounts: text in and out, arithmetic, storage, splitting.
//
// Owns: the checks of money.hpp. Does not own: prices and rounding (test_money_rate.cpp).
// Invariant: random values come from FINOPS_TEST_SEED, which a failure prints.
#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "finops/base/error.hpp"
#include "finops/money/money.hpp"

namespace finops {
namespace {

constexpr Int128 kMaximum = ~(Int128{1} << 127);
constexpr Int128 kMinimum = -kMaximum - 1;

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
Money eur_picos(Int128 picos) { return Money::from_picos(picos, Currency("EUR")); }

// Any 128-bit value but the most negative one; short ones are as likely as long ones.
Int128 random_amount(std::mt19937_64& random) {
  const Int128 wide = (Int128{static_cast<std::int64_t>(random())} << 64) | Int128{random()};
  const Int128 amount = wide >> static_cast<int>(random() % 128);
  return amount == kMinimum ? kMaximum : amount;
}

std::string picos_of(const std::vector<Money>& parts) {
  std::string text;
  for (const Money& part : parts) {
    text += (text.empty() ? "" : " ") + int128_text(part.picos());
  }
  return text;
}

// --- text ----------------------------------------------------------------------------------------

// Goal: a currency is three capital letters. Method: one fault each beside a good one.
TEST(CurrencyCode, IsThreeCapitalLetters) {
  EXPECT_EQ(Currency("VND").str(), "VND");
  EXPECT_EQ(Currency::usd().str(), "USD");
  for (const char* code : {"", "US", "USDX", "usd", "UsD", "U5D", "US ", "US\xc3\x84"}) {
    EXPECT_EQ(code_of([&] { (void)Currency(code); }), "InvalidMoney") << code;
  }
}

// Goal: 128-bit integers are written in full. Method: both ends, zero, and a pair around it.
TEST(Int128Text, WritesTheWholeRange) {
  EXPECT_EQ(int128_text(0), "0");
  EXPECT_EQ(int128_text(-1), "-1");
  EXPECT_EQ(int128_text(10), "10");
  EXPECT_EQ(int128_text(kMaximum), "170141183460469231731687303715884105727");
  EXPECT_EQ(int128_text(kMinimum), "-170141183460469231731687303715884105728");
}

// Goal: an amount is printed exactly and shortest. Method: only the picos move.
TEST(MoneyText, IsExactAndShortest) {
  struct Case {
    Int128 picos;
    const char* expected;
  };
  const Case cases[] = {{0, "0"},
                        {1, "0.000000000001"},
                        {-1, "-0.000000000001"},
                        {999'999'999'999, "0.999999999999"},
                        {1'000'000'000'000, "1"},
                        {-1'000'000'000'000, "-1"},
                        {1'000'000'000'001, "1.000000000001"},
                        {-1'500'000'000'000, "-1.5"},
                        {24'500'000'000'000, "24.5"},
                        {100'000'000'000'000, "100"},
                        {kMaximum, "170141183460469231731687303.715884105727"},
                        {kMinimum, "-170141183460469231731687303.715884105728"}};
  for (const Case& c : cases) {
    EXPECT_EQ(usd_picos(c.picos).amount_text(), c.expected);
    EXPECT_EQ(usd_picos(c.picos).str(), std::string(c.expected) + " USD");
  }
}

// Goal: the three written forms are read. Method: only the spelling moves.
TEST(MoneyParse, ReadsEveryDocumentedForm) {
  struct Case {
    const char* text;
    Int128 expected_picos;
  };
  const Case cases[] = {{"24.50 USD", 24'500'000'000'000},
                        {"24.50USD", 24'500'000'000'000},
                        {"USD 24.50", 24'500'000'000'000},
                        {"  24.50  USD  ", 24'500'000'000'000},
                        {"USD   24.50 ", 24'500'000'000'000},
                        {"-24.50 USD", -24'500'000'000'000},
                        {"USD -24.50", -24'500'000'000'000},
                        {"0 USD", 0},
                        {"-0 USD", 0},
                        {"1USD", 1'000'000'000'000},
                        {"007 USD", 7'000'000'000'000}};
  for (const Case& c : cases) {
    const Money money = Money::parse(c.text);
    EXPECT_EQ(int128_text(money.picos()), int128_text(c.expected_picos)) << c.text;
    EXPECT_EQ(money.currency().str(), "USD") << c.text;
  }
  EXPECT_EQ(Money::parse("1000000000000000 VND").str(), "1000000000000000 VND");
  EXPECT_EQ(Money::parse("-2.5", Currency("EUR")).str(), "-2.5 EUR");
}

// Goal: a malformed text is refused and its column named. Method: one fault each.
TEST(MoneyParse, NamesTheColumnOfTheFault) {
  struct Case {
    const char* text;
    int column;
  };
  const Case cases[] = {{"", 1},          {"   ", 1},     {"abc USD", 1},   {"- USD", 2},
                        {"--1 USD", 2},   {".5 USD", 1},  {"5. USD", 3},    {"1.2.3 USD", 4},
                        {"1,000 USD", 2}, {"1e3 USD", 2}, {"1 000 USD", 2}, {"$5 USD", 1},
                        {"0x10 USD", 2},  {"USD 1,5", 6}, {"USD USD", 5},   {"5", 1},
                        {"24.50", 5},     {"5 usd", 5},   {"nan USD", 1},   {"1\t USD", 2}};
  for (const Case& c : cases) {
    try {
      (void)Money::parse(c.text);
      ADD_FAILURE() << '\'' << c.text << "' was read";
    } catch (const Error& error) {
      const std::string message = error.what();
      EXPECT_EQ(error_code_name(error.code()), "InvalidMoney") << c.text;
      EXPECT_NE(message.find("column " + std::to_string(c.column) + ":"), std::string::npos)
          << '\'' << c.text << "': " << message;
    }
  }
}

// Goal: faults of the currency and of a number alone are refused. Method: one fault each.
TEST(MoneyParse, RefusesOtherMalformedText) {
  for (const char* text : {"5 US", "5 USDX", "USD", "USDEUR", "U 5.00", "5 USD EUR", "USD 5 EUR"}) {
    EXPECT_EQ(code_of([&] { (void)Money::parse(text); }), "InvalidMoney") << text;
  }
  for (const char* text : {"", " 5", "5 ", "5 USD", "-", "1_000", "\xd9\xa3"}) {
    EXPECT_EQ(code_of([&] { (void)Money::parse(text, Currency::usd()); }), "InvalidMoney") << text;
  }
}

// Goal: 12 decimals are the limit, refused and never rounded. Method: only the digit count moves.
TEST(MoneyParse, TakesTwelveDecimalsAtMost) {
  EXPECT_EQ(int128_text(Money::parse("1.12345678901 USD").picos()), "1123456789010");
  EXPECT_EQ(int128_text(Money::parse("1.123456789012 USD").picos()), "1123456789012");
  EXPECT_EQ(code_of([] { (void)Money::parse("1.1234567890123 USD"); }), "InvalidMoney");
  EXPECT_EQ(code_of([] { (void)Money::parse("1.0000000000000 USD"); }), "InvalidMoney");
}

// Goal: the range ends at 2^127 - 1 picos. Method: at the limit, one pico and ten times above.
TEST(MoneyParse, RefusesAmountsBeyondTheRange) {
  const std::string units = "170141183460469231731687303";
  EXPECT_EQ(int128_text(Money::parse(units + ".715884105727 USD").picos()), int128_text(kMaximum));
  EXPECT_EQ(int128_text(Money::parse("-" + units + ".715884105727 USD").picos()),
            int128_text(-kMaximum));
  for (const std::string& text : {units + ".715884105728", units + "0", std::string(60, '9')}) {
    EXPECT_EQ(code_of([&] { (void)Money::parse(text + " USD"); }), "Overflow") << text;
  }
}

// Goal: parse(str()) gives the same amount. Method: random amounts of all lengths, both forms.
TEST(MoneyParse, IsTheOppositeOfStr) {
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE("FINOPS_TEST_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  for (int i = 0; i < 5000 && !HasFailure(); ++i) {
    const Money money = usd_picos(random_amount(random));
    EXPECT_EQ(Money::parse(money.str()).str(), money.str());
    EXPECT_EQ(Money::parse("USD " + money.amount_text()).str(), money.str());
    EXPECT_EQ(Money::parse(money.amount_text(), Currency::usd()).str(), money.str());
  }
}

// Goal: the round trip holds at the very end of the range too. Method: the two last amounts.
TEST(MoneyParse, ReadsTheMostNegativeAmount) {
  for (const Int128 picos : {kMinimum + 1, kMinimum}) {
    const std::string text = usd_picos(picos).str();
    Money parsed = Money::zero(Currency::usd());
    EXPECT_EQ(code_of([&] { parsed = Money::parse(text); }), "none") << text;
    EXPECT_EQ(parsed.str(), text);
  }
}

// --- arithmetic ----------------------------------------------------------------------------------

// Goal: sums, differences and the order are those of the integers.
// Method: random amounts of less than 2^126, so that no result leaves the range.
TEST(MoneyArithmetic, IsExact) {
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE("FINOPS_TEST_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  for (int i = 0; i < 5000 && !HasFailure(); ++i) {
    const Int128 a = random_amount(random) / 2;
    const Int128 b = random_amount(random) / 2;
    const std::string where = int128_text(a) + " and " + int128_text(b);
    EXPECT_EQ(int128_text((usd_picos(a) + usd_picos(b)).picos()), int128_text(a + b)) << where;
    EXPECT_EQ(int128_text((usd_picos(a) - usd_picos(b)).picos()), int128_text(a - b)) << where;
    EXPECT_EQ(int128_text((-usd_picos(a)).picos()), int128_text(-a)) << where;
    EXPECT_EQ(usd_picos(a) < usd_picos(b), a < b) << where;
    EXPECT_EQ(usd_picos(a) == usd_picos(b), a == b) << where;
    Money running = usd_picos(a);
    running += usd_picos(b);
    running -= usd_picos(a);
    EXPECT_EQ(running.str(), usd_picos(b).str()) << where;
  }
}

// Goal: a million small amounts add up exactly, where a double would not. Method: 0.1, 10^6 times.
TEST(MoneyArithmetic, DoesNotDrift) {
  Money total = Money::zero(Currency::usd());
  for (int i = 0; i < 1'000'000; ++i) {
    total += usd_picos(100'000'000'000);
  }
  EXPECT_EQ(total.str(), "100000 USD");
}

// Goal: what leaves the range is refused. Method: at each end of it, one pico inside and outside.
TEST(MoneyArithmetic, RefusesToOverflow) {
  EXPECT_EQ((usd_picos(kMaximum - 1) + usd_picos(1)).str(), usd_picos(kMaximum).str());
  EXPECT_EQ((usd_picos(kMinimum + 1) - usd_picos(1)).str(), usd_picos(kMinimum).str());
  EXPECT_EQ((-usd_picos(kMaximum)).str(), usd_picos(kMinimum + 1).str());
  EXPECT_EQ(code_of([] { (void)(usd_picos(kMaximum) + usd_picos(1)); }), "Overflow");
  EXPECT_EQ(code_of([] { (void)(usd_picos(kMinimum) + usd_picos(-1)); }), "Overflow");
  EXPECT_EQ(code_of([] { (void)(usd_picos(kMinimum) - usd_picos(1)); }), "Overflow");
  EXPECT_EQ(code_of([] { (void)(usd_picos(0) - usd_picos(kMinimum)); }), "Overflow");
  EXPECT_EQ(code_of([] { (void)-usd_picos(kMinimum); }), "Overflow");
}

// Goal: two currencies never meet, not even with nothing of one, and the left side stays as it was.
// Method: every operation on 1 USD with one of 0 and 1 EUR.
TEST(MoneyArithmetic, RefusesMixedCurrencies) {
  for (const Int128 picos : {0, 1}) {
    const Money other = eur_picos(picos);
    Money total = usd_picos(1);
    EXPECT_EQ(code_of([&] { (void)(total + other); }), "CurrencyMismatch") << other.str();
    EXPECT_EQ(code_of([&] { (void)(total - other); }), "CurrencyMismatch") << other.str();
    EXPECT_EQ(code_of([&] { (void)(total < other); }), "CurrencyMismatch") << other.str();
    EXPECT_EQ(code_of([&] { (void)(total >= other); }), "CurrencyMismatch") << other.str();
    EXPECT_EQ(code_of([&] { total += other; }), "CurrencyMismatch") << other.str();
    EXPECT_EQ(code_of([&] { total -= other; }), "CurrencyMismatch") << other.str();
    EXPECT_EQ(total.str(), "0.000000000001 USD");
    EXPECT_FALSE(total == other) << "equality is a question, not an error";
  }
  EXPECT_EQ(code_of([] { (void)(usd_picos(kMaximum) + eur_picos(kMaximum)); }), "CurrencyMismatch")
      << "comes before Overflow";
}

// Goal: the signs are known. Method: around zero.
TEST(MoneyArithmetic, KnowsZeroAndNegative) {
  EXPECT_TRUE(usd_picos(0).is_zero() && !usd_picos(0).is_negative());
  EXPECT_TRUE(!usd_picos(1).is_zero() && !usd_picos(1).is_negative());
  EXPECT_TRUE(!usd_picos(-1).is_zero() && usd_picos(-1).is_negative());
}

// --- storage -------------------------------------------------------------------------------------

// Goal: storing and reading gives the same amount, in two numbers of one sign.
// Method: random amounts within the store's range.
TEST(MoneyStored, GivesTheSameAmountBack) {
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE("FINOPS_TEST_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  for (int i = 0; i < 5000 && !HasFailure(); ++i) {
    const Money money = usd_picos(random_amount(random) >> 25);  // below 2^102 picos, 5.1e18 units
    const StoredMoney stored = money.to_stored();
    EXPECT_EQ(int128_text(Int128{stored.units} * kPicosPerUnit + stored.picos),
              int128_text(money.picos()));
    EXPECT_TRUE(stored.units == 0 || stored.picos == 0 || (stored.units < 0) == (stored.picos < 0))
        << stored.units << " units, " << stored.picos << " picos";
    EXPECT_EQ(Money::from_stored(stored, Currency::usd()).str(), money.str());
  }
}

// Goal: the store ends at int64 units. Method: the last amount that fits and one pico more.
TEST(MoneyStored, RefusesWhatTheStoreCannotHold) {
  const Int128 last = Int128{INT64_MAX} * kPicosPerUnit + (kPicosPerUnit - 1);
  const StoredMoney top = usd_picos(last).to_stored();
  EXPECT_EQ(top.units, INT64_MAX);
  EXPECT_EQ(top.picos, 999'999'999'999);
  EXPECT_EQ(Money::from_stored(top, Currency::usd()).str(), usd_picos(last).str());
  EXPECT_EQ(code_of([&] { (void)usd_picos(last + 1).to_stored(); }), "Overflow");

  const Int128 first = Int128{INT64_MIN} * kPicosPerUnit - (kPicosPerUnit - 1);
  const StoredMoney bottom = usd_picos(first).to_stored();
  EXPECT_EQ(bottom.units, INT64_MIN);
  EXPECT_EQ(bottom.picos, -999'999'999'999);
  EXPECT_EQ(Money::from_stored(bottom, Currency::usd()).str(), usd_picos(first).str());
  EXPECT_EQ(code_of([&] { (void)usd_picos(first - 1).to_stored(); }), "Overflow");
  EXPECT_EQ(code_of([&] { (void)usd_picos(kMaximum).to_stored(); }), "Overflow");
}

// Goal: a stored pair that no amount has is refused. Method: one rule broken, beside its limit.
TEST(MoneyStored, RefusesMalformedPairs) {
  const auto read = [](std::int64_t units, std::int64_t picos) {
    return code_of([&] { (void)Money::from_stored({units, picos}, Currency::usd()); });
  };
  EXPECT_EQ(read(0, 999'999'999'999), "none");
  EXPECT_EQ(read(0, 1'000'000'000'000), "InvalidMoney");
  EXPECT_EQ(read(0, -999'999'999'999), "none");
  EXPECT_EQ(read(0, -1'000'000'000'000), "InvalidMoney");
  EXPECT_EQ(read(1, 1), "none");
  EXPECT_EQ(read(1, -1), "InvalidMoney");
  EXPECT_EQ(read(-1, -1), "none");
  EXPECT_EQ(read(-1, 1), "InvalidMoney");
  EXPECT_EQ(read(0, INT64_MIN), "InvalidMoney");
  EXPECT_EQ(read(INT64_MIN, INT64_MIN), "InvalidMoney");
}

// --- splitting -----------------------------------------------------------------------------------

// Goal: the largest remainders get the odd picos, ties by position, zero weights nothing.
// Method: small amounts worked out by hand; only the amount and the weights move.
TEST(MoneySplit, GivesOddPicosToTheLargestRemainders) {
  struct Case {
    Int128 amount;
    std::vector<std::int64_t> weights;
    const char* expected;
  };
  const Case cases[] = {{10, {1, 1, 1}, "4 3 3"},  // ties by position
                        {11, {1, 1, 1}, "4 4 3"},
                        {12, {1, 1, 1}, "4 4 4"},
                        {-10, {1, 1, 1}, "-4 -3 -3"},  // a credit is split like a charge
                        {-11, {1, 1, 1}, "-4 -4 -3"},
                        {1, {1, 1}, "1 0"},
                        {-1, {1, 1}, "-1 0"},
                        {10, {1, 2, 4}, "1 3 6"},  // 1.43 2.86 5.71
                        {10, {4, 2, 1}, "6 3 1"},
                        {-10, {1, 2, 4}, "-1 -3 -6"},
                        {5, {3, 3, 2}, "2 2 1"},  // 1.875 1.875 1.25
                        {7, {0, 1, 0, 1}, "0 4 0 3"},
                        {7, {0, 5, 0}, "0 7 0"},
                        {0, {1, 2}, "0 0"},
                        {9, {1}, "9"},
                        {3, {INT64_MAX - 1, 1}, "3 0"},
                        {kMaximum, {INT64_MAX}, "170141183460469231731687303715884105727"},
                        {kMinimum, {0, 1}, "0 -170141183460469231731687303715884105728"}};
  for (const Case& c : cases) {
    EXPECT_EQ(picos_of(usd_picos(c.amount).split(c.weights)), c.expected)
        << int128_text(c.amount) << " in " << c.weights.size();
  }
  EXPECT_EQ(eur_picos(3).split(std::vector<std::int64_t>{1, 2})[1].str(), "0.000000000002 EUR");
}

// Goal: weights that say nothing are refused. Method: one fault each beside the nearest good ones.
TEST(MoneySplit, RefusesBadWeights) {
  const auto split = [](const std::vector<std::int64_t>& weights) {
    return code_of([&] { (void)usd_picos(10).split(weights); });
  };
  EXPECT_EQ(split({}), "InvalidArgument");
  EXPECT_EQ(split({0}), "InvalidArgument");
  EXPECT_EQ(split({0, 0}), "InvalidArgument");
  EXPECT_EQ(split({0, 1}), "none");
  EXPECT_EQ(split({3, -1}), "InvalidArgument");
  EXPECT_EQ(split({INT64_MAX - 1, 1}), "none");
  EXPECT_EQ(split({INT64_MAX, 1}), "Overflow");
}

// Goal: parts of any amount add up to it, keep its sign, and a credit mirrors the charge.
// Method: random amounts of all lengths, up to 20 random weights of which some are zero.
TEST(MoneySplit, AddsUpToTheTotal) {
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE("FINOPS_TEST_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  for (int i = 0; i < 3000 && !HasFailure(); ++i) {
    const Money total = usd_picos(random_amount(random));
    std::vector<std::int64_t> weights(1 + random() % 20);
    const auto shift = 5 + random() % 50;  // the sum stays below 2^63
    for (std::int64_t& weight : weights) {
      weight = random() % 4 == 0 ? 0 : static_cast<std::int64_t>(random() >> (9 + shift));
    }
    weights[random() % weights.size()] += 1;
    const std::vector<Money> parts = total.split(weights);
    ASSERT_EQ(parts.size(), weights.size());
    Money sum = Money::zero(Currency::usd());
    for (std::size_t part = 0; part < parts.size(); ++part) {
      sum += parts[part];
      EXPECT_TRUE(weights[part] != 0 || parts[part].is_zero()) << total.str() << ", part " << part;
      EXPECT_TRUE(parts[part].is_zero() || parts[part].is_negative() == total.is_negative())
          << total.str() << ", part " << part;
    }
    EXPECT_EQ(sum.str(), total.str());
    std::string mirrored;
    for (const Money& part : (-total).split(weights)) {
      mirrored += (mirrored.empty() ? "" : " ") + int128_text(-part.picos());
    }
    EXPECT_EQ(mirrored, picos_of(parts)) << total.str();
  }
}

// Goal: it is the largest-remainder rule. Method: its definition, checked on every pair of parts of
// random amounts small enough for products in 128 bits; small weights make ties common.
TEST(MoneySplit, FollowsTheLargestRemainderRule) {
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE("FINOPS_TEST_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  for (int i = 0; i < 3000 && !HasFailure(); ++i) {
    const auto amount = static_cast<std::int64_t>(random() >> (2 + random() % 60));
    std::vector<std::int64_t> weights(1 + random() % 8);
    Int128 weight_sum = 0;
    for (std::int64_t& weight : weights) {
      weight = static_cast<std::int64_t>(1 + random() % 6);
      weight_sum += weight;
    }
    const std::vector<Money> parts = usd_picos(amount).split(weights);
    const std::string where = std::to_string(amount) + " gave " + picos_of(parts);
    for (std::size_t a = 0; a < parts.size(); ++a) {
      const Int128 floor_a = Int128{amount} * weights[a] / weight_sum;
      const Int128 rest_a = Int128{amount} * weights[a] % weight_sum;
      const Int128 extra_a = parts[a].picos() - floor_a;
      EXPECT_TRUE(extra_a == 0 || extra_a == 1) << where << ", part " << a;
      for (std::size_t b = 0; b < parts.size(); ++b) {
        const Int128 rest_b = Int128{amount} * weights[b] % weight_sum;
        const Int128 extra_b = parts[b].picos() - Int128{amount} * weights[b] / weight_sum;
        const bool a_goes_first = rest_a > rest_b || (rest_a == rest_b && a < b);
        EXPECT_FALSE(a_goes_first && extra_b > extra_a) << where << ", parts " << a << ", " << b;
      }
    }
  }
}

}  // namespace
}  // namespace finops
