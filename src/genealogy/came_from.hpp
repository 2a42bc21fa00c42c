// came_from.hpp - all that came from a node, each once.
//
// Owns: CameFrom. Does not own: what a node needs (cost_graph.hpp).
// Invariant: what came from a node as a whole came with all of its parts: a run that read a dataset
// comes with its attempts. A sweep that needs the node only because one of its trials does comes
// with that trial alone.
#pragma once

#include <cstdint>
#include <vector>

#include "genealogy/parts.hpp"

namespace finops::genealogy {

class CameFrom {
 public:
  /// `root` itself is a whole.
  CameFrom(const GenealogyParts& parts, NodeIndex root);

  [[nodiscard]] const std::vector<NodeIndex>& nodes() const noexcept { return nodes_; }
  [[nodiscard]] bool is_whole(NodeIndex node) const { return states_[node] == State::Whole; }

 private:
  enum class State : std::uint8_t { Absent, InPart, Whole };
  void reach(NodeIndex node, State state);

  std::vector<NodeIndex> nodes_;
  std::vector<State> states_;     // by node
  std::vector<NodeIndex> queue_;  // reached, or now a whole, and not looked at yet
};

}  // namespace finops::genealogy
