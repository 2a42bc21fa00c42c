// strict_json.cpp - the checks that nlohmann_json leaves out.
#include "record/strict_json.hpp"

#include <set>
#include <string>
#include <vector>

#include "finops/base/error.hpp"
#include "finops/record/json_check.hpp"
#include "finops/record/json_depth.hpp"
#include "record/utf8.hpp"

namespace finops {
namespace {

using Json = nlohmann::json;

// nlohmann_json would quote the bytes in its message, which then is no text either.
void require_utf8(std::string_view text) {
  for (std::size_t position = 0; position < text.size();) {
    const std::size_t start = position;
    FINOPS_REQUIRE(next_code_point(text, position) != kInvalidCodePoint, ErrorCode::InvalidArgument,
                   "byte " + std::to_string(start + 1) + " is no UTF-8; save the text as UTF-8");
  }
}

}  // namespace

Json parse_strict(std::string_view json_text) {
  require_utf8(json_text);
  FINOPS_REQUIRE(json_depth(json_text) <= kDeepestJson, ErrorCode::InvalidArgument,
                 "it is nested deeper than " + std::to_string(kDeepestJson) + " levels");
  std::vector<std::set<std::string>> keys;  // of the objects that are open
  const auto check = [&keys](int, Json::parse_event_t event, Json& value) {
    if (event == Json::parse_event_t::object_start) {
      keys.emplace_back();
    } else if (event == Json::parse_event_t::object_end) {
      keys.pop_back();
    } else if (event == Json::parse_event_t::key) {
      const auto key = value.get<std::string>();
      FINOPS_REQUIRE(keys.back().insert(key).second, ErrorCode::InvalidArgument,
                     "the field '" + shown(key) + "' occurs twice in one object");
    }
    return true;
  };
  try {
    return Json::parse(json_text, check);
  } catch (const Json::exception& error) {
    detail::throw_error(ErrorCode::InvalidArgument, std::string("no JSON: ") + error.what());
  }
}

void require_strict_json(std::string_view json_text) { (void)parse_strict(json_text); }

}  // namespace finops
