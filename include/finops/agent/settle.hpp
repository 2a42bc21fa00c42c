// settle.hpp - from a live page to the ledger: registration, leases, the end of an attempt.
//
// Owns: what the agent and the process do alike with one page. Does not own: judgement (guard).
// Invariant: both may do it for the same page; the ledger's epochs and ids make it happen once.
#pragma once

#include <optional>
#include <string>

#include "finops/base/clock.hpp"
#include "finops/budget/lease.hpp"
#include "finops/ledger/ledger.hpp"
#include "finops/pulse/page.hpp"

namespace finops::agent {

/// How an attempt ended.
struct Conclusion {
  AttemptId attempt_id;
  RunStatus status = RunStatus::FINISHED;
  std::string reason;
};

[[nodiscard]] budget::LeaseTerms lease_terms_of(const pulse::PageInfo& info);

/// The page's price and share; nullopt if unpriced.
[[nodiscard]] std::optional<Rate> rate_of(const pulse::PageInfo& info);

/// Makes sure that the ledger knows the page's price, run and attempt: it does not if it was broken
/// when they started. A hard budget always was in the ledger first.
void register_from_page(Ledger& ledger, const pulse::PageInfo& info);

/// The attempt's account, registered first if need be.
[[nodiscard]] AttemptAccount account_of(Ledger& ledger, const pulse::PageInfo& info);

/// Throws Error(NotFound) if the attempt began with a hard budget and the account has none: the
/// ledger was replaced meanwhile, and without this the run would go on for ever.
void require_its_budget(const pulse::PageInfo& info, const AttemptAccount& account);

/// Settles up to `elapsed` and asks for a full lease. After a Conflict (somebody else settled) it
/// reads the account again and tries anew, up to 20 times. Throws like `require_its_budget`.
AttemptAccount settle_and_renew(Ledger& ledger, const pulse::PageInfo& info,
                                const AttemptAccount& account, Nanoseconds elapsed, UtcTime now);

/// later - earlier, held at the ends of its range: what a page says may be any number.
[[nodiscard]] Nanoseconds span_between(std::int64_t later_ns, std::int64_t earlier_ns) noexcept;

/// The time from the attempt's start to `now`, never below zero.
[[nodiscard]] Nanoseconds running_time(const pulse::PageInfo& info, BootTime now) noexcept;

/// The time from the attempt's start to a monotonic reading of its process, on this boot.
[[nodiscard]] Nanoseconds elapsed_at(const pulse::PageInfo& info, std::int64_t monotonic_ns);

/// When an attempt is over: metered up to the last sign of life, uncertain from there to the first
/// proof of death.
struct LastSigns {
  Nanoseconds metered_until{};
  Nanoseconds gone_at{};
};

/// For a process that is dead at `now`, or whose boot is over.
[[nodiscard]] LastSigns last_signs(const pulse::PageInfo& info, const pulse::PageLayout& page,
                                   ClockReading now, const std::string& boot_id);

/// How long a run that said goodbye had run when it did.
[[nodiscard]] Nanoseconds goodbye_time(const pulse::PageInfo& info, const pulse::PageLayout& page);

/// The end of an attempt that the guard's last decision brought about: KILLED by a rule, PAUSED by
/// its money. nullopt if it ended by itself, and for a dry run.
[[nodiscard]] std::optional<AttemptEnd> end_by_decision(const DecisionRecord& decision,
                                                        UtcTime ended_at);

/// Carries the page's confirmed checkpoint into the ledger. Nothing happens if there is none.
void import_checkpoint(Ledger& ledger, const pulse::PageInfo& info, const pulse::PageLayout& page);

/// Ends the attempt in the ledger, once: imports its checkpoint, settles, closes.
AttemptAccount conclude_attempt(Ledger& ledger, const pulse::PageInfo& info,
                                const pulse::PageLayout& page, const LastSigns& signs,
                                const AttemptEnd& end);

}  // namespace finops::agent
