// content_suffix.hpp - a short text that stands for a long one inside an id.
//
// Owns: content_suffix. Invariant: equal texts give equal suffixes, on every machine.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "finops/base/fnv1a.hpp"

namespace finops {

/// 12 characters of Crockford's base32, from FNV-1a of 64 bits: an id for content, not a defence
/// against forgery.
[[nodiscard]] inline std::string content_suffix(std::string_view content) {
  std::uint64_t hash = fnv1a(content);
  std::string suffix;
  for (; suffix.size() < 12; hash >>= 5) {
    suffix.push_back("0123456789abcdefghjkmnpqrstvwxyz"[hash & 31U]);
  }
  return suffix;
}

}  // namespace finops
