// adjacency.hpp - edges as one list per node, by id, and an order in which the needed come first.
//
// Owns: Adjacency, topological order, and which edges of a tangle are refused, as declarations for
// the build of a CostGraph. Does not own: ranks and what a walk reads (dense_graph.hpp).
#pragma once

#include <cstdint>
#include <span>
#include <unordered_set>
#include <vector>

#include "genealogy/dense_graph.hpp"

namespace finops::genealogy {

/// The edges that a build takes in: those of the graph, and the new ones without the refused.
struct EdgeSource {
  const DenseGraph& graph;
  std::span<const Need> needs;
  std::unordered_set<std::uint64_t> refused;

  static std::uint64_t key(Need need) noexcept {
    return std::uint64_t{need.needer} << 32 | need.needed;
  }
  [[nodiscard]] std::size_t most_edges() const noexcept {
    return graph.edge_count() + needs.size();
  }
  /// Calls visit(Need) for those that are in the graph.
  template <typename Visit>
  void for_each_known(Visit&& visit) const {
    for (Rank rank = 0; rank < graph.node_count(); ++rank) {
      graph.for_each_neighbour(rank, Direction::Upstream, [&](Rank needed) {
        visit(Need{graph.nodes[rank].id, graph.nodes[needed].id});
      });
    }
  }
  template <typename Visit>
  void for_each(Visit&& visit) const {
    for_each_known(visit);
    for (const Need need : needs) {
      if (refused.empty() || !refused.contains(key(need))) {
        visit(need);
      }
    }
  }
};

/// By node id, what it needs (Upstream) or what needs it; an edge that was given twice stands
/// twice.
struct Adjacency {
  LargeVector<std::uint32_t> begins;  ///< [node_count + 1]
  LargeVector<NodeIndex> targets;

  [[nodiscard]] std::span<const NodeIndex> of(NodeIndex node) const {
    return {targets.data() + begins[node], begins[node + 1] - begins[node]};
  }
};

/// Of the edges that edges.for_each(visit) names, twice alike.
template <typename Edges>
Adjacency make_adjacency(std::size_t node_count, const Edges& edges, Direction direction) {
  const bool is_upstream = direction == Direction::Upstream;
  Adjacency adjacency;
  // Counted two places on, the sums stand one place on, and dealing the edges out moves them home.
  adjacency.begins.resize(node_count + 2, 0);
  std::size_t edge_count = 0;
  edges.for_each([&](Need need) {
    ++adjacency.begins[std::size_t{is_upstream ? need.needer : need.needed} + 2];
    ++edge_count;
  });
  for (std::size_t i = 2; i < adjacency.begins.size(); ++i) {
    adjacency.begins[i] += adjacency.begins[i - 1];
  }
  adjacency.targets.resize(edge_count);
  edges.for_each([&](Need need) {
    const NodeIndex from = is_upstream ? need.needer : need.needed;
    const NodeIndex to = is_upstream ? need.needed : need.needer;
    adjacency.targets[adjacency.begins[std::size_t{from} + 1]++] = to;
  });
  adjacency.begins.pop_back();
  return adjacency;
}

struct TopologicalOrder {
  LargeVector<NodeIndex> ids;  ///< each after all that it needs, else in order of ids
  LargeVector<Rank> ranks;     ///< by id: where it stands in `ids`
  bool has_cycle = false;      ///< then some edges that close cycles were left out of account
};
TopologicalOrder find_order(const Adjacency& upstream);

/// Which of the new edges close a cycle with the known ones and those before them, in order.
/// `upstream` has all edges, and `order` is its order.
std::vector<RefusedNeed> find_refused(const EdgeSource& source, const Adjacency& upstream,
                                      const TopologicalOrder& order);

}  // namespace finops::genealogy
