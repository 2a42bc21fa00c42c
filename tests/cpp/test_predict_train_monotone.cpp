// test_predict_train_monotone.cpp - constraints hold exactly, whatever the data says.
#include <gtest/gtest.h>

#include "predict/train_forest_leaves.hpp"
#include "predict_forest_support.hpp"

namespace finops::predict {
namespace {

/// Random rows with missing values, and targets that go against every constraint.
Table contrary_table(std::uint64_t seed, std::size_t feature_count) {
  Table table = invent(seed, 400, feature_count, [](std::span<const float> x, SplitMix64& random) {
    float sum = normal(random);
    for (std::size_t i = 0; i < x.size(); ++i) {
      sum += (i % 2 == 0 ? -2.0F : 2.0F) * x[i] * x[(i + 1) % x.size()];
    }
    return sum;
  });
  SplitMix64 random(seed + 1);
  for (float& value : table.features) {
    value = random.below(10) == 0 ? kMissing : std::round(value * 30);
  }
  return table;
}

// Goal: moving one constrained feature alone never moves the output the wrong way, by not one bit.
// Method: random data with missing values, random constraints, losses, weights and sampling; every
// border of every constrained feature is walked from random rows.
TEST(PredictTrainMonotone, NeverBreaksAConstraint) {
  for (std::uint64_t seed = 0; seed < 30; ++seed) {
    SplitMix64 random(seed * 977);
    const Table table = contrary_table(seed, 2 + seed % 5);
    TrainOptions options;
    options.loss = seed % 2 == 0 ? Loss::Squared : Loss::Quantile;
    options.quantile = 0.1 + 0.4 * static_cast<double>(seed % 3);
    options.tree_count = 40;
    options.learning_rate = 0.3;
    options.leaf_shrinkage = static_cast<double>(seed % 4);
    options.row_sample_ratio = seed % 3 == 0 ? 0.5 : 1;
    options.seed = seed;
    for (std::size_t i = 0; i < table.feature_count; ++i) {
      options.monotone.push_back(static_cast<std::int8_t>(1 - static_cast<int>(random.below(3))));
    }
    std::vector<float> weights;
    for (std::size_t i = 0; seed % 5 == 0 && i < table.row_count(); ++i) {
      weights.push_back(static_cast<float>(random.below(4)));
    }
    const ForestModel model = train(table, options, weights);
    for (int walk = 0; walk < 40; ++walk) {
      const std::span<const float> start = table.row(random.below(table.row_count()));
      std::vector<float> row(start.begin(), start.end());
      const std::size_t feature = random.below(table.feature_count);
      float last = 0;
      for (int step = -1; step <= 31; ++step) {
        row[feature] = static_cast<float>(step);
        const float now = score(model, row);
        ASSERT_FALSE(step >= 0 && float(options.monotone[feature]) * (now - last) < 0)
            << "seed " << seed << ", feature " << feature << " at " << step << ": " << last
            << " then " << now;
        last = now;
      }
    }
  }
}

// Goal: a constraint that the truth obeys costs little. Method: a growing truth, learned free and
// constrained; the error of both.
TEST(PredictTrainMonotone, LearnsWhatObeysTheConstraint) {
  const auto truth = [](std::span<const float> x, SplitMix64& random) {
    return 4 * std::sqrt(x[0]) - 2 * x[1] + std::sin(6 * x[2]) + 0.1F * normal(random);
  };
  const Table table = invent(11, 4'000, 3, truth);
  const auto error_of = [&](std::vector<std::int8_t> monotone) {
    TrainOptions options;
    options.tree_count = 200;
    options.learning_rate = 0.1;
    options.leaf_shrinkage = 5;
    options.monotone = std::move(monotone);
    const ForestModel model = train(table, options);
    double sum = 0;
    for (std::size_t row = 0; row < table.row_count(); ++row) {
      const double error = double{score(model, table.row(row)) - table.targets[row]};
      sum += error * error;
    }
    return std::sqrt(sum / static_cast<double>(table.row_count()));
  };
  EXPECT_LT(error_of({1, -1, 0}), 1.15 * error_of({}));
  EXPECT_GT(error_of({-1, 1, 0}), 2 * error_of({}));  // and one that it breaks costs much
}

// Goal: pooling weighs what it pools. Method: one pair in the wrong order, 3 rows against 1.
TEST(PredictTrainMonotone, PoolsByWeight) {
  LeafFit fit{{8, 4}, {3, 1}};
  const std::vector<std::int8_t> up{1};
  order_leaves(up, fit);
  EXPECT_EQ(fit.values, (std::vector<double>{7, 7}));
  LeafFit falling{{8, 4}, {3, 1}};
  const std::vector<std::int8_t> down{-1};
  order_leaves(down, falling);
  EXPECT_EQ(falling.values, (std::vector<double>{8, 4}));
  LeafFit empty_side{{8, 0}, {3, 0}};  // a leaf without rows follows the other
  order_leaves(up, empty_side);
  EXPECT_EQ(empty_side.values, (std::vector<double>{8, 8}));
}

// Goal: the order holds on all levels at once. Method: random leaves and weights of six levels,
// some of weight 0, random directions; all pairs looked at.
TEST(PredictTrainMonotone, OrdersAllLevelsAtOnce) {
  for (std::uint64_t seed = 0; seed < 2'000; ++seed) {
    SplitMix64 random(seed);
    LeafFit fit;
    std::vector<std::int8_t> directions;
    for (int level = 0; level < 6; ++level) {
      directions.push_back(static_cast<std::int8_t>(1 - static_cast<int>(random.below(3))));
    }
    for (int leaf = 0; leaf < 64; ++leaf) {
      fit.values.push_back(double{normal(random)});
      fit.weights.push_back(static_cast<double>(random.below(3) * random.below(1000)));
    }
    order_leaves(directions, fit);
    for (std::size_t leaf = 0; leaf < 64; ++leaf) {
      for (std::size_t level = 0; level < 6; ++level) {
        const std::size_t other = leaf | (std::size_t{1} << level);
        ASSERT_GE(directions[level] * (fit.values[other] - fit.values[leaf]), 0)
            << "seed " << seed << ", leaf " << leaf << ", level " << level;
      }
    }
  }
}

}  // namespace
}  // namespace finops::predict
