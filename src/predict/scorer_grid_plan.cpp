// scorer_grid_plan.cpp - parts a forest's trees by side and sorts their leaves.
//
// Owns: what scorer_grid_plan.hpp declares. Does not own: the scores.
#include "predict/scorer_grid_plan.hpp"

#include <algorithm>

namespace finops::predict {

PlaneSides::PlaneSides(const PackedModel& model, std::size_t job_feature_count) noexcept {
  for (std::size_t feature = job_feature_count; feature < model.feature_count; ++feature) {
    is_placement[feature] = true;
    if (const std::size_t high = model.high_planes[feature]; high != 0) {
      is_placement[high] = true;
    }
  }
}

OneSidedTrees::OneSidedTrees(std::size_t most_trees)
    : planes_(most_trees * kLevelStride),
      thresholds_(most_trees * kLevelStride),
      leaves_(most_trees * kLeafCount),
      leaf_bytes_(most_trees * 2 * kLeafCount) {}

void OneSidedTrees::add(const PackedForest& from, std::size_t tree, std::int32_t lowest,
                        std::int32_t highest) {
  const auto copy = [&](const auto* source, auto& target, std::size_t stride) {
    std::copy_n(source + tree * stride, stride, target.data() + tree_count_ * stride);
  };
  copy(from.planes, planes_, kLevelStride);
  copy(from.thresholds, thresholds_, kLevelStride);
  copy(from.leaves, leaves_, kLeafCount);
  copy(from.leaf_bytes, leaf_bytes_, 2 * kLeafCount);
  groups_.add_tree(lowest, highest);
  ++tree_count_;
}

PackedForest OneSidedTrees::packed() const noexcept {
  PackedForest forest;
  forest.tree_count = tree_count_;
  forest.planes = planes_.data();
  forest.thresholds = thresholds_.data();
  forest.leaves = leaves_.data();
  forest.leaf_bytes = leaf_bytes_.data();
  forest.group_ends = groups_.ends().data();
  forest.group_count = groups_.ends().size();
  return forest;
}

TwoSidedTrees::TwoSidedTrees(std::size_t most_trees)
    : job(most_trees),
      placement(most_trees),
      leaves(most_trees * kGridLeafStride),
      leaf_bytes(most_trees * 2 * kGridLeafStride) {}

void TwoSidedTrees::add(const PackedForest& from, std::size_t tree, const PlaneSides& sides,
                        std::int32_t lowest, std::int32_t highest) {
  std::size_t old_levels[2][kLevelCount];  // of the placement, of the job
  std::size_t counts[2] = {0, 0};
  for (std::size_t level = 0; level < kLevelCount; ++level) {
    const std::uint8_t plane = from.planes[tree * kLevelStride + level];
    const std::uint8_t threshold = from.thresholds[tree * kLevelStride + level];
    if (threshold == kNeverThreshold) {
      continue;
    }
    const std::size_t side = sides.is_placement[plane] ? 0 : 1;
    SideLevels& levels = side == 0 ? placement : job;
    const std::size_t at = tree_count * kLevelStride + counts[side];
    levels.planes[at] = plane;
    levels.thresholds[at] = threshold;
    old_levels[side][counts[side]++] = level;
  }
  placement.counts[tree_count] = static_cast<std::uint8_t>(counts[0]);
  job.counts[tree_count] = static_cast<std::uint8_t>(counts[1]);
  for (std::size_t leaf = 0; leaf < std::size_t{1} << (counts[0] + counts[1]); ++leaf) {
    std::size_t old_leaf = 0;
    for (std::size_t bit = 0; bit < counts[0] + counts[1]; ++bit) {
      const std::size_t old_level =
          bit < counts[0] ? old_levels[0][bit] : old_levels[1][bit - counts[0]];
      old_leaf |= ((leaf >> bit) & 1U) << old_level;
    }
    const std::uint8_t* old_bytes = from.leaf_bytes + tree * 2 * kLeafCount;
    std::uint8_t* bytes = leaf_bytes.data() + tree_count * 2 * kGridLeafStride;
    leaves[tree_count * kGridLeafStride + leaf] = from.leaves[tree * kLeafCount + old_leaf];
    bytes[leaf] = old_bytes[old_leaf];
    bytes[kGridLeafStride + leaf] = old_bytes[kLeafCount + old_leaf];
  }
  groups.add_tree(lowest, highest);
  ++tree_count;
}

GridForest::GridForest(const PackedForest& forest, const PlaneSides& sides)
    : job_trees(forest.tree_count),
      placement_trees(forest.tree_count),
      pair_trees(forest.tree_count) {
  for (std::size_t tree = 0; tree < forest.tree_count; ++tree) {
    bool has_job = false;
    bool has_placement = false;
    for (std::size_t level = 0; level < kLevelCount; ++level) {
      const std::size_t at = tree * kLevelStride + level;
      if (forest.thresholds[at] != kNeverThreshold) {
        (sides.is_placement[forest.planes[at]] ? has_placement : has_job) = true;
      }
    }
    const std::int16_t* leaves = forest.leaves + tree * kLeafCount;
    const auto [lowest, highest] = std::minmax_element(leaves, leaves + kLeafCount);
    if (has_job && has_placement) {
      pair_trees.add(forest, tree, sides, *lowest, *highest);
    } else {
      (has_placement ? placement_trees : job_trees).add(forest, tree, *lowest, *highest);
    }
  }
}

}  // namespace finops::predict
