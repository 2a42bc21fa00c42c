// ledger_conformance_lineage.hpp - what every backend has to do with what came from what.
//
// Owns: the tests of add_lineage and lineage, and what their tests share. Does not own: its own
// runs (ledger_conformance_own_work.hpp), which records are valid (test_record_lineage.cpp), what
// follows from them (genealogy). The attempts cost 24 USD/h.
#pragma once

#include <algorithm>
#include <set>

#include "ledger_conformance.hpp"

namespace finops::testing {

class LedgerLineage : public LedgerConformance {
 protected:
  void SetUp() override {  // nothing is in it yet
    store_ = GetParam().make_store();
    ledger_ = store_->open();
  }

  [[nodiscard]] LineageRecords all() { return ledger().lineage(UtcTime::max()); }

  static std::set<std::string> sentences(const LineageRecords& records) {
    std::set<std::string> words;
    for (const LineageEdge& edge : records.edges) {
      const bool is_new =
          words.insert(sentence(edge) + (edge.step ? " at " + std::to_string(*edge.step) : ""))
              .second;
      EXPECT_TRUE(is_new) << sentence(edge);
    }
    return words;
  }

  static std::set<std::string> node_ids(const LineageRecords& records) {
    std::set<std::string> ids;
    for (const LineageNode& node : records.nodes) {
      EXPECT_TRUE(ids.insert(node.node_id.str()).second) << node.node_id.str();
    }
    return ids;
  }

  static LineageNode node_of(const LineageRecords& records, const std::string& node_id) {
    const auto found = std::ranges::find_if(records.nodes, [&](const LineageNode& node) {
      return node.node_id.str() == node_id;
    });
    EXPECT_NE(found, records.nodes.end()) << node_id;
    return found == records.nodes.end() ? LineageNode{} : *found;
  }

  /// The last status of a node.
  static std::string status_of(const LineageRecords& records, const std::string& node_id) {
    std::string status = "none";
    for (const NodeStatus& known : records.statuses) {
      status = known.node_id.str() == node_id ? known.status : status;
    }
    return status;
  }

  void say(const std::string& subject, EdgeKind kind, const std::string& object,
           std::optional<std::int64_t> step = {}) {
    LineageRecords records;
    records.edges.push_back({NodeId{subject}, kind, NodeId{object}, step, example_time()});
    ledger().add_lineage(records);
  }

  void make_run(const std::string& run_id, const std::string& parent = "",
                const std::string& fork_of = "", const std::string& experiment = "resnet") {
    RunRecord run = example_run(run_id);
    run.experiment = experiment;
    run.parent_run_id = RunId{parent};
    run.fork_of = RunId{fork_of};
    ledger().add_run(run);
  }

  /// An attempt of so many minutes that started at `start` and ended with `status`.
  void make_attempt(const std::string& run_id, const std::string& attempt_id, UtcTime start,
                    std::int64_t minute_count, RunStatus status, const std::string& reason = "") {
    const PriceRow price = example_price("24 USD");
    ledger().add_price(price);
    AttemptRecord attempt = example_attempt(run_id, attempt_id);
    attempt.started_at.utc = start;
    attempt.price_id = is_priced_ ? price.price_id : PriceId{};
    ledger().add_attempt(attempt);
    const Nanoseconds length = std::chrono::minutes{minute_count};
    ledger().close({.attempt_id = attempt.attempt_id,
                    .epoch = 1,
                    .metered_until = length,
                    .gone_at = length,
                    .end = {.status = status, .reason = reason, .ended_at = start + length}});
  }

