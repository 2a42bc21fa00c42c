// test_genealogy_graph_exact.cpp - CostGraph against sets and plain loops, on random graphs.
//
// The judge keeps a set of edges and, for each node, the set of what it needs, worked out anew by
// hand: no rank, no bit, no search in common with what is judged.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <random>
#include <set>
#include <thread>
#include <vector>

#include "cost_graph_support.hpp"
#include "finops/genealogy/cost_graph.hpp"

namespace finops::genealogy {
namespace {

using testing::sorted_closure;
using Nodes = std::vector<NodeIndex>;

/// What a CostGraph must say.
class Judge {
 public:
  void add_nodes(std::size_t count) { nodes_.resize(nodes_.size() + count); }
  /// Whether it counts.
  bool add_need(Need need) {
    if (closure(need.needed, Direction::Upstream).contains(need.needer)) {
      return false;
    }
    needs_[0][need.needer].insert(need.needed);
    needs_[1][need.needed].insert(need.needer);
    return true;
  }
  [[nodiscard]] std::set<NodeIndex> closure(NodeIndex start, Direction direction) const {
    std::set<NodeIndex> found{start};
    std::vector<NodeIndex> open{start};
    while (!open.empty()) {
      const NodeIndex node = open.back();
      open.pop_back();
      for (const NodeIndex next : neighbours(node, direction)) {
        if (found.insert(next).second) {
          open.push_back(next);
        }
      }
    }
    return found;
  }
  [[nodiscard]] const std::set<NodeIndex>& neighbours(NodeIndex node, Direction direction) const {
    static const std::set<NodeIndex> kNone;
    const auto& lists = needs_.at(static_cast<std::size_t>(direction));
    const auto list = lists.find(node);
    return list == lists.end() ? kNone : list->second;
  }
  [[nodiscard]] std::size_t edge_count() const {
    std::size_t count = 0;
    for (const auto& [node, needed] : needs_[0]) {
      count += needed.size();
    }
    return count;
  }
  struct Node {
    Int128 cost_picos = 0;
    std::uint8_t mark = 0;
  };
  Node& node(NodeIndex index) { return nodes_.at(index); }
  [[nodiscard]] const Node& node(NodeIndex index) const { return nodes_.at(index); }
  [[nodiscard]] std::size_t node_count() const { return nodes_.size(); }

