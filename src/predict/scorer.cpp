// scorer.cpp - Scorer: checks sizes, then hands rows to the kernels of its instruction set.
//
// Owns: Scorer. Does not own: packing (scorer_layout), the chunks (scorer_batch), grids
// (scorer_grid), kernels.
#include "finops/predict/scorer.hpp"

#include <string>

#include "finops/base/error.hpp"
#include "predict/scorer_batch.hpp"
#include "predict/scorer_dispatch.hpp"
#include "predict/scorer_grid.hpp"
#include "predict/scorer_layout.hpp"

namespace finops::predict {
namespace {

// Threads take parts of so many rows: enough that the counter they share costs nothing, few enough
// that none waits long for the last.
constexpr std::size_t kSharedRows = 16 * kChunkRows;

const ForestModel& checked(const ForestModel& model) {
  check_model(model);
  return model;
}

std::size_t tree_count_of(const PackedModel& model) noexcept {
  std::size_t count = 1;  // binning costs something too
  for (std::size_t output = 0; output < model.output_count; ++output) {
    count += model.outputs[output].tree_count;
  }
  return count;
}

void require_outputs(std::size_t size, std::size_t row_count, std::size_t output_count) {
  FINOPS_REQUIRE(size == row_count * output_count, ErrorCode::InvalidArgument,
                 "outputs have room for " + std::to_string(size) + " numbers; " +
                     std::to_string(row_count) + " rows of " + std::to_string(output_count) +
                     " outputs need " + std::to_string(row_count * output_count));
}

// How many rows `size` numbers are.
std::size_t rows_in(std::size_t size, std::size_t feature_count, const char* what) {
  FINOPS_REQUIRE(size % feature_count == 0, ErrorCode::InvalidArgument,
                 std::to_string(size) + " numbers are no whole " + what + " of " +
                     std::to_string(feature_count) + " features; hand in row after row");
  return size / feature_count;
}

}  // namespace

struct Scorer::Layout {
  Layout(const ForestModel& forest_model, InstructionSet wanted)
      : kernels(kernels_of(wanted)), model(checked(forest_model)), instruction_set(wanted) {}

  const Kernels& kernels;
  PackedModelOwner model;
  InstructionSet instruction_set;
};

Scorer::Scorer(const ForestModel& model, std::optional<InstructionSet> instruction_set)
    : layout_(std::make_unique<const Layout>(model,
                                             instruction_set.value_or(best_instruction_set()))) {}
Scorer::~Scorer() = default;
Scorer::Scorer(Scorer&&) noexcept = default;
Scorer& Scorer::operator=(Scorer&&) noexcept = default;

std::size_t Scorer::feature_count() const noexcept { return layout_->model.packed().feature_count; }
std::size_t Scorer::output_count() const noexcept { return layout_->model.packed().output_count; }
InstructionSet Scorer::instruction_set() const noexcept { return layout_->instruction_set; }

void Scorer::score_batch(std::span<const float> rows, std::span<float> outputs,
                         unsigned thread_count) const {
  const PackedModel& model = layout_->model.packed();
  const Kernels& kernels = layout_->kernels;
  const std::size_t row_count = rows_in(rows.size(), model.feature_count, "rows");
  require_outputs(outputs.size(), row_count, model.output_count);
  const double row_trees =
      static_cast<double>(row_count) * static_cast<double>(tree_count_of(model));
  const auto score_part = [&](std::size_t, std::size_t begin, std::size_t end) {
    score_rows(kernels, model, rows.data() + begin * model.feature_count, end - begin,
               outputs.data() + begin * model.output_count);
  };
  const unsigned useful = useful_thread_count(row_trees, thread_count);
  if (useful == 1) {
    score_part(0, 0, row_count);
  } else {
    share_work(row_count, kSharedRows, useful, score_part);
  }
}

void Scorer::score_one(std::span<const float> row, std::span<float> outputs) const {
  const PackedModel& model = layout_->model.packed();
  FINOPS_REQUIRE(row.size() == model.feature_count, ErrorCode::InvalidArgument,
                 "the row has " + std::to_string(row.size()) + " features; the model has " +
                     std::to_string(model.feature_count));
  require_outputs(outputs.size(), 1, model.output_count);
  layout_->kernels.score_one(model, row.data(), outputs.data());
}

void Scorer::score_grid(std::span<const float> jobs, std::span<const float> placements,
                        std::size_t placement_feature_count, std::span<float> outputs,
                        unsigned thread_count) const {
  const PackedModel& model = layout_->model.packed();
  FINOPS_REQUIRE(placement_feature_count > 0 && placement_feature_count < model.feature_count,
                 ErrorCode::InvalidArgument,
                 std::to_string(placement_feature_count) + " placement features of " +
                     std::to_string(model.feature_count) +
                     "; a grid needs at least one, and one of the job: otherwise score rows");
  GridRequest request;
  request.jobs = jobs.data();
  request.placements = placements.data();
  request.job_feature_count = model.feature_count - placement_feature_count;
  request.job_count = rows_in(jobs.size(), request.job_feature_count, "jobs");
  request.placement_count = rows_in(placements.size(), placement_feature_count, "placements");
  request.outputs = outputs.data();
  const std::size_t pair_count = request.job_count * request.placement_count;
  require_outputs(outputs.size(), pair_count, model.output_count);
  const double pair_trees =
      static_cast<double>(pair_count) * static_cast<double>(tree_count_of(model));
  score_pairs(layout_->kernels, model, request, useful_thread_count(pair_trees, thread_count));
}

}  // namespace finops::predict
