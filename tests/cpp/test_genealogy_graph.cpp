// test_genealogy_graph.cpp - CostGraph: sums over closures, refused cycles, limits.
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <set>
#include <vector>

#include "cost_graph_support.hpp"
#include "finops/base/error.hpp"
#include "finops/genealogy/cost_graph.hpp"

namespace finops::genealogy {
namespace {

using testing::cost_of;
using testing::sorted_closure;
using Nodes = std::vector<NodeIndex>;

constexpr Int128 kMost = ~(Int128{1} << 127);

std::vector<Need> chain(NodeIndex node_count) {
  std::vector<Need> needs;
  for (NodeIndex node = 1; node < node_count; ++node) {
    needs.push_back({node, node - 1});
  }
  return needs;
}

// Goal: what two ways lead to is counted once. Method: a diamond; each node has a cost of its own.
TEST(CostGraph, CountsEachNodeOnceInBothDirections) {
  CostGraph graph;
  EXPECT_EQ(graph.add_nodes(5), 0U);
  EXPECT_TRUE(graph.add_needs(std::vector<Need>{{3, 1}, {3, 2}, {1, 0}, {2, 0}, {4, 3}}).empty());
  for (NodeIndex node = 0; node < 5; ++node) {
    graph.add_cost(node, Int128{1} << (4 * node));
  }
  EXPECT_EQ(cost_of(graph, 3, Direction::Upstream), 0x1111);
  EXPECT_EQ(cost_of(graph, 0, Direction::Downstream), 0x11111);
  EXPECT_EQ(cost_of(graph, 1, Direction::Downstream), 0x11010);
  EXPECT_EQ(sorted_closure(graph, 3, Direction::Upstream), (Nodes{0, 1, 2, 3}));
  EXPECT_EQ(sorted_closure(graph, 2, Direction::Downstream), (Nodes{2, 3, 4}));
}

TEST(CostGraph, SumsByMark) {
  CostGraph graph;
  graph.add_nodes(3);
  graph.add_needs(chain(3));
  graph.add_cost(0, 5);
  graph.add_cost(1, -2);
  graph.add_cost(2, 100);
  graph.set_mark(1, 7);
  graph.set_mark(2, 7);
  CostGraph::Workspace workspace;
  const ClosureSum sum = graph.closure_sum(2, Direction::Upstream, workspace);
  EXPECT_EQ(sum.cost_picos[0], 5);
  EXPECT_EQ(sum.cost_picos[7], 98);
  EXPECT_EQ(sum.node_counts[0], 1);
  EXPECT_EQ(sum.node_counts[7], 2);
  EXPECT_EQ(sum.total_picos(), 103);
  EXPECT_EQ(sum.node_count(), 3);
}

// Goal: a single edge counts at once, also one that makes an old node need a new one, and means the
// same after a merge.
TEST(CostGraph, ASingleEdgeCountsAtOnceAndAfterAMerge) {
  CostGraph graph;
  graph.add_nodes(2);
  graph.add_needs(std::vector<Need>{{1, 0}});
  const NodeIndex late = graph.add_nodes(1);
  EXPECT_TRUE(graph.add_need({0, late}).empty());
  EXPECT_TRUE(graph.add_need({0, late}).empty()) << "known already";
  EXPECT_EQ(graph.edge_count(), 2U);
  Nodes neighbours{77};
  for (const char* when : {"before the merge", "after it"}) {
    EXPECT_EQ(sorted_closure(graph, 1, Direction::Upstream), (Nodes{0, 1, late})) << when;
    EXPECT_EQ(sorted_closure(graph, late, Direction::Downstream), (Nodes{0, 1, late})) << when;
    graph.neighbours(0, Direction::Upstream, neighbours);
    EXPECT_EQ(neighbours, (Nodes{late})) << when;
    graph.neighbours(0, Direction::Downstream, neighbours);
    EXPECT_EQ(neighbours, (Nodes{1})) << when;
    graph.merge();
  }
  EXPECT_EQ(graph.topological_order(), (Nodes{late, 0, 1}));
}

TEST(CostGraph, KeepsCostsAndMarksOverAMerge) {
  CostGraph graph;
  graph.add_nodes(2);
  graph.add_cost(0, 3);
  graph.add_cost(1, kMost);
  graph.set_mark(1, 4);
  graph.add_needs(std::vector<Need>{{0, 1}});  // now node 1 comes first
  EXPECT_EQ(graph.cost_picos(0), 3);
  EXPECT_EQ(graph.cost_picos(1), kMost);
  EXPECT_EQ(graph.mark(0), 0);
  EXPECT_EQ(graph.mark(1), 4);
}

// Goal: a cycle is told with its path, needer first. Method: the edge that closes it comes alone,
// after many others (merged and waiting), and in one lot with the rest.
TEST(CostGraph, RefusesACycleAndTellsItsPath) {
  CostGraph graph;
  graph.add_nodes(4);
  graph.add_needs(std::vector<Need>{{1, 0}, {2, 1}});
  EXPECT_TRUE(graph.add_need({3, 2}).empty());
  EXPECT_EQ(graph.add_need({0, 3}), (Nodes{0, 3, 2, 1}));
  EXPECT_EQ(graph.add_need({2, 2}), (Nodes{2}));
  EXPECT_EQ(graph.edge_count(), 3U);

  const std::vector<RefusedNeed> refused =
      graph.add_needs(std::vector<Need>{{1, 1}, {0, 3}, {3, 0}});
  ASSERT_EQ(refused.size(), 2U);
  EXPECT_EQ(refused[0].position, 0U);
  EXPECT_EQ(refused[0].path, (Nodes{1}));
  EXPECT_EQ(refused[1].position, 1U);
  EXPECT_EQ(refused[1].path, (Nodes{0, 3, 2, 1}));
  EXPECT_EQ(graph.edge_count(), 4U);
}

// Goal: which edge is refused depends on their order alone. Method: a cycle of two cycles; the edge
// that is in both is refused, so that the last one, which only it would have hurt, counts.
TEST(CostGraph, RefusesWhatComesLastAndNothingForARefusedEdge) {
  CostGraph graph;
  graph.add_nodes(3);
  const std::vector<Need> needs{{0, 1}, {1, 0}, {1, 2}, {2, 0}, {0, 2}, {1, 0}};
  const std::vector<RefusedNeed> refused = graph.add_needs(needs);
  std::vector<std::size_t> positions(refused.size());
  std::transform(refused.begin(), refused.end(), positions.begin(),
                 [](const RefusedNeed& need) { return need.position; });
  // 0 needs 1 needs 2; then 2 needs 0 closes a cycle, and 0 needs 2 does not.
  EXPECT_EQ(positions, (std::vector<std::size_t>{1, 3, 5}));
  EXPECT_EQ(graph.edge_count(), 3U);
}

// Goal: no recursion, and every node of a long way is counted. Method: a million nodes in a row, in
// the order of ids and against it, merged and as single edges.
TEST(CostGraph, FollowsAPathOfAMillionNodes) {
  constexpr NodeIndex kCount = 1'000'000;
  std::vector<Need> needs = chain(kCount);
  for (const bool is_reversed : {false, true}) {
    CostGraph graph;
    graph.add_nodes(kCount);
    for (Need& need : needs) {
      if (is_reversed) {
        std::swap(need.needer, need.needed);
      }
    }
    const NodeIndex last = is_reversed ? 0 : kCount - 1;
    ASSERT_TRUE(graph.add_needs(needs).empty());
    graph.add_cost(kCount - 1 - last, 42);
    CostGraph::Workspace workspace;
    for (int round = 0; round < 2; ++round) {
      const ClosureSum up = graph.closure_sum(last, Direction::Upstream, workspace);
      EXPECT_EQ(up.node_count(), kCount + round);
      EXPECT_EQ(up.total_picos(), 42);
      const ClosureSum down =
          graph.closure_sum(kCount - 1 - last, Direction::Downstream, workspace);
      EXPECT_EQ(down.node_count(), kCount);
      EXPECT_EQ(graph.add_need({kCount - 1 - last, last}).size(), kCount);
      const NodeIndex late = graph.add_nodes(1);
      ASSERT_TRUE(graph.add_need({last, late}).empty());  // against the ranks
    }
    EXPECT_EQ(graph.add_needs(std::vector<Need>{{kCount - 1 - last, last}}).size(), 1U);
  }
}

TEST(CostGraph, RefusesUnknownNodesAndMarksAndChangesNothing) {
  CostGraph graph;
  graph.add_nodes(2);
  CostGraph::Workspace workspace;
  Nodes out;
  const auto expect_refused = [](ErrorCode code, const auto& call) {
    try {
      call();
      ADD_FAILURE() << "no error";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), code) << error.what();
    }
  };
  constexpr auto kInvalid = ErrorCode::InvalidArgument;
  expect_refused(kInvalid, [&] { graph.add_needs(std::vector<Need>{{1, 0}, {1, 2}}); });
  expect_refused(kInvalid, [&] { graph.add_needs(std::vector<Need>{{2, 1}}); });
  expect_refused(kInvalid, [&] { graph.add_need({2, 1}); });
  expect_refused(kInvalid, [&] { graph.add_need({1, 2}); });
  expect_refused(kInvalid, [&] { graph.add_cost(2, 1); });
  expect_refused(kInvalid, [&] { (void)graph.cost_picos(2); });
  expect_refused(kInvalid, [&] { graph.set_mark(2, 0); });
  expect_refused(kInvalid, [&] { graph.set_mark(1, kMarkCount); });
  expect_refused(kInvalid, [&] { (void)graph.mark(2); });
  expect_refused(kInvalid, [&] { graph.neighbours(2, Direction::Upstream, out); });
  expect_refused(kInvalid, [&] { (void)graph.closure_sum(2, Direction::Upstream, workspace); });
  expect_refused(kInvalid, [&] { graph.closure(2, Direction::Downstream, workspace, out); });
  expect_refused(ErrorCode::Overflow, [&] { graph.add_nodes(std::size_t{1} << 32); });
  expect_refused(ErrorCode::Overflow,
                 [&] { graph.add_nodes(std::numeric_limits<std::size_t>::max()); });
  EXPECT_EQ(graph.node_count(), 2U);
  EXPECT_EQ(graph.edge_count(), 0U);
}

