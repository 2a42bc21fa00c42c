// name_table.hpp - the names of an enum's values, both ways.
//
// Owns: NameTable, name_of, value_of. Does not own: the tables (beside the records they name).
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <utility>

#include "finops/base/error.hpp"
#include "record/utf8.hpp"

namespace finops {

template <class Enum, std::size_t Size>
using NameTable = std::array<std::pair<Enum, std::string_view>, Size>;

template <class Enum, std::size_t Size>
std::string_view name_of(const NameTable<Enum, Size>& table, Enum value) noexcept {
  for (const auto& [known, name] : table) {
    if (known == value) {
      return name;
    }
  }
  return "unknown";
}

template <class Enum, std::size_t Size>
Enum value_of(const NameTable<Enum, Size>& table, std::string_view name, const char* what) {
  for (const auto& [value, known] : table) {
    if (known == name) {
      return value;
    }
  }
  std::string choices;
  for (const auto& [value, known] : table) {
    choices += (choices.empty() ? "" : ", ") + std::string(known);
  }
  detail::throw_error(ErrorCode::InvalidArgument, "unknown " + std::string(what) + " '" +
                                                      shown(name) + "'; known are " + choices);
}

}  // namespace finops
