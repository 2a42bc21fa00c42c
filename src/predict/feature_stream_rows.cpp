// feature_stream_rows.cpp - the columns of a row, and the anchor.
#include "predict/feature_stream_rows.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "finops/predict/forest.hpp"
#include "predict/feature_stream_reader.hpp"

namespace finops::predict {
namespace {

constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();
// Where nothing at all is known: 22 GPU-minutes. Source: medians of log1p(GPU-seconds), each user
// weighing the same, of four quarters of the AIST AI Cloud trace (2017-07 to 2018-06) and of Philly
// (2017-08 to 2017-09): 6.6, 6.1, 7.3, 7.3 and 8.5.
constexpr double kPriorLevel = 7.2;
constexpr std::int64_t kSecondNs = 1'000'000'000;

struct Column {
  std::string_view name;
  KeyKind kind;
  Stat stat;
};

constexpr Column kColumns[] = {
    {"gpus", KeyKind::Sibling, Stat::LogGpus},
    {"nodes", KeyKind::Sibling, Stat::LogNodes},
    {"requested_seconds", KeyKind::Sibling, Stat::LogRequested},
    {"planned_steps", KeyKind::Sibling, Stat::LogSteps},
    {"hour_of_day", KeyKind::Sibling, Stat::HourOfDay},
    {"own_elapsed", KeyKind::Sibling, Stat::OwnElapsed},
    {"anchor", KeyKind::Sibling, Stat::AnchorLevel},
    {"cluster_median", KeyKind::Sibling, Stat::ClusterMedian},
    {"sibling_last", KeyKind::Sibling, Stat::Last},
    {"sibling_last_completed", KeyKind::Sibling, Stat::LastCompleted},
    {"sibling_last_three_mean", KeyKind::Sibling, Stat::LastThreeMean},
    {"sibling_fast", KeyKind::Sibling, Stat::Fast},
    {"sibling_slow", KeyKind::Sibling, Stat::Slow},
    {"sibling_p10", KeyKind::Sibling, Stat::P10},
    {"sibling_p90", KeyKind::Sibling, Stat::P90},
    {"sibling_log_mean", KeyKind::Sibling, Stat::LogMean},
    {"sibling_log_count", KeyKind::Sibling, Stat::LogCount},
    {"sibling_since_end", KeyKind::Sibling, Stat::SinceEnd},
    {"sibling_failed_ratio", KeyKind::Sibling, Stat::FailedRatio},
    {"sibling_censored_ratio", KeyKind::Sibling, Stat::CensoredRatio},
    {"sibling_running", KeyKind::Sibling, Stat::Running},
    {"sibling_waiting", KeyKind::Sibling, Stat::Waiting},
    {"sibling_oldest_elapsed", KeyKind::Sibling, Stat::OldestElapsed},
    {"sibling_median_elapsed", KeyKind::Sibling, Stat::MedianElapsed},
    {"sibling_youngest_elapsed", KeyKind::Sibling, Stat::YoungestElapsed},
    {"sibling_submitted1m", KeyKind::Sibling, Stat::Submitted1m},
    {"sibling_submitted10m", KeyKind::Sibling, Stat::Submitted10m},
    {"sibling_submitted1h", KeyKind::Sibling, Stat::Submitted1h},
    {"sibling_submitted1d", KeyKind::Sibling, Stat::Submitted1d},
    {"sibling_ended1h", KeyKind::Sibling, Stat::Ended1h},
    {"sibling_ended1d", KeyKind::Sibling, Stat::Ended1d},
    {"sibling_ended10m_median", KeyKind::Sibling, Stat::Ended10mMedian},
    {"sibling_ended1h_median", KeyKind::Sibling, Stat::Ended1hMedian},
    {"sibling_burst_median", KeyKind::Sibling, Stat::BurstMedian},
    {"sibling_burst_min", KeyKind::Sibling, Stat::BurstMin},
    {"sibling_burst_max", KeyKind::Sibling, Stat::BurstMax},
    {"user_last", KeyKind::User, Stat::Last},
    {"user_slow", KeyKind::User, Stat::Slow},
    {"user_p10", KeyKind::User, Stat::P10},
    {"user_log_count", KeyKind::User, Stat::LogCount},
    {"user_since_end", KeyKind::User, Stat::SinceEnd},
    {"user_running", KeyKind::User, Stat::Running},
    {"user_waiting", KeyKind::User, Stat::Waiting},
    {"user_oldest_elapsed", KeyKind::User, Stat::OldestElapsed},
    {"user_median_elapsed", KeyKind::User, Stat::MedianElapsed},
    {"user_submitted1m", KeyKind::User, Stat::Submitted1m},
    {"user_submitted10m", KeyKind::User, Stat::Submitted10m},
    {"user_submitted1h", KeyKind::User, Stat::Submitted1h},
    {"user_ended1d", KeyKind::User, Stat::Ended1d},
    {"user_ended10m_median", KeyKind::User, Stat::Ended10mMedian},
    {"user_burst_min", KeyKind::User, Stat::BurstMin},
    {"user_gpus_since_end", KeyKind::UserGpus, Stat::SinceEnd},
    {"user_gpus_last_completed", KeyKind::UserGpus, Stat::LastCompleted},
    {"user_queue_since_end", KeyKind::UserQueue, Stat::SinceEnd},
    {"user_queue_p10", KeyKind::UserQueue, Stat::P10},
    {"group_last", KeyKind::Group, Stat::Last},
    {"group_fast", KeyKind::Group, Stat::Fast},
    {"group_p10", KeyKind::Group, Stat::P10},
    {"group_censored_ratio", KeyKind::Group, Stat::CensoredRatio},
    {"group_gpus_request_p10", KeyKind::GroupGpusRequest, Stat::P10},
    {"group_gpus_request_slow", KeyKind::GroupGpusRequest, Stat::Slow},
    {"user_name_slow", KeyKind::UserName, Stat::Slow},
    {"user_name_log_count", KeyKind::UserName, Stat::LogCount},
    {"name_median", KeyKind::Name, Stat::Median},
};
constexpr std::size_t kColumnCount = std::size(kColumns);
static_assert(kColumnCount <= kMaxFeatureCount);

double own_value(const RowContext& context, const Anchor& anchor, Stat stat) {
  const Job& job = *context.job;
  const std::int64_t hours = job.submit_time.time_since_epoch().count() / (3600 * kSecondNs);
  switch (stat) {
    case Stat::LogGpus: return std::log(static_cast<double>(job.gpu_count));
    case Stat::LogNodes:
      return job.node_count < 1 ? kUnknown : std::log(static_cast<double>(job.node_count));
    case Stat::LogRequested:
      return job.requested_seconds.has_value()
                 ? std::log1p(std::max(0.0, static_cast<double>(*job.requested_seconds)))
                 : kUnknown;
    case Stat::LogSteps:
      return job.planned_steps.has_value()
                 ? std::log1p(std::max(0.0, static_cast<double>(*job.planned_steps)))
                 : kUnknown;
    case Stat::HourOfDay: return static_cast<double>(((hours % 24) + 24) % 24);
    case Stat::Weekday: return static_cast<double>((((hours / 24 + 4) % 7) + 7) % 7);
    case Stat::OwnElapsed: {
      if (context.own == nullptr || !context.own->start_ns.has_value()) {
        return kUnknown;
      }
      const double seconds = static_cast<double>(context.now_ns - *context.own->start_ns) /
                             static_cast<double>(kSecondNs);
      return std::log1p(std::max(0.0, seconds) * job.gpu_count) - anchor.log_gpu_seconds;
    }
    case Stat::AnchorLevel: return anchor.log_gpu_seconds;
    case Stat::AnchorCount: return std::log1p(anchor.job_count);
    case Stat::ClusterMedian: return context.cluster->quantile(0.5) - anchor.log_gpu_seconds;
    default: return kUnknown;
  }
}

}  // namespace

std::span<const std::string_view> feature_names() noexcept {
  static const auto names = [] {
    std::array<std::string_view, kColumnCount> all{};
    for (std::size_t index = 0; index < kColumnCount; ++index) {
      all[index] = kColumns[index].name;
    }
    return all;
  }();
  return names;
}

std::span<const std::int8_t> feature_monotone() noexcept {
  static const auto signs = [] {
    std::array<std::int8_t, kColumnCount> all{};
    for (std::size_t index = 0; index < kColumnCount; ++index) {
      const Stat stat = kColumns[index].stat;
      all[index] = stat == Stat::LogGpus || stat == Stat::LogSteps ? 1 : 0;
    }
    return all;
  }();
  return signs;
}

// From the broadest kind to the most specific: each kind's median counts with as many jobs as it
// rests on, and what was known before counts as one job more. A key with a single job is thereby
// half believed, one with thirty jobs nearly as it is. The mean is the most specific key's as it
// is: a broader one's may be a hundred times larger, and one part in thirty of that is not small.
Anchor anchor_of(const RowContext& context) {
  constexpr KeyKind kBroadToSpecific[] = {KeyKind::Group, KeyKind::User, KeyKind::UserGpus,
                                          KeyKind::Sibling};
  Anchor anchor{kPriorLevel, std::expm1(kPriorLevel), 0};
  if (context.cluster->size() > 0) {
    anchor.log_gpu_seconds = context.cluster->quantile(0.5);
    anchor.mean_gpu_seconds = context.cluster->mean_usage_seconds();
  }
  for (const KeyKind kind : kBroadToSpecific) {
    const KeyStatistics* key = context.keys[static_cast<std::size_t>(kind)];
    if (key == nullptr || key->ended_count == 0) {
      continue;
    }
    const double scale = mixes_gpu_counts(kind) ? context.job->gpu_count : 1;
    const auto count = static_cast<double>(key->recent.size());
    const double level = std::log1p(std::expm1(key->recent.quantile(0.5)) * scale);
    anchor.log_gpu_seconds = (count * level + anchor.log_gpu_seconds) / (count + 1);
    anchor.mean_gpu_seconds = key->recent.mean_usage_seconds() * scale;
    anchor.job_count = static_cast<int>(key->recent.size());
  }
  return anchor;
}

void fill_row(const RowContext& context, const Anchor& anchor, std::span<float> row) {
  for (std::size_t index = 0; index < kColumnCount; ++index) {
    const Column& column = kColumns[index];
    double value = kUnknown;
    if (column.stat <= Stat::ClusterMedian) {
      value = own_value(context, anchor, column.stat);
    } else if (context.keys[static_cast<std::size_t>(column.kind)] != nullptr) {
      value = KeyReader(context, column.kind).read(column.stat, anchor.log_gpu_seconds);
    }
    row[index] = static_cast<float>(value);
  }
}

}  // namespace finops::predict
