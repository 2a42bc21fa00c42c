// tree.cpp - a closure as a tree: each node once, the costs below it add up, largest first.
#include <algorithm>
#include <utility>
#include <vector>

#include "finops/base/error.hpp"
#include "genealogy/levels.hpp"
#include "genealogy/parts.hpp"

namespace finops::genealogy {
namespace {

// One line of the whole tree, before limits.
struct Line {
  NodeIndex node = 0;
  std::size_t parent = 0;  // of the root: itself
  bool is_repetition = false;
  CostSum cost;
  std::size_t children_begin = 0;
  std::size_t children_end = 0;
};

class TreeMaker {
 public:
  TreeMaker(const GenealogyParts& parts, NodeIndex root, Direction direction)
      : parts_(parts), direction_(direction), levels_(parts, root, direction) {
    make_lines(root);
    sum_up();
    sort_children();
  }

  [[nodiscard]] std::vector<TreeNode> within(TreeLimits limits) const {
    const std::vector<bool> is_shown = choose(limits);
    std::vector<TreeNode> result;
    struct Pending {
      std::size_t line;
      std::int64_t parent;
      std::int64_t depth;
    };
    std::vector<Pending> stack{{0, -1, 0}};
    while (!stack.empty()) {
      const Pending next = stack.back();
      stack.pop_back();
      const auto position = static_cast<std::int64_t>(result.size());
      result.push_back(tree_node(lines_[next.line], next.parent, next.depth));
      const Line& line = lines_[next.line];
      for (std::size_t i = line.children_end; i > line.children_begin; --i) {
        if (is_shown[children_[i - 1]]) {
          stack.push_back({children_[i - 1], position, next.depth + 1});
        } else {
          ++result.back().hidden_child_count;
        }
      }
    }
    return result;
  }

 private:
  void add_line(NodeIndex node, std::size_t parent, bool is_repetition) {
    lines_.push_back({.node = node,
                      .parent = parent,
                      .is_repetition = is_repetition,
                      .cost = CostSum(parts_.currency)});
    if (!is_repetition) {
      parts_.add_to(lines_.back().cost, node);
    }
  }

  // Level by level, so that the children of a line follow each other.
  void make_lines(NodeIndex root) {
    add_line(root, 0, false);
    std::vector<NodeIndex> neighbours;
    for (std::size_t i = 0; i < lines_.size(); ++i) {
      const NodeIndex node = lines_[i].node;
      lines_[i].children_begin = lines_.size();
      if (!lines_[i].is_repetition) {
        levels_.neighbourhood.below(node, neighbours);
        for (const NodeIndex below : neighbours) {
          const bool is_repetition = levels_.above[below] != node;
          if (!is_repetition || levels_.is_worth_repeating(node, below)) {
            add_line(below, i, is_repetition);
          }
        }
      }
      lines_[i].children_end = lines_.size();
    }
  }

  void sum_up() {
    for (std::size_t i = lines_.size() - 1; i > 0; --i) {  // children before their parents
      add_sum(lines_[lines_[i].parent].cost, lines_[i].cost);
    }
  }

  void sort_children() {
    children_.resize(lines_.size());
    for (std::size_t i = 0; i < lines_.size(); ++i) {
      children_[i] = i;
    }
    std::vector<Int128> totals;
    totals.reserve(lines_.size());
    for (const Line& line : lines_) {
      totals.push_back(line.cost.total().picos());
    }
    const auto is_before = [&](std::size_t lhs, std::size_t rhs) {
      return totals[lhs] != totals[rhs] ? totals[lhs] > totals[rhs]
                                        : parts_.is_less(lines_[lhs].node, lines_[rhs].node);
    };
    for (const Line& line : lines_) {
      std::sort(children_.begin() + static_cast<std::ptrdiff_t>(line.children_begin),
                children_.begin() + static_cast<std::ptrdiff_t>(line.children_end), is_before);
    }
  }

  // Which lines are shown: level by level, the largest first, as many as may be.
  [[nodiscard]] std::vector<bool> choose(TreeLimits limits) const {
    std::vector<bool> is_shown(lines_.size(), false);
    std::vector<std::size_t> queue{0};
    is_shown[0] = true;
    const auto most_lines = static_cast<std::size_t>(limits.most_nodes);
    for (std::size_t i = 0; i < queue.size(); ++i) {
      const Line& line = lines_[queue[i]];
      if (levels_.depth[line.node] >= limits.longest_depth) {
        continue;
      }
      for (std::size_t j = line.children_begin; j < line.children_end && queue.size() < most_lines;
           ++j) {
        is_shown[children_[j]] = true;
        queue.push_back(children_[j]);
      }
    }
    return is_shown;
  }

  [[nodiscard]] TreeNode tree_node(const Line& line, std::int64_t parent,
                                   std::int64_t depth) const {
    TreeNode node{.view = parts_.view(line.node),
                  .depth = depth,
                  .parent = parent,
                  .relation = {},
                  .step = std::nullopt,
                  .is_repetition = line.is_repetition,
                  .subtree_cost = line.cost};
    if (parent >= 0) {
      set_relation(lines_[line.parent].node, line.node, node);
    }
    return node;
  }

  void set_relation(NodeIndex upper, NodeIndex lower, TreeNode& node) const {
    // Downstream there are parts, too: they stand below what needs them.
    const bool is_needed = direction_ == Direction::Upstream || parts_.is_part(lower, upper);
    const Link& link = parts_.link(is_needed ? Need{upper, lower} : Need{lower, upper});
    node.relation =
        relation_words(link.kind, is_needed ? Direction::Upstream : Direction::Downstream);
    if (link.step != kNoStep) {
      node.step = link.step;
    }
  }

  const GenealogyParts& parts_;
  Direction direction_;
  Levels levels_;
  std::vector<Line> lines_;
  std::vector<std::size_t> children_;  // lines; those of one parent follow each other
};

}  // namespace

std::vector<TreeNode> Genealogy::tree(const NodeId& node_id, Direction direction,
                                      TreeLimits limits) const {
  FINOPS_REQUIRE(limits.longest_depth >= 0 && limits.most_nodes >= 1, ErrorCode::InvalidArgument,
                 "a tree needs a longest_depth of at least 0 and most_nodes of at least 1, not " +
                     std::to_string(limits.longest_depth) + " and " +
                     std::to_string(limits.most_nodes));
  return TreeMaker(*parts_, parts_->require(node_id), direction).within(limits);
}

}  // namespace finops::genealogy
