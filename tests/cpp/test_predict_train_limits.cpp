// test_predict_train_limits.cpp - bins, and what training refuses.
#include <gtest/gtest.h>

#include <algorithm>

#include "finops/base/error.hpp"
#include "predict_forest_support.hpp"

namespace finops::predict {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

template <class Call>
void expect_refused(Call call, const std::string& word) {
  try {
    call();
    ADD_FAILURE() << "accepted, but should be refused for: " << word;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::InvalidArgument);
    EXPECT_NE(std::string(error.what()).find(word), std::string::npos) << error.what();
  }
}

// Goal: few values get a border between each two, and bin 0 is for missing ones. Method: by hand.
TEST(PredictBins, SeparatesFewValues) {
  const std::vector<float> values{3, 1, kMissing, 2, 1};
  const BinnedFeatures binned = bin_features(values, 1, 126);
  EXPECT_EQ(binned.borders[0], (std::vector<float>{1.5F, 2.5F}));
  EXPECT_EQ(binned.bins[0], (std::vector<std::uint8_t>{3, 1, 0, 2, 1}));
}

// Goal: a border separates two neighbouring floats too. Method: the two around 1.
TEST(PredictBins, SeparatesNeighbours) {
  const float next = std::nextafter(1.0F, 2.0F);
  const std::vector<float> values{1, next};
  const BinnedFeatures binned = bin_features(values, 1, 126);
  EXPECT_EQ(binned.bins[0], (std::vector<std::uint8_t>{1, 2}));
}

// Goal: the ends of float's range make no infinite border. Method: both ends.
TEST(PredictBins, SeparatesTheEndsOfTheRange) {
  const float most = std::numeric_limits<float>::max();
  const std::vector<float> values{-most, most};
  EXPECT_EQ(bin_features(values, 1, 1).borders[0], (std::vector<float>{0}));
}

