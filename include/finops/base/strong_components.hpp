// strong_components.hpp - which nodes of a directed graph lie on a cycle together.
//
// Owns: strong_components. Does not own: what nodes and edges mean.
// Invariants: no recursion; time and memory are linear in nodes and edges.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace finops {

/// By node, a number that it shares with exactly those that it reaches and that reach it.
/// `begins`: [node_count + 1], where each node's edges begin in `targets`, which are nodes.
/// Source: R. Tarjan, Depth-first search and linear graph algorithms, SIAM J. Comput. 1(2), 1972.
[[nodiscard]] std::vector<std::uint32_t> strong_components(std::span<const std::uint32_t> begins,
                                                           std::span<const std::uint32_t> targets);

}  // namespace finops
