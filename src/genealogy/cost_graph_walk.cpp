// cost_graph_walk.cpp - closures: a search for small ones, a sweep over ranks for large ones.
//
// A search touches only what it finds, but waits for memory at each step. A sweep keeps a bit per
// node and goes through them in the order of ranks, so that memory comes in order; it costs a look
// at every bit. So a walk begins as a search and, once that has found more than a small share of
// all nodes, begins anew as a sweep.
#include <algorithm>
#include <bit>
#include <cstdint>
#include <string>

#include "finops/base/error.hpp"
#include "genealogy/dense_graph.hpp"

namespace finops::genealogy {

SeenSet::SeenSet(CostGraph::Workspace& workspace) : slots_(workspace.seen) {
  constexpr std::size_t kFirstSlots = 2'048;
  if (slots_.empty()) {
    slots_.resize(kFirstSlots);
  }
  if (++workspace.walk_number == 0) {  // all numbers were used: forget the walks that had them
    std::fill(slots_.begin(), slots_.end(), 0);
    workspace.walk_number = 1;
  }
  walk_ = std::uint64_t{workspace.walk_number} << 32;
}

void SeenSet::grow() {
  const std::vector<std::uint64_t> old = std::move(slots_);
  slots_.assign(old.size() * 2, 0);
  for (const std::uint64_t entry : old) {
    if ((entry & kWalkBits) == walk_) {
      std::size_t slot = slot_of(static_cast<Rank>(entry));
      while (slots_[slot] != 0) {
        slot = (slot + 1) & (slots_.size() - 1);
      }
      slots_[slot] = entry;
    }
  }
}

namespace {

/// A search may find one in so many of the nodes before a sweep takes its place: about where both
/// take equal time (measured: benchmarks/README.md).
constexpr std::size_t kNodesPerFound = 2'048;
constexpr std::size_t kBits = 64;  // in a word of the workspace

inline void prefetch(const void* address) { __builtin_prefetch(address); }

/// Fills the workspace's queue with the closure. Returns false, with the queue in no stated state,
/// if it has more than `most` nodes.
bool search(const DenseGraph& graph, Rank start, Direction direction, std::size_t most,
            CostGraph::Workspace& workspace) {
  constexpr std::size_t kAhead = 4;
  std::vector<Rank>& queue = workspace.queue;
  SeenSet seen(workspace);
  seen.insert(start);
  queue.assign(1, start);
  for (std::size_t i = 0; i < queue.size(); ++i) {
    if (i + kAhead < queue.size()) {
      const NodeRecord& record = graph.nodes[queue[i + kAhead]];
      prefetch(graph.targets[index_of(direction)].data() + record.edges_begin[index_of(direction)]);
    }
    graph.for_each_neighbour(queue[i], direction, [&](Rank target) {
      if (seen.insert(target)) {
        prefetch(&graph.nodes[target]);
        queue.push_back(target);
      }
    });
    if (queue.size() > most) {
      return false;
    }
  }
  return true;
}

/// Fetches the edges of the ranks in a word that the sweep comes to soon, and the record that says
/// where those of a later word lie.
void prefetch_edges(const DenseGraph& graph, std::size_t word, std::size_t later_word,
                    std::size_t side) {
  constexpr std::size_t kLines = 6;  // 64 nodes of 1.5 edges: 384 bytes
  constexpr std::size_t kLineBytes = 64;
  // As a number: some lines lie past the end, where a pointer may not point. Asking for one does no
  // harm, and a test for it would cost 5 % of the walk (measured).
  const auto address = reinterpret_cast<std::uintptr_t>(graph.targets[side].data()) +
                       graph.nodes[word * kBits].edges_begin[side] * sizeof(Rank);
  for (std::size_t line = 0; line < kLines; ++line) {
    // NOLINTNEXTLINE(performance-no-int-to-ptr): nothing is read there
    prefetch(reinterpret_cast<const void*>(address + line * kLineBytes));
  }
  prefetch(&graph.nodes[later_word * kBits]);
}

/// Calls visit(rank) for each node of the closure. All edges must lead the way of the sweep, and
/// all bits be zero.
template <Direction Way, typename Visit>
void sweep_bits(const DenseGraph& graph, Rank start, CostGraph::Workspace& workspace,
                Visit&& visit) {
  constexpr bool kIsRising = Way == Direction::Downstream;
  constexpr std::size_t kWordsAhead = 8;
  std::uint64_t* const bits = workspace.bits.data();
  const std::size_t word_count = workspace.bits.size();
  const auto ahead_of = [word_count](std::size_t word, std::size_t count) {
    return kIsRising ? std::min(word + count, word_count - 1) : word - std::min(word, count);
  };
  bits[start / kBits] |= std::uint64_t{1} << start % kBits;
  // Past the first word, a falling number comes round to the largest.
  for (std::size_t word = start / kBits; word < word_count; word += kIsRising ? 1 : SIZE_MAX) {
    if (bits[word] == 0) {
      continue;
    }
    prefetch_edges(graph, ahead_of(word, kWordsAhead), ahead_of(word, 2 * kWordsAhead),
                   index_of(Way));
    std::uint64_t done = 0;
    // A node may lead to others in its own word: again, until it brings nothing new.
    for (std::uint64_t found = bits[word]; found != 0; found = bits[word] & ~done) {
      done |= found;
      for (; found != 0; found &= found - 1) {
        const auto rank =
            static_cast<Rank>(word * kBits + static_cast<std::size_t>(std::countr_zero(found)));
        visit(rank);
        graph.for_each_neighbour(rank, Way, [&graph, bits](Rank target) {
          prefetch(&graph.nodes[target]);
          bits[target / kBits] |= std::uint64_t{1} << target % kBits;
        });
      }
    }
    bits[word] = 0;
  }
}

template <typename Visit>
void sweep(const DenseGraph& graph, Rank start, Direction direction,
           CostGraph::Workspace& workspace, Visit&& visit) {
  workspace.bits.resize((graph.node_count() + kBits - 1) / kBits);
  try {
    if (direction == Direction::Upstream) {
      sweep_bits<Direction::Upstream>(graph, start, workspace, visit);
    } else {
      sweep_bits<Direction::Downstream>(graph, start, workspace, visit);
    }
  } catch (...) {  // a list without room for more: the next walk must find no bit of this one
    std::fill(workspace.bits.begin(), workspace.bits.end(), 0);
    throw;
  }
}

/// Calls visit(rank) once for each node of the closure.
template <typename Visit>
void walk(const DenseGraph& graph, NodeIndex node, Direction direction,
          CostGraph::Workspace& workspace, Visit&& visit) {
  FINOPS_REQUIRE(node < graph.node_count(), ErrorCode::InvalidArgument,
                 "node " + std::to_string(node) + " is not in the graph, which has " +
                     std::to_string(graph.node_count()) + "; add_nodes first");
  const Rank start = graph.rank_of_id[node];
  const std::size_t most =
      graph.against_rank_count > 0 ? kMostNodes : graph.node_count() / kNodesPerFound;
  if (search(graph, start, direction, most, workspace)) {
    for (const Rank rank : workspace.queue) {
      visit(rank);
    }
  } else {
    sweep(graph, start, direction, workspace, visit);
  }
}

}  // namespace

std::vector<Rank> find_path(const DenseGraph& graph, Rank from, Rank to,
                            CostGraph::Workspace& workspace) {
  const bool is_ranked = graph.against_rank_count == 0;
  std::vector<Rank>& queue = workspace.queue;
  std::vector<std::size_t> reached_from{0};  // by position in the queue
  SeenSet seen(workspace);
  seen.insert(from);
  queue.assign(1, from);
  for (std::size_t i = 0; i < queue.size() && queue.back() != to; ++i) {
    graph.for_each_neighbour(queue[i], Direction::Upstream, [&](Rank next) {
      if (queue.back() == to || (is_ranked && next < to) || !seen.insert(next)) {
        return;
      }
      queue.push_back(next);
      reached_from.push_back(i);
    });
  }
  if (queue.back() != to) {
    return {};
  }
  std::vector<Rank> path{to};
  for (std::size_t i = queue.size() - 1; i != 0; i = reached_from[i]) {
    path.push_back(queue[reached_from[i]]);
  }
  std::reverse(path.begin(), path.end());
  return path;
}

ClosureSum CostGraph::closure_sum(NodeIndex node, Direction direction, Workspace& workspace) const {
  ClosureSum sum;
  bool overflows = false;
  walk(*graph_, node, direction, workspace, [&](Rank rank) {
    const NodeRecord& record = graph_->nodes[rank];
    Int128& picos = sum.cost_picos[record.mark];
    overflows |= __builtin_add_overflow(picos, record.cost_picos, &picos);
    ++sum.node_counts[record.mark];
  });
  FINOPS_REQUIRE(!overflows, ErrorCode::Overflow,
                 "the sum over the closure of node " + std::to_string(node) +
                     " exceeds the 128-bit range of picos");
  return sum;
}

void CostGraph::closure(NodeIndex node, Direction direction, Workspace& workspace,
                        std::vector<NodeIndex>& out) const {
  out.clear();
  walk(*graph_, node, direction, workspace,
       [&](Rank rank) { out.push_back(graph_->nodes[rank].id); });
}

}  // namespace finops::genealogy
