// model_file_checksum.cpp - FNV-1a over a model's content.
#include "predict/model_file_checksum.hpp"

#include <bit>
#include <string_view>

#include "finops/base/fnv1a.hpp"

namespace finops::predict {
namespace {

// Numbers by their bytes, the lowest first.
class ContentHash {
 public:
  void add(std::uint64_t number, int byte_count) noexcept {
    for (int i = 0; i < byte_count; ++i) {
      hash_.add_byte(static_cast<std::uint8_t>(number >> (8 * i)));
    }
  }
  void add(std::string_view text) noexcept {
    add(text.size(), 8);
    hash_.add_bytes(text);
  }
  void add(double number) noexcept { add(std::bit_cast<std::uint64_t>(number), 8); }
  void add(float number) noexcept { add(std::bit_cast<std::uint32_t>(number), 4); }

  [[nodiscard]] std::string text() const {
    constexpr std::string_view kDigits = "0123456789abcdef";
    std::string text = "fnv1a64:";
    for (int shift = 60; shift >= 0; shift -= 4) {
      text += kDigits[(hash_.value() >> shift) & 15U];
    }
    return text;
  }

 private:
  Fnv1a hash_;
};

void add_tree(const ObliviousTree& tree, ContentHash& hash) {
  hash.add(tree.splits.size(), 8);
  for (const Split& split : tree.splits) {
    hash.add(split.feature_index, 1);
    hash.add(split.border_index, 1);
    hash.add(split.is_missing_high ? 1 : 0, 1);
  }
  hash.add(tree.leaves.size(), 8);
  for (const std::int16_t leaf : tree.leaves) {
    hash.add(static_cast<std::uint16_t>(leaf), 2);
  }
}

}  // namespace

std::string model_checksum(const ForestModel& model) {
  ContentHash hash;
  hash.add(model.feature_names.size(), 8);
  for (const std::string& name : model.feature_names) {
    hash.add(name);
  }
  hash.add(model.borders.size(), 8);
  for (const std::vector<float>& borders : model.borders) {
    hash.add(borders.size(), 8);
    for (const float border : borders) {
      hash.add(border);
    }
  }
  hash.add(model.outputs.size(), 8);
  for (const Forest& forest : model.outputs) {
    hash.add(forest.name);
    hash.add(forest.base);
    hash.add(forest.leaf_scale);
    hash.add(forest.trees.size(), 8);
    for (const ObliviousTree& tree : forest.trees) {
      add_tree(tree, hash);
    }
  }
  return hash.text();
}

}  // namespace finops::predict
