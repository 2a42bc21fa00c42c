// cost_graph_cycles.cpp - which of many new edges close a cycle, told as if they came one by one.
//
// An edge can close a cycle only inside a strongly connected component of all edges together. These
// are found first, in linear time; inside them the edges are put in one after the other, with an
// order that is kept up as they come (Pearce and Kelly, "A dynamic topological sort algorithm for
// directed acyclic graphs", ACM JEA 11, 2006).
#include <algorithm>

#include "finops/base/error.hpp"
#include "finops/base/strong_components.hpp"
#include "genealogy/adjacency.hpp"

namespace finops::genealogy {
namespace {

constexpr std::uint32_t kNone = 0xFFFF'FFFF;

/// The nodes that lie on cycles, numbered in the order of `order`.
struct Knots {
  std::vector<NodeIndex> ids;            ///< by number
  std::vector<std::uint32_t> numbers;    ///< by id; kNone: on no cycle with another node
  std::vector<std::uint32_t> component;  ///< by id: one number for all that lie on a cycle together

  [[nodiscard]] bool can_close_cycle(Need need) const {
    return component[need.needer] == component[need.needed];
  }
};

Knots find_knots(const EdgeSource& source, const Adjacency& upstream,
                 const TopologicalOrder& order) {
  Knots knots;
  knots.component = strong_components(upstream.begins, upstream.targets);
  knots.numbers.assign(order.ids.size(), kNone);
  std::vector<std::uint32_t> sizes(order.ids.size());
  for (const std::uint32_t component : knots.component) {
    ++sizes[component];
  }
  const auto number = [&](NodeIndex id) {
    knots.numbers[id] = static_cast<std::uint32_t>(knots.ids.size());
    knots.ids.push_back(id);
  };
  for (const NodeIndex id : order.ids) {
    if (sizes[knots.component[id]] > 1) {
      number(id);
    }
  }
  for (const Need need : source.needs) {
    if (need.needer == need.needed && knots.numbers[need.needer] == kNone) {
      number(need.needer);
    }
  }
  return knots;
}

enum class Answer { Added, ClosesCycle, NotLookedAt };

/// A graph without cycles that takes one edge after the other and keeps a topological order.
class GrowingOrder {
 public:
  /// `places` is where each node stands at first.
  explicit GrowingOrder(LargeVector<std::uint32_t> places)
      : edges_{Edges(places.size()), Edges(places.size())},
        places_(std::move(places)),
        seen_by_(places_.size()) {}

  /// `most_steps` is how many edges may have been looked at before. After ClosesCycle, `cycle` is
  /// needer first.
  Answer add(std::uint32_t needer, std::uint32_t needed, std::size_t most_steps) {
    if (places_[needed] >= places_[needer]) {
      if (steps_ > most_steps) {
        return Answer::NotLookedAt;
      }
      if (reach(upstream_of_needed_, needed, needer, Direction::Upstream)) {
        return Answer::ClosesCycle;
      }
      reach(downstream_of_needer_, needer, needed, Direction::Downstream);
      reorder();
    }
    edges_[index_of(Direction::Upstream)][needer].push_back(needed);
    edges_[index_of(Direction::Downstream)][needed].push_back(needer);
    return Answer::Added;
  }

  /// The nodes of the cycle that the last edge would have closed, its needer first. At most
  /// `most_nodes`, else empty.
  [[nodiscard]] std::vector<std::uint32_t> cycle(std::size_t most_nodes) const {
    // The needer is the last that was reached; from it back to the needed leads the way.
    std::vector<std::uint32_t> nodes;
    for (std::uint32_t i = static_cast<std::uint32_t>(upstream_of_needed_.size() - 1); i != kNone;
         i = upstream_of_needed_[i].reached_from) {
      if (nodes.size() == most_nodes) {
        return {};
      }
      nodes.push_back(upstream_of_needed_[i].node);
    }
    std::reverse(nodes.begin() + 1, nodes.end());
    return nodes;
  }

 private:
  using Edges = std::vector<std::vector<std::uint32_t>>;
  struct Reached {
    std::uint32_t node;
    std::uint32_t reached_from;  ///< position in the same list
  };

  /// Lists what can be reached from `from` without leaving the places between it and `until`; ends
  /// early, with true, at `until` itself.
  bool reach(std::vector<Reached>& reached, std::uint32_t from, std::uint32_t until,
             Direction direction) {
    const auto [lowest, highest] = std::minmax(places_[from], places_[until]);
    ++search_;
    reached.assign(1, {from, kNone});
    if (from == until) {
      return true;
    }
    for (std::uint32_t i = 0; i < reached.size(); ++i) {
      for (const std::uint32_t next : edges_[index_of(direction)][reached[i].node]) {
        ++steps_;
        if (seen_by_[next] == search_ || places_[next] < lowest || places_[next] > highest) {
          continue;
        }
        seen_by_[next] = search_;
        reached.push_back({next, i});
        if (next == until) {
          return true;
        }
      }
    }
    return false;
  }

