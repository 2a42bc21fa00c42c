// predict_forest_support.hpp - what the tests of trees share: small models and invented data.
//
// Owns: two_level_model, Table and ways to invent and score one. Does not own: any test.
// Invariant: equal seeds give equal data on every machine.
#pragma once

#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "finops/predict/forest.hpp"
#include "finops/predict/train_forest.hpp"
#include "predict/splitmix.hpp"

namespace finops::predict {

inline constexpr float kMissing = std::numeric_limits<float>::quiet_NaN();

/// Two features, one output, one tree that asks both.
inline ForestModel two_level_model() {
  ForestModel model;
  model.feature_names = {"gpus", "hours"};
  model.borders = {{1.5F, 4.5F}, {10.0F}};
  Forest forest;
  forest.name = "p50";
  forest.base = 100;
  forest.leaf_scale = 0.5;
  forest.trees.push_back({{{0, 1, false}, {1, 0, true}}, {1, 2, 30, 40}});
  model.outputs.push_back(forest);
  return model;
}

/// Features row-major, and targets.
struct Table {
  std::size_t feature_count = 0;
  std::vector<float> features;
  std::vector<float> targets;

  [[nodiscard]] std::size_t row_count() const { return targets.size(); }
  [[nodiscard]] std::span<const float> row(std::size_t index) const {
    return std::span(features).subspan(index * feature_count, feature_count);
  }
};

inline float uniform(SplitMix64& random) {
  return static_cast<float>(random.next() >> 40U) / 16'777'216.0F;
}

/// Near enough to a normal number: twelve uniform ones.
inline float normal(SplitMix64& random) {
  float sum = -6;
  for (int i = 0; i < 12; ++i) {
    sum += uniform(random);
  }
  return sum;
}

/// Rows of uniform features; `target` says the rest.
inline Table invent(std::uint64_t seed, std::size_t row_count, std::size_t feature_count,
                    const std::function<float(std::span<const float>, SplitMix64&)>& target) {
  SplitMix64 random(seed);
  Table table{feature_count, {}, {}};
  for (std::size_t i = 0; i < row_count * feature_count; ++i) {
    table.features.push_back(uniform(random));
  }
  for (std::size_t row = 0; row < row_count; ++row) {
    table.targets.push_back(
        target(std::span(table.features).subspan(row * feature_count, feature_count), random));
  }
  return table;
}

/// A model of one output.
inline ForestModel train(const Table& table, const TrainOptions& options,
                         std::span<const float> weights = {}) {
  const BinnedFeatures binned = bin_features(table.features, table.feature_count, kMaxBorderCount);
  ForestModel model;
  for (std::size_t i = 0; i < table.feature_count; ++i) {
    model.feature_names.push_back("f" + std::to_string(i));
  }
  model.borders = binned.borders;
  model.outputs.push_back(train_forest(binned, table.targets, weights, options));
  model.outputs.front().name = "out";
  check_model(model);
  return model;
}

inline float score(const ForestModel& model, std::span<const float> row) {
  float output = 0;
  score_row(model, row, {&output, 1});
  return output;
}

}  // namespace finops::predict
