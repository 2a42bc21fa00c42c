// sqlite_ledger.hpp - the ledger on one SQLite file.
//
// Owns: the class; its parts are in sqlite_{connection,ledger,money,holds,budgets,requests,notices,
// queries,lineage,forecasts,job_history,verify,merge,failed_sync}.cpp.
// Invariants: every write runs inside `write`: under the write lock, in BEGIN IMMEDIATE, committed
// with synchronous=FULL; after an internal error or a failed commit it refuses to write.
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "finops/ledger/ledger.hpp"
#include "ledger/database.hpp"
#include "ledger/fork_gate.hpp"
#include "ledger/write_lock.hpp"

namespace finops::ledger {

/// One budget of an attempt's chain.
struct ChainLink {
  BudgetId budget_id;
  Period period;
  bool is_hard = true;
  Currency currency = Currency::usd();
};

/// A row of the cache table `accounts` with what belongs to it.
struct AccountRow {
  AttemptId attempt_id;
  AttemptAccount account;
  std::int64_t usage_count = 0;
  UtcTime started_at{};
  PriceId price_id;
  std::vector<ChainLink> chain;
  int line_count = 0;  ///< lines written in this transaction, for their event ids
};

/// `same` counts the rows that equal what was to be written: an id that is known with other content
/// is an Error(Conflict), never dropped. `what` names it.
void require_known(Statement& same, const std::string& what);

class SqliteLedger final : public Ledger, private ForkGate::Connection {
 public:
  SqliteLedger(const std::string& path, const LedgerOptions& options);
  ~SqliteLedger() override;
  SqliteLedger(const SqliteLedger&) = delete;
  SqliteLedger& operator=(const SqliteLedger&) = delete;

  void together(const std::function<void()>& body) override;
  void add_run(const RunRecord& run) override;
  AttemptRecord add_attempt(const AttemptRecord& attempt) override;
  void add_price(const PriceRow& price) override;
  void add_checkpoint(const CheckpointRecord& checkpoint) override;
  DecisionRecord add_decision(const DecisionRecord& decision) override;
  std::size_t append(std::span<const Charge> charges) override;
  void add_lineage(const LineageRecords& records) override;
  LineageRecords lineage(UtcTime as_of) override;
  void add_forecast(const ForecastRecord& forecast) override;
  std::vector<ForecastRecord> forecasts(const ForecastFilter& filter) override;
  std::vector<ForecastOutcome> forecast_outcomes(const ForecastFilter& filter) override;
  std::vector<LedgerJob> job_history(UtcTime since) override;
  AttemptAccount price_attempt(const AttemptId& attempt_id, const PriceRow& price,
                               std::int64_t used_micro_gpus,
                               std::int64_t block_micro_gpus) override;

  AttemptAccount account(const AttemptId& attempt_id) override;
  AttemptAccount settle(const SettleRequest& request) override;
  AttemptAccount close(const CloseRequest& request) override;
  AttemptAccount settle_suspect(const AttemptId& attempt_id, SuspectOutcome outcome,
                                const std::string& who, UtcTime now) override;

  void ensure_budget(const BudgetRecord& budget, const BudgetTerms& terms) override;
  BudgetAccounts change_terms(const BudgetId& budget_id, const BudgetTerms& terms,
                              const std::string& who, const std::string& why, UtcTime now) override;
  void set_parent(const Membership& membership) override;
  void add_request(const BudgetRequest& request) override;
  BudgetRuling rule_request(const RequestId& request_id, bool is_approved, const std::string& who,
                            const std::string& why, UtcTime now) override;
  std::size_t expire_requests(UtcTime now) override;

  void add_notice(const Notice& notice) override;
  std::vector<Notice> notices(std::int64_t after, std::int64_t limit) override;
  Delivery add_delivery(const Delivery& delivery) override;
  std::optional<Delivery> last_delivery(const std::string& channel) override;
  void add_telemetry(std::span<const TelemetryWindow> windows) override;
  std::vector<TelemetryWindow> telemetry(const AttemptId& attempt_id) override;
  MergeReport merge(const std::string& other_path, UtcTime now) override;
  void copy_to(const std::string& path) override;

