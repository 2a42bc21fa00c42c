// kernels_avx2.cpp - scoring with AVX2: registers of 32 bins, leaves looked up 16 at a time.
//
// Owns: the AVX2 Kernels. Does not own: their contract (scorer_kernels.hpp).
// Invariant: all is in an unnamed namespace, and nothing runs before the processor was asked.
#include "predict/scorer_kernels.hpp"

#if defined(__AVX2__)

#include <immintrin.h>

#if defined(__clang__)
#define FINOPS_UNROLL _Pragma("unroll")
#else
#define FINOPS_UNROLL _Pragma("GCC unroll 8")
#endif

namespace finops::predict {
namespace {

constexpr std::size_t kHalf = 32;  // rows of a register of bytes

inline __m256i load(const void* source) {
  return _mm256_load_si256(static_cast<const __m256i*>(source));
}

// --- bins ----------------------------------------------------------------------------------------

// Four features of 8 rows, each in a register of its own, in the rows' order.
inline void load_transposed(const float* rows, std::size_t row_stride, __m256* values) {
  __m256 joined[4];
  FINOPS_UNROLL for (std::size_t i = 0; i < 4; ++i) {
    const float* row = rows + i * row_stride;
    const __m256 low = _mm256_castps128_ps256(_mm_loadu_ps(row));
    joined[i] = _mm256_insertf128_ps(low, _mm_loadu_ps(row + 4 * row_stride), 1);
  }
  const __m256d low_01 = _mm256_castps_pd(_mm256_unpacklo_ps(joined[0], joined[1]));
  const __m256d high_01 = _mm256_castps_pd(_mm256_unpackhi_ps(joined[0], joined[1]));
  const __m256d low_23 = _mm256_castps_pd(_mm256_unpacklo_ps(joined[2], joined[3]));
  const __m256d high_23 = _mm256_castps_pd(_mm256_unpackhi_ps(joined[2], joined[3]));
  values[0] = _mm256_castpd_ps(_mm256_unpacklo_pd(low_01, low_23));
  values[1] = _mm256_castpd_ps(_mm256_unpackhi_pd(low_01, low_23));
  values[2] = _mm256_castpd_ps(_mm256_unpacklo_pd(high_01, high_23));
  values[3] = _mm256_castpd_ps(_mm256_unpackhi_pd(high_01, high_23));
}

// The border that each value meets at a level, by its answers so far. Eight are in a register.
template <int Level>
inline __m256 border_at(const float* search, __m256i code) {
  if constexpr (Level == 0) {
    return _mm256_broadcast_ss(search);
  } else if constexpr (Level <= 3) {
    return _mm256_permutevar8x32_ps(_mm256_loadu_ps(search + 16 * Level), code);
  } else if constexpr (Level == 4) {
    const __m256 low = _mm256_permutevar8x32_ps(_mm256_loadu_ps(search + 64), code);
    const __m256 high = _mm256_permutevar8x32_ps(_mm256_loadu_ps(search + 72), code);
    return _mm256_blendv_ps(low, high, _mm256_castsi256_ps(_mm256_slli_epi32(code, 28)));
  } else {
    return _mm256_i32gather_ps(search + (Level == 5 ? 80 : 112), code, sizeof(float));
  }
}

template <int Level>
inline void search_level(const float* search, const __m256* values, __m256i* codes) {
  FINOPS_UNROLL for (std::size_t i = 0; i < 4; ++i) {
    const __m256 border = border_at<Level>(search, codes[i]);
    const __m256i is_above = _mm256_castps_si256(_mm256_cmp_ps(values[i], border, _CMP_GT_OQ));
    const __m256i bit = _mm256_and_si256(is_above, _mm256_set1_epi32(1 << Level));
    codes[i] = _mm256_or_si256(codes[i], bit);
  }
}

// 32 numbers of 32 bits, each in -128..127, as bytes in their order.
inline __m256i packed_bytes(const __m256i* numbers) {
  const __m256i low = _mm256_packs_epi32(numbers[0], numbers[1]);
  const __m256i high = _mm256_packs_epi32(numbers[2], numbers[3]);
  const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
  return _mm256_permutevar8x32_epi32(_mm256_packs_epi16(low, high), order);
}

inline __m256i bins_of(const PackedModel& model, std::size_t feature, const __m256* values) {
  const float* search = model.searches + feature * kSearchStride;
  const std::size_t level_count = model.search_level_counts[feature];
  __m256i codes[4];
  FINOPS_UNROLL for (std::size_t i = 0; i < 4; ++i) { codes[i] = _mm256_setzero_si256(); }
  // clang-format off
  if (level_count > 0) { search_level<0>(search, values, codes); }
  if (level_count > 1) { search_level<1>(search, values, codes); }
  if (level_count > 2) { search_level<2>(search, values, codes); }
  if (level_count > 3) { search_level<3>(search, values, codes); }
  if (level_count > 4) { search_level<4>(search, values, codes); }
  if (level_count > 5) { search_level<5>(search, values, codes); }
  if (level_count > 6) { search_level<6>(search, values, codes); }
  // clang-format on
  const __m256i code = packed_bytes(codes);
  const auto* tables = reinterpret_cast<const __m128i*>(model.bin_of_code + 32 * level_count);
  const __m256i nibble = _mm256_set1_epi8(15);
  const __m256i low = _mm256_and_si256(code, nibble);
  const __m256i high = _mm256_and_si256(_mm256_srli_epi16(code, 4), nibble);
  return _mm256_or_si256(
      _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(_mm_loadu_si128(tables)), low),
      _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(_mm_loadu_si128(tables + 1)), high));
}

