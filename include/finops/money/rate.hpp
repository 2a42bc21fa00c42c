// rate.hpp - what time costs: a price per hour, how much of it a run uses, and the one rounding.
//
// Owns: Rate, cost over a span, the span that an amount pays for.
// Does not own: where prices come from (pricing).
// Invariant: quantity times price is rounded once, half to even, in `cost_of`.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "finops/base/clock.hpp"
#include "finops/money/money.hpp"

namespace finops {

/// `price` per hour buys `block_micro_gpus`; the run uses `used_micro_gpus` of it.
/// A price for the whole resource has both equal. 1 GPU is 1'000'000 micro-GPUs, so that a
/// quarter of a GPU is exact.
class Rate {
 public:
  /// Throws Error(InvalidMoney) on a negative price, Error(InvalidArgument) on a count that is
  /// not positive, Error(Overflow) if a century at this rate leaves the range of Money.
  Rate(Money price_per_hour, std::int64_t used_micro_gpus, std::int64_t block_micro_gpus);

  /// The whole resource costs `price_per_hour`.
  static Rate whole(Money price_per_hour) { return {price_per_hour, 1, 1}; }

  [[nodiscard]] Money price_per_hour() const noexcept { return price_per_hour_; }
  [[nodiscard]] std::int64_t used() const noexcept { return used_; }    ///< reduced numerator
  [[nodiscard]] std::int64_t block() const noexcept { return block_; }  ///< reduced denominator
  [[nodiscard]] Currency currency() const noexcept { return price_per_hour_.currency(); }
  [[nodiscard]] bool is_free() const noexcept { return price_per_hour_.is_zero(); }

  /// The cost of `span`, rounded half to even to a whole pico: the only rounding of money.
  /// Slices of a run are charged `cost_of(now) - already charged`, so they add up to the whole.
  /// Throws Error(InvalidArgument) on a negative span.
  [[nodiscard]] Money cost_of(Nanoseconds span) const;

  /// The cost of one hour.
  [[nodiscard]] Money hourly() const { return cost_of(std::chrono::hours{1}); }

  /// The longest span whose cost is at most `amount`; zero if `amount` is negative,
  /// Nanoseconds::max() if the resource is free or the span would be longer than that.
  [[nodiscard]] Nanoseconds affordable(Money amount) const;

  friend bool operator==(const Rate&, const Rate&) = default;

 private:
  Money price_per_hour_;
  std::int64_t used_;
  std::int64_t block_;
};

/// What a price text says: "24 USD/h" is for the whole resource, "3 USD/gpu/h" for each GPU.
struct PriceText {
  Money amount;
  bool is_per_gpu = false;
};

/// Parses "24 USD/h", "24 USD/hour", "3 USD/gpu/h". Throws Error(InvalidMoney), with the form.
[[nodiscard]] PriceText parse_price(std::string_view text);

}  // namespace finops
