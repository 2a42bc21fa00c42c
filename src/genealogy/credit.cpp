// credit.cpp - three ways to share what was spent among the results that came from it.
#include "finops/genealogy/credit.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <string>

#include "finops/base/error.hpp"
#include "genealogy/claims.hpp"
#include "genealogy/weights.hpp"

namespace finops::genealogy {
namespace {

constexpr std::array<std::string_view, kCreditRuleCount> kRuleNames{"equal", "usage", "last-pays"};

// Measured use by unit; a map, since the first unit in its order that all have counts.
using Use = std::map<std::string, Int128>;

void add_to(CostSum& sum, const CostSum& more) {
  for (std::size_t outcome = 0; outcome < sum.by_outcome.size(); ++outcome) {
    sum.by_outcome.at(outcome) += more.by_outcome.at(outcome);
  }
  sum.node_count += more.node_count;
  sum.unpriced_count += more.unpriced_count;
  sum.other_currency_count += more.other_currency_count;
}

std::vector<NodeIndex> sorted_claimants(const Genealogy& genealogy,
                                        std::span<const NodeId> claimants) {
  std::vector<NodeIndex> nodes;
  for (const NodeId& claimant : claimants) {
    nodes.push_back(genealogy.index_of(claimant));
  }
  if (nodes.empty()) {
    nodes = genealogy.surviving_results();
  }
  std::sort(nodes.begin(), nodes.end(), [&](NodeIndex lhs, NodeIndex rhs) {
    return genealogy.id_of(lhs) < genealogy.id_of(rhs);
  });
  nodes.erase(std::unique(nodes.begin(), nodes.end()), nodes.end());
  return nodes;
}

// By claimant's position.
std::vector<Use> uses_of(const Genealogy& genealogy, std::span<const NodeIndex> claimants) {
  std::map<NodeId, std::size_t> positions;
  for (std::size_t i = 0; i < claimants.size(); ++i) {
    positions.emplace(genealogy.id_of(claimants[i]), i);
  }
  std::vector<Use> uses(claimants.size());
  for (const NodeUse& use : genealogy.uses()) {
    if (const auto found = positions.find(use.node_id); found != positions.end()) {
      uses[found->second][use.unit] += use.quantity;
    }
  }
  return uses;
}

// The use of each claimant of a group in the first unit in which all of them have a known use that
// is not zero for all; nullopt, if there is none.
std::optional<std::vector<Int128>> compare_use(const std::vector<Use>& uses,
                                               const std::vector<std::uint32_t>& group) {
  for (const auto& [unit, ignored] : uses[group.front()]) {
    std::vector<Int128> sizes;
    Int128 sum = 0;
    for (const std::uint32_t position : group) {
      const auto found = uses[position].find(unit);
      if (found == uses[position].end()) {
        break;
      }
      sizes.push_back(found->second);
      sum += found->second;
    }
    if (sizes.size() == group.size() && sum > 0) {
      return sizes;
    }
  }
  return std::nullopt;
}

// The claimant that came last; one whose time is unknown counts as before all others.
std::uint32_t last_of(const Genealogy& genealogy, std::span<const NodeIndex> claimants,
                      const std::vector<std::uint32_t>& group) {
  std::uint32_t last = group.front();
  for (const std::uint32_t position : group) {
    // Positions rise with the ids, so that of equal times the greater id stays.
    if (genealogy.created_at(claimants[position]) >= genealogy.created_at(claimants[last])) {
      last = position;
    }
  }
  return last;
}

// What the nodes of a group cost together. Nothing known to be nothing is shared exactly by any
// rule.
struct GroupCost {
  Money cost;
  bool is_nothing = true;
};

void share_group(const GroupCost& group_cost, const std::vector<std::uint32_t>& group,
                 const std::vector<Use>& uses, std::uint32_t last,
                 std::vector<ClaimantShare>& shares) {
  const Money cost = group_cost.cost;
  const std::vector<Money> equal = split_by(cost, std::vector<Int128>(group.size(), 1));
  const std::optional<std::vector<Int128>> sizes = compare_use(uses, group);
  const std::vector<Money> by_use = sizes.has_value() ? split_by(cost, *sizes) : equal;
  const bool is_exact = sizes.has_value() || group.size() == 1 || group_cost.is_nothing;
  for (std::size_t i = 0; i < group.size(); ++i) {
    ClaimantShare& share = shares[group[i]];
    share.equal += equal[i];
    share.usage += by_use[i];
    share.full_cost += cost;
    share.is_usage_known = share.is_usage_known && is_exact;
  }
  shares[last].last_pays += cost;
  if (group.size() == 1) {
    shares[last].exclusive += cost;
  }
}

ClaimantShare empty_share(const NodeId& node_id, Currency currency) {
  const Money zero = Money::zero(currency);
  return {.node_id = node_id,
          .equal = zero,
          .usage = zero,
          .last_pays = zero,
          .exclusive = zero,
          .full_cost = zero};
}

}  // namespace

std::string_view credit_rule_name(CreditRule rule) noexcept {
  return kRuleNames[static_cast<std::size_t>(rule)];
}

Money ClaimantShare::share(CreditRule rule) const {
  return rule == CreditRule::Equal ? equal : rule == CreditRule::Usage ? usage : last_pays;
}

Money ClaimantShare::lowest() const { return std::min({equal, usage, last_pays}); }
Money ClaimantShare::highest() const { return std::max({equal, usage, last_pays}); }

Allocation allocate(const Genealogy& genealogy, std::span<const NodeId> claimants) {
  const CostGraph& graph = genealogy.graph();
  const std::vector<NodeIndex> nodes = sorted_claimants(genealogy, claimants);
  const std::vector<Use> uses = uses_of(genealogy, nodes);
  const Claims claims = find_claims(graph, nodes);

  Allocation allocation{.claimants = {},
                        .no_outcome = CostSum(genealogy.currency()),
                        .total = genealogy.total_cost()};
  for (const NodeIndex node : nodes) {
    allocation.claimants.push_back(empty_share(genealogy.id_of(node), genealogy.currency()));
  }
  std::vector<GroupCost> cost_of(claims.claimants_of.size(),
                                 GroupCost{.cost = Money::zero(genealogy.currency())});
  for (NodeIndex node = 0; node < graph.node_count(); ++node) {
    const std::uint32_t group = claims.group_of[node];
    const CostSum own_cost = genealogy.own_cost(genealogy.id_of(node));
    if (group == 0) {
      add_to(allocation.no_outcome, own_cost);
    } else {
      const Money cost = own_cost.total();
      cost_of[group].cost += cost;
      cost_of[group].is_nothing &= cost.is_zero() && own_cost.unpriced_count == 0;
    }
  }
  for (std::size_t group = 1; group < cost_of.size(); ++group) {
    const std::vector<std::uint32_t>& positions = claims.claimants_of[group];
    share_group(cost_of[group], positions, uses, last_of(genealogy, nodes, positions),
                allocation.claimants);
  }
  return allocation;
}

}  // namespace finops::genealogy
