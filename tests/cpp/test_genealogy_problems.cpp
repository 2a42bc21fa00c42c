// test_genealogy_problems.cpp - what a person should look at counts as it is, and is listed.
#include <gtest/gtest.h>

#include "genealogy_support.hpp"

namespace finops::testing {
namespace {

using genealogy::Genealogy;
using genealogy::Problem;
using Lines = std::vector<std::string>;

std::string shown(const Problem& problem) { return problem.node_id.str() + ": " + problem.text; }
Lines shown(const std::vector<Problem>& problems) {
  Lines lines;
  for (const Problem& problem : problems) {
    lines.push_back(shown(problem));
  }
  return lines;
}

TEST(GenealogyProblems, ASumBelowZeroIsAProblem) {
  LineageBuilder lineage;
  lineage.cost("run:a", "3 USD").cost("run:a", "-3 USD").cost("run:b", "-0.5 USD");
  const Genealogy graph = graph_of(lineage.records);
  EXPECT_EQ(graph.total_cost().total(), usd("-0.5"));
  EXPECT_EQ(shown(graph.problems()),
            (Lines{"run:b: its own costs add up to -0.5 USD, below zero: a correction takes back "
                   "more than was recorded"}));
}

// Goal: other currencies are never added, and never lost. Method: two of them on one node.
TEST(GenealogyProblems, OtherCurrenciesAreListedAndNeverAdded) {
  LineageBuilder lineage;
  lineage.edge("run:a read dataset:d").cost("run:a", "1 USD").cost("dataset:d", "2 EUR");
  lineage.cost("dataset:d", "3 EUR").cost("dataset:d", "4 CHF").cost("dataset:d", "8 USD");
  lineage.records.values.push_back({.value_id = EventId{"v"},
                                    .node_id = id("model:m"),
                                    .amount = Money::parse("9 EUR"),
                                    .source = "survey"});
  const Genealogy graph = graph_of(lineage.records);
  for (const genealogy::CostSum& sum : {graph.full_cost(id("run:a")), graph.total_cost()}) {
    EXPECT_EQ(sum.total(), usd("9"));
    EXPECT_EQ(sum.other_currency_count, 1);
  }
  EXPECT_EQ(graph.cost_from(id("run:a")).other_currency_count, 0);
  EXPECT_EQ(shown(graph.problems()),
            (Lines{"dataset:d: cost 4 CHF and 5 EUR, which is not in any sum of USD; record it in "
                   "USD",
                   "model:m: value v of 9 EUR is not in any sum of USD; record it in USD"}));
}

// Goal: clocks that differ are told, and long lives are not. Method: one sentence between two nodes
// that were created at second 10 and `created`; the sentence's own time moves where it matters.
TEST(GenealogyProblems, ClocksThatDifferAreTold) {
  struct Case {
    const char* sentence;
    int subject_created;
    int object_created;
    int recorded;  // 0: unknown
    const char* expected;
  };
  const std::vector<Case> cases{
      {"run:b forked_from run:a", 7, 10, 99, "run:b: created 3 s before run:a was created"},
      {"run:b forked_from run:a", 10, 10, 99, ""},
      {"run:a retried_as run:b", 10, 7, 99, "run:b: created 3 s before run:a was created"},
      {"run:a produced model:m", 10, 7, 99, "model:m: created 3 s before run:a was created"},
      {"run:a produced model:m", 10, 10, 99, ""},
      {"attempt:a nested_in run:r", 7, 10, 99, "attempt:a: created 3 s before run:r was created"},
      {"attempt:a nested_in run:r", 10, 7, 99, ""},
      {"run:a read dataset:d", 7, 10, 0, "run:a: created 3 s before dataset:d was created"},
      {"run:a read dataset:d", 7, 10, 10, ""},
      {"run:a read dataset:d", 7, 10, 9, "run:a: recorded 1 s before dataset:d was created"},
      {"model:m deployed_as endpoint:e", 10, 7, 10, ""},
      {"model:m deployed_as endpoint:e", 10, 7, 8,
       "endpoint:e: recorded 2 s before model:m was created"},
  };
  for (const Case& c : cases) {
    LineageBuilder lineage;
    lineage.edge(c.sentence, {}, c.recorded == 0 ? UtcTime{} : at(c.recorded));
    const LineageEdge edge = lineage.records.edges[0];
    lineage.node(edge.subject.str(), at(c.subject_created));
    lineage.node(edge.object.str(), at(c.object_created));
    const std::string expected(c.expected);
    EXPECT_EQ(shown(graph_of(lineage.records).problems()),
              expected.empty() ? Lines{}
                               : Lines{expected + " (" + c.sentence + "): clocks differ"});
  }
}

// Goal: no alarm for what nobody timed, nor for a result that later runs add to. Method: the second
// producer of a dataset is younger than it.
TEST(GenealogyProblems, ALaterProducerAndAnUnknownTimeAreNoProblem) {
  LineageBuilder lineage;
  lineage.node("job:monday", at(1)).node("dataset:d", at(2)).node("job:tuesday", at(100));
  lineage.edge("job:monday produced dataset:d").edge("job:tuesday produced dataset:d");
  lineage.node("run:untimed").edge("run:untimed forked_from run:pending");
  lineage.node("run:timed", at(3)).edge("run:timed forked_from run:untimed");
  EXPECT_EQ(shown(graph_of(lineage.records).problems()), Lines{});
}

TEST(GenealogyProblems, ClocksAtTheEndsOfTimeDoNotOverflow) {
  LineageBuilder lineage;
  lineage.node("run:a", UtcTime::max()).node("run:b", UtcTime::min());
  lineage.edge("run:b forked_from run:a");
  EXPECT_EQ(shown(graph_of(lineage.records).problems()),
            (Lines{"run:b: created 18446744073 s before run:a was created (run:b forked_from "
                   "run:a): clocks differ"}));
}

TEST(GenealogyProblems, IdsThatLookAlikeAreTold) {
  LineageBuilder lineage;
  lineage.node("model:resnet").node("model:ResNet").node("model:res net").node("model:resnet2");
  EXPECT_EQ(shown(graph_of(lineage.records).problems()),
            (Lines{
                "model:res net: differs from model:ResNet only in case or blanks: one node under "
                "two names?",
                "model:resnet: differs from model:ResNet only in case or blanks: one node under "
                "two names?"}));
}

// Goal: a report of what is wrong stays readable. Method: one problem below, at and above the
// limit.
TEST(GenealogyProblems, ProblemsAreBounded) {
  for (const int count : {999, 1'000, 1'001}) {
    LineageBuilder lineage;
    for (int i = 0; i < count; ++i) {
      lineage.cost("run:" + std::to_string(i), "-1 USD");
    }
    const std::vector<Problem> problems = graph_of(lineage.records).problems();
    EXPECT_EQ(problems.size(), static_cast<std::size_t>(count));
    EXPECT_EQ(problems.back().node_id.empty(), count == 1'001);
    EXPECT_EQ(problems.back().text == "1 more problems", count == 1'001);
  }
}

}  // namespace
}  // namespace finops::testing
