// train_forest_histogram.cpp - packs gradients into integers and adds them up by bin.
#include "predict/train_forest_histogram.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

namespace finops::predict {
namespace {

// More digits of one row's gradient or weight than that do not change which split is best.
constexpr unsigned kMostGradientBits = 20;
constexpr unsigned kMostWeightBits = 12;

struct CellBits {
  unsigned weight;    // of one row; 0: it is 1
  unsigned gradient;  // of one row, without sign
  unsigned gradient_field;
};

/// Sums of `row_count` rows fit their field.
CellBits share_bits(std::size_t row_count, bool is_weighted, bool is_quantile) {
  const auto count_bits = static_cast<unsigned>(std::bit_width(row_count));
  const unsigned spare = 64 - 2 * count_bits - 1;  // 1: the sign
  const unsigned weight = is_weighted ? std::min(kMostWeightBits, spare / 2) : 0;
  // A quantile's gradient is the row's weight or 0.
  const unsigned gradient = is_quantile ? weight : std::min(kMostGradientBits, spare - weight);
  return {weight, gradient, 64 - count_bits - weight};
}

// Rows of one bin follow each other, and every addition waits for the one before in its bin; those
// of several columns do not wait for each other.
constexpr std::size_t kColumnsAtOnce = 4;

template <std::size_t Count>
void add_columns(const BinLayout& layout, const std::uint8_t* columns,
                 std::span<const std::uint32_t> rows, const Cell* cells, Cell* histogram) {
  std::array<const std::uint8_t*, Count> bins{};
  std::array<Cell*, Count> targets{};
  for (std::size_t k = 0; k < Count; ++k) {
    const BinLayout::Column& column = layout.columns[columns[k]];
    bins[k] = column.bins;
    targets[k] = histogram + column.offset;
  }
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::uint32_t row = rows[i];
    const Cell cell = cells[i];
    for (std::size_t k = 0; k < Count; ++k) {
      targets[k][bins[k][row]] += cell;
    }
  }
}

}  // namespace

GradientCode encode_gradients(const TrainOptions& options, std::span<const float> residuals,
                              const RowWeights& weights, std::span<const std::uint32_t> rows,
                              std::vector<Cell>& cells) {
  const bool is_quantile = options.loss == Loss::Quantile;
  const bool is_weighted = !weights.weights.empty();
  const CellBits bits = share_bits(rows.size(), is_weighted, is_quantile);
  GradientCode code;
  code.gradient_bits = bits.gradient_field;
  const auto weight_of = [&](std::uint32_t row) {
    return is_weighted ? static_cast<double>(weights.weights[row]) : 1.0;
  };
  const double top_weight = static_cast<double>((1U << bits.weight) - (is_weighted ? 1U : 0U));
  code.weight_unit = static_cast<double>(weights.largest) / top_weight;
  if (is_quantile) {
    code.quantile = options.quantile;
    code.gradient_unit = -code.weight_unit;
  } else {
    double largest = 0;
    for (const std::uint32_t row : rows) {
      largest = std::max(largest, std::fabs(weight_of(row) * static_cast<double>(residuals[row])));
    }
    code.gradient_unit =
        largest > 0 ? largest / static_cast<double>((1U << bits.gradient) - 1U) : 1.0;
  }
  cells.resize(rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const double weight = weight_of(rows[i]);
    const double residual = static_cast<double>(residuals[rows[i]]);
    const std::int64_t upper =
        is_weighted ? std::llrint(weight / code.weight_unit) : std::int64_t{1};
    const std::int64_t lower = is_quantile ? (residual < 0 ? upper : 0)
                                           : std::llrint(weight * residual / code.gradient_unit);
    cells[i] = code.pack(upper, upper == 0 ? 0 : lower);
  }
  return code;
}

BinLayout make_bin_layout(const BinnedFeatures& features) {
  BinLayout layout;
  for (std::size_t i = 0; i < features.borders.size(); ++i) {
    const std::vector<std::uint8_t>& bins = features.bins[i];
    const std::size_t border_count = features.borders[i].size();
    if (border_count == 0) {
      continue;
    }
    const bool has_missing = std::find(bins.begin(), bins.end(), 0) != bins.end();
    layout.columns.push_back({static_cast<std::uint8_t>(i), static_cast<std::uint8_t>(border_count),
                              has_missing, layout.bin_count, bins.data()});
    layout.bin_count += border_count + 2;
  }
  return layout;
}

void add_rows(const BinLayout& layout, std::span<const std::uint8_t> columns,
              std::span<const std::uint32_t> rows, const Cell* cells, Cell* histogram) {
  std::size_t first = 0;
  for (; first + kColumnsAtOnce <= columns.size(); first += kColumnsAtOnce) {
    add_columns<kColumnsAtOnce>(layout, columns.data() + first, rows, cells, histogram);
  }
  for (; first < columns.size(); ++first) {
    add_columns<1>(layout, columns.data() + first, rows, cells, histogram);
  }
}

}  // namespace finops::predict
