// test_ledger_forecasts.cpp - forecasts on SQLite files: merges, copies, older files, the view.
//
// Owns: what is special to a file. Does not own: the interface (ledger_conformance_forecasts.hpp).
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>

#include "finops/ledger/ledger.hpp"
#include "forecast_support.hpp"
#include "ledger/schema.hpp"
#include "raw_connection.hpp"

namespace finops::testing {
namespace {

using std::chrono::minutes;

class LedgerForecastFiles : public ::testing::Test {
 protected:
  std::unique_ptr<Ledger> open(const std::string& host) {
    return open_ledger(folder_ / (host + ".db"), {});
  }

  /// A finished attempt of so many minutes on 2 of the 8 GPUs that the price buys.
  void run_on(const std::string& host, const std::string& run_id, const std::string& attempt_id,
              minutes length) {
    const std::unique_ptr<Ledger> ledger = open(host);
    PriceRow price = example_price("24 USD");
    price.gpu_count = 8;
    price.price_id = make_price_id(price);
    ledger->add_price(price);
    ledger->add_run(example_run(run_id));
    AttemptRecord attempt = example_attempt(run_id, attempt_id);
    attempt.host = host;
    attempt.price_id = price.price_id;
    attempt.used_micro_gpus = 2;
    attempt.block_micro_gpus = 8;
    ledger->add_attempt(attempt);
    ledger->close({attempt.attempt_id,
                   1,
                   length,
                   length,
                   {.status = RunStatus::FINISHED, .ended_at = example_time() + length}});
  }

  MergeReport merge(const std::string& into, const std::string& from) {
    return open(into)->merge(folder_ / (from + ".db"), example_time());
  }

  void expect_clean(const std::string& host) {
    for (const std::string& problem : open(host)->verify().problems) {
      ADD_FAILURE() << host << ": " << problem;
    }
  }

