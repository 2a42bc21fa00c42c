// resource.hpp - what a run says it runs on: "8xH100", "p5.48xlarge@aws:us-east-1:spot".
//
// Owns: Resource and its text form. Does not own: its price (price_book.hpp).
// Invariant: parsing never looks at prices; a well-formed name may still be unknown to the book.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "finops/record/price.hpp"

namespace finops {

/// 1 GPU or 1 machine, so that a quarter of a GPU is a whole number.
inline constexpr std::int64_t kMicrosPerUnit = 1'000'000;

struct Resource {
  std::string text;                           ///< as written
  std::string name;                           ///< GPU model or instance type, as written
  std::int64_t micro_count = kMicrosPerUnit;  ///< how many of it: 8xH100 is 8'000'000
  std::string provider;                       ///< empty: any
  std::string region;                         ///< empty: any
  PricingCategory pricing_category = PricingCategory::Standard;
};

/// Parses `[COUNTx]NAME[:FRACTION][@PROVIDER[:REGION][:spot|:on-demand]]`. COUNT is 1..1,000,000;
/// FRACTION is above 0 and at most 1, with at most 6 decimals ("a100:0.25").
/// Throws Error(InvalidArgument) with the part that is wrong and the grammar.
[[nodiscard]] Resource parse_resource(std::string_view text);

}  // namespace finops
