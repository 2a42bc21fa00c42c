// scorer_grid.hpp - every job with every placement, each looked at once.
//
// Owns: GridRequest, score_pairs. Does not own: checks of sizes (scorer.cpp), kernels.
// Invariant: a pair's output is that of the joined row.
#pragma once

#include <cstddef>

#include "predict/scorer_kernels.hpp"

namespace finops::predict {

struct GridRequest {
  const float* jobs = nullptr;        ///< [job_count x job_feature_count]
  const float* placements = nullptr;  ///< [placement_count x the model's other features]
  std::size_t job_feature_count = 0;
  std::size_t job_count = 0;
  std::size_t placement_count = 0;
  float* outputs = nullptr;  ///< [job_count x placement_count x output_count]
};

void score_pairs(const Kernels& kernels, const PackedModel& model, const GridRequest& request,
                 unsigned thread_count);

}  // namespace finops::predict
