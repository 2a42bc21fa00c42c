// dense_graph.hpp - how a CostGraph lies in memory: everything by rank, both directions.
//
// Owns: DenseGraph, what lies where, and reading a node's neighbours. Does not own: how ranks come
// about (cost_graph_build.cpp), walks (cost_graph_walk.cpp), cycles (cost_graph_cycles.cpp).
// Invariants: the merged edges of a node lead to lower ranks (Upstream) or higher ones
// (Downstream), sorted, each once; a waiting edge lies in both directions and is not among the
// merged.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "finops/genealogy/cost_graph.hpp"
#include "genealogy/large_vector.hpp"

namespace finops::genealogy {

/// A node's place in an order in which each comes after all that it needs.
using Rank = std::uint32_t;

inline constexpr std::size_t kMostNodes = 0xFFFF'FFFE;
inline constexpr std::size_t kMostEdges = 0xFFFF'FFFF;

constexpr std::size_t index_of(Direction direction) noexcept {
  return static_cast<std::size_t>(direction);
}

/// All that a walk reads of a node, in half a cache line.
struct alignas(32) NodeRecord {
  Int128 cost_picos = 0;
  std::array<std::uint32_t, 2>
      edges_begin{};  ///< by direction; they end where the next one's begin
  NodeIndex id = 0;
  std::uint8_t mark = 0;
  std::uint8_t waiting_sides = 0;  ///< bit 1 << direction: single edges wait
  /// By direction, how many merged edges: the next record lies in another cache line half of the
  /// time. kManyEdges: so many or more, up to where the next one's begin.
  std::array<std::uint8_t, 2> few_edges{};
};
static_assert(sizeof(NodeRecord) == 32);
inline constexpr std::uint8_t kManyEdges = 255;

struct DenseGraph {
  /// By rank; one more at the end says where the edges of the last one end.
  LargeVector<NodeRecord> nodes = LargeVector<NodeRecord>(1);
  LargeVector<Rank> rank_of_id;
  std::array<LargeVector<Rank>, 2> targets;  ///< by direction

  /// Single edges since the last merge, by direction and rank.
  std::array<std::unordered_map<Rank, std::vector<Rank>>, 2> waiting;
  std::size_t waiting_count = 0;
  std::size_t against_rank_count = 0;  ///< waiting edges whose needed has the higher rank

  CostGraph::Workspace workspace;  ///< of add_need

  [[nodiscard]] std::size_t node_count() const noexcept { return rank_of_id.size(); }
  [[nodiscard]] std::size_t edge_count() const noexcept {
    return targets[index_of(Direction::Upstream)].size() + waiting_count;
  }

  [[nodiscard]] std::span<const Rank> merged_edges(Rank rank, Direction direction) const noexcept {
    const std::size_t side = index_of(direction);
    const NodeRecord* const record = nodes.data() + rank;
    const std::uint32_t begin = record->edges_begin[side];
    std::uint32_t count = record->few_edges[side];
    if (count == kManyEdges) [[unlikely]] {
      count = record[1].edges_begin[side] - begin;
    }
    return {targets[side].data() + begin, count};
  }
  /// Calls visit(rank) for each direct neighbour.
  template <typename Visit>
  void for_each_neighbour(Rank rank, Direction direction, Visit&& visit) const {
    const std::size_t side = index_of(direction);
    for (const Rank target : merged_edges(rank, direction)) {
      visit(target);
    }
    if ((nodes[rank].waiting_sides >> side & 1) != 0) [[unlikely]] {
      for (const Rank target : waiting[side].find(rank)->second) {
        visit(target);
      }
    }
  }
};

/// The nodes that a walk has seen, for walks that see few of many.
class SeenSet {
 public:
  /// Begins a new walk.
  explicit SeenSet(CostGraph::Workspace& workspace);
  /// Whether `rank` is new.
  bool insert(Rank rank) {
    std::size_t slot = slot_of(rank);
    const std::uint64_t entry = walk_ | rank;
    while ((slots_[slot] & kWalkBits) == walk_) {
      if (slots_[slot] == entry) {
        return false;
      }
      slot = (slot + 1) & (slots_.size() - 1);
    }
    slots_[slot] = entry;
    if (++count_ * 2 > slots_.size()) [[unlikely]] {
      grow();
    }
    return true;
  }

 private:
  static constexpr std::uint64_t kWalkBits = 0xFFFF'FFFF'0000'0000;

  [[nodiscard]] std::size_t slot_of(Rank rank) const noexcept {
    // Fibonacci hashing: neighbours spread over the table.
    return (rank * 0x9E37'79B9'7F4A'7C15U >> 32) & (slots_.size() - 1);
  }
  void grow();

  std::vector<std::uint64_t>& slots_;  ///< as many as a power of two, at most half of them in use
  std::uint64_t walk_;                 ///< this walk's number in the upper half
  std::size_t count_ = 0;
};

/// Merges what waits and `needs` into new ranks and adjacency. Returns what was refused, in the
/// order given. All or nothing.
std::vector<RefusedNeed> rebuild(DenseGraph& graph, std::span<const Need> needs);

/// The shortest way over needs from `from` to `to`, both included; empty if there is none.
/// Leaves out what lies below the rank of `to` where no waiting edge leads up.
std::vector<Rank> find_path(const DenseGraph& graph, Rank from, Rank to,
                            CostGraph::Workspace& workspace);

}  // namespace finops::genealogy
