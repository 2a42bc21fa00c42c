// feature_stream.hpp - what a job's own history says about it, kept up to date job by job.
//
// Owns: FeatureStream and the list of features. Does not own: learning from them.
// Memory: kKeyLimit keys of each of the eight kinds, about 0.6 GB if all have their last 30 jobs,
// and up to 100 kB more for each key with thousands of jobs a day; at the limit the key that was
// used the longest ago is forgotten, and counted; keys with a job in flight stay.
// Threads: none may share it without a lock, not even for asking.
// Invariants: a row uses only what was known at its moment: jobs submitted by then, and the ends
// of jobs that ended strictly before; the cost of a finished job is constant, whatever the length
// of the history.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "finops/predict/job.hpp"

namespace finops::predict {

/// Names of a row's columns, in order. Constant; at most kMaxFeatureCount.
[[nodiscard]] std::span<const std::string_view> feature_names() noexcept;
/// +1, 0 or -1 for each: "gpus" and "planned_steps" never lower a forecast. As TrainOptions takes.
[[nodiscard]] std::span<const std::int8_t> feature_monotone() noexcept;

/// What recent jobs of the same kind took, from the most specific key that has any: the base to
/// which a model learns the difference. Log is log1p of GPU-seconds.
struct Anchor {
  double log_gpu_seconds = 0;
  double mean_gpu_seconds = 0;  ///< of the last 30 of the key, in plain seconds: for sums
  int job_count = 0;            ///< it rests on so many, at most 30; 0: a prior
};

/// So many keys of each kind are remembered: one in use in the last weeks on any cluster that we
/// know of fits hundreds of times.
inline constexpr std::size_t kKeyLimit = 65'536;

class FeatureStream {
 public:
  FeatureStream();
  ~FeatureStream();
  FeatureStream(FeatureStream&&) noexcept;
  FeatureStream& operator=(FeatureStream&&) noexcept;
  FeatureStream(const FeatureStream&) = delete;
  FeatureStream& operator=(const FeatureStream&) = delete;

  /// The job is in flight from now on. Times of submit, start and end come in order, mixed.
  /// A time before the last one is an Error(InvalidArgument); so is a job id in flight already. A
  /// start or an end of a job that is not in flight is an Error(NotFound), a second one Conflict.
  /// What ended at the time of the last event is known to rows of a later time only.
  void submit(const Job& job);
  void start(std::string_view job_id, UtcTime start_time);
  void end(std::string_view job_id, const JobEnd& end);

  /// `row`: [feature_names().size()], NaN where nothing is known. The job itself need not have been
  /// submitted; if it is in flight, it does not count among its own siblings.
  /// `now` is not before the last event. Returns the anchor. At submission `now` is
  /// job.submit_time; later, the same row renewed.
  Anchor row(const Job& job, UtcTime now, std::span<float> row) const;

  [[nodiscard]] std::size_t ended_count() const noexcept;
  [[nodiscard]] std::size_t in_flight_count() const noexcept;
  [[nodiscard]] std::int64_t forgotten_key_count() const noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace finops::predict
