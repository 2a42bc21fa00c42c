// begin.hpp - how an attempt begins: checked, priced, on its page, in the ledger, with a lease.
//
// Owns: BegunAttempt, begin, attach. Shared by Run and CommandRun; private to tracker.
// Invariant: the page comes before the ledger's rows, so that a crash in between leaves something
// that can be settled.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "finops/ledger/home.hpp"
#include "finops/ledger/ledger.hpp"
#include "finops/pricing/price_book.hpp"
#include "finops/pulse/own_page.hpp"
#include "finops/tracker/options.hpp"

namespace finops::tracker {

struct BegunAttempt {
  std::unique_ptr<pulse::OwnPage> page;
  std::string home_path;
  std::string ledger_path;  ///< empty: no ledger could be had
  bool is_attached = false;
  int attempt_number = 1;
  std::optional<AttemptAccount> account;
  std::optional<Money> earlier_cost;  ///< of the run's earlier attempts
  std::optional<CheckpointRecord> resume_from;
  std::vector<std::string> warnings;
};

/// Begins a new attempt. `is_command`: for `finops run`. Throws as Run::start does.
[[nodiscard]] BegunAttempt begin(const RunOptions& options, bool is_command);

/// Attaches to the attempt that `finops run` began, if the environment names one that is alive.
[[nodiscard]] std::optional<BegunAttempt> attach(const RunOptions& options);

/// Whether `available` pays for a start and a stop: less than a reserve is not worth a start.
[[nodiscard]] bool is_worth_a_start(const Rate& rate, Money available,
                                    const budget::LeaseTerms& terms);

}  // namespace finops::tracker
