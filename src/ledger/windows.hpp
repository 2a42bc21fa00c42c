// windows.hpp - where the periods of a chain of budgets begin anew, on an attempt's own time.
//
// Owns: next_boundary, window_of. Pure.
#pragma once

#include <algorithm>
#include <vector>

#include "ledger/sqlite_ledger.hpp"

namespace finops::ledger {

/// The window of `link` that the attempt is in, `at` after its start.
[[nodiscard]] inline PeriodWindow window_of(const ChainLink& link, UtcTime started_at,
                                            Nanoseconds at) {
  return link.period.window_at(started_at + at);
}

/// The first time after `from`, from the attempt's start, at which a window of the chain ends;
/// Nanoseconds::max() if none ever does.
[[nodiscard]] inline Nanoseconds next_boundary(const std::vector<ChainLink>& chain,
                                               UtcTime started_at, Nanoseconds from) {
  Nanoseconds next = Nanoseconds::max();
  for (const ChainLink& link : chain) {
    if (!link.period.is_lifetime()) {
      next = std::min(next, window_of(link, started_at, from).end - started_at);
    }
  }
  return next;
}

}  // namespace finops::ledger
