// feature_stream_rows.hpp - a row's columns and how each is read off the statistics of keys.
//
// Owns: RowContext, fill_row, anchor_of. Does not own: the statistics (key_statistics.hpp), events
// (feature_stream.cpp).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>

#include "finops/predict/feature_stream.hpp"
#include "predict/feature_stream_keys.hpp"
#include "predict/key_statistics.hpp"

namespace finops::predict {

/// What the asking job itself has put into the statistics, to be left out of its row.
struct OwnTraces {
  std::array<std::int64_t, kKeyKindCount> submit_index{};  ///< it was the n-th of each key
  std::array<std::uint32_t, kKeyKindCount> burst{};
  std::int64_t submit_ns = 0;
  std::optional<std::int64_t> start_ns;
};

/// Everything that a row is made of. Null: no job of that key yet.
struct RowContext {
  const Job* job = nullptr;
  std::int64_t now_ns = 0;
  std::array<const KeyStatistics*, kKeyKindCount> keys{};
  const RecentJobs* cluster = nullptr;  ///< the last jobs of all
  const OwnTraces* own = nullptr;       ///< null: the job is not in flight
};

/// So many ended jobs of all users give the level of the whole cluster.
inline constexpr std::size_t kClusterJobCount = 100;

[[nodiscard]] Anchor anchor_of(const RowContext& context);
void fill_row(const RowContext& context, const Anchor& anchor, std::span<float> row);

}  // namespace finops::predict
