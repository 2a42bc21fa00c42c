// usage_windows.hpp - condenses measurements to five-minute windows and brings them to the ledger.
//
// Owns: UsageWindows. Does not own: measuring, the ledger.
// Invariants: a window begins at a multiple of five minutes UTC and is written once it is over;
// what the ledger did not take is kept for the next time, up to a limit beyond which the oldest
// goes, is counted and told.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <span>
#include <string>
#include <utility>

#include "finops/agent/telemetry.hpp"
#include "finops/base/clock.hpp"
#include "finops/base/ids.hpp"
#include "finops/record/telemetry.hpp"

namespace finops::agent {

class UsageWindows {
 public:
  explicit UsageWindows(std::size_t pending_limit) : pending_limit_(pending_limit) {}

  /// `device` is empty for the host's metrics. A value of another window than the open one closes
  /// that one, also where the wall clock was set back: the ledger then keeps what it had first.
  void add(const AttemptId& attempt_id, UtcTime at, Metric metric, const std::string& device,
           double value);
  /// The attempt is over: its open window is as complete as it will be.
  void close(const AttemptId& attempt_id);
  /// Writes the windows that are over at `now`. Throws what the sink (the ledger) throws; the
  /// message counts what was dropped and not told yet.
  void flush(const TelemetrySink& sink, UtcTime now);

  [[nodiscard]] std::size_t pending_count() const noexcept { return pending_.size(); }
  /// Windows that were lost because the ledger took none for too long, in all.
  [[nodiscard]] std::int64_t dropped_count() const noexcept { return dropped_count_; }

 private:
  struct Amount {
    std::int64_t count = 0;
    double minimum = 0;
    double maximum = 0;
    double sum = 0;
  };
  struct Open {
    UtcTime start{};
    std::map<std::pair<Metric, std::string>, Amount> amounts;
  };
  void close(const AttemptId& attempt_id, const Open& open);
  void write_pending(const TelemetrySink& sink, UtcTime now);
  std::size_t write_by_attempt(const TelemetrySink& sink, std::span<const TelemetryWindow> windows,
                               UtcTime now);
  void count_dropped(std::size_t count) noexcept;

  std::size_t pending_limit_;
  std::map<AttemptId, Open> open_;
  std::deque<TelemetryWindow> pending_;
  std::int64_t dropped_count_ = 0;
  std::int64_t untold_count_ = 0;
};

}  // namespace finops::agent
