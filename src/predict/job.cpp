// job.cpp - the names of how a job ended.
#include "finops/predict/job.hpp"

#include <array>

#include "finops/base/error.hpp"

namespace finops::predict {
namespace {

constexpr std::array<std::string_view, 5> kStatusNames{"COMPLETED", "FAILED", "TIMEOUT",
                                                       "CANCELLED", "CANCELLED_BY_SYSTEM"};

}  // namespace

std::string_view job_status_name(JobStatus status) noexcept {
  const auto index = static_cast<std::size_t>(status);
  return index < kStatusNames.size() ? kStatusNames[index] : std::string_view("UNKNOWN");
}

JobStatus parse_job_status(std::string_view name) {
  for (std::size_t index = 0; index < kStatusNames.size(); ++index) {
    if (kStatusNames[index] == name) {
      return static_cast<JobStatus>(index);
    }
  }
  detail::throw_error(ErrorCode::InvalidArgument,
                      "unknown job status '" + std::string(name) +
                          "'; known are COMPLETED, FAILED, TIMEOUT, CANCELLED and "
                          "CANCELLED_BY_SYSTEM");
}

}  // namespace finops::predict