inline __m256i missing_of(const __m256* values) {
  __m256i masks[4];
  FINOPS_UNROLL for (std::size_t i = 0; i < 4; ++i) {
    masks[i] = _mm256_castps_si256(_mm256_cmp_ps(values[i], values[i], _CMP_UNORD_Q));
  }
  return packed_bytes(masks);
}

inline void quantise_four(const PackedModel& model, std::size_t first_feature, const float* rows,
                          std::size_t row_stride, std::uint8_t* planes) {
  __m256 values[4][4];  // [feature][8 rows]
  FINOPS_UNROLL for (std::size_t part = 0; part < 4; ++part) {
    __m256 loaded[4];
    load_transposed(rows + first_feature + 8 * part * row_stride, row_stride, loaded);
    FINOPS_UNROLL for (std::size_t k = 0; k < 4; ++k) { values[k][part] = loaded[k]; }
  }
  FINOPS_UNROLL for (std::size_t k = 0; k < 4; ++k) {
    const std::size_t feature = first_feature + k;
    const __m256i bins = bins_of(model, feature, values[k]);
    _mm256_store_si256(reinterpret_cast<__m256i*>(planes + feature * kChunkRows), bins);
    if (const std::size_t high = model.high_planes[feature]; high != 0) {
      const __m256i missing_bin = _mm256_set1_epi8(static_cast<char>(kMissingHighBin));
      _mm256_store_si256(reinterpret_cast<__m256i*>(planes + high * kChunkRows),
                         _mm256_blendv_epi8(bins, missing_bin, missing_of(values[k])));
    }
  }
}

void quantise(const PackedModel& model, const float* rows, std::size_t row_stride,
              std::size_t block_count, std::uint8_t* planes) {
  const std::size_t last = model.padded_feature_count - kFeatureStep;
  for (std::size_t first = 0; first < block_count * kBlockRows; first += kHalf) {
    const float* half_rows = rows + first * row_stride;
    for (std::size_t feature = 0; feature < last; feature += kFeatureStep) {
      quantise_four(model, feature, half_rows, row_stride, planes + first);
    }
    // The last four may overlap those before: no row is read past its end.
    quantise_four(model, last, half_rows, row_stride, planes + first);
  }
}

// --- sums ----------------------------------------------------------------------------------------

inline __m256i broadcast_leaves(const std::uint8_t* bytes) {
  return _mm256_broadcastsi128_si256(_mm_load_si128(reinterpret_cast<const __m128i*>(bytes)));
}
inline __m256i broadcast_leaves_unaligned(const std::uint8_t* bytes) {
  return _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes)));
}

// Bytes are compared as signed numbers: none is above 127.
inline __m256i is_above(const std::uint8_t* plane, std::uint8_t threshold) {
  return _mm256_cmpgt_epi8(load(plane), _mm256_set1_epi8(static_cast<char>(threshold)));
}

// One byte of the leaves of 32 rows: of 64, chosen 16 at a time by the low bits, then by two masks.
inline __m256i chosen_of_64(const std::uint8_t* bytes, __m256i low_index, __m256i bit_4,
                            __m256i bit_5) {
  const __m256i first = _mm256_shuffle_epi8(broadcast_leaves(bytes), low_index);
  const __m256i second = _mm256_shuffle_epi8(broadcast_leaves(bytes + 16), low_index);
  const __m256i third = _mm256_shuffle_epi8(broadcast_leaves(bytes + 32), low_index);
  const __m256i fourth = _mm256_shuffle_epi8(broadcast_leaves(bytes + 48), low_index);
  return _mm256_blendv_epi8(_mm256_blendv_epi8(first, second, bit_4),
                            _mm256_blendv_epi8(third, fourth, bit_4), bit_5);
}

