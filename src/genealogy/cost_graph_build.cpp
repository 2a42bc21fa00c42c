// cost_graph_build.cpp - ranks and adjacency anew from all edges, in time linear in their number.
#include <algorithm>
#include <string>
#include <utility>

#include "finops/base/error.hpp"
#include "genealogy/adjacency.hpp"

namespace finops::genealogy {
namespace {

constexpr Rank kUnplaced = 0xFFFF'FFFF;
constexpr Rank kOnPath = 0xFFFF'FFFE;
static_assert(kMostNodes <= kOnPath);

/// A depth-first walk over the nodes that are not placed yet, for find_order.
class Placer {
 public:
  Placer(const Adjacency& upstream, TopologicalOrder& order) : upstream_(upstream), order_(order) {}

  /// Places `node` after all that it needs.
  void place(NodeIndex node) {
    if (needs_nothing_unplaced(node)) {  // most nodes come after what they need already
      append(node);
      return;
    }
    enter(node);
    while (!path_.empty()) {
      Step& step = path_.back();
      if (step.next_edge == upstream_.begins[step.node + 1]) {
        append(step.node);
        path_.pop_back();
        continue;
      }
      const NodeIndex needed = upstream_.targets[step.next_edge++];
      const Rank rank = order_.ranks[needed];
      if (rank == kUnplaced) {
        enter(needed);
      } else if (rank == kOnPath) {
        order_.has_cycle = true;
      }
    }
  }

 private:
  struct Step {
    NodeIndex node;
    std::uint32_t next_edge;
  };

  [[nodiscard]] bool needs_nothing_unplaced(NodeIndex node) const {
    const std::span<const NodeIndex> needed = upstream_.of(node);
    return std::all_of(needed.begin(), needed.end(),
                       [&](NodeIndex id) { return order_.ranks[id] < kOnPath; });
  }
  void enter(NodeIndex node) {
    order_.ranks[node] = kOnPath;
    path_.push_back({node, upstream_.begins[node]});
  }
  void append(NodeIndex node) {
    order_.ranks[node] = static_cast<Rank>(order_.ids.size());
    order_.ids.push_back(node);
  }

