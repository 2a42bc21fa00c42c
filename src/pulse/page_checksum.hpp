// page_checksum.hpp - the checksum of a live page's static part.
//
// Owns: crc32. Does not own: where it stands in a page (page_codec.cpp). Private to pulse; tests
// forge pages with it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace finops::pulse {

/// CRC-32 (IEEE 802.3), bit by bit: a page is written once, so a table is not worth its place.
[[nodiscard]] inline std::uint32_t crc32(const char* bytes, std::size_t size) noexcept {
  std::uint32_t crc = 0xFFFFFFFFU;
  for (std::size_t i = 0; i < size; ++i) {
    crc ^= static_cast<unsigned char>(bytes[i]);
    for (int bit = 0; bit < 8; ++bit) {
      crc = (crc >> 1) ^ ((crc & 1U) != 0 ? 0xEDB88320U : 0U);
    }
  }
  return ~crc;
}

}  // namespace finops::pulse
