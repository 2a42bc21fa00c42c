// fuzz_tags.cpp - the tags of a run, as JSON.
//
// Invariant: bad tags stop nobody: whatever the text is, it gives tags or none, and never throws.
#include "finops/record/run.hpp"
#include "fuzz.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  finops::fuzz::Bytes bytes(data, size);
  for (const auto& [key, value] : finops::parse_tags(bytes.rest())) {
    finops::fuzz::require(key.size() + value.size() <= 8 * size + 16, "tags do not grow");
  }
  return 0;
}