// Goal: many values share the borders evenly, and a frequent one has its own bin. Method: 100,000
// uniform values, a third of them replaced by one value.
TEST(PredictBins, SharesBordersByQuantiles) {
  SplitMix64 random(1);
  std::vector<float> values;
  for (int i = 0; i < 100'000; ++i) {
    values.push_back(i % 3 == 0 ? 0.5F : uniform(random));
  }
  for (const std::size_t border_count : {1U, 2U, 10U, 126U}) {
    const BinnedFeatures binned = bin_features(values, 1, border_count);
    ASSERT_LE(binned.borders[0].size(), border_count);
    EXPECT_GE(binned.borders[0].size(), border_count * 9 / 10);
    EXPECT_TRUE(std::is_sorted(binned.borders[0].begin(), binned.borders[0].end()));
    std::vector<std::size_t> counts(128);
    for (std::size_t i = 0; i < values.size(); ++i) {
      const std::uint8_t bin = binned.bins[0][i];
      ASSERT_GE(bin, 1);
      ASSERT_TRUE(bin == 1 || binned.borders[0][bin - 2U] < values[i]);
      ASSERT_TRUE(bin - 1U == binned.borders[0].size() || values[i] <= binned.borders[0][bin - 1U]);
      counts[bin] += values[i] == 0.5F ? 0 : 1;
    }
    if (border_count == 126) {
      EXPECT_LT(*std::max_element(counts.begin(), counts.end()), 1'200U);  // 530 would be even
    }
  }
}

// Goal: infinity is refused where it stands. Method: both signs.
TEST(PredictBins, RefusesInfinity) {
  for (const float infinite : {kInfinity, -kInfinity}) {
    const std::vector<float> values{1, 2, 3, 4, 5, infinite};
    expect_refused([&] { (void)bin_features(values, 3, 126); }, "row 1, feature 2 is infinite");
  }
}

// Goal: sizes have limits. Method: below, at and above each.
TEST(PredictBins, RefusesSizesOutOfRange) {
  const std::vector<float> values(65);
  expect_refused([&] { (void)bin_features(values, 0, 126); }, "0 features");
  expect_refused([&] { (void)bin_features(values, 65, 126); }, "65 features");
  expect_refused([&] { (void)bin_features(values, 64, 126); }, "no whole rows");
  expect_refused([&] { (void)bin_features({}, 2, 126); }, "0 rows");
  expect_refused([&] { (void)bin_features(values, 1, 0); }, "0 borders");
  expect_refused([&] { (void)bin_features(values, 1, 127); }, "127 borders");
  EXPECT_NO_THROW((void)bin_features(std::span(values).first(64), 64, 1));
}

// Goal: every option has its range. Method: just outside of each, and the ends that are inside.
TEST(PredictTrainLimits, RefusesOptionsOutOfRange) {
  const std::vector<float> values{1, 2, 3, 4};
  const std::vector<float> targets{1, 2, 3, 4};
  const BinnedFeatures binned = bin_features(values, 1, 126);
  const auto run = [&](const auto& change) {
    TrainOptions options;
    options.tree_count = 2;
    change(options);
    return [&, options] { (void)train_forest(binned, targets, {}, options); };
  };
  using O = TrainOptions;
  expect_refused(run([](O& o) { o.tree_count = -1; }), "tree_count");
  expect_refused(run([](O& o) { o.tree_count = 10'001; }), "tree_count");
  expect_refused(run([](O& o) { o.depth = 0; }), "depth");
  expect_refused(run([](O& o) { o.depth = 7; }), "depth");
  expect_refused(run([](O& o) { o.learning_rate = 0; }), "learning_rate");
  expect_refused(run([](O& o) { o.learning_rate = 1.01; }), "learning_rate");
  expect_refused(run([](O& o) { o.learning_rate = double{kMissing}; }), "learning_rate");
  expect_refused(run([](O& o) { o.leaf_shrinkage = -1; }), "leaf_shrinkage");
  expect_refused(run([](O& o) { o.leaf_shrinkage = double{kInfinity}; }), "leaf_shrinkage");
  expect_refused(run([](O& o) { o.row_sample_ratio = 0; }), "row_sample_ratio");
  expect_refused(run([](O& o) { o.row_sample_ratio = 1.1; }), "row_sample_ratio");
  expect_refused(run([](O& o) { o.feature_sample_ratio = 0; }), "feature_sample_ratio");
  expect_refused(run([](O& o) { o.monotone = {1, 1}; }), "2 monotone");
  expect_refused(run([](O& o) { o.monotone = {2}; }), "monotone");
  for (const double quantile : {0.0, 1.0, -0.1, double{kMissing}}) {
    expect_refused(run([&](O& o) {
                     o.loss = Loss::Quantile;
                     o.quantile = quantile;
                   }),
                   "quantile");
  }
  EXPECT_NO_THROW(run([](O& o) { o.quantile = 2; })());  // not looked at with another loss
  EXPECT_NO_THROW(run([](O& o) { o.tree_count = 0; })());
  EXPECT_NO_THROW(run([](O& o) { o.row_sample_ratio = 0.001; })());
}

// Goal: numbers that would poison a model are refused where they stand. Method: one each.
TEST(PredictTrainLimits, RefusesBadNumbers) {
  const std::vector<float> values{1, 2, 3};
  const BinnedFeatures binned = bin_features(values, 1, 126);
  const auto run = [&](std::vector<float> targets, std::vector<float> weights) {
    return [&, targets, weights] { (void)train_forest(binned, targets, weights, {}); };
  };
  expect_refused(run({1, kMissing, 3}, {}), "target of row 1");
  expect_refused(run({1, 2, kInfinity}, {}), "target of row 2");
  expect_refused(run({-2e30F, 2, 3}, {}), "target of row 0");
  expect_refused(run({1, 2}, {}), "2 targets");
  expect_refused(run({1, 2, 3}, {1, 2}), "2 weights");
  expect_refused(run({1, 2, 3}, {1, -1, 1}), "weight of row 1");
  expect_refused(run({1, 2, 3}, {1, kMissing, 1}), "weight of row 1");
  expect_refused(run({1, 2, 3}, {0, 0, 0}), "every row is 0");
  EXPECT_NO_THROW(run({1, 2, 3}, {0, 1, 0})());
}

// Goal: bins that bin_features did not make cannot lead outside of a histogram. Method: change
// each.
TEST(PredictTrainLimits, RefusesForeignBins) {
  const std::vector<float> values{1, 2, 3};
  const std::vector<float> targets{1, 2, 3};
  const auto run = [&](const auto& change) {
    BinnedFeatures binned = bin_features(values, 1, 126);
    change(binned);
    return [binned, &targets] { (void)train_forest(binned, targets, {}, {}); };
  };
  using B = BinnedFeatures;
  EXPECT_NO_THROW(run([](B&) {})());
  expect_refused(run([](B& b) { b.bins[0][1] = 4; }), "feature 0");
  expect_refused(run([](B& b) { b.bins[0].pop_back(); }), "feature 0");
  expect_refused(run([](B& b) { b.borders.clear(); }), "borders of 0");
  expect_refused(run([](B& b) { b.row_count = 0; }), "0 rows");
  expect_refused(run([](B& b) { b.borders[0].resize(127); }), "feature 0");
}

// Goal: a history of 100,000 jobs trains, with sums that need the histograms' full width. Method:
// half of the rows far from the other half; the split between is found.
TEST(PredictTrainLimits, TakesManyRows) {
  const Table table = invent(8, 100'000, 2, [](std::span<const float> x, SplitMix64& random) {
    return (x[0] > 0.5F ? 1e6F : -1e6F) + normal(random);
  });
  TrainOptions options;
  options.tree_count = 3;
  options.depth = 2;
  options.learning_rate = 1;
  const ForestModel model = train(table, options);
  std::size_t far_count = 0;
  for (std::size_t row = 0; row < table.row_count(); ++row) {
    far_count += std::fabs(score(model, table.row(row)) - table.targets[row]) > 1e4F ? 1 : 0;
  }
  EXPECT_LT(far_count, 1'000U);  // one of 127 bins may have rows on both sides of the step
}

}  // namespace
}  // namespace finops::predict
