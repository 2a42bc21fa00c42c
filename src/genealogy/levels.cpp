// levels.cpp - a breadth-first walk.
#include "genealogy/levels.hpp"

namespace finops::genealogy {

Levels::Levels(const GenealogyParts& parts, NodeIndex root, Direction direction)
    : order{root}, above(parts.names.size(), kNoNode), depth(parts.names.size(), -1) {
  depth[root] = 0;
  std::vector<NodeIndex> neighbours;
  for (std::size_t i = 0; i < order.size(); ++i) {
    const NodeIndex node = order[i];
    parts.shown_neighbours(node, direction, neighbours);
    for (const NodeIndex below : neighbours) {
      if (depth[below] < 0) {
        depth[below] = depth[node] + 1;
        above[below] = node;
        order.push_back(below);
      } else if (depth[below] == depth[node] + 1 && parts.is_less(node, above[below])) {
        above[below] = node;
      }
    }
  }
}

}  // namespace finops::genealogy
