// utf8.cpp - decodes UTF-8 strictly.
#include "record/utf8.hpp"

#include <array>
#include <cstdio>

#include "finops/base/error.hpp"

namespace finops {
namespace {

constexpr std::size_t kLongestShown = 60;

// How many bytes follow a first byte, and the smallest code point that needs so many.
struct Form {
  std::uint32_t continuation_count;
  std::uint32_t smallest;
  std::uint32_t first_bits;
};

Form form_of(std::uint32_t first) noexcept {
  if (first < 0x80) {
    return {0, 0, first};
  }
  if (first >= 0xC0 && first < 0xE0) {
    return {1, 0x80, first & 0x1FU};
  }
  if (first >= 0xE0 && first < 0xF0) {
    return {2, 0x800, first & 0x0FU};
  }
  if (first >= 0xF0 && first < 0xF8) {
    return {3, 0x10000, first & 0x07U};
  }
  return {0, 1, 0};  // no first byte: its code point 0 is below the smallest
}

bool begins_with_blank(std::string_view text) {
  std::size_t position = 0;
  return is_blank(next_code_point(text, position));
}

bool ends_with_blank(std::string_view text) {
  std::size_t last = text.size() - 1;
  while (last > 0 && (static_cast<unsigned char>(text[last]) & 0xC0U) == 0x80) {
    --last;
  }
  return is_blank(next_code_point(text, last));
}

}  // namespace

std::uint32_t next_code_point(std::string_view text, std::size_t& position) noexcept {
  const std::size_t start = position++;
  const Form form = form_of(static_cast<unsigned char>(text[start]));
  std::uint32_t code_point = form.first_bits;
  if (text.size() - start <= form.continuation_count) {
    return kInvalidCodePoint;
  }
  for (std::size_t i = 1; i <= form.continuation_count; ++i) {
    const auto byte = static_cast<unsigned char>(text[start + i]);
    if ((byte & 0xC0U) != 0x80) {
      return kInvalidCodePoint;
    }
    code_point = (code_point << 6U) | (byte & 0x3FU);
  }
  const bool is_surrogate = code_point >= 0xD800 && code_point <= 0xDFFF;
  if (code_point < form.smallest || code_point > 0x10FFFF || is_surrogate) {
    return kInvalidCodePoint;
  }
  position = start + 1 + form.continuation_count;
  return code_point;
}

bool is_unprintable(std::uint32_t code_point) noexcept {
  return code_point < 0x20 || (code_point >= 0x7F && code_point <= 0x9F) || code_point == 0x2028 ||
         code_point == 0x2029;
}

bool is_blank(std::uint32_t code_point) noexcept {
  return code_point == 0x20 || code_point == 0xA0 || code_point == 0x1680 ||
         (code_point >= 0x2000 && code_point <= 0x200A) || code_point == 0x202F ||
         code_point == 0x205F || code_point == 0x3000;
}

std::string shown(std::string_view text) {
  std::string result;
  std::size_t position = 0;
  while (position < text.size() && position < kLongestShown) {
    const std::size_t start = position;
    const std::uint32_t code_point = next_code_point(text, position);
    if (code_point != kInvalidCodePoint && !is_unprintable(code_point)) {
      result += text.substr(start, position - start);
      continue;
    }
    for (std::size_t i = start; i < position; ++i) {
      std::array<char, 8> buffer{};
      std::snprintf(buffer.data(), buffer.size(), "\\x%02x",
                    static_cast<unsigned>(static_cast<unsigned char>(text[i])));
      result += buffer.data();
    }
  }
  return position < text.size() ? result + "..." : result;
}

void require_text(const char* what, std::string_view text, std::size_t longest) {
  FINOPS_REQUIRE(text.size() <= longest, ErrorCode::InvalidArgument,
                 std::string(what) + " has " + std::to_string(text.size()) + " bytes, at most " +
                     std::to_string(longest) + " are kept: '" + shown(text) + "'");
  for (std::size_t position = 0; position < text.size();) {
    const std::size_t start = position;
    const std::uint32_t code_point = next_code_point(text, position);
    FINOPS_REQUIRE(code_point != kInvalidCodePoint && !is_unprintable(code_point),
                   ErrorCode::InvalidArgument,
                   std::string(what) + " is no UTF-8 or has a control character at byte " +
                       std::to_string(start + 1) + ": '" + shown(text) + "'; take it out");
  }
}

void require_name(const char* what, std::string_view name, std::size_t longest) {
  FINOPS_REQUIRE(!name.empty(), ErrorCode::InvalidArgument,
                 std::string(what) + " is empty; give it a name");
  require_text(what, name, longest);
  FINOPS_REQUIRE(!begins_with_blank(name) && !ends_with_blank(name), ErrorCode::InvalidArgument,
                 std::string(what) + " begins or ends with a blank: '" + shown(name) +
                     "'; take it out");
}

}  // namespace finops
