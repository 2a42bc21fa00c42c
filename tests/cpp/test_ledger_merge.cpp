// test_ledger_merge.cpp - ledgers of several hosts become one; an older file is upgraded.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>

#include "finops/ledger/ledger.hpp"
#include "ledger/schema.hpp"
#include "support.hpp"

namespace finops::testing {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

class LedgerMerge : public ::testing::Test {
 protected:
  std::unique_ptr<Ledger> open(const std::string& host) {
    return open_ledger(folder_ / (host + ".db"), {});
  }

  /// An attempt of `run_id` on `host` that has run for `elapsed` and, if `is_over`, ended.
  void run_on(const std::string& host, const std::string& run_id, const std::string& attempt_id,
              Nanoseconds elapsed, bool is_over) {
    const std::unique_ptr<Ledger> ledger = open(host);
    ledger->add_price(price_);
    ledger->add_run(example_run(run_id));
    AttemptRecord attempt = example_attempt(run_id, attempt_id);
    attempt.host = host;
    attempt.price_id = price_.price_id;
    ledger->add_attempt(attempt);
    ledger->settle({attempt.attempt_id,
                    ledger->account(attempt.attempt_id).epoch,
                    elapsed,
                    example_time(),
                    {}});
    if (is_over) {
      ledger->close({attempt.attempt_id,
                     ledger->account(attempt.attempt_id).epoch,
                     elapsed,
                     elapsed,
                     {.status = RunStatus::FINISHED, .ended_at = example_time()}});
    }
  }

  MergeReport merge(const std::string& into, const std::string& from) {
    return open(into)->merge(folder_ / (from + ".db"), example_time());
  }

  /// Where an older finops made its ledger.
  std::string make_empty_file() {
    const std::string path = folder_ / "old.db";
    std::ofstream(path).close();
    std::filesystem::permissions(path, std::filesystem::perms(0600));
    return path;
  }

  /// The steps up to version 3, in a transaction that the test commits.
  static void make_version_3(ledger::Database& database) {
    database.execute("PRAGMA journal_mode=WAL; BEGIN IMMEDIATE");
    ledger::create_schema_1(database);
    ledger::upgrade_schema_to_2(database);
    ledger::upgrade_schema_to_3(database);
  }

