// kernels_avx512_body.hpp - the AVX-512 kernels, compiled once with and once without VBMI and VNNI.
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
    __m512 x = _mm512_castps128_ps512(_mm_loadu_ps(row));
    x = _mm512_insertf32x4(x, _mm_loadu_ps(row + 4 * row_stride), 1);
    x = _mm512_insertf32x4(x, _mm_loadu_ps(row + 8 * row_stride), 2);
    joined[i] = _mm512_insertf32x4(x, _mm_loadu_ps(row + 12 * row_stride), 3);
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
template <int Level>
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

template <int Level>
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
  __m512i code = _mm512_castsi128_si512(_mm512_cvtepi32_epi8(codes[0]));
  code = _mm512_inserti32x4(code, _mm512_cvtepi32_epi8(codes[1]), 1);
  code = _mm512_inserti32x4(code, _mm512_cvtepi32_epi8(codes[2]), 2);
  code = _mm512_inserti32x4(code, _mm512_cvtepi32_epi8(codes[3]), 3);
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
      quantise_four(model, feature, block_rows, row_stride, block_planes);
    }
    // The last four may overlap those before: no row is read past its end.
    quantise_four(model, last, block_rows, row_stride, block_planes);
  }
}

// --- sums ----------------------------------------------------------------------------------------

// Adds the even and the odd 16-bit numbers to 32-bit sums.
inline void widen(__m512i words, __m512i* even_sums, __m512i* odd_sums) {
  const __m512i even = _mm512_set1_epi32(1);
  const __m512i odd = _mm512_set1_epi32(0x10000);
#if defined(__AVX512VNNI__)
  *even_sums = _mm512_dpwssd_epi32(*even_sums, words, even);
  *odd_sums = _mm512_dpwssd_epi32(*odd_sums, words, odd);
#else
  *even_sums = _mm512_add_epi32(*even_sums, _mm512_madd_epi16(words, even));
  *odd_sums = _mm512_add_epi32(*odd_sums, _mm512_madd_epi16(words, odd));
#endif
}

// Register i has rows i, i + 4, i + 8...: the four are written in the rows' order.
inline void store_sums(const __m512i* sums, std::int32_t* target) {
  const __m512i low_01 = _mm512_unpacklo_epi32(sums[0], sums[1]);
  const __m512i high_01 = _mm512_unpackhi_epi32(sums[0], sums[1]);
  const __m512i low_23 = _mm512_unpacklo_epi32(sums[2], sums[3]);
  const __m512i high_23 = _mm512_unpackhi_epi32(sums[2], sums[3]);
  const __m512i lanes[4] = {
      _mm512_unpacklo_epi64(low_01, low_23), _mm512_unpackhi_epi64(low_01, low_23),
      _mm512_unpacklo_epi64(high_01, high_23), _mm512_unpackhi_epi64(high_01, high_23)};
  FINOPS_UNROLL for (std::size_t i = 0; i < 4; ++i) {
    auto* quads = reinterpret_cast<__m128i*>(target + 4 * i);
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
      const __mmask64 is_above = _mm512_cmpgt_epu8_mask(bins, threshold);
      indexes[b] = _mm512_mask_add_epi8(indexes[b], is_above, indexes[b], bit);
    }
  }
}

