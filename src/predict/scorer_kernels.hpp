// scorer_kernels.hpp - what the kernels of each instruction set are given, and what they offer.
//
// Owns: PackedForest, PackedModel, GridTile, Kernels. Does not own: how a model is packed
// (scorer_layout.hpp), threads, checks.
// Invariants: plain pointers only. A kernel's file is compiled for its own instruction set, and the
// linker may take any file's copy of an inline function for all of them: none may come from there.
#pragma once

#include <cstddef>
#include <cstdint>

namespace finops::predict {

/// A block is one AVX-512 register of bytes; a chunk is what is binned and then scored at once.
inline constexpr std::size_t kBlockRows = 64;
inline constexpr std::size_t kChunkRows = 256;
inline constexpr std::size_t kLevelCount = 6;
inline constexpr std::size_t kLevelStride = 8;  ///< levels of a tree, padded
inline constexpr std::size_t kLeafCount = 64;
/// Rows are read four features at a time, so that a model has at least so many.
inline constexpr std::size_t kFeatureStep = 4;
inline constexpr std::size_t kMaxPlaneCount = 128;
inline constexpr std::size_t kSearchLevelCount = 7;  ///< 127 borders, above what a model may have
/// Floats of a feature's search: levels 0 to 4 take 16 each, 5 takes 32 and 6 takes 64.
inline constexpr std::size_t kSearchStride = 5 * 16 + 32 + 64;
inline constexpr std::uint8_t kMissingHighBin = 127;
inline constexpr std::uint8_t kNeverThreshold = 127;  ///< no bin is greater
/// Leaves of a tree in a grid: 64, and what a load of 32 beginning at the last may read past them.
inline constexpr std::size_t kGridLeafStride = 96;
inline constexpr std::size_t kGridJobs = 64;  ///< jobs of a tile; its placements are a chunk

/// The trees of one output. A tree's leaves are centred: `offset_sum` has what was taken away.
/// A row's sum is offset_sum + the leaves, modulo 2^32; check_model saw to it that none wraps.
struct PackedForest {
  std::size_t tree_count = 0;
  const std::uint8_t* planes = nullptr;      ///< [tree][kLevelStride]; what each level looks at
  const std::uint8_t* thresholds = nullptr;  ///< [tree][kLevelStride]; the bit is bin > threshold
  const std::int16_t* leaves = nullptr;      ///< [tree][kLeafCount], 64-byte aligned
  const std::uint8_t* leaf_bytes = nullptr;  ///< [tree][2][kLeafCount]: low bytes, high bytes
  /// Trees up to group_ends[g] (from the group before) have leaves whose sum fits 16 bits.
  const std::uint32_t* group_ends = nullptr;
  std::size_t group_count = 0;
  const std::uint8_t* lane_planes = nullptr;      ///< [tree / 64][kLevelCount][tree % 64]
  const std::uint8_t* lane_thresholds = nullptr;  ///< the same shape
  std::uint32_t offset_sum = 0;
  double base = 0;
  double leaf_scale = 1;
};

/// Planes 0 to padded_feature_count are the features' bins with missing as 0, those after are
/// bins of some of the features with missing as kMissingHighBin.
struct PackedModel {
  std::size_t feature_count = 0;
  std::size_t padded_feature_count = 0;  ///< at least kFeatureStep
  std::size_t plane_count = 0;
  std::size_t output_count = 0;
  const PackedForest* outputs = nullptr;
  const std::uint8_t* high_planes = nullptr;    ///< [padded feature]; 0: none
  const float* borders = nullptr;               ///< [padded feature][128], past the last +infinity
  const std::uint8_t* border_counts = nullptr;  ///< [padded feature]
  const std::uint8_t* search_level_counts = nullptr;  ///< [padded feature]
  const float* searches = nullptr;                    ///< [padded feature][kSearchStride]
  /// A search collects its answers lowest bit first; [level count][2][16] turns four of them each
  /// into their part of the bin.
  const std::uint8_t* bin_of_code = nullptr;
  const float* lane_borders = nullptr;               ///< [feature / 16][border][feature % 16]
  const std::uint8_t* lane_border_counts = nullptr;  ///< [feature / 16]
};

/// Up to kGridJobs jobs and a chunk of placements, for the trees of one output that look at both.
struct GridTile {
  std::size_t tree_count = 0;
  const std::int16_t* leaves = nullptr;       ///< [tree][kGridLeafStride]
  const std::uint8_t* leaf_bytes = nullptr;   ///< [tree][2][kGridLeafStride]
  const std::uint32_t* group_ends = nullptr;  ///< as in PackedForest
  std::size_t group_count = 0;
  const std::uint8_t* job_starts = nullptr;    ///< [tree][kGridJobs]: where the job's leaves begin
  const std::uint8_t* leaf_indexes = nullptr;  ///< [tree][kChunkRows]: of the placement, below 32
  std::size_t block_count = 0;                 ///< of placements
};

struct Kernels {
  /// Bins of whole blocks of rows. `rows`: [block_count x kBlockRows][row_stride], row_stride at
  /// least kFeatureStep; `planes`: [plane_count][kChunkRows], 64-byte aligned.
  void (*quantise)(const PackedModel& model, const float* rows, std::size_t row_stride,
                   std::size_t block_count, std::uint8_t* planes);
  /// `sums`: [block_count x kBlockRows], without offset_sum. `block_count`: 1 to 4.
  void (*sum_leaves)(const PackedForest& forest, const std::uint8_t* planes,
                     std::size_t block_count, std::int32_t* sums);
  /// outputs[row * stride] = float(base + leaf_scale * (offset_sum + sums[row])).
  void (*finish)(const PackedForest& forest, const std::int32_t* sums, std::size_t row_count,
                 float* outputs, std::size_t stride);
  void (*score_one)(const PackedModel& model, const float* row, float* outputs);
  /// The leaf index of whole blocks of rows, of `level_count` levels, first level lowest, and
  /// shifted up by `shift`. `indexes`: [block_count x kBlockRows].
  void (*index_leaves)(const std::uint8_t* level_planes, const std::uint8_t* thresholds,
                       std::size_t level_count, unsigned shift, const std::uint8_t* planes,
                       std::size_t block_count, std::uint8_t* indexes);
  /// Two jobs of the tile with all its placements. `sums`: [2][kChunkRows].
  void (*sum_pairs)(const GridTile& tile, std::size_t first_job, std::size_t second_job,
                    std::int32_t* sums);
};

/// Null where the build has none. The caller asks the processor first (scorer_dispatch.hpp).
const Kernels* scalar_kernels() noexcept;
const Kernels* avx2_kernels() noexcept;
const Kernels* avx512_kernels() noexcept;
const Kernels* avx512vbmi_kernels() noexcept;

}  // namespace finops::predict
