// run.hpp - runs and attempts: what was trained, by whom, on what, and how it ended.
//
// Owns: RunStatus, RunRecord, AttemptRecord, AttemptEnd, CheckpointRecord.
// Invariant: a run is one piece of work; each start of it is an attempt of its own, and all its
// attempts add up to the run's cost.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "finops/base/clock.hpp"
#include "finops/base/ids.hpp"
#include "finops/base/process.hpp"

namespace finops {

/// MLflow's run states, and PAUSED: stopped at its budget, may go on after an approval.
enum class RunStatus { RUNNING, PAUSED, FINISHED, FAILED, KILLED };
[[nodiscard]] std::string_view run_status_name(RunStatus status) noexcept;
/// Throws Error(InvalidArgument) on an unknown name.
[[nodiscard]] RunStatus parse_run_status(std::string_view name);

struct RunRecord {
  RunId run_id;
  std::string project;     ///< required
  std::string experiment;  ///< required: no experiment, no GPU
  std::string name;        ///< free text, may be empty
  std::string user_name;
  RunId parent_run_id;  ///< empty if none
  RunId fork_of;        ///< empty if none
  std::string tags;     ///< JSON object as text, "{}" if none
  UtcTime created_at{};
};

/// The tags of a RunRecord by name; a value that is no text is given as JSON writes it.
/// Empty if there are none or the text is no JSON object: bad tags stop nobody.
[[nodiscard]] std::map<std::string, std::string> parse_tags(const std::string& json_text);

/// How an attempt came to be.
enum class EntryPoint { Init, Command };

struct AttemptRecord {
  AttemptId attempt_id;
  RunId run_id;
  std::int32_t attempt_number = 0;  ///< 1, 2, ... within the run; given by the ledger
  std::string host;
  ProcessIdentity process;  ///< the process that holds the page
  EntryPoint entry_point = EntryPoint::Init;
  std::string command;                 ///< for EntryPoint::Command, for reports
  std::string resource;                ///< as the user wrote it: "8xH100"; empty if not stated
  PriceId price_id;                    ///< empty: unpriced, its usage is priced later
  std::int64_t used_micro_gpus = 1;    ///< with block_micro_gpus: the share of the price's block
  std::int64_t block_micro_gpus = 1;   ///< equal to used_micro_gpus if the price is for the whole
  std::vector<BudgetId> budget_chain;  ///< from the experiment upwards; empty: no budget
  bool is_long_running = false;
  std::string long_running_reason;
  ClockReading started_at{};
};

/// The first and only end of an attempt.
struct AttemptEnd {
  RunStatus status = RunStatus::FINISHED;
  std::string reason;  ///< plain words, for reports
  UtcTime ended_at{};
};

/// A checkpoint that the training code confirmed.
struct CheckpointRecord {
  RunId run_id;
  AttemptId attempt_id;
  std::int64_t sequence = 0;  ///< 1, 2, ... within the attempt
  std::int64_t step = 0;
  std::string path;
  UtcTime confirmed_at{};
};

}  // namespace finops
