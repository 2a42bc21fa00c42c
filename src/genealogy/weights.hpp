// weights.hpp - amounts of any size as the weights that Money::split takes.
//
// Owns: split_by. Does not own: the exact split (Money).
#pragma once

#include <span>
#include <vector>

#include "finops/money/money.hpp"

namespace finops::genealogy {

/// Splits `amount` in proportion to `sizes`, exactly: the parts add up to it. A size below zero
/// counts as zero; if all do, the parts are equal. Sizes whose sum is past 2^63 lose their lowest
/// bits, which moves a part by less than its 2^-62nd. Empty for no sizes.
[[nodiscard]] std::vector<Money> split_by(Money amount, std::span<const Int128> sizes);

}  // namespace finops::genealogy
