// scorer_layout.cpp - packs a model: planes, borders to search, centred leaves, groups of trees.
//
// Owns: what scorer_layout.hpp declares. Does not own: the kernels that read it.
#include "predict/scorer_layout.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>

namespace finops::predict {
namespace {

constexpr std::size_t kBorderStride = 128;
constexpr std::size_t kLanes = 16;

// Where a level's borders begin in a feature's search.
constexpr std::size_t search_offset(std::size_t level) {
  return level <= 5 ? 16 * level : 5 * 16 + 32;
}

// The bin that a search of `level_count` levels means by its answers, first answer lowest.
std::size_t bin_of_answers(std::size_t answers, std::size_t level_count) {
  std::size_t bin = 0;
  for (std::size_t level = 0; level < level_count; ++level) {
    bin |= ((answers >> level) & 1) << (level_count - 1 - level);
  }
  return bin;
}

// `borders`: [kBorderStride], sorted. Each level has 2^level borders, at the answers so far.
void fill_search(const float* borders, std::size_t level_count, float* search) {
  for (std::size_t level = 0; level < level_count; ++level) {
    const std::size_t entry_count = std::size_t{1} << level;
    for (std::size_t i = 0; i < std::max(entry_count, kLanes); ++i) {
      const std::size_t passed = bin_of_answers(i % entry_count, level_count);
      const std::size_t half = std::size_t{1} << (level_count - 1 - level);
      search[search_offset(level) + i] = borders[passed + half - 1];
    }
  }
}

std::uint8_t narrow_to_byte(std::size_t value) { return static_cast<std::uint8_t>(value); }

}  // namespace

void LeafGroups::add_tree(std::int32_t lowest, std::int32_t highest) {
  const bool is_fitting = !ends_.empty() &&
                          lowest_ + lowest >= std::numeric_limits<std::int16_t>::min() &&
                          highest_ + highest <= std::numeric_limits<std::int16_t>::max();
  if (is_fitting) {
    ends_.back() += 1;
    lowest_ += lowest;
    highest_ += highest;
    return;
  }
  ends_.push_back(ends_.empty() ? 1 : ends_.back() + 1);
  lowest_ = lowest;
  highest_ = highest;
}

void LeafGroups::clear() noexcept {
  ends_.clear();
  lowest_ = highest_ = 0;
}

PackedModelOwner::PackedModelOwner(const ForestModel& model) {
  packed_.feature_count = model.feature_names.size();
  packed_.padded_feature_count = std::max(packed_.feature_count, kFeatureStep);
  packed_.output_count = model.outputs.size();
  choose_planes(model);
  pack_borders(model);
  pack_lane_borders(model);
  arrays_.resize(model.outputs.size());
  outputs_.resize(model.outputs.size());
  for (std::size_t i = 0; i < model.outputs.size(); ++i) {
    pack_forest(model.outputs[i], arrays_[i], outputs_[i]);
  }
  packed_.outputs = outputs_.data();
}

// A second plane only for features of which some tree lets a missing value go high.
void PackedModelOwner::choose_planes(const ForestModel& model) {
  high_planes_ = AlignedArray<std::uint8_t>(packed_.padded_feature_count);
  std::size_t plane_count = packed_.padded_feature_count;
  for (const Forest& forest : model.outputs) {
    for (const ObliviousTree& tree : forest.trees) {
      for (const Split& split : tree.splits) {
        if (split.is_missing_high && high_planes_[split.feature_index] == 0) {
          high_planes_[split.feature_index] = narrow_to_byte(plane_count++);
        }
      }
    }
  }
  packed_.plane_count = plane_count;
  packed_.high_planes = high_planes_.data();
}

void PackedModelOwner::pack_borders(const ForestModel& model) {
  const std::size_t feature_count = packed_.padded_feature_count;
  borders_ = AlignedArray<float>(feature_count * kBorderStride);
  border_counts_ = AlignedArray<std::uint8_t>(feature_count);
  search_level_counts_ = AlignedArray<std::uint8_t>(feature_count);
  searches_ = AlignedArray<float>(feature_count * kSearchStride);
  bin_of_code_ = AlignedArray<std::uint8_t>((kSearchLevelCount + 1) * 2 * kLanes);
  std::fill_n(borders_.data(), feature_count * kBorderStride,
              std::numeric_limits<float>::infinity());
  for (std::size_t feature = 0; feature < model.borders.size(); ++feature) {
    const std::vector<float>& borders = model.borders[feature];
    float* target = borders_.data() + feature * kBorderStride;
    std::copy(borders.begin(), borders.end(), target);
    const auto level_count = static_cast<std::size_t>(std::bit_width(borders.size()));
    border_counts_[feature] = narrow_to_byte(borders.size());
    search_level_counts_[feature] = narrow_to_byte(level_count);
    fill_search(target, level_count, searches_.data() + feature * kSearchStride);
  }
  for (std::size_t levels = 0; levels <= kSearchLevelCount; ++levels) {
    for (std::size_t i = 0; i < kLanes; ++i) {
      std::uint8_t* tables = bin_of_code_.data() + levels * 2 * kLanes;
      tables[i] = narrow_to_byte(bin_of_answers(i, levels));
      tables[kLanes + i] = narrow_to_byte(bin_of_answers(i << 4, levels));
    }
  }
  packed_.borders = borders_.data();
  packed_.border_counts = border_counts_.data();
  packed_.search_level_counts = search_level_counts_.data();
  packed_.searches = searches_.data();
  packed_.bin_of_code = bin_of_code_.data();
}

void PackedModelOwner::pack_lane_borders(const ForestModel& model) {
  const std::size_t group_count = (packed_.feature_count + kLanes - 1) / kLanes;
  lane_border_counts_ = AlignedArray<std::uint8_t>(group_count);
  std::size_t row_count = 0;
  for (std::size_t feature = 0; feature < model.borders.size(); ++feature) {
    std::uint8_t& count = lane_border_counts_[feature / kLanes];
    count = std::max(count, border_counts_[feature]);
  }
  for (std::size_t group = 0; group < group_count; ++group) {
    row_count += lane_border_counts_[group];
  }
  lane_borders_ = AlignedArray<float>(row_count * kLanes);
  std::fill_n(lane_borders_.data(), row_count * kLanes, std::numeric_limits<float>::infinity());
  float* target = lane_borders_.data();
  for (std::size_t group = 0; group < group_count; ++group) {
    const std::size_t end = std::min((group + 1) * kLanes, model.borders.size());
    for (std::size_t feature = group * kLanes; feature < end; ++feature) {
      for (std::size_t border = 0; border < model.borders[feature].size(); ++border) {
        target[border * kLanes + feature % kLanes] = model.borders[feature][border];
      }
    }
    target += lane_border_counts_[group] * kLanes;
  }
  packed_.lane_borders = lane_borders_.data();
  packed_.lane_border_counts = lane_border_counts_.data();
}

void PackedModelOwner::pack_forest(const Forest& forest, ForestArrays& arrays,
                                   PackedForest& packed) const {
  std::size_t tree_count = 0;
  for (const ObliviousTree& tree : forest.trees) {
    tree_count += tree.splits.empty() ? 0 : 1;
  }
  const std::size_t lane_tree_count = (tree_count + kBlockRows - 1) / kBlockRows * kBlockRows;
  arrays.planes = AlignedArray<std::uint8_t>(tree_count * kLevelStride);
  arrays.thresholds = AlignedArray<std::uint8_t>(tree_count * kLevelStride);
  arrays.leaves = AlignedArray<std::int16_t>(tree_count * kLeafCount);
  arrays.leaf_bytes = AlignedArray<std::uint8_t>(tree_count * 2 * kLeafCount);
  arrays.lane_planes = AlignedArray<std::uint8_t>(lane_tree_count * kLevelCount);
  arrays.lane_thresholds = AlignedArray<std::uint8_t>(lane_tree_count * kLevelCount);
  std::size_t index = 0;
  for (const ObliviousTree& tree : forest.trees) {
    if (tree.splits.empty()) {  // the same for every row
      packed.offset_sum += static_cast<std::uint32_t>(std::int32_t{tree.leaves.front()});
    } else {
      pack_tree(tree, index++, arrays, packed);
    }
  }
  packed.tree_count = tree_count;
  packed.planes = arrays.planes.data();
  packed.thresholds = arrays.thresholds.data();
  packed.leaves = arrays.leaves.data();
  packed.leaf_bytes = arrays.leaf_bytes.data();
  packed.group_ends = arrays.groups.ends().data();
  packed.group_count = arrays.groups.ends().size();
  packed.lane_planes = arrays.lane_planes.data();
  packed.lane_thresholds = arrays.lane_thresholds.data();
  packed.base = forest.base;
  packed.leaf_scale = forest.leaf_scale;
}

void PackedModelOwner::pack_tree(const ObliviousTree& tree, std::size_t index, ForestArrays& arrays,
                                 PackedForest& packed) const {
  for (std::size_t level = 0; level < kLevelCount; ++level) {
    std::size_t plane = 0;
    std::size_t threshold = kNeverThreshold;
    if (level < tree.splits.size()) {
      const Split& split = tree.splits[level];
      plane =
          split.is_missing_high ? high_planes_.data()[split.feature_index] : split.feature_index;
      threshold = split.border_index;
    }
    const std::size_t lane =
        (index / kBlockRows * kLevelCount + level) * kBlockRows + index % kBlockRows;
    arrays.planes[index * kLevelStride + level] = narrow_to_byte(plane);
    arrays.thresholds[index * kLevelStride + level] = narrow_to_byte(threshold);
    arrays.lane_planes[lane] = narrow_to_byte(plane);
    arrays.lane_thresholds[lane] = narrow_to_byte(threshold);
  }
  const auto [lowest, highest] = std::minmax_element(tree.leaves.begin(), tree.leaves.end());
  const std::int32_t centre = *lowest + (*highest - *lowest + 1) / 2;
  packed.offset_sum += static_cast<std::uint32_t>(centre);
  arrays.groups.add_tree(*lowest - centre, *highest - centre);
  std::uint8_t* bytes = arrays.leaf_bytes.data() + index * 2 * kLeafCount;
  for (std::size_t leaf = 0; leaf < kLeafCount; ++leaf) {
    const auto value = static_cast<std::int16_t>(tree.leaves[leaf % tree.leaves.size()] - centre);
    arrays.leaves[index * kLeafCount + leaf] = value;
    const auto bits = static_cast<std::uint16_t>(value);
    bytes[leaf] = narrow_to_byte(bits & 0xffU);
    bytes[kLeafCount + leaf] = narrow_to_byte(bits >> 8U);
  }
}

}  // namespace finops::predict
