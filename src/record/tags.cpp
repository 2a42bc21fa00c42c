// tags.cpp - the tags of a run, from the JSON text that the ledger keeps.
#include <nlohmann/json.hpp>

#include "finops/record/json_depth.hpp"
#include "finops/record/run.hpp"

namespace finops {

std::map<std::string, std::string> parse_tags(const std::string& json_text) {
  std::map<std::string, std::string> tags;
  if (json_depth(json_text) > kDeepestJson) {  // dump() recurses
    return tags;
  }
  const nlohmann::json root = nlohmann::json::parse(json_text, nullptr, /*allow_exceptions=*/false);
  if (!root.is_object()) {  // also what cannot be parsed
    return tags;
  }
  for (const auto& [key, value] : root.items()) {
    // invalid UTF-8 is replaced: dump() would throw on it.
    tags[key] = value.is_string()
                    ? value.get<std::string>()
                    : value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  }
  return tags;
}

}  // namespace finops
