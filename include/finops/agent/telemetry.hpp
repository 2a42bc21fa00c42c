// telemetry.hpp - measures what the runs of this host use, for the guard and for the ledger.
//
// Owns: Telemetry. Does not own: the driver and /proc (detect), what use means (guard).
// Invariants: used by the agent's thread only, and in an agent's process only; no call waits for a
// driver; memory is bounded for any number and length of runs; what is not known is left out.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "finops/agent/usage_source.hpp"
#include "finops/base/clock.hpp"
#include "finops/detect/gpu_watcher.hpp"
#include "finops/detect/process_usage.hpp"
#include "finops/record/telemetry.hpp"

namespace finops::agent {

class UsageWindows;

/// Takes all of the windows or throws.
using TelemetrySink = std::function<void(std::span<const TelemetryWindow>)>;

struct TelemetryOptions {
  /// Between two samples. More frequent calls are no more samples; an agent that looks less often
  /// takes a sample with each look.
  Nanoseconds interval{std::chrono::seconds{10}};
  /// Five-minute windows that are kept while the ledger takes none: about a day of 10 runs of
  /// 8 GPUs. Beyond it the oldest is dropped, counted and told.
  std::size_t pending_limit = 100'000;
};

class Telemetry final : public UsageSource {
 public:
  /// Looks at the GPUs by a GpuWatcher, whose thread starts with the first sample or question.
  /// Throws Error(InvalidArgument) unless the interval is above zero.
  explicit Telemetry(TelemetryOptions options);
  /// With GPUs from elsewhere, for tests.
  Telemetry(TelemetryOptions options, std::unique_ptr<detect::GpuSource> gpu_source);
  ~Telemetry() override;
  Telemetry(const Telemetry&) = delete;
  Telemetry& operator=(const Telemetry&) = delete;

  /// The first sample of an attempt only sets the start of the measurement. After a gap in the
  /// rounds (a suspended host) the measurement starts anew.
  void sample(const pulse::PageInfo& info, ClockReading now) override;
  void sample_ranks(const pulse::PageInfo& info, std::span<const pid_t> ranks,
                    ClockReading now) override;
  /// Empty (no samples) too if the newest sample is older than three rounds.
  [[nodiscard]] guard::UsageSummary summary(const AttemptId& attempt_id, Nanoseconds window,
                                            ClockReading now) const override;
  /// From the driver's last answer; nullopt while nothing fresh is known, and where it lists the
  /// processes of no GPU. Empty too in containers where the driver hides processes.
  [[nodiscard]] std::optional<std::vector<GpuHolder>> gpu_holders() const override;
  void flush(Ledger& ledger, ClockReading now) override;
  /// As `flush`, into something else than a ledger.
  void flush_to(const TelemetrySink& sink, ClockReading now);
  void end(const AttemptId& attempt_id) override;

 private:
  struct Attempt;
  void begin_round(ClockReading now);
  [[nodiscard]] detect::GpuReading gpus() const;  // as last seen
  [[nodiscard]] Nanoseconds longest_gap() const;
  void measure(const pulse::PageInfo& info, std::span<const pid_t> ranks, Attempt& attempt);

  TelemetryOptions options_;
  std::unique_ptr<detect::GpuSource> gpu_source_;
  std::unique_ptr<UsageWindows> windows_;
  std::unordered_map<AttemptId, std::unique_ptr<Attempt>> attempts_;

  // What all runs of one round share.
  std::optional<ClockReading> round_;
  Nanoseconds round_gap_{};  // to the round before
  ProcessTable table_;
  detect::GpuReading reading_;
};

}  // namespace finops::agent
