// feature_stream_reader.hpp - reads one value of a row off the statistics of one key.
//
// Owns: Stat, KeyReader. Does not own: which values a row has (feature_stream_rows.cpp).
#pragma once

#include <cstdint>
#include <span>

#include "predict/feature_stream_rows.hpp"

namespace finops::predict {

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

}  // namespace finops::predict
