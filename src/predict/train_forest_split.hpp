// train_forest_split.hpp - which question, asked of a whole level, helps most.
//
// Owns: best_split and its score. Does not own: the histograms. Private to predict.
#pragma once

#include <span>

#include "predict/train_forest_histogram.hpp"

namespace finops::predict {

struct SplitSearch {
  const BinLayout* layout = nullptr;
  std::span<const std::uint8_t> columns;  ///< indices into layout->columns that may be asked
  std::span<const std::int8_t> monotone;  ///< of each feature; empty: all free
  double leaf_shrinkage = 0;
  std::vector<const Cell*> histograms;  ///< of the leaves that hold rows
};

/// The score of leaves is the sum of gradient^2 / (weight + shrinkage), by which one step lowers
/// the squared loss; of a quantile's loss it is the usual stand-in.
struct FoundSplit {
  Split split;
  double score = 0;   ///< of the level's leaves after the split
  double before = 0;  ///< and before it
  bool is_found = false;
};

/// Ties go to the first feature, the lowest border, and missing values on the low side.
[[nodiscard]] FoundSplit best_split(const SplitSearch& search, const GradientCode& code);

}  // namespace finops::predict
