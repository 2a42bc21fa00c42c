// usage_source.hpp - where the agent gets a run's measured use from.
//
// Owns: UsageSource. `Telemetry` (telemetry.hpp) is the real one; tests hand in their own.
// Invariant: no call blocks on a driver: it answers with the last known value and its age.
#pragma once

#include <sys/types.h>

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "finops/guard/usage.hpp"
#include "finops/ledger/ledger.hpp"
#include "finops/pulse/page.hpp"

namespace finops::agent {

/// A process that holds memory on a GPU.
struct GpuHolder {
  pid_t pid = 0;
  std::string uuid;
};

class UsageSource {
 public:
  virtual ~UsageSource() = default;
  /// Takes one sample of the run's processes and GPUs.
  virtual void sample(const pulse::PageInfo& info, ClockReading now) = 0;
  /// The same for an attempt of several processes: `ranks` hold its page (ForeignPage::holders),
  /// and need not descend from the one that made it. Each round calls this or `sample`, not both.
  virtual void sample_ranks(const pulse::PageInfo& info, std::span<const pid_t> /*ranks*/,
                            ClockReading now) {
    sample(info, now);
  }
  /// What was measured of the attempt over the `window` that ends at `now`.
  [[nodiscard]] virtual guard::UsageSummary summary(const AttemptId& attempt_id, Nanoseconds window,
                                                    ClockReading now) const = 0;
  /// Who holds GPUs on this host. Empty: nobody does; nullopt: no driver tells.
  [[nodiscard]] virtual std::optional<std::vector<GpuHolder>> gpu_holders() const = 0;
  /// Writes the five-minute windows that are complete. May throw what the ledger throws; what was
  /// not written is written next time.
  virtual void flush(Ledger& ledger, ClockReading now) = 0;
  /// The attempt is over: its open window is written with the next flush, its samples go.
  virtual void end(const AttemptId& attempt_id) = 0;
};

}  // namespace finops::agent
