// ledger.hpp - the append-only store of what ran, what it cost, and what was decided.
//
// Owns: Ledger, the atomic moves of money, the read queries that reports use.
// Does not own: lease sizes (budget), decisions (guard), prices to choose from (pricing).
// Invariants: journal rows are never changed; a write that returned survives power loss; the same
// event twice is a no-op, the same id with other content an Error(Conflict); balances are caches
// that `verify` rebuilds from the journal and compares.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "finops/base/clock.hpp"
#include "finops/ledger/queries.hpp"
#include "finops/money/rate.hpp"
#include "finops/record/budget.hpp"
#include "finops/record/charge.hpp"
#include "finops/record/decision.hpp"
#include "finops/record/forecast.hpp"
#include "finops/record/lineage.hpp"
#include "finops/record/price.hpp"
#include "finops/record/run.hpp"
#include "finops/record/telemetry.hpp"

namespace finops {

struct LedgerOptions {
  Nanoseconds busy_timeout{std::chrono::seconds{5}};  ///< longest wait for the write lock
  bool read_only = false;  ///< opens with mode=ro; every write throws Error(LedgerUnavailable)
  /// A commit that leaves more frames than these in the write-ahead log copies them into the file.
  /// The default is about 16 MiB of log at 4 KiB a page: commits stay cheap, the log quick to read.
  int checkpoint_frames = 4'000;
};

/// The state of an attempt's money. OPEN: it runs. SUSPECT: its process is gone and an uncertain
/// rest waits to be settled. SETTLED: final, reached exactly once.
enum class AccountState { OPEN, SUSPECT, SETTLED };
[[nodiscard]] std::string_view account_state_name(AccountState state) noexcept;

/// An attempt's account after a move. `epoch` grows with every move and fences late writers.
struct AttemptAccount {
  AccountState state = AccountState::OPEN;
  std::int64_t epoch = 0;
  Nanoseconds settled{};         ///< charged up to here, from the attempt's start
  std::optional<Rate> rate;      ///< empty: unpriced
  std::optional<Money> held;     ///< empty: no budget
  std::optional<Money> charged;  ///< empty: unpriced (unknown, which is not zero)
  bool is_exhausted = false;     ///< the last wish for money could not be met in full
};

/// Settles use up to `elapsed` and, if `wanted_hold` is given, tops the lease up to it; when less
/// is left in any budget of the chain, the lease is what is left. One transaction.
struct SettleRequest {
  AttemptId attempt_id;
  std::int64_t epoch = 0;  ///< as last seen; another writer's move makes it stale
  Nanoseconds elapsed{};   ///< never moves backwards: an earlier time settles nothing
  UtcTime now{};
  std::optional<Money> wanted_hold;
};

/// Ends an attempt. Metered up to `metered_until`; from there to `gone_at` uncertain (equal: none).
/// With nothing uncertain the account becomes SETTLED and gives back what it holds, otherwise
/// SUSPECT, holding the cost of the uncertain span.
struct CloseRequest {
  AttemptId attempt_id;
  std::int64_t epoch = 0;
  Nanoseconds metered_until{};
  Nanoseconds gone_at{};
  AttemptEnd end;
};

/// How a SUSPECT account is settled: the uncertain span is spent, or given back.
enum class SuspectOutcome { Spent, Released };

class Ledger {
 public:
  virtual ~Ledger() = default;

  /// Runs `body` with all its writes in one commit, and the write lock held meanwhile: keep it
  /// short. What `body` wrote is durable when this returns, not before. A single write that throws
  /// undoes itself alone; if `body` lets an exception out, or the commit fails, nothing of it is
  /// left. Not to be nested.
  virtual void together(const std::function<void()>& body) = 0;

  // Appending. All idempotent: a known id with equal content is a no-op.

