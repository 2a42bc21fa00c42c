// scorer_batch.hpp - rows through the kernels, chunk by chunk, and work shared among threads.
//
// Owns: score_rows, share_work. Does not own: checks of sizes (scorer.cpp).
// Invariant: how work is shared changes no output.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

#include "predict/scorer_kernels.hpp"

namespace finops::predict {

/// Bins of up to kChunkRows rows, the last block filled up with rows of zeros. Memory of its own:
/// about 48 KiB, meant for the stack.
struct ChunkBins {
  alignas(64) std::uint8_t planes[kMaxPlaneCount * kChunkRows];
  alignas(64) float padded_rows[kBlockRows * 64];

  /// `rows`: [row_count x feature_count], row_count at most kChunkRows. Gives the block count.
  std::size_t fill(const Kernels& kernels, const PackedModel& model, const float* rows,
                   std::size_t row_count);
};

/// `outputs`: [row_count x output_count].
void score_rows(const Kernels& kernels, const PackedModel& model, const float* rows,
                std::size_t row_count, float* outputs);

/// One part of the work: [begin, end), by worker 0 to thread_count - 1. It must not throw.
using PartOfWork = std::function<void(std::size_t worker, std::size_t begin, std::size_t end)>;

/// Calls `work` for parts of [0, count) that lie apart, at most `step` long, on up to
/// `thread_count` threads of which the caller is one. A thread that cannot be had is no error.
void share_work(std::size_t count, std::size_t step, unsigned thread_count, const PartOfWork& work);

/// How many threads `row_trees` (rows times trees) deserve: below that each has too little to do.
unsigned useful_thread_count(double row_trees, unsigned wanted) noexcept;

}  // namespace finops::predict
