// train_forest_split.cpp - scores every border of every feature over all leaves of a level.
#include "predict/train_forest_split.hpp"

#include <array>

namespace finops::predict {
namespace {

// Keeps 0/0 away where a side is empty and nothing shrinks; no weight is as small.
constexpr double kTinyWeight = 1e-30;

/// Sums below each border of one leaf, and of the whole leaf.
struct LeafSums {
  std::array<double, kMaxBorderCount> gradients;
  std::array<double, kMaxBorderCount> weights;
  double total_gradient;
  double total_weight;
};

/// `first`: what is on the low side already (missing values, or nothing).
void sum_bins(const BinLayout::Column& column, const Cell* bins, bool is_missing_high,
              const GradientCode& code, LeafSums& sums) {
  Cell below = is_missing_high ? 0 : bins[0];
  for (std::size_t border = 0; border < column.border_count; ++border) {
    below += bins[border + 1];
    sums.gradients[border] = code.gradient(below);
    sums.weights[border] = code.weight(below);
  }
  const Cell total = below + bins[column.border_count + 1] + (is_missing_high ? bins[0] : 0);
  sums.total_gradient = code.gradient(total);
  sums.total_weight = code.weight(total);
}

void add_scores(const LeafSums& sums, std::size_t border_count, double shrinkage, double* scores) {
  for (std::size_t i = 0; i < border_count; ++i) {
    const double low = sums.gradients[i];
    const double high = sums.total_gradient - low;
    const double low_size = sums.weights[i] + shrinkage;
    const double high_size = sums.total_weight - sums.weights[i] + shrinkage;
    scores[i] += (low * low * high_size + high * high * low_size) / (low_size * high_size);
  }
}

/// A leaf whose sides would come in the forbidden order will be pooled again: it gains nothing.
void add_ordered_scores(const LeafSums& sums, std::size_t border_count, double shrinkage,
                        double direction, double* scores) {
  const double whole = sums.total_gradient * sums.total_gradient / (sums.total_weight + shrinkage);
  for (std::size_t i = 0; i < border_count; ++i) {
    const double low = sums.gradients[i];
    const double high = sums.total_gradient - low;
    const double low_size = sums.weights[i] + shrinkage;
    const double high_size = sums.total_weight - sums.weights[i] + shrinkage;
    const double apart = (low * low * high_size + high * high * low_size) / (low_size * high_size);
    scores[i] += direction * (high * low_size - low * high_size) >= 0 ? apart : whole;
  }
}

}  // namespace

FoundSplit best_split(const SplitSearch& search, const GradientCode& code) {
  FoundSplit best;
  LeafSums sums;
  const double shrinkage = search.leaf_shrinkage + kTinyWeight;
  for (const std::uint8_t index : search.columns) {
    const BinLayout::Column& column = search.layout->columns[index];
    const double direction =
        search.monotone.empty() ? 0 : double(search.monotone[column.feature_index]);
    for (int side = 0; side < (column.has_missing ? 2 : 1); ++side) {
      std::array<double, kMaxBorderCount> scores{};
      double before = 0;
      for (const Cell* histogram : search.histograms) {
        sum_bins(column, histogram + column.offset, side == 1, code, sums);
        before += sums.total_gradient * sums.total_gradient / (sums.total_weight + shrinkage);
        if (direction == 0) {
          add_scores(sums, column.border_count, shrinkage, scores.data());
        } else {
          add_ordered_scores(sums, column.border_count, shrinkage, direction, scores.data());
        }
      }
      for (std::size_t border = 0; border < column.border_count; ++border) {
        if (!best.is_found || scores[border] > best.score) {
          best = {{column.feature_index, static_cast<std::uint8_t>(border), side == 1},
                  scores[border],
                  before,
                  true};
        }
      }
    }
  }
  return best;
}

}  // namespace finops::predict