  bool is_priced_ = true;  ///< the attempts that make_attempt makes
};

// Goal: what is recorded comes back as it is, once, however often it is said. Method: one record
// of each kind, twice.
TEST_P(LedgerLineage, GivesBackWhatWasRecorded) {
  const LineageRecords said = example_lineage();
  ledger().add_lineage(said);
  ledger().add_lineage(said);
  const LineageRecords found = all();
  EXPECT_EQ(found.nodes, said.nodes);
  EXPECT_EQ(found.edges, said.edges);
  EXPECT_EQ(found.costs, said.costs);
  EXPECT_EQ(found.statuses, said.statuses);
  EXPECT_EQ(found.uses, said.uses);
  EXPECT_EQ(found.values, said.values);
  EXPECT_TRUE(found.unpriced.empty());
  EXPECT_TRUE(ledger().verify().is_clean());
}

// Goal: an empty ledger has no lineage. Method: a new one.
TEST_P(LedgerLineage, IsEmptyAtFirst) {
  EXPECT_TRUE(all().nodes.empty());
  ledger().add_lineage({});
  EXPECT_TRUE(all().edges.empty());
}

// Goal: a known id with other content is a Conflict, and nothing of that call is kept. Method: each
// field of each kind changed, with a new edge before it; the time of recording alone is no content.
TEST_P(LedgerLineage, RefusesOtherContent) {
  ledger().add_lineage(example_lineage());
  const auto conflicts = [&](auto change) {
    LineageRecords records = example_lineage();
    change(records);
    records.nodes.push_back({.node_id = NodeId{"dataset:new"}});
    return code_of([&] { ledger().add_lineage(records); }) == "Conflict" &&
           !node_ids(all()).contains("dataset:new");
  };
  EXPECT_TRUE(conflicts([](LineageRecords& it) { it.nodes[0].label = "N"; }));
  EXPECT_TRUE(conflicts([](LineageRecords& it) { it.nodes[0].user_name = "eve"; }));
  EXPECT_TRUE(conflicts([](LineageRecords& it) { it.nodes[0].cluster = "west"; }));
  EXPECT_TRUE(conflicts([](LineageRecords& it) { it.nodes[0].attributes = "{}"; }));
  EXPECT_TRUE(conflicts([](LineageRecords& it) { it.nodes[0].created_at = {}; }));
  EXPECT_TRUE(conflicts([](LineageRecords& it) { it.edges[0].step = 101; }));
  EXPECT_TRUE(conflicts([](LineageRecords& it) { it.costs[0].node_id = NodeId{"run:b"}; }));
  EXPECT_TRUE(conflicts([](LineageRecords& it) { it.costs[0].billed_cost = usd("25"); }));
  EXPECT_TRUE(conflicts([](LineageRecords& it) {
    it.costs[0].billed_cost = Money::parse("24.5 EUR");
  }));
  EXPECT_TRUE(conflicts([](LineageRecords& it) { it.costs[0].is_correction = true; }));
  EXPECT_TRUE(conflicts([](LineageRecords& it) {
    it.costs[0].charge_category = ChargeCategory::Tax;
  }));
  EXPECT_TRUE(conflicts([](LineageRecords& it) { it.costs[0].charge_period_start = {}; }));
  EXPECT_TRUE(conflicts([](LineageRecords& it) { it.costs[0].charge_period_end = {}; }));
  EXPECT_TRUE(conflicts([](LineageRecords& it) { it.statuses[0].why = "?"; }));
  EXPECT_TRUE(conflicts([](LineageRecords& it) { it.statuses[0].who = "eve"; }));
  EXPECT_TRUE(conflicts([](LineageRecords& it) { it.uses[0].quantity = 13; }));
  EXPECT_TRUE(conflicts([](LineageRecords& it) { it.uses[0].unit = "tokens"; }));
  EXPECT_TRUE(conflicts([](LineageRecords& it) { it.uses[0].node_id = NodeId{"model:n"}; }));
  EXPECT_TRUE(conflicts([](LineageRecords& it) { it.values[0].amount = usd("1"); }));
  EXPECT_TRUE(conflicts([](LineageRecords& it) { it.values[0].period = ValuePeriod::Year; }));
  EXPECT_TRUE(conflicts([](LineageRecords& it) { it.values[0].source = "guess"; }));
  EXPECT_TRUE(conflicts([](LineageRecords& it) { it.values[0].valid_to = {}; }));
  LineageRecords later = example_lineage();
  for (UtcTime* time :
       {&later.edges[0].recorded_at, &later.uses[0].recorded_at, &later.values[0].recorded_at}) {
    *time += std::chrono::hours{1};
  }
  EXPECT_NO_THROW(ledger().add_lineage(later));
  EXPECT_EQ(all().edges, example_lineage().edges) << "the first word stands";
}

// Goal: the same sentence with its step and without is one edge, in either order, and what was
// recorded first stands. Method: both orders, in two calls and in one; then another step.
TEST_P(LedgerLineage, TakesASentenceWithItsStepAndWithout) {
  say("run:a", EdgeKind::Produced, "model:m", 5);
  say("run:a", EdgeKind::Produced, "model:m");
  say("run:a", EdgeKind::Read, "dataset:d");
  say("run:a", EdgeKind::Read, "dataset:d", 5);
  LineageRecords both;
  for (const std::optional<std::int64_t> step : {std::optional<std::int64_t>{}, {7}}) {
    both.edges.push_back({NodeId{"run:b"}, EdgeKind::Read, NodeId{"dataset:d"}, step,
                          example_time()});
  }
  ledger().add_lineage(both);
  EXPECT_EQ(sentences(all()),
            (std::set<std::string>{"run:a produced model:m at 5", "run:a read dataset:d",
                                   "run:b read dataset:d"}));
  EXPECT_EQ(code_of([&] { say("run:a", EdgeKind::Produced, "model:m", 6); }), "Conflict");
}

// Goal: what cannot be kept is refused before anything is written. Method: one bad record of each
// kind behind a good node.
TEST_P(LedgerLineage, RefusesInvalidRecords) {
  const auto refused = [&](auto spoil) {
    LineageRecords records = example_lineage();
    spoil(records);
    return code_of([&] { ledger().add_lineage(records); }) == "InvalidArgument" &&
           all().nodes.empty();
  };
  EXPECT_TRUE(refused([](LineageRecords& it) { it.nodes[0].node_id = NodeId{"m"}; }));
  EXPECT_TRUE(refused([](LineageRecords& it) { it.edges[0].kind = EdgeKind::DeployedAs; }));
  EXPECT_TRUE(refused([](LineageRecords& it) { it.edges[0].step = -1; }));
  EXPECT_TRUE(refused([](LineageRecords& it) { it.costs[0].event_id = {}; }));
  EXPECT_TRUE(refused([](LineageRecords& it) { it.statuses[0].status = "DONE"; }));
  EXPECT_TRUE(refused([](LineageRecords& it) { it.uses[0].quantity = -1; }));
  EXPECT_TRUE(refused([](LineageRecords& it) { it.values[0].source.clear(); }));
  EXPECT_TRUE(refused([](LineageRecords& it) { it.unpriced.push_back(NodeId{"run:a"}); }));
}

// Goal: money beyond what a store holds is an Overflow, nothing is kept. Method: at the border and
// past it.
TEST_P(LedgerLineage, KeepsMoneyUpToTheBorder) {
  const Int128 most = static_cast<Int128>(INT64_MAX) * kPicosPerUnit + (kPicosPerUnit - 1);
  LineageRecords records;
  records.costs.push_back({.event_id = EventId{"c"}, .node_id = NodeId{"job:j"}});
  records.costs[0].billed_cost = Money::from_picos(most + 1, Currency("KRW"));
  EXPECT_EQ(code_of([&] { ledger().add_lineage(records); }), "Overflow");
  records.costs[0].is_correction = true;
  records.costs[0].billed_cost = Money::from_picos(-most, Currency("KRW"));
  ledger().add_lineage(records);
  EXPECT_EQ(all().costs, records.costs);
}

// Goal: a cycle is refused with its path, and nothing of it is kept. Method: cycles over recorded
// sentences, over nesting, forks, retries and checkpoints of the ledger's own, and long ones.
TEST_P(LedgerLineage, RefusesCyclesWithTheirPath) {
  make_run("sweep");
  make_run("trial", "sweep");
  make_run("fork", "", "trial");
  make_attempt("trial", "t-1", example_time(), 60, RunStatus::PAUSED);
  make_attempt("trial", "t-2", example_time() + std::chrono::hours{2}, 60, RunStatus::FINISHED);
  ledger().add_checkpoint({RunId{"trial"}, AttemptId{"t-2"}, 1, 50, "/one", example_time()});
  say("run:trial", EdgeKind::Produced, "model:m");
  say("run:trial", EdgeKind::Read, "dataset:d");
  const auto refusal = [&](const std::string& subject, EdgeKind kind, const std::string& object) {
    EXPECT_EQ(code_of([&] { say(subject, kind, object); }), "InvalidArgument")
        << subject << " " << object;
    return message_of([&] { say(subject, kind, object); });
  };
  EXPECT_EQ(refusal("run:trial", EdgeKind::Read, "model:m"),
            "'run:trial read model:m' closes a cycle: run:trial needs model:m, which needs "
            "run:trial; give the new version a name of its own, such as model:m@2");
  EXPECT_EQ(refusal("run:sweep", EdgeKind::Produced, "dataset:d"),
            "'run:sweep produced dataset:d' closes a cycle: dataset:d needs run:sweep, which needs "
            "run:trial, which needs dataset:d; give the new version a name of its own, such as "
            "dataset:d@2");
  EXPECT_NE(refusal("run:trial", EdgeKind::ForkedFrom, "run:fork").find("leave out the sentence"),
            std::string::npos);
  refusal("run:fork", EdgeKind::Produced, "dataset:d");
  refusal("attempt:t-2", EdgeKind::RetriedAs, "attempt:t-1");
  say("attempt:t-2", EdgeKind::Produced, "dataset:late");
  refusal("attempt:t-1", EdgeKind::Read, "dataset:late");
  refusal("attempt:t-1", EdgeKind::Read, "checkpoint:t-2/1");
  EXPECT_EQ(all().edges.size(), sentences(all()).size());
  EXPECT_FALSE(sentences(all()).contains("run:trial read model:m"));
  EXPECT_NO_THROW(say("run:fork", EdgeKind::Read, "model:m"));
}

// Goal: a path as long as a ledger is walked without recursion, in any order of import, and its
// cycle is found. Method: a chain of 20,000 jobs in a seeded order in one call, then the last link.
TEST_P(LedgerLineage, WalksLongPathsInAnyOrder) {
  constexpr int kLength = 20'000;
  std::vector<int> order(kLength);
  for (int i = 0; i < kLength; ++i) {
    order[static_cast<std::size_t>(i)] = i;
  }
  std::mt19937_64 engine(test_seed());
  std::shuffle(order.begin(), order.end(), engine);
  LineageRecords chain;
  for (const int i : order) {
    chain.edges.push_back({NodeId{"job:" + std::to_string(i)},
                           EdgeKind::RetriedAs,
                           NodeId{"job:" + std::to_string(i + 1)},
                           {},
                           {}});
  }
  ledger().add_lineage(chain);
  EXPECT_EQ(all().edges.size(), chain.edges.size());
  const auto close = [&] { say("job:" + std::to_string(kLength), EdgeKind::RetriedAs, "job:0"); };
  EXPECT_EQ(code_of(close), "InvalidArgument");
  const std::string message = message_of(close);
  EXPECT_NE(message.find("more)"), std::string::npos);
  EXPECT_LT(message.size(), 4'000U);
}

// Goal: many edges around one node are checked like few: what goes round is refused with its path,
// and nothing of it is kept, wherever it stands in the batch. Method: a sweep of 400 trials that
// 400 others fork, which would read the sweep for each; then one that closes a cycle, over recorded
// sentences and over the ledger's own runs, attempts and checkpoints.
TEST_P(LedgerLineage, RefusesACycleAmongManyEdges) {
  make_run("sweep");
  make_run("trial", "sweep");
  make_attempt("trial", "t-1", example_time(), 60, RunStatus::PAUSED);
  make_attempt("trial", "t-2", example_time() + std::chrono::hours{2}, 60, RunStatus::FINISHED);
  LineageRecords many;
  const auto add = [&many](const std::string& subject, EdgeKind kind, const std::string& object) {
    many.edges.push_back({NodeId{subject}, kind, NodeId{object}, {}, {}});
  };
  for (int i = 0; i < 400; ++i) {
    const std::string number = std::to_string(i);
    add("run:t" + number, EdgeKind::NestedIn, "run:sweep");
    add("job:p" + number, EdgeKind::Produced, "dataset:" + number);
    add("run:t" + number, EdgeKind::Read, "dataset:" + number);
    add("run:f" + number, EdgeKind::NestedIn, "run:final");
    add("run:f" + number, EdgeKind::ForkedFrom, "run:sweep");
  }
  const LineageRecords good = many;
  const std::size_t before = all().edges.size();
  const auto refusal = [&](const LineageEdge& bad, std::size_t place) {
    many = good;
    many.edges.insert(many.edges.begin() + static_cast<std::ptrdiff_t>(place), bad);
    EXPECT_EQ(code_of([&] { ledger().add_lineage(many); }), "InvalidArgument");
    EXPECT_EQ(all().edges.size(), before);
    return message_of([&] { ledger().add_lineage(many); });
  };
  const LineageEdge loop{NodeId{"job:p399"}, EdgeKind::Read, NodeId{"dataset:399"}, {}, {}};
  EXPECT_NE(refusal(loop, 0).find("closes a cycle: job:p399 needs dataset:399, which needs"),
            std::string::npos);
  EXPECT_NE(refusal(loop, good.edges.size()).find("dataset:399"), std::string::npos);
  const auto own = [](const char* subject, EdgeKind kind, const char* object) {
    return LineageEdge{NodeId{subject}, kind, NodeId{object}, {}, {}};
  };
  refusal(own("run:final", EdgeKind::NestedIn, "run:trial"), good.edges.size());
  refusal(own("attempt:t-2", EdgeKind::RetriedAs, "attempt:t-1"), good.edges.size());
  refusal(own("attempt:t-1", EdgeKind::Read, "checkpoint:t-2/1"), good.edges.size());
  ledger().add_lineage(good);
  EXPECT_EQ(all().edges.size(), before + good.edges.size());
}

// Goal: names may be any text: nothing is taken for SQL or for a pattern. Method: names with
// quotes, wildcards, right-to-left text and emoji; projects that no node may be called.
TEST_P(LedgerLineage, TakesAnyName) {
  for (const char* name : {"'; DROP TABLE runs; --", "%", "_", "\u05d3\u05d2\u05dd", "e\u0301",
                           "\U0001F469\u200d\U0001F680", "a:b/c d"}) {
    LineageRecords records;
    records.nodes.push_back({.node_id = make_node_id(NodeKind::Dataset, name)});
    records.edges.push_back(
        {NodeId{"run:r"}, EdgeKind::Read, records.nodes[0].node_id, {}, example_time()});
    ledger().add_lineage(records);
    EXPECT_EQ(node_of(all(), "dataset:" + std::string(name)).node_id, records.nodes[0].node_id);
  }
  RunRecord run = example_run("r");
  run.project = " a/b\n";
  run.experiment = std::string(300, 'x');
  ledger().add_run(run);
  const LineageRecords found = all();
  EXPECT_TRUE(sentences(found).contains("run:r nested_in " +
                                        experiment_node_id(run.project, run.experiment).str()));
  for (const LineageNode& node : found.nodes) {
    EXPECT_NO_THROW((void)parse_node_id(node.node_id.str()));
  }
}

}  // namespace finops::testing