  /// Throws Error(Conflict) if the run exists with another project, experiment or parent.
  virtual void add_run(const RunRecord& run) = 0;
  /// Opens the attempt's account. Returns the record with its attempt number.
  /// Throws Error(Conflict) while another attempt of the run is open, Error(NotFound) or
  /// Error(Conflict) if the run, the price or a budget it names is not there,
  /// Error(BurnCapExceeded) if a hard budget's burn cap has no room for it.
  virtual AttemptRecord add_attempt(const AttemptRecord& attempt) = 0;
  virtual void add_price(const PriceRow& price) = 0;
  virtual void add_checkpoint(const CheckpointRecord& checkpoint) = 0;
  /// Returns the record with its sequence.
  virtual DecisionRecord add_decision(const DecisionRecord& decision) = 0;
  /// Appends bill lines or imported charges, all or nothing. Returns how many were new.
  /// They touch no budget: budgets run on what `settle` meters.
  virtual std::size_t append(std::span<const Charge> charges) = 0;
  /// Prices the attempt's unpriced use and charges it, slice by slice.
  /// Throws Error(Conflict) if the attempt has a price already.
  virtual AttemptAccount price_attempt(const AttemptId& attempt_id, const PriceRow& price,
                                       std::int64_t used_micro_gpus,
                                       std::int64_t block_micro_gpus) = 0;

  // Money. Each is one transaction; a stale epoch is an Error(Conflict) and changes nothing.

  /// Returns the account as it is. Error(NotFound) if the attempt is unknown.
  [[nodiscard]] virtual AttemptAccount account(const AttemptId& attempt_id) = 0;
  virtual AttemptAccount settle(const SettleRequest& request) = 0;
  virtual AttemptAccount close(const CloseRequest& request) = 0;
  /// Settles a SUSPECT account once; SETTLED already is a no-op.
  virtual AttemptAccount settle_suspect(const AttemptId& attempt_id, SuspectOutcome outcome,
                                        const std::string& who, UtcTime now) = 0;

  // Budgets.

  /// Creates the budget; an equal one is a no-op, and so is the limit that it was created with
  /// after an approval has raised it. Another limit, kind, period or currency is an
  /// Error(BudgetMismatch): a limit is changed by change_terms or a request, never in passing.
  /// Throws Error(InvalidArgument) if the id does not fit the scope or the terms make no sense,
  /// Error(NotEntitled) if the terms name approvers and a budget above names others.
  virtual void ensure_budget(const BudgetRecord& budget, const BudgetTerms& terms) = 0;
  /// Sets new terms, from now on and for the window of `now`. Lowering the limit below what is
  /// spent and held is an Error(InvalidArgument), somebody who may not is Error(NotEntitled).
  virtual BudgetAccounts change_terms(const BudgetId& budget_id, const BudgetTerms& terms,
                                      const std::string& who, const std::string& why,
                                      UtcTime now) = 0;
  /// Records that `child` belongs to `parent`; an empty parent ends it. The same again is a no-op.
  /// A cycle, or a parent that is not of a larger scope, is an Error(InvalidArgument). Attempts
  /// that are open keep the chain they began with.
  virtual void set_parent(const Membership& membership) = 0;
  virtual void add_request(const BudgetRequest& request) = 0;
  /// Approves (the limit grows by the request's amount; of a period budget only in the window of
  /// `now`) or denies, once: a second ruling that says the same is a no-op, another one an
  /// Error(Conflict), as is one on a request that has expired. Error(NotFound) if unknown,
  /// Error(NotEntitled) if `who` is not among the approvers.
  virtual BudgetRuling rule_request(const RequestId& request_id, bool is_approved,
                                    const std::string& who, const std::string& why,
                                    UtcTime now) = 0;
  /// Closes the requests whose time is over. Returns how many.
  virtual std::size_t expire_requests(UtcTime now) = 0;

  // What people are told, and what was measured. All idempotent.

