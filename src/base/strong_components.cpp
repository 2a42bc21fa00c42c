// strong_components.cpp - Tarjan's walk, with a stack of its own.
#include "finops/base/strong_components.hpp"

#include <algorithm>
#include <utility>

namespace finops {
namespace {

using Node = std::uint32_t;
constexpr Node kNone = UINT32_MAX;

class Search {
 public:
  Search(std::span<const Node> begins, std::span<const Node> targets)
      : begins_(begins),
        targets_(targets),
        next_(begins.begin(), begins.end() - 1),
        order_(next_.size(), kNone),
        lowest_(next_.size(), kNone),
        component_of_(next_.size(), kNone) {}

  std::vector<Node> run() {
    for (Node node = 0; node < next_.size(); ++node) {
      if (order_[node] == kNone) {
        search_from(node);
      }
    }
    return std::move(component_of_);
  }

 private:
  void enter(Node node) {
    order_[node] = lowest_[node] = count_++;
    path_.push_back(node);
    open_.push_back(node);
  }

  void search_from(Node start) {
    enter(start);
    while (!path_.empty()) {
      const Node node = path_.back();
      if (next_[node] == begins_[node + 1]) {
        leave(node);
        continue;
      }
      const Node target = targets_[next_[node]++];
      if (order_[target] == kNone) {
        enter(target);
      } else if (component_of_[target] == kNone) {
        lowest_[node] = std::min(lowest_[node], order_[target]);
      }
    }
  }

  // All that `node` leads to is known: what is open above it is its component if nothing leads
  // below.
  void leave(Node node) {
    path_.pop_back();
    if (!path_.empty()) {
      lowest_[path_.back()] = std::min(lowest_[path_.back()], lowest_[node]);
    }
    if (lowest_[node] != order_[node]) {
      return;
    }
    Node member = kNone;
    do {
      member = open_.back();
      open_.pop_back();
      component_of_[member] = node;
    } while (member != node);
  }

  std::span<const Node> begins_;
  std::span<const Node> targets_;
  std::vector<Node> next_;
  std::vector<Node> order_;
  std::vector<Node> lowest_;
  std::vector<Node> component_of_;
  std::vector<Node> path_;
  std::vector<Node> open_;
  Node count_ = 0;
};

}  // namespace

std::vector<Node> strong_components(std::span<const Node> begins, std::span<const Node> targets) {
  return Search(begins, targets).run();
}

}  // namespace finops
