// scorer_layout.hpp - a model packed for the kernels, and the memory that holds it.
//
// Owns: AlignedArray, PackedModelOwner, Group packing. Does not own: the shapes
// (scorer_kernels.hpp). Invariant: what is packed gives the sums that score_row gives, on every
// instruction set.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <vector>

#include "finops/predict/forest.hpp"
#include "predict/scorer_kernels.hpp"

namespace finops::predict {

/// Zeroed memory that begins at a multiple of 64 bytes: a register's loads cross no cache line.
template <class Number>
class AlignedArray {
 public:
  AlignedArray() = default;
  explicit AlignedArray(std::size_t count)
      : data_(static_cast<Number*>(::operator new(count * sizeof(Number),
                                                  std::align_val_t{kAlignment}))) {
    std::uninitialized_fill_n(data_.get(), count, Number{0});
  }
  [[nodiscard]] Number* data() noexcept { return data_.get(); }
  [[nodiscard]] const Number* data() const noexcept { return data_.get(); }
  Number& operator[](std::size_t index) noexcept { return data_.get()[index]; }

 private:
  static constexpr std::size_t kAlignment = 64;
  struct Free {
    void operator()(Number* data) const noexcept {
      ::operator delete(data, std::align_val_t{kAlignment});
    }
  };
  std::unique_ptr<Number, Free> data_;
};

/// Trees one after another whose leaves' sum fits 16 bits, as many as possible in a group.
class LeafGroups {
 public:
  /// The next tree's leaves lie between `lowest` (at most 0) and `highest` (at least 0).
  void add_tree(std::int32_t lowest, std::int32_t highest);
  [[nodiscard]] const std::vector<std::uint32_t>& ends() const noexcept { return ends_; }
  void clear() noexcept;

 private:
  std::vector<std::uint32_t> ends_;
  std::int32_t lowest_ = 0;
  std::int32_t highest_ = 0;
};

/// Immutable once made; the address of `packed()` stays.
class PackedModelOwner {
 public:
  explicit PackedModelOwner(const ForestModel& model);
  [[nodiscard]] const PackedModel& packed() const noexcept { return packed_; }

 private:
  struct ForestArrays {
    AlignedArray<std::uint8_t> planes;
    AlignedArray<std::uint8_t> thresholds;
    AlignedArray<std::int16_t> leaves;
    AlignedArray<std::uint8_t> leaf_bytes;
    AlignedArray<std::uint8_t> lane_planes;
    AlignedArray<std::uint8_t> lane_thresholds;
    LeafGroups groups;
  };

  void choose_planes(const ForestModel& model);
  void pack_borders(const ForestModel& model);
  void pack_lane_borders(const ForestModel& model);
  void pack_forest(const Forest& forest, ForestArrays& arrays, PackedForest& packed) const;
  void pack_tree(const ObliviousTree& tree, std::size_t index, ForestArrays& arrays,
                 PackedForest& packed) const;

  PackedModel packed_;
  AlignedArray<std::uint8_t> high_planes_;
  AlignedArray<float> borders_;
  AlignedArray<std::uint8_t> border_counts_;
  AlignedArray<std::uint8_t> search_level_counts_;
  AlignedArray<float> searches_;
  AlignedArray<std::uint8_t> bin_of_code_;
  AlignedArray<float> lane_borders_;
  AlignedArray<std::uint8_t> lane_border_counts_;
  std::vector<ForestArrays> arrays_;
  std::vector<PackedForest> outputs_;
};

}  // namespace finops::predict
