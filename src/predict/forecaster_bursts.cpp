// forecaster_bursts.cpp - follows the newest submission of each kind.
#include "predict/forecaster_bursts.hpp"

#include <cmath>
#include <cstdint>
#include <string>
#include <unordered_map>

namespace finops::predict {
namespace {

struct Newest {
  UtcTime submit_time{};
  std::size_t burst_index = 0;
};

// A unit separator keeps the parts apart.
std::string kind_of(const Job& job) {
  return job.user_name + '\x1f' + std::to_string(job.gpu_count) + '\x1f' +
         std::to_string(job.requested_seconds.value_or(-1));
}

}  // namespace

std::vector<float> burst_weights(std::span<const JobRecord> records) {
  std::unordered_map<std::string, Newest> newest_of;
  std::vector<std::size_t> burst_of;
  std::vector<std::int64_t> counts;
  burst_of.reserve(records.size());
  for (const JobRecord& record : records) {
    const auto [found, is_new] = newest_of.try_emplace(kind_of(record.job));
    Newest& newest = found->second;
    if (is_new || record.job.submit_time - newest.submit_time > kBurstGap) {
      newest.burst_index = counts.size();
      counts.push_back(0);
    }
    newest.submit_time = record.job.submit_time;
    burst_of.push_back(newest.burst_index);
    ++counts[newest.burst_index];
  }
  double sum = 0;
  for (const std::size_t burst : burst_of) {
    sum += 1 / std::sqrt(static_cast<double>(counts[burst]));
  }
  const double scale = static_cast<double>(records.size()) / sum;
  std::vector<float> weights;
  weights.reserve(records.size());
  for (const std::size_t burst : burst_of) {
    weights.push_back(static_cast<float>(scale / std::sqrt(static_cast<double>(counts[burst]))));
  }
  return weights;
}

}  // namespace finops::predict
