// contributors.cpp - a closure taken apart: by wholes, by facts, and against another one.
#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "finops/base/error.hpp"
#include "genealogy/levels.hpp"
#include "genealogy/parts.hpp"

namespace finops::genealogy {
namespace {

// The widest whole around each node of a closure that is in the closure too, one by one.
class WidestWholes {
 public:
  WidestWholes(const GenealogyParts& parts, const Levels& levels)
      : parts_(parts), levels_(levels), ends_(parts.names.size(), kNoNode) {}

  NodeIndex of(NodeIndex node) {
    return follow(node, ends_, [&](NodeIndex part) {
      for (const NodeIndex whole : parts_.nesting.wholes(part)) {
        if (levels_.contains(whole)) {
          return whole;
        }
      }
      return kNoNode;
    });
  }

 private:
  const GenealogyParts& parts_;
  const Levels& levels_;
  std::vector<NodeIndex> ends_;
};

// Paths from the asked node, each in time that does not grow with its length.
class PathMaker {
 public:
  PathMaker(const GenealogyParts& parts, const Levels& levels)
      : parts_(parts), levels_(levels), heads_(parts.names.size(), kNoNode) {
    for (const NodeIndex node : levels.order) {  // what is above comes first
      const bool is_head = levels.depth[node] < static_cast<std::int64_t>(kEnd);
      heads_[node] = is_head ? node : heads_[levels.above[node]];
    }
  }

  void set_path(NodeIndex node, Contributor& contributor) const {
    const auto path_size = static_cast<std::size_t>(levels_.depth[node]) + 1;
    std::vector<NodeIndex> path;  // from the contributor back to the asked node
    if (path_size <= kLongestPath) {
      climb(node, path_size, path);
    } else {
      contributor.hidden_path_count = static_cast<std::int64_t>(path_size - kLongestPath);
      climb(node, kEnd, path);
      climb(heads_[node], kEnd, path);
    }
    for (auto step = path.rbegin(); step != path.rend(); ++step) {
      contributor.path.push_back(parts_.names.id(*step));
    }
  }

 private:
  static constexpr std::size_t kEnd = kLongestPath / 2;

  void climb(NodeIndex node, std::size_t count, std::vector<NodeIndex>& path) const {
    for (; count > 0; --count) {
      path.push_back(node);
      node = levels_.above[node];
    }
  }

