// feature_stream_reader.cpp - levels, counts and times of one key, without the asking job itself.
#include "predict/feature_stream_reader.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace finops::predict {
namespace {

constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();
constexpr std::int64_t kSecondNs = 1'000'000'000;

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
  return levels.size() % 2 == 1
             ? static_cast<double>(levels[middle])
             : (static_cast<double>(levels[middle - 1]) + static_cast<double>(levels[middle])) / 2;
}

}  // namespace

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
    return static_cast<double>(recent.newest(std::min(age, recent.size() - 1)).level);
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
                       : stat == Stat::BurstMin  ? static_cast<double>(known.front())
                                                 : static_cast<double>(known.back());
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

}  // namespace finops::predict
