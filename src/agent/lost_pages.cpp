// lost_pages.cpp - attempts that the ledger holds open while their live page is gone.
//
// A power loss may take a page with it, or somebody removes the live folder's content. Without its
// page nobody would ever end such an attempt, and what it holds would stay held.
#include <algorithm>
#include <unordered_set>
#include <utility>
#include <vector>

#include "agent/watched.hpp"
#include "finops/base/process.hpp"
#include "finops/detect/environment.hpp"

namespace finops::agent {
namespace {

// Nothing of it can run any more. A process of this boot is asked for by pid and start time, which
// says nothing of a process on another host or in another container.
bool is_gone(const OpenAttempt& attempt, const std::string& boot_id, const std::string& host) {
  if (attempt.process.boot_id != boot_id) {
    return true;
  }
  return attempt.host == host && attempt.process.start_ticks != 0 &&
         process_start_ticks(attempt.process.pid) != attempt.process.start_ticks;
}

// From its start on: to now, or, of an earlier boot, to when this one began.
Nanoseconds gone_after(const OpenAttempt& attempt, const std::string& boot_id, ClockReading now) {
  const Nanoseconds span =
      attempt.process.boot_id == boot_id
          ? span_between(now.boot.time_since_epoch().count(),
                         attempt.started_at.boot.time_since_epoch().count())
          : span_between((now.utc - now.boot.time_since_epoch()).time_since_epoch().count(),
                         attempt.started_at.utc.time_since_epoch().count());
  return std::max(span, attempt.settled);
}

}  // namespace

void Agent::conclude_lost(ClockReading now, TickReport& report) {
  constexpr int kRoundsBetween = 6;  // they are rare, and nobody waits for them
  if (rounds_until_lost_-- > 0) {
    return;
  }
  rounds_until_lost_ = kRoundsBetween;
  const std::string boot_id = current_boot_id();
  if (boot_id == "unknown") {
    return;  // without /proc nobody can be told to be gone
  }
  std::vector<OpenAttempt> lost;
  try_ledger("cannot look for lost pages", report, [&](Ledger& ledger) {
    // The ledger first, then the pages: an attempt has its page before its row, and loses it after.
    std::vector<OpenAttempt> open = ledger.open_attempts();
    scanner_.scan();
    std::unordered_set<AttemptId> with_page;
    for (const pulse::ForeignPage* foreign : scanner_.pages()) {
      with_page.insert(foreign->info().attempt_id);
    }
    for (const pulse::OwnPage* own : adopted_) {
      with_page.insert(own->info().attempt_id);
    }
    const std::string host = detect::read_environment().host;
    std::erase_if(open, [&](const OpenAttempt& attempt) {
      return with_page.contains(attempt.attempt_id) || !is_gone(attempt, boot_id, host);
    });
    lost = std::move(open);
  });
  for (const OpenAttempt& attempt : lost) {
    const AttemptEnd end{.status = RunStatus::FAILED,
                         .reason = "its process is gone, and its live page with it",
                         .ended_at = now.utc};
    const auto close = [&](Ledger& ledger) {
      ledger.close({.attempt_id = attempt.attempt_id,
                    .epoch = attempt.epoch,
                    .metered_until = attempt.settled,
                    .gone_at = gone_after(attempt, boot_id, now),
                    .end = end});
    };
    if (try_ledger(attempt.attempt_id.str(), report, close) == Outcome::Done) {
      report.concluded.push_back({.attempt_id = attempt.attempt_id,
                                  .status = end.status,
                                  .reason = end.reason});
    }
  }
}

}  // namespace finops::agent
