// scorer_grid_plan.hpp - a model's trees parted by what they look at: jobs, placements, or both.
//
// Owns: GridForest, OneSidedTrees, TwoSidedTrees. Does not own: the tiles (scorer_grid.cpp).
// Invariant: the leaves of the three parts and the forest's offset_sum are the forest's sum.
#pragma once

#include <cstddef>
#include <cstdint>

#include "predict/scorer_kernels.hpp"
#include "predict/scorer_layout.hpp"

namespace finops::predict {

/// Whether a plane is of a feature of the placement.
struct PlaneSides {
  bool is_placement[kMaxPlaneCount] = {};
  PlaneSides(const PackedModel& model, std::size_t job_feature_count) noexcept;
};

/// Trees that ask one side only: a small forest of their own.
class OneSidedTrees {
 public:
  explicit OneSidedTrees(std::size_t most_trees);
  void add(const PackedForest& from, std::size_t tree, std::int32_t lowest, std::int32_t highest);
  /// Valid until the next add.
  [[nodiscard]] PackedForest packed() const noexcept;

 private:
  std::size_t tree_count_ = 0;
  AlignedArray<std::uint8_t> planes_;
  AlignedArray<std::uint8_t> thresholds_;
  AlignedArray<std::int16_t> leaves_;
  AlignedArray<std::uint8_t> leaf_bytes_;
  LeafGroups groups_;
};

/// The levels of each tree that one side answers, packed to the front.
struct SideLevels {
  explicit SideLevels(std::size_t most_trees)
      : planes(most_trees * kLevelStride),
        thresholds(most_trees * kLevelStride),
        counts(most_trees) {}
  AlignedArray<std::uint8_t> planes;
  AlignedArray<std::uint8_t> thresholds;
  AlignedArray<std::uint8_t> counts;
};

/// Trees that ask both: the placement's answers are the low bits of a leaf's index, the job's the
/// high ones, so that a job has at most 32 leaves in a row to choose from.
struct TwoSidedTrees {
  explicit TwoSidedTrees(std::size_t most_trees);
  void add(const PackedForest& from, std::size_t tree, const PlaneSides& sides, std::int32_t lowest,
           std::int32_t highest);

  std::size_t tree_count = 0;
  SideLevels job;
  SideLevels placement;
  AlignedArray<std::int16_t> leaves;      ///< [tree][kGridLeafStride]
  AlignedArray<std::uint8_t> leaf_bytes;  ///< [tree][2][kGridLeafStride]
  LeafGroups groups;
};

struct GridForest {
  GridForest(const PackedForest& forest, const PlaneSides& sides);
  OneSidedTrees job_trees;
  OneSidedTrees placement_trees;
  TwoSidedTrees pair_trees;
};

}  // namespace finops::predict
