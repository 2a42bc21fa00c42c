// sha256.hpp - SHA-256 by libmd.
//
// Owns: Sha256. Private to the audit chain: nothing else sees sha2.h.
#pragma once

#include <sha2.h>

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace finops::ledger {

class Sha256 {
 public:
  Sha256() { SHA256Init(&context_); }
  void add(std::string_view bytes) {
    SHA256Update(&context_, reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
  }
  /// The digest in 64 lower-case hexadecimal digits. Ends the use of this object.
  [[nodiscard]] std::string hex() {
    std::array<std::uint8_t, SHA256_DIGEST_LENGTH> digest{};
    SHA256Final(digest.data(), &context_);
    constexpr std::string_view kDigits = "0123456789abcdef";
    std::string text;
    text.reserve(2 * digest.size());
    for (const std::uint8_t byte : digest) {
      text += kDigits[byte >> 4U];
      text += kDigits[byte & 15U];
    }
    return text;
  }

 private:
  SHA2_CTX context_{};
};

}  // namespace finops::ledger
