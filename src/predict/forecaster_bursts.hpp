// forecaster_bursts.hpp - jobs of one kind that were submitted together weigh less in training.
//
// Owns: burst_weights. Does not own: features of siblings (feature_stream.hpp).
// Why: the jobs of a burst mostly share their fate, so a thousand of them say little more than one.
// Counted as a thousand they would drown every other kind.
#pragma once

#include <span>
#include <vector>

#include "finops/predict/job.hpp"

namespace finops::predict {

/// A pause longer than this between two submissions of one (user, GPUs, request) ends a burst.
/// Our choice: scripts that submit take seconds a job, people take longer.
inline constexpr Nanoseconds kBurstGap = std::chrono::minutes{5};

/// For each record, count^-0.5 of the records of its burst, with mean 1. `records` are in order of
/// submission.
[[nodiscard]] std::vector<float> burst_weights(std::span<const JobRecord> records);

}  // namespace finops::predict
