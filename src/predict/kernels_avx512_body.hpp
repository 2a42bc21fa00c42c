// kernels_avx512_body.hpp - the AVX-512 kernels, compiled once with and once without VBMI.
//
// Owns: what both files share. Does not own: the contract (scorer_kernels.hpp).
// Invariant: all is in an unnamed namespace; see scorer_kernels.hpp for why.
// NOLINTBEGIN(misc-definitions-in-headers): two files include it, and each wants its own copy.
#pragma once

#include <immintrin.h>

#include "predict/scorer_kernels.hpp"

#if defined(__clang__)
#define FINOPS_UNROLL _Pragma("unroll")
#else
#define FINOPS_UNROLL _Pragma("GCC unroll 8")
#endif

namespace finops::predict {
namespace {

// --- bins ----------------------------------------------------------------------------------------

// Four features of 16 rows, each in a register of its own, in the rows' order.
inline void load_transposed(const float* rows, std::size_t row_stride, __m512* values) {
  __m512 joined[4];
  FINOPS_UNROLL for (std::size_t i = 0; i < 4; ++i) {
    const float* row = rows + i * row_stride;
    const __m256 low = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(row)),
                                            _mm_loadu_ps(row + 4 * row_stride), 1);
    const __m256 high =
        _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(row + 8 * row_stride)),
                             _mm_loadu_ps(row + 12 * row_stride), 1);
    joined[i] = _mm512_insertf32x8(_mm512_castps256_ps512(low), high, 1);
  }
  const __m512d low_01 = _mm512_castps_pd(_mm512_unpacklo_ps(joined[0], joined[1]));
  const __m512d high_01 = _mm512_castps_pd(_mm512_unpackhi_ps(joined[0], joined[1]));
  const __m512d low_23 = _mm512_castps_pd(_mm512_unpacklo_ps(joined[2], joined[3]));
  const __m512d high_23 = _mm512_castps_pd(_mm512_unpackhi_ps(joined[2], joined[3]));
  values[0] = _mm512_castpd_ps(_mm512_unpacklo_pd(low_01, low_23));
  values[1] = _mm512_castpd_ps(_mm512_unpackhi_pd(low_01, low_23));
  values[2] = _mm512_castpd_ps(_mm512_unpacklo_pd(high_01, high_23));
  values[3] = _mm512_castpd_ps(_mm512_unpackhi_pd(high_01, high_23));
}

// The border that each value meets at a level, by its answers so far.
template <std::size_t Level>
inline __m512 border_at(const float* search, __m512i code) {
  if constexpr (Level == 0) {
    return _mm512_set1_ps(search[0]);
  } else if constexpr (Level <= 4) {
    return _mm512_permutexvar_ps(code, _mm512_loadu_ps(search + 16 * Level));
  } else if constexpr (Level == 5) {
    return _mm512_permutex2var_ps(_mm512_loadu_ps(search + 80), code, _mm512_loadu_ps(search + 96));
  } else {
    const float* table = search + 112;
    const __m512 low =
        _mm512_permutex2var_ps(_mm512_loadu_ps(table), code, _mm512_loadu_ps(table + 16));
    const __m512 high =
        _mm512_permutex2var_ps(_mm512_loadu_ps(table + 32), code, _mm512_loadu_ps(table + 48));
    return _mm512_mask_mov_ps(low, _mm512_test_epi32_mask(code, _mm512_set1_epi32(32)), high);
  }
}

template <std::size_t Level>
inline void search_level(const float* search, const __m512* values, __m512i* codes) {
  FINOPS_UNROLL for (std::size_t i = 0; i < 4; ++i) {
    const __m512 border = border_at<Level>(search, codes[i]);
    const __mmask16 is_above = _mm512_cmp_ps_mask(values[i], border, _CMP_GT_OQ);
    codes[i] = _mm512_mask_or_epi32(codes[i], is_above, codes[i], _mm512_set1_epi32(1 << Level));
  }
}

