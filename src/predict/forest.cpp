// forest.cpp - the checks of a model, and its reference scoring.
#include "finops/predict/forest.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "finops/base/error.hpp"

namespace finops::predict {
namespace {

// What check_model promises of sums follows from the other limits, and needs no look at the leaves.
static_assert(kMaxTreeCount * 32'768 <= std::numeric_limits<std::int32_t>::max());

void require_count(std::size_t count, std::size_t least, std::size_t most,
                   const std::string& what) {
  FINOPS_REQUIRE(count >= least && count <= most, ErrorCode::InvalidArgument,
                 "a model of " + std::to_string(count) + " " + what + ": it must have " +
                     std::to_string(least) + " to " + std::to_string(most) +
                     "; train it anew within that");
}

void check_borders(const std::vector<float>& borders, const std::string& feature_name) {
  require_count(borders.size(), 0, kMaxBorderCount, "borders in feature " + feature_name);
  for (std::size_t i = 0; i < borders.size(); ++i) {
    const bool is_next = i == 0 || borders[i - 1] < borders[i];
    FINOPS_REQUIRE(std::isfinite(borders[i]) && is_next, ErrorCode::InvalidArgument,
                   "border " + std::to_string(i) + " of feature " + feature_name + " is " +
                       std::to_string(borders[i]) +
                       ": borders must be finite and each greater than the one before");
  }
}

void check_tree(const ForestModel& model, const ObliviousTree& tree, const std::string& where) {
  FINOPS_REQUIRE(tree.splits.size() <= kMaxDepth, ErrorCode::InvalidArgument,
                 where + " is " + std::to_string(tree.splits.size()) + " levels deep; at most " +
                     std::to_string(kMaxDepth) + " are read");
  FINOPS_REQUIRE(tree.leaves.size() == std::size_t{1} << tree.splits.size(),
                 ErrorCode::InvalidArgument,
                 where + " has " + std::to_string(tree.leaves.size()) + " leaves on " +
                     std::to_string(tree.splits.size()) + " levels; it must be 2 to that power");
  for (const Split& split : tree.splits) {
    FINOPS_REQUIRE(split.feature_index < model.borders.size() &&
                       split.border_index < model.borders[split.feature_index].size(),
                   ErrorCode::InvalidArgument,
                   where + " asks for border " + std::to_string(split.border_index) +
                       " of feature " + std::to_string(split.feature_index) +
                       ", which the model does not have");
  }
}

void check_forest(const ForestModel& model, const Forest& forest) {
  require_count(forest.trees.size(), 0, kMaxTreeCount, "trees in output " + forest.name);
  double reach = 0;  // no sum of leaves is further from zero
  for (std::size_t i = 0; i < forest.trees.size(); ++i) {
    const ObliviousTree& tree = forest.trees[i];
    check_tree(model, tree, "tree " + std::to_string(i) + " of output " + forest.name);
    const auto [low, high] = std::minmax_element(tree.leaves.begin(), tree.leaves.end());
    reach += std::max(-double(*low), double(*high));
  }
  FINOPS_REQUIRE(std::isfinite(forest.base) && std::isfinite(forest.leaf_scale) &&
                     forest.leaf_scale > 0,
                 ErrorCode::InvalidArgument,
                 "output " + forest.name + " has base " + std::to_string(forest.base) +
                     " and leaf scale " + std::to_string(forest.leaf_scale) +
                     ": both must be finite, and the scale above 0");
  FINOPS_REQUIRE(std::fabs(forest.base) + forest.leaf_scale * reach <=
                     static_cast<double>(std::numeric_limits<float>::max()),
                 ErrorCode::InvalidArgument,
                 "output " + forest.name + " can leave the range of float; scale the target down");
}

std::int32_t leaf_sum(const Forest& forest, const ForestModel& model,
                      std::span<const float> features) {
  std::int32_t sum = 0;
  for (const ObliviousTree& tree : forest.trees) {
    std::size_t leaf = 0;
    for (std::size_t k = 0; k < tree.splits.size(); ++k) {
      const Split& split = tree.splits[k];
      const float value = features[split.feature_index];
      const float border = model.borders[split.feature_index][split.border_index];
      const bool is_high = std::isnan(value) ? split.is_missing_high : value > border;
      leaf |= std::size_t{is_high} << k;
    }
    sum += tree.leaves[leaf];
  }
  return sum;
}

}  // namespace

void check_model(const ForestModel& model) {
  require_count(model.feature_names.size(), 1, kMaxFeatureCount, "features");
  FINOPS_REQUIRE(model.borders.size() == model.feature_names.size(), ErrorCode::InvalidArgument,
                 "a model with " + std::to_string(model.feature_names.size()) +
                     " features and borders for " + std::to_string(model.borders.size()) +
                     ": give a list of borders for each, if only an empty one");
  require_count(model.outputs.size(), 1, kMaxOutputCount, "outputs");
  for (std::size_t i = 0; i < model.borders.size(); ++i) {
    check_borders(model.borders[i], model.feature_names[i]);
  }
  for (const Forest& forest : model.outputs) {
    check_forest(model, forest);
  }
}

void score_row(const ForestModel& model, std::span<const float> features,
               std::span<float> outputs) {
  FINOPS_REQUIRE(features.size() == model.borders.size(), ErrorCode::InvalidArgument,
                 "a row of " + std::to_string(features.size()) + " features for a model of " +
                     std::to_string(model.borders.size()) + "; give them in feature_names' order");
  FINOPS_REQUIRE(outputs.size() == model.outputs.size(), ErrorCode::InvalidArgument,
                 "room for " + std::to_string(outputs.size()) + " outputs of a model that has " +
                     std::to_string(model.outputs.size()));
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const Forest& forest = model.outputs[i];
    outputs[i] =
        static_cast<float>(forest.base + forest.leaf_scale * leaf_sum(forest, model, features));
  }
}

}  // namespace finops::predict
