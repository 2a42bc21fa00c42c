// needs_graph.hpp - who needs whom in a whole ledger, and which of it goes round.
//
// Owns: NeedsGraph. Does not own: where the needs come from, the words of a refusal
// (lineage_walk.cpp).
// Invariants: no recursion; time and memory are linear in the needs, whatever hangs on one node.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace finops::ledger {

class NeedsGraph {
 public:
  void add(const std::string& taker, const std::string& needed) {
    needs_.emplace_back(number_of(taker), number_of(needed));
  }
  /// Once all is added.
  void find_cycles();
  /// After find_cycles: whether each of the two needs the other. False for a name never added.
  [[nodiscard]] bool is_in_one_cycle(const std::string& one, const std::string& other) const;

 private:
  using Number = std::uint32_t;

  Number number_of(const std::string& name) {
    return numbers_.emplace(name, static_cast<Number>(numbers_.size())).first->second;
  }

  std::unordered_map<std::string, Number> numbers_;
  std::vector<std::pair<Number, Number>> needs_;
  std::vector<Number> cycle_of_;  // nodes of one cycle have one number
};

}  // namespace finops::ledger
