// strict_json.hpp - JSON from outside that leaves no doubt.
//
// Owns: parse_strict. Does not own: what the values mean. Private to record: no public header
// shows the JSON library.
#pragma once

#include <nlohmann/json.hpp>

#include <string_view>

namespace finops {

/// The value of a text that require_strict_json lets pass; throws as that does.
[[nodiscard]] nlohmann::json parse_strict(std::string_view json_text);

}  // namespace finops
