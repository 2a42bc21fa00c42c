// test_predict_forest.cpp - what a model may be, and what it says of a row.
#include "finops/predict/forest.hpp"

#include <gtest/gtest.h>

#include <array>

#include "finops/base/error.hpp"
#include "predict_forest_support.hpp"

namespace finops::predict {
namespace {

void expect_refused(const ForestModel& model, const std::string& word) {
  try {
    check_model(model);
    ADD_FAILURE() << "a model was accepted that should be refused for: " << word;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::InvalidArgument);
    EXPECT_NE(std::string(error.what()).find(word), std::string::npos) << error.what();
  }
}

// Goal: a border belongs to the low side, a missing value goes where its split says, and the
// answer of level k is bit k. Method: the four leaves of one tree, each worked out by hand.
TEST(PredictForest, ScoresByTheStatedFormula) {
  const ForestModel model = two_level_model();
  struct Case {
    float gpus, hours, expected;
  };
  const Case cases[] = {
      {4.5F, 10.0F, 100.5F},  // both at their border: low, low: leaf 0
      {4.6F, 10.0F, 101.0F},    {1.0F, 10.5F, 115.0F},
      {8.0F, 99.0F, 120.0F},    {kMissing, 0.0F, 100.5F},  // missing is low at level 0
      {9.0F, kMissing, 120.0F},                            // and high at level 1
  };
  for (const Case& c : cases) {
    const std::array<float, 2> row{c.gpus, c.hours};
    EXPECT_EQ(score(model, row), c.expected) << c.gpus << " GPUs, " << c.hours << " hours";
  }
}

// Goal: sizes of spans are checked. Method: one too many and one too few of each.
TEST(PredictForest, RefusesRowsOfAnotherSize) {
  const ForestModel model = two_level_model();
  const std::array<float, 3> row{};
  std::array<float, 2> outputs{};
  EXPECT_THROW(score_row(model, std::span(row).first(1), std::span(outputs).first(1)), Error);
  EXPECT_THROW(score_row(model, row, std::span(outputs).first(1)), Error);
  EXPECT_THROW(score_row(model, std::span(row).first(2), outputs), Error);
  EXPECT_THROW(score_row(model, std::span(row).first(2), {}), Error);
  EXPECT_NO_THROW(score_row(model, std::span(row).first(2), std::span(outputs).first(1)));
}

// Goal: every rule of check_model refuses. Method: break one thing at a time of a good model.
TEST(PredictForest, RefusesABrokenModel) {
  EXPECT_NO_THROW(check_model(two_level_model()));
  const auto broken = [](const auto& change) {
    ForestModel model = two_level_model();
    change(model, model.outputs[0], model.outputs[0].trees[0]);
    return model;
  };
  using M = ForestModel;
  using F = Forest;
  using T = ObliviousTree;
  const float infinity = std::numeric_limits<float>::infinity();
  const double nan = std::numeric_limits<double>::quiet_NaN();
  expect_refused(broken([](M& m, F&, T&) { m.feature_names.pop_back(); }), "borders for 2");
  expect_refused(broken([](M& m, F&, T&) { m.outputs.clear(); }), "outputs");
  expect_refused(broken([](M& m, F&, T&) { m.borders[0] = {2, 2}; }), "greater");
  expect_refused(broken([](M& m, F&, T&) { m.borders[0] = {2, kMissing}; }), "finite");
  expect_refused(broken([&](M& m, F&, T&) { m.borders[0] = {2, infinity}; }), "finite");
  expect_refused(broken([](M&, F&, T& t) { t.splits[0].feature_index = 2; }), "feature 2");
  expect_refused(broken([](M&, F&, T& t) { t.splits[0].border_index = 2; }), "border 2");
  expect_refused(broken([](M&, F&, T& t) { t.leaves.push_back(0); }), "5 leaves");
  expect_refused(broken([](M&, F&, T& t) { t.leaves.clear(); }), "0 leaves");
  expect_refused(broken([](M&, F&, T& t) { t.splits.pop_back(); }), "4 leaves");
  expect_refused(broken([&](M&, F& f, T&) { f.base = nan; }), "finite");
  expect_refused(broken([&](M&, F& f, T&) { f.leaf_scale = nan; }), "finite");
  expect_refused(broken([](M&, F& f, T&) { f.leaf_scale = 0; }), "above 0");
  expect_refused(broken([](M&, F& f, T&) { f.leaf_scale = -1; }), "above 0");
  expect_refused(broken([](M&, F& f, T&) { f.base = 1e39; }), "range of float");
  expect_refused(broken([](M&, F& f, T&) { f.leaf_scale = 1e38; }), "range of float");
}

// Goal: counts may reach their limits and not pass them. Method: at, and one above.
TEST(PredictForest, HoldsItsLimits) {
  const auto grown = [](std::size_t features, std::size_t borders, std::size_t trees,
                        std::size_t outputs, std::size_t depth) {
    ForestModel model;
    std::vector<float> values;
    for (std::size_t i = 0; i < borders; ++i) {
      values.push_back(static_cast<float>(i));
    }
    for (std::size_t i = 0; i < features; ++i) {
      model.feature_names.push_back("f");
      model.borders.push_back(values);
    }
    const ObliviousTree tree{std::vector<Split>(depth),
                             std::vector<std::int16_t>(std::size_t{1} << depth)};
    Forest forest;
    forest.trees.assign(trees, tree);
    model.outputs.assign(outputs, forest);
    return model;
  };
  EXPECT_NO_THROW(check_model(grown(64, 126, 10'000, 1, 1)));
  EXPECT_NO_THROW(check_model(grown(1, 1, 0, 8, 6)));
  EXPECT_NO_THROW(check_model(grown(1, 1, 1, 1, 0)));
  expect_refused(grown(0, 1, 0, 1, 1), "0 features");
  expect_refused(grown(65, 1, 1, 1, 1), "65 features");
  expect_refused(grown(1, 127, 1, 1, 1), "127 borders");
  expect_refused(grown(1, 1, 10'001, 1, 1), "10001 trees");
  expect_refused(grown(1, 1, 1, 9, 1), "9 outputs");
  expect_refused(grown(1, 1, 1, 1, 7), "7 levels");
}

// Goal: the largest sum there can be is right to the bit. Method: 10,000 trees of one leaf of
// -32768, and of 32767.
TEST(PredictForest, AddsTheLargestLeavesExactly) {
  for (const int leaf : {-32'768, 32'767}) {
    ForestModel model = two_level_model();
    model.outputs[0].base = 0;
    model.outputs[0].leaf_scale = 1;
    model.outputs[0].trees.assign(10'000, {{}, {static_cast<std::int16_t>(leaf)}});
    check_model(model);
    const std::array<float, 2> row{};
    EXPECT_EQ(score(model, row), static_cast<float>(leaf * 10'000)) << leaf;
  }
}

}  // namespace
}  // namespace finops::predict
