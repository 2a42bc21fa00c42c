// fuzz.hpp - what the fuzz targets share: reading values from bytes, and what may be thrown.
//
// Owns: Bytes, is_allowed, require, TempFolder. Does not own: any target.
// Invariants: equal bytes give equal values, so that an input replays; only finops::Error is an
// answer, whatever else is thrown ends the process as a crash does.
#pragma once

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <iterator>
#include <string>
#include <string_view>

#include "finops/base/error.hpp"

namespace finops::fuzz {

/// Reads values from the front of an input; what is not there is zero.
class Bytes {
 public:
  Bytes(const std::uint8_t* data, std::size_t size) : data_(data), size_(size) {}

  [[nodiscard]] bool empty() const noexcept { return position_ == size_; }
  [[nodiscard]] std::size_t left() const noexcept { return size_ - position_; }
  std::uint8_t byte() noexcept { return empty() ? std::uint8_t{0} : data_[position_++]; }
  bool chance() noexcept { return (byte() & 1U) != 0; }
  /// 0 to `count` - 1.
  std::size_t choice(std::size_t count) noexcept { return byte() % count; }

  /// Any integer; one that is near an end of its range or near zero as often as any other.
  std::int64_t integer() noexcept {
    constexpr std::int64_t kHour = 3'600'000'000'000;
    switch (byte() % 8) {
      case 0: return static_cast<std::int8_t>(byte());
      case 1: return INT64_MAX - byte();
      case 2: return INT64_MIN + byte();
      case 3: return kHour * static_cast<std::int8_t>(byte());
      case 4: return std::int64_t{1} << (byte() % 63);
      case 5: return static_cast<std::int32_t>(raw<std::uint32_t>());
      default: return static_cast<std::int64_t>(raw<std::uint64_t>());
    }
  }
  /// `low` to `high`, both possible.
  std::int64_t between(std::int64_t low, std::int64_t high) noexcept {
    const auto span = static_cast<std::uint64_t>(high - low) + 1;
    return low + static_cast<std::int64_t>(raw<std::uint32_t>() % span);
  }
  template <class Integer>
  Integer raw() noexcept {
    Integer value{};
    copy_to(&value, sizeof value);
    return value;
  }
  /// Up to `size` bytes into `target`; the rest of it is left as it is.
  void copy_to(void* target, std::size_t size) noexcept {
    const std::size_t taken = std::min(size, left());
    if (taken > 0) {
      std::memcpy(target, data_ + position_, taken);
    }
    position_ += taken;
  }
  /// A text of the length that the next byte says.
  std::string text(std::size_t longest = 255) {
    const std::size_t size = std::min({std::size_t{byte()}, longest, left()});
    std::string text(size, '\0');
    copy_to(text.data(), size);
    return text;
  }
  std::string rest() {
    std::string text(left(), '\0');
    copy_to(text.data(), text.size());
    return text;
  }
  std::string one_of(std::initializer_list<std::string_view> texts) {
    return std::string(*(texts.begin() + static_cast<std::ptrdiff_t>(choice(texts.size()))));
  }

 private:
  const std::uint8_t* data_;
  std::size_t size_;
  std::size_t position_ = 0;
};

/// Calls; false if it refused with an Error. Anything else goes through and is a finding.
template <class Call>
bool is_allowed(Call call) {
  try {
    call();
    return true;
  } catch (const Error&) {
    return false;
  }
}

/// What must hold, or the process ends.
inline void require(bool holds, const std::string& what) {
  if (!holds) {
    std::fprintf(stderr, "does not hold: %s\n", what.c_str());
    std::abort();
  }
}

/// A folder in memory where there is one, made once for a process and removed at its end.
class TempFolder {
 public:
  TempFolder() {
    const bool has_memory = access("/dev/shm", W_OK) == 0;
    path_ = std::string(has_memory ? "/dev/shm" : "/tmp") + "/finops-fuzz-XXXXXX";
    require(mkdtemp(path_.data()) != nullptr, "mkdtemp " + path_);
  }
  ~TempFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  [[nodiscard]] std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

inline void write_file(const std::string& path, std::string_view content) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(content.data(), static_cast<std::streamsize>(content.size()));
  require(file.good(), "writing " + path);
}

/// A file that nobody else can write, as the library asks of its own.
inline void write_private_file(const std::string& path, std::string_view content) {
  write_file(path, content);
  require(chmod(path.c_str(), 0600) == 0, "chmod " + path);
}

inline std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace finops::fuzz
