// forecaster_limits.cpp - counts jobs that ran past their request.
#include "predict/forecaster_limits.hpp"

#include <limits>
#include <string>

#include "finops/base/error.hpp"

namespace finops::predict {
namespace {

// A scheduler kills some time after the limit: a minute, or a share of a long job.
constexpr double kGraceSeconds = 60;
constexpr double kGraceRatio = 1.02;
// Our choice: a limit once a hundred jobs kept to it and at most one in 500 did not; counts are
// halved at this many, so that a changed rule is noticed.
constexpr std::int64_t kLeastCount = 100;
constexpr std::int64_t kMostCount = 20'000;
constexpr std::int64_t kJobsForEachOverrun = 500;

}  // namespace

void RequestLimit::observe(const Job& job, double run_seconds) noexcept {
  if (job.requested_seconds.value_or(0) <= 0) {
    return;
  }
  const auto requested = static_cast<double>(*job.requested_seconds);
  ++counts_[0];
  counts_[1] += run_seconds > kGraceRatio * requested + kGraceSeconds ? 1 : 0;
  if (counts_[0] >= kMostCount) {
    counts_ = {counts_[0] / 2, (counts_[1] + 1) / 2};
  }
}

double RequestLimit::most_gpu_seconds(const Job& job) const noexcept {
  const bool is_limit = job.requested_seconds.value_or(0) > 0 && counts_[0] >= kLeastCount &&
                        counts_[1] * kJobsForEachOverrun <= counts_[0];
  return is_limit ? static_cast<double>(*job.requested_seconds) * static_cast<double>(job.gpu_count)
                  : std::numeric_limits<double>::infinity();
}

void RequestLimit::set_counts(const Counts& counts) {
  FINOPS_REQUIRE(counts[1] >= 0 && counts[1] <= counts[0] && counts[0] < kMostCount,
                 ErrorCode::InvalidArgument,
                 "the model file counts " + std::to_string(counts[1]) + " of " +
                     std::to_string(counts[0]) + " jobs past their request; it is damaged");
  counts_ = counts;
}

}  // namespace finops::predict
