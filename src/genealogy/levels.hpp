// levels.hpp - a closure as people look at it: level by level from the asked node on.
//
// Owns: Levels. Does not own: sums (cost_graph.hpp).
// Invariant: which node is above which does not depend on the order of records: it is the nearest
// one to the root, and of several the least by id.
#pragma once

#include <cstdint>
#include <vector>

#include "genealogy/parts.hpp"

namespace finops::genealogy {

/// All that `root` needs, or that came from it, along what a tree shows.
struct Levels {
  Levels(const GenealogyParts& parts, NodeIndex root, Direction direction);

  [[nodiscard]] bool contains(NodeIndex node) const { return depth[node] >= 0; }

  std::vector<NodeIndex> order;     ///< each node once, the root first, level by level
  std::vector<NodeIndex> above;     ///< by node; kNoNode: the root, or not in the closure
  std::vector<std::int64_t> depth;  ///< by node; -1: not in the closure
};

}  // namespace finops::genealogy
