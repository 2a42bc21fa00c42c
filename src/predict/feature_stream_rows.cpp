// feature_stream_rows.cpp - the columns of a row, and the anchor.
#include "predict/feature_stream_rows.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "finops/predict/forest.hpp"

namespace finops::predict {
namespace {

constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();
constexpr std::int64_t kSecondNs = 1'000'000'000;

// What a column reads. The levels (log1p of GPU-seconds) are given as the difference to the anchor:
// that is what a model learns, and a tree that splits one column at a time cannot subtract two.
enum class Stat : std::uint8_t {
  // Of the job itself; the kind does not matter.
  LogGpus,
  LogNodes,
  LogRequested,
  LogSteps,
  HourOfDay,
  Weekday,
  OwnElapsed,
  AnchorLevel,
  AnchorCount,
  ClusterMedian,
  // Levels of ended jobs of the key.
  Last,
  Last2,
  LastThreeMean,
  LastThreeMedian,
  Fast,
  Slow,
  P10,
  Median,
  P90,
  LogMean,
  LastCompleted,
  // Other words on ended jobs.
  Spread,
  LogCount,
  SinceEnd,
  SinceSubmit,
  FailedRatio,
  CensoredRatio,
  LastStatus,
  // In flight.
  Running,
  Waiting,
  OldestElapsed,
  MedianElapsed,
  YoungestElapsed,
  Submitted1m,
  Submitted10m,
  Submitted1h,
  Submitted1d,
  Ended10m,
  Ended1h,
  Ended1d,
  Ended10mMedian,
  Ended1hMedian,
  Ended1dMedian,
  BurstEnded,
  BurstMedian,
  BurstMin,
  BurstMax,
};

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
    {"anchor_jobs", KeyKind::Sibling, Stat::AnchorCount},
    {"cluster_median", KeyKind::Sibling, Stat::ClusterMedian},
    {"sibling_last", KeyKind::Sibling, Stat::Last},
    {"sibling_last2", KeyKind::Sibling, Stat::Last2},
    {"sibling_last_three_mean", KeyKind::Sibling, Stat::LastThreeMean},
    {"sibling_last_three_median", KeyKind::Sibling, Stat::LastThreeMedian},
    {"sibling_fast", KeyKind::Sibling, Stat::Fast},
    {"sibling_slow", KeyKind::Sibling, Stat::Slow},
    {"sibling_p10", KeyKind::Sibling, Stat::P10},
    {"sibling_p90", KeyKind::Sibling, Stat::P90},
    {"sibling_log_mean", KeyKind::Sibling, Stat::LogMean},
    {"sibling_spread", KeyKind::Sibling, Stat::Spread},
    {"sibling_log_count", KeyKind::Sibling, Stat::LogCount},
    {"sibling_since_end", KeyKind::Sibling, Stat::SinceEnd},
    {"sibling_since_submit", KeyKind::Sibling, Stat::SinceSubmit},
    {"sibling_failed_ratio", KeyKind::Sibling, Stat::FailedRatio},
    {"sibling_censored_ratio", KeyKind::Sibling, Stat::CensoredRatio},
    {"sibling_last_status", KeyKind::Sibling, Stat::LastStatus},
    {"sibling_running", KeyKind::Sibling, Stat::Running},
    {"sibling_waiting", KeyKind::Sibling, Stat::Waiting},
    {"sibling_oldest_elapsed", KeyKind::Sibling, Stat::OldestElapsed},
    {"sibling_median_elapsed", KeyKind::Sibling, Stat::MedianElapsed},
    {"sibling_youngest_elapsed", KeyKind::Sibling, Stat::YoungestElapsed},
    {"sibling_submitted10m", KeyKind::Sibling, Stat::Submitted10m},
    {"sibling_submitted1h", KeyKind::Sibling, Stat::Submitted1h},
    {"sibling_submitted1d", KeyKind::Sibling, Stat::Submitted1d},
    {"sibling_ended1h", KeyKind::Sibling, Stat::Ended1h},
    {"sibling_ended1h_median", KeyKind::Sibling, Stat::Ended1hMedian},
    {"sibling_ended1d_median", KeyKind::Sibling, Stat::Ended1dMedian},
    {"sibling_burst_ended", KeyKind::Sibling, Stat::BurstEnded},
    {"sibling_burst_median", KeyKind::Sibling, Stat::BurstMedian},
    {"sibling_burst_min", KeyKind::Sibling, Stat::BurstMin},
    {"sibling_burst_max", KeyKind::Sibling, Stat::BurstMax},
    {"user_last", KeyKind::User, Stat::Last},
    {"user_last_three_mean", KeyKind::User, Stat::LastThreeMean},
    {"user_fast", KeyKind::User, Stat::Fast},
    {"user_slow", KeyKind::User, Stat::Slow},
    {"user_median", KeyKind::User, Stat::Median},
    {"user_log_mean", KeyKind::User, Stat::LogMean},
    {"user_log_count", KeyKind::User, Stat::LogCount},
    {"user_since_submit", KeyKind::User, Stat::SinceSubmit},
    {"user_since_end", KeyKind::User, Stat::SinceEnd},
    {"user_failed_ratio", KeyKind::User, Stat::FailedRatio},
    {"user_running", KeyKind::User, Stat::Running},
    {"user_waiting", KeyKind::User, Stat::Waiting},
    {"user_oldest_elapsed", KeyKind::User, Stat::OldestElapsed},
    {"user_submitted1h", KeyKind::User, Stat::Submitted1h},
    {"user_submitted1d", KeyKind::User, Stat::Submitted1d},
    {"user_ended10m_median", KeyKind::User, Stat::Ended10mMedian},
    {"user_ended1h", KeyKind::User, Stat::Ended1h},
    {"user_gpus_last", KeyKind::UserGpus, Stat::Last},
    {"user_gpus_fast", KeyKind::UserGpus, Stat::Fast},
    {"user_gpus_median", KeyKind::UserGpus, Stat::Median},
    {"group_fast", KeyKind::Group, Stat::Fast},
    {"group_median", KeyKind::Group, Stat::Median},
    {"group_gpus_request_fast", KeyKind::GroupGpusRequest, Stat::Fast},
    {"group_gpus_request_median", KeyKind::GroupGpusRequest, Stat::Median},
};
constexpr std::size_t kColumnCount = std::size(kColumns);

double log1p_seconds(std::int64_t span_ns) {
  return std::log1p(std::max(0.0, static_cast<double>(span_ns) / static_cast<double>(kSecondNs)));
}

// Of a few levels; NaN if there are none. Orders them.
double median_of(std::span<float> levels) {
  if (levels.empty()) {
    return kUnknown;
  }
  std::sort(levels.begin(), levels.end());
  const std::size_t middle = levels.size() / 2;
  return levels.size() % 2 == 1 ? double{levels[middle]}
                                : (double{levels[middle - 1]} + double{levels[middle]}) / 2;
}

// One key's part of a row.
class KeyReader {
 public:
  KeyReader(const RowContext& context, KeyKind kind)
      : kind_(kind), context_(context), key_(*context.keys[static_cast<std::size_t>(kind)]) {}