  std::vector<RunSummary> runs(const RunFilter& filter) override;
  std::vector<AttemptSummary> attempts(const RunId& run_id) override;
  std::optional<AttemptRecord> attempt(const AttemptId& attempt_id) override;
  std::vector<SuspectAttempt> suspects() override;
  std::vector<OpenAttempt> open_attempts() override;
  std::vector<UnpricedAttempt> unpriced_attempts() override;
  std::vector<BudgetSummary> budgets(UtcTime now) override;
  std::optional<BudgetSummary> budget(const BudgetId& budget_id, UtcTime now) override;
  std::vector<BudgetSummary> budget_chain(const std::string& project, const std::string& experiment,
                                          const std::string& user_name, UtcTime now) override;
  std::vector<Membership> memberships() override;
  std::vector<BudgetTermsChange> terms_history(const BudgetId& budget_id) override;
  std::vector<OverspentEntry> overspent(const BudgetId& budget_id) override;
  std::vector<BudgetLine> budget_lines(const BudgetId& budget_id) override;
  std::vector<RequestSummary> requests() override;
  std::vector<DecisionRecord> decisions(const AttemptId& attempt_id, std::int64_t limit) override;
  std::optional<CheckpointRecord> last_checkpoint(const RunId& run_id) override;
  std::vector<PriceRow> user_prices() override;
  VerifyReport verify() override { return verify_since({}); }
  VerifyReport verify_since(const std::string& noted_head) override;

 private:
  // sqlite_connection.cpp
  /// One caller at a time, inside the fork gate, with the connection open.
  class Use {
   public:
    /// Throws Error(LedgerUnavailable) if the file is another one than at the start.
    explicit Use(SqliteLedger& ledger);
    ~Use();
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;
    /// Lets forks pass while this thread waits; the connection may be a new one afterwards.
    void step_out() noexcept;
    void step_in();

   private:
    SqliteLedger& ledger_;
    std::unique_lock<std::recursive_mutex> lock_;
    bool is_inside_ = true;
  };
  void open_connection();
  void reopen_if_closed();
  void close_before_fork() noexcept override;

  // sqlite_ledger.cpp
  void open_schema();
  void write(const std::function<void()>& body);
  void write_inside(const std::function<void()>& body);
  void commit();
  void open_account(const AttemptRecord& attempt);

  // sqlite_failed_sync.cpp
  void note_failed_sync() const;
  void replace_log_after_failed_sync();

  // sqlite_money.cpp
  AccountRow load_account(const AttemptId& attempt_id);
  void store_account(AccountRow& row);
  void require_epoch(const AccountRow& row, std::int64_t epoch) const;
  void advance(AccountRow& row, Nanoseconds elapsed, UsageKind kind, UtcTime now);
  void insert_usage(AccountRow& row, Nanoseconds from, Nanoseconds to, UsageKind kind);
  void charge_slice(AccountRow& row, std::int64_t sequence, Nanoseconds from, Nanoseconds to,
                    UtcTime now);
  void insert_settlement(AccountRow& row, const char* outcome, const std::string& who, UtcTime now);

  // sqlite_holds.cpp
  void spend(AccountRow& row, Money cost, Nanoseconds at, UtcTime now);
  void top_up(AccountRow& row, Money wanted, UtcTime now);
  Money grant(AccountRow& row, Money missing, Nanoseconds at, UtcTime now);
  void release_all(AccountRow& row, UtcTime now);
  Money load_hold(const AccountRow& row, const ChainLink& link, UtcTime period_start);
  void change_hold(const AccountRow& row, const ChainLink& link, UtcTime period_start, Money held);
  void post_for(AccountRow& row, BudgetLine line);