  /// Gives the places of both lists to the upstream one first.
  void reorder() {
    moved_.clear();
    free_places_.clear();
    for (std::vector<Reached>* list : {&upstream_of_needed_, &downstream_of_needer_}) {
      std::sort(list->begin(), list->end(), [&](const Reached& lhs, const Reached& rhs) {
        return places_[lhs.node] < places_[rhs.node];
      });
      for (const Reached& reached : *list) {
        moved_.push_back(reached.node);
        free_places_.push_back(places_[reached.node]);
      }
    }
    steps_ += moved_.size();
    std::sort(free_places_.begin(), free_places_.end());
    for (std::size_t i = 0; i < moved_.size(); ++i) {
      places_[moved_[i]] = free_places_[i];
    }
  }

  std::array<Edges, 2> edges_;          ///< by direction
  LargeVector<std::uint32_t> places_;   ///< in the order
  std::vector<std::uint64_t> seen_by_;  ///< the last search that saw the node
  std::uint64_t search_ = 0;
  std::size_t steps_ = 0;
  std::vector<Reached> upstream_of_needed_;
  std::vector<Reached> downstream_of_needer_;
  std::vector<std::uint32_t> moved_;
  std::vector<std::uint32_t> free_places_;
};

/// The edges inside knots, in the numbers of knots: those of the graph first, then the new ones.
struct KnotEdges {
  std::vector<Need> needs;
  std::size_t known_count = 0;
  std::vector<std::size_t> positions;  ///< of the new ones in what was given
};

KnotEdges find_edges(const EdgeSource& source, const Knots& knots) {
  KnotEdges edges;
  const auto take = [&](Need need) {
    const bool can_close_cycle = knots.can_close_cycle(need);
    if (can_close_cycle) {
      edges.needs.push_back({knots.numbers[need.needer], knots.numbers[need.needed]});
    }
    return can_close_cycle;
  };
  source.for_each_known(take);
  edges.known_count = edges.needs.size();
  for (std::size_t position = 0; position < source.needs.size(); ++position) {
    if (take(source.needs[position])) {
      edges.positions.push_back(position);
    }
  }
  return edges;
}

struct FirstNeeds {
  std::span<const Need> needs;
  template <typename Visit>
  void for_each(Visit&& visit) const {
    std::for_each(needs.begin(), needs.end(), visit);
  }
};

/// An order for as many of the first edges as have no cycle, so that the work of putting them in
/// one by one begins late: most of what people record is no cycle.
TopologicalOrder order_of_beginning(const KnotEdges& edges, std::size_t node_count) {
  const auto order_of = [&](std::size_t count) {
    const FirstNeeds first{std::span(edges.needs).first(count)};
    return find_order(make_adjacency(node_count, first, Direction::Upstream));
  };
  std::size_t without = edges.known_count;  // so many have no cycle
  std::size_t with = edges.needs.size();    // so many have one
  TopologicalOrder order = order_of(without);
  while (with - without > 1) {
    const std::size_t middle = without + (with - without) / 2;
    TopologicalOrder tried = order_of(middle);
    if (tried.has_cycle) {
      with = middle;
    } else {
      without = middle;
      order = std::move(tried);
    }
  }
  return order;
}

}  // namespace

std::vector<RefusedNeed> find_refused(const EdgeSource& source, const Adjacency& upstream,
                                      const TopologicalOrder& order) {
  const Knots knots = find_knots(source, upstream, order);
  const KnotEdges edges = find_edges(source, knots);
  GrowingOrder growing(order_of_beginning(edges, knots.ids.size()).ranks);
  std::vector<RefusedNeed> refused;
  std::size_t free_path_nodes = kMostPathNodes;
  for (std::size_t i = 0; i < edges.needs.size(); ++i) {
    const bool is_known = i < edges.known_count;
    const auto [needer, needed] = edges.needs[i];
    const Answer answer = growing.add(needer, needed, is_known ? SIZE_MAX : kMostKnotSteps);
    if (answer == Answer::Added) {
      continue;
    }
    FINOPS_ASSERT(!is_known);
    std::vector<NodeIndex> path;
    if (answer == Answer::ClosesCycle) {
      path = growing.cycle(free_path_nodes);
    }
    for (NodeIndex& node : path) {
      node = knots.ids[node];
    }
    free_path_nodes -= path.size();
    refused.push_back({edges.positions[i - edges.known_count], std::move(path)});
  }
  return refused;
}

}  // namespace finops::genealogy
