// test_ledger_sqlite.cpp - what is special to the ledger on a SQLite file: triggers, verify,
// damage, rights, and money at the border of 64 bits.
//
// Owns: the checks of src/ledger that look past the interface. Does not own: the interface
// (ledger_conformance.hpp), the write lock (test_ledger_lock.cpp).
// Invariant: files are changed behind the ledger's back only through a raw connection of the test.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "finops/ledger/ledger.hpp"
#include "forecast_support.hpp"
#include "ledger/database.hpp"
#include "ledger/schema.hpp"
#include "raw_connection.hpp"
#include "support.hpp"

namespace finops::testing {
namespace {

using std::chrono::hours;
using std::chrono::minutes;

class LedgerSqlite : public ::testing::Test {
 protected:
  std::unique_ptr<Ledger> open(const LedgerOptions& options = {}) {
    return open_ledger(path_, options);
  }

  /// A ledger with at least one row in every table.
  void fill() {
    const std::unique_ptr<Ledger> ledger = open();
    const PriceRow price = example_price("24 USD");
    ledger->add_price(price);
    ledger->add_run(example_run("run1"));
    ledger->ensure_budget(example_budget("b"), terms_of(usd("10")));
    AttemptRecord attempt = example_attempt("run1", "a1");
    attempt.price_id = price.price_id;
    attempt.budget_chain = {BudgetId{"b"}};
    ledger->add_attempt(attempt);
    ledger->settle({attempt.attempt_id, 1, minutes{5}, example_time(), usd("1")});
    ledger->close({attempt.attempt_id, 2, minutes{10}, minutes{10}, {}});
    ledger->add_attempt(example_attempt("run1", "a2"));
    ledger->price_attempt(AttemptId{"a2"}, price, 1, 1);
    ledger->add_checkpoint({RunId{"run1"}, attempt.attempt_id, 1, 5, "/ckpt", example_time()});
    DecisionRecord decision;
    decision.attempt_id = attempt.attempt_id;
    ledger->add_decision(decision);
    BudgetRequest request;
    request.request_id = RequestId{"r1"};
    request.budget_id = BudgetId{"b"};
    request.amount = usd("1");
    ledger->add_request(request);
    ledger->rule_request(RequestId{"r1"}, true, "grace", "", example_time());
    ledger->set_parent({BudgetId{"project:b"}, BudgetId{"team:c"}, "ada", example_time()});
    ledger->add_delivery({.channel = "mail", .state = "SENT"});
    const TelemetryWindow window{.attempt_id = attempt.attempt_id, .sample_count = 1};
    ledger->add_telemetry({&window, 1});
    ledger->add_lineage(example_lineage());
    ledger->add_forecast(example_forecast("run1", "a1"));
    const std::string other_path = folder_ / "other.db";
    const std::unique_ptr<Ledger> other = open_ledger(other_path, {});
    other->add_run(example_run("run2"));
    other->add_attempt(example_attempt("run2", "b1"));
    ledger->merge(other_path, example_time());
  }

  /// What `verify` says after `sql` ran past the triggers; they are made again if `keep_triggers`.
  std::string problems_after(const std::string& table, const std::string& sql) {
    RawConnection raw(path_);
    for (const std::string operation : {"UPDATE", "DELETE"}) {
      raw.execute("DROP TRIGGER IF EXISTS " + table + "_no_" + operation);
    }
    EXPECT_EQ(raw.execute(sql), "");
    EXPECT_GE(raw.changes(), 1) << sql;
    for (const std::string operation : {"UPDATE", "DELETE"}) {
      raw.execute("CREATE TRIGGER " + table + "_no_" + operation + " BEFORE " + operation + " ON " +
                  table + " BEGIN SELECT RAISE(ABORT, '" + table +
                  " is append-only: a correction is a new row'); END");
    }
    std::string problems;
    for (const std::string& problem : open()->verify().problems) {
      problems += problem + "\n";
    }
    return problems;
  }

