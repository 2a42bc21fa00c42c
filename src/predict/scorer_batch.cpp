// scorer_batch.cpp - rows through the kernels, chunk by chunk, and work shared among threads.
//
// Owns: what scorer_batch.hpp declares. Does not own: checks, kernels.
#include "predict/scorer_batch.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <system_error>
#include <thread>
#include <vector>

namespace finops::predict {
namespace {

// A thread takes some 30 microseconds to start and to join; this many rows times trees take the
// fastest kernels (0.05 ns each) several times that.
constexpr double kRowTreesOfAThread = 4'000'000;

}  // namespace

std::size_t ChunkBins::fill(const Kernels& kernels, const PackedModel& model, const float* rows,
                            std::size_t row_count) {
  const std::size_t feature_count = model.feature_count;
  const std::size_t stride = model.padded_feature_count;
  std::size_t row = 0;
  // Whole blocks are read where they lie, unless a row has fewer features than a kernel reads.
  if (stride == feature_count && row_count >= kBlockRows) {
    const std::size_t block_count = row_count / kBlockRows;
    kernels.quantise(model, rows, stride, block_count, planes);
    row = block_count * kBlockRows;
  }
  for (; row < row_count; row += kBlockRows) {
    const std::size_t count = std::min(kBlockRows, row_count - row);
    std::fill_n(padded_rows, kBlockRows * stride, 0.0F);
    for (std::size_t i = 0; i < count; ++i) {
      std::memcpy(padded_rows + i * stride, rows + (row + i) * feature_count,
                  feature_count * sizeof(float));
    }
    kernels.quantise(model, padded_rows, stride, 1, planes + row);
  }
  return (row_count + kBlockRows - 1) / kBlockRows;
}

void score_rows(const Kernels& kernels, const PackedModel& model, const float* rows,
                std::size_t row_count, float* outputs) {
  ChunkBins bins;  // NOLINT(cppcoreguidelines-pro-type-member-init): written before it is read
  alignas(64) std::int32_t sums[kChunkRows];
  for (std::size_t row = 0; row < row_count; row += kChunkRows) {
    const std::size_t count = std::min(kChunkRows, row_count - row);
    const std::size_t block_count =
        bins.fill(kernels, model, rows + row * model.feature_count, count);
    for (std::size_t output = 0; output < model.output_count; ++output) {
      const PackedForest& forest = model.outputs[output];
      kernels.sum_leaves(forest, bins.planes, block_count, sums);
      kernels.finish(forest, sums, count, outputs + row * model.output_count + output,
                     model.output_count);
    }
  }
}

void share_work(std::size_t count, std::size_t step, unsigned thread_count,
                const PartOfWork& work) {
  std::atomic<std::size_t> next{0};
  const auto take_all = [&](std::size_t worker) {
    for (;;) {
      const std::size_t begin = next.fetch_add(step, std::memory_order_relaxed);
      if (begin >= count) {
        return;
      }
      work(worker, begin, std::min(begin + step, count));
    }
  };
  const std::size_t part_count = (count + step - 1) / step;
  std::vector<std::jthread> threads;
  for (std::size_t i = 1; i < std::min<std::size_t>(thread_count, part_count); ++i) {
    try {
      threads.emplace_back(take_all, i);
    } catch (const std::system_error&) {
      break;  // the host has no thread left for us: those that run take all the parts
    }
  }
  take_all(0);
}

unsigned useful_thread_count(double row_trees, unsigned wanted) noexcept {
  const unsigned limit = wanted == 0 ? std::max(1U, std::thread::hardware_concurrency()) : wanted;
  const double useful = std::max(1.0, row_trees / kRowTreesOfAThread);
  return useful < limit ? static_cast<unsigned>(useful) : limit;
}

}  // namespace finops::predict
