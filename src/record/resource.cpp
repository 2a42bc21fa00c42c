// resource.cpp - the grammar of resource strings.
#include "finops/record/resource.hpp"

#include <algorithm>
#include <vector>

#include "finops/base/error.hpp"

namespace finops {
namespace {

constexpr std::int64_t kMaximumCount = 1'000'000;
constexpr std::size_t kMaximumLength = 95;  // what a live page has room for

[[noreturn]] void fail(std::string_view text, const std::string& why) {
  detail::throw_error(ErrorCode::InvalidArgument,
                      "not a resource: '" + std::string(text) + "': " + why +
                          "; write [COUNTx]NAME[:FRACTION][@PROVIDER[:REGION][:spot]], for "
                          "example 8xH100, a100-80gb:0.25 or p5.48xlarge@aws:us-east-1:spot");
}

bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }

bool is_name_character(char c) noexcept {
  return is_digit(c) || ((c | 32) >= 'a' && (c | 32) <= 'z') || c == '.' || c == '-' || c == '_';
}

// "8xH100" has a count, "x1.large" and "8" have none.
std::size_t count_length(std::string_view text) noexcept {
  std::size_t length = 0;
  while (length < text.size() && is_digit(text[length])) {
    ++length;
  }
  const bool has_count = length > 0 && length < text.size() && (text[length] | 32) == 'x';
  return has_count ? length : 0;
}

std::int64_t parse_count(std::string_view text, std::string_view digits) {
  std::int64_t count = 0;
  for (const char c : digits) {
    count = std::min(count * 10 + (c - '0'), kMaximumCount + 1);
  }
  if (count < 1 || count > kMaximumCount) {
    fail(text, "the count must be 1 to 1000000");
  }
  return count;
}

// "0.25" -> 250'000 micros.
std::int64_t parse_fraction(std::string_view text, std::string_view fraction) {
  const std::size_t point = fraction.find('.');
  const std::string_view whole = fraction.substr(0, point);
  const std::string_view decimals =
      point == std::string_view::npos ? std::string_view{} : fraction.substr(point + 1);
  const bool all_digits = std::all_of(whole.begin(), whole.end(), is_digit) &&
                          std::all_of(decimals.begin(), decimals.end(), is_digit);
  if (whole.size() != 1 || !all_digits || decimals.size() > 6) {
    fail(text,
         "the fraction '" + std::string(fraction) + "' is not a number with up to 6 decimals");
  }
  std::string micros(whole);
  micros += decimals;
  micros.append(6 - decimals.size(), '0');
  const std::int64_t value = std::stoll(micros);
  if (value < 1 || value > kMicrosPerUnit) {
    fail(text, "the fraction must be above 0 and at most 1");
  }
  return value;
}

bool is_place_name(std::string_view text) noexcept {
  return !text.empty() && std::all_of(text.begin(), text.end(), is_name_character);
}

// PROVIDER, PROVIDER:spot, PROVIDER:REGION, PROVIDER:REGION:spot.
void parse_place(std::string_view text, std::string_view place, Resource& resource) {
  std::vector<std::string_view> parts;
  for (std::size_t begin = 0; begin <= place.size();) {
    const std::size_t end = std::min(place.find(':', begin), place.size());
    parts.push_back(place.substr(begin, end - begin));
    begin = end + 1;
  }
  if (!std::all_of(parts.begin(), parts.end(), is_place_name)) {
    fail(text, "a part after '@' is empty or has an odd character");
  }
  if (parts.size() > 1 && (parts.back() == "spot" || parts.back() == "on-demand")) {
    const bool is_spot = parts.back() == "spot";
    resource.pricing_category = is_spot ? PricingCategory::Dynamic : PricingCategory::Standard;
    parts.pop_back();
  }
  if (parts.size() > 2) {
    fail(text, "too many parts after '@'");
  }
  resource.provider = std::string(parts[0]);
  resource.region = parts.size() == 2 ? std::string(parts[1]) : "";
}

}  // namespace

Resource parse_resource(std::string_view text) {
  if (text.size() > kMaximumLength) {
    fail(text.substr(0, 20), "it is longer than 95 characters");
  }
  Resource resource;
  resource.text = std::string(text);
  const std::size_t at = text.find('@');
  std::string_view what = text.substr(0, at);
  if (const std::size_t length = count_length(what); length > 0) {
    resource.micro_count = parse_count(text, what.substr(0, length)) * kMicrosPerUnit;
    what.remove_prefix(length + 1);
  }
  if (const std::size_t colon = what.find(':'); colon != std::string_view::npos) {
    if (resource.micro_count != kMicrosPerUnit) {
      fail(text, "a count and a fraction together");
    }
    resource.micro_count = parse_fraction(text, what.substr(colon + 1));
    what = what.substr(0, colon);
  }
  if (what.empty() || !std::all_of(what.begin(), what.end(), is_name_character)) {
    fail(text, "the name is empty or has an odd character");
  }
  // "2.5xH100" would be a name, and be billed as one GPU.
  const std::size_t number = std::min(what.find_first_not_of("0123456789.-"), what.size());
  const bool is_odd_count = number > 0 && number < what.size() && (what[number] | 32) == 'x';
  if (is_odd_count || what.front() == '-' || what.front() == '.') {
    fail(text, "the count must be a whole number above 0; a part of a GPU is written H100:0.5");
  }
  resource.name = std::string(what);
  if (at != std::string_view::npos) {
    parse_place(text, text.substr(at + 1), resource);
  }
  return resource;
}

}  // namespace finops
