// predict_scorer_support.hpp - what the tests and the benchmark of scoring share: invented models.
//
// Owns: ModelShape, invent_model, invent_rows, available_instruction_sets. Does not own: any test.
// Invariant: equal seeds give equal models and rows on every machine.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "finops/predict/scorer.hpp"
#include "predict/scorer_dispatch.hpp"
#include "predict/splitmix.hpp"

namespace finops::predict {

struct ModelShape {
  std::size_t feature_count = 1;
  std::size_t output_count = 1;
  std::size_t tree_count = 1;
  std::size_t most_borders = 31;
  std::size_t least_depth = 0;
  std::size_t most_depth = kMaxDepth;
  std::uint64_t leaf_limit = 32'768;  ///< leaves lie between minus this and this less one
  bool has_missing_high = true;
};

/// 0 to 1, without 1.
inline float unit_float(SplitMix64& random) {
  return static_cast<float>(random.next() >> 40U) / 16'777'216.0F;
}

inline std::vector<float> invent_borders(SplitMix64& random, std::size_t most_borders) {
  // The first and the last number of borders come up as often as all between.
  const std::uint64_t kind = random.below(4);
  const std::size_t count = kind == 0   ? most_borders
                            : kind == 1 ? std::min<std::size_t>(most_borders, 1)
                                        : random.below(most_borders + 1);
  std::vector<float> borders;
  for (std::size_t i = 0; i < count; ++i) {
    borders.push_back(random.below(50) == 0 ? 0.0F : 2 * unit_float(random) - 1);
  }
  std::sort(borders.begin(), borders.end());
  borders.erase(std::unique(borders.begin(), borders.end()), borders.end());
  return borders;
}

inline ObliviousTree invent_tree(SplitMix64& random, const ForestModel& model,
                                 const ModelShape& shape) {
  ObliviousTree tree;
  const std::size_t depth =
      shape.least_depth + random.below(shape.most_depth - shape.least_depth + 1);
  for (std::size_t level = 0; level < depth; ++level) {
    const std::size_t feature = random.below(shape.feature_count);
    if (model.borders[feature].empty()) {
      continue;
    }
    tree.splits.push_back({static_cast<std::uint8_t>(feature),
                           static_cast<std::uint8_t>(random.below(model.borders[feature].size())),
                           shape.has_missing_high && random.below(2) == 0});
  }
  const auto limit = static_cast<std::int64_t>(shape.leaf_limit);
  for (std::size_t leaf = 0; leaf < std::size_t{1} << tree.splits.size(); ++leaf) {
    const auto value = static_cast<std::int64_t>(random.below(2 * shape.leaf_limit)) - limit;
    tree.leaves.push_back(static_cast<std::int16_t>(value));
  }
  return tree;
}

inline ForestModel invent_model(std::uint64_t seed, const ModelShape& shape) {
  SplitMix64 random(seed);
  ForestModel model;
  for (std::size_t feature = 0; feature < shape.feature_count; ++feature) {
    model.feature_names.push_back("f" + std::to_string(feature));
    model.borders.push_back(invent_borders(random, shape.most_borders));
  }
  for (std::size_t output = 0; output < shape.output_count; ++output) {
    Forest forest;
    forest.name = "output" + std::to_string(output);
    forest.base = 3.25 * static_cast<double>(output) - 1.1;
    forest.leaf_scale = 1e-5 * static_cast<double>(output + 1);
    for (std::size_t tree = 0; tree < shape.tree_count; ++tree) {
      forest.trees.push_back(invent_tree(random, model, shape));
    }
    model.outputs.push_back(forest);
  }
  return model;
}

/// One value in eight is missing, on a border, or one of the numbers that comparisons trip over.
inline std::vector<float> invent_rows(std::uint64_t seed, const ForestModel& model,
                                      std::size_t row_count) {
  using Limits = std::numeric_limits<float>;
  const std::array special{Limits::quiet_NaN(),
                           -Limits::quiet_NaN(),
                           Limits::infinity(),
                           -Limits::infinity(),
                           0.0F,
                           -0.0F,
                           Limits::denorm_min(),
                           -Limits::denorm_min(),
                           Limits::max(),
                           Limits::lowest()};
  SplitMix64 random(seed);
  std::vector<float> rows;
  for (std::size_t row = 0; row < row_count; ++row) {
    for (const std::vector<float>& borders : model.borders) {
      const std::uint64_t kind = random.below(16);
      float value = 3 * unit_float(random) - 1.5F;
      if (kind == 0) {
        value = special[random.below(special.size())];
      } else if (kind == 1 && !borders.empty()) {
        value = borders[random.below(borders.size())];
        const float to = random.below(2) == 0 ? 2.0F : -2.0F;
        value = random.below(2) == 0 ? value : std::nextafter(value, to);
      }
      rows.push_back(value);
    }
  }
  return rows;
}

inline std::vector<InstructionSet> available_instruction_sets() {
  std::vector<InstructionSet> available;
  for (int i = 0; i <= static_cast<int>(processor_instruction_set()); ++i) {
    available.push_back(static_cast<InstructionSet>(i));
  }
  return available;
}

}  // namespace finops::predict
