// cost_graph.hpp - sums over all that a node needs, each node once, in a graph of millions.
//
// Owns: CostGraph: dense indices, adjacency, ranks, costs, and the walks over them.
// Does not own: names and kinds (genealogy.hpp), which edges there are, shares of cost
// (credit.hpp). Invariants: the graph has no cycle; a node is counted once in a sum; no walk
// recurses; a const call with its own Workspace may run beside others.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "finops/money/money.hpp"

namespace finops::genealogy {

using NodeIndex = std::uint32_t;

/// "needer needs needed": the cost of `needed` is part of the full cost of `needer`.
struct Need {
  NodeIndex needer = 0;
  NodeIndex needed = 0;
};

/// An edge that would have closed a cycle, and the cycle: path.front() is its needer and needs the
/// next one, and so on; path.back() needs path.front(). The path is empty if it was not kept: see
/// the limits.
struct RefusedNeed {
  std::size_t position = 0;  ///< in the span that was given
  std::vector<NodeIndex> path;
};

/// The paths that one call of add_needs returns have no more nodes than this together; further
/// refused edges come without.
inline constexpr std::size_t kMostPathNodes = 1'000'000;
/// How many edges one call of add_needs looks at to tell which of a knot of cycles' edges to refuse
/// (some seconds). Past it, new edges that run against the order found so far are refused unlooked.
inline constexpr std::size_t kMostKnotSteps = 4'000'000'000;

/// Upstream: what a node needs (what it cost). Downstream: what needs it (what came from it).
enum class Direction { Upstream, Downstream };

/// A node's mark says under which sum of a closure it counts: 0 to 7. Their meaning is the
/// caller's.
inline constexpr int kMarkCount = 8;

/// The sums over a closure, the node itself included.
struct ClosureSum {
  std::array<Int128, kMarkCount> cost_picos{};  ///< by mark
  std::array<std::int64_t, kMarkCount> node_counts{};
  /// All marks together. Throws Error(Overflow) past the range.
  [[nodiscard]] Int128 total_picos() const;
  [[nodiscard]] std::int64_t node_count() const noexcept;
};

/// What a CostGraph consists of; private to it.
struct DenseGraph;

class CostGraph {
 public:
  /// What a walk needs for itself; reused, so that a walk allocates nothing. One per thread; for
  /// any graph. About a bit per node of the graph, and a little more.
  struct Workspace {
    std::vector<std::uint64_t> seen;  ///< a hash table: number of the walk, and the node it saw
    std::uint32_t walk_number = 0;
    std::vector<NodeIndex> queue;
    std::vector<std::uint64_t> bits;  ///< all zero between walks
  };

  CostGraph();
  ~CostGraph();
  CostGraph(CostGraph&&) noexcept;
  CostGraph& operator=(CostGraph&&) noexcept;
  CostGraph(const CostGraph&) = delete;
  CostGraph& operator=(const CostGraph&) = delete;

  /// Appends `count` nodes with cost 0 and mark 0. Returns the index of the first.
  /// Throws Error(Overflow) past 2^32 - 2 nodes.
  NodeIndex add_nodes(std::size_t count);
  /// Adds many edges, as if one after the other, and merges. A known one is a no-op; one that
  /// closes a cycle with those before it is refused and returned, in the order given; the others
  /// count. All or nothing: throws Error(InvalidArgument) on an unknown node, Error(Overflow) past
  /// 2^32 - 1 edges.
  std::vector<RefusedNeed> add_needs(std::span<const Need> needs);
  /// Adds one edge at once. Returns the cycle that it would close, beginning with the needer, or an
  /// empty path: then it counts. Throws Error(InvalidArgument) on an unknown node.
  std::vector<NodeIndex> add_need(Need need);
  /// Rebuilds ranks and adjacency so that walks are fast again after many single edges. The graph
  /// means the same before and after.
  void merge();

  // All below throw Error(InvalidArgument) on an unknown node.

  /// Constant time. Throws Error(Overflow) past the range.
  void add_cost(NodeIndex node, Int128 amount_picos);
  [[nodiscard]] Int128 cost_picos(NodeIndex node) const;
  /// Throws Error(InvalidArgument) past 7.
  void set_mark(NodeIndex node, std::uint8_t mark);
  [[nodiscard]] std::uint8_t mark(NodeIndex node) const;

  [[nodiscard]] std::size_t node_count() const noexcept;
  [[nodiscard]] std::size_t edge_count() const noexcept;
  /// Bytes held for nodes, and for edges, with what is not merged yet.
  struct Memory {
    std::size_t node_bytes = 0;
    std::size_t edge_bytes = 0;
  };
  [[nodiscard]] Memory memory() const noexcept;

  /// Replaces `out` by what `node` needs directly (Upstream), or what needs it; in no stated order.
  void neighbours(NodeIndex node, Direction direction, std::vector<NodeIndex>& out) const;
  /// Sums over the closure of `node`. Throws Error(Overflow).
  [[nodiscard]] ClosureSum closure_sum(NodeIndex node, Direction direction,
                                       Workspace& workspace) const;
  /// Replaces `out` by the closure, `node` included, each once, in no stated order.
  void closure(NodeIndex node, Direction direction, Workspace& workspace,
               std::vector<NodeIndex>& out) const;
  /// All nodes so that each comes after all that it needs. Merge first: throws InternalError if
  /// single edges wait.
  [[nodiscard]] std::vector<NodeIndex> topological_order() const;

 private:
  std::unique_ptr<DenseGraph> graph_;
};

}  // namespace finops::genealogy
