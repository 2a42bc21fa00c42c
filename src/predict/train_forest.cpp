// train_forest.cpp - the boosting: gradients, a tree, what it leaves over, the next.
#include "finops/predict/train_forest.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "finops/base/error.hpp"
#include "predict/splitmix.hpp"
#include "predict/train_forest_grow.hpp"
#include "predict/train_forest_histogram.hpp"
#include "predict/train_forest_leaves.hpp"

namespace finops::predict {
namespace {

// Squares and sums of as many rows as there may be stay far inside a double.
constexpr float kLargestNumber = 1e30F;
// Residuals this small beside the target's spread are the float's rounding, not something to learn.
constexpr float kRoundingShare = 1e-6F;

void require_range(double value, double least, double most, const char* name) {
  FINOPS_REQUIRE(value >= least && value <= most, ErrorCode::InvalidArgument,
                 std::string(name) + " is " + std::to_string(value) + ": give " +
                     std::to_string(least) + " to " + std::to_string(most));
}

void require_inside(double value, double least, double most, const char* name) {
  FINOPS_REQUIRE(value > least && value <= most, ErrorCode::InvalidArgument,
                 std::string(name) + " is " + std::to_string(value) + ": give more than " +
                     std::to_string(least) + ", at most " + std::to_string(most));
}

void check_options(const TrainOptions& options, std::size_t feature_count) {
  require_range(options.tree_count, 0, static_cast<double>(kMaxTreeCount), "tree_count");
  require_range(options.depth, 1, static_cast<double>(kMaxDepth), "depth");
  require_inside(options.learning_rate, 0, 1, "learning_rate");
  require_range(options.leaf_shrinkage, 0, static_cast<double>(kLargestNumber), "leaf_shrinkage");
  require_inside(options.row_sample_ratio, 0, 1, "row_sample_ratio");
  require_inside(options.feature_sample_ratio, 0, 1, "feature_sample_ratio");
  if (options.loss == Loss::Quantile) {
    FINOPS_REQUIRE(options.quantile > 0 && options.quantile < 1, ErrorCode::InvalidArgument,
                   "quantile is " + std::to_string(options.quantile) +
                       ": give one above 0 and below 1");
  }
  FINOPS_REQUIRE(options.monotone.empty() || options.monotone.size() == feature_count,
                 ErrorCode::InvalidArgument,
                 std::to_string(options.monotone.size()) + " monotone constraints for " +
                     std::to_string(feature_count) + " features: give one each, or none");
  for (const std::int8_t direction : options.monotone) {
    require_range(direction, -1, 1, "a monotone constraint");
  }
}

void check_features(const BinnedFeatures& features) {
  FINOPS_REQUIRE(features.row_count >= 1 && features.row_count <= kMaxTrainingRowCount,
                 ErrorCode::InvalidArgument,
                 std::to_string(features.row_count) + " rows: training takes 1 to " +
                     std::to_string(kMaxTrainingRowCount));
  FINOPS_REQUIRE(!features.bins.empty() && features.bins.size() <= kMaxFeatureCount &&
                     features.bins.size() == features.borders.size(),
                 ErrorCode::InvalidArgument,
                 std::to_string(features.bins.size()) + " binned features with borders of " +
                     std::to_string(features.borders.size()) + ": use what bin_features made");
  for (std::size_t i = 0; i < features.bins.size(); ++i) {
    const std::vector<std::uint8_t>& bins = features.bins[i];
    const std::size_t border_count = features.borders[i].size();
    FINOPS_REQUIRE(bins.size() == features.row_count && border_count <= kMaxBorderCount &&
                       *std::max_element(bins.begin(), bins.end()) <= border_count + 1,
                   ErrorCode::InvalidArgument,
                   "bins of feature " + std::to_string(i) +
                       " do not fit its borders or rows: use what bin_features made");
  }
}

void check_numbers(std::span<const float> numbers, std::size_t row_count, float least,
                   const std::string& what) {
  FINOPS_REQUIRE(numbers.size() == row_count, ErrorCode::InvalidArgument,
                 std::to_string(numbers.size()) + " " + what + "s for " +
                     std::to_string(row_count) + " rows: give one each");
  for (std::size_t row = 0; row < numbers.size(); ++row) {
    FINOPS_REQUIRE(numbers[row] >= least && numbers[row] <= kLargestNumber,
                   ErrorCode::InvalidArgument,
                   "the " + what + " of row " + std::to_string(row) + " is " +
                       std::to_string(numbers[row]) + ": give a number from " +
                       std::to_string(least) + " to " + std::to_string(kLargestNumber));
  }
}

double base_of(const TrainOptions& options, std::span<const float> targets,
               std::span<const float> weights, std::span<const std::uint32_t> rows) {
  if (options.loss == Loss::Quantile) {
    std::vector<float> values;
    values.reserve(rows.size());
    for (const std::uint32_t row : rows) {
      values.push_back(targets[row]);
    }
    return static_cast<double>(quantile_of(values, rows, weights, options.quantile));
  }
  double sum = 0;
  double total = 0;
  for (const std::uint32_t row : rows) {
    const double weight = weights.empty() ? 1.0 : static_cast<double>(weights[row]);
    sum += weight * static_cast<double>(targets[row]);
    total += weight;
  }
  return sum / total;
}

/// Boosting of one output. Rows of weight 0 are left out from the start.
class Booster {
 public:
  Booster(const BinnedFeatures& features, std::span<const float> targets,
          std::span<const float> weights, const TrainOptions& options)
      : features_(features),
        options_(options),
        weights_{weights, 1},
        layout_(make_bin_layout(features)),
        grower_(layout_, options),
        random_(options.seed) {
    for (std::uint32_t row = 0; row < features.row_count; ++row) {
      if (weights.empty() || weights[row] > 0) {
        all_rows_.push_back(row);
      }
    }
    FINOPS_REQUIRE(!all_rows_.empty(), ErrorCode::InvalidArgument,
                   "the weight of every row is 0: give at least one row a weight above 0");
    if (!weights.empty()) {
      weights_.largest = *std::max_element(weights.begin(), weights.end());
    }
    base_ = base_of(options, targets, weights, all_rows_);
    residuals_.resize(features.row_count);
    for (std::size_t row = 0; row < residuals_.size(); ++row) {
      residuals_[row] = static_cast<float>(static_cast<double>(targets[row]) - base_);
    }
  }