// Bins of 64 values of one feature. Nothing here branches on a value.
inline __m512i bins_of(const PackedModel& model, std::size_t feature, const __m512* values) {
  const float* search = model.searches + feature * kSearchStride;
  const std::size_t level_count = model.search_level_counts[feature];
  __m512i codes[4];
  FINOPS_UNROLL for (std::size_t i = 0; i < 4; ++i) { codes[i] = _mm512_setzero_si512(); }
  // clang-format off
  if (level_count > 0) { search_level<0>(search, values, codes); }
  if (level_count > 1) { search_level<1>(search, values, codes); }
  if (level_count > 2) { search_level<2>(search, values, codes); }
  if (level_count > 3) { search_level<3>(search, values, codes); }
  if (level_count > 4) { search_level<4>(search, values, codes); }
  if (level_count > 5) { search_level<5>(search, values, codes); }
  if (level_count > 6) { search_level<6>(search, values, codes); }
  // clang-format on
  // Packing works within lanes of 128 bits: lane m has rows 4m to 4m + 3 of each of the four.
  const __m512i low_codes = _mm512_packs_epi32(codes[0], codes[1]);
  const __m512i high_codes = _mm512_packs_epi32(codes[2], codes[3]);
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  const __m512i code = _mm512_permutexvar_epi32(order, _mm512_packs_epi16(low_codes, high_codes));
  const auto* tables = reinterpret_cast<const __m128i*>(model.bin_of_code + 32 * level_count);
  const __m512i nibble = _mm512_set1_epi8(15);
  const __m512i low = _mm512_and_si512(code, nibble);
  const __m512i high = _mm512_and_si512(_mm512_srli_epi16(code, 4), nibble);
  return _mm512_or_si512(_mm512_shuffle_epi8(_mm512_broadcast_i32x4(_mm_loadu_si128(tables)), low),
                         _mm512_shuffle_epi8(_mm512_broadcast_i32x4(_mm_loadu_si128(tables + 1)),
                                             high));
}

inline __mmask64 missing_of(const __m512* values) {
  std::uint64_t missing = 0;
  FINOPS_UNROLL for (unsigned i = 0; i < 4; ++i) {
    const std::uint64_t part = _mm512_cmp_ps_mask(values[i], values[i], _CMP_UNORD_Q);
    missing |= part << (16 * i);
  }
  return missing;
}

// Rows come in 16 bytes at a time, which no processor's own prefetching follows: each call asks for
// its share of the next block's cache lines. Past the last block that does no harm.
inline void prefetch_share(const float* next_rows, std::size_t first_feature) {
  const auto first_line = reinterpret_cast<std::uintptr_t>(next_rows) + 256 * first_feature;
  FINOPS_UNROLL for (std::size_t line = 0; line < 16; ++line) {
    // NOLINTNEXTLINE(performance-no-int-to-ptr): it may lie past the rows, where no pointer may
    _mm_prefetch(reinterpret_cast<const char*>(first_line + 64 * line), _MM_HINT_T0);
  }
}

inline void quantise_four(const PackedModel& model, std::size_t first_feature, const float* rows,
                          std::size_t row_stride, std::uint8_t* planes) {
  __m512 values[4][4];  // [feature][16 rows]
  FINOPS_UNROLL for (std::size_t part = 0; part < 4; ++part) {
    __m512 loaded[4];
    load_transposed(rows + first_feature + 16 * part * row_stride, row_stride, loaded);
    FINOPS_UNROLL for (std::size_t k = 0; k < 4; ++k) { values[k][part] = loaded[k]; }
  }
  FINOPS_UNROLL for (std::size_t k = 0; k < 4; ++k) {
    const std::size_t feature = first_feature + k;
    const __m512i bins = bins_of(model, feature, values[k]);
    _mm512_store_si512(planes + feature * kChunkRows, bins);
    if (const std::size_t high = model.high_planes[feature]; high != 0) {
      const __m512i missing_bin = _mm512_set1_epi8(static_cast<char>(kMissingHighBin));
      _mm512_store_si512(planes + high * kChunkRows,
                         _mm512_mask_mov_epi8(bins, missing_of(values[k]), missing_bin));
    }
  }
}

