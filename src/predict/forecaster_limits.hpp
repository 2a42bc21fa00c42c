// forecaster_limits.hpp - whether a request for time is a limit on this cluster.
//
// Owns: RequestLimit. Does not own: the forecast that it cuts.
// Why: schedulers that kill at the request make it the most that a job can use, and forecasts above
// it are wrong for sure; elsewhere a request is a guess, which jobs overrun. Each history tells.
#pragma once

#include <array>
#include <cstdint>

#include "finops/predict/job.hpp"

namespace finops::predict {

class RequestLimit {
 public:
  /// {ended jobs with a request, those that ran past theirs}, fading.
  using Counts = std::array<std::int64_t, 2>;

  void observe(const Job& job, double run_seconds) noexcept;
  /// GPU-seconds; infinity where the job has no request, or requests are overrun here.
  [[nodiscard]] double most_gpu_seconds(const Job& job) const noexcept;

  [[nodiscard]] const Counts& counts() const noexcept { return counts_; }
  /// Throws Error(InvalidArgument) for counts that no jobs give.
  void set_counts(const Counts& counts);

 private:
  Counts counts_{};
};

}  // namespace finops::predict
