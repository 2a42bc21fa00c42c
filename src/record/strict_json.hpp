// strict_json.hpp - JSON from outside that leaves no doubt.
//
// Owns: parse_strict. Does not own: what the values mean. Private to record: no public header
// shows the JSON library.
#pragma once

#include <nlohmann/json.hpp>

#include <string_view>

namespace finops {

/// Throws Error(InvalidArgument) if the text is no UTF-8 or no JSON, is nested deeper than
/// kDeepestJson, or has a key twice in one object, of which a reader would take either.
[[nodiscard]] nlohmann::json parse_strict(std::string_view json_text);

}  // namespace finops