  Forest run() {
    std::vector<GrownTree> trees;
    const float least = largest_residual() * kRoundingShare;
    const bool is_constant = is_target_constant();
    while (!is_constant && trees.size() < static_cast<std::size_t>(options_.tree_count) &&
           largest_residual() > least && attempt_count_ < options_.tree_count) {
      ++attempt_count_;
      GrownTree tree = grow_tree();
      if (!tree.splits.empty()) {
        subtract(tree);
        trees.push_back(std::move(tree));
      } else if (options_.row_sample_ratio == 1 && options_.feature_sample_ratio == 1) {
        break;  // the next one would find nothing either
      }
    }
    return round_forest(trees, base_);
  }

 private:
  [[nodiscard]] float largest_residual() const {
    float largest = 0;
    for (const std::uint32_t row : all_rows_) {
      largest = std::max(largest, std::fabs(residuals_[row]));
    }
    return largest;
  }

  [[nodiscard]] bool is_target_constant() const {
    return std::all_of(all_rows_.begin(), all_rows_.end(), [&](std::uint32_t row) {
      return residuals_[row] == residuals_[all_rows_.front()];
    });
  }

  [[nodiscard]] std::size_t share_of(std::size_t count, double ratio) const {
    const double drawn = std::ceil(ratio * static_cast<double>(count) * (1 - 1e-12));
    return std::max(std::size_t{1}, static_cast<std::size_t>(drawn));
  }

  void draw() {
    draw_sorted(random_, all_rows_.size(), share_of(all_rows_.size(), options_.row_sample_ratio),
                rows_);
    for (std::uint32_t& row : rows_) {
      row = all_rows_[row];
    }
    draw_sorted(random_, layout_.columns.size(),
                share_of(layout_.columns.size(), options_.feature_sample_ratio), drawn_columns_);
    columns_.assign(drawn_columns_.begin(), drawn_columns_.end());
  }

  GrownTree grow_tree() {
    draw();
    const GradientCode code = encode_gradients(options_, residuals_, weights_, rows_, cells_);
    GrownTree tree;
    tree.splits = grower_.grow(rows_, cells_, code, columns_);
    LeafFit fit = fit_leaves(options_, residuals_, weights_, grower_.leaves());
    if (!options_.monotone.empty()) {
      std::vector<std::int8_t> directions;
      directions.reserve(tree.splits.size());
      for (const Split& split : tree.splits) {
        directions.push_back(options_.monotone[split.feature_index]);
      }
      order_leaves(directions, fit);
    }
    tree.leaves.reserve(fit.values.size());
    for (const double value : fit.values) {
      tree.leaves.push_back(options_.learning_rate * value);
    }
    return tree;
  }

  void subtract(const GrownTree& tree) {
    find_leaves(features_, tree.splits, leaf_of_row_);
    for (std::size_t row = 0; row < residuals_.size(); ++row) {
      residuals_[row] =
          static_cast<float>(static_cast<double>(residuals_[row]) - tree.leaves[leaf_of_row_[row]]);
    }
  }

  const BinnedFeatures& features_;
  const TrainOptions& options_;
  RowWeights weights_;
  BinLayout layout_;
  TreeGrower grower_;
  SplitMix64 random_;
  double base_ = 0;
  int attempt_count_ = 0;
  std::vector<std::uint32_t> all_rows_;
  std::vector<float> residuals_;
  std::vector<std::uint32_t> rows_;  // of this tree
  std::vector<Cell> cells_;
  std::vector<std::uint32_t> drawn_columns_;
  std::vector<std::uint8_t> columns_;
  std::vector<std::uint8_t> leaf_of_row_;
};

}  // namespace

Forest train_forest(const BinnedFeatures& features, std::span<const float> targets,
                    std::span<const float> weights, const TrainOptions& options) {
  check_features(features);
  check_options(options, features.bins.size());
  check_numbers(targets, features.row_count, -kLargestNumber, "target");
  if (!weights.empty()) {
    check_numbers(weights, features.row_count, 0, "weight");
  }
  return Booster(features, targets, weights, options).run();
}

}  // namespace finops::predict
