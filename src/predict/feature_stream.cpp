// feature_stream.cpp - events in, statistics of keys kept, rows out.
#include "finops/predict/feature_stream.hpp"

#include <cmath>
#include <limits>
#include <string>
#include <unordered_map>

#include "finops/base/error.hpp"
#include "predict/feature_stream_keys.hpp"
#include "predict/feature_stream_rows.hpp"
#include "predict/key_statistics.hpp"

namespace finops::predict {
namespace {

// So many keys of each kind are remembered: those with a job in the last weeks of any cluster we
// know of fit hundreds of times. Eight kinds of full keys are about half a gigabyte.
constexpr std::size_t kKeyLimit = 65'536;

std::int64_t ns_of(UtcTime time) noexcept { return time.time_since_epoch().count(); }

// Who is followed job by job while in flight: a user as a whole, and the siblings.
constexpr bool is_followed(KeyKind kind) noexcept {
  return kind == KeyKind::Sibling || kind == KeyKind::User;
}

struct FlyingJob {
  JobKeys keys{};
  std::int32_t gpu_count = 1;
  OwnTraces traces;
  bool is_ended = false;  ///< and waits for time to move on
};

}  // namespace

struct FeatureStream::State {
  std::array<KeyTable, kKeyKindCount> tables{
      KeyTable(kKeyLimit), KeyTable(kKeyLimit), KeyTable(kKeyLimit), KeyTable(kKeyLimit),
      KeyTable(kKeyLimit), KeyTable(kKeyLimit), KeyTable(kKeyLimit), KeyTable(kKeyLimit)};
  std::unordered_map<std::string, FlyingJob> in_flight;
  RecentJobs cluster;
  std::int64_t now_ns = std::numeric_limits<std::int64_t>::min();
  std::size_t ended_count = 0;
  // Ends at the very time of the last event: a row at that time must not know of them.
  struct PendingEnd {
    std::string job_id;
    JobEnd end;
  };
  std::vector<PendingEnd> pending;