  /// Writes a notice of somebody who is no ledger: the guard's breaker. Others write themselves.
  virtual void add_notice(const Notice& notice) = 0;
  /// Notices with a number above `after`, oldest first, at most `limit`.
  [[nodiscard]] virtual std::vector<Notice> notices(std::int64_t after, std::int64_t limit) = 0;
  /// Returns the record with its sequence.
  virtual Delivery add_delivery(const Delivery& delivery) = 0;
  /// The newest one of the channel; nullopt: nothing was ever sent through it.
  [[nodiscard]] virtual std::optional<Delivery> last_delivery(const std::string& channel) = 0;
  /// A window that is there already is kept: whoever writes it twice measured the same.
  virtual void add_telemetry(std::span<const TelemetryWindow> windows) = 0;
  /// Of one attempt, oldest first.
  [[nodiscard]] virtual std::vector<TelemetryWindow> telemetry(const AttemptId& attempt_id) = 0;

  /// Keeps a forecast of a run. The same again is a no-op. Throws Error(Conflict) on other content
  /// under a known id (run, kind and time) and on an attempt of another run, Error(NotFound) if the
  /// run or the attempt is not there, and as require_valid does.
  virtual void add_forecast(const ForecastRecord& forecast) = 0;
  /// In the order of their time.
  [[nodiscard]] virtual std::vector<ForecastRecord> forecasts(const ForecastFilter& filter) = 0;
  /// The same, each with what its run has used and cost by now.
  [[nodiscard]] virtual std::vector<ForecastOutcome> forecast_outcomes(
      const ForecastFilter& filter) = 0;
  /// The runs that forecasts are learned from, in the order of submission: those that ended at or
  /// after `since` (UtcTime::min(): all), and all that have not ended. A run that never started is
  /// none. A merge may bring runs that ended before a `since` of yesterday: read all after one.
  [[nodiscard]] virtual std::vector<LedgerJob> job_history(UtcTime since) = 0;

  /// Records what came from what, all or nothing. The same again is a no-op, also of an edge with a
  /// step and without: what was recorded first stands. Throws Error(Conflict) on other content
  /// under a known id (of an edge: its sentence; of a status: its node, name and time), on a node
  /// that is a run or an attempt of this ledger, and on a cost of one: it is metered here. Throws
  /// Error(InvalidArgument) on a record that is not valid, on a sentence that makes no sense, and
  /// on an edge that closes a cycle with what the ledger holds: the message names the path.
  /// `unpriced` must be empty: only a ledger's own work can be.
  virtual void add_lineage(const LineageRecords& records) = 0;
  /// All that a genealogy is built from: what add_lineage recorded, and this ledger's projects,
  /// experiments, runs, attempts and checkpoints with metered cost, nesting, forks and retries.
  /// One snapshot. As of `as_of` (exclusive; UtcTime::max(): all): what was recorded, created or
  /// started before, and cost whose period ended by then; what has no time is always there.
  /// A run's nodes and costs are the ledger's word even if somebody recorded others.
  /// What an attempt's metered use cost is one cost of each currency: metered_cost_id once all of
  /// it is settled by `as_of`, growing_cost_id before; corrections and other charges are costs by
  /// themselves. add_lineage takes no growing cost: told of a running attempt at two times, it
  /// would add up.
  [[nodiscard]] virtual LineageRecords lineage(UtcTime as_of) = 0;

  /// Brings the runs of another ledger file in: what ran, what it cost, what was decided and
  /// forecast, and what people recorded of its lineage. Budgets, requests and notices stay where
  /// they are. Merging again brings only what is new. A run on several hosts becomes one run with
  /// the attempts of all. All or nothing; an edge that closes a cycle here is an
  /// Error(InvalidArgument). Throws Error(Conflict) if the same id means something else there,
  /// Error(UnsupportedSchema).
  virtual MergeReport merge(const std::string& other_path, UtcTime now) = 0;
  /// Writes one whole, consistent file to `path`, as of now, for `merge` on another host. A ledger
  /// is never copied with cp: what is in its write-ahead log would be missing.
  /// Throws Error(InvalidArgument) if `path` exists.
  virtual void copy_to(const std::string& path) = 0;

