// claims.cpp - sets of claimants, 64 at a time, handed on from what needs to what is needed.
#include "genealogy/claims.hpp"

#include <algorithm>
#include <bit>
#include <map>
#include <utility>

namespace finops::genealogy {
namespace {

constexpr std::size_t kBlock = 64;

// Splits the groups by which of the claimants `first`, `first` + 1, ... need their nodes.
void refine(Claims& claims, const std::vector<std::uint64_t>& masks, std::size_t first) {
  std::map<std::pair<std::uint32_t, std::uint64_t>, std::uint32_t> refined;
  for (std::size_t node = 0; node < masks.size(); ++node) {
    if (masks[node] == 0) {
      continue;  // stays in its group
    }
    const std::uint32_t old = claims.group_of[node];
    const auto next = static_cast<std::uint32_t>(claims.claimants_of.size());
    const auto [found, is_new] = refined.try_emplace({old, masks[node]}, next);
    if (is_new) {
      std::vector<std::uint32_t> positions = claims.claimants_of[old];
      for (std::uint64_t mask = masks[node]; mask != 0; mask &= mask - 1) {
        positions.push_back(
            static_cast<std::uint32_t>(first + static_cast<std::size_t>(std::countr_zero(mask))));
      }
      claims.claimants_of.push_back(std::move(positions));
    }
    claims.group_of[node] = found->second;
  }
}

}  // namespace

Claims find_claims(const CostGraph& graph, std::span<const NodeIndex> claimants) {
  Claims claims{.group_of = std::vector<std::uint32_t>(graph.node_count(), 0),
                .claimants_of = {{}}};
  const std::vector<NodeIndex> order = graph.topological_order();
  std::vector<NodeIndex> needed;
  for (std::size_t first = 0; first < claimants.size(); first += kBlock) {
    std::vector<std::uint64_t> masks(graph.node_count(), 0);
    const std::size_t count = std::min(kBlock, claimants.size() - first);
    for (std::size_t bit = 0; bit < count; ++bit) {
      masks[claimants[first + bit]] |= std::uint64_t{1} << bit;
    }
    for (auto node = order.rbegin(); node != order.rend(); ++node) {
      if (masks[*node] == 0) {
        continue;
      }
      needed.clear();
      graph.neighbours(*node, Direction::Upstream, needed);
      for (const NodeIndex other : needed) {
        masks[other] |= masks[*node];
      }
    }
    refine(claims, masks, first);
  }
  return claims;
}

}  // namespace finops::genealogy