  void advance(UtcTime time, std::string_view what, std::string_view job_id);
  void settle(std::int64_t now);
  void apply(const std::string& job_id, const JobEnd& end);
};

// Moves on to the time of an event; what ended before it is known from then on.
void FeatureStream::State::advance(UtcTime time, std::string_view what, std::string_view job_id) {
  FINOPS_REQUIRE(ns_of(time) >= now_ns, ErrorCode::InvalidArgument,
                 "the " + std::string(what) + " of job '" + std::string(job_id) + "' at " +
                     format_utc(time) + " comes after an event of " +
                     format_utc(UtcTime(Nanoseconds(now_ns))) +
                     "; give the events in order of their time");
  now_ns = ns_of(time);
  settle(now_ns);
}

void FeatureStream::State::settle(std::int64_t now) {
  if (pending.empty() || ns_of(pending.front().end.end_time) >= now) {
    return;
  }
  for (const PendingEnd& known : pending) {
    apply(known.job_id, known.end);
  }
  pending.clear();
}

void FeatureStream::State::apply(const std::string& job_id, const JobEnd& end) {
  const auto found = in_flight.find(job_id);
  const FlyingJob& job = found->second;
  const double gpu_seconds = end.run_seconds * job.gpu_count;
  EndedJob total{ns_of(end.end_time), static_cast<float>(std::log1p(gpu_seconds)),
                 static_cast<float>(gpu_seconds), 0, end.status};
  EndedJob each = total;
  each.level = static_cast<float>(std::log1p(end.run_seconds));
  each.usage_seconds = static_cast<float>(end.run_seconds);
  for (std::size_t kind = 0; kind < kKeyKindCount; ++kind) {
    if (job.keys[kind] != 0) {
      EndedJob& seen = mixes_gpu_counts(static_cast<KeyKind>(kind)) ? each : total;
      seen.burst = job.traces.burst[kind];
      tables[kind].use(job.keys[kind]).end(seen, job.traces.start_ns);
    }
  }
  cluster.add(total, kClusterJobCount);
  ++ended_count;
  in_flight.erase(found);
}

FeatureStream::FeatureStream() : state_(std::make_unique<State>()) {}
FeatureStream::~FeatureStream() = default;
FeatureStream::FeatureStream(FeatureStream&&) noexcept = default;
FeatureStream& FeatureStream::operator=(FeatureStream&&) noexcept = default;

void FeatureStream::submit(const Job& job) {
  State& state = *state_;
  FINOPS_REQUIRE(job.gpu_count >= 1, ErrorCode::InvalidArgument,
                 "job '" + job.job_id + "' has " + std::to_string(job.gpu_count) +
                     " GPUs; a forecast needs at least 1");
  FINOPS_REQUIRE(!state.in_flight.contains(job.job_id), ErrorCode::InvalidArgument,
                 "job '" + job.job_id + "' is in flight already; job ids must differ");
  state.advance(job.submit_time, "submission", job.job_id);
  FlyingJob flying;
  flying.keys = keys_of(job);
  flying.gpu_count = job.gpu_count;
  flying.traces.submit_ns = ns_of(job.submit_time);
  for (std::size_t kind = 0; kind < kKeyKindCount; ++kind) {
    if (flying.keys[kind] != 0) {
      KeyStatistics& key = state.tables[kind].use(flying.keys[kind]);
      flying.traces.submit_index[kind] = key.submit_count;
      flying.traces.burst[kind] =
          key.submit(flying.traces.submit_ns, is_followed(static_cast<KeyKind>(kind)));
    }
  }
  state.in_flight.emplace(job.job_id, flying);
}

void FeatureStream::start(std::string_view job_id, UtcTime start_time) {
  State& state = *state_;
  const auto found = state.in_flight.find(std::string(job_id));
  FINOPS_REQUIRE(found != state.in_flight.end(), ErrorCode::NotFound,
                 "job '" + std::string(job_id) + "' is not in flight; submit it first");
  FINOPS_REQUIRE(!found->second.traces.start_ns.has_value(), ErrorCode::Conflict,
                 "job '" + std::string(job_id) + "' has started already");
  state.advance(start_time, "start", job_id);
  FlyingJob& job = found->second;
  job.traces.start_ns = ns_of(start_time);
  for (std::size_t kind = 0; kind < kKeyKindCount; ++kind) {
    if (is_followed(static_cast<KeyKind>(kind)) && job.keys[kind] != 0) {
      state.tables[kind].use(job.keys[kind]).start(ns_of(start_time));
    }
  }
}

void FeatureStream::end(std::string_view job_id, const JobEnd& end) {
  State& state = *state_;
  const std::string id(job_id);
  const auto found = state.in_flight.find(id);
  FINOPS_REQUIRE(found != state.in_flight.end(), ErrorCode::NotFound,
                 "job '" + id + "' is not in flight; submit it first");
  FINOPS_REQUIRE(!found->second.is_ended, ErrorCode::Conflict,
                 "job '" + id + "' has ended already");
  FINOPS_REQUIRE(std::isfinite(end.run_seconds) && end.run_seconds >= 0, ErrorCode::InvalidArgument,
                 "job '" + id + "' ran for " + std::to_string(end.run_seconds) +
                     " s; give a number of seconds not below 0");
  state.advance(end.end_time, "end", job_id);
  found->second.is_ended = true;
  state.pending.push_back({id, end});
}

Anchor FeatureStream::row(const Job& job, UtcTime now, std::span<float> row) const {
  State& state = *state_;
  FINOPS_REQUIRE(row.size() == feature_names().size(), ErrorCode::InvalidArgument,
                 "a row has " + std::to_string(feature_names().size()) + " features, not " +
                     std::to_string(row.size()));
  FINOPS_REQUIRE(job.gpu_count >= 1, ErrorCode::InvalidArgument,
                 "job '" + job.job_id + "' has " + std::to_string(job.gpu_count) +
                     " GPUs; a forecast needs at least 1");
  FINOPS_REQUIRE(ns_of(now) >= state.now_ns, ErrorCode::InvalidArgument,
                 "a row of " + format_utc(now) + " is asked for after an event of " +
                     format_utc(UtcTime(Nanoseconds(state.now_ns))) +
                     "; ask for the time of the last event or later");
  state.settle(ns_of(now));
  RowContext context;
  context.job = &job;
  context.now_ns = ns_of(now);
  context.cluster = &state.cluster;
  const JobKeys keys = keys_of(job);
  for (std::size_t kind = 0; kind < kKeyKindCount; ++kind) {
    context.keys[kind] = keys[kind] == 0 ? nullptr : state.tables[kind].find(keys[kind]);
  }
  const auto found = state.in_flight.find(job.job_id);
  context.own = found == state.in_flight.end() ? nullptr : &found->second.traces;
  const Anchor anchor = anchor_of(context);
  fill_row(context, anchor, row);
  return anchor;
}

std::size_t FeatureStream::ended_count() const noexcept { return state_->ended_count; }
std::size_t FeatureStream::in_flight_count() const noexcept { return state_->in_flight.size(); }

}  // namespace finops::predict
