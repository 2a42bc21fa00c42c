// train_forest_leaves.cpp - fits, orders and rounds leaves.
#include "predict/train_forest_leaves.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "finops/base/error.hpp"

namespace finops::predict {
namespace {

// Weighted pooling of pairs mostly settles in a few rounds; what is left is settled at once after.
constexpr int kPoolingRounds = 32;

double mean_of(std::span<const float> residuals, const RowWeights& weights,
               std::span<const std::uint32_t> rows) {
  double sum = 0;
  for (const std::uint32_t row : rows) {
    const double weight = weights.weights.empty() ? 1.0 : static_cast<double>(weights.weights[row]);
    sum += weight * static_cast<double>(residuals[row]);
  }
  return sum;
}

double weight_of(const RowWeights& weights, std::span<const std::uint32_t> rows) {
  if (weights.weights.empty()) {
    return static_cast<double>(rows.size());
  }
  double sum = 0;
  for (const std::uint32_t row : rows) {
    sum += static_cast<double>(weights.weights[row]);
  }
  return sum;
}

/// Pools the pair if it is in the wrong order. Returns whether it was.
bool pool_pair(LeafFit& fit, std::size_t low, std::size_t high, std::int8_t direction) {
  if (direction * (fit.values[high] - fit.values[low]) >= 0) {
    return false;
  }
  const double low_weight = fit.weights[low];
  const double weight = low_weight + fit.weights[high];
  const double share = weight > 0 ? low_weight / weight : 0.5;
  const double mean = fit.values[high] + share * (fit.values[low] - fit.values[high]);
  fit.values[low] = mean;
  fit.values[high] = mean;
  return true;
}

/// One level after the other, unweighted: (a, b) -> (min(a, m), max(b, m)) with m = (a + b) / 2
/// grows with a and with b, so that it keeps the order of the levels before. One round is enough.
void order_at_once(std::span<const std::int8_t> directions, std::vector<double>& values) {
  for (std::size_t level = 0; level < directions.size(); ++level) {
    const std::size_t bit = std::size_t{1} << level;
    for (std::size_t leaf = 0; directions[level] != 0 && leaf < values.size(); ++leaf) {
      double& low = directions[level] > 0 ? values[leaf] : values[leaf | bit];
      double& high = directions[level] > 0 ? values[leaf | bit] : values[leaf];
      if ((leaf & bit) == 0 && low > high) {
        const double middle = low / 2 + high / 2;
        low = middle;
        high = middle;
      }
    }
  }
}

}  // namespace

float quantile_of(std::vector<float>& values, std::span<const std::uint32_t> rows,
                  std::span<const float> weights, double quantile) {
  if (weights.empty()) {
    // A hair less, since 0.1 * 30 may come out above 3.
    const double rank = std::ceil(quantile * static_cast<double>(values.size()) * (1 - 1e-12));
    const auto position = static_cast<std::ptrdiff_t>(rank < 1 ? 0 : rank - 1);
    std::nth_element(values.begin(), values.begin() + position, values.end());
    return values[static_cast<std::size_t>(position)];
  }
  std::vector<std::pair<float, float>> pairs(values.size());
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    pairs[i] = {values[i], weights[rows[i]]};
  }
  std::sort(pairs.begin(), pairs.end());
  double total = 0;
  for (const auto& [value, weight] : pairs) {
    total += static_cast<double>(weight);
  }
  double below = 0;
  for (const auto& [value, weight] : pairs) {
    below += static_cast<double>(weight);
    if (below >= quantile * total * (1 - 1e-12) && weight > 0) {
      return value;
    }
  }
  return pairs.back().first;
}

LeafFit fit_leaves(const TrainOptions& options, std::span<const float> residuals,
                   const RowWeights& weights,
                   std::span<const std::span<const std::uint32_t>> leaves) {
  LeafFit fit;
  std::vector<float> values;
  for (const std::span<const std::uint32_t> rows : leaves) {
    const double weight = weight_of(weights, rows);
    double value = 0;
    if (weight > 0 && options.loss == Loss::Squared) {
      value = mean_of(residuals, weights, rows) / (weight + options.leaf_shrinkage);
    } else if (weight > 0) {
      values.resize(rows.size());
      std::transform(rows.begin(), rows.end(), values.begin(),
                     [&](std::uint32_t row) { return residuals[row]; });
      value = static_cast<double>(quantile_of(values, rows, weights.weights, options.quantile)) *
              weight / (weight + options.leaf_shrinkage);
    }
    fit.values.push_back(value);
    fit.weights.push_back(weight);
  }
  return fit;
}

void order_leaves(std::span<const std::int8_t> directions, LeafFit& fit) {
  bool is_ordered = false;
  for (int round = 0; round < kPoolingRounds && !is_ordered; ++round) {
    is_ordered = true;
    for (std::size_t level = 0; level < directions.size(); ++level) {
      const std::size_t bit = std::size_t{1} << level;
      for (std::size_t leaf = 0; directions[level] != 0 && leaf < fit.values.size(); ++leaf) {
        if ((leaf & bit) == 0 && pool_pair(fit, leaf, leaf | bit, directions[level])) {
          is_ordered = false;
        }
      }
    }
  }
  if (!is_ordered) {
    order_at_once(directions, fit.values);
  }
}

Forest round_forest(const std::vector<GrownTree>& trees, double base) {
  double largest = 0;
  for (const GrownTree& tree : trees) {
    for (const double leaf : tree.leaves) {
      largest = std::max(largest, std::fabs(leaf));
    }
  }
  constexpr double kTopLeaf = std::numeric_limits<std::int16_t>::max();
  // Should the float be the smaller one, the largest leaf still rounds to the top.
  const auto scale = static_cast<float>(largest / kTopLeaf);
  Forest forest;
  forest.base = base;
  if (scale < std::numeric_limits<float>::min()) {
    return forest;  // the target varies by less than a float can say
  }
  forest.leaf_scale = static_cast<double>(scale);
  for (const GrownTree& tree : trees) {
    ObliviousTree& rounded = forest.trees.emplace_back();
    rounded.splits = tree.splits;
    for (const double leaf : tree.leaves) {
      rounded.leaves.push_back(static_cast<std::int16_t>(std::lround(leaf /
                                                                     static_cast<double>(scale))));
    }
  }
  return forest;
}

}  // namespace finops::predict
