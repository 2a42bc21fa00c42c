// forecaster_bursts.hpp - jobs of one kind that were submitted together.
//
// Owns: Bursts, Burst, burst_weights. Does not own: features of siblings (feature_stream.hpp).
// Why: the jobs of a burst mostly share their fate, so a thousand of them say little more than one.
// Counted as a thousand they would drown every other kind in training, and throw the calibration
// about.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "finops/predict/job.hpp"

namespace finops::predict {

/// A pause longer than this between two submissions of one (user, GPUs, request) ends a burst.
/// Our choice: scripts that submit take seconds a job, people take longer.
inline constexpr Nanoseconds kBurstGap = std::chrono::minutes{5};

struct Burst {
  std::int64_t job_count = 0;  ///< of its jobs that were counted so far
};

class Bursts {
 public:
  /// The burst that a job submitted now belongs to. Times come in order.
  std::shared_ptr<Burst> join(const Job& job);

 private:
  struct Newest {
    UtcTime submit_time{};
    std::shared_ptr<Burst> burst;
  };
  void forget_before(UtcTime time);

  std::unordered_map<std::string, Newest> newest_;
  std::size_t prune_size_ = 1024;
};

/// For each record, count^-0.5 of the records of its burst, with mean 1. `records` are in order of
/// submission.
[[nodiscard]] std::vector<float> burst_weights(std::span<const JobRecord> records);

}  // namespace finops::predict
