// cost_graph.cpp - nodes, costs, single edges; what a CostGraph says about itself.
#include "finops/genealogy/cost_graph.hpp"

#include <algorithm>
#include <string>

#include "finops/base/error.hpp"
#include "genealogy/dense_graph.hpp"

namespace finops::genealogy {
namespace {

Rank rank_of(const DenseGraph& graph, NodeIndex node) {
  FINOPS_REQUIRE(node < graph.node_count(), ErrorCode::InvalidArgument,
                 "node " + std::to_string(node) + " is not in the graph, which has " +
                     std::to_string(graph.node_count()) + "; add_nodes first");
  return graph.rank_of_id[node];
}

std::span<const Rank> waiting_edges(const DenseGraph& graph, Rank rank, Direction direction) {
  const auto found = graph.waiting[index_of(direction)].find(rank);
  return found == graph.waiting[index_of(direction)].end() ? std::span<const Rank>{}
                                                           : found->second;
}

bool has_edge(const DenseGraph& graph, Rank needer, Rank needed) {
  const std::span<const Rank> merged = graph.merged_edges(needer, Direction::Upstream);
  if (std::binary_search(merged.begin(), merged.end(), needed)) {
    return true;
  }
  // From the end that has fewer, so that a hub's many single edges are not looked through each
  // time.
  std::span<const Rank> few = waiting_edges(graph, needer, Direction::Upstream);
  std::span<const Rank> many = waiting_edges(graph, needed, Direction::Downstream);
  Rank wanted = needed;
  if (few.size() > many.size()) {
    std::swap(few, many);
    wanted = needer;
  }
  return std::find(few.begin(), few.end(), wanted) != few.end();
}

void keep_waiting(DenseGraph& graph, Rank rank, Direction direction, Rank target) {
  const std::size_t side = index_of(direction);
  graph.waiting[side][rank].push_back(target);
  graph.nodes[rank].waiting_sides |= static_cast<std::uint8_t>(1U << side);
}

std::size_t bytes_of_waiting(const DenseGraph& graph) {
  // What the usual standard libraries hold for an entry beside the pair: the next one, and a
  // bucket.
  constexpr std::size_t kEntryBytes = sizeof(std::pair<const Rank, std::vector<Rank>>) + 16;
  std::size_t bytes = 0;
  for (const auto& lists : graph.waiting) {
    for (const auto& [rank, list] : lists) {
      bytes += kEntryBytes + list.capacity() * sizeof(Rank);
    }
  }
  return bytes;
}

}  // namespace

Int128 ClosureSum::total_picos() const {
  Int128 total = 0;
  for (const Int128 picos : cost_picos) {
    FINOPS_REQUIRE(!__builtin_add_overflow(total, picos, &total), ErrorCode::Overflow,
                   "the sum over all marks of a closure exceeds the 128-bit range of picos");
  }
  return total;
}

std::int64_t ClosureSum::node_count() const noexcept {
  std::int64_t total = 0;
  for (const std::int64_t count : node_counts) {
    total += count;
  }
  return total;
}

CostGraph::CostGraph() : graph_(std::make_unique<DenseGraph>()) {}
CostGraph::~CostGraph() = default;
CostGraph::CostGraph(CostGraph&&) noexcept = default;
CostGraph& CostGraph::operator=(CostGraph&&) noexcept = default;

NodeIndex CostGraph::add_nodes(std::size_t count) {
  DenseGraph& graph = *graph_;
  const std::size_t first = graph.node_count();
  FINOPS_REQUIRE(count <= kMostNodes - first, ErrorCode::Overflow,
                 "cannot add " + std::to_string(count) + " nodes to " + std::to_string(first) +
                     ": a graph has at most " + std::to_string(kMostNodes));
  // New nodes come last in rank. Room in both first, so that they cannot differ in size after a
  // lack of memory. Doubling, as reserve gives exactly what is asked for; the first time that fits.
  const std::size_t total = first + count;
  if (total > graph.rank_of_id.capacity() || total + 1 > graph.nodes.capacity()) {
    const std::size_t room = std::max(total, first * 2);
    graph.rank_of_id.reserve(room);
    graph.nodes.reserve(room + 1);
  }
  const NodeRecord end = graph.nodes.back();
  graph.nodes.resize(total + 1, end);
  for (std::size_t id = first; id < total; ++id) {
    graph.nodes[id].id = static_cast<NodeIndex>(id);
    graph.rank_of_id.push_back(static_cast<Rank>(id));
  }
  return static_cast<NodeIndex>(first);
}

std::vector<RefusedNeed> CostGraph::add_needs(std::span<const Need> needs) {
  for (std::size_t i = 0; i < needs.size(); ++i) {
    const NodeIndex highest = std::max(needs[i].needer, needs[i].needed);
    FINOPS_REQUIRE(highest < graph_->node_count(), ErrorCode::InvalidArgument,
                   "edge " + std::to_string(i) + " names node " + std::to_string(highest) +
                       ", which is not in the graph of " + std::to_string(graph_->node_count()) +
                       "; add_nodes first");
  }
  return rebuild(*graph_, needs);
}

std::vector<NodeIndex> CostGraph::add_need(Need need) {
  DenseGraph& graph = *graph_;
  const Rank needer = rank_of(graph, need.needer);
  const Rank needed = rank_of(graph, need.needed);
  if (needer != needed && has_edge(graph, needer, needed)) {
    return {};
  }
  FINOPS_REQUIRE(graph.edge_count() < kMostEdges, ErrorCode::Overflow,
                 "a graph has at most " + std::to_string(kMostEdges) + " edges");
  const bool is_against_rank = needer <= needed;
  if (is_against_rank || graph.against_rank_count > 0) {
    // needer -> needed -> ... -> needer: the way back without its end is the rest of the cycle.
    std::vector<NodeIndex> path = find_path(graph, needed, needer, graph.workspace);
    if (!path.empty()) {
      path.pop_back();
      path.insert(path.begin(), needer);
      for (NodeIndex& node : path) {
        node = graph.nodes[node].id;
      }
      return path;
    }
  }
  keep_waiting(graph, needer, Direction::Upstream, needed);
  keep_waiting(graph, needed, Direction::Downstream, needer);
  ++graph.waiting_count;
  graph.against_rank_count += is_against_rank ? 1 : 0;
  return {};
}

void CostGraph::merge() {
  if (graph_->waiting_count > 0) {
    rebuild(*graph_, {});
  }
}

void CostGraph::add_cost(NodeIndex node, Int128 amount_picos) {
  Int128& cost_picos = graph_->nodes[rank_of(*graph_, node)].cost_picos;
  Int128 sum_picos = 0;
  FINOPS_REQUIRE(!__builtin_add_overflow(cost_picos, amount_picos, &sum_picos), ErrorCode::Overflow,
                 "the cost of node " + std::to_string(node) +
                     " would exceed the 128-bit range of picos");
  cost_picos = sum_picos;
}

Int128 CostGraph::cost_picos(NodeIndex node) const {
  return graph_->nodes[rank_of(*graph_, node)].cost_picos;
}

void CostGraph::set_mark(NodeIndex node, std::uint8_t mark) {
  const Rank rank = rank_of(*graph_, node);
  FINOPS_REQUIRE(mark < kMarkCount, ErrorCode::InvalidArgument,
                 "mark " + std::to_string(mark) + " of node " + std::to_string(node) +
                     " is not one of 0 to " + std::to_string(kMarkCount - 1));
  graph_->nodes[rank].mark = mark;
}

std::uint8_t CostGraph::mark(NodeIndex node) const {
  return graph_->nodes[rank_of(*graph_, node)].mark;
}

std::size_t CostGraph::node_count() const noexcept { return graph_->node_count(); }
std::size_t CostGraph::edge_count() const noexcept { return graph_->edge_count(); }

CostGraph::Memory CostGraph::memory() const noexcept {
  Memory memory;
  memory.node_bytes =
      graph_->nodes.capacity() * sizeof(NodeRecord) + graph_->rank_of_id.capacity() * sizeof(Rank);
  memory.edge_bytes = bytes_of_waiting(*graph_);
  for (const LargeVector<Rank>& targets : graph_->targets) {
    memory.edge_bytes += targets.capacity() * sizeof(Rank);
  }
  return memory;
}

void CostGraph::neighbours(NodeIndex node, Direction direction, std::vector<NodeIndex>& out) const {
  out.clear();
  graph_->for_each_neighbour(rank_of(*graph_, node), direction,
                             [&](Rank rank) { out.push_back(graph_->nodes[rank].id); });
}

std::vector<NodeIndex> CostGraph::topological_order() const {
  FINOPS_ASSERT(graph_->waiting_count == 0);
  std::vector<NodeIndex> order;
  order.reserve(node_count());
  for (std::size_t rank = 0; rank < node_count(); ++rank) {
    order.push_back(graph_->nodes[rank].id);
  }
  return order;
}

}  // namespace finops::genealogy