// Adds 32 leaves to 16-bit sums: `words[0]` has rows 0-7 and 16-23, `words[1]` the others.
inline void add_leaves(__m256i low_bytes, __m256i high_bytes, __m256i* words) {
  words[0] = _mm256_add_epi16(words[0], _mm256_unpacklo_epi8(low_bytes, high_bytes));
  words[1] = _mm256_add_epi16(words[1], _mm256_unpackhi_epi8(low_bytes, high_bytes));
}

inline void add_eight(__m128i words, std::int32_t* sums) {
  auto* target = reinterpret_cast<__m256i*>(sums);
  _mm256_storeu_si256(target,
                      _mm256_add_epi32(_mm256_loadu_si256(target), _mm256_cvtepi16_epi32(words)));
}

inline void add_words(const __m256i* words, std::int32_t* sums) {
  add_eight(_mm256_castsi256_si128(words[0]), sums);
  add_eight(_mm256_castsi256_si128(words[1]), sums + 8);
  add_eight(_mm256_extracti128_si256(words[0], 1), sums + 16);
  add_eight(_mm256_extracti128_si256(words[1], 1), sums + 24);
}

inline void clear_sums(std::int32_t* sums, std::size_t count) {
  for (std::size_t i = 0; i < count; i += 8) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(sums + i), _mm256_setzero_si256());
  }
}

inline void add_tree(const PackedForest& forest, std::size_t tree, const std::uint8_t* rows,
                     __m256i* words) {
  const std::uint8_t* planes = forest.planes + tree * kLevelStride;
  const std::uint8_t* thresholds = forest.thresholds + tree * kLevelStride;
  __m256i low_index = _mm256_setzero_si256();
  FINOPS_UNROLL for (std::size_t level = 0; level < 4; ++level) {
    const __m256i bit = _mm256_set1_epi8(static_cast<char>(1 << level));
    const __m256i answer = is_above(rows + planes[level] * kChunkRows, thresholds[level]);
    low_index = _mm256_or_si256(low_index, _mm256_and_si256(answer, bit));
  }
  const __m256i bit_4 = is_above(rows + planes[4] * kChunkRows, thresholds[4]);
  const __m256i bit_5 = is_above(rows + planes[5] * kChunkRows, thresholds[5]);
  const std::uint8_t* bytes = forest.leaf_bytes + tree * 2 * kLeafCount;
  add_leaves(chosen_of_64(bytes, low_index, bit_4, bit_5),
             chosen_of_64(bytes + kLeafCount, low_index, bit_4, bit_5), words);
}

void sum_leaves(const PackedForest& forest, const std::uint8_t* planes, std::size_t block_count,
                std::int32_t* sums) {
  clear_sums(sums, block_count * kBlockRows);
  std::size_t first_tree = 0;
  for (std::size_t group = 0; group < forest.group_count; ++group) {
    const std::size_t end = forest.group_ends[group];
    // Rows outside, trees of the group inside: the 16-bit sums stay in registers.
    for (std::size_t row = 0; row < block_count * kBlockRows; row += 2 * kHalf) {
      __m256i words[4] = {_mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256(),
                          _mm256_setzero_si256()};
      for (std::size_t tree = first_tree; tree < end; ++tree) {
        add_tree(forest, tree, planes + row, words);
        add_tree(forest, tree, planes + row + kHalf, words + 2);
      }
      add_words(words, sums + row);
      add_words(words + 2, sums + row + kHalf);
    }
    first_tree = end;
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
    const __m128i offset = _mm_set1_epi32(static_cast<int>(forest.offset_sum));
    const __m256d base = _mm256_set1_pd(forest.base);
    const __m256d scale = _mm256_set1_pd(forest.leaf_scale);
    for (; row + 4 <= row_count; row += 4) {
      const auto* source = reinterpret_cast<const __m128i*>(sums + row);
      const __m128i sum = _mm_add_epi32(_mm_loadu_si128(source), offset);
      const __m256d scaled = _mm256_mul_pd(scale, _mm256_cvtepi32_pd(sum));
      _mm_storeu_ps(outputs + row, _mm256_cvtpd_ps(_mm256_add_pd(base, scaled)));
    }
  }
  for (; row < row_count; ++row) {
    outputs[row * stride] = finished(forest, static_cast<std::uint32_t>(sums[row]));
  }
}

// --- one row -------------------------------------------------------------------------------------

std::uint8_t bin_of(const PackedModel& model, std::size_t feature, float value) {
  const float* borders = model.borders + feature * 128;
  std::size_t low = 0;
  for (std::size_t half = std::size_t{1} << model.search_level_counts[feature]; half > 1;) {
    half /= 2;
    low += value > borders[low + half - 1] ? half : 0;
  }
  return static_cast<std::uint8_t>(low);
}

