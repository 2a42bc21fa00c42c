// key_statistics.cpp - rings, time lines and the table of keys.
#include "predict/key_statistics.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

namespace finops::predict {
namespace {

constexpr std::int64_t kDayNs = 86'400'000'000'000;
// Jobs of one key that follow each other within ten minutes are one burst: a sweep or an array.
constexpr std::int64_t kBurstGapNs = 600'000'000'000;
// Weight of the newest job: half-lives of about one and of six jobs.
constexpr double kFastWeight = 0.5;
constexpr double kSlowWeight = 0.1;

}  // namespace

// --- RecentJobs ----------------------------------------------------------------------------------

void RecentJobs::add(const EndedJob& job, std::size_t capacity) {
  if (ring_.size() == capacity) {
    EndedJob& oldest = ring_[next_index_];
    sorted_levels_.erase(std::lower_bound(sorted_levels_.begin(), sorted_levels_.end(),
                                          oldest.level));
    oldest = job;
    next_index_ = (next_index_ + 1) % capacity;
  } else {
    ring_.push_back(job);
  }
  sorted_levels_.insert(std::upper_bound(sorted_levels_.begin(), sorted_levels_.end(), job.level),
                        job.level);
}

const EndedJob& RecentJobs::newest(std::size_t age) const noexcept {
  return ring_[(next_index_ + 2 * ring_.size() - 1 - age) % ring_.size()];
}

double RecentJobs::quantile(double ratio) const noexcept {
  if (sorted_levels_.empty()) {
    return std::numeric_limits<double>::quiet_NaN();
  }
  const double position = ratio * static_cast<double>(sorted_levels_.size() - 1);
  const auto below = static_cast<std::size_t>(position);
  const std::size_t above = std::min(below + 1, sorted_levels_.size() - 1);
  const double share = position - static_cast<double>(below);
  return static_cast<double>(sorted_levels_[below]) * (1 - share) +
         static_cast<double>(sorted_levels_[above]) * share;
}

double RecentJobs::mean_usage_seconds() const noexcept {
  double sum = 0;
  for (const EndedJob& job : ring_) {
    sum += static_cast<double>(job.usage_seconds);
  }
  return ring_.empty() ? 0 : sum / static_cast<double>(ring_.size());
}

double RecentJobs::status_ratio(JobStatus status) const noexcept {
  const auto count = std::count_if(ring_.begin(), ring_.end(),
                                   [status](const EndedJob& job) { return job.status == status; });
  return ring_.empty() ? std::numeric_limits<double>::quiet_NaN()
                       : static_cast<double>(count) / static_cast<double>(ring_.size());
}

// --- TimeLine ------------------------------------------------------------------------------------

void TimeLine::push(std::int64_t time_ns) {
  times_.push_back(time_ns);
  if (times_.size() - first_index_ > kTimeLineLimit) {
    ++first_index_;
  }
  if (first_index_ >= 64 && 2 * first_index_ >= times_.size()) {
    times_.erase(times_.begin(), times_.begin() + static_cast<std::ptrdiff_t>(first_index_));
    first_index_ = 0;
  }
}

void TimeLine::drop_before(std::int64_t time_ns) {
  while (first_index_ < times_.size() && times_[first_index_] < time_ns) {
    ++first_index_;
  }
}

void TimeLine::remove(std::int64_t time_ns) {
  const auto first = times_.begin() + static_cast<std::ptrdiff_t>(first_index_);
  const auto found = std::lower_bound(first, times_.end(), time_ns);
  if (found == times_.end() || *found != time_ns) {
    return;  // dropped at the limit
  }
  if (found == first) {
    ++first_index_;
  } else {
    times_.erase(found);
  }
}

std::span<const std::int64_t> TimeLine::times() const noexcept {
  return std::span(times_).subspan(first_index_);
}

std::size_t TimeLine::count_since(std::int64_t time_ns) const noexcept {
  const std::span<const std::int64_t> known = times();
  return static_cast<std::size_t>(known.end() -
                                  std::lower_bound(known.begin(), known.end(), time_ns));
}

// --- KeyStatistics -------------------------------------------------------------------------------

std::uint32_t KeyStatistics::burst_at(std::int64_t time_ns) const noexcept {
  return submit_count > 0 && time_ns - last_submit_ns <= kBurstGapNs ? burst : burst + 1;
}

std::uint32_t KeyStatistics::submit(std::int64_t time_ns, bool is_followed) {
  burst = burst_at(time_ns);
  previous_submit_ns = last_submit_ns;
  last_submit_ns = time_ns;
  ++submit_count;
  ++in_flight_count;
  if (is_followed) {
    if (in_flight == nullptr) {
      in_flight = std::make_unique<InFlight>();
    }
    in_flight->submit_times.drop_before(time_ns - kDayNs);
    in_flight->submit_times.push(time_ns);
  }
  return burst;
}

void KeyStatistics::start(std::int64_t time_ns) {
  if (in_flight != nullptr) {
    in_flight->start_times.push(time_ns);
    ++in_flight->running_count;
  }
}

void KeyStatistics::end(const EndedJob& job, std::optional<std::int64_t> start_ns) {
  const double level = static_cast<double>(job.level);
  fast_level = ended_count == 0 ? level : fast_level + kFastWeight * (level - fast_level);
  slow_level = ended_count == 0 ? level : slow_level + kSlowWeight * (level - slow_level);
  ++ended_count;
  --in_flight_count;
  recent.add(job);
  if (in_flight != nullptr) {
    in_flight->end_times.drop_before(job.end_ns - kDayNs);
    in_flight->end_times.push(job.end_ns);
    if (start_ns.has_value()) {
      in_flight->start_times.remove(*start_ns);
      --in_flight->running_count;
    }
  }
}

// --- KeyTable ------------------------------------------------------------------------------------

const KeyStatistics* KeyTable::find(std::uint64_t key) const {
  const auto found = slot_of_.find(key);
  return found == slot_of_.end() ? nullptr : &slots_[found->second].statistics;
}

KeyStatistics& KeyTable::use(std::uint64_t key) {
  const auto found = slot_of_.find(key);
  if (found != slot_of_.end()) {
    unlink(found->second);
    link_newest(found->second);
    return slots_[found->second].statistics;
  }
  std::uint32_t slot = slot_of_.size() >= limit_ ? forget_one() : kNone;
  if (slot == kNone) {
    slot = static_cast<std::uint32_t>(slots_.size());
    slots_.emplace_back();
  }
  slots_[slot].key = key;
  slot_of_.emplace(key, slot);
  link_newest(slot);
  return slots_[slot].statistics;
}

// A key with a job in flight stays, and goes to the young end, since it is in use. A few are looked
// at, so that a call costs a constant; if all of them are in use, the table grows.
std::uint32_t KeyTable::forget_one() {
  constexpr int kLookCount = 16;
  for (int look = 0; look < kLookCount && oldest_ != kNone; ++look) {
    const std::uint32_t slot = oldest_;
    unlink(slot);
    if (slots_[slot].statistics.in_flight_count == 0) {
      slot_of_.erase(slots_[slot].key);
      slots_[slot].statistics = KeyStatistics{};
      ++forgotten_count_;
      return slot;
    }
    link_newest(slot);
  }
  return kNone;
}

void KeyTable::unlink(std::uint32_t slot) {
  const Slot& self = slots_[slot];
  (self.older == kNone ? oldest_ : slots_[self.older].newer) = self.newer;
  (self.newer == kNone ? newest_ : slots_[self.newer].older) = self.older;
}

void KeyTable::link_newest(std::uint32_t slot) {
  slots_[slot].older = newest_;
  slots_[slot].newer = kNone;
  (newest_ == kNone ? oldest_ : slots_[newest_].newer) = slot;
  newest_ = slot;
}

}  // namespace finops::predict
