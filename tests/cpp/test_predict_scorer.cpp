// test_predict_scorer.cpp - every instruction set scores rows as score_row does, to the bit.
#include "finops/predict/scorer.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <cstdlib>
#include <functional>
#include <thread>

#include "finops/base/error.hpp"
#include "predict_scorer_support.hpp"

namespace finops::predict {
namespace {

std::vector<float> reference(const ForestModel& model, const std::vector<float>& rows) {
  const std::size_t feature_count = model.feature_names.size();
  const std::size_t output_count = model.outputs.size();
  std::vector<float> outputs(rows.size() / feature_count * output_count);
  for (std::size_t row = 0; row < rows.size() / feature_count; ++row) {
    score_row(model, std::span(rows).subspan(row * feature_count, feature_count),
              std::span(outputs).subspan(row * output_count, output_count));
  }
  return outputs;
}

// How many numbers differ in any bit, and the first of them as text.
std::string difference(const std::vector<float>& actual, const std::vector<float>& expected) {
  for (std::size_t i = 0; i < expected.size(); ++i) {
    if (std::bit_cast<std::uint32_t>(actual[i]) != std::bit_cast<std::uint32_t>(expected[i])) {
      return "number " + std::to_string(i) + " is " + std::to_string(actual[i]) + ", expected " +
             std::to_string(expected[i]);
    }
  }
  return actual.size() == expected.size() ? "" : "another count";
}

void expect_reference_bits(const ForestModel& model, const std::vector<float>& rows) {
  const std::size_t feature_count = model.feature_names.size();
  const std::size_t output_count = model.outputs.size();
  const std::vector<float> expected = reference(model, rows);
  for (const InstructionSet instruction_set : available_instruction_sets()) {
    SCOPED_TRACE(std::string(instruction_set_name(instruction_set)));
    const Scorer scorer(model, instruction_set);
    EXPECT_EQ(scorer.instruction_set(), instruction_set);
    std::vector<float> batch(expected.size(), -1);
    scorer.score_batch(rows, batch);
    EXPECT_EQ(difference(batch, expected), "") << "score_batch";
    std::vector<float> single(expected.size(), -1);
    for (std::size_t row = 0; row < rows.size() / feature_count; ++row) {
      scorer.score_one(std::span(rows).subspan(row * feature_count, feature_count),
                       std::span(single).subspan(row * output_count, output_count));
    }
    EXPECT_EQ(difference(single, expected), "") << "score_one";
  }
}

// Goal: the number of rows changes nothing. Method: row counts at, below and above each size that a
// kernel works in, one model; only the count moves.
TEST(PredictScorer, AnyNumberOfRows) {
  const ForestModel model =
      invent_model(1, {.feature_count = 9, .output_count = 2, .tree_count = 40});
  for (const std::size_t row_count :
       {0U,   1U,   2U,   31U,  32U,  33U,  63U,  64U,  65U,  127U,
        128U, 129U, 191U, 192U, 193U, 255U, 256U, 257U, 511U, 1'000U}) {
    SCOPED_TRACE(std::to_string(row_count) + " rows");
    expect_reference_bits(model, invent_rows(2, model, row_count));
  }
}

// Goal: the number of features changes nothing, nor whether missing values take second planes.
// Method: every count, each once with and once without.
TEST(PredictScorer, AnyNumberOfFeatures) {
  for (std::size_t feature_count = 1; feature_count <= kMaxFeatureCount; ++feature_count) {
    for (const bool has_missing_high : {false, true}) {
      SCOPED_TRACE(std::to_string(feature_count) + " features");
      const ForestModel model = invent_model(feature_count, {.feature_count = feature_count,
                                                             .output_count = 1,
                                                             .tree_count = 90,
                                                             .has_missing_high = has_missing_high});
      expect_reference_bits(model, invent_rows(3, model, 130));
    }
  }
}

// Goal: every number of borders, 0 to the most, is searched right. Method: all features alike, and
// rows on each border, just below and just above.
TEST(PredictScorer, AnyNumberOfBorders) {
  for (std::size_t border_count = 0; border_count <= kMaxBorderCount; ++border_count) {
    ForestModel model = invent_model(border_count, {.feature_count = 4, .most_borders = 0});
    std::vector<float> rows;
    for (std::size_t i = 0; i < border_count; ++i) {
      const float border = static_cast<float>(i) * 0.25F - 3;
      for (std::vector<float>& borders : model.borders) {
        borders.push_back(border);
      }
      rows.insert(rows.end(), {std::nextafter(border, -100.0F), border,
                               std::nextafter(border, 100.0F), kMaxBorderCount * 1.0F});
    }
    rows.insert(rows.end(), 4, std::numeric_limits<float>::quiet_NaN());
    SplitMix64 random(border_count);
    for (int tree = 0; tree < 150; ++tree) {
      model.outputs[0].trees.push_back(invent_tree(random, model, {.feature_count = 4}));
    }
    SCOPED_TRACE(std::to_string(border_count) + " borders");
    expect_reference_bits(model, rows);
  }
}

// Goal: the number of trees and the size of leaves change nothing: 16-bit sums never overflow.
// Method: counts around the 64 that a row's lanes hold, leaves from one value to all of 16 bits.
TEST(PredictScorer, AnyNumberOfTreesAndSizeOfLeaves) {
  for (const std::size_t tree_count : {0U, 1U, 2U, 63U, 64U, 65U, 129U, 1'000U}) {
    for (const std::uint64_t leaf_limit : {1U, 9U, 1'000U, 32'768U}) {
      SCOPED_TRACE(std::to_string(tree_count) + " trees, leaves to " + std::to_string(leaf_limit));
      const ForestModel model = invent_model(7, {.feature_count = 13,
                                                 .output_count = 1,
                                                 .tree_count = tree_count,
                                                 .least_depth = 0,
                                                 .leaf_limit = leaf_limit});
      expect_reference_bits(model, invent_rows(4, model, 70));
    }
  }
}

// Goal: sums at the ends of what check_model allows. Method: every leaf the least, then the most.
TEST(PredictScorer, ExtremeLeavesAddUp) {
  for (const int leaf : {-32'768, 32'767}) {
    ForestModel model =
        invent_model(5, {.feature_count = 2, .tree_count = kMaxTreeCount, .most_depth = 1});
    for (ObliviousTree& tree : model.outputs[0].trees) {
      std::fill(tree.leaves.begin(), tree.leaves.end(), static_cast<std::int16_t>(leaf));
      tree.leaves.back() = static_cast<std::int16_t>(-1 - leaf);
    }
    SCOPED_TRACE("leaves of " + std::to_string(leaf));
    expect_reference_bits(model, invent_rows(6, model, 65));
  }
}

// Goal: outputs of different depths share features. Method: one to four outputs, deep and flat.
TEST(PredictScorer, SeveralOutputs) {
  for (std::size_t output_count = 1; output_count <= kMaxOutputCount; ++output_count) {
    SCOPED_TRACE(std::to_string(output_count) + " outputs");
    const ForestModel model =
        invent_model(output_count,
                     {.feature_count = 32, .output_count = output_count, .tree_count = 100});
    expect_reference_bits(model, invent_rows(8, model, 300));
  }
}

// Goal: threads change nothing. Method: enough rows for several, each count against one thread.
TEST(PredictScorer, ThreadCountChangesNothing) {
  const ForestModel model =
      invent_model(9, {.feature_count = 5, .output_count = 3, .tree_count = 1'000});
  const std::vector<float> rows = invent_rows(10, model, 20'011);
  const Scorer scorer(model);
  std::vector<float> expected(20'011 * 3);
  scorer.score_batch(rows, expected);
  for (const unsigned thread_count : {0U, 1U, 2U, 3U, 64U}) {
    std::vector<float> outputs(expected.size(), -1);
    scorer.score_batch(rows, outputs, thread_count);
    EXPECT_EQ(difference(outputs, expected), "") << thread_count << " threads";
  }
}

// Goal: a scorer may be moved, and serves threads at once. Method: several threads, one scorer.
TEST(PredictScorer, ConcurrentCallersShareOne) {
  const ForestModel model = invent_model(11, {.feature_count = 6, .tree_count = 50});
  const std::vector<float> rows = invent_rows(12, model, 500);
  Scorer first(model);
  const Scorer scorer(std::move(first));
  const std::vector<float> expected = reference(model, rows);
  std::vector<std::vector<float>> outputs(4, std::vector<float>(500));
  {
    std::vector<std::jthread> threads;
    for (std::vector<float>& target : outputs) {
      threads.emplace_back([&] { scorer.score_batch(rows, target, 2); });
    }
  }
  for (const std::vector<float>& target : outputs) {
    EXPECT_EQ(difference(target, expected), "");
  }
}

ErrorCode code_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.code();
  }
  return ErrorCode::Conflict;  // stands for "no error"
}

// Goal: sizes that do not fit are refused, not read past. Method: one float too many and too few.
TEST(PredictScorer, RefusesSizesThatDoNotFit) {
  const Scorer scorer(invent_model(13, {.feature_count = 3, .output_count = 2}));
  std::vector<float> rows(6);
  std::vector<float> outputs(4);
  const auto score = [&](std::size_t row_size, std::size_t output_size) {
    return code_of([&] {
      scorer.score_batch(std::span(rows).first(row_size), std::span(outputs).first(output_size));
    });
  };
  EXPECT_EQ(score(6, 4), ErrorCode::Conflict);
  EXPECT_EQ(score(5, 4), ErrorCode::InvalidArgument);
  EXPECT_EQ(score(6, 3), ErrorCode::InvalidArgument);
  EXPECT_EQ(score(3, 4), ErrorCode::InvalidArgument);
  const auto score_single = [&](std::size_t row_size, std::size_t output_size) {
    return code_of([&] {
      scorer.score_one(std::span(rows).first(row_size), std::span(outputs).first(output_size));
    });
  };
  EXPECT_EQ(score_single(3, 2), ErrorCode::Conflict);
  EXPECT_EQ(score_single(2, 2), ErrorCode::InvalidArgument);
  EXPECT_EQ(score_single(3, 1), ErrorCode::InvalidArgument);
}

// Goal: a model that check_model refuses is refused. Method: a split that names no border.
TEST(PredictScorer, ChecksTheModel) {
  ForestModel model = invent_model(14, {.feature_count = 1, .least_depth = 6});
  model.outputs[0].trees[0].splits[0].border_index = 126;
  EXPECT_EQ(code_of([&] { const Scorer scorer(model); }), ErrorCode::InvalidArgument);
}

// Goal: the environment lowers the instruction set and cannot raise it. Method: each name.
TEST(PredictScorer, EnvironmentLowersTheInstructionSet) {
  const ForestModel model = invent_model(15, {});
  const InstructionSet best = processor_instruction_set();
  for (const auto instruction_set : {InstructionSet::Scalar, InstructionSet::Avx2,
                                     InstructionSet::Avx512, InstructionSet::Avx512Vbmi}) {
    const std::string name(instruction_set_name(instruction_set));
    ASSERT_EQ(::setenv("FINOPS_INSTRUCTION_SET", name.c_str(), 1), 0);
    EXPECT_EQ(best_instruction_set(), std::min(best, instruction_set)) << name;
    EXPECT_EQ(Scorer(model).instruction_set(), std::min(best, instruction_set)) << name;
    if (instruction_set > best) {
      EXPECT_EQ(code_of([&] { const Scorer scorer(model, instruction_set); }),
                ErrorCode::InvalidArgument);
    }
  }
  ASSERT_EQ(::setenv("FINOPS_INSTRUCTION_SET", "sse9", 1), 0);
  EXPECT_EQ(best_instruction_set(), best);
  ASSERT_EQ(::unsetenv("FINOPS_INSTRUCTION_SET"), 0);
  EXPECT_EQ(best_instruction_set(), best);
}

}  // namespace
}  // namespace finops::predict
