// needs_graph.cpp - numbers for the names, and the needs of each node in a row.
#include "ledger/needs_graph.hpp"

#include "finops/base/strong_components.hpp"

namespace finops::ledger {
namespace {

using Number = std::uint32_t;

// What each node needs, one behind the other.
struct Rows {
  std::vector<Number> begins;
  std::vector<Number> needed;

  Rows(std::size_t node_count, const std::vector<std::pair<Number, Number>>& needs)
      : begins(node_count + 1, 0), needed(needs.size()) {
    for (const auto& need : needs) {
      ++begins[need.first + 1];
    }
    for (std::size_t i = 1; i < begins.size(); ++i) {
      begins[i] += begins[i - 1];
    }
    std::vector<Number> next = begins;
    for (const auto& need : needs) {
      needed[next[need.first]++] = need.second;
    }
  }
};

}  // namespace

void NeedsGraph::find_cycles() {
  const Rows rows(numbers_.size(), needs_);
  cycle_of_ = strong_components(rows.begins, rows.needed);
}

bool NeedsGraph::is_in_one_cycle(const std::string& one, const std::string& other) const {
  const auto first = numbers_.find(one);
  const auto second = numbers_.find(other);
  return first != numbers_.end() && second != numbers_.end() &&
         cycle_of_[first->second] == cycle_of_[second->second];
}

}  // namespace finops::ledger
