// utf8.hpp - text from outside: is it UTF-8, and can a screen show it?
//
// Owns: next_code_point, is_unprintable, is_blank, shown, require_text, require_name. Does not own:
// which text may be what.
// Invariant: reads no byte past the end, whatever the bytes are.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace finops {

/// Not a code point: the bytes there are no UTF-8.
inline constexpr std::uint32_t kInvalidCodePoint = 0xFFFFFFFF;

/// The code point at `position` (below the text's size), which moves past it; kInvalidCodePoint,
/// and one byte on, if the bytes are none. Source: Unicode 15.0, table 3-7.
[[nodiscard]] std::uint32_t next_code_point(std::string_view text, std::size_t& position) noexcept;

/// C0 and C1 controls, DEL, and the two separators that break a line where nobody expects it.
[[nodiscard]] bool is_unprintable(std::uint32_t code_point) noexcept;
/// Unicode's White_Space, as far as it is printable.
[[nodiscard]] bool is_blank(std::uint32_t code_point) noexcept;

/// At most 60 bytes of `text` for a message: what is no text or no printable one as \xNN.
[[nodiscard]] std::string shown(std::string_view text);

/// Throws Error(InvalidArgument) if `text` has more than `longest` bytes, is no UTF-8, or has what
/// is unprintable. `what` names the field.
void require_text(const char* what, std::string_view text, std::size_t longest);
/// And if it is empty or has blanks at its ends: such names cannot be told apart.
void require_name(const char* what, std::string_view name, std::size_t longest);

}  // namespace finops
