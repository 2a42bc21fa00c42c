// cost_graph_support.hpp - what the tests of the cost graph share.
//
// Owns: short ways to ask a CostGraph. Does not own: what the answers should be.
#pragma once

#include <algorithm>
#include <vector>

#include "finops/genealogy/cost_graph.hpp"

namespace finops::testing {

inline Int128 cost_of(const genealogy::CostGraph& graph, genealogy::NodeIndex node,
                      genealogy::Direction direction) {
  genealogy::CostGraph::Workspace workspace;
  return graph.closure_sum(node, direction, workspace).total_picos();
}

inline std::vector<genealogy::NodeIndex> sorted_closure(const genealogy::CostGraph& graph,
                                                        genealogy::NodeIndex node,
                                                        genealogy::Direction direction) {
  genealogy::CostGraph::Workspace workspace;
  std::vector<genealogy::NodeIndex> nodes;
  graph.closure(node, direction, workspace, nodes);
  std::sort(nodes.begin(), nodes.end());
  return nodes;
}

}  // namespace finops::testing
