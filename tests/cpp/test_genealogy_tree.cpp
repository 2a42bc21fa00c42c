// test_genealogy_tree.cpp - what stands where in a tree, in which words, and what limits leave.
#include <gtest/gtest.h>

#include "genealogy_support.hpp"

namespace finops::testing {
namespace {

using genealogy::Direction;
using genealogy::Genealogy;
using genealogy::TreeLimits;
using genealogy::TreeNode;
using Lines = std::vector<std::string>;

// "  read dataset:d 3 USD", two blanks for each level; what is special about a line follows.
Lines shown(const std::vector<TreeNode>& tree) {
  Lines lines;
  for (const TreeNode& node : tree) {
    std::string line(static_cast<std::size_t>(2 * node.depth), ' ');
    line += node.relation.empty() ? "" : node.relation + " ";
    line += node.view.node_id.str() + " " + node.subtree_cost.total().str();
    line += node.step ? " at " + std::to_string(*node.step) : "";
    line += node.is_repetition ? " again" : "";
    line += node.hidden_child_count == 0
                ? ""
                : " (" + std::to_string(node.hidden_child_count) + " hidden)";
    lines.push_back(line);
  }
  return lines;
}

// An endpoint, its model, and all behind it.
LineageBuilder example() {
  LineageBuilder lineage;
  lineage.edge("model:m deployed_as endpoint:e").edge("run:t1 produced model:m", 900);
  lineage.edge("run:t1 nested_in run:sweep").edge("run:t2 nested_in run:sweep");
  lineage.edge("run:t1 read dataset:d").edge("run:t2 read dataset:d");
  lineage.edge("run:t2 forked_from run:old", 40).edge("run:older retried_as run:old");
  lineage.edge("job:prep produced dataset:d");
  lineage.cost("run:t1", "10 USD").cost("run:t2", "20 USD").cost("job:prep", "5 USD");
  lineage.cost("run:old", "7 USD").cost("run:older", "1 USD").cost("endpoint:e", "2 USD");
  return lineage;
}

// Goal: upstream, each relation has its words, the largest child is first, a node that several need
// is counted once. Method: one example with each kind of edge.
TEST(GenealogyTree, ShowsWhatANodeNeeds) {
  const Genealogy graph = graph_of(example().records);
  EXPECT_EQ(shown(graph.tree(id("endpoint:e"), Direction::Upstream, {})),
            (Lines{"endpoint:e 45 USD", "  deployed from model:m 43 USD",
                   "    produced by run:sweep 43 USD at 900", "      part run:t2 28 USD",
                   "        forked from run:old 8 USD at 40", "          retry of run:older 1 USD",
                   "        read dataset:d 0 USD again", "      part run:t1 15 USD",
                   "        read dataset:d 5 USD", "          produced by job:prep 5 USD"}));
}

TEST(GenealogyTree, ShowsWhatCameFromANode) {
  const Genealogy graph = graph_of(example().records);
  EXPECT_EQ(shown(graph.tree(id("job:prep"), Direction::Downstream, {})),
            (Lines{"job:prep 37 USD", "  produced dataset:d 32 USD", "    read by run:t2 20 USD",
                   "      part of run:sweep 0 USD again", "    read by run:t1 12 USD",
                   "      part of run:sweep 2 USD", "        produced model:m 2 USD at 900",
                   "          deployed as endpoint:e 2 USD"}));
  EXPECT_EQ(shown(graph.tree(id("run:older"), Direction::Downstream, {})),
            (Lines{"run:older 30 USD", "  retried as run:old 29 USD",
                   "    forked into run:t2 22 USD at 40", "      part of run:sweep 2 USD",
                   "        produced model:m 2 USD at 900",
                   "          deployed as endpoint:e 2 USD"}))
      << "of the sweep only the trial that came from it";
}

// Goal: what came from a run as a whole came with its attempts. Method: the money is on them.
TEST(GenealogyTree, WhatCameFromANodeComesWithItsParts) {
  LineageBuilder lineage;
  lineage.edge("run:a read dataset:d").edge("attempt:a1 nested_in run:a");
  lineage.edge("attempt:a2 nested_in run:a").edge("attempt:a1 retried_as attempt:a2");
  lineage.cost("attempt:a1", "3 USD").cost("attempt:a2", "4 USD");
  const Genealogy graph = graph_of(lineage.records);
  EXPECT_EQ(graph.cost_from(id("dataset:d")).total(), usd("7"));
  EXPECT_EQ(graph.cost_from(id("run:a")).total(), usd("7"));
  EXPECT_EQ(graph.cost_from(id("attempt:a2")).total(), usd("4"));
  EXPECT_EQ(shown(graph.tree(id("dataset:d"), Direction::Downstream, {})),
            (Lines{"dataset:d 7 USD", "  read by run:a 7 USD", "    part attempt:a2 4 USD",
                   "    part attempt:a1 3 USD", "      retried as attempt:a2 0 USD again"}));
}

// Goal: a run stands under its sweep even where the experiment names it, too; else the sweep would
// look as if it had cost nothing. Method: a tracker records both.
TEST(GenealogyTree, APartStandsInItsInnermostWhole) {
  LineageBuilder lineage;
  for (const std::string run : {"run:sweep", "run:t1"}) {
    lineage.edge(run + " nested_in experiment:e");
  }
  lineage.edge("run:t1 nested_in run:sweep").cost("run:t1", "3 USD");
  const Genealogy graph = graph_of(lineage.records);
  EXPECT_EQ(shown(graph.tree(id("experiment:e"), Direction::Upstream, {})),
            (Lines{"experiment:e 3 USD", "  part run:sweep 3 USD", "    part run:t1 3 USD"}));
}

// Goal: limits cut lines and never cost. Method: the example at, below and above each limit.
TEST(GenealogyTree, LimitsCutLinesAndNoCost) {
  const Genealogy graph = graph_of(example().records);
  const auto tree = [&](TreeLimits limits) {
    return shown(graph.tree(id("model:m"), Direction::Upstream, limits));
  };
  EXPECT_EQ(tree({.longest_depth = 0}), (Lines{"model:m 43 USD (1 hidden)"}));
  EXPECT_EQ(tree({.longest_depth = 2}),
            (Lines{"model:m 43 USD", "  produced by run:sweep 43 USD at 900",
                   "    part run:t2 28 USD (2 hidden)", "    part run:t1 15 USD (1 hidden)"}));
  EXPECT_EQ(tree({.most_nodes = 3}),
            (Lines{"model:m 43 USD", "  produced by run:sweep 43 USD at 900 (1 hidden)",
                   "    part run:t2 28 USD (2 hidden)"}));
  EXPECT_EQ(tree({.most_nodes = 1}), (Lines{"model:m 43 USD (1 hidden)"}));
  EXPECT_EQ(tree({.longest_depth = 5, .most_nodes = 9}), tree({}));
  EXPECT_EQ(tree({}).size(), 9U);
  for (const TreeLimits limits : {TreeLimits{.longest_depth = -1}, TreeLimits{.most_nodes = 0}}) {
    EXPECT_EQ(code_of([&] { (void)tree(limits); }), "InvalidArgument");
  }
}

TEST(GenealogyTree, ParentsArePositions) {
  const Genealogy graph = graph_of(example().records);
  const std::vector<TreeNode> tree = graph.tree(id("endpoint:e"), Direction::Upstream, {});
  EXPECT_EQ(tree[0].parent, -1);
  for (std::size_t i = 1; i < tree.size(); ++i) {
    ASSERT_LT(tree[i].parent, static_cast<std::int64_t>(i));
    EXPECT_EQ(tree[static_cast<std::size_t>(tree[i].parent)].depth, tree[i].depth - 1);
  }
}

}  // namespace
}  // namespace finops::testing
