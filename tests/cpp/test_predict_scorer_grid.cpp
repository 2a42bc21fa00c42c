// test_predict_scorer_grid.cpp - a grid's outputs are those of the joined rows, to the bit.
#include <gtest/gtest.h>

#include <bit>

#include "finops/base/error.hpp"
#include "predict_scorer_support.hpp"

namespace finops::predict {
namespace {

struct GridShape {
  std::size_t job_count = 0;
  std::size_t placement_count = 0;
  std::size_t placement_feature_count = 1;
};

// Jobs and placements from whole rows: each side keeps its features of some of them.
struct Sides {
  std::vector<float> jobs;
  std::vector<float> placements;
};

Sides sides_of(const ForestModel& model, const GridShape& shape) {
  const std::size_t feature_count = model.feature_names.size();
  const std::size_t job_features = feature_count - shape.placement_feature_count;
  const std::vector<float> job_rows = invent_rows(1, model, shape.job_count);
  const std::vector<float> placement_rows = invent_rows(2, model, shape.placement_count);
  Sides sides;
  for (std::size_t job = 0; job < shape.job_count; ++job) {
    const auto row = std::span(job_rows).subspan(job * feature_count, job_features);
    sides.jobs.insert(sides.jobs.end(), row.begin(), row.end());
  }
  for (std::size_t placement = 0; placement < shape.placement_count; ++placement) {
    const auto row =
        std::span(placement_rows)
            .subspan(placement * feature_count + job_features, shape.placement_feature_count);
    sides.placements.insert(sides.placements.end(), row.begin(), row.end());
  }
  return sides;
}

// score_row of each joined row.
std::vector<float> reference(const ForestModel& model, const GridShape& shape, const Sides& sides) {
  const std::size_t job_features = model.feature_names.size() - shape.placement_feature_count;
  const std::size_t output_count = model.outputs.size();
  std::vector<float> outputs;
  std::vector<float> row;
  std::vector<float> row_outputs(output_count);
  for (std::size_t job = 0; job < shape.job_count; ++job) {
    for (std::size_t placement = 0; placement < shape.placement_count; ++placement) {
      const auto left = std::span(sides.jobs).subspan(job * job_features, job_features);
      const auto right =
          std::span(sides.placements)
              .subspan(placement * shape.placement_feature_count, shape.placement_feature_count);
      row.assign(left.begin(), left.end());
      row.insert(row.end(), right.begin(), right.end());
      score_row(model, row, row_outputs);
      outputs.insert(outputs.end(), row_outputs.begin(), row_outputs.end());
    }
  }
  return outputs;
}

void expect_reference_bits(const ForestModel& model, const GridShape& shape,
                           unsigned thread_count = 1) {
  SCOPED_TRACE(std::to_string(shape.job_count) + " jobs, " + std::to_string(shape.placement_count) +
               " placements, " + std::to_string(shape.placement_feature_count) +
               " features of theirs");
  const Sides sides = sides_of(model, shape);
  const std::vector<float> expected = reference(model, shape, sides);
  for (const InstructionSet instruction_set : available_instruction_sets()) {
    const Scorer scorer(model, instruction_set);
    std::vector<float> outputs(expected.size(), -1);
    scorer.score_grid(sides.jobs, sides.placements, shape.placement_feature_count, outputs,
                      thread_count);
    std::size_t wrong_count = 0;
    for (std::size_t i = 0; i < expected.size(); ++i) {
      wrong_count +=
          std::bit_cast<std::uint32_t>(outputs[i]) != std::bit_cast<std::uint32_t>(expected[i])
              ? 1U
              : 0U;
    }
    EXPECT_EQ(wrong_count, 0U) << "of " << expected.size() << " with "
                               << instruction_set_name(instruction_set);
  }
}

// Goal: the shape of a grid changes nothing. Method: counts around the sizes of blocks and tiles,
// from none to several tiles each way; both ways of scoring (few pairs, many) are among them.
TEST(PredictScorerGrid, AnyShape) {
  const ForestModel model =
      invent_model(3, {.feature_count = 12, .output_count = 2, .tree_count = 30});
  for (const std::size_t job_count : {0U, 1U, 2U, 3U, 63U, 64U, 65U, 129U}) {
    for (const std::size_t placement_count : {0U, 1U, 15U, 16U, 17U, 64U, 65U, 255U, 257U}) {
      expect_reference_bits(model, {job_count, placement_count, 5});
    }
  }
}

// Goal: any part of the features may be the placement's. Method: from one to all but one, which
// makes every mix of one-sided and two-sided trees.
TEST(PredictScorerGrid, AnyNumberOfPlacementFeatures) {
  const ForestModel model =
      invent_model(4, {.feature_count = 10, .output_count = 1, .tree_count = 200});
  for (std::size_t count = 1; count < 10; ++count) {
    expect_reference_bits(model, {37, 70, count});
  }
}

// Goal: a side of which no tree asks anything. Method: trees of one feature, first or last.
TEST(PredictScorerGrid, TreesOfOneSideOnly) {
  for (const auto feature : {std::uint8_t{0}, std::uint8_t{1}}) {
    ForestModel model = invent_model(5, {.feature_count = 2, .tree_count = 60, .least_depth = 1});
    model.borders[0] = model.borders[1] = {-0.5F, 0.0F, 0.5F};
    for (ObliviousTree& tree : model.outputs[0].trees) {
      for (Split& split : tree.splits) {
        split = {feature, static_cast<std::uint8_t>(split.border_index % 3), false};
      }
    }
    expect_reference_bits(model, {40, 40, 1});
  }
}

// Goal: large leaves and many trees do not overflow. Method: leaves of all 16 bits, 1,000 trees.
TEST(PredictScorerGrid, LargeLeaves) {
  const ForestModel model =
      invent_model(6,
                   {.feature_count = 64, .output_count = 1, .tree_count = 1'000, .least_depth = 6});
  expect_reference_bits(model, {20, 60, 20});
}

// Goal: threads change nothing. Method: several tiles, two and eight threads.
TEST(PredictScorerGrid, ThreadCountChangesNothing) {
  const ForestModel model =
      invent_model(7, {.feature_count = 8, .output_count = 1, .tree_count = 400});
  expect_reference_bits(model, {150, 300, 3}, 2);
  expect_reference_bits(model, {150, 300, 3}, 8);
}

// Goal: sizes that do not fit are refused. Method: the grid that fits, then one thing wrong each.
TEST(PredictScorerGrid, RefusesSizesThatDoNotFit) {
  const Scorer scorer(invent_model(8, {.feature_count = 5}));
  const std::vector<float> jobs(2 * 3);
  const std::vector<float> placements(4 * 2);
  std::vector<float> outputs(2 * 4);
  scorer.score_grid(jobs, placements, 2, outputs);
  EXPECT_THROW(scorer.score_grid(jobs, placements, 0, outputs), Error);
  EXPECT_THROW(scorer.score_grid(jobs, placements, 5, outputs), Error);
  EXPECT_THROW(scorer.score_grid(jobs, placements, 3, outputs), Error);
  EXPECT_THROW(scorer.score_grid(std::span(jobs).first(5), placements, 2, outputs), Error);
  EXPECT_THROW(scorer.score_grid(jobs, placements, 2, std::span(outputs).first(7)), Error);
}

}  // namespace
}  // namespace finops::predict