TEST(CostGraph, RefusesSumsPastTheRange) {
  CostGraph graph;
  graph.add_nodes(2);
  graph.add_needs(chain(2));
  graph.add_cost(0, kMost);
  EXPECT_THROW(graph.add_cost(0, 1), Error);
  EXPECT_EQ(graph.cost_picos(0), kMost) << "unchanged by what was refused";
  EXPECT_EQ(cost_of(graph, 1, Direction::Upstream), kMost) << "at the limit";
  graph.add_cost(1, 1);
  EXPECT_THROW((void)cost_of(graph, 1, Direction::Upstream), Error);
  graph.set_mark(1, 1);
  CostGraph::Workspace workspace;
  const ClosureSum sum = graph.closure_sum(1, Direction::Upstream, workspace);
  EXPECT_EQ(sum.cost_picos[0], kMost);
  EXPECT_THROW((void)sum.total_picos(), Error);
}

TEST(CostGraph, GivesNoOrderWhileSingleEdgesWait) {
  CostGraph graph;
  graph.add_nodes(2);
  graph.add_need({0, 1});
  EXPECT_THROW((void)graph.topological_order(), InternalError);
  graph.merge();
  EXPECT_EQ(graph.topological_order(), (Nodes{1, 0}));
}

TEST(CostGraph, AnswersWhenEmptyAndAfterAMove) {
  CostGraph graph;
  EXPECT_TRUE(graph.add_needs({}).empty());
  graph.merge();
  EXPECT_EQ(graph.add_nodes(0), 0U);
  EXPECT_TRUE(graph.topological_order().empty());
  graph.add_nodes(1);
  graph.add_cost(0, 9);
  const CostGraph moved = std::move(graph);
  EXPECT_EQ(cost_of(moved, 0, Direction::Upstream), 9);
}

// Goal: 64 bytes a node and 12 an edge are enough, once merged.
TEST(CostGraph, HoldsNoMoreMemoryThanPromised) {
  constexpr NodeIndex kCount = 10'000;
  CostGraph graph;
  for (NodeIndex node = 0; node < kCount; ++node) {
    graph.add_nodes(1);
  }
  std::vector<Need> needs = chain(kCount);
  const std::vector<Need> again = needs;
  needs.insert(needs.end(), again.begin(), again.end());
  graph.add_needs(needs);
  EXPECT_EQ(graph.edge_count(), kCount - 1);
  EXPECT_LE(graph.memory().node_bytes, 64 * (kCount + 1));
  EXPECT_LE(graph.memory().edge_bytes, 12 * kCount);
  const std::size_t merged_bytes = graph.memory().edge_bytes;
  graph.add_need({kCount - 1, 0});
  EXPECT_GT(graph.memory().edge_bytes, merged_bytes) << "what waits is counted";
}

}  // namespace
}  // namespace finops::genealogy
