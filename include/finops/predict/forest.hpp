// forest.hpp - oblivious trees: what a trained model is, before any layout for speed.
//
// Owns: Split, ObliviousTree, Forest, ForestModel, its checks and its reference scoring.
// Does not own: training (train_forest.hpp), fast scoring (scorer.hpp), JSON (model_file.hpp).
// Invariant: leaves are 16-bit integers of one scale for each forest, so that a sum of leaves is a
// 32-bit integer: every instruction set, and a GPU, gives the same bits.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace finops::predict {

inline constexpr std::size_t kMaxFeatureCount = 64;
/// A level's bit is one of six in a leaf's index: 64 leaves are one AVX-512 register of bytes.
inline constexpr std::size_t kMaxDepth = 6;
/// Bins are 0 to 127: borders 126, the bin below all of them, and one for a missing value.
inline constexpr std::size_t kMaxBorderCount = 126;
inline constexpr std::size_t kMaxTreeCount = 10'000;
inline constexpr std::size_t kMaxOutputCount = 8;

/// One level of a tree, asked of every row: is the value greater than the border?
struct Split {
  std::uint8_t feature_index = 0;
  std::uint8_t border_index = 0;  ///< into ForestModel::borders of the feature
  bool is_missing_high = false;   ///< what a missing value (NaN) answers
};

/// `leaves` has 2^splits.size() entries; the answer of splits[k] is bit k of the leaf's index.
struct ObliviousTree {
  std::vector<Split> splits;
  std::vector<std::int16_t> leaves;
};

/// One output: base + leaf_scale * (sum of one leaf of each tree).
struct Forest {
  std::string name;  ///< of the output, as in "p50"
  double base = 0;
  double leaf_scale = 1;
  std::vector<ObliviousTree> trees;
};

/// Several outputs over the same features and borders.
struct ForestModel {
  std::vector<std::string> feature_names;
  std::vector<std::vector<float>> borders;  ///< of each feature, finite, strictly increasing
  std::vector<Forest> outputs;
};

/// Throws Error(InvalidArgument) with what is wrong: a count past its limit, borders that do not
/// grow, an index that names nothing, a number that is not finite, leaves that are no power of two,
/// or leaves whose sum could leave 32 bits.
void check_model(const ForestModel& model);

/// The reference: one row, all outputs. `features`: [feature_names.size()], NaN is missing;
/// `outputs`: [model.outputs.size()]. The formula is float(base + leaf_scale * sum), in double.
void score_row(const ForestModel& model, std::span<const float> features, std::span<float> outputs);

}  // namespace finops::predict
