// train_forest_grow.cpp - chooses a level's split, divides rows and histograms by it, and goes on.
#include "predict/train_forest_grow.hpp"

#include <algorithm>

#include "predict/train_forest_split.hpp"

namespace finops::predict {
namespace {

// A split must gain more than the noise of adding up scores.
constexpr double kLeastRelativeGain = 1e-10;

/// The least bin on the high side, where a bin of 0 (missing) is taken for 256 if it is high.
/// Subtracting one from both in 8 bits does that.
struct BinTest {
  std::uint8_t subtracted;
  std::uint8_t least;

  explicit BinTest(const Split& split)
      : subtracted(split.is_missing_high ? 1 : 0),
        least(static_cast<std::uint8_t>(split.border_index + 2 - subtracted)) {}
  [[nodiscard]] bool is_high(std::uint8_t bin) const noexcept {
    return static_cast<std::uint8_t>(bin - subtracted) >= least;
  }
};

}  // namespace

TreeGrower::TreeGrower(const BinLayout& layout, const TrainOptions& options)
    : layout_(&layout), options_(&options) {
  // The last level's leaves need no histogram: nothing divides them.
  histograms_.resize((std::size_t{1} << (options.depth - 1)) * layout.bin_count);
}

std::vector<Split> TreeGrower::grow(std::vector<std::uint32_t>& rows, std::vector<Cell>& cells,
                                    const GradientCode& code,
                                    std::span<const std::uint8_t> columns) {
  start(rows, cells, columns);
  std::vector<Split> splits;
  SplitSearch search{layout_, columns, options_->monotone, options_->leaf_shrinkage, {}};
  while (splits.size() < static_cast<std::size_t>(options_->depth)) {
    search.histograms.clear();
    for (std::size_t leaf = 0; leaf < leaves_.size(); ++leaf) {
      if (!leaves_[leaf].empty()) {
        search.histograms.push_back(histogram(leaf));
      }
    }
    const FoundSplit found = best_split(search, code);
    if (!found.is_found || found.score <= found.before * (1 + kLeastRelativeGain)) {
      break;
    }
    divide_rows(found.split, splits.size());
    splits.push_back(found.split);
    if (splits.size() < static_cast<std::size_t>(options_->depth)) {
      divide_histograms(splits.size() - 1, columns);
    }
  }
  return splits;
}

void TreeGrower::start(std::vector<std::uint32_t>& rows, std::vector<Cell>& cells,
                       std::span<const std::uint8_t> columns) {
  rows_ = rows.data();
  cells_ = cells.data();
  high_rows_.resize(rows.size());
  high_cells_.resize(rows.size());
  leaves_.assign(1, rows);
  std::fill_n(histogram(0), layout_->bin_count, Cell{0});
  add_rows(*layout_, columns, rows, cells.data(), histogram(0));
}

// Low rows move to the front of their leaf's range, high ones behind them; both keep their order.
void TreeGrower::divide_rows(const Split& split, std::size_t level) {
  const auto column = std::find_if(layout_->columns.begin(), layout_->columns.end(),
                                   [&](const BinLayout::Column& c) {
                                     return c.feature_index == split.feature_index;
                                   });
  const std::uint8_t* bins = column->bins;
  const BinTest test(split);
  const std::size_t leaf_count = std::size_t{1} << level;
  leaves_.resize(2 * leaf_count);
  for (std::size_t leaf = 0; leaf < leaf_count; ++leaf) {
    const auto first = static_cast<std::size_t>(leaves_[leaf].data() - rows_);
    std::uint32_t* rows = rows_ + first;
    Cell* cells = cells_ + first;
    const std::size_t count = leaves_[leaf].size();
    std::size_t low_count = 0;
    std::size_t high_count = 0;
    for (std::size_t i = 0; i < count; ++i) {
      const std::uint32_t row = rows[i];
      const Cell cell = cells[i];
      const bool is_high = test.is_high(bins[row]);
      rows[low_count] = row;
      cells[low_count] = cell;
      high_rows_[high_count] = row;
      high_cells_[high_count] = cell;
      low_count += is_high ? 0 : 1;
      high_count += is_high ? 1 : 0;
    }
    std::copy_n(high_rows_.begin(), high_count, rows + low_count);
    std::copy_n(high_cells_.begin(), high_count, cells + low_count);
    leaves_[leaf] = {rows, low_count};
    leaves_[leaf | leaf_count] = {rows + low_count, high_count};
  }
}

// The smaller half is added up, the larger is what is left of the whole.
void TreeGrower::divide_histograms(std::size_t level, std::span<const std::uint8_t> columns) {
  const std::size_t leaf_count = std::size_t{1} << level;
  for (std::size_t leaf = 0; leaf < leaf_count; ++leaf) {
    const std::span<const std::uint32_t> low = leaves_[leaf];
    const std::span<const std::uint32_t> high = leaves_[leaf | leaf_count];
    if (high.empty()) {
      continue;
    }
    Cell* low_bins = histogram(leaf);
    Cell* high_bins = histogram(leaf | leaf_count);
    if (low.empty()) {
      std::copy_n(low_bins, layout_->bin_count, high_bins);
      continue;
    }
    const bool is_high_smaller = high.size() < low.size();
    const std::span<const std::uint32_t> smaller = is_high_smaller ? high : low;
    std::fill_n(high_bins, layout_->bin_count, Cell{0});
    add_rows(*layout_, columns, smaller, cells_ + (smaller.data() - rows_), high_bins);
    for (std::size_t bin = 0; bin < layout_->bin_count; ++bin) {
      const Cell added = high_bins[bin];
      const Cell left = low_bins[bin] - added;
      low_bins[bin] = is_high_smaller ? left : added;
      high_bins[bin] = is_high_smaller ? added : left;
    }
  }
}

void find_leaves(const BinnedFeatures& features, std::span<const Split> splits,
                 std::vector<std::uint8_t>& leaves) {
  leaves.assign(features.row_count, 0);
  for (std::size_t level = 0; level < splits.size(); ++level) {
    const std::uint8_t* bins = features.bins[splits[level].feature_index].data();
    const BinTest test(splits[level]);
    for (std::size_t row = 0; row < features.row_count; ++row) {
      const unsigned answer = test.is_high(bins[row]) ? 1 : 0;
      leaves[row] = static_cast<std::uint8_t>(leaves[row] | (answer << level));
    }
  }
}

}  // namespace finops::predict
