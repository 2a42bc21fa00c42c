// usage_windows.cpp - opens, closes and writes windows.
#include "agent/usage_windows.hpp"

#include <algorithm>
#include <cstddef>
#include <exception>
#include <ratio>
#include <vector>

#include "finops/base/error.hpp"

namespace finops::agent {
namespace {

constexpr std::size_t kBatchSize = 1'000;  // rows a transaction, as everywhere in the ledger
// An attempt that began while the ledger was broken comes into it later; one that has not by then
// never will.
constexpr Nanoseconds kLongestRefusal = std::chrono::hours{1};

// Days have a whole number of windows, and UTC as we count it no leap seconds.
UtcTime window_of(UtcTime at) {
  using Windows = std::chrono::duration<std::int64_t, std::ratio<300>>;
  static_assert(Windows{1} == kTelemetryWindow);
  return std::chrono::floor<Windows>(at);
}

// What says something of these windows, and not of the ledger as a whole.
bool is_about_content(ErrorCode code) {
  return code == ErrorCode::NotFound || code == ErrorCode::Conflict ||
         code == ErrorCode::InvalidArgument;
}

}  // namespace

void UsageWindows::add(const AttemptId& attempt_id, UtcTime at, Metric metric,
                       const std::string& device, double value) {
  Open& open = open_[attempt_id];
  const UtcTime start = window_of(at);
  if (start != open.start) {
    close(attempt_id, open);
    open.start = start;
    open.amounts.clear();
  }
  Amount& amount = open.amounts[{metric, device}];
  amount.minimum = amount.count == 0 ? value : std::min(amount.minimum, value);
  amount.maximum = amount.count == 0 ? value : std::max(amount.maximum, value);
  amount.sum += value;
  ++amount.count;
}

void UsageWindows::close(const AttemptId& attempt_id) {
  const auto found = open_.find(attempt_id);
  if (found != open_.end()) {
    close(attempt_id, found->second);
    open_.erase(found);
  }
}

void UsageWindows::close(const AttemptId& attempt_id, const Open& open) {
  for (const auto& [key, amount] : open.amounts) {
    pending_.push_back({.attempt_id = attempt_id,
                        .window_start = open.start,
                        .metric = key.first,
                        .device = key.second,
                        .sample_count = amount.count,
                        .minimum = amount.minimum,
                        .mean = std::clamp(amount.sum / static_cast<double>(amount.count),
                                           amount.minimum, amount.maximum),
                        .maximum = amount.maximum});
  }
  while (pending_.size() > pending_limit_) {
    pending_.pop_front();
    count_dropped(1);
  }
}

void UsageWindows::flush(const TelemetrySink& sink, UtcTime now) {
  for (auto entry = open_.begin(); entry != open_.end();) {
    if (entry->second.start + kTelemetryWindow <= now) {
      close(entry->first, entry->second);
      entry = open_.erase(entry);
    } else {
      ++entry;
    }
  }
  try {
    write_pending(sink, now);
  } catch (const Error& error) {
    if (untold_count_ == 0) {
      throw;
    }
    const std::string told = std::to_string(untold_count_) +
                             " five-minute windows of measured use were dropped (kept for a ledger "
                             "that takes none: up to " +
                             std::to_string(pending_limit_) +
                             ", for an attempt that it does not know: an hour): " + error.what();
    untold_count_ = 0;
    throw Error(error.code(), told);
  }
}

void UsageWindows::write_pending(const TelemetrySink& sink, UtcTime now) {
  std::exception_ptr first_error;
  std::size_t kept_count = 0;  // at the front: what the ledger refused for what it is
  while (pending_.size() > kept_count) {
    const auto begin = pending_.begin() + static_cast<std::ptrdiff_t>(kept_count);
    const std::size_t size = std::min(kBatchSize, pending_.size() - kept_count);
    const std::vector<TelemetryWindow> batch(begin, begin + static_cast<std::ptrdiff_t>(size));
    try {
      sink(batch);
      pending_.erase(begin, begin + static_cast<std::ptrdiff_t>(size));
    } catch (const Error& error) {
      if (!is_about_content(error.code())) {
        throw;
      }
      first_error = first_error ? first_error : std::current_exception();
      pending_.erase(begin, begin + static_cast<std::ptrdiff_t>(size));
      kept_count += write_by_attempt(sink, batch, now);
    }
  }
  if (first_error) {
    std::rethrow_exception(first_error);
  }
}

// One attempt that the ledger does not know yet must not hold up the others. Puts back what was
// refused, at the front, and returns how many.
std::size_t UsageWindows::write_by_attempt(const TelemetrySink& sink,
                                           std::span<const TelemetryWindow> windows, UtcTime now) {
  std::map<AttemptId, std::vector<TelemetryWindow>> by_attempt;
  for (const TelemetryWindow& window : windows) {
    by_attempt[window.attempt_id].push_back(window);
  }
  std::size_t kept_count = 0;
  std::exception_ptr outage;
  for (auto& [attempt_id, own] : by_attempt) {
    try {
      if (!outage) {
        sink(own);
        continue;
      }
    } catch (const Error& error) {
      if (is_about_content(error.code())) {
        count_dropped(std::erase_if(own, [now](const TelemetryWindow& window) {
          return now - window.window_start > kLongestRefusal;
        }));
      } else {
        outage = std::current_exception();
      }
    }
    pending_.insert(pending_.begin(), own.begin(), own.end());
    kept_count += own.size();
  }
  if (outage) {
    std::rethrow_exception(outage);
  }
  return kept_count;
}

void UsageWindows::count_dropped(std::size_t count) noexcept {
  dropped_count_ += static_cast<std::int64_t>(count);
  untold_count_ += static_cast<std::int64_t>(count);
}

}  // namespace finops::agent
