// lineage_backlog.hpp - sentences of a run that ended while the ledger was away.
//
// Owns: the files lineage-*.jsonl of a home: who writes one, who takes it in.
// Does not own: what a line says (record/lineage_lines.hpp).
// Invariants: a file appears whole, durably and under its last name only; it goes away when the
// ledger has all of it, and taking it in twice is the same as once.
#pragma once

#include <deque>
#include <functional>
#include <string>
#include <vector>

#include "finops/ledger/ledger.hpp"

namespace finops::tracker {

/// Whether an error says that the sentence is wrong, not that the ledger is away.
[[nodiscard]] bool is_refusal(const std::exception& error) noexcept;

/// How long a call of the training process may write what waited: others wait for it.
inline constexpr Nanoseconds kLineageTime = std::chrono::milliseconds{100};

/// Writes what waits, from the front and in batches, until all is written or `most_time` is over; a
/// batch that began is finished. What is in the ledger leaves `waiting`, and so does what it
/// refuses for good, which `refused` is told. Throws if the ledger is away.
void write_waiting(Ledger& ledger, std::deque<LineageEdge>& waiting, Nanoseconds most_time,
                   const std::function<void(const std::string&)>& refused);

/// Leaves `edges` in the home for the next start. Throws Error(SystemFailure) if it cannot.
void leave_for_next_start(const std::string& home_path, const std::deque<LineageEdge>& edges);

/// Puts what others left into the ledger. Never throws: what cannot be taken in now stays, and what
/// the ledger refuses is left out; `warnings` says both.
void take_in_lineage(const std::string& home_path, Ledger& ledger,
                     std::vector<std::string>& warnings) noexcept;

}  // namespace finops::tracker