  TempDir folder_;
};

using Records = std::vector<ForecastRecord>;

// Goal: a merge brings forecasts once, with what became of their runs here and there. Method: a run
// on two hosts with a forecast on each, one of them on both; merged twice.
TEST_F(LedgerForecastFiles, AreMergedOnce) {
  run_on("node1", "shared", "a1", minutes{10});
  run_on("node2", "shared", "b1", minutes{5});
  const ForecastRecord both = bare_forecast("shared");
  const ForecastRecord theirs = example_forecast("shared", "b1");
  open("node1")->add_forecast(both);
  open("node2")->add_forecast(both);
  open("node2")->add_forecast(theirs);
  const std::int64_t first = merge("node1", "node2").other_count;
  EXPECT_EQ(open("node1")->forecasts({}), (Records{both, theirs}));
  EXPECT_GT(first, 0);
  EXPECT_EQ(merge("node1", "node2").other_count, 0);
  const std::vector<ForecastOutcome> outcomes = open("node1")->forecast_outcomes({});
  ASSERT_EQ(outcomes.size(), 2U);
  EXPECT_EQ(outcomes[1].job.gpu_seconds, 2 * 15 * 60.0);
  EXPECT_EQ(outcomes[1].job.ended_at, example_time() + minutes{10}) << "the later end";
  merge("node2", "node1");
  EXPECT_EQ(open("node2")->forecasts({}), (Records{both, theirs}));
  expect_clean("node1");
  expect_clean("node2");
}

// Goal: a forecast that says something else under a known id is refused, and nothing is merged.
// Method: some of the changes, each beside a run that would fit.
TEST_F(LedgerForecastFiles, RefuseOtherContentInAMerge) {
  run_on("node1", "r", "a1", minutes{10});
  const ForecastRecord known = example_forecast("r", "");
  open("node1")->add_forecast(known);
  const std::vector<ForecastChange> changes = forecast_changes();
  for (std::size_t i = 3; i < changes.size(); i += 7) {
    const std::string host = "other" + std::to_string(i);
    ForecastRecord other = known;
    changes[i].apply(other);
    open(host)->add_run(example_run("fits"));
    open(host)->add_run(example_run("r"));
    open(host)->add_forecast(other);
    EXPECT_EQ(code_of([&] { merge("node1", host); }), "Conflict") << changes[i].name;
    EXPECT_EQ(open("node1")->runs({}).size(), 1U) << changes[i].name;
  }
  EXPECT_EQ(open("node1")->forecasts({}), Records{known});
}

// Goal: a copy takes forecasts along. Method: a copy, opened.
TEST_F(LedgerForecastFiles, AreCopied) {
  run_on("node1", "r", "a1", minutes{10});
  const ForecastRecord forecast = example_forecast("r", "a1");
  open("node1")->add_forecast(forecast);
  open("node1")->copy_to(folder_ / "copy.db");
  EXPECT_EQ(open("copy")->forecasts({}), Records{forecast});
  expect_clean("copy");
}

// Goal: a ledger of version 4 goes on as version 5, and its old runs can be forecast and learned
// from; the audit chain takes nothing in. Method: a file taken through the old steps only, with a
// run and a request that the chain does not name.
TEST_F(LedgerForecastFiles, UpgradeVersion4) {
  const std::string path = folder_ / "old.db";
  std::ofstream(path).close();
  std::filesystem::permissions(path, std::filesystem::perms(0600));
  {
    ledger::Database database(path, false);
    database.execute("PRAGMA journal_mode=WAL; BEGIN IMMEDIATE");
    ledger::create_schema_1(database);
    ledger::upgrade_schema_to_2(database);
    ledger::upgrade_schema_to_3(database);
    ledger::upgrade_schema_to_4(database);
    database.execute(R"sql(
INSERT INTO runs VALUES ('r','vision','resnet','','ada',NULL,NULL,'{}',0);
INSERT INTO attempts VALUES ('a1','r',1,'h','boot',1,1,'init','','8xH100',NULL,1,1,0,'',0,0,0);
INSERT INTO accounts VALUES ('a1','OPEN',1,0,0,NULL,NULL,NULL,NULL,0);
COMMIT;)sql");
  }
  EXPECT_EQ(code_of([&] { (void)open_ledger(path, {.read_only = true}); }), "UnsupportedSchema");
  const std::unique_ptr<Ledger> ledger = open_ledger(path, {});
  EXPECT_EQ(RawConnection(path).text("PRAGMA user_version"), "5");
  ledger->settle({AttemptId{"a1"}, 1, minutes{10}, example_time(), {}});
  EXPECT_EQ(ledger->job_history(UtcTime::min()).at(0).gpu_seconds, 8 * 600.0);
  ledger->add_forecast(example_forecast("r", "a1"));
  EXPECT_EQ(ledger->forecasts({}), Records{example_forecast("r", "a1")});
  const VerifyReport report = ledger->verify();
  EXPECT_TRUE(report.is_clean()) << report.problems.at(0);
  EXPECT_EQ(report.audit_record_count, 0) << "a forecast is in no chain";
}

// Goal: the view says the same as the interface. Method: a priced and a bare forecast of a run that
// is over, and of one that runs.
TEST_F(LedgerForecastFiles, AreShownByTheView) {
  run_on("node1", "r", "a1", minutes{10});
  open("node1")->add_forecast(example_forecast("r", "a1"));
  open("node1")->add_run(example_run("s"));
  open("node1")->add_attempt(example_attempt("s", "s1"));
  open("node1")->settle({AttemptId{"s1"}, 1, minutes{1}, example_time(), {}});
  open("node1")->add_forecast(bare_forecast("s"));
  RawConnection raw(folder_ / "node1.db");
  EXPECT_EQ(raw.text("SELECT made_at || ' ' || kind || ' ' || project || ' ' || p50_gpu_seconds || "
                     "' ' || used_gpu_seconds || ' ' || status || ' ' || p50_cost || ' ' || "
                     "currency FROM report_forecasts WHERE run_id='r'"),
            "2025-11-24T16:01:00Z submitted vision 200.0 1200.0 FINISHED 0.200000000000 USD");
  EXPECT_EQ(raw.text("SELECT used_gpu_seconds || ' ' || status || ' ' || ifnull(p50_cost, '-') "
                     "FROM report_forecasts WHERE run_id='s'"),
            "480.0 RUNNING -");
}

// Goal: what was written past the library is no forecast. Method: numbers that its checks refuse,
// by somebody's own SQL: by the table, and past its checks by whoever reads it.
TEST_F(LedgerForecastFiles, RefuseForgedNumbers) {
  run_on("node1", "r", "a1", minutes{10});
  open("node1")->add_forecast(example_forecast("r", "a1"));
  RawConnection raw(folder_ / "node1.db");
  raw.execute("DROP TRIGGER forecasts_no_UPDATE");
  for (const std::string assignment :
       {"p10_gpu_seconds=-1", "p10_gpu_seconds=1e9", "p50_gpu_seconds=NULL",
        "p90_gpu_seconds=9e999", "mean_gpu_seconds=-1", "elapsed_gpu_seconds=9e999", "gpu_count=0",
        "ended_job_count=-1", "kind='guessed'", "made_at_ns=0", "currency=NULL", "price_id=NULL",
        "p50_cost_units=NULL", "p10_cost_units=-1", "p10_cost_units=1", "mean_cost_picos=-1",
        "p90_cost_picos=1000000000000", "planned_steps=-1", "node_count='x'"}) {
    EXPECT_NE(raw.execute("UPDATE forecasts SET " + assignment), "") << assignment;
  }
  raw.execute("PRAGMA ignore_check_constraints=ON");
  ASSERT_EQ(raw.execute("UPDATE forecasts SET p10_gpu_seconds=1e9"), "");
  EXPECT_EQ(code_of([&] { (void)open("node1")->forecasts({}); }), "LedgerCorrupt");
}

}  // namespace
}  // namespace finops::testing
