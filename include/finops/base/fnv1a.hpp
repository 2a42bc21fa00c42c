// fnv1a.hpp - a number that stands for content, the same on every machine.
//
// Owns: Fnv1a. Does not own: what is hashed, and how the number is written. No defence against
// forgery: that is SHA-256's (ledger/sha256.hpp).
// Source: Fowler, Noll, Vo, "The FNV Non-Cryptographic Hash Algorithm", draft-eastlake-fnv.
#pragma once

#include <cstdint>
#include <string_view>

namespace finops {

/// FNV-1a, 64 bits.
class Fnv1a {
 public:
  void add_byte(std::uint8_t byte) noexcept { hash_ = (hash_ ^ byte) * 0x100000001B3U; }
  void add_bytes(std::string_view bytes) noexcept {
    for (const char c : bytes) {
      add_byte(static_cast<std::uint8_t>(c));
    }
  }
  [[nodiscard]] std::uint64_t value() const noexcept { return hash_; }

 private:
  std::uint64_t hash_ = 0xCBF29CE484222325U;
};

[[nodiscard]] inline std::uint64_t fnv1a(std::string_view bytes) noexcept {
  Fnv1a hash;
  hash.add_bytes(bytes);
  return hash.value();
}

}  // namespace finops
