// money.cpp - parsing, printing, checked arithmetic and splitting.
#include "finops/money/money.hpp"

#include <algorithm>
#include <numeric>

#include "finops/base/error.hpp"

namespace finops {
namespace {

constexpr int kDecimals = 12;

bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }
bool is_capital(char c) noexcept { return c >= 'A' && c <= 'Z'; }

[[noreturn]] void fail_at(std::string_view text, std::size_t index, const std::string& why) {
  detail::throw_error(ErrorCode::InvalidMoney, "not an amount of money: '" + std::string(text) +
                                                   "', column " + std::to_string(index + 1) + ": " +
                                                   why + "; write for example 24.50 USD");
}

// Digits are appended to a value of its final sign: the most negative amount has no positive twin.
void append_digit(Int128& value, char digit, bool negative) {
  const int signed_digit = negative ? '0' - digit : digit - '0';
  const bool overflows = __builtin_mul_overflow(value, Int128{10}, &value) ||
                         __builtin_add_overflow(value, Int128{signed_digit}, &value);
  FINOPS_REQUIRE(!overflows, ErrorCode::Overflow, "amount exceeds the range of about 1.7e26 units");
}

// Reads a signed decimal that fills [begin, end) of `text`; columns in errors are of `text`.
Int128 parse_picos(std::string_view text, std::size_t begin, std::size_t end) {
  std::size_t index = begin;
  const bool negative = index < end && text[index] == '-';
  index += negative ? 1 : 0;
  if (index >= end || !is_digit(text[index])) {
    fail_at(text, index, "a digit is expected");
  }
  Int128 picos = 0;
  for (; index < end && is_digit(text[index]); ++index) {
    append_digit(picos, text[index], negative);
  }
  int decimals = 0;
  if (index < end && text[index] == '.') {
    for (++index; index < end && is_digit(text[index]); ++index, ++decimals) {
      if (decimals == kDecimals) {
        fail_at(text, index, "more than 12 decimals");
      }
      append_digit(picos, text[index], negative);
    }
    if (decimals == 0) {
      fail_at(text, index, "a digit is expected after the point");
    }
  }
  if (index != end) {
    fail_at(text, index, "unexpected character");
  }
  for (; decimals < kDecimals; ++decimals) {
    append_digit(picos, '0', negative);
  }
  return picos;
}

}  // namespace

Currency::Currency(std::string_view code) : code_{} {
  const bool ok = code.size() == 3 && std::all_of(code.begin(), code.end(), is_capital);
  FINOPS_REQUIRE(ok, ErrorCode::InvalidMoney,
                 "not a currency: '" + std::string(code) + "'; write an ISO 4217 code such as USD");
  std::copy(code.begin(), code.end(), code_);
}

Money Money::parse(std::string_view text) {
  const std::size_t first = text.find_first_not_of(' ');
  const std::size_t last = text.find_last_not_of(' ');
  if (first == std::string_view::npos) {
    fail_at(text, 0, "the text is empty");
  }
  const std::size_t size = last + 1 - first;
  if (size > 4 && is_capital(text[first])) {  // "USD 24.50"
    const std::size_t number = text.find_first_not_of(' ', first + 3);
    return from_picos(parse_picos(text, number, last + 1), Currency(text.substr(first, 3)));
  }
  if (size < 4 || !is_capital(text[last])) {
    fail_at(text, last, "the currency is missing");
  }
  const Currency currency(text.substr(last - 2, 3));
  const std::size_t number_end = text.find_last_not_of(' ', last - 3) + 1;
  return from_picos(parse_picos(text, first, number_end), currency);
}

Money Money::parse(std::string_view amount, Currency currency) {
  return from_picos(parse_picos(amount, 0, amount.size()), currency);
}

Money Money::from_stored(StoredMoney stored, Currency currency) {
  const bool in_range = stored.picos > -kPicosPerUnit && stored.picos < kPicosPerUnit;
  const bool same_sign =
      stored.units == 0 || stored.picos == 0 || (stored.units < 0) == (stored.picos < 0);
  FINOPS_REQUIRE(in_range && same_sign, ErrorCode::InvalidMoney,
                 "stored money is malformed: " + std::to_string(stored.units) + " units and " +
                     std::to_string(stored.picos) + " picos");
  return from_picos(Int128{stored.units} * kPicosPerUnit + stored.picos, currency);
}

StoredMoney Money::to_stored() const {
  const Int128 units = amount_picos_ / kPicosPerUnit;
  const auto stored_units = static_cast<std::int64_t>(units);
  FINOPS_REQUIRE(Int128{stored_units} == units, ErrorCode::Overflow,
                 str() + " is beyond what the ledger can store (about 9.2e18 units)");
  return {.units = stored_units, .picos = static_cast<std::int64_t>(amount_picos_ % kPicosPerUnit)};
}

