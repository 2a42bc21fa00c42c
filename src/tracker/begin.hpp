// begin.hpp - how an attempt begins: checked, priced, on its page, in the ledger, with a lease.
//
// Owns: BegunAttempt, begin. Shared by Run and CommandRun; private to tracker.
// Does not own: how ranks of one host find each other (join.hpp).
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
  std::shared_ptr<pulse::OwnPage> page;  ///< its user is counted already
  std::string home_path;
  std::string ledger_path;   ///< empty: no ledger could be had
  bool is_attached = false;  ///< another process, or an earlier run of this one, began it
  bool is_group = false;     ///< other ranks of this host will attach
  std::string group_name;    ///< of the job's group file; empty: none
  int attempt_number = 1;
  std::optional<AttemptAccount> account;
  std::optional<Money> earlier_cost;  ///< of the run's earlier attempts
  std::optional<CheckpointRecord> resume_from;
  std::vector<LineageEdge> lineage;  ///< what the ledger could not take yet
  std::vector<std::string> warnings;
};

/// Throws Error(InvalidArgument) or Error(InvalidMoney) for what a caller got wrong.
void check_options(const RunOptions& options);

/// Begins a new attempt, of the run `wanted_run_id` if that is not empty (it may exist already).
/// `is_command`: for `finops run`. Throws as Run::start does.
[[nodiscard]] BegunAttempt begin(const RunOptions& options, bool is_command,
                                 const RunId& wanted_run_id = {});

}  // namespace finops::tracker
