// feature_stream_keys.cpp - hashes of a job's words, and the stem of its name.
#include "predict/feature_stream_keys.hpp"

#include <algorithm>

namespace finops::predict {
namespace {

// SplitMix64's finisher. Source: Steele, Lea, Flood, "Fast splittable pseudorandom number
// generators", OOPSLA 2014.
std::uint64_t mix(std::uint64_t value) noexcept {
  value ^= value >> 30;
  value *= 0xBF58476D1CE4E5B9;
  value ^= value >> 27;
  value *= 0x94D049BB133111EB;
  value ^= value >> 31;
  return value;
}

std::uint64_t join(std::uint64_t left, std::uint64_t right) noexcept {
  return mix(left * 0x9E3779B97F4A7C15 + right + 1);
}

// FNV-1a. Source: Fowler, Noll, Vo; constants of draft-eastlake-fnv.
std::uint64_t hash_of(std::string_view text) noexcept {
  std::uint64_t hash = 0xCBF29CE484222325;
  for (const char c : text) {
    hash ^= static_cast<unsigned char>(c);
    hash *= 0x100000001B3;
  }
  return mix(hash);
}

// 0 says that a word is missing, so no hash may be 0.
std::uint64_t not_zero(std::uint64_t hash) noexcept { return hash == 0 ? 1 : hash; }

bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }
bool is_hex_letter(char c) noexcept { return c >= 'a' && c <= 'f'; }
// Bytes of UTF-8 beyond ASCII are parts of words.
bool is_word(char c) noexcept {
  return is_digit(c) || (c >= 'a' && c <= 'z') || static_cast<unsigned char>(c) >= 0x80;
}
char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

// A counter, a date, a time or a hash: it will be another one next time.
bool is_passing(std::string_view word) noexcept {
  const auto digit_count = std::count_if(word.begin(), word.end(), is_digit);
  const bool is_hex =
      std::all_of(word.begin(), word.end(), [](char c) { return is_digit(c) || is_hex_letter(c); });
  return digit_count == static_cast<std::ptrdiff_t>(word.size()) || digit_count >= 6 ||
         (is_hex && digit_count > 0 && word.size() >= 6);
}

}  // namespace

std::string name_stem(std::string_view name) {
  constexpr std::size_t kLongestName = 512;
  std::string stem;
  std::string word;
  const auto take_word = [&stem, &word] {
    if (!word.empty() && !is_passing(word)) {
      word.erase(word.find_last_not_of("0123456789") + 1);
      stem += stem.empty() ? "" : "-";
      stem += word;
    }
    word.clear();
  };
  for (const char c : name.substr(0, kLongestName)) {
    const char small = lower(c);
    if (is_word(small)) {
      word += small;
    } else {
      take_word();
    }
  }
  take_word();
  return stem;
}

JobKeys keys_of(const Job& job) {
  const auto hash_or_zero = [](std::string_view text) {
    return text.empty() ? 0 : not_zero(hash_of(text));
  };
  // A job of nobody in particular is still of someone: histories without users have one.
  const std::uint64_t user = not_zero(hash_of(job.user_name));
  const std::uint64_t group = hash_or_zero(job.group_name);
  const std::uint64_t queue = hash_or_zero(job.queue);
  const std::uint64_t name = hash_or_zero(name_stem(job.name));
  const auto gpus = static_cast<std::uint64_t>(job.gpu_count);
  const auto request = static_cast<std::uint64_t>(job.requested_seconds.value_or(-1));
  const std::uint64_t shape = join(gpus, request);
  const auto both = [](std::uint64_t left, std::uint64_t right) {
    return left == 0 || right == 0 ? 0 : not_zero(join(left, right));
  };
  JobKeys keys{};
  const auto set = [&keys](KeyKind kind, std::uint64_t key) {
    keys[static_cast<std::size_t>(kind)] = key;
  };
  set(KeyKind::Sibling, not_zero(join(join(user, shape), name)));
  set(KeyKind::UserName, both(user, name));
  set(KeyKind::UserGpus, not_zero(join(user, gpus)));
  set(KeyKind::UserQueue, both(user, queue));
  set(KeyKind::User, user);
  set(KeyKind::GroupGpusRequest, group == 0 ? 0 : not_zero(join(group, shape)));
  set(KeyKind::Name, name);
  set(KeyKind::Group, group);
  return keys;
}

}  // namespace finops::predict