void quantise(const PackedModel& model, const float* rows, std::size_t row_stride,
              std::size_t block_count, std::uint8_t* planes) {
  const std::size_t last = model.padded_feature_count - kFeatureStep;
  for (std::size_t block = 0; block < block_count; ++block) {
    const float* block_rows = rows + block * kBlockRows * row_stride;
    std::uint8_t* block_planes = planes + block * kBlockRows;
    for (std::size_t feature = 0; feature < last; feature += kFeatureStep) {
      prefetch_share(block_rows + kBlockRows * row_stride, feature);
      quantise_four(model, feature, block_rows, row_stride, block_planes);
    }
    // The last four may overlap those before: no row is read past its end.
    prefetch_share(block_rows + kBlockRows * row_stride, last);
    quantise_four(model, last, block_rows, row_stride, block_planes);
  }
}

// --- sums ----------------------------------------------------------------------------------------

// The 32-bit sums of a block stay in memory between groups. A compiler that keeps them in registers
// runs out of those and moves the 16-bit sums of the inner loop about instead, at a third more
// time: hence the barrier, which is no instruction. Until reorder_sums, row 4i + k of a block is
// sums[16k + i].

// Not VNNI's one instruction for both: its latency would be part of the chain from sum to sum.
inline void add_to(std::int32_t* sums, __m512i words, __m512i which) {
  const __m512i wide = _mm512_madd_epi16(words, which);
  _mm512_store_si512(sums, _mm512_add_epi32(_mm512_load_si512(sums), wide));
}

// Adds the 16-bit sums of the even and of the odd rows of a block.
inline void widen(__m512i even_rows, __m512i odd_rows, std::int32_t* sums) {
  const __m512i even = _mm512_set1_epi32(1);
  const __m512i odd = _mm512_set1_epi32(0x10000);
  add_to(sums, even_rows, even);
  add_to(sums + 32, even_rows, odd);
  add_to(sums + 16, odd_rows, even);
  add_to(sums + 48, odd_rows, odd);
  asm volatile("" ::: "memory");
}

inline void clear_sums(std::int32_t* sums, std::size_t count) {
  for (std::size_t i = 0; i < count; i += 16) {
    _mm512_store_si512(sums + i, _mm512_setzero_si512());
  }
}

// Puts the sums of a block in the rows' order.
inline void reorder_sums(std::int32_t* sums) {
  const __m512i first = _mm512_load_si512(sums);
  const __m512i second = _mm512_load_si512(sums + 16);
  const __m512i third = _mm512_load_si512(sums + 32);
  const __m512i fourth = _mm512_load_si512(sums + 48);
  const __m512i low_01 = _mm512_unpacklo_epi32(first, second);
  const __m512i high_01 = _mm512_unpackhi_epi32(first, second);
  const __m512i low_23 = _mm512_unpacklo_epi32(third, fourth);
  const __m512i high_23 = _mm512_unpackhi_epi32(third, fourth);
  const __m512i lanes[4] = {
      _mm512_unpacklo_epi64(low_01, low_23), _mm512_unpackhi_epi64(low_01, low_23),
      _mm512_unpacklo_epi64(high_01, high_23), _mm512_unpackhi_epi64(high_01, high_23)};
  FINOPS_UNROLL for (std::size_t i = 0; i < 4; ++i) {
    auto* quads = reinterpret_cast<__m128i*>(sums + 4 * i);
    _mm_storeu_si128(quads, _mm512_castsi512_si128(lanes[i]));
    _mm_storeu_si128(quads + 4, _mm512_extracti32x4_epi32(lanes[i], 1));
    _mm_storeu_si128(quads + 8, _mm512_extracti32x4_epi32(lanes[i], 2));
    _mm_storeu_si128(quads + 12, _mm512_extracti32x4_epi32(lanes[i], 3));
  }
}

template <std::size_t BlockCount>
inline void leaf_indexes(const std::uint8_t* level_planes, const std::uint8_t* thresholds,
                         const std::uint8_t* planes, __m512i* indexes) {
  FINOPS_UNROLL for (std::size_t b = 0; b < BlockCount; ++b) {
    indexes[b] = _mm512_setzero_si512();
  }
  FINOPS_UNROLL for (std::size_t level = 0; level < kLevelCount; ++level) {
    const std::uint8_t* plane = planes + level_planes[level] * kChunkRows;
    const __m512i threshold = _mm512_set1_epi8(static_cast<char>(thresholds[level]));
    const __m512i bit = _mm512_set1_epi8(static_cast<char>(1 << level));
    FINOPS_UNROLL for (std::size_t b = 0; b < BlockCount; ++b) {
      const __m512i bins = _mm512_load_si512(plane + b * kBlockRows);
      const __mmask64 is_above = _mm512_cmplt_epu8_mask(threshold, bins);
      indexes[b] = _mm512_mask_add_epi8(indexes[b], is_above, indexes[b], bit);
    }
  }
}

