// queries.hpp - what the ledger's read queries give back.
//
// Owns: the summary rows that reports, `finops ps` and the agent read.
// Invariant: an unknown cost is an empty optional, never zero.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "finops/record/budget.hpp"
#include "finops/record/charge.hpp"
#include "finops/record/forecast.hpp"
#include "finops/record/notice.hpp"
#include "finops/record/run.hpp"

namespace finops {

/// Empty fields match everything.
struct RunFilter {
  RunId run_id;
  std::string project;
  std::string experiment;
  std::string name;
  std::optional<RunStatus> status;
  std::int64_t limit = 1'000;  ///< the newest so many
};

struct RunSummary {
  RunRecord run;
  RunStatus status = RunStatus::RUNNING;  ///< of its last attempt
  std::string reason;                     ///< why the last attempt ended; empty while it runs
  std::int32_t attempt_count = 0;
  std::optional<Money> metered_cost;    ///< empty: nothing of it is priced
  std::optional<Money> uncertain_cost;  ///< held for uncertain spans; empty: none
  Nanoseconds metered_time{};
  Nanoseconds unpriced_time{};  ///< use whose cost is not known yet
  UtcTime started_at{};
  UtcTime ended_at{};  ///< epoch: still running
};

struct AttemptSummary {
  AttemptRecord attempt;
  std::optional<AttemptEnd> end;  ///< empty: running
  std::string account_state;      ///< OPEN, SUSPECT, SETTLED
  std::string price;              ///< "88.49 USD/h"; empty: unpriced
  std::optional<Money> metered_cost;
  std::optional<Money> uncertain_cost;
  Nanoseconds metered_time{};
  Nanoseconds uncertain_time{};
};

/// Empty fields match everything.
struct ForecastFilter {
  RunId run_id;
  std::string project;     ///< of the run
  std::string experiment;  ///< of the run
  std::optional<ForecastKind> kind;
  UtcTime made_from{};                  ///< inclusive
  UtcTime made_until = UtcTime::max();  ///< exclusive
  std::int64_t limit = INT64_MAX;       ///< the newest so many
};

/// A run as a job of a history that forecasts are learned from: all its attempts are one job, a
/// pause among them is no end.
struct LedgerJob {
  RunId run_id;
  std::string user_name;
  std::string project;
  std::string experiment;
  std::string name;
  std::string resource;   ///< as the user wrote it, of the last attempt that says: "8xH100"
  std::string gpu_model;  ///< of a forecast, else of the price, else as the resource is named
  std::string queue;      ///< this and the next three of its first forecast; empty: unknown
  std::int32_t node_count = 0;
  std::optional<std::int64_t> requested_seconds;
  std::optional<std::int64_t> planned_steps;
  /// Of the last attempt: what its price buys of it, else what a forecast was asked for, else what
  /// the resource's name says. May be a fraction; empty: unknown.
  std::optional<double> gpu_count;
  UtcTime submitted_at{};  ///< when it was created, or its first attempt started if that is before
  UtcTime started_at{};    ///< of the first attempt; epoch: none has started
  UtcTime ended_at{};      ///< of the last attempt; epoch: it runs, or is paused and may go on
  std::int32_t attempt_count = 0;
  double run_seconds = 0;  ///< settled, summed over attempts: an uncertain rest is not in it
  std::optional<double> gpu_seconds;      ///< each attempt with its own GPUs; empty: one is unknown
  RunStatus status = RunStatus::RUNNING;  ///< as RunSummary's
  std::string reason;                     ///< why the last attempt ended; empty while it runs
  std::optional<Money> metered_cost;      ///< empty: not all is priced, or in several currencies
};

/// What was said, and what became of it so far (job.ended_at: for good).
struct ForecastOutcome {
  ForecastRecord forecast;
  LedgerJob job;
};

struct SuspectAttempt {
  AttemptId attempt_id;
  Nanoseconds uncertain_time{};
  UtcTime ended_at{};
};

/// An attempt that has not ended as far as the ledger knows.
struct OpenAttempt {
  AttemptId attempt_id;
  std::string host;
  ProcessIdentity process;
  ClockReading started_at{};
  Nanoseconds settled{};  ///< charged up to here, from its start
  std::int64_t epoch = 0;
};

struct UnpricedAttempt {
  AttemptRecord attempt;
  Nanoseconds unpriced_time{};
};

struct BudgetSummary {
  BudgetRecord budget;
  BudgetTerms terms;
  BudgetId parent_id;                  ///< what it belongs to; empty: nothing
  std::vector<std::string> approvers;  ///< who may answer, its own or from above; empty: everybody
  PeriodWindow window;                 ///< the one of the accounts
  BudgetAccounts accounts = BudgetAccounts::zero(Currency::usd());
  std::int64_t open_lease_count = 0;
  Money burn_per_hour = Money::zero(Currency::usd());  ///< of its open attempts together
};

struct RequestSummary {
  BudgetRequest request;
  std::optional<BudgetRuling> ruling;  ///< empty: waits for an answer, or has expired unnoticed
};

/// What went past a limit, and by whom: one row for each attempt and window.
struct OverspentEntry {
  BudgetId budget_id;
  PeriodWindow window;
  AttemptId attempt_id;  ///< empty: the limit was lowered or the entry was paid off
  Money amount = Money::zero(Currency::usd());  ///< negative: paid off by a raised limit
  std::string why;
  UtcTime recorded_at{};
};

/// How many records of each kind a merge brought.
struct MergeReport {
  std::int64_t run_count = 0;
  std::int64_t attempt_count = 0;
  std::int64_t usage_count = 0;
  std::int64_t charge_count = 0;
  std::int64_t other_count = 0;  ///< prices, ends, checkpoints, decisions, forecasts, lineage ...
};

struct VerifyReport {
  std::int64_t journal_row_count = 0;
  std::int64_t budget_count = 0;
  std::int64_t attempt_count = 0;
  std::int64_t audit_record_count = 0;  ///< records of the audit chain, up to the first misfit
  std::string audit_head;  ///< hash of the last of them, 64 hexadecimal digits; empty: none
  std::vector<std::string> problems;  ///< empty: all is well

  [[nodiscard]] bool is_clean() const noexcept { return problems.empty(); }
};

}  // namespace finops