  PriceRow price_ = example_price("24 USD");
  TempDir folder_;
};

// Goal: a run on two hosts is one run with both attempts and the cost of both; merging again, in
// any order, changes nothing. Method: two hosts with one run in common; later more use on one.
TEST_F(LedgerMerge, MakesOneRunOfSeveralHosts) {
  run_on("node1", "shared", "a1", minutes{10}, true);
  run_on("node2", "shared", "b1", minutes{5}, false);
  run_on("node2", "other", "c1", minutes{5}, true);
  EXPECT_EQ(merge("node1", "node2").attempt_count, 2);
  const MergeReport again = merge("node1", "node2");
  EXPECT_EQ(again.run_count + again.attempt_count + again.usage_count + again.charge_count +
                again.other_count,
            0);
  const auto shared = [&] { return open("node1")->runs({.run_id = RunId{"shared"}}).at(0); };
  EXPECT_EQ(shared().attempt_count, 2);
  EXPECT_EQ(shared().metered_cost.value(), Money::parse("6 USD"));
  EXPECT_EQ(shared().status, RunStatus::RUNNING) << "node2's part goes on";
  const std::unique_ptr<Ledger> second = open("node2");
  second->settle(
      {AttemptId{"b1"}, second->account(AttemptId{"b1"}).epoch, minutes{15}, example_time(), {}});
  second->close({AttemptId{"b1"},
                 second->account(AttemptId{"b1"}).epoch,
                 minutes{15},
                 minutes{15},
                 {.status = RunStatus::FINISHED, .ended_at = example_time()}});
  EXPECT_EQ(merge("node1", "node2").usage_count, 1);
  EXPECT_EQ(shared().metered_cost.value(), Money::parse("10 USD"));
  EXPECT_EQ(shared().status, RunStatus::FINISHED);
  EXPECT_EQ(merge("node2", "node1").attempt_count, 1) << "a1; its own come back to nobody";
  for (const char* host : {"node1", "node2"}) {
    const VerifyReport report = open(host)->verify();
    EXPECT_TRUE(report.is_clean()) << host << ": " << report.problems.at(0);
  }
}

// Goal: an older copy does not take back what a newer one brought. Method: merge after, then
// before.
TEST_F(LedgerMerge, NeverGoesBack) {
  run_on("node2", "run1", "b1", minutes{5}, false);
  open("node2")->copy_to(folder_ / "old.db");
  const std::unique_ptr<Ledger> second = open("node2");
  second->settle(
      {AttemptId{"b1"}, second->account(AttemptId{"b1"}).epoch, minutes{15}, example_time(), {}});
  merge("node1", "node2");
  merge("node1", "old");
  EXPECT_EQ(open("node1")->account(AttemptId{"b1"}).settled, minutes{15});
  EXPECT_TRUE(open("node1")->verify().is_clean());
}

// Goal: what belongs to another host is not settled here. Method: a suspect and an open attempt
// come in; the run can still be started here.
TEST_F(LedgerMerge, LeavesTheOthersMoneyAlone) {
  run_on("node2", "run1", "b1", minutes{5}, false);
  run_on("node2", "run2", "b2", minutes{5}, false);
  const std::unique_ptr<Ledger> second = open("node2");
  second->close({AttemptId{"b2"},
                 second->account(AttemptId{"b2"}).epoch,
                 minutes{5},
                 minutes{6},
                 {.status = RunStatus::FAILED, .ended_at = example_time()}});
  EXPECT_EQ(second->suspects().size(), 1U);
  merge("node1", "node2");
  EXPECT_TRUE(open("node1")->suspects().empty());
  EXPECT_NO_THROW(run_on("node1", "run1", "a1", minutes{1}, true));
}

// Goal: an id that means something else is refused and nothing is merged. Method: the same run id
// in another project, beside one that would fit.
TEST_F(LedgerMerge, RefusesOtherContent) {
  run_on("node2", "fits", "b1", minutes{5}, true);
  RunRecord run = example_run("clash");
  open("node1")->add_run(run);
  run.project = "speech";
  open("node2")->add_run(run);
  EXPECT_EQ(code_of([&] { merge("node1", "node2"); }), "Conflict");
  EXPECT_EQ(open("node1")->runs({}).size(), 1U);
  EXPECT_EQ(code_of([&] { merge("node1", "missing"); }), "LedgerUnavailable");
}

// Goal: a copy is one whole file. Method: copied while rows lie in the write-ahead log, and merged.
TEST_F(LedgerMerge, CopiesAWholeFile) {
  run_on("node2", "run1", "b1", minutes{5}, true);
  open("node2")->copy_to(folder_ / "copy#1?.db");
  EXPECT_EQ(code_of([&] { open("node2")->copy_to(folder_ / "copy#1?.db"); }), "InvalidArgument");
  EXPECT_EQ(open("node1")->merge(folder_ / "copy#1?.db", example_time()).attempt_count, 1);
}

// Goal: what people recorded comes along once, and enters the audit chain. Method: two ledgers with
// some of it in common, merged twice.
TEST_F(LedgerMerge, BringsLineageOnce) {
  LineageRecords first = example_lineage();
  first.uses.clear();
  open("node1")->add_lineage(first);
  LineageRecords second = example_lineage();
  second.edges.push_back({NodeId{"run:b"}, EdgeKind::Read, NodeId{"model:m"}, {}, {}});
  second.edges[0].recorded_at += seconds{1};
  open("node2")->add_lineage(second);
  EXPECT_EQ(merge("node1", "node2").other_count, 2) << "an edge and a use";
  EXPECT_EQ(merge("node1", "node2").other_count, 0);
  const LineageRecords merged = open("node1")->lineage(UtcTime::max());
  EXPECT_EQ(merged.edges.size(), 2U);
  EXPECT_EQ(merged.edges[0], first.edges[0]);
  EXPECT_EQ(merged.nodes, second.nodes);
  EXPECT_EQ(merged.costs, second.costs);
  EXPECT_EQ(merged.statuses, second.statuses);
  EXPECT_EQ(merged.uses, second.uses);
  EXPECT_EQ(merged.values, second.values);
  EXPECT_TRUE(open("node1")->verify().is_clean());
}

// Goal: lineage that does not fit is refused, and nothing was merged. Method: other content of each
// kind, a cycle that only both ledgers together make, cost that the other one meters.
TEST_F(LedgerMerge, RefusesLineageThatDoesNotFit) {
  int number = 0;
  const auto refusal = [&](auto change) {
    const std::string host = "other" + std::to_string(++number);
    LineageRecords records = example_lineage();
    change(records);
    records.nodes.push_back({.node_id = NodeId{"dataset:new"}});
    open(host)->add_lineage(records);
    std::string code = code_of([&] { merge("node1", host); });
    EXPECT_EQ(open("node1")->lineage(UtcTime::max()).nodes.size(), 1U);
    return code;
  };
  open("node1")->add_lineage(example_lineage());
  EXPECT_EQ(refusal([](LineageRecords& it) { it.nodes[0].label = "N"; }), "Conflict");
  EXPECT_EQ(refusal([](LineageRecords& it) { it.edges[0].step = 101; }), "Conflict");
  EXPECT_EQ(refusal([](LineageRecords& it) { it.costs[0].is_correction = true; }), "Conflict");
  EXPECT_EQ(refusal([](LineageRecords& it) { it.statuses[0].why = "?"; }), "Conflict");
  EXPECT_EQ(refusal([](LineageRecords& it) { it.uses[0].quantity = 1; }), "Conflict");
  EXPECT_EQ(refusal([](LineageRecords& it) { it.values[0].source = "?"; }), "Conflict");
  EXPECT_EQ(refusal([](LineageRecords& it) {
              it.edges[0] = {NodeId{"run:old"}, EdgeKind::Read, NodeId{"model:m"}, {}, {}};
            }),
            "InvalidArgument");
  run_on("metered", "old", "o-1", minutes{10}, true);
  EXPECT_EQ(code_of([&] { merge("node1", "metered"); }), "Conflict");
  EXPECT_TRUE(open("node1")->runs({}).empty());
}

// Goal: what a merged run is part of and forked from closes no cycle either, whichever ledger takes
// the other in. Method: one says that the whole forked from its part, the other has the runs.
TEST_F(LedgerMerge, RefusesRunsThatCloseACycle) {
  RunRecord part = example_run("part");
  part.parent_run_id = RunId{"whole"};
  open("node1")->add_run(part);
  LineageRecords records;
  records.edges.push_back(
      {NodeId{"run:part"}, EdgeKind::ForkedFrom, NodeId{"run:whole"}, {}, example_time()});
  open("node2")->add_lineage(records);
  EXPECT_EQ(code_of([&] { merge("node1", "node2"); }), "InvalidArgument");
  EXPECT_EQ(code_of([&] { merge("node2", "node1"); }), "InvalidArgument");
  EXPECT_TRUE(open("node2")->runs({}).empty());
}

// Goal: the same sentence with its step and without is one here too, and what is here stands.
// Method: one host knows the step, the other does not; merged both ways.
TEST_F(LedgerMerge, TakesASentenceWithItsStepAndWithout) {
  LineageRecords without = example_lineage();
  without.edges[0].step.reset();
  open("node1")->add_lineage(example_lineage());
  open("node2")->add_lineage(without);
  merge("node1", "node2");
  EXPECT_EQ(open("node1")->lineage(UtcTime::max()).edges, example_lineage().edges);
  merge("node2", "node1");
  EXPECT_EQ(open("node2")->lineage(UtcTime::max()).edges, without.edges);
}

// Goal: the parts of a run on several hosts are no retries of each other, those of one host are.
// Method: two hosts at once, then a second attempt on the first.
TEST_F(LedgerMerge, ToldApartPartsAndRetries) {
  run_on("node1", "shared", "a1", minutes{10}, true);
  run_on("node1", "shared", "a2", minutes{10}, false);
  run_on("node2", "shared", "b1", minutes{10}, false);
  merge("node1", "node2");
  std::vector<std::string> retries;
  for (const LineageEdge& edge : open("node1")->lineage(UtcTime::max()).edges) {
    if (edge.kind == EdgeKind::RetriedAs) {
      retries.push_back(sentence(edge));
    }
  }
  EXPECT_EQ(retries, std::vector<std::string>{"attempt:a1 retried_as attempt:a2"});
}

// Goal: a ledger of version 3 goes on as version 4, and an edge may name its old runs. Method: a
// file taken through the old steps only.
TEST_F(LedgerMerge, UpgradesVersion3) {
  const std::string path = make_empty_file();
  {
    ledger::Database database(path, false);
    make_version_3(database);
    database.execute(
        "INSERT INTO runs VALUES ('run1','vision','resnet','','ada',NULL,'run0','{}',0); COMMIT");
  }
  EXPECT_EQ(code_of([&] { (void)open_ledger(path, {.read_only = true}); }), "UnsupportedSchema");
  const std::unique_ptr<Ledger> ledger = open_ledger(path, {});
  ledger->add_lineage(example_lineage());
  EXPECT_EQ(ledger->lineage(UtcTime::max()).edges.size(), 4U);
  const VerifyReport report = ledger->verify();
  EXPECT_TRUE(report.is_clean()) << report.problems.at(0);
}

// Goal: what the audit chain of version 3 did not name is not let in by an upgrade. Method: a
// decision put in behind its back.
TEST_F(LedgerMerge, AnUpgradeFromVersion3ChainsNothing) {
  const std::string path = make_empty_file();
  {
    ledger::Database database(path, false);
    make_version_3(database);
    database.execute(
        "INSERT INTO budgets VALUES ('b','experiment',NULL,'lifetime','USD',1,'ada',0); "
        "INSERT INTO budget_requests VALUES ('r','b',NULL,1,0,'eve','',0,0); COMMIT");
  }
  const std::vector<std::string> problems = open_ledger(path, {})->verify().problems;
  EXPECT_TRUE(std::ranges::any_of(problems, [](const std::string& problem) {
    return problem.find("request r is not in it") != std::string::npos;
  }));
}

// Goal: a ledger of version 1 goes on as version 2 with its balances and open leases. Method: a
// file made by version 1's SQL with a budget, an open attempt and its lease.
TEST_F(LedgerMerge, UpgradesVersion1) {
  const std::string path = make_empty_file();
  {
    ledger::Database database(path, false);
    database.execute("PRAGMA journal_mode=WAL; BEGIN IMMEDIATE");
    ledger::create_schema_1(database);
    database.execute(R"sql(
INSERT INTO prices VALUES ('p','sku','test','','','','',1,'Standard','USD',24,0,0,0,'t','t',0);
INSERT INTO runs VALUES ('run1','vision','resnet','','ada',NULL,NULL,'{}',0);
INSERT INTO budgets VALUES ('b','experiment',NULL,'lifetime','USD',1,'ada',0);
INSERT INTO attempts VALUES ('a1','run1',1,'h','boot',1,1,'init','','','p',1,1,0,'',0,0,0);
INSERT INTO attempt_budgets VALUES ('a1',0,'b');
INSERT INTO budget_lines VALUES ('b/created/limit','b',NULL,'limit','available',10,0,'ada','',0);
INSERT INTO budget_lines VALUES ('a1/budget/2.1','b','a1','available','held',3,0,'finops','',0);
INSERT INTO budget_balances VALUES ('b',10,0,7,0,3,0,0,0,0,0);
INSERT INTO accounts VALUES ('a1','OPEN',2,0,0,3,0,0,0,0);
COMMIT;)sql");
  }
  EXPECT_EQ(code_of([&] { (void)open_ledger(path, {.read_only = true}); }), "UnsupportedSchema");
  const std::unique_ptr<Ledger> ledger = open_ledger(path, {});
  const VerifyReport report = ledger->verify();
  EXPECT_TRUE(report.is_clean()) << report.problems.at(0);
  const AttemptAccount after =
      ledger->settle({AttemptId{"a1"}, 2, seconds{150}, example_time(), Money::parse("3 USD")});
  EXPECT_EQ(after.held.value(), Money::parse("3 USD"));
  const BudgetSummary budget = ledger->budget(BudgetId{"b"}, example_time()).value();
  EXPECT_EQ(budget.accounts.spent, Money::parse("1 USD"));
  EXPECT_EQ(budget.terms.limit, Money::parse("10 USD"));
  EXPECT_TRUE(ledger->verify().is_clean());
}

}  // namespace
}  // namespace finops::testing
