// json_depth.cpp - counts brackets outside of strings.
#include "finops/record/json_depth.hpp"

#include <algorithm>

namespace finops {

std::size_t json_depth(std::string_view json_text) noexcept {
  std::size_t depth = 0;
  std::size_t deepest = 0;
  bool is_in_string = false;
  for (std::size_t index = 0; index < json_text.size(); ++index) {
    const char c = json_text[index];
    if (is_in_string) {
      index += c == '\\' ? 1 : 0;  // what follows it ends no string
      is_in_string = c != '"';
    } else if (c == '[' || c == '{') {
      deepest = std::max(deepest, ++depth);
    } else if (c == ']' || c == '}') {
      depth -= depth > 0 ? 1 : 0;
    } else {
      is_in_string = c == '"';
    }
  }
  return deepest;
}

}  // namespace finops