  const GenealogyParts& parts_;
  const Levels& levels_;
  std::vector<NodeIndex> heads_;  // by node: the one above it that ends the path's first half
};

using NodeSum = std::pair<NodeIndex, CostSum>;

// Positions in `sums`, which are too large to be moved about.
std::vector<std::uint32_t> largest_first(const GenealogyParts& parts,
                                         const std::vector<NodeSum>& sums) {
  std::vector<Int128> totals;
  std::vector<std::uint32_t> order;
  for (const auto& [node, sum] : sums) {
    order.push_back(static_cast<std::uint32_t>(totals.size()));
    totals.push_back(sum.total().picos());
  }
  std::ranges::sort(order, [&](std::uint32_t lhs, std::uint32_t rhs) {
    return totals[lhs] != totals[rhs] ? totals[lhs] > totals[rhs]
                                      : parts.is_less(sums[lhs].first, sums[rhs].first);
  });
  return order;
}

// Of the closure's nodes for which `is_asked` holds.
template <class Filter>
std::vector<Contributor> contributors_of(const GenealogyParts& parts, const Levels& levels,
                                         Filter is_asked) {
  WidestWholes wholes(parts, levels);
  std::vector<std::uint32_t> positions(parts.names.size(), kNoNode);
  std::vector<NodeSum> sums;
  for (const NodeIndex node : levels.order) {
    if (!is_asked(node)) {
      continue;
    }
    const NodeIndex whole = wholes.of(node);
    if (positions[whole] == kNoNode) {
      positions[whole] = static_cast<std::uint32_t>(sums.size());
      sums.emplace_back(whole, CostSum(parts.currency));
    }
    parts.add_to(sums[positions[whole]].second, node);
  }
  const std::vector<std::uint32_t> order = largest_first(parts, sums);
  const PathMaker paths(parts, levels);
  std::vector<Contributor> result;
  result.reserve(sums.size());
  for (const std::uint32_t position : order) {
    const auto& [whole, sum] = sums[position];
    result.push_back({.node_id = parts.names.id(whole), .cost = sum, .path = {}});
    if (result.size() <= kMostPaths) {
      paths.set_path(whole, result.back());
    }
  }
  return result;
}

std::uint32_t NodeFacts::* field_of(GroupBy group_by) {
  switch (group_by) {
    case GroupBy::Status: return &NodeFacts::status;
    case GroupBy::User: return &NodeFacts::user_name;
    case GroupBy::Cluster: return &NodeFacts::cluster;
    case GroupBy::Kind: break;
  }
  FINOPS_ASSERT(false);
  return nullptr;
}

// The text under which each node counts.
std::vector<std::string> group_names(const GenealogyParts& parts,
                                     const std::vector<NodeIndex>& nodes, GroupBy group_by) {
  std::vector<std::string> names;
  names.reserve(nodes.size());
  if (group_by == GroupBy::Kind) {
    for (const NodeIndex node : nodes) {
      names.emplace_back(node_kind_name(parts.names.kind(node)));
    }
    return names;
  }
  const auto field = field_of(group_by);
  Inheritance inherited(parts, field);
  for (const NodeIndex node : nodes) {
    // The status of what is no work is its own: a model is not RUNNING with the job around it.
    const bool is_own = group_by == GroupBy::Status && !is_work(parts.names.kind(node));
    names.push_back(parts.texts.text(is_own ? parts.facts[node].*field : inherited.of(node)));
  }
  return names;
}

}  // namespace

GroupBy parse_group_by(std::string_view name) {
  constexpr std::array<std::pair<std::string_view, GroupBy>, 4> kNames{
      {{"kind", GroupBy::Kind},
       {"status", GroupBy::Status},
       {"user", GroupBy::User},
       {"cluster", GroupBy::Cluster}}};
  const auto* known =
      std::ranges::find_if(kNames, [&](const auto& pair) { return pair.first == name; });
  FINOPS_REQUIRE(known != kNames.end(), ErrorCode::InvalidArgument,
                 "cannot group by '" + std::string(name) +
                     "'; group by kind, status, user or cluster");
  return known->second;
}

std::vector<Contributor> Genealogy::contributors(const NodeId& node_id, Direction direction) const {
  const Levels levels(*parts_, parts_->require(node_id), direction);
  return contributors_of(*parts_, levels, [](NodeIndex) { return true; });
}

Difference Genealogy::difference(const NodeId& first, const NodeId& second) const {
  const Levels first_levels(*parts_, parts_->require(first), Direction::Upstream);
  const Levels second_levels(*parts_, parts_->require(second), Direction::Upstream);
  const auto is_only_first = [&](NodeIndex node) { return !second_levels.contains(node); };
  const auto is_only_second = [&](NodeIndex node) { return !first_levels.contains(node); };
  const CostSum zero(parts_->currency);
  Difference result{.only_first = zero,
                    .only_second = zero,
                    .both = zero,
                    .first_contributors = contributors_of(*parts_, first_levels, is_only_first),
                    .second_contributors = contributors_of(*parts_, second_levels, is_only_second)};
  for (const NodeIndex node : first_levels.order) {
    parts_->add_to(is_only_first(node) ? result.only_first : result.both, node);
  }
  for (const Contributor& contributor : result.second_contributors) {
    add_sum(result.only_second, contributor.cost);
  }
  return result;
}

std::vector<Group> Genealogy::grouped(const NodeId& node_id, GroupBy group_by) const {
  std::vector<NodeIndex> nodes;
  {
    const WorkspacePool::Lease workspace = parts_->workspaces.lend();
    parts_->graph.closure(parts_->require(node_id), Direction::Upstream, *workspace, nodes);
  }
  const std::vector<std::string> names = group_names(*parts_, nodes, group_by);
  std::map<std::string, CostSum> sums;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    parts_->add_to(sums.try_emplace(names[i], parts_->currency).first->second, nodes[i]);
  }
  std::vector<Group> groups;
  groups.reserve(sums.size());
  for (auto& [name, sum] : sums) {
    groups.push_back({name, sum});
  }
  std::ranges::stable_sort(groups, [](const Group& lhs, const Group& rhs) {
    return lhs.cost.total() > rhs.cost.total();  // of equal ones, by name
  });
  return groups;
}

}  // namespace finops::genealogy
