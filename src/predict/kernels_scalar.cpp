// kernels_scalar.cpp - scoring with no special instructions: the meaning of all other kernels.
//
// Owns: the scalar Kernels. Does not own: their contract (scorer_kernels.hpp).
#include "predict/scorer_kernels.hpp"

namespace finops::predict {
namespace {

std::uint8_t bin_of(const PackedModel& model, std::size_t feature, float value) {
  const float* borders = model.borders + feature * 128;
  std::size_t low = 0;
  for (std::size_t half = std::size_t{1} << model.search_level_counts[feature]; half > 1;) {
    half /= 2;
    low += value > borders[low + half - 1] ? half : 0;  // false for a missing value: bin 0
  }
  return static_cast<std::uint8_t>(low);
}

void bin_row(const PackedModel& model, const float* row, std::size_t feature_count,
             std::size_t plane_stride, std::uint8_t* planes) {
  for (std::size_t feature = 0; feature < feature_count; ++feature) {
    const std::uint8_t bin = bin_of(model, feature, row[feature]);
    planes[feature * plane_stride] = bin;
    if (const std::size_t high = model.high_planes[feature]; high != 0) {
      const bool is_missing = row[feature] != row[feature];
      planes[high * plane_stride] = is_missing ? kMissingHighBin : bin;
    }
  }
}

void quantise(const PackedModel& model, const float* rows, std::size_t row_stride,
              std::size_t block_count, std::uint8_t* planes) {
  for (std::size_t row = 0; row < block_count * kBlockRows; ++row) {
    bin_row(model, rows + row * row_stride, model.feature_count, kChunkRows, planes + row);
  }
}

// The sums wrap like the registers of the other kernels, so they are unsigned until the end.
std::uint32_t wrapping(std::int16_t leaf) { return static_cast<std::uint32_t>(std::int32_t{leaf}); }

void sum_leaves(const PackedForest& forest, const std::uint8_t* planes, std::size_t block_count,
                std::int32_t* sums) {
  for (std::size_t row = 0; row < block_count * kBlockRows; ++row) {
    std::uint32_t sum = 0;
    for (std::size_t tree = 0; tree < forest.tree_count; ++tree) {
      std::size_t index = 0;
      for (std::size_t level = 0; level < kLevelCount; ++level) {
        const std::size_t at = tree * kLevelStride + level;
        const bool is_set = planes[forest.planes[at] * kChunkRows + row] > forest.thresholds[at];
        index |= static_cast<std::size_t>(is_set) << level;
      }
      sum += wrapping(forest.leaves[tree * kLeafCount + index]);
    }
    sums[row] = static_cast<std::int32_t>(sum);
  }
}

float finished(const PackedForest& forest, std::uint32_t sum) {
  const auto leaf_sum = static_cast<std::int32_t>(forest.offset_sum + sum);
  const double scaled = forest.leaf_scale * static_cast<double>(leaf_sum);
  return static_cast<float>(forest.base + scaled);
}

void finish(const PackedForest& forest, const std::int32_t* sums, std::size_t row_count,
            float* outputs, std::size_t stride) {
  for (std::size_t row = 0; row < row_count; ++row) {
    outputs[row * stride] = finished(forest, static_cast<std::uint32_t>(sums[row]));
  }
}

void score_one(const PackedModel& model, const float* row, float* outputs) {
  std::uint8_t bins[kMaxPlaneCount];
  bin_row(model, row, model.feature_count, 1, bins);
  for (std::size_t output = 0; output < model.output_count; ++output) {
    const PackedForest& forest = model.outputs[output];
    std::uint32_t sum = 0;
    for (std::size_t tree = 0; tree < forest.tree_count; ++tree) {
      const std::uint8_t* planes = forest.planes + tree * kLevelStride;
      const std::uint8_t* thresholds = forest.thresholds + tree * kLevelStride;
      std::size_t index = 0;
      for (std::size_t level = 0; level < kLevelCount; ++level) {
        const bool is_set = bins[planes[level]] > thresholds[level];
        index |= static_cast<std::size_t>(is_set) << level;
      }
      sum += wrapping(forest.leaves[tree * kLeafCount + index]);
    }
    outputs[output] = finished(forest, sum);
  }
}

void index_leaves(const std::uint8_t* level_planes, const std::uint8_t* thresholds,
                  std::size_t level_count, unsigned shift, const std::uint8_t* planes,
                  std::size_t block_count, std::uint8_t* indexes) {
  for (std::size_t row = 0; row < block_count * kBlockRows; ++row) {
    unsigned index = 0;
    for (std::size_t level = 0; level < level_count; ++level) {
      const bool is_set = planes[level_planes[level] * kChunkRows + row] > thresholds[level];
      index |= static_cast<unsigned>(is_set) << level;
    }
    indexes[row] = static_cast<std::uint8_t>(index << shift);
  }
}

void sum_pairs(const GridTile& tile, std::size_t first_job, std::size_t second_job,
               std::int32_t* sums) {
  const std::size_t jobs[2] = {first_job, second_job};
  const std::size_t row_count = tile.block_count * kBlockRows;
  for (std::size_t half = 0; half < 2; ++half) {
    std::int32_t* job_sums = sums + half * kChunkRows;
    for (std::size_t row = 0; row < row_count; ++row) {
      job_sums[row] = 0;
    }
    for (std::size_t tree = 0; tree < tile.tree_count; ++tree) {
      const std::int16_t* leaves =
          tile.leaves + tree * kGridLeafStride + tile.job_starts[tree * kGridJobs + jobs[half]];
      const std::uint8_t* indexes = tile.leaf_indexes + tree * kChunkRows;
      for (std::size_t row = 0; row < row_count; ++row) {
        const auto sum = static_cast<std::uint32_t>(job_sums[row]) + wrapping(leaves[indexes[row]]);
        job_sums[row] = static_cast<std::int32_t>(sum);
      }
    }
  }
}

constexpr Kernels kKernels{quantise, sum_leaves, finish, score_one, index_leaves, sum_pairs};

}  // namespace

const Kernels* scalar_kernels() noexcept { return &kKernels; }

}  // namespace finops::predict