// Of an index only the low six bits count, so that a register of byte indexes serves twice: as
// words it has the even rows' index, shifted right by eight the odd rows'.
template <std::size_t BlockCount>
void sum_blocks(const PackedForest& forest, const std::uint8_t* planes, std::int32_t* sums) {
  clear_sums(sums, BlockCount * kBlockRows);
  std::size_t tree = 0;
  for (std::size_t group = 0; group < forest.group_count; ++group) {
    __m512i even[BlockCount];
    __m512i odd[BlockCount];
    FINOPS_UNROLL for (std::size_t b = 0; b < BlockCount; ++b) {
      even[b] = _mm512_setzero_si512();
      odd[b] = _mm512_setzero_si512();
    }
    for (const std::size_t end = forest.group_ends[group]; tree < end; ++tree) {
      __m512i indexes[BlockCount];
      leaf_indexes<BlockCount>(forest.planes + tree * kLevelStride,
                               forest.thresholds + tree * kLevelStride, planes, indexes);
      const __m512i low = _mm512_load_si512(forest.leaves + tree * kLeafCount);
      const __m512i high = _mm512_load_si512(forest.leaves + tree * kLeafCount + 32);
      FINOPS_UNROLL for (std::size_t b = 0; b < BlockCount; ++b) {
        const __m512i odd_index = _mm512_srli_epi16(indexes[b], 8);
        even[b] = _mm512_add_epi16(even[b], _mm512_permutex2var_epi16(low, indexes[b], high));
        odd[b] = _mm512_add_epi16(odd[b], _mm512_permutex2var_epi16(low, odd_index, high));
      }
    }
    FINOPS_UNROLL for (std::size_t b = 0; b < BlockCount; ++b) {
      widen(even[b], odd[b], sums + b * kBlockRows);
    }
  }
  for (std::size_t b = 0; b < BlockCount; ++b) {
    reorder_sums(sums + b * kBlockRows);
  }
}

void sum_leaves(const PackedForest& forest, const std::uint8_t* planes, std::size_t block_count,
                std::int32_t* sums) {
  switch (block_count) {
    case 1: return sum_blocks<1>(forest, planes, sums);
    case 2: return sum_blocks<2>(forest, planes, sums);
    case 3: return sum_blocks<3>(forest, planes, sums);
    default: return sum_blocks<4>(forest, planes, sums);
  }
}

inline float finished(const PackedForest& forest, std::uint32_t sum) {
  const auto leaf_sum = static_cast<std::int32_t>(forest.offset_sum + sum);
  const double scaled = forest.leaf_scale * static_cast<double>(leaf_sum);
  return static_cast<float>(forest.base + scaled);
}

void finish(const PackedForest& forest, const std::int32_t* sums, std::size_t row_count,
            float* outputs, std::size_t stride) {
  std::size_t row = 0;
  if (stride == 1) {
    const __m256i offset = _mm256_set1_epi32(static_cast<int>(forest.offset_sum));
    const __m512d base = _mm512_set1_pd(forest.base);
    const __m512d scale = _mm512_set1_pd(forest.leaf_scale);
    for (; row + 8 <= row_count; row += 8) {
      const auto* source = reinterpret_cast<const __m256i*>(sums + row);
      const __m256i sum = _mm256_add_epi32(_mm256_loadu_si256(source), offset);
      const __m512d scaled = _mm512_mul_pd(scale, _mm512_cvtepi32_pd(sum));
      _mm256_storeu_ps(outputs + row, _mm512_cvtpd_ps(_mm512_add_pd(base, scaled)));
    }
  }
  for (; row < row_count; ++row) {
    outputs[row * stride] = finished(forest, static_cast<std::uint32_t>(sums[row]));
  }
}

// --- one row -------------------------------------------------------------------------------------

