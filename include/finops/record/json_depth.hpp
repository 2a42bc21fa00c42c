// json_depth.hpp - how deep JSON text is nested, before anybody builds values from it.
//
// Owns: json_depth. Does not own: reading JSON (a library's, where it is used).
// Invariant: needs no stack of its own: writing and comparing JSON values recurse, and a text from
// outside must not choose how deep.
#pragma once

#include <cstddef>
#include <string_view>

namespace finops {

/// Deeper JSON is read nowhere: our own forms need 3 levels.
inline constexpr std::size_t kDeepestJson = 32;

/// The most lists and objects that are open at once in `json_text`; 0 for a plain value. Of text
/// that is no JSON some number, at least as deep as a reader comes before it finds the fault.
[[nodiscard]] std::size_t json_depth(std::string_view json_text) noexcept;

}  // namespace finops
