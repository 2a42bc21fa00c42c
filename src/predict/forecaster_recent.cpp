// forecaster_recent.cpp - rings of recent jobs, by the kinds a job belongs to.
#include "predict/forecaster_recent.hpp"

#include <array>
#include <cmath>

#include "predict/forecaster_log.hpp"

namespace finops::predict {
namespace {

// From the most specific to the most general. A unit separator keeps parts apart.
std::array<std::string, 4> kinds_of(const Job& job) {
  const std::string user = "u\x1f" + job.user_name;
  const std::string user_gpus = user + '\x1f' + std::to_string(job.gpu_count);
  const std::string request =
      job.requested_seconds ? std::to_string(*job.requested_seconds) : std::string("-");
  return {user_gpus + '\x1f' + request, user_gpus, user, std::string("*")};
}

}  // namespace

void RecentJobs::add(const Job& job, const JobEnd& end) {
  for (const std::string& kind : kinds_of(job)) {
    std::vector<PastJob>& jobs = kinds_[kind].jobs;
    if (jobs.size() == kRecentJobCount) {
      jobs.erase(jobs.begin());
    }
    jobs.push_back({job.job_id, used_gpu_seconds(job, end), end.status});
  }
}

const RecentOfKind* RecentJobs::of(const Job& job, std::size_t least_count) const {
  for (const std::string& kind : kinds_of(job)) {
    const auto found = kinds_.find(kind);
    if (found != kinds_.end() && found->second.jobs.size() >= least_count) {
      return &found->second;
    }
  }
  return nullptr;
}

double quantile_of(const std::vector<double>& sorted, double quantile) {
  const double position = quantile * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(position);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  return std::lerp(sorted[below], sorted[above], position - static_cast<double>(below));
}

}  // namespace finops::predict
