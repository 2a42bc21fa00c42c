// price_book.hpp - prices by SKU, and what a resource costs per hour.
//
// Owns: PriceBook (look-up), Quote. Does not own: the rounding (money/rate.hpp), files (callers
// read them), prices that were used (ledger).
// Invariants: pure: equal book, resource and time give an equal quote; a missing price is never 0.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "finops/money/rate.hpp"
#include "finops/record/price.hpp"
#include "finops/record/resource.hpp"

namespace finops {

/// A price and the share of it that a resource uses: cost = price x used / block x hours.
struct Quote {
  PriceRow price;
  std::int64_t used_micro_gpus = 1;
  std::int64_t block_micro_gpus = 1;
  std::vector<std::string> warnings;  ///< "the price's date is unknown"

  [[nodiscard]] Rate rate() const {
    return {price.list_unit_price, used_micro_gpus, block_micro_gpus};
  }
};

class PriceBook {
 public:
  PriceBook() = default;

  /// Parses the JSON form (schema "finops-price-book", version 1; see docs/prices.md).
  /// `source_name` stands in messages. Throws Error(InvalidArgument) or Error(InvalidMoney) with
  /// the SKU at fault, Error(UnsupportedSchema) for a newer version. Nothing is dropped silently.
  static PriceBook parse(std::string_view json_text, const std::string& source_name);

  /// Adds a row. Of two defaults for one GPU the later counts. Rows that a user set count before
  /// the book's, the one set last before others.
  void add(PriceRow row);

  [[nodiscard]] const std::vector<PriceRow>& rows() const noexcept { return rows_; }

  /// The price of `resource` at `at`. A bare GPU name takes its default row; with a provider or
  /// region the one SKU that fits.
  /// Returns nullopt if the name is known but has no price there and then.
  /// Throws Error(UnknownResource) with the three nearest names if nobody knows the name, and
  /// Error(AmbiguousResource) with the choices if several GPUs or prices fit.
  [[nodiscard]] std::optional<Quote> quote(const Resource& resource, UtcTime at) const;

  /// The quote for a price that the user gives, "24 USD/h" or "3 USD/gpu/h". The resource may be
  /// empty for a price of the whole. Throws Error(InvalidMoney) for a malformed price and
  /// Error(InvalidArgument) for a price per GPU of a resource whose GPU count is not known.
  [[nodiscard]] Quote quote_explicit(std::string_view price_text,
                                     const std::optional<Resource>& resource) const;

  /// Makes the row of a price that somebody sets by hand, for `add` and the ledger. `name` is a
  /// GPU model for a price per GPU ("H100" becomes the book's "H100-80GB" if that is the only
  /// one), a machine for a price of the whole. Throws like `quote_explicit`.
  [[nodiscard]] PriceRow make_user_price(std::string_view name, std::string_view price_text,
                                         std::string_view who, UtcTime valid_from) const;

 private:
  [[nodiscard]] std::vector<const PriceRow*> rows_named(const Resource& resource) const;
  std::vector<PriceRow> rows_;
};

}  // namespace finops
