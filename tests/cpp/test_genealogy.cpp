// test_genealogy.cpp - a genealogy's questions, by small examples that a person can add up.
#include "finops/genealogy/genealogy.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "genealogy_support.hpp"

namespace finops::testing {
namespace {

using genealogy::Contributor;
using genealogy::Direction;
using genealogy::Genealogy;
using genealogy::GroupBy;
using genealogy::Outcome;

std::string shown(const Contributor& contributor) {
  std::string text = contributor.cost.total().str() + " " + contributor.node_id.str() + " by";
  for (const NodeId& node_id : contributor.path) {
    text += " " + node_id.str();
  }
  return text;
}
std::vector<std::string> shown(const std::vector<Contributor>& contributors) {
  std::vector<std::string> result;
  result.reserve(contributors.size());
  for (const Contributor& contributor : contributors) {
    result.push_back(shown(contributor));
  }
  return result;
}
using Lines = std::vector<std::string>;

// From a notebook on a laptop to an endpoint that lives for months. Five billing categories, three
// clusters; the namespace of job:prep was deleted, so only its cost and edges are known; job:i-0a1b
// is an instance that nobody gave a name and nothing is known to need.
LineageBuilder story() {
  LineageBuilder lineage;
  lineage.node("project:chat").node("experiment:chat/tuning").node("dataset:raw");
  lineage.records.nodes.push_back({.node_id = id("run:notebook"),
                                   .label = "first look",
                                   .user_name = "ada",
                                   .cluster = "adas-laptop"});
  lineage.records.nodes.push_back(
      {.node_id = id("run:train"), .label = "base", .user_name = "ada", .cluster = "cluster-b"});
  lineage.records.nodes.push_back(
      {.node_id = id("run:sweep"), .label = "12 May", .user_name = "grace", .cluster = "zone-1"});
  lineage.edge("experiment:chat/tuning nested_in project:chat");
  for (const std::string run : {"run:notebook", "run:train", "run:sweep"}) {
    lineage.edge(run + " nested_in experiment:chat/tuning");
  }
  lineage.edge("run:notebook read dataset:raw").unpriced("run:notebook");
  lineage.edge("job:prep read dataset:raw").edge("job:prep produced dataset:tokens");
  lineage.cost("job:prep", "310 USD").cost("job:prep", "-10 USD");
  lineage.edge("run:train forked_from run:notebook").edge("run:train read dataset:tokens");
  lineage.edge("attempt:train-1 nested_in run:train").edge("attempt:train-2 nested_in run:train");
  lineage.edge("attempt:train-3 nested_in run:train");
  lineage.edge("attempt:train-1 retried_as attempt:train-2");
  lineage.edge("attempt:train-2 retried_as attempt:train-3");
  lineage.cost("attempt:train-1", "400 USD").status("attempt:train-1", "FAILED");
  lineage.cost("attempt:train-2", "150 USD").status("attempt:train-2", "PREEMPTED");
  lineage.cost("attempt:train-3", "1200 USD").status("attempt:train-3", "FINISHED");
  lineage.edge("attempt:train-3 produced checkpoint:base/7", 5'000);
  for (int trial = 0; trial < 10; ++trial) {
    const std::string run = "run:trial-" + std::to_string(trial);
    lineage.edge(run + " nested_in run:sweep").edge(run + " forked_from checkpoint:base/7", 5'000);
    lineage.cost(run, "80 USD").status(run, trial < 4 ? "FAILED" : "FINISHED");
    lineage.records.nodes.push_back({.node_id = id(run),
                                     .cluster = trial % 2 == 0 ? "zone-1" : "zone-2"});
  }
  lineage.edge("run:trial-6 produced model:chat").node("model:chat");
  lineage.edge("model:chat deployed_as endpoint:chat").node("endpoint:chat");
  for (const std::string month : {"june", "july"}) {
    lineage.edge("job:serve-" + month + " produced endpoint:chat").node("job:serve-" + month);
    lineage.cost("job:serve-" + month, "900 USD");
  }
  lineage.status("job:serve-july", "RUNNING");
  const std::vector<std::pair<ChargeCategory, std::string>> other_charges{
      {ChargeCategory::Purchase, "60 USD"},
      {ChargeCategory::Tax, "19 USD"},
      {ChargeCategory::Credit, "-25 USD"},
      {ChargeCategory::Adjustment, "-4 USD"}};
  for (const auto& [category, amount] : other_charges) {
    lineage.cost("job:serve-june", amount);
    lineage.records.costs.back().charge_category = category;
  }
  lineage.cost("job:i-0a1b", "33 USD");
  return lineage;
}

// Goal: the story that finops is for is told right. Method: all of it, added up by hand.
TEST(Genealogy, TellsWhatAModelReallyCost) {
  const Genealogy graph = graph_of(story().records);

  // 300 preprocessing, 1,750 base, 800 sweep.
  const genealogy::CostSum model = graph.full_cost(id("model:chat"));
  EXPECT_EQ(model.total(), usd("2850"));
  EXPECT_EQ(model.of(Outcome::Failed), usd("720"));
  EXPECT_EQ(model.of(Outcome::Preempted), usd("150"));
  EXPECT_EQ(model.of(Outcome::Good), usd("1980"));
  EXPECT_EQ(model.unpriced_count, 1) << "the laptop: unknown, not zero";
  EXPECT_EQ(graph.own_cost(id("model:chat")).total(), usd("0"));

  const std::string to_base = "model:chat run:sweep run:trial-0 checkpoint:base/7";
  EXPECT_EQ(shown(graph.contributors(id("model:chat"), Direction::Upstream)),
            (Lines{"1750 USD run:train by " + to_base + " run:train",
                   "800 USD run:sweep by model:chat run:sweep",
                   "300 USD job:prep by " + to_base + " run:train dataset:tokens job:prep",
                   "0 USD checkpoint:base/7 by " + to_base,
                   "0 USD dataset:raw by " + to_base + " run:train run:notebook dataset:raw",
                   "0 USD dataset:tokens by " + to_base + " run:train dataset:tokens",
                   "0 USD model:chat by model:chat",
                   "0 USD run:notebook by " + to_base + " run:train run:notebook"}));

  const genealogy::CostSum endpoint = graph.full_cost(id("endpoint:chat"));
  EXPECT_EQ(endpoint.total(), usd("4700"));  // 950 in June, 900 in July
  EXPECT_EQ(endpoint.of(Outcome::Running), usd("900"));
  EXPECT_EQ(graph.cost_from(id("dataset:tokens")).total(), usd("2550"));  // base, sweep
  EXPECT_EQ(graph.total_cost().total(), usd("4733"));
  EXPECT_EQ(texts(graph.pending()),
            (Lines{"job:prep", "dataset:tokens", "attempt:train-1", "attempt:train-2",
                   "attempt:train-3", "checkpoint:base/7", "job:i-0a1b"}));
  EXPECT_TRUE(graph.problems().empty());
}

// Goal: the same cost by other questions. Method: the story again.
TEST(Genealogy, GroupsAFullCost) {
  const Genealogy graph = graph_of(story().records);
  const auto groups = [&](GroupBy group_by) {
    Lines lines;
    for (const genealogy::Group& group : graph.grouped(id("model:chat"), group_by)) {
      lines.push_back(group.name + ": " + group.cost.total().str());
    }
    return lines;
  };
  EXPECT_EQ(groups(GroupBy::Kind), (Lines{"attempt: 1750 USD", "run: 800 USD", "job: 300 USD",
                                          "checkpoint: 0 USD", "dataset: 0 USD", "model: 0 USD"}));
  EXPECT_EQ(groups(GroupBy::Status),
            (Lines{"FINISHED: 1680 USD", "FAILED: 720 USD", ": 300 USD", "PREEMPTED: 150 USD"}));
  EXPECT_EQ(groups(GroupBy::User), (Lines{"ada: 1750 USD", "grace: 800 USD", ": 300 USD"}))
      << "an attempt is its run's user's, a trial its sweep's";
  EXPECT_EQ(groups(GroupBy::Cluster),
            (Lines{"cluster-b: 1750 USD", "zone-1: 400 USD", "zone-2: 400 USD", ": 300 USD",
                   "adas-laptop: 0 USD"}));
  EXPECT_EQ(genealogy::parse_group_by("cluster"), GroupBy::Cluster);
  EXPECT_EQ(code_of([] { (void)genealogy::parse_group_by("zone"); }), "InvalidArgument");
}

// Goal: by status each cost counts where it counts by outcome. Method: a failed sweep whose trials
// have no status of their own.
TEST(Genealogy, GroupsPartsByTheStatusOfTheirWhole) {
  LineageBuilder lineage;
  lineage.status("run:sweep", "FAILED");
  lineage.edge("run:one nested_in run:sweep").cost("run:one", "3 USD");
  lineage.edge("run:two nested_in run:sweep").cost("run:two", "4 USD");
  const Genealogy graph = graph_of(lineage.records);
  const std::vector<genealogy::Group> groups = graph.grouped(id("run:sweep"), GroupBy::Status);
  ASSERT_EQ(groups.size(), 1U);
  EXPECT_EQ(groups[0].name, "FAILED");
  EXPECT_EQ(groups[0].cost.of(Outcome::Failed), usd("7"));
}

TEST(Genealogy, ComparesTwoNodes) {
  LineageBuilder lineage = story();
  lineage.edge("run:small read dataset:tokens").edge("run:small produced model:small");
  lineage.cost("run:small", "70 USD");
  const Genealogy graph = graph_of(lineage.records);
  const genealogy::Difference difference = graph.difference(id("model:small"), id("model:chat"));
  EXPECT_EQ(difference.only_first.total(), usd("70"));
  EXPECT_EQ(difference.only_second.total(), usd("2550"));
  EXPECT_EQ(difference.both.total(), usd("300"));
  EXPECT_EQ(shown(difference.first_contributors),
            (Lines{"70 USD run:small by model:small run:small",
                   "0 USD model:small by model:small"}));
  EXPECT_EQ(shown(difference.second_contributors.at(1)),
            "800 USD run:sweep by model:chat run:sweep");
}

// Goal: questions may be asked by several threads. Method: four ask the same, a thousand times
// each; run under the thread sanitizer, a shared workspace would be found even if the sums are
// right.
TEST(Genealogy, AnswersSeveralThreads) {
  const Genealogy graph = graph_of(story().records);
  std::vector<std::thread> threads;
  threads.reserve(4);
  std::atomic<int> wrong_count{0};
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < 1'000; ++round) {
        wrong_count += graph.full_cost(id("model:chat")).total() == usd("2850") ? 0 : 1;
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(wrong_count, 0);
}

TEST(Genealogy, ShowsANode) {
  LineageBuilder lineage;
  lineage.records.nodes.push_back({.node_id = id("run:a"),
                                   .label = "night run",
                                   .user_name = "ada",
                                   .cluster = "c1",
                                   .created_at = at(0)});
  lineage.node("model:m").cost("run:a", "3 USD").unpriced("run:a");
  lineage.status("run:a", "RUNNING", at(1)).edge("run:b forked_from run:a");
  const Genealogy graph = graph_of(lineage.records);
  const genealogy::NodeView run = graph.node(id("run:a"));
  EXPECT_EQ(run.kind, NodeKind::Run);
  EXPECT_EQ(run.label, "night run");
  EXPECT_EQ(run.status, "RUNNING");
  EXPECT_EQ(run.outcome, Outcome::Running);
  EXPECT_EQ(run.user_name, "ada");
  EXPECT_EQ(run.cluster, "c1");
  EXPECT_EQ(run.created_at, at(0));
  EXPECT_EQ(run.own_cost, usd("3"));
  EXPECT_TRUE(run.is_unpriced);
  EXPECT_FALSE(run.is_pending);
  EXPECT_EQ(graph.node(id("model:m")).label, "m") << "the name where there is no label";
  EXPECT_TRUE(graph.node(id("run:b")).is_pending);
  EXPECT_TRUE(graph.contains(id("run:b")));
  EXPECT_FALSE(graph.contains(id("run:c")));
  EXPECT_EQ(texts(graph.node_ids()), (Lines{"run:a", "model:m", "run:b"}));
  EXPECT_EQ(graph.edge_count(), 1U);
}

// --- whose cost a taker bears --------------------------------------------------------------------

// Goal: who takes something out of a trial paid for the sweep, except what the sweep itself needs.
// Method: two trials of 10 and 20 USD; what was taken, and by whom, moves.
TEST(Genealogy, ATakerPaidForTheWidestWhole) {
  struct Case {
    const char* what;
    std::vector<std::string> edges;
    const char* taker;
    const char* expected_usd;
  };
  const std::vector<Case> cases{
      {"a model of a trial", {"run:t1 produced model:m"}, "model:m", "30"},
      {"a fork of a trial", {"run:f forked_from run:t1"}, "run:f", "30"},
      {"a fork of a trial by another trial", {"run:t2 forked_from run:t1"}, "run:t2", "30"},
      {"a fork inside, alone", {"run:t1 forked_from run:t2"}, "run:t2", "20"},
      {"a checkpoint that a trial began from",
       {"run:t1 produced checkpoint:c", "run:t2 read checkpoint:c"},
       "checkpoint:c",
       "10"},
      {"read inside by way of another job",
       {"run:t1 produced checkpoint:c", "job:j read checkpoint:c", "job:j produced dataset:d",
        "run:t2 read dataset:d"},
       "checkpoint:c",
       "10"},
      {"read outside only",
       {"run:t1 produced checkpoint:c", "run:o read checkpoint:c"},
       "run:o",
       "30"},
      {"of an attempt",
       {"attempt:a nested_in run:t1", "attempt:a produced model:m"},
       "model:m",
       "30"},
      {"of an attempt, read inside",
       {"attempt:a nested_in run:t1", "attempt:a produced model:m", "run:t2 read model:m"},
       "model:m",
       "10"},
      {"of a sweep in a sweep",
       {"run:s nested_in run:all", "run:t1 produced model:m"},
       "model:m",
       "34"},
      {"of a sweep in a sweep, read in the outer one",
       {"run:s nested_in run:all", "run:t1 produced model:m", "run:all read model:m"},
       "model:m",
       "30"},
      {"of an experiment",
       {"run:s nested_in experiment:e", "run:t1 produced model:m"},
       "model:m",
       "30"},
      {"what a trial read", {"run:t1 read dataset:d"}, "dataset:d", "0"},
  };
  for (const Case& c : cases) {
    LineageBuilder lineage;
    lineage.edge("run:t1 nested_in run:s").edge("run:t2 nested_in run:s");
    lineage.cost("run:t1", "10 USD").cost("run:t2", "20 USD").cost("run:all", "4 USD");
    lineage.cost("experiment:e", "500 USD");
    for (const std::string& edge : c.edges) {
      lineage.edge(edge);
    }
    EXPECT_EQ(graph_of(lineage.records).full_cost(id(c.taker)).total(), usd(c.expected_usd))
        << c.what;
  }
}

// Goal: a later record can make another answer, and what was accepted stays so. Method: the model
// is there first, then its run gets into a sweep, then the sweep reads the model.
TEST(Genealogy, LaterRecordsMoveWhatATakerPaidFor) {
  LineageBuilder first;
  first.edge("run:t1 produced model:m").cost("run:t1", "10 USD").cost("run:t2", "20 USD");
  first.status("run:t2", "FAILED").unpriced("run:t2");
  Genealogy graph = graph_of(first.records);
  EXPECT_EQ(graph.full_cost(id("model:m")).total(), usd("10"));

  LineageBuilder second;
  second.edge("run:t1 nested_in run:s").edge("run:t2 nested_in run:s");
  EXPECT_TRUE(graph.add(second.records).empty());
  EXPECT_EQ(graph.full_cost(id("model:m")).total(), usd("30"));
  EXPECT_EQ(graph.full_cost(id("model:m")).of(Outcome::Failed), usd("20"));
  EXPECT_EQ(graph.full_cost(id("model:m")).unpriced_count, 1);
  EXPECT_EQ(graph.whole_of(graph.index_of(id("run:t1"))), graph.index_of(id("run:s")));

  LineageBuilder third;
  third.edge("run:t2 read model:m");
  EXPECT_TRUE(graph.add(third.records).empty()) << "the plain sentence goes before the whole";
  EXPECT_EQ(graph.full_cost(id("model:m")).total(), usd("10"));
  EXPECT_EQ(graph.full_cost(id("run:t2")).total(), usd("30"));
}

// Goal: of two takers that exclude each other the one recorded first paid for the whole. Method:
// two sweeps that read each other's model; only the times move.
TEST(Genealogy, TheTakerRecordedFirstGoesFirst) {
  for (const bool is_first_earlier : {true, false}) {
    LineageBuilder lineage;
    for (const std::string sweep : {"1", "2"}) {
      const std::string other = sweep == "1" ? "2" : "1";
      lineage.edge("run:t" + sweep + " nested_in run:s" + sweep);
      lineage.edge("run:u" + sweep + " nested_in run:s" + sweep);
      lineage.edge("run:u" + sweep + " read model:m" + other);
      lineage.edge("run:t" + sweep + " produced model:m" + sweep, {},
                   at((sweep == "1") == is_first_earlier ? 1 : 2));
    }
    lineage.cost("run:u1", "1 USD").cost("run:u2", "2 USD");
    const Genealogy graph = graph_of(lineage.records);
    EXPECT_EQ(graph.full_cost(id("model:m1")).total(), usd(is_first_earlier ? "1" : "0"));
    EXPECT_EQ(graph.full_cost(id("model:m2")).total(), usd(is_first_earlier ? "0" : "2"));
  }
}

// --- statuses and results ------------------------------------------------------------------------

// Goal: the newest status counts, whenever it came; of two at one time the later given. Method:
// only times and order move.
TEST(Genealogy, TheNewestStatusCounts) {
  struct Case {
    std::vector<std::pair<const char*, int>> statuses;
    const char* expected;
    Outcome outcome;
  };
  const std::vector<Case> cases{
      {{{"RUNNING", 1}, {"FAILED", 2}}, "FAILED", Outcome::Failed},
      {{{"FAILED", 2}, {"RUNNING", 1}}, "FAILED", Outcome::Failed},
      {{{"FAILED", 1}, {"RUNNING", 1}}, "RUNNING", Outcome::Running},
      {{{"KILLED", 1}}, "KILLED", Outcome::Failed},
      {{{"PAUSED", 1}}, "PAUSED", Outcome::Running},
      {{{"PREEMPTED", 1}}, "PREEMPTED", Outcome::Preempted},
      {{{"FINISHED", 1}}, "FINISHED", Outcome::Good},
      {{}, "", Outcome::Good},
  };
  for (const Case& c : cases) {
    LineageBuilder lineage;
    lineage.node("run:a").cost("run:a", "5 USD");
    for (const auto& [status, second] : c.statuses) {
      lineage.status("run:a", status, at(second));
    }
    const Genealogy graph = graph_of(lineage.records);
    EXPECT_EQ(graph.node(id("run:a")).status, c.expected);
    EXPECT_EQ(graph.full_cost(id("run:a")).of(c.outcome), usd("5")) << c.expected;
  }
}

TEST(Genealogy, WhatIsNoWorkIsGoodWhateverItsStatus) {
  LineageBuilder lineage;
  lineage.cost("endpoint:e", "5 USD").status("endpoint:e", "FAILED", at(1));
  EXPECT_EQ(graph_of(lineage.records).own_cost(id("endpoint:e")).of(Outcome::Good), usd("5"));
}

// Goal: who claims cost. Method: a deployed model, one whose endpoint was retired, a retired one,
// one that was never deployed.
TEST(Genealogy, SurvivingResultsAreWhatClaimsCost) {
  LineageBuilder lineage;
  lineage.node("run:a").node("model:alone").node("dataset:d");
  lineage.edge("model:served deployed_as endpoint:live");
  lineage.edge("model:served deployed_as endpoint:old").status("endpoint:old", "RETIRED", at(1));
  lineage.edge("model:back deployed_as endpoint:old");
  lineage.node("model:gone").status("model:gone", "RETIRED", at(1));
  lineage.status("endpoint:live", "RETIRED", at(1)).status("endpoint:live", "ACTIVE", at(2));
  const Genealogy graph = graph_of(lineage.records);
  Lines results;
  for (const genealogy::NodeIndex node : graph.surviving_results()) {
    results.push_back(graph.id_of(node).str());
  }
  EXPECT_EQ(results, (Lines{"endpoint:live", "model:alone", "model:back"}));
}

TEST(Genealogy, KeepsUsesAndValues) {
  LineageRecords records;
  records.uses.push_back({.event_id = EventId{"u1"},
                          .node_id = id("endpoint:e"),
                          .quantity = 9,
                          .unit = "requests",
                          .recorded_at = at(0)});
  records.values.push_back({.value_id = EventId{"v1"},
                            .node_id = id("model:m"),
                            .amount = usd("50000"),
                            .source = "A/B test",
                            .who = "ada"});
  Genealogy graph = graph_of(records);
  EXPECT_TRUE(graph.add(records).empty()) << "the same again is a no-op";
  ASSERT_EQ(graph.uses().size(), 1U);
  EXPECT_EQ(graph.uses()[0], records.uses[0]);
  ASSERT_EQ(graph.values().size(), 1U);
  EXPECT_EQ(graph.values()[0], records.values[0]);
  EXPECT_EQ(texts(graph.pending()), (Lines{"endpoint:e", "model:m"}));
}

// Goal: attempts of which nobody said how they ended turned out as their run; one that has a status
// of its own keeps it. Method: the run's status comes first, last, and with the edge.
TEST(Genealogy, AttemptsWithoutAStatusTurnOutAsTheirRun) {
  LineageBuilder nesting;
  nesting.edge("attempt:1 nested_in run:a").edge("attempt:2 nested_in run:a");
  nesting.cost("attempt:1", "3 USD").cost("attempt:2", "4 USD");
  LineageBuilder statuses;
  statuses.status("run:a", "FAILED").status("attempt:2", "FINISHED");
  for (const bool is_nesting_first : {true, false}) {
    Genealogy graph(Currency::usd());
    graph.add(is_nesting_first ? nesting.records : statuses.records);
    graph.add(is_nesting_first ? statuses.records : nesting.records);
    EXPECT_EQ(graph.full_cost(id("run:a")).of(Outcome::Failed), usd("3"));
    EXPECT_EQ(graph.full_cost(id("run:a")).of(Outcome::Good), usd("4"));
  }
}

}  // namespace
}  // namespace finops::testing
