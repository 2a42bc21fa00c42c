// levels.hpp - a closure as people look at it: level by level from the asked node on.
//
// Owns: Neighbourhood, Levels. Does not own: sums (cost_graph.hpp).
// Invariant: which node is above which does not depend on the order of records: it is the nearest
// one to the root, and of several the least by id.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "genealogy/came_from.hpp"
#include "genealogy/parts.hpp"

namespace finops::genealogy {

/// What stands below a node in a tree of `root`.
class Neighbourhood {
 public:
  Neighbourhood(const GenealogyParts& parts, NodeIndex root, Direction direction);

  /// Replaces `out`. Each node of the closure can be reached from the root by these steps.
  void below(NodeIndex node, std::vector<NodeIndex>& out) const;
  /// Whether the node's parts are among what stands below it.
  [[nodiscard]] bool has_parts_below(NodeIndex node) const;

 private:
  void add_parts(NodeIndex node, std::vector<NodeIndex>& out) const;

  const GenealogyParts& parts_;
  Direction direction_;
  std::optional<CameFrom> came_from_;  // downstream only
};

/// All that `root` needs, or that came from it.
struct Levels {
  Levels(const GenealogyParts& all, NodeIndex root, Direction direction);

  [[nodiscard]] bool contains(NodeIndex node) const { return depth[node] >= 0; }
  /// Whether a tree says that `below`, which is counted elsewhere, stands below `node` too. Not
  /// where the same nesting is shown from its other end.
  [[nodiscard]] bool is_worth_repeating(NodeIndex node, NodeIndex below) const;

  const GenealogyParts& parts;
  Neighbourhood neighbourhood;
  std::vector<NodeIndex> order;     ///< each node once, the root first, level by level
  std::vector<NodeIndex> above;     ///< by node; kNoNode: the root, or not in the closure
  std::vector<std::int64_t> depth;  ///< by node; -1: not in the closure
};

}  // namespace finops::genealogy
