// needs_graph.cpp - Tarjan's strongly connected components, with a stack of its own.
//
// Source: R. Tarjan, Depth-first search and linear graph algorithms, SIAM J. Comput. 1(2), 1972.
#include "ledger/needs_graph.hpp"

#include <algorithm>

namespace finops::ledger {
namespace {

using Number = std::uint32_t;
constexpr Number kNone = UINT32_MAX;

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

class Search {
 public:
  explicit Search(const Rows& rows)
      : rows_(rows),
        next_(rows.begins.begin(), rows.begins.end() - 1),
        order_(next_.size(), kNone),
        lowest_(next_.size(), kNone),
        cycle_of_(next_.size(), kNone) {}

  std::vector<Number> run() {
    for (Number node = 0; node < next_.size(); ++node) {
      if (order_[node] == kNone) {
        search_from(node);
      }
    }
    return std::move(cycle_of_);
  }

 private:
  void enter(Number node) {
    order_[node] = lowest_[node] = count_++;
    path_.push_back(node);
    open_.push_back(node);
  }

  void search_from(Number start) {
    enter(start);
    while (!path_.empty()) {
      const Number node = path_.back();
      if (next_[node] == rows_.begins[node + 1]) {
        leave(node);
        continue;
      }
      const Number needed = rows_.needed[next_[node]++];
      if (order_[needed] == kNone) {
        enter(needed);
      } else if (cycle_of_[needed] == kNone) {
        lowest_[node] = std::min(lowest_[node], order_[needed]);
      }
    }
  }

  // All that `node` needs is known: what is open above it is of its cycle if nothing leads below.
  void leave(Number node) {
    path_.pop_back();
    if (!path_.empty()) {
      lowest_[path_.back()] = std::min(lowest_[path_.back()], lowest_[node]);
    }
    if (lowest_[node] != order_[node]) {
      return;
    }
    Number member = kNone;
    do {
      member = open_.back();
      open_.pop_back();
      cycle_of_[member] = node;
    } while (member != node);
  }

  const Rows& rows_;
  std::vector<Number> next_;
  std::vector<Number> order_;
  std::vector<Number> lowest_;
  std::vector<Number> cycle_of_;
  std::vector<Number> path_;
  std::vector<Number> open_;
  Number count_ = 0;
};

}  // namespace

void NeedsGraph::find_cycles() {
  const Rows rows(numbers_.size(), needs_);
  cycle_of_ = Search(rows).run();
}

bool NeedsGraph::is_in_one_cycle(const std::string& one, const std::string& other) const {
  const auto first = numbers_.find(one);
  const auto second = numbers_.find(other);
  return first != numbers_.end() && second != numbers_.end() &&
         cycle_of_[first->second] == cycle_of_[second->second];
}

}  // namespace finops::ledger
