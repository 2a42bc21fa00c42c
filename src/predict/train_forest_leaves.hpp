// train_forest_leaves.hpp - what a leaf says: its mean or quantile, shrunk, ordered, rounded.
//
// Owns: leaf values, the order that constraints ask for, 16-bit rounding. Private to predict.
// Invariant: after order_leaves no pair of a constrained level is the wrong way round, whatever
// the other levels are; shrinking by rate and rounding keep that.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "finops/predict/train_forest.hpp"
#include "predict/train_forest_histogram.hpp"

namespace finops::predict {

/// The smallest of `values` that at least `quantile` of the weight does not exceed. `values` are
/// those of `rows`, and come back in another order. At least one row.
[[nodiscard]] float quantile_of(std::vector<float>& values, std::span<const std::uint32_t> rows,
                                std::span<const float> weights, double quantile);

struct LeafFit {
  std::vector<double> values;   ///< [leaf_count]
  std::vector<double> weights;  ///< [leaf_count], of their rows
};

/// The mean or quantile of each leaf's residuals, shrunk for its size. `leaves`: the rows of each.
[[nodiscard]] LeafFit fit_leaves(const TrainOptions& options, std::span<const float> residuals,
                                 const RowWeights& weights,
                                 std::span<const std::span<const std::uint32_t>> leaves);

/// `directions`: of each level's feature, +1, -1 or 0. Moves values by as little as it finds.
void order_leaves(std::span<const std::int8_t> directions, LeafFit& fit);

/// A tree whose leaves are not yet rounded.
struct GrownTree {
  std::vector<Split> splits;
  std::vector<double> leaves;
};

/// Rounds all leaves at one scale; the scale is a float, so that its product with a sum of leaves
/// is exact in double, whether or not the processor fuses it with the addition of the base.
[[nodiscard]] Forest round_forest(const std::vector<GrownTree>& trees, double base);

}  // namespace finops::predict
