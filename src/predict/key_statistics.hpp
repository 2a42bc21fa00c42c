// key_statistics.hpp - what the jobs of one kind did lately, in constant space.
//
// Owns: EndedJob, RecentJobs, TimeLine, KeyStatistics, KeyTable. Does not own: which kinds of jobs
// there are, and what a row makes of them (feature_stream).
// Invariants: a submit, a start and an end each cost a constant, whatever the history's length; a
// table holds at most its limit of keys, plus those that have a job in flight; equal calls give
// equal values on every machine (nothing is ever iterated in the order of a hash).
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "finops/predict/job.hpp"

namespace finops::predict {

/// So many ended jobs of a key are kept one by one. Source: the last 30 is the measured best of the
/// plain medians on four quarters of a public GPU cluster trace.
inline constexpr std::size_t kRecentJobCount = 30;

/// A job that ended. `usage_seconds`: its GPU-seconds, or seconds for a key that mixes GPU counts.
struct EndedJob {
  std::int64_t end_ns = 0;
  float level = 0;  ///< log1p(usage_seconds)
  float usage_seconds = 0;
  std::uint32_t burst = 0;  ///< jobs of a key submitted in quick succession share it
  JobStatus status = JobStatus::COMPLETED;
};

/// The last `capacity` ended jobs: as a ring by time, and their levels in order.
class RecentJobs {
 public:
  void add(const EndedJob& job, std::size_t capacity = kRecentJobCount);
  [[nodiscard]] std::size_t size() const noexcept { return ring_.size(); }
  /// `age` 0 is the newest; below size().
  [[nodiscard]] const EndedJob& newest(std::size_t age) const noexcept;
  /// Between the two nearest levels, linearly. NaN if there is no job.
  [[nodiscard]] double quantile(double ratio) const noexcept;
  [[nodiscard]] double mean_usage_seconds() const noexcept;
  [[nodiscard]] double status_ratio(JobStatus status) const noexcept;

 private:
  std::vector<EndedJob> ring_;
  std::vector<float> sorted_levels_;
  std::size_t next_index_ = 0;  ///< where the next goes once the ring is full
};

/// Times in growing order, the newest kTimeLineLimit of them: so many are counted exactly, and a
/// burst of any size costs a constant.
inline constexpr std::size_t kTimeLineLimit = 4096;
class TimeLine {
 public:
  void push(std::int64_t time_ns);
  /// Forgets what is older.
  void drop_before(std::int64_t time_ns);
  /// Takes out one time that equals `time_ns`, if there is one.
  void remove(std::int64_t time_ns);
  [[nodiscard]] std::span<const std::int64_t> times() const noexcept;
  [[nodiscard]] std::size_t count_since(std::int64_t time_ns) const noexcept;

 private:
  std::vector<std::int64_t> times_;
  std::size_t first_index_ = 0;
};

/// What is going on right now among the jobs of a key.
struct InFlight {
  TimeLine submit_times;  ///< of the last day
  TimeLine end_times;     ///< of the last day
  TimeLine start_times;   ///< of the running ones
  std::uint32_t running_count = 0;
};

class KeyStatistics {
 public:
  /// `is_followed`: keeps InFlight too. Returns the burst that the job belongs to.
  std::uint32_t submit(std::int64_t time_ns, bool is_followed);
  void start(std::int64_t time_ns);
  /// `start_ns`: of the job, if it is known.
  void end(const EndedJob& job, std::optional<std::int64_t> start_ns);

  /// The burst that a job submitted then would be in.
  [[nodiscard]] std::uint32_t burst_at(std::int64_t time_ns) const noexcept;

  RecentJobs recent;
  double fast_level = 0;  ///< exponentially weighted; meaningless while ended_count is 0
  double slow_level = 0;
  std::int64_t ended_count = 0;
  std::int64_t submit_count = 0;
  std::int64_t last_submit_ns = 0;
  std::int64_t previous_submit_ns = 0;
  std::uint32_t burst = 0;
  std::uint32_t in_flight_count = 0;
  std::unique_ptr<InFlight> in_flight;
};

/// Keys of one kind. A key is a 64-bit hash of its words: with half a million keys, two of them
/// share one with a chance of 1e-8, and then share their statistics.
class KeyTable {
 public:
  explicit KeyTable(std::size_t limit) : limit_(limit) {}

  [[nodiscard]] const KeyStatistics* find(std::uint64_t key) const;
  /// Makes it if there is none. At the limit the key that was used the longest ago and has no job
  /// in flight is forgotten. The reference holds until the next call.
  KeyStatistics& use(std::uint64_t key);
  [[nodiscard]] std::size_t size() const noexcept { return slot_of_.size(); }
  [[nodiscard]] std::int64_t forgotten_count() const noexcept { return forgotten_count_; }

 private:
  static constexpr std::uint32_t kNone = 0xFFFFFFFF;
  struct Slot {
    std::uint64_t key = 0;
    std::uint32_t older = kNone;
    std::uint32_t newer = kNone;
    KeyStatistics statistics;
  };
  void unlink(std::uint32_t slot);
  void link_newest(std::uint32_t slot);
  /// A slot whose key was forgotten, or kNone.
  std::uint32_t forget_one();

  std::size_t limit_;
  std::unordered_map<std::uint64_t, std::uint32_t> slot_of_;
  std::deque<Slot> slots_;
  std::uint32_t oldest_ = kNone;
  std::uint32_t newest_ = kNone;
  std::int64_t forgotten_count_ = 0;
};

}  // namespace finops::predict