// Lanes are features here, so that every border is compared with: no table holds 16 features'.
inline void bin_row(const PackedModel& model, const float* row, std::uint8_t* bins) {
  const float* borders = model.lane_borders;
  for (std::size_t first = 0; first < model.feature_count; first += 16) {
    const std::size_t left = model.feature_count - first;
    const auto lanes = static_cast<__mmask16>(left >= 16 ? 0xffffU : (1U << left) - 1U);
    const __m512 values = _mm512_maskz_loadu_ps(lanes, row + first);
    const __m512i one = _mm512_set1_epi32(1);
    __m512i counts = _mm512_setzero_si512();
    const std::size_t border_count = model.lane_border_counts[first / 16];
    for (std::size_t border = 0; border < border_count; ++border, borders += 16) {
      const __mmask16 is_above = _mm512_cmp_ps_mask(values, _mm512_loadu_ps(borders), _CMP_GT_OQ);
      counts = _mm512_mask_add_epi32(counts, is_above, counts, one);
    }
    // Whole planes of 16: what lies past the features is written over below, or never read.
    _mm_storeu_si128(reinterpret_cast<__m128i*>(bins + first), _mm512_cvtepi32_epi8(counts));
  }
  for (std::size_t feature = 0; feature < model.feature_count; ++feature) {
    if (const std::size_t high = model.high_planes[feature]; high != 0) {
      bins[high] = row[feature] != row[feature] ? kMissingHighBin : bins[feature];
    }
  }
}

// The row's bins at 64 planes.
inline __m512i bins_at(__m512i planes, const std::uint8_t* bins, std::size_t plane_count) {
#if defined(__AVX512VBMI__)
  const __m512i low_bins = _mm512_load_si512(bins);
  return plane_count <= kBlockRows
             ? _mm512_permutexvar_epi8(planes, low_bins)
             : _mm512_permutex2var_epi8(low_bins, planes, _mm512_load_si512(bins + kBlockRows));
#else
  // A shuffle knows 16 bins; what the sum makes 128 or more gives 0.
  __m512i found = _mm512_setzero_si512();
  for (std::size_t first = 0; first < plane_count; first += 16) {
    const auto* table = reinterpret_cast<const __m128i*>(bins + first);
    const __m512i within = _mm512_sub_epi8(planes, _mm512_set1_epi8(static_cast<char>(first)));
    const __m512i index = _mm512_adds_epu8(within, _mm512_set1_epi8(112));
    const __m512i part = _mm512_broadcast_i32x4(_mm_load_si128(table));
    found = _mm512_or_si512(found, _mm512_shuffle_epi8(part, index));
  }
  return found;
#endif
}

// Lanes are trees: the index of 64 of them, of one row.
inline void lane_indexes(const PackedForest& forest, std::size_t first_tree,
                         const std::uint8_t* bins, std::size_t plane_count, std::uint8_t* indexes) {
  const std::uint8_t* lane_planes = forest.lane_planes + first_tree * kLevelCount;
  const std::uint8_t* lane_thresholds = forest.lane_thresholds + first_tree * kLevelCount;
  __m512i index = _mm512_setzero_si512();
  FINOPS_UNROLL for (std::size_t level = 0; level < kLevelCount; ++level) {
    const __m512i planes = _mm512_load_si512(lane_planes + level * kBlockRows);
    const __m512i threshold = _mm512_load_si512(lane_thresholds + level * kBlockRows);
    const __m512i found = bins_at(planes, bins, plane_count);
    const __m512i bit = _mm512_set1_epi8(static_cast<char>(1 << level));
    index = _mm512_mask_add_epi8(index, _mm512_cmplt_epu8_mask(threshold, found), index, bit);
  }
  _mm512_store_si512(indexes, index);
}

void score_one(const PackedModel& model, const float* row, float* outputs) {
  alignas(64) std::uint8_t bins[kMaxPlaneCount];
  alignas(64) std::uint8_t indexes[kBlockRows];
  bin_row(model, row, bins);
  for (std::size_t output = 0; output < model.output_count; ++output) {
    const PackedForest& forest = model.outputs[output];
    std::uint32_t sum = 0;
    for (std::size_t tree = 0; tree < forest.tree_count; tree += kBlockRows) {
      lane_indexes(forest, tree, bins, model.plane_count, indexes);
      const std::size_t left = forest.tree_count - tree;
      const std::size_t count = left < kBlockRows ? left : kBlockRows;
      const std::int16_t* leaves = forest.leaves + tree * kLeafCount;
      for (std::size_t i = 0; i < count; ++i) {
        sum += static_cast<std::uint32_t>(std::int32_t{leaves[i * kLeafCount + indexes[i]]});
      }
    }
    outputs[output] = finished(forest, sum);
  }
}