  TempDir folder_;
  std::string path_ = folder_ / "ledger.db";
};

// --- append-only ---------------------------------------------------------------------------------

// Goal: no journal row can be changed, deleted or replaced, by anybody's SQL. Method: each of the
// three on each table, from a connection that is not ours; the row count stays.
TEST_F(LedgerSqlite, ForbidsChangingTheJournal) {
  fill();
  const std::int64_t rows = open()->verify().journal_row_count;
  RawConnection raw(path_);
  for (const char* name : ledger::journal_tables()) {
    const std::string table(name);
    const std::string column = [&]() -> std::string {
      if (table == "charges" || table == "budget_lines" || table == "lineage_costs" ||
          table == "node_uses" || table == "forecasts") {
        return "event_id";
      }
      if (table == "lineage_nodes" || table == "node_statuses" || table == "business_values") {
        return "node_id";
      }
      if (table == "lineage_edges") {
        return "subject";
      }
      if (table == "runs") {
        return "run_id";
      }
      if (table == "prices") {
        return "price_id";
      }
      if (table == "budgets") {
        return "budget_id";
      }
      if (table == "budget_terms" || table == "notices") {
        return "budget_id";
      }
      if (table == "audit_chain") {
        return "hash";
      }
      if (table == "budget_parents") {
        return "child_id";
      }
      if (table == "notice_deliveries") {
        return "channel";
      }
      return table == "budget_requests" || table == "budget_rulings" ? "request_id" : "attempt_id";
    }();
    for (const std::string& sql :
         {"UPDATE " + table + " SET " + column + "=" + column, "DELETE FROM " + table,
          "INSERT OR REPLACE INTO " + table + " SELECT * FROM " + table}) {
      const std::string message = raw.execute(sql);
      EXPECT_NE(message.find("append-only"), std::string::npos) << sql << ": '" << message << "'";
    }
  }
  EXPECT_EQ(open()->verify().journal_row_count, rows);
  EXPECT_TRUE(open()->verify().is_clean());
}

// Goal: our own connections see to it by themselves: SQLite's REPLACE passes by the triggers unless
// the connection asks for them. Method: the same INSERT OR REPLACE on a connection of the ledger's.
TEST_F(LedgerSqlite, OurConnectionsReplaceNothing) {
  fill();
  ledger::Database database(path_, false);
  for (const char* name : ledger::journal_tables()) {
    EXPECT_EQ(code_of([&] {
                database.execute_on_table("INSERT OR REPLACE INTO @ SELECT * FROM @", name);
              }),
              "Conflict")
        << name;
  }
}

// Goal: the only SQL with a name put in takes names of journal tables alone. Method: one of them,
// then names that are none.
TEST_F(LedgerSqlite, PutsInNamesOfJournalTablesOnly) {
  fill();
  ledger::Database database(path_, true);
  EXPECT_EQ(database.count_on_table("SELECT count(*) FROM @", "runs"), 2);
  for (const char* name : {"", "accounts", "runs; DROP TABLE runs", "runs ", "sqlite_schema"}) {
    EXPECT_EQ(code_of([&] { (void)database.count_on_table("SELECT count(*) FROM @", name); }),
              "InternalError")
        << name;
  }
}

// --- verify --------------------------------------------------------------------------------------

// Goal: verify notices what was changed past the triggers. Method: one value at a time, in caches
// and journal; the triggers stand again afterwards.
TEST_F(LedgerSqlite, VerifyFindsWhatWasTamperedWith) {
  struct Case {
    const char* table;
    const char* sql;
    const char* found;
  };
  const Case cases[] = {
      {"accounts", "UPDATE accounts SET charged_picos=charged_picos+1 WHERE attempt_id='a1'",
       "attempt a1, charged"},
      {"accounts", "UPDATE accounts SET settled_ns=settled_ns-1 WHERE attempt_id='a1'",
       "settled time"},
      {"accounts", "UPDATE accounts SET state='OPEN' WHERE attempt_id='a1'", "is OPEN"},
      {"accounts", "UPDATE accounts SET held_units=1 WHERE attempt_id='a1'", "its lease is 1 USD"},
      {"holds", "UPDATE holds SET held_units=1", "held by its runs"},
      {"budget_balances",
       "UPDATE budget_balances SET spent_units=spent_units-1, available_units=available_units+1",
       "b, spent"},
      {"budget_balances",
       "UPDATE budget_balances SET limit_units=limit_units+5, available_units=available_units+5",
       "b, limit"},
      {"budget_lines", "UPDATE budget_lines SET amount_units=9 WHERE from_account='limit'", "b, "},
      {"charges", "UPDATE charges SET billed_cost_picos=billed_cost_picos+1", "charged"},
      {"charges", "DELETE FROM charges", "has no charge"},
      {"usage", "UPDATE usage SET to_ns=to_ns-1 WHERE sequence=1", "leaves a gap"},
      {"usage", "DELETE FROM usage WHERE sequence=1", "leaves a gap"},
      {"settlements", "DELETE FROM settlements", "attempt a1: is SETTLED"},
      {"lineage_nodes", "UPDATE lineage_nodes SET user_name='eve'", "(node model:m) was changed"},
      {"lineage_edges", "UPDATE lineage_edges SET object='model:n'",
       "(edge run:old/1) was changed"},
      {"lineage_edges", "INSERT INTO lineage_edges VALUES (2,'run:a','read','dataset:d',NULL,0)",
       "edge run:a/2 is not in it"},
      {"lineage_costs", "UPDATE lineage_costs SET billed_cost_units=1", "(cost c1) was changed"},
      {"lineage_costs", "DELETE FROM lineage_costs", "(cost c1) was deleted"},
      {"node_statuses", "UPDATE node_statuses SET status='FINISHED'",
       "(status run:old/1) was changed"},
      {"node_uses", "UPDATE node_uses SET quantity=1000", "(use u1) was changed"},
      {"business_values", "UPDATE business_values SET amount_units=1", "(value v1) was changed"},
      {"forecasts", "UPDATE forecasts SET made_at_ns=made_at_ns+1", "do not fit each other"},
      {"forecasts", "UPDATE forecasts SET kind='refreshed'", "do not fit each other"},
      {"forecasts", "UPDATE forecasts SET run_id='run2'", "do not fit each other"},
      {"forecasts", "UPDATE forecasts SET attempt_id='b1'", "do not fit each other"},
      {"forecasts", "PRAGMA ignore_check_constraints=ON; UPDATE forecasts SET p10_gpu_seconds=1e9",
       "CHECK constraint failed in forecasts"},
  };
  for (const Case& c : cases) {
    std::filesystem::remove_all(folder_.path());
    std::filesystem::create_directory(folder_.path());
    fill();
    ASSERT_TRUE(open()->verify().is_clean()) << c.sql;
    const std::string problems = problems_after(c.table, c.sql);
    EXPECT_NE(problems.find(c.found), std::string::npos) << c.sql << " gave:\n" << problems;
  }
}

// Goal: a ledger that lost a trigger says so. Method: one trigger of one table is dropped.
TEST_F(LedgerSqlite, VerifyFindsAMissingTrigger) {
  fill();
  RawConnection raw(path_);
  ASSERT_EQ(raw.execute("DROP TRIGGER charges_no_DELETE"), "");
  const VerifyReport report = open()->verify();
  ASSERT_EQ(report.problems.size(), 1U);
  EXPECT_NE(report.problems[0].find("charges"), std::string::npos) << report.problems[0];
}

// Goal: the store itself refuses balances that do not balance. Method: one account of five moves by
// one pico, and a sum past 64 bits.
TEST_F(LedgerSqlite, RefusesBalancesThatDoNotBalance) {
  fill();
  RawConnection raw(path_);
  EXPECT_NE(raw.execute("UPDATE budget_balances SET spent_picos=spent_picos+1"), "");
  EXPECT_NE(raw.execute("UPDATE budget_balances SET available_units=-1"), "");
  EXPECT_NE(raw.execute("UPDATE budget_balances SET held_units=9223372036854775807"), "");
  EXPECT_TRUE(open()->verify().is_clean());
}

// --- opening -------------------------------------------------------------------------------------

// Goal: a ledger of a newer finops is left alone. Method: its version is this one's, plus one.
TEST_F(LedgerSqlite, RefusesANewerSchema) {
  fill();
  {
    RawConnection raw(path_);
    raw.execute("PRAGMA user_version=" + std::to_string(ledger::kSchemaVersion + 1));
  }
  EXPECT_EQ(code_of([&] { open(); }), "UnsupportedSchema");
  EXPECT_EQ(code_of([&] { open({.read_only = true}); }), "UnsupportedSchema");
  RawConnection raw(path_);
  raw.execute("PRAGMA user_version=" + std::to_string(ledger::kSchemaVersion));
  EXPECT_EQ(code_of([&] { open(); }), "none");
}

// Goal: somebody else's database is never written. Method: one with a table, and one of another
// application.
TEST_F(LedgerSqlite, RefusesAForeignDatabase) {
  {
    RawConnection raw(path_);
    raw.execute("CREATE TABLE theirs (x)");
  }
  chmod(path_.c_str(), 0600);
  EXPECT_EQ(code_of([&] { open(); }), "LedgerCorrupt");
  {
    RawConnection raw(path_);
    raw.execute("PRAGMA application_id=7");
    EXPECT_EQ(raw.execute("INSERT INTO theirs VALUES (1)"), "") << "it still works";
  }
  EXPECT_EQ(code_of([&] { open(); }), "LedgerCorrupt");
}

// Goal: a damaged file is reported with its code, and left as it is. Method: no database at all;
// then a ledger whose pages are overwritten.
TEST_F(LedgerSqlite, ReportsADamagedFile) {
  std::ofstream(path_) << std::string(8'192, 'x');
  chmod(path_.c_str(), 0600);
  EXPECT_EQ(code_of([&] { open(); }), "LedgerCorrupt");
  EXPECT_EQ(std::filesystem::file_size(path_), 8'192U);
  std::filesystem::remove(path_);
  fill();
  {
    RawConnection raw(path_);
    raw.execute("PRAGMA wal_checkpoint(TRUNCATE)");
  }
  {
    std::fstream file(path_, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(4'096);
    file << std::string(std::filesystem::file_size(path_) - 4'096, '\x55');
  }
  std::string code = "none";
  std::string found;
  code = code_of([&] {
    for (const std::string& problem : open()->verify().problems) {
      found += problem;
    }
  });
  EXPECT_TRUE(code == "LedgerCorrupt" || !found.empty()) << code << found;
  EXPECT_EQ(code_of([&] { open()->add_run(example_run("run2")); }), "LedgerCorrupt");
}

// Goal: a ledger that others may write is not trusted. Method: rights around the limit; a link.
TEST_F(LedgerSqlite, RefusesAFileThatOthersCanWrite) {
  fill();
  struct Case {
    unsigned int mode;
    const char* code;
  };
  for (const Case& c : {Case{0600, "none"}, Case{0644, "none"}, Case{0620, "PermissionDenied"},
                        Case{0602, "PermissionDenied"}}) {
    chmod(path_.c_str(), c.mode);
    EXPECT_EQ(code_of([&] { open(); }), c.code) << std::oct << c.mode;
    EXPECT_EQ(code_of([&] { open({.read_only = true}); }), c.code) << std::oct << c.mode;
  }
  chmod(path_.c_str(), 0600);
  std::filesystem::create_symlink(path_, folder_ / "link.db");
  EXPECT_EQ(code_of([&] { (void)open_ledger(folder_ / "link.db", {}); }), "PermissionDenied");
}

// Goal: a new ledger is for its owner alone. Method: the file's rights under a wide umask.
TEST_F(LedgerSqlite, CreatesAPrivateFile) {
  const mode_t before = umask(0);
  fill();
  umask(before);
  struct stat info{};
  ASSERT_EQ(stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0600U);
}

// --- reading only --------------------------------------------------------------------------------

// Goal: a reader reads and never writes. Method: a read and a write through one read-only ledger.
TEST_F(LedgerSqlite, ReadOnlyRefusesWrites) {
  fill();
  const std::unique_ptr<Ledger> reader = open({.read_only = true});
  EXPECT_EQ(reader->runs({}).size(), 2U);
  EXPECT_TRUE(reader->verify().is_clean());
  EXPECT_EQ(code_of([&] { reader->add_run(example_run("run3")); }), "LedgerUnavailable");
  EXPECT_EQ(code_of([&] { reader->ensure_budget(example_budget("c"), terms_of(usd("1"))); }),
            "LedgerUnavailable");
  EXPECT_EQ(reader->runs({}).size(), 2U);
}

// Goal: reading makes no file. Method: there is none; then an empty one, as a crash between
// creating the file and its tables leaves it.
TEST_F(LedgerSqlite, ReadOnlyOfAMissingFileMakesNone) {
  EXPECT_EQ(code_of([&] { open({.read_only = true}); }), "LedgerUnavailable");
  EXPECT_FALSE(std::filesystem::exists(path_));
  std::ofstream(path_).close();
  chmod(path_.c_str(), 0600);
  EXPECT_EQ(code_of([&] { (void)open({.read_only = true})->runs({}); }), "LedgerUnavailable");
  EXPECT_EQ(code_of([&] { (void)open()->runs({}); }), "none") << "a writer completes it";
}

// --- the border of 64 bits -----------------------------------------------------------------------

// Goal: the store holds INT64_MAX units to the pico, and refuses more without harm. Method: limits
// below, at and above it.
TEST_F(LedgerSqlite, HoldsMoneyUpToTheBorder) {
  const std::unique_ptr<Ledger> ledger = open();
  const std::vector<std::string> good{"9223372036854775806.999999999999", "9223372036854775807",
                                      "9223372036854775807.999999999999"};
  for (const std::string& limit : good) {
    ledger->ensure_budget(example_budget("b" + limit), terms_of(usd(limit)));
    EXPECT_EQ(ledger->budget(BudgetId{"b" + limit}, example_time()).value().accounts.limit,
              usd(limit))
        << limit;
    EXPECT_EQ(ledger->budget(BudgetId{"b" + limit}, example_time()).value().accounts.available,
              usd(limit));
  }
  EXPECT_EQ(code_of([&] {
              ledger->ensure_budget(example_budget("c"), terms_of(usd("9223372036854775808")));
            }),
            "Overflow");
  EXPECT_FALSE(ledger->budget(BudgetId{"c"}, example_time()).has_value());
  EXPECT_EQ(ledger->budgets(example_time()).size(), good.size());
  EXPECT_TRUE(ledger->verify().is_clean());
}

// Goal: spending at the border stays exact. Method: an attempt of a budget with the largest limit
// is charged, holds and gives back; then the limit is lowered to what was spent.
TEST_F(LedgerSqlite, SpendsExactlyAtTheBorder) {
  const std::unique_ptr<Ledger> ledger = open();
  const Money limit = usd("9223372036854775807.999999999999");
  const PriceRow price = example_price("9000000000000.000000000001 USD");
  ledger->add_price(price);
  ledger->add_run(example_run("run1"));
  ledger->ensure_budget(example_budget("b"), terms_of(limit));
  AttemptRecord attempt = example_attempt("run1", "a1");
  attempt.price_id = price.price_id;
  attempt.budget_chain = {BudgetId{"b"}};
  ledger->add_attempt(attempt);
  ledger->settle({attempt.attempt_id, 1, hours{1}, example_time(), limit});
  const BudgetAccounts full = ledger->budget(BudgetId{"b"}, example_time()).value().accounts;
  EXPECT_EQ(full.spent, usd("9000000000000.000000000001"));
  EXPECT_EQ(full.held, limit - full.spent) << "what is left";
  EXPECT_EQ(full.available, usd("0"));
  ledger->close({attempt.attempt_id, 2, hours{1}, hours{1}, {}});
  EXPECT_EQ(ledger->change_terms(BudgetId{"b"}, terms_of(full.spent), "ada", "", example_time())
                .available,
            usd("0"));
  EXPECT_TRUE(ledger->verify().is_clean());
}

}  // namespace
}  // namespace finops::testing
