// orphans.hpp - what a dead run left running: worker processes that still hold its GPUs.
//
// Owns: Orphans: who descends from which run, and whom to stop after the run's death. Does not own:
// the record of it (agent).
// Invariants: only processes that descended from the run or carry its attempt id are ever touched,
// never an ancestor of this agent nor a living run; each by its identity, not by its pid alone.
#pragma once

#include <map>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "finops/agent/usage_source.hpp"
#include "finops/base/process_table.hpp"
#include "finops/guard/policy.hpp"
#include "finops/pulse/page.hpp"
#include "finops/record/decision.hpp"

namespace finops::agent {

/// One signal that is due for what is left of an attempt.
struct OrphanStop {
  AttemptId attempt_id;
  Rung rung = Rung::Sigterm;
  std::string reason;
  std::vector<ProcessIdentity> targets;
  bool is_repeat = false;  ///< recorded before: SIGKILL again, until nothing is left
  bool is_dry_run = false;
};

class Orphans {
 public:
  /// Reads the process table once and remembers the descendants of all `living` runs.
  void observe(const std::vector<const pulse::PageInfo*>& living);

  /// The attempt's page is no longer held. `has_finished`: it said goodbye before.
  void ended(const pulse::PageInfo& info, bool has_finished, const guard::Policy& policy);

  /// Whether no dead attempt is looked after.
  [[nodiscard]] bool is_idle() const noexcept { return dead_.empty(); }

  /// Who is to be signalled now: what is left of a dead run and holds a GPU. Where the driver names
  /// no holder at all, what is left and carries the attempt's id, but for a run that finished: its
  /// children may be meant to stay. Nothing happens while the run's own process lives.
  [[nodiscard]] std::vector<OrphanStop> due(const std::optional<std::vector<GpuHolder>>& holders,
                                            BootTime now);

  /// Sends the signal that was recorded; a dry one is sent to nobody.
  void signal(const OrphanStop& stop, BootTime now);

 private:
  struct Dead {
    ProcessIdentity owner;
    std::vector<ProcessIdentity> remembered;
    bool has_finished = false;
    guard::Policy policy;
    Rung rung = Rung::Watch;
    BootTime rung_since{};
    BootTime first_looked_at{};
  };
  [[nodiscard]] std::vector<ProcessIdentity> left_of(
      const Dead& dead, const std::vector<ProcessIdentity>& carriers) const;

  ProcessTable table_;
  std::unordered_set<pid_t> spared_;
  std::unordered_map<AttemptId, std::vector<ProcessIdentity>> remembered_;
  std::map<AttemptId, Dead> dead_;
};

}  // namespace finops::agent
