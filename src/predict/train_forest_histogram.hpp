// train_forest_histogram.hpp - sums of gradients and weights as integers, per leaf and bin.
//
// Owns: GradientCode (both sums in one 64-bit cell), BinLayout, add_rows. Private to predict.
// Does not own: which rows and leaves. Invariant: sums are exact, so that their order, the
// compiler and the processor make no difference.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "finops/predict/train_forest.hpp"

namespace finops::predict {

/// The weight stands in the upper bits of a cell, the gradient, signed, in the lower ones: one
/// addition adds both, and neither can reach the other for as many rows as there are.
using Cell = std::uint64_t;

/// What a cell stands for: weight = weight_unit * upper, and
/// gradient = quantile * weight + gradient_unit * lower.
struct GradientCode {
  unsigned gradient_bits = 32;
  double weight_unit = 1;
  double gradient_unit = 1;
  double quantile = 0;

  [[nodiscard]] double weight(Cell cell) const noexcept {
    return weight_unit * static_cast<double>(upper(cell));
  }
  [[nodiscard]] double gradient(Cell cell) const noexcept {
    return quantile * weight(cell) + gradient_unit * static_cast<double>(lower(cell));
  }
  [[nodiscard]] Cell pack(std::int64_t weight, std::int64_t gradient) const noexcept {
    return (static_cast<Cell>(weight) << gradient_bits) + static_cast<Cell>(gradient);
  }
  [[nodiscard]] std::int64_t lower(Cell cell) const noexcept {
    const unsigned unused = 64 - gradient_bits;
    return static_cast<std::int64_t>(cell << unused) >> unused;
  }
  [[nodiscard]] std::int64_t upper(Cell cell) const noexcept {
    return static_cast<std::int64_t>((cell - static_cast<Cell>(lower(cell))) >> gradient_bits);
  }
};

/// What training knows of the rows; nothing of it changes from tree to tree.
struct RowWeights {
  std::span<const float> weights;  ///< empty: all 1
  float largest = 1;
};

/// Cells of `rows`, in their order, for the loss at `residuals` (by row). Returns what they mean.
/// `cells`: [rows.size()].
GradientCode encode_gradients(const TrainOptions& options, std::span<const float> residuals,
                              const RowWeights& weights, std::span<const std::uint32_t> rows,
                              std::vector<Cell>& cells);

/// Where a feature's bins stand in a leaf's histogram. Features without borders have none.
struct BinLayout {
  struct Column {
    std::uint8_t feature_index;
    std::uint8_t border_count;
    bool has_missing;
    std::size_t offset;        ///< of bin 0; border_count + 2 bins
    const std::uint8_t* bins;  ///< [row_count]
  };
  std::vector<Column> columns;
  std::size_t bin_count = 0;
};
[[nodiscard]] BinLayout make_bin_layout(const BinnedFeatures& features);

/// Adds the cells of `rows` to `histogram` ([layout.bin_count]) in the columns asked for.
void add_rows(const BinLayout& layout, std::span<const std::uint8_t> columns,
              std::span<const std::uint32_t> rows, const Cell* cells, Cell* histogram);

}  // namespace finops::predict