// --- grid ----------------------------------------------------------------------------------------

void index_leaves(const LevelList& levels, const std::uint8_t* planes, std::size_t block_count,
                  std::uint8_t* indexes) {
  for (std::size_t block = 0; block < block_count; ++block) {
    __m512i index = _mm512_setzero_si512();
    for (std::size_t level = 0; level < levels.count; ++level) {
      const std::uint8_t* plane = planes + levels.planes[level] * kChunkRows;
      const __m512i bins = _mm512_load_si512(plane + block * kBlockRows);
      const __m512i threshold = _mm512_set1_epi8(static_cast<char>(levels.thresholds[level]));
      const __m512i bit = _mm512_set1_epi8(static_cast<char>(1U << (level + levels.shift)));
      index = _mm512_mask_add_epi8(index, _mm512_cmplt_epu8_mask(threshold, bins), index, bit);
    }
    _mm512_store_si512(indexes + block * kBlockRows, index);
  }
}

template <std::size_t BlockCount>
void pair_blocks(const GridTile& tile, std::size_t first_job, std::size_t second_job,
                 std::int32_t* sums) {
  clear_sums(sums, 2 * kChunkRows);
  std::size_t tree = 0;
  for (std::size_t group = 0; group < tile.group_count; ++group) {
    __m512i words[4][BlockCount];  // first job's even and odd placements, second job's
    FINOPS_UNROLL for (std::size_t b = 0; b < BlockCount; ++b) {
      words[0][b] = words[1][b] = words[2][b] = words[3][b] = _mm512_setzero_si512();
    }
    for (const std::size_t end = tile.group_ends[group]; tree < end; ++tree) {
      const std::uint8_t* starts = tile.job_starts + tree * kGridJobs;
      const std::int16_t* leaves = tile.leaves + tree * kGridLeafStride;
      const __m512i first = _mm512_loadu_si512(leaves + starts[first_job]);
      const __m512i second = _mm512_loadu_si512(leaves + starts[second_job]);
      const std::uint8_t* indexes = tile.leaf_indexes + tree * kChunkRows;
      FINOPS_UNROLL for (std::size_t b = 0; b < BlockCount; ++b) {
        const __m512i even = _mm512_load_si512(indexes + b * kBlockRows);
        const __m512i odd = _mm512_srli_epi16(even, 8);
        words[0][b] = _mm512_add_epi16(words[0][b], _mm512_permutexvar_epi16(even, first));
        words[1][b] = _mm512_add_epi16(words[1][b], _mm512_permutexvar_epi16(odd, first));
        words[2][b] = _mm512_add_epi16(words[2][b], _mm512_permutexvar_epi16(even, second));
        words[3][b] = _mm512_add_epi16(words[3][b], _mm512_permutexvar_epi16(odd, second));
      }
    }
    FINOPS_UNROLL for (std::size_t b = 0; b < BlockCount; ++b) {
      widen(words[0][b], words[1][b], sums + b * kBlockRows);
      widen(words[2][b], words[3][b], sums + kChunkRows + b * kBlockRows);
    }
  }
  for (std::size_t b = 0; b < BlockCount; ++b) {
    reorder_sums(sums + b * kBlockRows);
    reorder_sums(sums + kChunkRows + b * kBlockRows);
  }
}

void sum_pairs(const GridTile& tile, std::size_t first_job, std::size_t second_job,
               std::int32_t* sums) {
  switch (tile.block_count) {
    case 1: return pair_blocks<1>(tile, first_job, second_job, sums);
    case 2: return pair_blocks<2>(tile, first_job, second_job, sums);
    case 3: return pair_blocks<3>(tile, first_job, second_job, sums);
    default: return pair_blocks<4>(tile, first_job, second_job, sums);
  }
}

constexpr Kernels kKernels{quantise, sum_leaves, finish, score_one, index_leaves, sum_pairs};

}  // namespace
}  // namespace finops::predict
// NOLINTEND(misc-definitions-in-headers)
