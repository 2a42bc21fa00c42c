// ids.cpp - random ids and the checks on ids that come from outside.
#include "finops/base/ids.hpp"

#include <sys/random.h>

#include <cerrno>
#include <vector>

#include "finops/base/error.hpp"

namespace finops {

std::string random_id_text(int length) {
  // Crockford's base32: no i, l, o, u, so that ids can be read aloud.
  static constexpr std::string_view kAlphabet = "0123456789abcdefghjkmnpqrstvwxyz";
  std::vector<unsigned char> bytes(static_cast<std::size_t>(length));
  const ssize_t got = getrandom(bytes.data(), bytes.size(), 0);
  FINOPS_REQUIRE(got == static_cast<ssize_t>(bytes.size()), ErrorCode::SystemFailure,
                 "getrandom failed: " + errno_text(errno));
  std::string text;
  for (const unsigned char byte : bytes) {
    text.push_back(kAlphabet[byte & 31U]);
  }
  return text;
}

RunId new_run_id() { return RunId{random_id_text(12)}; }

AttemptId new_attempt_id(const RunId& run_id) {
  return AttemptId{run_id.str() + "-" + random_id_text(6)};
}

bool is_valid_id(std::string_view text) noexcept {
  if (text.empty() || text.size() > 127) {
    return false;
  }
  for (const char c : text) {
    const bool is_alphanumeric =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!is_alphanumeric && std::string_view("._:/@+-").find(c) == std::string_view::npos) {
      return false;
    }
  }
  return true;
}

bool is_file_safe(std::string_view text) noexcept {
  return is_valid_id(text) && text.front() != '.' && text.find('/') == std::string_view::npos;
}

}  // namespace finops
