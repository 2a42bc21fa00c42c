// names.hpp - comparing names as people write them.
//
// Owns: case folding and the nearest known names. Private to pricing.
#pragma once

#include <set>
#include <string>

namespace finops::pricing {

/// Lower case, so that "h100" and "H100" are one name.
[[nodiscard]] std::string fold(const std::string& text);

/// The three names of `known` with the smallest edit distance to `name`, as "A, B, C".
/// Empty names are left out; ties in alphabetical order; empty text if nothing is known.
[[nodiscard]] std::string nearest_names(const std::string& name,
                                        const std::set<std::string>& known);

}  // namespace finops::pricing
