// options.hpp - what a run says of itself when it starts.
//
// Owns: RunOptions. Invariant: nothing about money has a default.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "finops/base/clock.hpp"
#include "finops/budget/lease.hpp"
#include "finops/money/money.hpp"

namespace finops {

struct RunOptions {
  std::string project;     ///< required, up to 127 bytes, no '/'
  std::string experiment;  ///< required, up to 127 bytes: no experiment, no GPU
  std::string name;
  std::optional<Money> budget;            ///< of the experiment; created if there is none
  bool is_hard_budget = true;             ///< hard: pause at the limit; soft: warn and go on
  std::string resources;                  ///< "8xH100"; empty: not stated
  std::string price;                      ///< "24 USD/h", "3 USD/gpu/h"; empty: from the price book
  std::string parent;                     ///< run id
  std::string fork_of;                    ///< run id
  std::optional<std::int64_t> fork_step;  ///< the step of `fork_of` that this run began from
  std::string resume;               ///< run id, or "auto": the newest paused run of the same name
  bool is_long_running = false;     ///< exempt from the silence rule
  std::string long_running_reason;  ///< required with is_long_running
  std::optional<Nanoseconds> silence_limit;  ///< empty: the guard's default (30 min)
  /// An attempt that runs for longer is stopped. Empty: no limit of its own; the smallest of this
  /// and of its budgets' counts.
  std::optional<Nanoseconds> max_duration;
  /// How long a rank waits for the rank of its host that begins the attempt. Then it goes on
  /// without reporting, with a warning: an attempt of its own would charge the same GPUs twice.
  Nanoseconds longest_rank_wait{std::chrono::seconds{30}};
  bool fail_open = true;  ///< a broken ledger stops no observation; a hard budget always needs one
  std::string tags = "{}";  ///< JSON object
  std::string home;         ///< empty: $FINOPS_HOME and so on, see ledger/home.hpp
  /// JSON text of the price book. Empty: the file $FINOPS_PRICE_BOOK, else the installed one.
  std::string price_book;
  std::string command;  ///< what `finops run` starts, for reports
  budget::LeaseTerms lease_terms;
};

/// The exit code of a run that pauses at its budget: EX_TEMPFAIL of sysexits.h, "try again later".
inline constexpr int kExitPaused = 75;

}  // namespace finops
