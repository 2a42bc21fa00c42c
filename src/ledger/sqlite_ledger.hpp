// sqlite_ledger.hpp - the ledger on one SQLite file.
//
// Owns: the class; its parts are in sqlite_{ledger,money,budgets,queries,verify}.cpp.
// Invariants: every write runs inside `write`: under the write lock, in BEGIN IMMEDIATE, committed
// with synchronous=FULL; after an internal error or a failed commit it refuses to write.
#pragma once

#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "finops/ledger/ledger.hpp"
#include "ledger/database.hpp"
#include "ledger/write_lock.hpp"

namespace finops::ledger {

/// A row of the cache table `accounts` with what belongs to it.
struct AccountRow {
  AttemptId attempt_id;
  AttemptAccount account;
  std::int64_t usage_count = 0;
  UtcTime started_at{};
  PriceId price_id;
  std::vector<BudgetId> budget_chain;
  int line_count = 0;  ///< lines written in this transaction, for their event ids
};

class SqliteLedger final : public Ledger {
 public:
  SqliteLedger(const std::string& path, const LedgerOptions& options);

  void add_run(const RunRecord& run) override;
  AttemptRecord add_attempt(const AttemptRecord& attempt) override;
  void add_price(const PriceRow& price) override;
  void add_checkpoint(const CheckpointRecord& checkpoint) override;
  DecisionRecord add_decision(const DecisionRecord& decision) override;
  std::size_t append(std::span<const Charge> charges) override;
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

  std::vector<RunSummary> runs(const RunFilter& filter) override;
  std::vector<AttemptSummary> attempts(const RunId& run_id) override;
  std::optional<AttemptRecord> attempt(const AttemptId& attempt_id) override;
  std::vector<SuspectAttempt> suspects() override;
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
  VerifyReport verify() override;

 private:
  // sqlite_ledger.cpp
  void open_schema();
  void write(const std::function<void()>& body);
  void commit();
  void open_account(const AttemptRecord& attempt);

  // sqlite_money.cpp
  AccountRow load_account(const AttemptId& attempt_id);
  void store_account(AccountRow& row);
  void require_epoch(const AccountRow& row, std::int64_t epoch) const;
  void advance(AccountRow& row, Nanoseconds elapsed, UsageKind kind, UtcTime now);
  void insert_usage(AccountRow& row, Nanoseconds from, Nanoseconds to, UsageKind kind);
  void charge_slice(AccountRow& row, std::int64_t sequence, Nanoseconds from, Nanoseconds to,
                    UtcTime now);
  void spend(AccountRow& row, Money cost, UtcTime now);
  void top_up(AccountRow& row, Money wanted, UtcTime now);
  void release(AccountRow& row, Money amount, UtcTime now);
  void insert_settlement(AccountRow& row, const char* outcome, const std::string& who, UtcTime now);

  // sqlite_budgets.cpp
  BudgetAccounts load_balance(const BudgetId& budget_id);
  void post(const BudgetLine& line, const std::string& event_id);
  void post_for(AccountRow& row, const BudgetId& budget_id, BudgetAccount from, BudgetAccount to,
                Money amount, UtcTime now);
  BudgetAccounts change_limit(const BudgetId& budget_id, Money new_limit, const std::string& event,
                              const BudgetLine& who_and_why);

  // sqlite_queries.cpp
  Currency budget_currency(const BudgetId& budget_id);
  AttemptRecord read_attempt(Statement& row);
  RunSummary read_run_summary(Statement& row);
  AttemptSummary summarise(AttemptRecord attempt);
  std::vector<BudgetId> chain_of(const AttemptId& attempt_id);

  // sqlite_verify.cpp
  void verify_budgets(VerifyReport& report);
  void verify_accounts(VerifyReport& report);
  void verify_account(const AccountRow& row, VerifyReport& report);

  std::string path_;
  LedgerOptions options_;
  std::recursive_mutex mutex_;  // one connection, so one caller at a time
  std::unique_ptr<Database> database_;
  std::string refusal_;  // why nothing is written any more; empty: all is well
};

}  // namespace finops::ledger
