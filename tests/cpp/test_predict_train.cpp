// test_predict_train.cpp - what training learns: small cases by hand, invented truths, constraints.
#include <gtest/gtest.h>

#include <algorithm>

#include "finops/base/error.hpp"
#include "predict_forest_support.hpp"

namespace finops::predict {
namespace {

TrainOptions plain(int tree_count, int depth) {
  TrainOptions options;
  options.tree_count = tree_count;
  options.depth = depth;
  options.learning_rate = 1;
  options.leaf_shrinkage = 0;
  return options;
}

// Goal: one split of one tree is the best one, and leaves are means. Method: a step in four rows.
TEST(PredictTrain, FindsAStepExactly) {
  const Table table{1, {1, 2, 3, 4}, {10, 10, 30, 30}};
  const ForestModel model = train(table, plain(1, 1));
  const Forest& forest = model.outputs[0];
  ASSERT_EQ(forest.trees.size(), 1U);
  EXPECT_EQ(forest.base, 20);
  EXPECT_EQ(model.borders[0][forest.trees[0].splits[0].border_index], 2.5F);
  for (std::size_t row = 0; row < 4; ++row) {
    EXPECT_NEAR(score(model, table.row(row)), table.targets[row], 1e-4) << row;
  }
}

// Goal: a leaf of n rows keeps n / (n + shrinkage) of its value. Method: two leaves of two rows.
TEST(PredictTrain, ShrinksSmallLeaves) {
  const Table table{1, {1, 2, 3, 4}, {10, 10, 30, 30}};
  TrainOptions options = plain(1, 1);
  options.leaf_shrinkage = 6;
  options.learning_rate = 0.5;
  const ForestModel model = train(table, options);
  EXPECT_NEAR(score(model, table.row(0)), 20 - 10 * 0.5 * 2 / (2 + 6), 1e-4);
  EXPECT_NEAR(score(model, table.row(3)), 20 + 10 * 0.5 * 2 / (2 + 6), 1e-4);
}

// Goal: a missing value goes to the side that it resembles. Method: rows with a missing value that
// behave as the high ones, then as the low ones.
TEST(PredictTrain, LearnsWhereMissingValuesBelong) {
  for (const float missing_target : {10.0F, 30.0F}) {
    const Table table{
        1, {1, 2, 3, 4, kMissing, kMissing}, {10, 10, 30, 30, missing_target, missing_target}};
    const ForestModel model = train(table, plain(1, 1));
    EXPECT_EQ(model.outputs[0].trees[0].splits[0].is_missing_high, missing_target == 30.0F);
    EXPECT_NEAR(score(model, table.row(4)), missing_target, 1e-3);
  }
}

// Goal: leaves of a quantile's tree are quantiles of their rows. Method: ten rows on each side.
TEST(PredictTrain, PutsQuantilesIntoLeaves) {
  Table table{1, {}, {}};
  for (int i = 1; i <= 10; ++i) {
    table.features.insert(table.features.end(), {0, 1});
    table.targets.insert(table.targets.end(), {float(i), float(100 + i)});
  }
  for (const auto& [quantile, low] : {std::pair{0.1, 1.0}, {0.5, 5.0}, {0.9, 9.0}, {0.95, 10.0}}) {
    TrainOptions options = plain(1, 1);
    options.loss = Loss::Quantile;
    options.quantile = quantile;
    const ForestModel model = train(table, options);
    EXPECT_NEAR(score(model, table.row(0)), low, 2e-2) << quantile;
    EXPECT_NEAR(score(model, table.row(1)), 100 + low, 2e-2) << quantile;
  }
}

// Goal: a row of weight w counts as w rows, one of weight 0 not at all. Method: weights against
// repeated rows, with both losses.
TEST(PredictTrain, WeighsRows) {
  const Table weighted{1, {1, 2, 3, 4, 5}, {10, 14, 30, 38, 5000}};
  const Table repeated{1, {1, 2, 2, 2, 3, 4, 4, 4}, {10, 14, 14, 14, 30, 38, 38, 38}};
  const std::vector<float> weights{1, 3, 1, 3, 0};
  for (const Loss loss : {Loss::Squared, Loss::Quantile}) {
    TrainOptions options = plain(1, 1);
    options.loss = loss;
    options.leaf_shrinkage = 1;
    const ForestModel left = train(weighted, options, weights);
    const ForestModel right = train(repeated, options);
    EXPECT_DOUBLE_EQ(left.outputs[0].base, right.outputs[0].base);
    for (std::size_t row = 0; row < 4; ++row) {
      EXPECT_NEAR(score(left, weighted.row(row)), score(right, weighted.row(row)), 1e-4) << row;
    }
  }
}

// Goal: an additive truth is found again on rows that were not learned from. Method: three curves
// added up, with noise; the error must come down to the noise's own.
TEST(PredictTrain, RecoversAnAdditiveFunction) {
  const auto truth = [](std::span<const float> x) {
    return 3 * x[0] + (x[1] > 0.4F ? 2.0F : 0.0F) + std::sin(6 * x[2]);
  };
  const auto noisy = [&](std::span<const float> x, SplitMix64& random) {
    return truth(x) + 0.1F * normal(random);
  };
  const Table table = invent(1, 5'000, 5, noisy);
  TrainOptions options;
  options.tree_count = 300;
  options.learning_rate = 0.1;
  options.leaf_shrinkage = 5;
  const ForestModel model = train(table, options);
  const Table fresh = invent(2, 2'000, 5, noisy);
  double squared_error = 0;
  for (std::size_t row = 0; row < fresh.row_count(); ++row) {
    const double error = double{score(model, fresh.row(row))} - double{truth(fresh.row(row))};
    squared_error += error * error;
  }
  // The truth's own standard deviation is 1.3.
  EXPECT_LT(std::sqrt(squared_error / static_cast<double>(fresh.row_count())), 0.1);
}

// Goal: the share of fresh rows below a quantile is the quantile, where the spread depends on the
// row. Method: noise that grows with a feature; in both halves of it, within 4 points.
TEST(PredictTrain, CoversWhatItsQuantilePromises) {
  const auto target = [](std::span<const float> x, SplitMix64& random) {
    return 2 * x[0] + (0.2F + 2 * x[1]) * normal(random);
  };
  const Table table = invent(3, 8'000, 4, target);
  const Table fresh = invent(4, 8'000, 4, target);
  for (const double quantile : {0.1, 0.5, 0.9}) {
    TrainOptions options;
    options.loss = Loss::Quantile;
    options.quantile = quantile;
    options.tree_count = 100;
    options.learning_rate = 0.1;
    const ForestModel model = train(table, options);
    double below[2] = {0, 0};
    double count[2] = {0, 0};
    for (std::size_t row = 0; row < fresh.row_count(); ++row) {
      const int half = fresh.row(row)[1] > 0.5F ? 1 : 0;
      count[half] += 1;
      below[half] += fresh.targets[row] <= score(model, fresh.row(row)) ? 1 : 0;
    }
    EXPECT_NEAR(below[0] / count[0], quantile, 0.04) << "little noise, quantile " << quantile;
    EXPECT_NEAR(below[1] / count[1], quantile, 0.04) << "much noise, quantile " << quantile;
  }
}

// Goal: what cannot be learned gives a forest without trees, not a failure. Method: a constant
// target, one row, no value at all, features of one value.
TEST(PredictTrain, LearnsNothingFromNothing) {
  const std::vector<Table> tables{{1, {1, 2, 3}, {7, 7, 7}},
                                  {2, {1, 2}, {7}},
                                  {1, {kMissing, kMissing, kMissing}, {7, 8, 9}},
                                  {1, {5, 5, 5}, {6, 7, 9}}};
  for (const Table& table : tables) {
    for (const Loss loss : {Loss::Squared, Loss::Quantile}) {
      TrainOptions options = plain(20, 6);
      options.loss = loss;
      const ForestModel model = train(table, options);
      EXPECT_TRUE(model.outputs[0].trees.empty());
      EXPECT_GE(score(model, table.row(0)), 7.0F);
      EXPECT_LE(score(model, table.row(0)), 8.0F);
    }
  }
}

// Goal: values so small or large that floats run out are learned or given up, never infinite.
// Method: one step at each end of the range.
TEST(PredictTrain, StaysFiniteAtTheEndsOfTheRange) {
  for (const float size : {1e-44F, 1e-38F, 1.0F, 1e30F}) {
    const Table table{1, {1, 2, 3, 4}, {-size, -size, size, size}};
    const float low = score(train(table, plain(5, 2)), table.row(0));
    EXPECT_TRUE(std::isfinite(low)) << size;
    EXPECT_GE(low, -1.001F * size);
  }
}

// Goal: equal input gives equal forests, another seed another one. Method: sampling of rows and
// features, trained twice, and once more with another seed.
TEST(PredictTrain, IsDeterministic) {
  const Table table = invent(5, 500, 6, [](std::span<const float> x, SplitMix64& random) {
    return x[0] * x[1] + 0.1F * normal(random);
  });
  TrainOptions options;
  options.row_sample_ratio = 0.6;
  options.feature_sample_ratio = 0.5;
  options.seed = 9;
  const auto all_leaves = [&](std::uint64_t seed) {
    options.seed = seed;
    std::vector<std::int16_t> leaves;
    const ForestModel model = train(table, options);
    for (const ObliviousTree& tree : model.outputs[0].trees) {
      leaves.insert(leaves.end(), tree.leaves.begin(), tree.leaves.end());
    }
    return leaves;
  };
  EXPECT_EQ(all_leaves(9), all_leaves(9));
  EXPECT_NE(all_leaves(9), all_leaves(10));
}

}  // namespace
}  // namespace finops::predict
