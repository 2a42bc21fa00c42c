// bin_features.cpp - borders by quantiles, and values as bins between them.
#include <algorithm>
#include <cmath>
#include <limits>

#include "finops/base/error.hpp"
#include "finops/predict/train_forest.hpp"
#include "predict/splitmix.hpp"

namespace finops::predict {
namespace {

// Quantiles of so many rows are as good as those of all; LightGBM's bin_construct_sample_cnt.
constexpr std::size_t kSampledRowCount = 200'000;

struct ValueCount {
  float value;
  std::size_t count;
};

std::vector<ValueCount> count_values(std::vector<float>& values) {
  std::sort(values.begin(), values.end());
  std::vector<ValueCount> counts;
  for (const float value : values) {
    if (counts.empty() || counts.back().value < value) {
      counts.push_back({value, 0});
    }
    ++counts.back().count;
  }
  return counts;
}

/// A number from `low` on, below `high`.
float border_between(float low, float high) {
  const auto middle =
      static_cast<float>((static_cast<double>(low) + static_cast<double>(high)) / 2);
  return middle < high ? middle : low;  // between two neighbours it would round up
}

/// Closes a bin when it holds its share of what is left. A value that fills a bin alone gets one.
/// Source: LightGBM 4.6, GreedyFindBin.
std::vector<float> choose_borders(std::vector<float>& values, std::size_t max_border_count) {
  const std::vector<ValueCount> counts = count_values(values);
  std::vector<float> borders;
  std::size_t left_count = values.size();
  std::size_t bin_count = 0;  // values in the bin that is open
  for (std::size_t i = 0; i + 1 < counts.size() && borders.size() < max_border_count; ++i) {
    bin_count += counts[i].count;
    const bool is_room_for_all = counts.size() - i <= max_border_count - borders.size() + 1;
    const double share = static_cast<double>(left_count) /
                         static_cast<double>(max_border_count + 1 - borders.size());
    const bool is_full = static_cast<double>(bin_count) >= share;
    const bool is_next_alone = static_cast<double>(counts[i + 1].count) >= share &&
                               static_cast<double>(bin_count) >= share / 2;
    if (is_room_for_all || is_full || is_next_alone) {
      borders.push_back(border_between(counts[i].value, counts[i + 1].value));
      left_count -= bin_count;
      bin_count = 0;
    }
  }
  return borders;
}

/// Missing values sit on one side of every border, with some of the others. One that no value is
/// above can part them from all others; it takes the place of another one.
std::vector<float> feature_borders(std::vector<float>& values, bool has_missing,
                                   std::size_t max_border_count) {
  const bool is_parting = has_missing && !values.empty() && max_border_count > 1;
  std::vector<float> borders = choose_borders(values, max_border_count - (is_parting ? 1 : 0));
  // It separates nothing from a largest value that is as large as floats can be.
  if (is_parting && (borders.empty() || borders.back() < std::numeric_limits<float>::max())) {
    borders.push_back(std::numeric_limits<float>::max());
  }
  return borders;
}

/// 0 for a missing value, else 1 + the count of borders below it.
std::uint8_t bin_of(float value, const std::vector<float>& borders) {
  if (std::isnan(value)) {
    return 0;
  }
  const float* first = borders.data();
  std::size_t count = borders.size();
  while (count > 0) {
    const std::size_t half = (count + 1) / 2;
    first += first[half - 1] < value ? half : 0;
    count -= half;
  }
  return static_cast<std::uint8_t>(1 + (first - borders.data()));
}

/// Blocks of rows stay in the cache while they are read once for each feature.
void bin_rows(std::span<const float> features, BinnedFeatures& binned) {
  constexpr std::size_t kBlockRowCount = 256;
  const std::size_t feature_count = binned.borders.size();
  for (std::size_t first = 0; first < binned.row_count; first += kBlockRowCount) {
    const std::size_t last = std::min(binned.row_count, first + kBlockRowCount);
    for (std::size_t feature = 0; feature < feature_count; ++feature) {
      const std::vector<float>& borders = binned.borders[feature];
      std::uint8_t* bins = binned.bins[feature].data();
      for (std::size_t row = first; row < last; ++row) {
        bins[row] = bin_of(features[row * feature_count + feature], borders);
      }
    }
  }
}

void check_input(std::span<const float> features, std::size_t feature_count,
                 std::size_t max_border_count) {
  FINOPS_REQUIRE(feature_count >= 1 && feature_count <= kMaxFeatureCount,
                 ErrorCode::InvalidArgument,
                 std::to_string(feature_count) + " features: give 1 to " +
                     std::to_string(kMaxFeatureCount));
  FINOPS_REQUIRE(max_border_count >= 1 && max_border_count <= kMaxBorderCount,
                 ErrorCode::InvalidArgument,
                 std::to_string(max_border_count) + " borders for each feature: give 1 to " +
                     std::to_string(kMaxBorderCount));
  FINOPS_REQUIRE(features.size() % feature_count == 0, ErrorCode::InvalidArgument,
                 std::to_string(features.size()) + " values are no whole rows of " +
                     std::to_string(feature_count) + " features");
  const std::size_t row_count = features.size() / feature_count;
  FINOPS_REQUIRE(row_count >= 1 && row_count <= kMaxTrainingRowCount, ErrorCode::InvalidArgument,
                 std::to_string(row_count) + " rows: training takes 1 to " +
                     std::to_string(kMaxTrainingRowCount) + "; leave the oldest out");
  for (std::size_t i = 0; i < features.size(); ++i) {
    FINOPS_REQUIRE(!std::isinf(features[i]), ErrorCode::InvalidArgument,
                   "row " + std::to_string(i / feature_count) + ", feature " +
                       std::to_string(i % feature_count) +
                       " is infinite: give a finite number, or NaN for a missing one");
  }
}

}  // namespace

BinnedFeatures bin_features(std::span<const float> features, std::size_t feature_count,
                            std::size_t max_border_count) {
  check_input(features, feature_count, max_border_count);
  BinnedFeatures binned;
  binned.row_count = features.size() / feature_count;
  SplitMix64 random(0);
  std::vector<std::uint32_t> sampled_rows;
  draw_sorted(random, binned.row_count, std::min(binned.row_count, kSampledRowCount), sampled_rows);
  std::vector<float> values;
  for (std::size_t feature = 0; feature < feature_count; ++feature) {
    values.clear();
    for (const std::uint32_t row : sampled_rows) {
      const float value = features[row * feature_count + feature];
      if (!std::isnan(value)) {
        values.push_back(value);
      }
    }
    binned.borders.push_back(feature_borders(values, values.size() < sampled_rows.size(),
                                             max_border_count));
    binned.bins.emplace_back(binned.row_count);
  }
  bin_rows(features, binned);
  return binned;
}

}  // namespace finops::predict
