// nesting.hpp - which pieces of work are parts of which.
//
// Owns: Nesting: the wholes of a part, and the outermost one. Does not own: projects and
// experiments, which are shelves and no work that somebody did to get a result.
// Invariants: wholes are runs and jobs; nothing is nested in itself, however many steps up.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "genealogy/names.hpp"
#include "genealogy/sentences.hpp"

namespace finops::genealogy {

class Nesting {
 public:
  Nesting() = default;
  /// `order`: all nodes, each after all that it needs, so that parts come before their wholes.
  Nesting(const Names& names, std::span<const Sentence> sentences,
          std::span<const NodeIndex> order);
  /// Nodes without a whole come in, up to `node_count`.
  void extend(std::size_t node_count);

  /// The runs and jobs that `part` is nested in directly, by id.
  [[nodiscard]] std::span<const NodeIndex> wholes(NodeIndex part) const {
    return std::span(wholes_).subspan(begins_[part], begins_[part + 1] - begins_[part]);
  }
  /// The outermost run or job around `part`, or `part` itself; of several, the least by id.
  [[nodiscard]] NodeIndex outermost(NodeIndex part) const { return outermost_[part]; }
  /// Whether some node around `part`, or itself, is nested in several.
  [[nodiscard]] bool has_several(NodeIndex part) const { return has_several_[part] != 0; }

 private:
  std::vector<std::uint32_t> begins_{0};
  std::vector<NodeIndex> wholes_;
  std::vector<NodeIndex> outermost_;
  std::vector<std::uint8_t> has_several_;
};

/// Follows `next` (kNoNode: the end) from `node` on, and notes the end in `ends` (by node; kNoNode:
/// not known yet) for all on the way, so that many such questions take one pass.
template <class Next>
NodeIndex follow(NodeIndex node, std::vector<NodeIndex>& ends, Next next) {
  std::vector<NodeIndex> way;
  while (ends[node] == kNoNode) {
    const NodeIndex above = next(node);
    if (above == kNoNode) {
      ends[node] = node;
    } else {
      way.push_back(node);
      node = above;
    }
  }
  for (const NodeIndex passed : way) {
    ends[passed] = ends[node];
  }
  return ends[node];
}

}  // namespace finops::genealogy