  const Adjacency& upstream_;
  TopologicalOrder& order_;
  std::vector<Step> path_;
};

/// The records by new rank; empty if all may stay where they are, as in a graph that grew in order.
/// It spares the most memory, which costs more time to get than to fill.
LargeVector<NodeRecord> moved_nodes(const DenseGraph& graph, const LargeVector<NodeIndex>& ids) {
  LargeVector<NodeRecord> moved;
  const bool is_in_order =
      std::equal(ids.begin(), ids.end(), graph.nodes.begin(),
                 [](NodeIndex id, const NodeRecord& record) { return id == record.id; });
  if (!is_in_order) {
    moved.reserve(graph.nodes.size());
    for (const NodeIndex id : ids) {
      moved.push_back(graph.nodes[graph.rank_of_id[id]]);
    }
    moved.emplace_back();
  }
  return moved;
}

/// Fills `targets`, which is as large as those of `upstream`, with needed ranks: each list sorted
/// and without duplicates.
void set_upstream(DenseGraph& graph, const Adjacency& upstream, const LargeVector<NodeIndex>& ids,
                  LargeVector<Rank> targets) {
  constexpr std::size_t kUp = index_of(Direction::Upstream);
  std::size_t size = 0;
  for (std::size_t rank = 0; rank < ids.size(); ++rank) {
    graph.nodes[rank].edges_begin[kUp] = static_cast<std::uint32_t>(size);
    const std::size_t begin = size;
    for (const NodeIndex needed : upstream.of(ids[rank])) {
      targets[size++] = graph.rank_of_id[needed];
    }
    if (size - begin > 1) {
      const auto first = targets.begin() + static_cast<std::ptrdiff_t>(begin);
      const auto last = targets.begin() + static_cast<std::ptrdiff_t>(size);
      std::sort(first, last);
      size = static_cast<std::size_t>(std::unique(first, last) - targets.begin());
    }
  }
  graph.nodes.back().edges_begin[kUp] = static_cast<std::uint32_t>(size);
  targets.resize(size);
  targets.shrink_to_fit();
  graph.targets[kUp] = std::move(targets);
}

/// The same edges from their other ends, in the memory that `used` leaves; sorted, since they are
/// dealt out in rising order.
void set_downstream(DenseGraph& graph, Adjacency used) {
  constexpr std::size_t kUp = index_of(Direction::Upstream);
  constexpr std::size_t kDown = index_of(Direction::Downstream);
  LargeVector<NodeRecord>& nodes = graph.nodes;
  const LargeVector<Rank>& upstream = graph.targets[kUp];
  LargeVector<std::uint32_t> next = std::move(used.begins);
  std::fill(next.begin(), next.end(), 0);
  for (const Rank needed : upstream) {
    ++next[needed];
  }
  std::uint32_t begin = 0;
  for (std::size_t rank = 0; rank < nodes.size(); ++rank) {
    nodes[rank].edges_begin[kDown] = begin;
    begin += std::exchange(next[rank], begin);
  }
  LargeVector<Rank> targets = std::move(used.targets);
  targets.resize(upstream.size());
  targets.shrink_to_fit();
  for (Rank rank = 0; rank + 1 < nodes.size(); ++rank) {
    for (std::uint32_t i = nodes[rank].edges_begin[kUp]; i < nodes[rank + 1].edges_begin[kUp];
         ++i) {
      targets[next[upstream[i]]++] = rank;
    }
  }
  graph.targets[kDown] = std::move(targets);
}

/// What is left to say of each node once both sides are there; nothing waits any more.
void finish(DenseGraph& graph) {
  for (std::size_t rank = 0; rank + 1 < graph.nodes.size(); ++rank) {
    NodeRecord& record = graph.nodes[rank];
    record.waiting_sides = 0;
    for (std::size_t side = 0; side < record.few_edges.size(); ++side) {
      const std::uint32_t count =
          graph.nodes[rank + 1].edges_begin[side] - record.edges_begin[side];
      record.few_edges[side] =
          static_cast<std::uint8_t>(std::min<std::uint32_t>(count, kManyEdges));
    }
  }
}

}  // namespace

TopologicalOrder find_order(const Adjacency& upstream) {
  const std::size_t node_count = upstream.begins.size() - 1;
  TopologicalOrder order;
  order.ids.reserve(node_count);
  order.ranks.assign(node_count, kUnplaced);
  Placer placer(upstream, order);
  for (std::size_t id = 0; id < node_count; ++id) {
    if (order.ranks[id] == kUnplaced) {
      placer.place(static_cast<NodeIndex>(id));
    }
  }
  return order;
}

std::vector<RefusedNeed> rebuild(DenseGraph& graph, std::span<const Need> needs) {
  EdgeSource source{graph, needs, {}};
  FINOPS_REQUIRE(source.most_edges() <= kMostEdges, ErrorCode::Overflow,
                 "cannot add " + std::to_string(needs.size()) + " edges to " +
                     std::to_string(graph.edge_count()) + ": a graph has at most " +
                     std::to_string(kMostEdges));
  std::vector<RefusedNeed> refused;
  Adjacency upstream = make_adjacency(graph.node_count(), source, Direction::Upstream);
  TopologicalOrder order = find_order(upstream);
  if (order.has_cycle) {
    refused = find_refused(source, upstream, order);
    for (const RefusedNeed& need : refused) {
      source.refused.insert(EdgeSource::key(needs[need.position]));
    }
    upstream = make_adjacency(graph.node_count(), source, Direction::Upstream);
    order = find_order(upstream);
    FINOPS_ASSERT(!order.has_cycle);
  }
  LargeVector<Rank> targets(upstream.targets.size());
  LargeVector<NodeRecord> moved = moved_nodes(graph, order.ids);
  // From here on nothing can fail for lack of memory.
  if (moved.empty()) {
    graph.nodes.shrink_to_fit();
  } else {
    graph.nodes = std::move(moved);
  }
  graph.rank_of_id = std::move(order.ranks);
  set_upstream(graph, upstream, order.ids, std::move(targets));
  set_downstream(graph, std::move(upstream));
  finish(graph);
  graph.waiting = {};
  graph.waiting_count = 0;
  graph.against_rank_count = 0;
  return refused;
}

}  // namespace finops::genealogy
