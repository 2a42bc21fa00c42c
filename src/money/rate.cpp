// rate.cpp - cost of a span and its inverse, in 128-bit integers.
#include "finops/money/rate.hpp"

#include <numeric>

#include "finops/base/error.hpp"

namespace finops {
namespace {

constexpr std::int64_t kNanosecondsPerHour = 3'600'000'000'000;
// 292 years: as long as a Nanoseconds can be.
constexpr std::int64_t kLongestSpan = INT64_MAX;

Int128 checked_multiply(Int128 lhs, Int128 rhs) {
  Int128 product = 0;
  FINOPS_REQUIRE(!__builtin_mul_overflow(lhs, rhs, &product), ErrorCode::Overflow,
                 "price times quantity exceeds the range of about 1.7e26 units");
  return product;
}

struct Quotient {
  Int128 whole = 0;
  Int128 rest = 0;
};

// value * factor / divisor for 0 <= value < divisor < 2^95 and factor >= 0, without a product that
// needs more than 128 bits: the factor goes in two halves, as in long division.
Quotient multiply_divide(Int128 value, std::int64_t factor, Int128 divisor) {
  constexpr std::int64_t kHalf = std::int64_t{1} << 32;
  const Int128 high = checked_multiply(value, factor / kHalf);
  const Int128 low = checked_multiply(high % divisor, kHalf) + value * (factor % kHalf);
  return {.whole = high / divisor * kHalf + low / divisor, .rest = low % divisor};
}

}  // namespace

Rate::Rate(Money price_per_hour, std::int64_t used_micro_gpus, std::int64_t block_micro_gpus)
    : price_per_hour_(price_per_hour), used_(used_micro_gpus), block_(block_micro_gpus) {
  FINOPS_REQUIRE(!price_per_hour.is_negative(), ErrorCode::InvalidMoney,
                 "a price is negative: " + price_per_hour.str());
  FINOPS_REQUIRE(used_ > 0 && block_ > 0, ErrorCode::InvalidArgument,
                 "a resource amount must be above zero");
  const std::int64_t divisor = std::gcd(used_, block_);
  used_ /= divisor;
  block_ /= divisor;
  constexpr std::int64_t kLargestBlock = 1'000'000'000'000'000;  // keeps cost_of in 128 bits
  FINOPS_REQUIRE(block_ <= kLargestBlock, ErrorCode::Overflow,
                 "a resource is a share of more than 1e15: " + std::to_string(used_) + "/" +
                     std::to_string(block_));
  // Tried once here, so that no later call in a running job can overflow.
  (void)cost_of(kCentury);
}

Money Rate::cost_of(Nanoseconds span) const {
  FINOPS_REQUIRE(span.count() >= 0, ErrorCode::InvalidArgument,
                 "a span of use is negative: " + std::to_string(span.count()) + " ns");
  // numerator / denominator picos per ns. Dividing first keeps the products inside 128 bits.
  const Int128 numerator = checked_multiply(price_per_hour_.picos(), used_);
  const Int128 denominator = Int128{kNanosecondsPerHour} * block_;
  const Int128 whole = checked_multiply(numerator / denominator, span.count());
  const Quotient rest = multiply_divide(numerator % denominator, span.count(), denominator);
  Int128 total = 0;
  FINOPS_REQUIRE(!__builtin_add_overflow(whole, rest.whole, &total), ErrorCode::Overflow,
                 "cost exceeds the range of about 1.7e26 units");
  const Int128 to_next = denominator - rest.rest;
  const bool is_odd = total % 2 == 1;  // of the total: the even neighbour is that of the result
  if (rest.rest > to_next || (rest.rest == to_next && is_odd)) {
    FINOPS_REQUIRE(!__builtin_add_overflow(total, Int128{1}, &total), ErrorCode::Overflow,
                   "cost exceeds the range of about 1.7e26 units");
  }
  return Money::from_picos(total, currency());
}

Nanoseconds Rate::affordable(Money amount) const {
  FINOPS_REQUIRE(amount.currency() == currency(), ErrorCode::CurrencyMismatch,
                 "a price in " + currency().str() + " cannot be paid with " + amount.str());
  if (is_free()) {
    return Nanoseconds::max();
  }
  if (amount.is_negative()) {
    return Nanoseconds::zero();
  }
  // The cost grows with the span, so the longest affordable one is found by bisection: exact,
  // and 63 steps are nothing on the slow path. A span whose cost overflows is too long.
  std::int64_t low = 0;
  std::int64_t high = kLongestSpan;
  while (low < high) {
    const std::int64_t middle = low + (high - low) / 2 + 1;
    bool fits = false;
    try {
      fits = cost_of(Nanoseconds{middle}) <= amount;
    } catch (const Error&) {
      fits = false;
    }
    if (fits) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return Nanoseconds{low};
}

PriceText parse_price(std::string_view text) {
  const std::size_t slash = text.find('/');
  FINOPS_REQUIRE(slash != std::string_view::npos, ErrorCode::InvalidMoney,
                 "not a price: '" + std::string(text) +
                     "'; write 24 USD/h for the whole resource or 3 USD/gpu/h for each GPU");
  const std::string_view unit = text.substr(slash);
  const bool is_whole = unit == "/h" || unit == "/hour";
  const bool is_per_gpu = unit == "/gpu/h" || unit == "/gpu/hour";
  FINOPS_REQUIRE(is_whole || is_per_gpu, ErrorCode::InvalidMoney,
                 "unknown price unit '" + std::string(unit) + "' in '" + std::string(text) +
                     "'; known units are /h (whole resource) and /gpu/h (each GPU)");
  const Money amount = Money::parse(text.substr(0, slash));
  FINOPS_REQUIRE(!amount.is_negative(), ErrorCode::InvalidMoney,
                 "a price is negative: '" + std::string(text) + "'");
  return {.amount = amount, .is_per_gpu = is_per_gpu};
}

}  // namespace finops
