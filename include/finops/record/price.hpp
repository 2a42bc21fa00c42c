// price.hpp - one price as the ledger keeps it: what, where, how much, from when, says who.
//
// Owns: PriceRow, PricingCategory. Does not own: look-up (pricing).
// Invariant: a price row never changes; a new price is a new row with a new id.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "finops/base/clock.hpp"
#include "finops/base/ids.hpp"
#include "finops/money/money.hpp"

namespace finops {

/// FOCUS 1.2 PricingCategory, the three that compute has. Dynamic is spot.
enum class PricingCategory { Standard, Dynamic, Committed };
[[nodiscard]] std::string_view pricing_category_name(PricingCategory category) noexcept;
/// Throws Error(InvalidArgument) on an unknown name.
[[nodiscard]] PricingCategory parse_pricing_category(std::string_view name);

struct PriceRow {
  PriceId price_id;  ///< made from the content by `make_price_id`
  std::string sku_id;
  std::string provider;
  std::string region;
  std::string zone;
  std::string instance_type;
  std::string gpu;             ///< "H100-80GB"
  std::int64_t gpu_count = 0;  ///< GPUs that list_unit_price buys; 0: whole resource
  PricingCategory pricing_category = PricingCategory::Standard;
  Money list_unit_price = Money::zero(Currency::usd());  ///< per hour
  UtcTime valid_from{};                                  ///< inclusive; epoch: unknown
  UtcTime valid_to{};                                    ///< exclusive; epoch: open
  std::string source;
  std::string source_date;   ///< "2025-06-26" or "unknown"
  bool is_default = false;   ///< the row that a bare GPU name takes
  bool is_user_set = false;  ///< set by hand (`finops prices set`), kept in the ledger
};

/// The id of a row: its SKU, start of validity and a hash of its content, so that equal rows
/// are one and a changed price can never take the place of an old one.
[[nodiscard]] PriceId make_price_id(const PriceRow& row);

}  // namespace finops
