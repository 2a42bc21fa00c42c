// truth.hpp - what really happened to each attempt, as the simulation alone can know it.
//
// Owns: AttemptTruth, Truth. Does not own: what the ledger says of it (auditor.hpp compares).
// Invariant: written by the simulated processes around their calls, in the host's own time; the
// product never sees it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "finops/budget/lease.hpp"
#include "finops/pulse/page.hpp"
#include "kernel.hpp"

namespace finops::simulation {

struct AttemptTruth {
  pulse::PageInfo info;
  std::uint64_t process = 0;          ///< serial number of the process that owns the page
  std::uint64_t reporter = 0;         ///< of the one that reports: the child of a command
  std::uint64_t boot = 0;             ///< number of the boot that it began in
  ClockReading last_progress{};       ///< of the last call that says that work went on
  ClockReading last_call{};           ///< of the last call of any kind that lets go of a directive
  Nanoseconds longest_gap{};          ///< boot time between two calls
  std::optional<BootTime> last_look;  ///< of a command: when an agent last looked at it
  Nanoseconds longest_look_gap{};
  std::optional<BootTime> told_at;   ///< when it first heard that it must stop for money
  BootTime silence_allowed_until{};  ///< expect_silence
  std::optional<Nanoseconds> finished_after_at_least;  ///< finish() was entered and returned
  std::optional<Nanoseconds> finished_after_at_most;
  Nanoseconds acknowledged{};     ///< commit() returned for so much
  bool is_page_untouched = true;  ///< no power loss since its start

  [[nodiscard]] bool works(const ClockReading& now) const {
    return now.monotonic - last_progress.monotonic < info.silence_limit ||
           now.boot <= silence_allowed_until;
  }
  void looked_at(BootTime now) {
    longest_look_gap = std::max(longest_look_gap, now - last_look.value_or(info.started_at.boot));
    last_look = now;
  }
  void calls(const ClockReading& now) {
    longest_gap = std::max(longest_gap, now.boot - last_call.boot);
    last_call = now;
  }
};

/// A row that must be in the ledger from now on: a caller was told so.
struct Acknowledged {
  std::string what;
  std::string count_sql;  ///< must count at least one
};

struct Truth {
  std::map<std::string, AttemptTruth> attempts;
  std::vector<Acknowledged> acknowledged;
  std::uint64_t boot = 1;
  /// When an agent last could not use the ledger: one that began then knew of no ladder.
  std::optional<Nanoseconds> ledger_away_at;
  /// Of each stop for silence that an agent reported, by attempt and time: whether the run worked
  /// then. Its row may come much later: an intent waits for the ledger.
  std::map<std::pair<std::string, std::int64_t>, bool> worked_when_decided;
  std::vector<std::uint64_t> serving;  ///< processes whose agent serves

  /// The newest attempt that the process owns or reports for; null: none.
  AttemptTruth* of_process(std::uint64_t serial) {
    AttemptTruth* newest = nullptr;
    for (auto& [id, attempt] : attempts) {
      const bool is_its = attempt.process == serial || attempt.reporter == serial;
      if (is_its &&
          (newest == nullptr || attempt.info.started_at.boot > newest->info.started_at.boot)) {
        newest = &attempt;
      }
    }
    return newest;
  }
};

}  // namespace finops::simulation
