// forecaster_refit.hpp - trees from the newest ended jobs.
//
// Owns: refit, the names and order of its outputs. Does not own: when to refit.
// Invariant: a row holds what was known at its job's submission; equal records give equal trees.
#pragma once

#include <span>
#include <vector>

#include "finops/predict/forecaster.hpp"
#include "finops/predict/forest.hpp"

namespace finops::predict {

/// Outputs of the model: kQuantiles, each the difference to the anchor in log1p of GPU-seconds.
inline constexpr std::size_t kModelOutputCount = 3;

/// `records` are jobs that ended by `now` and jobs in flight, which only stand beside them: the
/// outcome of a job in flight is not known. At least one has ended.
[[nodiscard]] ForestModel refit(std::vector<JobRecord> records, UtcTime now,
                                const ForecasterOptions& options);

}  // namespace finops::predict
