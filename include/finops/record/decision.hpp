// decision.hpp - what the guard decided about an attempt, and why.
//
// Owns: Directive, Verdict, Rung, DecisionRecord. Does not own: how it is decided (guard).
// Invariant: a decision is recorded before it is acted on, so every stop can be explained.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "finops/base/clock.hpp"
#include "finops/base/ids.hpp"

namespace finops {

/// What a run is told, in rising order of urgency. The values are part of the live page's layout.
enum class Directive : std::uint32_t { CONTINUE = 0, CHECKPOINT = 1, PAUSE = 2, STOP = 3 };
[[nodiscard]] std::string_view directive_name(Directive directive) noexcept;

/// Which rule spoke. The values are part of the live page's layout.
enum class Rule : std::uint32_t {
  None = 0,
  Silence = 1,      ///< no progress for longer than allowed
  Budget = 2,       ///< the lease is used up and no more can be had
  Lease = 3,        ///< the lease ends and the ledger cannot be reached
  ProcessGone = 4,  ///< the process ended without a word
  Operator = 5,     ///< a person asked for it
  Duration = 6,     ///< it ran for longer than its max_duration
  Idle = 7,         ///< its GPUs were not used
};
[[nodiscard]] std::string_view rule_name(Rule rule) noexcept;
[[nodiscard]] Rule parse_rule(std::string_view name);

/// How far the guard has gone with one attempt.
enum class Rung { Watch = 0, Directive = 1, Sigterm = 2, Sigkill = 3 };
[[nodiscard]] std::string_view rung_name(Rung rung) noexcept;
[[nodiscard]] Rung parse_rung(std::string_view name);

struct DecisionRecord {
  AttemptId attempt_id;
  std::int64_t sequence = 0;  ///< 1, 2, ... within the attempt; 0: the ledger gives the next one
  Directive directive = Directive::CONTINUE;
  Rule rule = Rule::None;
  Rung rung = Rung::Watch;
  std::string reason;      ///< plain words with the numbers that decided
  std::string decided_by;  ///< "guard", "finops run", "process", or a user's name
  UtcTime decided_at{};
  bool is_dry_run = false;  ///< recorded and not acted on: what the guard would do
};

}  // namespace finops
