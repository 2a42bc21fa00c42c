// money.hpp - an exact amount of one currency.
//
// Owns: Currency, Money, its checked arithmetic, text in and out, splitting.
// Does not own: prices and the one rounding (rate.hpp), exchange rates.
// Invariant: an amount never changes currency; nothing here rounds.
#pragma once

#include <compare>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace finops {

__extension__ typedef __int128 Int128;

/// Picos in one unit of any currency: one scale for all (real bills have up to 11 decimals).
inline constexpr std::int64_t kPicosPerUnit = 1'000'000'000'000;

/// An ISO 4217 code: three capital letters.
class Currency {
 public:
  /// Throws Error(InvalidMoney) unless `code` is three letters A-Z.
  explicit Currency(std::string_view code);
  static Currency usd() { return Currency("USD"); }
  [[nodiscard]] std::string str() const { return {code_, 3}; }
  auto operator<=>(const Currency&) const = default;

 private:
  char code_[3];
};

/// How money is stored: two integers of the same sign, amount = units + picos * 1e-12.
struct StoredMoney {
  std::int64_t units = 0;
  std::int64_t picos = 0;  ///< -999'999'999'999 .. 999'999'999'999
};

class Money {
 public:
  /// `amount_picos` is in 1e-12 of one unit of `currency`: 1.50 USD is 1'500'000'000'000.
  /// Range: about +-1.7e26 units; arithmetic past it throws Error(Overflow).
  static Money from_picos(Int128 amount_picos, Currency currency) noexcept {
    return Money(amount_picos, currency);
  }
  static Money zero(Currency currency) noexcept { return Money(0, currency); }

  /// Parses "24.50 USD", "24.50USD" or "USD 24.50": optional sign, digits, at most 12 decimals.
  /// No thousands separators, no exponent: they mean different amounts in different places.
  /// Throws Error(InvalidMoney) with the column of the fault, Error(Overflow) past the range.
  static Money parse(std::string_view text);
  /// Parses a number alone, in `currency`. Same rules and errors as the other form.
  static Money parse(std::string_view amount, Currency currency);

  /// From the stored pair. Throws Error(InvalidMoney) if the pair breaks StoredMoney's rules.
  static Money from_stored(StoredMoney stored, Currency currency);
  /// To the stored pair. Throws Error(Overflow) beyond int64 units: memory holds more than a store.
  [[nodiscard]] StoredMoney to_stored() const;

  [[nodiscard]] Int128 picos() const noexcept { return amount_picos_; }
  [[nodiscard]] Currency currency() const noexcept { return currency_; }
  [[nodiscard]] bool is_zero() const noexcept { return amount_picos_ == 0; }
  [[nodiscard]] bool is_negative() const noexcept { return amount_picos_ < 0; }

  /// The exact amount without the currency: "24.5", "-0.000000000001", "0".
  [[nodiscard]] std::string amount_text() const;
  /// The exact amount with its currency: "24.5 USD". parse(str()) gives the same Money.
  [[nodiscard]] std::string str() const;

  /// Throw Error(CurrencyMismatch) on two currencies, Error(Overflow) past the range.
  friend Money operator+(Money lhs, Money rhs);
  friend Money operator-(Money lhs, Money rhs);
  Money& operator+=(Money rhs) { return *this = *this + rhs; }
  Money& operator-=(Money rhs) { return *this = *this - rhs; }
  [[nodiscard]] Money operator-() const;
  friend bool operator==(Money lhs, Money rhs) = default;
  /// Throws Error(CurrencyMismatch): two currencies have no order.
  friend std::strong_ordering operator<=>(Money lhs, Money rhs);

  /// Shares this amount by `weights` (each >= 0, at least one > 0) in whole picos that add up to
  /// it exactly: largest remainder, ties by position. Same order and length as `weights`.
  /// Throws Error(InvalidArgument) if the weights are empty, negative, or all zero.
  [[nodiscard]] std::vector<Money> split(std::span<const std::int64_t> weights) const;

 private:
  Money(Int128 amount_picos, Currency currency) noexcept
      : amount_picos_(amount_picos), currency_(currency) {}
  Int128 amount_picos_;
  Currency currency_;
};

/// `value` in decimal digits.
[[nodiscard]] std::string int128_text(Int128 value);

}  // namespace finops
