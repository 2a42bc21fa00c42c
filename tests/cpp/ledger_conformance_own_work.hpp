// ledger_conformance_own_work.hpp - what every backend has to say of its own runs in a lineage.
//
// Owns: the tests of nodes, sentences and costs that come from runs, attempts and checkpoints. Does
// not own: what people record (ledger_conformance_lineage.hpp).
#pragma once

#include <algorithm>
#include <map>
#include <set>

#include "ledger_conformance_lineage.hpp"

namespace finops::testing {

// Goal: a run's cost is never counted twice, and its facts are the ledger's. Method: cost and node
// of a run and an attempt that are here, of some that are not, and of an experiment.
TEST_P(LedgerLineage, KeepsItsOwnWorkApart) {
  make_run("a");
  make_attempt("a", "a-1", example_time(), 60, RunStatus::FINISHED);
  for (const char* node_id : {"run:a", "attempt:a-1"}) {
    LineageRecords records;
    records.nodes.push_back({.node_id = NodeId{node_id}, .label = "mine"});
    EXPECT_EQ(code_of([&] { ledger().add_lineage(records); }), "Conflict") << node_id;
    records.nodes.clear();
    records.costs.push_back({.event_id = EventId{"c"}, .node_id = NodeId{node_id}});
    EXPECT_EQ(code_of([&] { ledger().add_lineage(records); }), "Conflict") << node_id;
  }
  LineageRecords others;
  others.nodes.push_back({.node_id = NodeId{"run:elsewhere"}, .label = "theirs"});
  others.nodes.push_back({.node_id = NodeId{"experiment:vision/resnet"}, .label = "ResNet"});
  others.costs.push_back({.event_id = EventId{"c"}, .node_id = NodeId{"run:elsewhere"}});
  ledger().add_lineage(others);
  EXPECT_EQ(node_of(all(), "experiment:vision/resnet").label, "ResNet");
  make_run("elsewhere");
  EXPECT_EQ(node_of(all(), "run:elsewhere").label, "") << "the run's own word";
}

// Goal: runs become nodes and sentences without anybody's doing. Method: a sweep with two trials,
// a part in another experiment, a fork, and a run that paused and went on from its checkpoint.
TEST_P(LedgerLineage, TellsWhatTheLedgerKnows) {
  const UtcTime start = example_time();
  make_run("sweep");
  make_run("trial", "sweep");
  make_run("eval", "sweep", "", "evaluation");
  make_run("fork", "", "trial");
  say("run:fork", EdgeKind::ForkedFrom, "run:trial", 100);
  make_attempt("trial", "t-1", start, 60, RunStatus::PAUSED, "budget");
  ledger().add_checkpoint({RunId{"trial"}, AttemptId{"t-1"}, 1, 50, "/one", start});
  ledger().add_checkpoint({RunId{"trial"}, AttemptId{"t-1"}, 2, 90, "/two", start});
  make_attempt("trial", "t-2", start + std::chrono::hours{2}, 30, RunStatus::FINISHED);
  const LineageRecords found = all();
  EXPECT_EQ(sentences(found),
            (std::set<std::string>{
                "experiment:vision/resnet nested_in project:vision",
                "experiment:vision/evaluation nested_in project:vision",
                "run:sweep nested_in experiment:vision/resnet", "run:trial nested_in run:sweep",
                "run:eval nested_in experiment:vision/evaluation", "run:eval nested_in run:sweep",
                "run:fork nested_in experiment:vision/resnet",
                "run:fork forked_from run:trial at 100", "attempt:t-1 nested_in run:trial",
                "attempt:t-2 nested_in run:trial", "attempt:t-1 retried_as attempt:t-2",
                "attempt:t-2 read checkpoint:t-1/2", "attempt:t-1 produced checkpoint:t-1/1 at 50",
                "attempt:t-1 produced checkpoint:t-1/2 at 90"}));
  EXPECT_EQ(node_ids(found),
            (std::set<std::string>{"project:vision", "experiment:vision/resnet",
                                   "experiment:vision/evaluation", "run:sweep", "run:trial",
                                   "run:eval", "run:fork", "attempt:t-1", "attempt:t-2",
                                   "checkpoint:t-1/1", "checkpoint:t-1/2"}));
  EXPECT_EQ(node_of(found, "attempt:t-1").cluster, "node1");
  EXPECT_EQ(node_of(found, "attempt:t-1").user_name, "ada");
  EXPECT_EQ(node_of(found, "attempt:t-2").created_at, start + std::chrono::hours{2});
  EXPECT_EQ(status_of(found, "attempt:t-1"), "PAUSED");
  EXPECT_EQ(status_of(found, "run:trial"), "FINISHED");
  EXPECT_EQ(status_of(found, "run:sweep"), "none");
}

// Goal: the cost of each attempt is what was metered, and unknown is never zero. Method: two
// attempts with a price, of which one waits for it, one without, and one that a stop preempted.
TEST_P(LedgerLineage, CountsWhatWasMetered) {
  make_run("a");
  make_attempt("a", "a-1", example_time(), 60, RunStatus::KILLED, "Preempted by a larger job");
  is_priced_ = false;
  make_attempt("a", "a-2", example_time(), 30, RunStatus::KILLED, "silent");
  const LineageRecords before = all();
  ASSERT_EQ(before.costs.size(), 1U);
  EXPECT_EQ(before.costs[0].event_id.str(), "a-1/metered/USD");
  EXPECT_EQ(before.costs[0].node_id.str(), "attempt:a-1");
  EXPECT_EQ(before.costs[0].billed_cost, usd("24"));
  EXPECT_EQ(before.unpriced, std::vector<NodeId>{NodeId{"attempt:a-2"}});
  EXPECT_EQ(status_of(before, "attempt:a-1"), "PREEMPTED");
  EXPECT_EQ(status_of(before, "attempt:a-2"), "KILLED");
  ledger().price_attempt(AttemptId{"a-2"}, example_price("24 USD"), 1, 1);
  const LineageRecords after = all();
  EXPECT_EQ(after.costs.size(), 2U);
  EXPECT_TRUE(after.unpriced.empty());
}

// Goal: a cost that may still grow is never taken for one that stands. Method: an attempt that is
// metered twice and then closed; its past is looked at too, and the last word is the same again.
TEST_P(LedgerLineage, NamesCostThatStillGrowsByItsEnd) {
  make_run("a");
  const PriceRow price = example_price("24 USD");
  ledger().add_price(price);
  AttemptRecord attempt = example_attempt("a", "a-1");
  attempt.started_at.utc = example_time();
  attempt.price_id = price.price_id;
  ledger().add_attempt(attempt);
  std::set<std::string> ids;
  std::int64_t epoch = 1;
  for (const int minute_count : {10, 20}) {
    const Nanoseconds elapsed = std::chrono::minutes{minute_count};
    epoch = ledger()
                .settle({.attempt_id = attempt.attempt_id,
                         .epoch = epoch,
                         .elapsed = elapsed,
                         .now = example_time() + elapsed,
                         .wanted_hold = std::nullopt})
                .epoch;
    const std::vector<LineageCost> costs = all().costs;
    ASSERT_EQ(costs.size(), 1U);
    EXPECT_EQ(costs[0].event_id.str().rfind("a-1/metered/USD@", 0), 0U) << costs[0].event_id.str();
    EXPECT_TRUE(ids.insert(costs[0].event_id.str()).second);
  }
  const Nanoseconds length = std::chrono::minutes{30};
  ledger().close(
      {.attempt_id = attempt.attempt_id,
       .epoch = epoch,
       .metered_until = length,
       .gone_at = length,
       .end = {.status = RunStatus::FINISHED, .reason = "", .ended_at = example_time() + length}});
  EXPECT_EQ(all().costs.at(0).event_id.str(), "a-1/metered/USD");
  EXPECT_EQ(all().costs.at(0).billed_cost, usd("12"));
  const std::vector<LineageCost> past = ledger().lineage(example_time() + length / 2).costs;
  ASSERT_EQ(past.size(), 1U);
  EXPECT_TRUE(ids.contains(past[0].event_id.str())) << past[0].event_id.str();
}

// Goal: what use cost stands once it is settled, and what takes some of it back is a cost by
// itself. Method: a correction and a credit after the end.
TEST_P(LedgerLineage, KeepsCorrectionsApart) {
  make_run("a");
  make_attempt("a", "a-1", example_time(), 60, RunStatus::FINISHED);
  Charge back;
  back.attempt_id = AttemptId{"a-1"};
  back.charge_period_start = example_time();
  back.charge_period_end = example_time() + std::chrono::hours{1};
  back.event_id = EventId{"fix"};
  back.is_correction = true;
  back.billed_cost = back.effective_cost = usd("-4");
  Charge credit = back;
  credit.event_id = EventId{"credit"};
  credit.is_correction = false;
  credit.charge_category = ChargeCategory::Credit;
  ledger().append(std::vector<Charge>{back, credit});
  std::map<std::string, Money> costs;
  for (const LineageCost& cost : all().costs) {
    costs.emplace(cost.event_id.str() + (cost.is_correction ? " back" : ""), cost.billed_cost);
  }
  EXPECT_EQ(costs, (std::map<std::string, Money>{{"a-1/metered/USD", usd("24")},
                                                 {"fix back", usd("-4")},
                                                 {"credit back", usd("-4")}}));
}

// Goal: what is told of a running attempt is not recorded elsewhere, where it would add up.
TEST_P(LedgerLineage, RecordsNoCostThatStillGrows) {
  LineageRecords records;
  records.costs.push_back({.event_id =
                               growing_cost_id(AttemptId{"x-1"}, Currency::usd(), example_time()),
                           .node_id = NodeId{"attempt:x-1"},
                           .billed_cost = usd("12")});
  EXPECT_EQ(code_of([&] { ledger().add_lineage(records); }), "InvalidArgument");
  EXPECT_TRUE(all().costs.empty());
  records.costs[0].event_id = metered_cost_id(AttemptId{"x-1"}, Currency::usd());
  ledger().add_lineage(records);
  EXPECT_EQ(all().costs.size(), 1U);
}

// Goal: a part needs nothing of what it is nested in, however deep. Method: forks of the run itself
// around it, of the one around that, and of one beside them.
TEST_P(LedgerLineage, APartNeedsNothingOfWhatIsAroundIt) {
  make_run("all");
  make_run("sweep", "all");
  make_run("beside");
  make_run("one", "sweep", "sweep");
  make_run("two", "sweep", "all");
  make_run("three", "sweep", "beside");
  std::vector<std::string> forks;
  for (const LineageEdge& edge : all().edges) {
    if (edge.kind == EdgeKind::ForkedFrom) {
      forks.push_back(sentence(edge));
    }
  }
  EXPECT_EQ(forks, std::vector<std::string>{"run:three forked_from run:beside"});
  say("run:two", EdgeKind::Read, "dataset:d");  // no way round from "all" through "two"
  say("run:beside", EdgeKind::Produced, "dataset:d");
  say("run:beside", EdgeKind::Read, "model:of-three");
  EXPECT_EQ(code_of([&] { say("run:three", EdgeKind::Produced, "model:of-three"); }),
            "InvalidArgument");
}

// Goal: the past stays as it was. Method: the time moves over a run's start and end and over what
// was recorded; each is asked for at its own time (not there yet) and just after.
TEST_P(LedgerLineage, ShowsAnEarlierTime) {
  const UtcTime start = example_time();
  const UtcTime end = start + std::chrono::hours{1};
  make_run("a");
  make_attempt("a", "a-1", start, 60, RunStatus::FINISHED);
  LineageRecords records = example_lineage();
  ledger().add_lineage(records);
  EXPECT_TRUE(ledger().lineage(start).nodes.empty());
  EXPECT_TRUE(ledger().lineage(start).edges.empty());
  EXPECT_EQ(ledger().lineage(start).costs.size(), 1U) << "its period has ended";
  const LineageRecords running = ledger().lineage(start + Nanoseconds{1});
  EXPECT_EQ(status_of(running, "attempt:a-1"), "RUNNING");
  EXPECT_EQ(running.costs.size(), 1U);
  EXPECT_EQ(running.uses.size() + running.values.size(), 2U);
  EXPECT_EQ(status_of(ledger().lineage(end), "run:a"), "RUNNING");
  EXPECT_EQ(ledger().lineage(end).costs.size(), 2U) << "a period excludes its end";
  EXPECT_EQ(status_of(ledger().lineage(end + Nanoseconds{1}), "run:a"), "FINISHED");
}

}  // namespace finops::testing
