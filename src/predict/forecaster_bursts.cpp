// forecaster_bursts.cpp - follows the newest submission of each kind.
#include "predict/forecaster_bursts.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace finops::predict {
namespace {

// A unit separator keeps the parts apart.
std::string kind_of(const Job& job) {
  return job.user_name + '\x1f' + std::to_string(job.gpu_count) + '\x1f' +
         std::to_string(job.requested_seconds.value_or(-1));
}

}  // namespace

std::shared_ptr<Burst> Bursts::join(const Job& job) {
  if (newest_.size() >= prune_size_) {
    forget_before(job.submit_time - kBurstGap);
    prune_size_ = std::max<std::size_t>(1024, 2 * newest_.size());
  }
  Newest& newest = newest_[kind_of(job)];
  if (newest.burst == nullptr || job.submit_time - newest.submit_time > kBurstGap) {
    newest.burst = std::make_shared<Burst>();
  }
  newest.submit_time = job.submit_time;
  return newest.burst;
}

// A burst that is over lives on in the promises of its jobs only.
void Bursts::forget_before(UtcTime time) {
  std::erase_if(newest_, [&](const auto& entry) { return entry.second.submit_time < time; });
}

std::vector<float> burst_weights(std::span<const JobRecord> records) {
  Bursts bursts;
  std::vector<std::shared_ptr<Burst>> burst_of;
  burst_of.reserve(records.size());
  for (const JobRecord& record : records) {
    burst_of.push_back(bursts.join(record.job));
    ++burst_of.back()->job_count;
  }
  double sum = 0;
  for (const std::shared_ptr<Burst>& burst : burst_of) {
    sum += 1 / std::sqrt(static_cast<double>(burst->job_count));
  }
  const double scale = static_cast<double>(records.size()) / sum;
  std::vector<float> weights;
  weights.reserve(records.size());
  for (const std::shared_ptr<Burst>& burst : burst_of) {
    weights.push_back(static_cast<float>(scale / std::sqrt(static_cast<double>(burst->job_count))));
  }
  return weights;
}

}  // namespace finops::predict
