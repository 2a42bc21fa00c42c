// came_from.cpp - a walk over what needs a node, and over the parts of that.
#include "genealogy/came_from.hpp"

namespace finops::genealogy {

CameFrom::CameFrom(const GenealogyParts& parts, NodeIndex root)
    : states_(parts.names.size(), State::Absent) {
  reach(root, State::Whole);
  std::vector<NodeIndex> neighbours;
  while (!queue_.empty()) {
    const NodeIndex node = queue_.back();
    queue_.pop_back();
    parts.graph.neighbours(node, Direction::Downstream, neighbours);
    for (const NodeIndex needer : neighbours) {
      reach(needer, parts.is_part(node, needer) ? State::InPart : State::Whole);
    }
    if (is_whole(node)) {
      parts.graph.neighbours(node, Direction::Upstream, neighbours);
      for (const NodeIndex needed : neighbours) {
        if (parts.is_part(needed, node)) {
          reach(needed, State::Whole);
        }
      }
    }
  }
}

// At most twice for each node.
void CameFrom::reach(NodeIndex node, State state) {
  if (states_[node] < state) {
    if (states_[node] == State::Absent) {
      nodes_.push_back(node);
    }
    states_[node] = state;
    queue_.push_back(node);
  }
}

}  // namespace finops::genealogy