  double read(Stat stat, double anchor) const;

 private:
  // A level of the key as GPU-seconds of this job, relative to the anchor.
  double relative(double level, double anchor) const { return scaled(level) - anchor; }
  double scaled(double level) const;
  double ended(Stat stat) const;
  double recent(Stat stat) const;
  double flying(Stat stat, double anchor) const;
  double elapsed(double ratio, double anchor) const;
  double submitted_since(std::int64_t span_ns) const;
  double ended_since(std::int64_t span_ns) const;
  double ended_median(std::int64_t span_ns) const;
  double burst(Stat stat, double anchor) const;
  std::int64_t others_last_submit_ns() const;
  bool is_last_submit_own() const;

  KeyKind kind_;
  const RowContext& context_;
  const KeyStatistics& key_;
};

double KeyReader::scaled(double level) const {
  return mixes_gpu_counts(kind_) ? std::log1p(std::expm1(level) * context_.job->gpu_count) : level;
}

double KeyReader::read(Stat stat, double anchor) const {
  if (stat <= Stat::LastCompleted) {
    return key_.ended_count == 0 ? kUnknown : relative(ended(stat), anchor);
  }
  return stat <= Stat::LastStatus ? recent(stat) : flying(stat, anchor);
}

double KeyReader::ended(Stat stat) const {
  const RecentJobs& recent = key_.recent;
  const auto level = [&recent](std::size_t age) {
    return double{recent.newest(std::min(age, recent.size() - 1)).level};
  };
  switch (stat) {
    case Stat::Last: return level(0);
    case Stat::Last2: return recent.size() < 2 ? kUnknown : level(1);
    case Stat::LastThreeMean: {
      const std::size_t count = std::min<std::size_t>(3, recent.size());
      double sum = 0;
      for (std::size_t age = 0; age < count; ++age) {
        sum += level(age);
      }
      return sum / static_cast<double>(count);
    }
    case Stat::LastThreeMedian: {
      std::array<float, 3> levels{};
      const std::size_t count = std::min<std::size_t>(3, recent.size());
      for (std::size_t age = 0; age < count; ++age) {
        levels[age] = recent.newest(age).level;
      }
      return median_of(std::span(levels).first(count));
    }
    case Stat::Fast: return key_.fast_level;
    case Stat::Slow: return key_.slow_level;
    case Stat::P10: return recent.quantile(0.1);
    case Stat::Median: return recent.quantile(0.5);
    case Stat::P90: return recent.quantile(0.9);
    case Stat::LogMean: return std::log1p(recent.mean_usage_seconds());
    case Stat::LastCompleted:
      for (std::size_t age = 0; age < recent.size(); ++age) {
        if (recent.newest(age).status == JobStatus::COMPLETED) {
          return level(age);
        }
      }
      return kUnknown;
    default: return kUnknown;
  }
}

bool KeyReader::is_last_submit_own() const {
  return context_.own != nullptr &&
         context_.own->submit_index[static_cast<std::size_t>(kind_)] + 1 == key_.submit_count;
}

double KeyReader::recent(Stat stat) const {
  const RecentJobs& jobs = key_.recent;
  switch (stat) {
    case Stat::LogCount: return std::log1p(static_cast<double>(key_.ended_count));
    case Stat::SinceSubmit: {
      const bool is_own = is_last_submit_own();
      if (key_.submit_count < (is_own ? 2 : 1)) {
        return kUnknown;
      }
      return log1p_seconds(context_.now_ns -
                           (is_own ? key_.previous_submit_ns : key_.last_submit_ns));
    }
    default: break;
  }
  if (jobs.size() == 0) {
    return kUnknown;
  }
  switch (stat) {
    case Stat::Spread: return jobs.quantile(0.9) - jobs.quantile(0.1);
    case Stat::SinceEnd: return log1p_seconds(context_.now_ns - jobs.newest(0).end_ns);
    case Stat::FailedRatio: return jobs.status_ratio(JobStatus::FAILED);
    case Stat::CensoredRatio:
      return 1 - jobs.status_ratio(JobStatus::FAILED) - jobs.status_ratio(JobStatus::COMPLETED);
    case Stat::LastStatus: return static_cast<double>(jobs.newest(0).status);
    default: return kUnknown;
  }
}

double KeyReader::submitted_since(std::int64_t span_ns) const {
  const std::int64_t since_ns = context_.now_ns - span_ns;
  const std::size_t own = context_.own != nullptr && context_.own->submit_ns >= since_ns ? 1 : 0;
  const std::size_t count = key_.in_flight->submit_times.count_since(since_ns);
  return std::log1p(static_cast<double>(count - std::min(own, count)));
}

double KeyReader::ended_since(std::int64_t span_ns) const {
  return std::log1p(static_cast<double>(key_.in_flight->end_times.count_since(context_.now_ns -
                                                                              span_ns)));
}

double KeyReader::ended_median(std::int64_t span_ns) const {
  std::array<float, kRecentJobCount> levels{};
  std::size_t count = 0;
  while (count < key_.recent.size() &&
         key_.recent.newest(count).end_ns >= context_.now_ns - span_ns) {
    levels[count] = key_.recent.newest(count).level;
    ++count;
  }
  return median_of(std::span(levels).first(count));
}

// How long the running jobs have run already: their end will not be below that.
double KeyReader::elapsed(double ratio, double anchor) const {
  const std::span<const std::int64_t> starts = key_.in_flight->start_times.times();
  std::size_t count = starts.size();
  std::size_t own_index = count;
  if (context_.own != nullptr && context_.own->start_ns.has_value() && count > 0) {
    own_index = static_cast<std::size_t>(std::lower_bound(starts.begin(), starts.end(),
                                                          *context_.own->start_ns) -
                                         starts.begin());
    --count;
  }
  if (count == 0) {
    return kUnknown;
  }
  auto index = static_cast<std::size_t>(ratio * static_cast<double>(count - 1));
  index += index >= own_index ? 1 : 0;
  const double seconds =
      static_cast<double>(context_.now_ns - starts[index]) / static_cast<double>(kSecondNs);
  return std::log1p(std::max(0.0, seconds) * context_.job->gpu_count) - anchor;
}

double KeyReader::burst(Stat stat, double anchor) const {
  const std::uint32_t burst = context_.own != nullptr
                                  ? context_.own->burst[static_cast<std::size_t>(kind_)]
                                  : key_.burst_at(context_.now_ns);
  std::array<float, kRecentJobCount> levels{};
  std::size_t count = 0;
  for (std::size_t age = 0; age < key_.recent.size(); ++age) {
    if (key_.recent.newest(age).burst == burst) {
      levels[count++] = key_.recent.newest(age).level;
    }
  }
  if (stat == Stat::BurstEnded) {
    return static_cast<double>(count);
  }
  if (count == 0) {
    return kUnknown;
  }
  const std::span<float> known = std::span(levels).first(count);
  const double median = median_of(known);
  const double level = stat == Stat::BurstMedian ? median
                       : stat == Stat::BurstMin  ? double{known.front()}
                                                 : double{known.back()};
  return relative(level, anchor);
}

double KeyReader::flying(Stat stat, double anchor) const {
  constexpr std::int64_t kMinute = 60 * kSecondNs;
  if (stat >= Stat::BurstEnded) {
    return burst(stat, anchor);
  }
  if (key_.in_flight == nullptr) {
    return kUnknown;
  }
  const auto own_running = context_.own != nullptr && context_.own->start_ns.has_value() ? 1U : 0U;
  const auto own = context_.own != nullptr ? 1U : 0U;
  const std::uint32_t running = key_.in_flight->running_count - own_running;
  switch (stat) {
    case Stat::Running: return std::log1p(running);
    case Stat::Waiting: return std::log1p(key_.in_flight_count - own - running);
    case Stat::OldestElapsed: return elapsed(0, anchor);
    case Stat::MedianElapsed: return elapsed(0.5, anchor);
    case Stat::YoungestElapsed: return elapsed(1, anchor);
    case Stat::Submitted1m: return submitted_since(kMinute);
    case Stat::Submitted10m: return submitted_since(10 * kMinute);
    case Stat::Submitted1h: return submitted_since(60 * kMinute);
    case Stat::Submitted1d: return submitted_since(1440 * kMinute);
    case Stat::Ended10m: return ended_since(10 * kMinute);
    case Stat::Ended1h: return ended_since(60 * kMinute);
    case Stat::Ended1d: return ended_since(1440 * kMinute);
    case Stat::Ended10mMedian: return relative(ended_median(10 * kMinute), anchor);
    case Stat::Ended1hMedian: return relative(ended_median(60 * kMinute), anchor);
    case Stat::Ended1dMedian: return relative(ended_median(1440 * kMinute), anchor);
    default: return kUnknown;
  }
}

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

Anchor anchor_of(const RowContext& context) {
  constexpr double kPriorLevel = 8.0;
  for (std::size_t kind = 0; kind < kKeyKindCount; ++kind) {
    const KeyStatistics* key = context.keys[kind];
    if (key != nullptr && key->ended_count > 0) {
      const double scale =
          mixes_gpu_counts(static_cast<KeyKind>(kind)) ? context.job->gpu_count : 1;
      Anchor a;
      a.log_gpu_seconds = std::log1p(std::expm1(key->recent.quantile(0.5)) * scale);
      a.mean_gpu_seconds = key->recent.mean_usage_seconds() * scale;
      a.job_count = static_cast<int>(key->recent.size());
      return a;
    }
  }
  if (context.cluster->size() > 0) {
    return {context.cluster->quantile(0.5), context.cluster->mean_usage_seconds(), 0};
  }
  return {kPriorLevel, std::expm1(kPriorLevel), 0};
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
