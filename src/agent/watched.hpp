// watched.hpp - what the agent remembers of an attempt from round to round.
//
// Owns: Agent::PageRef, Agent::Watched, Agent::Live. Does not own: what is done with them.
// Invariant: what a page says may be any number; it is held within sense before it gets here.
#pragma once

#include "agent/same_file.hpp"
#include "finops/agent/agent.hpp"
#include "finops/base/error.hpp"

namespace finops::agent {

// The epoch of an agent that looks after adopted pages only and serves nobody else.
inline constexpr std::uint64_t kLonely = UINT64_MAX;

/// Whether an error is about one attempt, so that the ledger goes on being asked for the others.
[[nodiscard]] bool concerns_one_run(ErrorCode code);

/// One page, of another process or of this one.
struct Agent::PageRef {
  const pulse::PageInfo* info = nullptr;
  pulse::PageLayout* page = nullptr;
  const pulse::ForeignPage* foreign = nullptr;  // empty: adopted
  ClockReading ended_by{};                      // read after its end was seen; unset while it lives
};

struct Agent::Watched {
  BootTime started_at{};
  std::uint64_t progress_count = 0;
  std::int64_t last_seen_ns = 0;
  BootTime progress_changed_at{};
  std::int64_t silent_until_ns = 0;
  BootTime silence_announced_at{};
  std::uint64_t checkpoint_count = 0;
  bool is_alive = true;

  // From the ledger, as soon as it can be read: the ladder so far, and the tags.
  bool is_recalled = false;
  guard::Policy policy;
  std::vector<std::string> rule_names;
  // Without the tags some rule may or may not fit: until they are known only money speaks.
  bool is_policy_certain = true;

  std::optional<AttemptAccount> account;
  budget::LeasePlan lease;
  bool is_lease_lost = false;  // the ledger could not be asked for more
  std::optional<guard::UsageSummary> usage;

  guard::Decision last;  // the last one that was recorded
  BootTime rung_since{};
  bool has_acted = true;  // false: decided by an agent that may have died before it acted
  bool seen_in_round = false;
};

/// A run that is judged in this round.
struct Agent::Live {
  PageRef ref;
  Watched* watched = nullptr;
};

}  // namespace finops::agent
