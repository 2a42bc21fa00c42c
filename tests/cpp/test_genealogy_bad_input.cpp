// test_genealogy_bad_input.cpp - what is wrong, strange or very large, and what becomes of it.
#include <gtest/gtest.h>

#include "genealogy_support.hpp"

namespace finops::testing {
namespace {

using genealogy::Direction;
using genealogy::Genealogy;
using genealogy::RecordKind;
using genealogy::Refusal;
using Lines = std::vector<std::string>;

constexpr Int128 kLargest = ((Int128{1} << 126) - 1) + (Int128{1} << 126);

// --- cycles --------------------------------------------------------------------------------------

// Goal: of a cycle the sentence given last is refused, with the path in names; the rest counts.
// Method: a cycle of three, between sentences that are right.
TEST(GenealogyBadInput, ACycleIsRefusedWithItsPath) {
  LineageBuilder lineage;
  lineage.edge("run:a read model:x").edge("run:b produced model:x").edge("run:b read dataset:d");
  lineage.edge("run:a nested_in run:b").edge("run:b read dataset:later");
  lineage.cost("run:a", "1 USD").cost("run:b", "2 USD").cost("dataset:later", "4 USD");
  Genealogy graph(Currency::usd());
  const std::vector<Refusal> refusals = graph.add(lineage.records);
  ASSERT_EQ(refusals.size(), 1U);
  EXPECT_EQ(refusals[0],
            (Refusal{RecordKind::Edge, 3, "run:a nested_in run:b",
                     "it closes a cycle: run:b has the part run:a, run:a read model:x, model:x was "
                     "produced by run:b; take back the one that is wrong"}));
  EXPECT_EQ(graph.full_cost(id("run:a")).total(), usd("7"));
  EXPECT_EQ(graph.edge_count(), 4U);
  EXPECT_EQ(graph.add(lineage.records).size(), 1U) << "given again, it is refused again";
  EXPECT_EQ(graph.edge_count(), 4U);
  EXPECT_EQ(graph.full_cost(id("run:a")).total(), usd("7"));
}

// Goal: a cycle is found in whatever calls its sentences come. Method: one call each.
TEST(GenealogyBadInput, ACycleOverSeveralCallsIsRefused) {
  Genealogy graph(Currency::usd());
  for (const std::string edge : {"run:b forked_from run:a", "run:c forked_from run:b"}) {
    EXPECT_TRUE(graph.add(LineageBuilder().edge(edge).records).empty());
  }
  const auto refusals = graph.add(LineageBuilder().edge("run:a forked_from run:c").records);
  ASSERT_EQ(refusals.size(), 1U);
  EXPECT_EQ(refusals[0].reason,
            "it closes a cycle: run:a forked from run:c, run:c forked from run:b, run:b forked "
            "from run:a; take back the one that is wrong");
}

TEST(GenealogyBadInput, ALongCycleIsToldByItsEnds) {
  LineageBuilder lineage;
  constexpr int kCount = 1'000;
  for (int i = 0; i < kCount; ++i) {
    lineage.edge("run:" + std::to_string(i) +
                 " forked_from run:" + std::to_string((i + 1) % kCount));
  }
  Genealogy graph(Currency::usd());
  const std::vector<Refusal> refusals = graph.add(lineage.records);
  ASSERT_EQ(refusals.size(), 1U);
  EXPECT_EQ(refusals[0].position, 999U);
  EXPECT_NE(refusals[0].reason.find("run:999 forked from run:0, run:0 forked from run:1, "),
            std::string::npos)
      << refusals[0].reason;
  EXPECT_NE(refusals[0].reason.find(", (984 more), "), std::string::npos) << refusals[0].reason;
  EXPECT_LT(refusals[0].reason.size(), 1'000U);
}

// --- wrong records -------------------------------------------------------------------------------

// Goal: each wrong record is told by itself, and the right ones beside it count. Method: one of
// each between two right ones.
TEST(GenealogyBadInput, AWrongRecordIsToldAndTheRestCounts) {
  LineageRecords records;
  records.nodes = {{.node_id = id("run:a")},
                   {.node_id = id("walk:b")},
                   {.node_id = id("run: c")},
                   {.node_id = id("run:d"), .attributes = "[1]"}};
  LineageBuilder edges;
  edges.edge("run:a read dataset:x").edge("dataset:x read run:a").edge("run:a forked_from run:a");
  edges.edge("run:a read dataset:y", -5);
  records.edges = edges.records.edges;
  records.costs = {{.event_id = EventId{"1"}, .node_id = id("run:a"), .billed_cost = usd("3")},
                   {.event_id = EventId{""}, .node_id = id("run:a"), .billed_cost = usd("3")},
                   {.event_id = EventId{"2"}, .node_id = id("a"), .billed_cost = usd("3")}};
  records.statuses = {{.node_id = id("run:a"), .status = "DONE"}};
  records.uses = {{.event_id = EventId{"3"}, .node_id = id("model:m"), .quantity = -1}};
  records.values = {{.value_id = EventId{"4"}, .node_id = id("run:a"), .source = "somebody"}};
  records.unpriced = {id("nothing")};
  Genealogy graph(Currency::usd());
  Lines refused;
  for (const Refusal& refusal : graph.add(records)) {
    refused.push_back(std::to_string(static_cast<int>(refusal.record_kind)) + "." +
                      std::to_string(refusal.position) + " " + refusal.record);
    EXPECT_FALSE(refusal.reason.empty());
  }
  EXPECT_EQ(refused,
            (Lines{"0.1 walk:b", "0.2 run: c", "0.3 run:d", "1.1 dataset:x read run:a",
                   "1.2 run:a forked_from run:a", "1.3 run:a read dataset:y", "2.1 cost  of run:a",
                   "2.2 cost 2 of a", "3.0 status DONE of run:a", "4.0 use 3 of model:m",
                   "5.0 value 4 of run:a", "6.0 unpriced nothing"}));
  EXPECT_EQ(texts(graph.node_ids()), (Lines{"run:a", "dataset:x"})) << "wrong ones leave nothing";
  EXPECT_EQ(graph.full_cost(id("run:a")).total(), usd("3"));
}

TEST(GenealogyBadInput, WhatIsNoTextIsToldAsText) {
  Genealogy graph(Currency::usd());
  LineageRecords records;
  records.nodes.push_back({.node_id = NodeId{"run:\xff\n" + std::string(1'000, 'x')}});
  const std::vector<Refusal> refusals = graph.add(records);
  ASSERT_EQ(refusals.size(), 1U);
  EXPECT_EQ(refusals[0].record.substr(0, 10), "run:??xxxx");
  EXPECT_LE(refusals[0].record.size(), 80U);
}

// Goal: a node's facts never change; the message names the field. Method: one field moves.
TEST(GenealogyBadInput, TheSameIdWithOtherFactsIsRefused) {
  const LineageNode known{.node_id = id("run:a"),
                          .label = "first",
                          .user_name = "ada",
                          .cluster = "c1",
                          .attributes = R"({"lr":1})",
                          .created_at = at(0)};
  struct Case {
    LineageNode given;
    const char* expected;
  };
  std::vector<Case> cases(6, {known, ""});
  cases[0].given.label = "second";
  cases[0].expected = "label: known 'first', given 'second'";
  cases[1].given.user_name = "";
  cases[1].expected = "user_name: known 'ada', given ''";
  cases[2].given.cluster = std::string(79, 'x') + "\u00e9\u00e9";
  cases[2].expected =
      "cluster: known 'c1', given 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
      "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...'";
  cases[3].given.attributes = R"({"lr":2})";
  cases[3].expected = R"(attributes: known '{"lr":1}', given '{"lr":2}')";
  cases[4].given.created_at = at(1);
  cases[4].expected = "created_at: known 2026-05-12T12:00:00Z, given 2026-05-12T12:00:01Z";
  cases[5].given.attributes = "{ \"lr\" : 1 }";  // the same, written otherwise
  for (const Case& c : cases) {
    LineageRecords records;
    records.nodes = {known, c.given, known};
    Genealogy graph(Currency::usd());
    const std::vector<Refusal> refusals = graph.add(records);
    const std::string expected(c.expected);
    ASSERT_EQ(refusals.size(), expected.empty() ? 0U : 1U) << expected;
    if (!expected.empty()) {
      EXPECT_EQ(refusals[0].position, 1U);
      EXPECT_NE(refusals[0].reason.find("(" + expected + ")"), std::string::npos)
          << refusals[0].reason;
    }
    EXPECT_EQ(graph.node(id("run:a")).label, "first");
  }
}

// Goal: nodes that only others name count, are listed, and get their facts later. Method: one edge
// before its nodes.
TEST(GenealogyBadInput, ANodeMayComeAfterWhatNamesIt) {
  LineageBuilder first;
  first.edge("run:a read dataset:d").cost("dataset:d", "2 USD").status("model:m", "ACTIVE");
  Genealogy graph = graph_of(first.records);
  EXPECT_EQ(texts(graph.pending()), (Lines{"run:a", "dataset:d", "model:m"}));
  EXPECT_EQ(graph.full_cost(id("run:a")).total(), usd("2"));
  EXPECT_TRUE(graph.add(LineageBuilder().node("dataset:d", at(0)).records).empty());
  EXPECT_EQ(texts(graph.pending()), (Lines{"run:a", "model:m"}));
  EXPECT_EQ(graph.node(id("dataset:d")).created_at, at(0));
}

TEST(GenealogyBadInput, TheSameAgainIsNoMore) {
  LineageBuilder lineage;
  lineage.node("run:a").edge("run:a read dataset:d", 3).cost("run:a", "2 USD");
  lineage.status("run:a", "FAILED", at(0)).unpriced("run:a");
  Genealogy graph = graph_of(lineage.records);
  EXPECT_TRUE(graph.add(lineage.records).empty());
  EXPECT_EQ(graph.edge_count(), 1U);
  EXPECT_EQ(graph.total_cost().total(), usd("2"));
}

// Goal: a sentence's step does not change; one that was not known is filled in. Method: the same
// sentence with no step, a step, another step.
TEST(GenealogyBadInput, ASentenceHasOneStep) {
  Genealogy graph(Currency::usd());
  const auto add = [&](std::optional<std::int64_t> step) {
    return graph.add(LineageBuilder().edge("run:b forked_from run:a", step).records);
  };
  EXPECT_TRUE(add({}).empty());
  EXPECT_TRUE(add(7).empty());
  EXPECT_TRUE(add({}).empty());
  const std::vector<Refusal> refusals = add(8);
  ASSERT_EQ(refusals.size(), 1U);
  EXPECT_NE(refusals[0].reason.find("step: known 7, given 8"), std::string::npos);
  EXPECT_EQ(graph.tree(id("run:b"), Direction::Upstream, {})[1].step, 7);
}

// --- money ---------------------------------------------------------------------------------------

// Goal: one event is one cost, whatever else is said under its id later. Method: one field moves.
TEST(GenealogyBadInput, TheSameEventWithOtherContentIsRefused) {
  const LineageCost known{.event_id = EventId{"e"},
                          .node_id = id("run:a"),
                          .billed_cost = usd("3"),
                          .charge_period_start = at(0),
                          .charge_period_end = at(1)};
  std::vector<LineageCost> others(6, known);
  others[0].node_id = id("run:b");
  others[1].billed_cost = Money::parse("3 EUR");
  others[2].charge_category = ChargeCategory::Tax;
  others[3].is_correction = true;
  others[4].charge_period_start = at(-1);
  others[5].charge_period_end = at(2);
  for (const LineageCost& other : others) {
    LineageRecords records;
    records.costs = {known, other, known};
    Genealogy graph(Currency::usd());
    const std::vector<Refusal> refusals = graph.add(records);
    ASSERT_EQ(refusals.size(), 1U);
    EXPECT_EQ(refusals[0].position, 1U);
    EXPECT_NE(refusals[0].reason.find("(3 USD of run:a)"), std::string::npos);
    EXPECT_EQ(graph.total_cost().total(), usd("3"));
    EXPECT_EQ(graph.node_count(), 1U);
  }
}

// Goal: an amount past the range is refused, and what was there stays. Method: twice the largest.
TEST(GenealogyBadInput, ACostThatLeavesTheRangeIsRefused) {
  for (const Currency currency : {Currency::usd(), Currency("EUR")}) {
    LineageBuilder lineage;
    lineage.cost("run:a", "1 USD").cost("run:a", "1 USD").cost("run:a", "1 USD");
    lineage.records.costs[0].billed_cost = Money::from_picos(kLargest, currency);
    lineage.records.costs[1].billed_cost = Money::from_picos(1, currency);
    Genealogy graph(Currency::usd());
    const std::vector<Refusal> refusals = graph.add(lineage.records);
    ASSERT_EQ(refusals.size(), currency == Currency::usd() ? 2U : 1U);
    EXPECT_EQ(refusals[0].position, 1U);
  }
}

// Goal: sums that leave the range say so and are never wrong. Method: two nodes with the largest
// amount.
TEST(GenealogyBadInput, ASumThatLeavesTheRangeIsAnError) {
  LineageBuilder lineage;
  lineage.edge("run:a read dataset:d").cost("run:a", "1 USD").cost("dataset:d", "1 USD");
  for (LineageCost& cost : lineage.records.costs) {
    cost.billed_cost = Money::from_picos(kLargest, Currency::usd());
  }
  const Genealogy graph = graph_of(lineage.records);
  EXPECT_EQ(graph.full_cost(id("dataset:d")).total().picos(), kLargest);
  EXPECT_EQ(code_of([&] { (void)graph.full_cost(id("run:a")); }), "Overflow");
  EXPECT_EQ(code_of([&] { (void)graph.total_cost(); }), "Overflow");
  EXPECT_EQ(code_of([&] { (void)graph.tree(id("run:a"), Direction::Upstream, {}); }), "Overflow");
}

// --- names ---------------------------------------------------------------------------------------

TEST(GenealogyBadInput, NamesMayBeAnyText) {
  LineageRecords records;
  const std::vector<std::string> names{"\u00e9", "e\u0301", "\u202eevil",   "\U0001F680",
                                       "a b",    "a:b",     "\u4e2d\u6587", std::string(400, 'x')};
  for (const std::string& name : names) {
    records.costs.push_back({.event_id = EventId{name},
                             .node_id = NodeId{"model:" + name},
                             .billed_cost = usd("1")});
  }
  const Genealogy graph = graph_of(records);
  EXPECT_EQ(graph.node_count(), names.size());
  for (const std::string& name : names) {
    EXPECT_EQ(graph.full_cost(NodeId{"model:" + name}).total(), usd("1")) << name;
  }
}

// Goal: a misspelt name finds what was meant. Method: one kind of slip each.
TEST(GenealogyBadInput, AnUnknownNodeIsToldWithTheNearest) {
  LineageBuilder lineage;
  lineage.node("model:resnet-v2").node("model:resnet-v3").node("run:bert").node("run:bert-large-1");
  const Genealogy graph = graph_of(lineage.records);
  const std::vector<std::pair<const char*, const char*>> cases{
      {"run:resnet-v2", "no node 'run:resnet-v2' in the graph; did you mean model:resnet-v2?"},
      {"model:resnt-v2",
       "no node 'model:resnt-v2' in the graph; did you mean model:resnet-v2 or model:resnet-v3?"},
      {"run:bert-lar", "no node 'run:bert-lar' in the graph; did you mean run:bert-large-1?"},
      {"run:k3v9",
       "no node 'run:k3v9' in the graph; a node is its kind, a colon and its name, such "
       "as model:resnet-v2"},
      {"",
       "no node '' in the graph; a node is its kind, a colon and its name, such as "
       "model:resnet-v2"},
  };
  for (const auto& [asked, expected] : cases) {
    EXPECT_EQ(message_of([&] { (void)graph.full_cost(id(asked)); }), expected);
    EXPECT_EQ(code_of([&] { (void)graph.full_cost(id(asked)); }), "NotFound");
  }
  const NodeId unknown = id("run:k3v9");
  const NodeId known = id("run:bert");
  const std::vector<std::function<void()>> questions{
      [&] { (void)graph.node(unknown); },
      [&] { (void)graph.own_cost(unknown); },
      [&] { (void)graph.cost_from(unknown); },
      [&] { (void)graph.contributors(unknown, Direction::Upstream); },
      [&] { (void)graph.difference(known, unknown); },
      [&] { (void)graph.difference(unknown, known); },
      [&] { (void)graph.grouped(unknown, genealogy::GroupBy::Kind); },
      [&] { (void)graph.tree(unknown, Direction::Downstream, {}); },
      [&] { (void)graph.index_of(unknown); },
  };
  for (const auto& question : questions) {
    EXPECT_EQ(code_of([&] { question(); }), "NotFound");
  }
}

// --- size ----------------------------------------------------------------------------------------

// Goal: depth is no limit: no walk recurses. Method: each question to a path of 100,000 forks and
// of 100,000 nested runs, each of which produced a model.
TEST(GenealogyBadInput, ALongPathIsNoProblem) {
  constexpr int kCount = 100'000;
  for (const std::string verb : {" forked_from run:", " nested_in run:"}) {
    LineageBuilder lineage;
    for (int i = 0; i < kCount; ++i) {
      const std::string run = "run:" + std::to_string(i);
      lineage.cost(run, "0.01 USD");
      if (i > 0) {
        lineage.edge(run + verb + std::to_string(i - 1));
      }
    }
    lineage.edge("run:" + std::to_string(kCount - 1) + " produced model:last");
    const Genealogy graph = graph_of(lineage.records);
    EXPECT_EQ(graph.full_cost(id("model:last")).total(), usd("1000"));
    EXPECT_EQ(graph.cost_from(id("run:0")).total(), usd("1000"));
    const auto contributors = graph.contributors(id("model:last"), Direction::Upstream);
    const bool is_fork = verb == " forked_from run:";
    EXPECT_EQ(contributors.size(), is_fork ? kCount + 1U : 2U);
    EXPECT_EQ(graph.tree(id("model:last"), Direction::Upstream, {}).size(), kCount + 1U);
    EXPECT_EQ(graph.tree(id("run:0"), Direction::Downstream, {}).size(), kCount + 1U);
    if (is_fork) {
      const auto& far = contributors.front();  // run:0, the least by id
      EXPECT_EQ(far.path.size(), genealogy::kLongestPath);
      EXPECT_EQ(far.hidden_path_count, kCount + 1 - 64);
      EXPECT_EQ(far.path.front(), id("model:last"));
      EXPECT_EQ(far.path.back(), id("run:0"));
    }
  }
}

// Goal: breadth is no limit either. Method: a sweep of 100,000 trials, each with a checkpoint that
// the next one read.
TEST(GenealogyBadInput, ManyChildrenAreNoProblem) {
  constexpr int kCount = 100'000;
  LineageBuilder lineage;
  for (int i = 0; i < kCount; ++i) {
    const std::string number = std::to_string(i);
    lineage.edge("run:" + number + " nested_in run:sweep").cost("run:" + number, "0.01 USD");
    lineage.edge("run:" + number + " produced checkpoint:" + number);
    lineage.edge("run:" + std::to_string(i + 1) + " read checkpoint:" + number);
  }
  lineage.edge("run:" + std::to_string(kCount) + " nested_in run:sweep");
  lineage.edge("run:7 produced model:m");
  const Genealogy graph = graph_of(lineage.records);
  EXPECT_EQ(graph.full_cost(id("model:m")).total(), usd("1000"));
  EXPECT_EQ(graph.full_cost(id("checkpoint:9")).total(), usd("0.1"));
  EXPECT_EQ(graph.contributors(id("model:m"), Direction::Upstream).front().node_id,
            id("run:sweep"));
  EXPECT_EQ(graph.tree(id("model:m"), Direction::Upstream, {.most_nodes = 10}).size(), 10U);
}

}  // namespace
}  // namespace finops::testing