  // Reading (queries.hpp). Empty results mean: nothing of the kind is in the ledger.

  [[nodiscard]] virtual std::vector<RunSummary> runs(const RunFilter& filter) = 0;
  [[nodiscard]] virtual std::vector<AttemptSummary> attempts(const RunId& run_id) = 0;
  [[nodiscard]] virtual std::optional<AttemptRecord> attempt(const AttemptId& attempt_id) = 0;
  /// Attempts whose account is SUSPECT, for whoever settles them.
  [[nodiscard]] virtual std::vector<SuspectAttempt> suspects() = 0;
  /// Attempts of this ledger's own whose account is OPEN.
  [[nodiscard]] virtual std::vector<OpenAttempt> open_attempts() = 0;
  [[nodiscard]] virtual std::vector<UnpricedAttempt> unpriced_attempts() = 0;
  /// All budgets with the accounts of the window that `now` lies in.
  [[nodiscard]] virtual std::vector<BudgetSummary> budgets(UtcTime now) = 0;
  [[nodiscard]] virtual std::optional<BudgetSummary> budget(const BudgetId& budget_id,
                                                            UtcTime now) = 0;
  /// The budgets that a run debits, from the smallest scope up, the user's last.
  [[nodiscard]] virtual std::vector<BudgetSummary> budget_chain(const std::string& project,
                                                                const std::string& experiment,
                                                                const std::string& user_name,
                                                                UtcTime now) = 0;
  [[nodiscard]] virtual std::vector<Membership> memberships() = 0;
  [[nodiscard]] virtual std::vector<BudgetTermsChange> terms_history(const BudgetId& budget_id) = 0;
  [[nodiscard]] virtual std::vector<OverspentEntry> overspent(const BudgetId& budget_id) = 0;
  [[nodiscard]] virtual std::vector<BudgetLine> budget_lines(const BudgetId& budget_id) = 0;
  [[nodiscard]] virtual std::vector<RequestSummary> requests() = 0;
  /// Of one attempt, or of all if `attempt_id` is empty; oldest first, at most `limit` newest.
  [[nodiscard]] virtual std::vector<DecisionRecord> decisions(const AttemptId& attempt_id,
                                                              std::int64_t limit) = 0;
  /// The newest confirmed checkpoint of the run.
  [[nodiscard]] virtual std::optional<CheckpointRecord> last_checkpoint(const RunId& run_id) = 0;
  /// Prices that a user set, oldest first.
  [[nodiscard]] virtual std::vector<PriceRow> user_prices() = 0;

  /// Rebuilds every balance and account from the journal and compares; checks the file itself.
  [[nodiscard]] virtual VerifyReport verify() = 0;
  /// As `verify`, and checks that the audit chain still holds what somebody noted earlier:
  /// `noted_head` is a hash of VerifyReport::audit_head, or the sequence of a record. Whoever owns
  /// the file can write a whole new chain; only a head kept elsewhere shows that.
  /// Throws Error(InvalidArgument) if it is neither.
  [[nodiscard]] virtual VerifyReport verify_since(const std::string& noted_head) = 0;
};

/// Opens the ledger file at `path`, creating it if needed (not if read_only).
/// The caller has checked the folder (home.hpp). Throws Error(LedgerUnavailable),
/// Error(LedgerCorrupt), Error(UnsupportedSchema), Error(PermissionDenied).
[[nodiscard]] std::unique_ptr<Ledger> open_ledger(const std::string& path,
                                                  const LedgerOptions& options);

/// The version of the storage engine, "3.40.1", for `finops doctor`.
[[nodiscard]] std::string ledger_engine_version();

}  // namespace finops