// Of an index only the low six bits count, so that a register of byte indexes serves twice: as
// words it has the even rows' index, shifted right by eight the odd rows'.
template <std::size_t BlockCount>
void sum_blocks(const PackedForest& forest, const std::uint8_t* planes, std::int32_t* sums) {
  __m512i totals[BlockCount][4];  // rows 4i, 4i + 2, 4i + 1, 4i + 3
  for (std::size_t b = 0; b < BlockCount; ++b) {
    for (std::size_t i = 0; i < 4; ++i) {
      totals[b][i] = _mm512_setzero_si512();
    }
  }
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
      widen(even[b], &totals[b][0], &totals[b][1]);
      widen(odd[b], &totals[b][2], &totals[b][3]);
    }
  }
  for (std::size_t b = 0; b < BlockCount; ++b) {
    const __m512i ordered[4] = {totals[b][0], totals[b][2], totals[b][1], totals[b][3]};
    store_sums(ordered, sums + b * kBlockRows);
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

// Lanes are trees: the index of 64 of them, of one row.
inline void lane_indexes(const PackedForest& forest, std::size_t first_tree,
                         const std::uint8_t* bins, std::size_t plane_count, std::uint8_t* indexes) {
#if defined(__AVX512VBMI__)
  const std::uint8_t* lane_planes = forest.lane_planes + first_tree * kLevelCount;
  const std::uint8_t* lane_thresholds = forest.lane_thresholds + first_tree * kLevelCount;
  const __m512i low_bins = _mm512_load_si512(bins);
  const __m512i high_bins = _mm512_load_si512(bins + kBlockRows);
  __m512i index = _mm512_setzero_si512();
  FINOPS_UNROLL for (std::size_t level = 0; level < kLevelCount; ++level) {
    const __m512i plane = _mm512_load_si512(lane_planes + level * kBlockRows);
    const __m512i threshold = _mm512_load_si512(lane_thresholds + level * kBlockRows);
    const __m512i bin = plane_count <= kBlockRows
                            ? _mm512_permutexvar_epi8(plane, low_bins)
                            : _mm512_permutex2var_epi8(low_bins, plane, high_bins);
    const __m512i bit = _mm512_set1_epi8(static_cast<char>(1 << level));
    index = _mm512_mask_add_epi8(index, _mm512_cmpgt_epu8_mask(bin, threshold), index, bit);
  }
  _mm512_store_si512(indexes, index);
#else
  static_cast<void>(plane_count);
  const std::size_t left = forest.tree_count - first_tree;
  for (std::size_t i = 0; i < (left < kBlockRows ? left : kBlockRows); ++i) {
    const std::uint8_t* planes = forest.planes + (first_tree + i) * kLevelStride;
    const std::uint8_t* thresholds = forest.thresholds + (first_tree + i) * kLevelStride;
    unsigned index = 0;
    FINOPS_UNROLL for (std::size_t level = 0; level < kLevelCount; ++level) {
      index |= static_cast<unsigned>(bins[planes[level]] > thresholds[level]) << level;
    }
    indexes[i] = static_cast<std::uint8_t>(index);
  }
#endif
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

void index_leaves(const std::uint8_t* level_planes, const std::uint8_t* thresholds,
                  std::size_t level_count, unsigned shift, const std::uint8_t* planes,
                  std::size_t block_count, std::uint8_t* indexes) {
  for (std::size_t block = 0; block < block_count; ++block) {
    __m512i index = _mm512_setzero_si512();
    for (std::size_t level = 0; level < level_count; ++level) {
      const std::uint8_t* plane = planes + level_planes[level] * kChunkRows;
      const __m512i bins = _mm512_load_si512(plane + block * kBlockRows);
      const __m512i threshold = _mm512_set1_epi8(static_cast<char>(thresholds[level]));
      const __m512i bit = _mm512_set1_epi8(static_cast<char>(1U << (level + shift)));
      index = _mm512_mask_add_epi8(index, _mm512_cmpgt_epu8_mask(bins, threshold), index, bit);
    }
    _mm512_store_si512(indexes + block * kBlockRows, index);
  }
}

template <std::size_t BlockCount>
void pair_blocks(const GridTile& tile, std::size_t first_job, std::size_t second_job,
                 std::int32_t* sums) {
  __m512i totals[2][BlockCount][4];
  for (std::size_t b = 0; b < BlockCount; ++b) {
    for (std::size_t i = 0; i < 4; ++i) {
      totals[0][b][i] = _mm512_setzero_si512();
      totals[1][b][i] = _mm512_setzero_si512();
    }
  }
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
      widen(words[0][b], &totals[0][b][0], &totals[0][b][2]);
      widen(words[1][b], &totals[0][b][1], &totals[0][b][3]);
      widen(words[2][b], &totals[1][b][0], &totals[1][b][2]);
      widen(words[3][b], &totals[1][b][1], &totals[1][b][3]);
    }
  }
  for (std::size_t b = 0; b < BlockCount; ++b) {
    store_sums(totals[0][b], sums + b * kBlockRows);
    store_sums(totals[1][b], sums + kChunkRows + b * kBlockRows);
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
