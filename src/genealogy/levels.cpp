// levels.cpp - a breadth-first walk along what a tree shows.
#include "genealogy/levels.hpp"

namespace finops::genealogy {

Neighbourhood::Neighbourhood(const GenealogyParts& parts, NodeIndex root, Direction direction)
    : parts_(parts), direction_(direction) {
  if (direction == Direction::Downstream) {
    came_from_.emplace(parts, root);
  }
}

void Neighbourhood::below(NodeIndex node, std::vector<NodeIndex>& out) const {
  const bool is_upstream = direction_ == Direction::Upstream;
  parts_.graph.neighbours(node, direction_, out);
  if (parts_.links.has_superseded()) {
    std::erase_if(out, [&](NodeIndex other) {
      return parts_.link(is_upstream ? Need{node, other} : Need{other, node}).is_superseded;
    });
  }
  if (!is_upstream && came_from_->is_whole(node)) {
    add_parts(node, out);
  }
}

bool Neighbourhood::has_parts_below(NodeIndex node) const {
  return direction_ == Direction::Upstream || came_from_->is_whole(node);
}

void Neighbourhood::add_parts(NodeIndex node, std::vector<NodeIndex>& out) const {
  std::vector<NodeIndex> needed;
  parts_.graph.neighbours(node, Direction::Upstream, needed);
  for (const NodeIndex other : needed) {
    const Link& link = parts_.link({node, other});
    if (link.kind == EdgeKind::NestedIn && !link.is_superseded) {
      out.push_back(other);
    }
  }
}

bool Levels::is_worth_repeating(NodeIndex node, NodeIndex below) const {
  if (parts.is_part(node, below)) {
    return !neighbourhood.has_parts_below(below);
  }
  return above[node] != below;
}

Levels::Levels(const GenealogyParts& all, NodeIndex root, Direction direction)
    : parts(all),
      neighbourhood(all, root, direction),
      order{root},
      above(all.names.size(), kNoNode),
      depth(all.names.size(), -1) {
  depth[root] = 0;
  std::vector<NodeIndex> neighbours;
  for (std::size_t i = 0; i < order.size(); ++i) {
    const NodeIndex node = order[i];
    neighbourhood.below(node, neighbours);
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