void score_one(const PackedModel& model, const float* row, float* outputs) {
  std::uint8_t bins[kMaxPlaneCount];
  for (std::size_t feature = 0; feature < model.feature_count; ++feature) {
    bins[feature] = bin_of(model, feature, row[feature]);
    if (const std::size_t high = model.high_planes[feature]; high != 0) {
      bins[high] = row[feature] != row[feature] ? kMissingHighBin : bins[feature];
    }
  }
  for (std::size_t output = 0; output < model.output_count; ++output) {
    const PackedForest& forest = model.outputs[output];
    std::uint32_t sum = 0;
    for (std::size_t tree = 0; tree < forest.tree_count; ++tree) {
      const std::uint8_t* planes = forest.planes + tree * kLevelStride;
      const std::uint8_t* thresholds = forest.thresholds + tree * kLevelStride;
      std::size_t index = 0;
      FINOPS_UNROLL for (std::size_t level = 0; level < kLevelCount; ++level) {
        index |= static_cast<std::size_t>(bins[planes[level]] > thresholds[level]) << level;
      }
      sum += static_cast<std::uint32_t>(std::int32_t{forest.leaves[tree * kLeafCount + index]});
    }
    outputs[output] = finished(forest, sum);
  }
}

// --- grid ----------------------------------------------------------------------------------------

void index_leaves(const std::uint8_t* level_planes, const std::uint8_t* thresholds,
                  std::size_t level_count, unsigned shift, const std::uint8_t* planes,
                  std::size_t block_count, std::uint8_t* indexes) {
  for (std::size_t row = 0; row < block_count * kBlockRows; row += kHalf) {
    __m256i index = _mm256_setzero_si256();
    for (std::size_t level = 0; level < level_count; ++level) {
      const __m256i bit = _mm256_set1_epi8(static_cast<char>(1U << (level + shift)));
      const __m256i answer =
          is_above(planes + level_planes[level] * kChunkRows + row, thresholds[level]);
      index = _mm256_or_si256(index, _mm256_and_si256(answer, bit));
    }
    _mm256_store_si256(reinterpret_cast<__m256i*>(indexes + row), index);
  }
}

struct JobLeaves {
  __m256i low[2];
  __m256i high[2];
};

// The 32 leaves of a tree that a job leaves to choose from.
inline JobLeaves leaves_of(const GridTile& tile, std::size_t tree, std::size_t job) {
  const std::uint8_t* bytes =
      tile.leaf_bytes + tree * 2 * kGridLeafStride + tile.job_starts[tree * kGridJobs + job];
  return {{broadcast_leaves_unaligned(bytes), broadcast_leaves_unaligned(bytes + 16)},
          {broadcast_leaves_unaligned(bytes + kGridLeafStride),
           broadcast_leaves_unaligned(bytes + kGridLeafStride + 16)}};
}

inline __m256i chosen_of_32(const __m256i* tables, __m256i index, __m256i bit_4) {
  return _mm256_blendv_epi8(_mm256_shuffle_epi8(tables[0], index),
                            _mm256_shuffle_epi8(tables[1], index), bit_4);
}

inline void add_job(const GridTile& tile, std::size_t first_tree, std::size_t end, std::size_t job,
                    std::int32_t* sums) {
  for (std::size_t row = 0; row < tile.block_count * kBlockRows; row += 2 * kHalf) {
    __m256i words[4] = {_mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256(),
                        _mm256_setzero_si256()};
    for (std::size_t tree = first_tree; tree < end; ++tree) {
      const JobLeaves leaves = leaves_of(tile, tree, job);
      FINOPS_UNROLL for (std::size_t half = 0; half < 2; ++half) {
        const __m256i index = load(tile.leaf_indexes + tree * kChunkRows + row + half * kHalf);
        const __m256i bit_4 = _mm256_slli_epi16(index, 3);  // to where a blend looks
        add_leaves(chosen_of_32(leaves.low, index, bit_4), chosen_of_32(leaves.high, index, bit_4),
                   words + 2 * half);
      }
    }
    add_words(words, sums + row);
    add_words(words + 2, sums + row + kHalf);
  }
}

void sum_pairs(const GridTile& tile, std::size_t first_job, std::size_t second_job,
               std::int32_t* sums) {
  clear_sums(sums, 2 * kChunkRows);
  std::size_t first_tree = 0;
  for (std::size_t group = 0; group < tile.group_count; ++group) {
    const std::size_t end = tile.group_ends[group];
    add_job(tile, first_tree, end, first_job, sums);
    add_job(tile, first_tree, end, second_job, sums + kChunkRows);
    first_tree = end;
  }
}

constexpr Kernels kKernels{quantise, sum_leaves, finish, score_one, index_leaves, sum_pairs};

}  // namespace

const Kernels* avx2_kernels() noexcept { return &kKernels; }

}  // namespace finops::predict

#else

namespace finops::predict {

const Kernels* avx2_kernels() noexcept { return nullptr; }

}  // namespace finops::predict

#endif
