// train_forest_grow.hpp - grows the structure of one tree, level by level.
//
// Owns: TreeGrower: rows grouped by leaf, histograms of a level. Does not own: gradients, leaf
// values. Private to predict. Invariant: within a leaf, rows stay in ascending order.
#pragma once

#include <span>
#include <vector>

#include "predict/train_forest_histogram.hpp"

namespace finops::predict {

class TreeGrower {
 public:
  TreeGrower(const BinLayout& layout, const TrainOptions& options);

  /// Grows on `rows` with the `cells` of the same order (both are used up: rows come back grouped),
  /// asking only `columns` (indices into the layout). Fewer levels than options.depth if no
  /// question helps.
  [[nodiscard]] std::vector<Split> grow(std::vector<std::uint32_t>& rows, std::vector<Cell>& cells,
                                        const GradientCode& code,
                                        std::span<const std::uint8_t> columns);

  /// The rows of each leaf of the tree that was grown last, in `rows`.
  [[nodiscard]] std::span<const std::span<const std::uint32_t>> leaves() const noexcept {
    return leaves_;
  }

 private:
  [[nodiscard]] Cell* histogram(std::size_t leaf) noexcept {
    return histograms_.data() + leaf * layout_->bin_count;
  }
  void start(std::vector<std::uint32_t>& rows, std::vector<Cell>& cells,
             std::span<const std::uint8_t> columns);
  void divide_rows(const Split& split, std::size_t level);
  void divide_histograms(std::size_t level, std::span<const std::uint8_t> columns);

  const BinLayout* layout_;
  const TrainOptions* options_;
  std::vector<Cell> histograms_;  ///< [leaf][bin]; bit k of a leaf's index is the answer at level k
  std::vector<std::span<const std::uint32_t>> leaves_;
  std::uint32_t* rows_ = nullptr;  ///< the caller's, being grouped
  Cell* cells_ = nullptr;
  std::vector<std::uint32_t> high_rows_;
  std::vector<Cell> high_cells_;
};

/// The leaf of every row, by the splits. `leaves`: [row_count].
void find_leaves(const BinnedFeatures& features, std::span<const Split> splits,
                 std::vector<std::uint8_t>& leaves);

}  // namespace finops::predict