  // sqlite_budgets.cpp
  std::optional<BudgetAccounts> find_balance(const BudgetId& budget_id, UtcTime period_start);
  BudgetAccounts load_balance(const BudgetId& budget_id, UtcTime period_start);
  void open_window(const BudgetId& budget_id, UtcTime period_start, UtcTime now);
  void post(const BudgetLine& line, const std::string& event_id);
  BudgetTerms load_terms(const BudgetId& budget_id);
  void insert_terms(const BudgetId& budget_id, const BudgetTerms& terms, const std::string& who,
                    const std::string& why, UtcTime now);
  BudgetAccounts change_limit(const BudgetId& budget_id, UtcTime period_start, Money new_limit,
                              const std::string& event, const BudgetLine& who_and_why);
  BudgetId parent_of(const BudgetId& budget_id);
  std::vector<std::string> approvers_of(const BudgetId& budget_id);
  void require_entitled(const BudgetId& budget_id, const std::string& who);
  Money burn_of(const BudgetId& budget_id, Currency currency);
  void require_burn_cap(const AttemptRecord& attempt, const Rate& rate);

  // sqlite_requests.cpp
  std::optional<RequestSummary> request(const RequestId& request_id);
  RequestSummary read_request(Statement& rows);
  void insert_ruling(const BudgetRuling& ruling);

  // sqlite_notices.cpp
  void notify(NoticeKind kind, const std::string& notice_id, const BudgetId& budget_id,
              const AttemptId& attempt_id, const std::string& text, UtcTime now);
  void notify_spent(const AccountRow& row, const ChainLink& link, const PeriodWindow& window,
                    Money before, UtcTime now);
  void notify_end(const AccountRow& row, const AttemptEnd& end, std::optional<Money> uncertain);
  void notify_dry_run(const DecisionRecord& decision);
  std::string label_of(const AttemptId& attempt_id);

  // sqlite_queries.cpp
  Currency budget_currency(const BudgetId& budget_id);
  BudgetRecord budget_record(const BudgetId& budget_id);
  std::optional<BudgetRecord> find_budget(const BudgetId& budget_id);
  BudgetSummary summarise_budget(const BudgetRecord& record, UtcTime now);
  AttemptRecord read_attempt(Statement& row);
  RunSummary read_run_summary(Statement& row);
  AttemptSummary summarise(AttemptRecord attempt);
  std::vector<BudgetId> budget_ids_of(const AttemptId& attempt_id);
  std::vector<ChainLink> chain_of(const AttemptId& attempt_id);

  // sqlite_lineage.cpp
  void insert_node(const LineageNode& node);
  bool insert_edge(const LineageEdge& edge);
  void insert_cost(const LineageCost& cost);
  void insert_status(const NodeStatus& status);
  void insert_use(const NodeUse& use);
  void insert_value(const BusinessValue& value);
  bool is_own_work(const NodeId& node_id);

  // sqlite_forecasts.cpp
  void require_run_of(const ForecastRecord& forecast);

  // sqlite_job_history.cpp
  /// Of `run_id`, or of all that the history since `since` needs if it is empty.
  std::vector<LedgerJob> read_jobs(const RunId& run_id, UtcTime since);

  // sqlite_merge.cpp
  MergeReport merge_attached(const std::string& origin, UtcTime now);
  void refuse_other_content();
  std::int64_t insert_missing(Sql sql);
  /// `last_run`: the last row of runs before any were merged.
  std::int64_t merge_lineage(std::int64_t last_run);

  // sqlite_verify.cpp
  void verify_budgets(VerifyReport& report);
  void verify_accounts(VerifyReport& report);
  void verify_forecasts(VerifyReport& report);
  void verify_account(const AccountRow& row, VerifyReport& report);
  void verify_windows(const BudgetId& budget_id, VerifyReport& report);
  void verify_holds(const AccountRow& row, VerifyReport& report);

  std::string path_;
  LedgerOptions options_;
  std::recursive_mutex mutex_;          // one connection, so one caller at a time
  std::unique_ptr<Database> database_;  // null after a fork until it is used again
  dev_t file_device_ = 0;
  ino_t file_inode_ = 0;
  bool is_together_ = false;  // writes join the transaction of `together`
  std::string broken_;        // why that transaction is gone; empty: it stands
  std::string refusal_;       // why nothing is written any more; empty: all is well
};

}  // namespace finops::ledger
