// json_check.hpp - whether JSON from outside leaves no doubt, before anybody builds values from it.
//
// Owns: require_strict_json. Does not own: what the values mean.
#pragma once

#include <string_view>

namespace finops {

/// Throws Error(InvalidArgument) if the text is no UTF-8 or no JSON, is nested deeper than
/// kDeepestJson, or has a key twice in one object, of which a reader would take either.
void require_strict_json(std::string_view json_text);

}  // namespace finops
