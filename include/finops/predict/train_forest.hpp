// train_forest.hpp - histogram gradient boosting of oblivious trees, one output at a time.
//
// Owns: BinnedFeatures, TrainOptions, train_forest. Does not own: which features there are.
// Invariants: equal input and seed give equal forests on every machine; a constraint holds exactly.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "finops/predict/forest.hpp"

namespace finops::predict {

/// Rows beyond would not fit the histograms' integers.
inline constexpr std::size_t kMaxTrainingRowCount = std::size_t{1} << 24;

enum class Loss : std::uint8_t {
  Squared,   ///< a mean
  Quantile,  ///< pinball loss at TrainOptions::quantile
};

struct TrainOptions {
  Loss loss = Loss::Squared;
  double quantile = 0.5;  ///< above 0, below 1; only for Loss::Quantile
  int tree_count = 100;
  int depth = 6;  ///< 1 to kMaxDepth
  double learning_rate = 0.05;
  /// A leaf of n rows (by weight) keeps n / (n + leaf_shrinkage) of its value.
  double leaf_shrinkage = 100;
  double row_sample_ratio = 1;      ///< of the rows, drawn anew for each tree
  double feature_sample_ratio = 1;  ///< of the features, drawn anew for each tree
  /// Of each feature: +1 the output never falls as the value grows, -1 never rises, 0 free.
  /// Empty: all free. Missing values are not ordered.
  std::vector<std::int8_t> monotone;
  std::uint64_t seed = 0;
};

/// Features as bins, made once and used for every output. Column-major.
struct BinnedFeatures {
  std::size_t row_count = 0;
  std::vector<std::vector<float>> borders;      ///< [feature_count]
  std::vector<std::vector<std::uint8_t>> bins;  ///< [feature_count][row_count]; 0 is missing
};

/// Chooses at most `max_border_count` borders for each feature, by quantiles of its values, and
/// bins. `features`: [row_count x feature_count], row-major; NaN is missing, +-infinity is
/// refused (Error(InvalidArgument) with row and feature).
[[nodiscard]] BinnedFeatures bin_features(std::span<const float> features,
                                          std::size_t feature_count, std::size_t max_border_count);

/// Trains one output. `targets` and `weights` (empty: all 1): [row_count], finite, weights not
/// below 0 (one of them above it), none past 1e30. A constant target gives a forest without trees;
/// so does one that no feature tells anything of. Trees may be fewer and shallower than asked for.
/// Throws Error(InvalidArgument) on no rows, sizes that differ, or options out of range.
[[nodiscard]] Forest train_forest(const BinnedFeatures& features, std::span<const float> targets,
                                  std::span<const float> weights, const TrainOptions& options);

}  // namespace finops::predict
