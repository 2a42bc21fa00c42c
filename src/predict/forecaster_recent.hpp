// forecaster_recent.hpp - what the last jobs of each kind took, for quantiles and as examples.
//
// Owns: RecentJobs. Does not own: features for trees (feature_stream.hpp).
// Invariant: each kind keeps at most kRecentJobCount jobs; adding one costs the same for any
// length of history.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "finops/predict/forecaster.hpp"

namespace finops::predict {

/// Source: reference/regressor.md 7a, the last 30 of a key as the dependable rolling median.
inline constexpr std::size_t kRecentJobCount = 30;

/// The last jobs of a kind, oldest first.
struct RecentOfKind {
  std::vector<PastJob> jobs;
};

class RecentJobs {
 public:
  void add(const Job& job, const JobEnd& end);
  /// The most specific kind with at least `least_count` jobs, of (user, GPUs, request), (user,
  /// GPUs), (user), all; null if there is none.
  [[nodiscard]] const RecentOfKind* of(const Job& job, std::size_t least_count) const;

 private:
  std::unordered_map<std::string, RecentOfKind> kinds_;
};

/// Linear interpolation between order statistics; `sorted` is not empty.
[[nodiscard]] double quantile_of(const std::vector<double>& sorted, double quantile);

}  // namespace finops::predict