std::string int128_text(Int128 value) {
  std::string digits;
  const bool negative = value < 0;
  do {  // digits are taken from the signed value, so that the most negative one works too
    const int digit = static_cast<int>(value % 10);
    digits.push_back(static_cast<char>('0' + (digit < 0 ? -digit : digit)));
    value /= 10;
  } while (value != 0);
  if (negative) {
    digits.push_back('-');
  }
  std::reverse(digits.begin(), digits.end());
  return digits;
}

std::string Money::amount_text() const {
  const Int128 units = amount_picos_ / kPicosPerUnit;
  const auto signed_picos = static_cast<std::int64_t>(amount_picos_ % kPicosPerUnit);
  std::string fraction = std::to_string(signed_picos < 0 ? -signed_picos : signed_picos);
  fraction.insert(0, static_cast<std::size_t>(kDecimals) - fraction.size(), '0');
  fraction.erase(fraction.find_last_not_of('0') + 1);
  const bool lost_sign = units == 0 && signed_picos < 0;
  return (lost_sign ? "-" : "") + int128_text(units) + (fraction.empty() ? "" : "." + fraction);
}

std::string Money::str() const { return amount_text() + " " + currency_.str(); }

Money operator+(Money lhs, Money rhs) {
  FINOPS_REQUIRE(lhs.currency_ == rhs.currency_, ErrorCode::CurrencyMismatch,
                 "cannot add " + lhs.str() + " and " + rhs.str() + ": convert one of them first");
  Int128 sum_picos = 0;
  FINOPS_REQUIRE(!__builtin_add_overflow(lhs.amount_picos_, rhs.amount_picos_, &sum_picos),
                 ErrorCode::Overflow, "sum exceeds the range of about 1.7e26 units");
  return Money(sum_picos, lhs.currency_);
}

Money Money::operator-() const {
  Int128 negated = 0;
  FINOPS_REQUIRE(!__builtin_sub_overflow(Int128{0}, amount_picos_, &negated), ErrorCode::Overflow,
                 "negation exceeds the range of about 1.7e26 units");
  return Money(negated, currency_);
}

Money operator-(Money lhs, Money rhs) {
  FINOPS_REQUIRE(lhs.currency_ == rhs.currency_, ErrorCode::CurrencyMismatch,
                 "cannot subtract " + rhs.str() + " from " + lhs.str() +
                     ": convert one of them first");
  Int128 difference = 0;
  FINOPS_REQUIRE(!__builtin_sub_overflow(lhs.amount_picos_, rhs.amount_picos_, &difference),
                 ErrorCode::Overflow, "difference exceeds the range of about 1.7e26 units");
  return Money(difference, lhs.currency_);
}

std::strong_ordering operator<=>(Money lhs, Money rhs) {
  FINOPS_REQUIRE(lhs.currency_ == rhs.currency_, ErrorCode::CurrencyMismatch,
                 "cannot compare " + lhs.str() + " with " + rhs.str() +
                     ": convert one of them first");
  return lhs.amount_picos_ <=> rhs.amount_picos_;
}

std::vector<Money> Money::split(std::span<const std::int64_t> weights) const {
  Int128 total_weight = 0;
  for (const std::int64_t weight : weights) {
    FINOPS_REQUIRE(weight >= 0, ErrorCode::InvalidArgument,
                   "a split weight is negative: " + std::to_string(weight));
    total_weight += weight;
  }
  FINOPS_REQUIRE(total_weight > 0, ErrorCode::InvalidArgument,
                 "a split needs at least one weight above zero");
  // quotient * weight stays in range since weight <= total_weight; the remainder's product is
  // below total_weight^2, so weights that add up past 2^63 are refused.
  FINOPS_REQUIRE(total_weight <= INT64_MAX, ErrorCode::Overflow, "split weights add up past 2^63");
  const Int128 quotient = amount_picos_ / total_weight;
  const Int128 rest = amount_picos_ % total_weight;
  std::vector<Money> parts;
  std::vector<Int128> remainders;
  Int128 left = amount_picos_;
  for (const std::int64_t weight : weights) {
    const Int128 scaled = rest * weight;
    const Int128 part = quotient * weight + scaled / total_weight;
    parts.push_back(Money(part, currency_));
    remainders.push_back(scaled < 0 ? -(scaled % total_weight) : scaled % total_weight);
    left -= part;
  }
  std::vector<std::size_t> order(weights.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return remainders[a] > remainders[b]; });
  const int step = left < 0 ? -1 : 1;
  for (std::size_t index = 0; left != 0; ++index, left -= step) {
    FINOPS_ASSERT(index < order.size());
    parts[order[index]].amount_picos_ += step;
  }
  return parts;
}

}  // namespace finops