 private:
  std::vector<Node> nodes_;
  std::array<std::map<NodeIndex, std::set<NodeIndex>>, 2> needs_;
};

/// One random graph, grown in steps of all kinds.
class RandomGraph {
 public:
  explicit RandomGraph(std::uint64_t seed) : random_(seed) {
    window_ = std::array<NodeIndex, 3>{2, 10, 1'000}[random_() % 3];
    backwards_one_in_ = std::array<NodeIndex, 3>{2, 8, 1'000}[random_() % 3];
    add_nodes();
  }

  void step() {
    switch (random_() % 8) {
      case 0: add_nodes(); break;
      case 1:
      case 2: add_many(); break;
      case 3: graph.merge(); break;
      case 4: change_node(); break;
      default: add_one();
    }
  }

  void check() {
    ASSERT_EQ(graph.node_count(), judge.node_count());
    ASSERT_EQ(graph.edge_count(), judge.edge_count());
    for (NodeIndex node = 0; node < judge.node_count(); node += 1 + below(8)) {
      check_closure(node, Direction::Upstream);
      check_closure(node, Direction::Downstream);
    }
  }
  void check_order() {
    graph.merge();
    std::set<NodeIndex> before;
    for (const NodeIndex node : graph.topological_order()) {
      for (const NodeIndex needed : judge.neighbours(node, Direction::Upstream)) {
        ASSERT_TRUE(before.contains(needed)) << node << " needs " << needed;
      }
      ASSERT_TRUE(before.insert(node).second) << node << " comes twice";
    }
    ASSERT_EQ(before.size(), judge.node_count());
  }

  CostGraph graph;
  Judge judge;

 private:
  NodeIndex below(std::size_t limit) { return static_cast<NodeIndex>(random_() % limit); }

  void add_nodes() {
    const std::size_t count = 1 + below(12);
    EXPECT_EQ(graph.add_nodes(count), judge.node_count());
    judge.add_nodes(count);
  }

  /// Mostly a later node needs an earlier one nearby; sometimes the other way round, or itself.
  Need random_need() {
    const NodeIndex needer = below(judge.node_count());
    const Need need{needer, needer - below(std::min(needer, window_) + 1)};
    return below(backwards_one_in_) == 0 ? Need{need.needed, need.needer} : need;
  }

  void add_one() {
    const Need need = random_need();
    const bool is_known = judge.neighbours(need.needer, Direction::Upstream).contains(need.needed);
    const Nodes path = graph.add_need(need);
    ASSERT_EQ(path.empty(), is_known || judge.add_need(need));
    check_path(path, need);
  }

  void add_many() {
    std::vector<Need> needs;
    for (std::size_t left = below(20); left > 0; --left) {
      needs.push_back(random_need());
      if (below(4) == 0) {
        needs.push_back(needs[below(needs.size())]);
      }
    }
    const std::vector<RefusedNeed> refused = graph.add_needs(needs);
    std::size_t next = 0;
    for (std::size_t position = 0; position < needs.size(); ++position) {
      if (!judge.add_need(needs[position])) {
        ASSERT_LT(next, refused.size());
        ASSERT_EQ(refused[next].position, position);
        ASSERT_FALSE(refused[next].path.empty());
        check_path(refused[next].path, needs[position]);
        ++next;
      }
    }
    ASSERT_EQ(next, refused.size());
  }

  /// `path` is a cycle but for `need`, which would close it.
  void check_path(const Nodes& path, Need need) {
    if (path.empty()) {
      return;
    }
    ASSERT_EQ(path.front(), need.needer);
    ASSERT_EQ(path[1 % path.size()], need.needed);
    for (std::size_t i = 1; i < path.size(); ++i) {
      const NodeIndex next = path[(i + 1) % path.size()];
      ASSERT_TRUE(judge.neighbours(path[i], Direction::Upstream).contains(next));
    }
    ASSERT_EQ(std::set<NodeIndex>(path.begin(), path.end()).size(), path.size());
  }

  void change_node() {
    const NodeIndex node = below(judge.node_count());
    const Int128 amount_picos = static_cast<Int128>(random_()) - static_cast<Int128>(random_());
    graph.add_cost(node, amount_picos);
    judge.node(node).cost_picos += amount_picos;
    judge.node(node).mark = static_cast<std::uint8_t>(below(kMarkCount));
    graph.set_mark(node, judge.node(node).mark);
  }

  void check_closure(NodeIndex node, Direction direction) {
    const std::set<NodeIndex> expected = judge.closure(node, direction);
    ASSERT_EQ(sorted_closure(graph, node, direction), Nodes(expected.begin(), expected.end()));
    ClosureSum sum;
    for (const NodeIndex found : expected) {
      sum.cost_picos.at(judge.node(found).mark) += judge.node(found).cost_picos;
      ++sum.node_counts.at(judge.node(found).mark);
    }
    const ClosureSum said = graph.closure_sum(node, direction, workspace_);
    ASSERT_TRUE(said.cost_picos == sum.cost_picos);
    ASSERT_EQ(said.node_counts, sum.node_counts);
    ASSERT_TRUE(graph.cost_picos(node) == judge.node(node).cost_picos);
    Nodes neighbours;
    graph.neighbours(node, direction, neighbours);
    std::sort(neighbours.begin(), neighbours.end());
    const std::set<NodeIndex>& expected_neighbours = judge.neighbours(node, direction);
    ASSERT_EQ(neighbours, Nodes(expected_neighbours.begin(), expected_neighbours.end()));
  }

  std::mt19937_64 random_;
  NodeIndex window_ = 0;
  NodeIndex backwards_one_in_ = 0;
  CostGraph::Workspace workspace_;
};

// Goal: sums, closures, neighbours, refusals and their paths are exact whatever came before.
// Method: 10,000 random graphs grown in mixed steps, each compared with the judge.
TEST(CostGraphExactness, TenThousandRandomGraphsAreAsTheJudgeSays) {
  for (std::uint64_t seed = 1; seed <= 10'000; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    RandomGraph random(seed);
    for (std::size_t left = 4 + seed % 12; left > 0; --left) {
      random.step();
      if (left % 4 == 0) {
        random.check();
      }
      if (::testing::Test::HasFailure()) {
        return;
      }
    }
    random.check();
    random.check_order();
    if (::testing::Test::HasFailure()) {
      return;
    }
  }
}

/// A graph so large that small closures are searched for and large ones swept for.
struct LargeGraph {
  static constexpr NodeIndex kCount = 60'000;
  CostGraph graph;
  std::vector<Need> needs;

  explicit LargeGraph(NodeIndex window) {
    std::mt19937_64 random(window);
    graph.add_nodes(kCount);
    for (NodeIndex node = 1; node < kCount; ++node) {
      graph.add_cost(node, node);
      for (std::uint64_t left = random() % 3; left > 0; --left) {
        const auto back = static_cast<NodeIndex>(1 + random() % std::min(node, window));
        // A tenth of the needs lead to a later node.
        needs.push_back(node % 10 == 0 ? Need{node - back, node} : Need{node, node - back});
      }
    }
  }
};

/// The closure sum by plain marks on nodes.
Int128 plain_sum(const std::vector<std::vector<NodeIndex>>& neighbours, NodeIndex start) {
  std::vector<bool> seen(neighbours.size());
  Nodes open{start};
  seen[start] = true;
  Int128 sum = 0;
  while (!open.empty()) {
    const NodeIndex node = open.back();
    open.pop_back();
    sum += node;  // its cost
    for (const NodeIndex next : neighbours[node]) {
      if (!seen[next]) {
        seen[next] = true;
        open.push_back(next);
      }
    }
  }
  return sum;
}

// Goal: the change from search to sweep loses and doubles nothing, also where single edges wait.
// Method: graphs of 60,000 nodes; the same workspace for all, in both directions.
TEST(CostGraphExactness, LargeAndSmallClosuresAgreeWithPlainWalks) {
  CostGraph::Workspace workspace;
  for (const NodeIndex window : {3U, 40U, 60'000U}) {
    LargeGraph large(window);
    std::vector<bool> is_refused(large.needs.size());
    for (const RefusedNeed& refused : large.graph.add_needs(large.needs)) {
      is_refused[refused.position] = true;
    }
    std::array<std::vector<Nodes>, 2> neighbours;
    neighbours.fill(std::vector<Nodes>(LargeGraph::kCount));
    const auto note = [&](Need need) {
      neighbours[0][need.needer].push_back(need.needed);
      neighbours[1][need.needed].push_back(need.needer);
    };
    for (std::size_t i = 0; i < large.needs.size(); ++i) {
      if (!is_refused[i]) {
        note(large.needs[i]);
      }
    }
    std::mt19937_64 random(window + 1);
    for (int round = 0; round < 40; ++round) {
      const auto node = static_cast<NodeIndex>(random() % LargeGraph::kCount);
      const Need single{static_cast<NodeIndex>(random() % LargeGraph::kCount),
                        static_cast<NodeIndex>(random() % LargeGraph::kCount)};
      if (round % 4 == 3 && large.graph.add_need(single).empty()) {
        note(single);
      }
      for (const Direction direction : {Direction::Upstream, Direction::Downstream}) {
        const Int128 expected = plain_sum(neighbours.at(static_cast<std::size_t>(direction)), node);
        ASSERT_TRUE(large.graph.closure_sum(node, direction, workspace).total_picos() == expected)
            << "window " << window << ", round " << round << ", node " << node;
      }
    }
  }
}

// Goal: a knot of very many cycles ends soon, and what is refused is enough. Method: 20,000 nodes
// in a row, and 2,000 needs that lead back; then the same in one lot of small knots.
TEST(CostGraphExactness, ThousandsOfCyclesAreRefused) {
  constexpr NodeIndex kCount = 20'000;
  std::vector<Need> needs;
  for (NodeIndex node = 1; node < kCount; ++node) {
    needs.push_back({node, node - 1});
  }
  const std::size_t row_size = needs.size();
  std::mt19937_64 random(row_size);
  for (int i = 0; i < 2'000; ++i) {
    const auto low = static_cast<NodeIndex>(random() % (kCount - 1));
    needs.push_back({low, static_cast<NodeIndex>(low + 1 + random() % (kCount - low - 1))});
  }
  CostGraph graph;
  graph.add_nodes(kCount);
  const std::vector<RefusedNeed> refused = graph.add_needs(needs);
  ASSERT_EQ(refused.size(), needs.size() - row_size);
  std::size_t path_nodes = 0;
  for (std::size_t i = 0; i < refused.size(); ++i) {
    ASSERT_EQ(refused[i].position, row_size + i);
    path_nodes += refused[i].path.size();
  }
  EXPECT_LE(path_nodes, kMostPathNodes) << "paths that pass the limit are left out";
  EXPECT_GE(path_nodes, kMostPathNodes - kCount);
  EXPECT_EQ(graph.edge_count(), row_size);
}

// Goal: walks of several threads do not disturb each other. Method: each with its own workspace, on
// one graph in which single edges wait; every answer must be that of one thread alone.
TEST(CostGraphThreads, ConstWalksRunBesideEachOther) {
  LargeGraph large(1'000);
  large.graph.add_needs(large.needs);
  large.graph.add_need({LargeGraph::kCount - 1, 1});
  constexpr NodeIndex kAsked = 200;
  const auto ask_all = [&](std::vector<Int128>& sums) {
    CostGraph::Workspace workspace;
    for (NodeIndex i = 0; i < kAsked; ++i) {
      const NodeIndex node = LargeGraph::kCount - 1 - i * 7;
      const Direction direction = i % 2 == 0 ? Direction::Upstream : Direction::Downstream;
      sums.push_back(large.graph.closure_sum(node, direction, workspace).total_picos());
    }
  };
  std::vector<Int128> expected;
  ask_all(expected);
  std::array<std::vector<Int128>, 4> sums;
  std::vector<std::thread> threads;
  threads.reserve(sums.size());
  for (std::vector<Int128>& own : sums) {
    threads.emplace_back([&ask_all, &own] { ask_all(own); });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  for (const std::vector<Int128>& own : sums) {
    EXPECT_TRUE(own == expected);
  }
}

}  // namespace
}  // namespace finops::genealogy
