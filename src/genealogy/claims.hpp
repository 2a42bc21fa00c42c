// claims.hpp - which nodes are claimed by which results.
//
// Owns: Claims. Does not own: how a cost is shared among those who claim it (credit.cpp).
// Invariant: each node is in exactly one group, and all nodes of a group are claimed by the same
// results; so a cost is split once a group and not once a node.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "finops/genealogy/cost_graph.hpp"

namespace finops::genealogy {

/// Group 0 is what nobody claims.
struct Claims {
  std::vector<std::uint32_t> group_of;  ///< by node
  /// By group: positions in the span of claimants, rising.
  std::vector<std::vector<std::uint32_t>> claimants_of;
};

/// Groups all nodes by which of the `claimants` need them. One pass over the graph for each 64
/// claimants; memory for 12 bytes a node beside the groups.
[[nodiscard]] Claims find_claims(const CostGraph& graph, std::span<const NodeIndex> claimants);

}  // namespace finops::genealogy
