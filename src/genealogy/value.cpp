// value.cpp - the value of a result, handed to the work behind it by three rules.
#include "finops/genealogy/value.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <utility>

#include "finops/base/error.hpp"
#include "genealogy/names.hpp"
#include "genealogy/weights.hpp"

namespace finops::genealogy {
namespace {

using Amounts = std::array<ValueAmount, kCreditRuleCount>;
using CreditByNode = std::map<NodeIndex, Amounts>;

void add_to(ValueAmount& sum, const ValueAmount& more) {
  sum.per_month += more.per_month;
  sum.to_date += more.to_date;
}

ValueAmount zero_value(Currency currency) {
  return {.per_month = Money::zero(currency), .to_date = Money::zero(currency)};
}

Amounts zero_amounts(Currency currency) {
  const ValueAmount zero = zero_value(currency);
  return {zero, zero, zero};
}

std::vector<ValueAmount> split(const ValueAmount& value, const std::vector<Int128>& sizes) {
  const std::vector<Money> per_month = split_by(value.per_month, sizes);
  const std::vector<Money> to_date = split_by(value.to_date, sizes);
  std::vector<ValueAmount> parts;
  parts.reserve(sizes.size());
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    parts.push_back({.per_month = per_month[i], .to_date = to_date[i]});
  }
  return parts;
}

// What work makes: it has no work of its own, its credit is that of all behind it.
bool is_made(NodeKind kind) {
  return kind == NodeKind::Dataset || kind == NodeKind::Checkpoint || kind == NodeKind::Model ||
         kind == NodeKind::Endpoint;
}

// What a result rests on: its closure, and the pieces of work in it with their nodes.
struct Basis {
  std::vector<NodeIndex> closure;
  std::map<NodeIndex, std::vector<NodeIndex>> works;  // the whole, and what of it is needed
};

Basis basis_of(const Genealogy& genealogy, NodeIndex result, CostGraph::Workspace& workspace) {
  Basis basis;
  genealogy.graph().closure(result, Direction::Upstream, workspace, basis.closure);
  std::sort(basis.closure.begin(), basis.closure.end());
  for (const NodeIndex node : basis.closure) {
    if (is_work(node_kind(genealogy.id_of(node)))) {
      basis.works[genealogy.whole_of(node)].push_back(node);
    }
  }
  if (basis.works.empty()) {
    basis.works[result].push_back(result);  // nothing is known of the work: it keeps its value
  }
  return basis;
}

std::vector<Int128> costs_of(const CostGraph& graph, const std::vector<NodeIndex>& nodes) {
  std::vector<Int128> costs;
  costs.reserve(nodes.size());
  for (const NodeIndex node : nodes) {
    costs.push_back(graph.cost_picos(node));
  }
  return costs;
}

// Ones where each piece of work counts the same, the costs, and one for the last piece alone.
std::array<std::vector<Int128>, kCreditRuleCount> sizes_of(const Genealogy& genealogy,
                                                           const Basis& basis) {
  const std::size_t count = basis.works.size();
  std::array<std::vector<Int128>, kCreditRuleCount> sizes{
      std::vector<Int128>(count, 1), {}, std::vector<Int128>(count, 0)};
  std::size_t last = 0;
  std::pair<UtcTime, NodeId> last_key{UtcTime::min(), NodeId{}};
  for (const auto& [whole, nodes] : basis.works) {
    Money sum = Money::zero(genealogy.currency());
    for (const NodeIndex node : nodes) {
      sum += Money::from_picos(genealogy.graph().cost_picos(node), genealogy.currency());
    }
    const std::pair<UtcTime, NodeId> key{genealogy.created_at(whole), genealogy.id_of(whole)};
    if (key > last_key) {
      last_key = key;
      last = sizes[1].size();
    }
    sizes[1].push_back(sum.picos());
  }
  sizes[2][last] = 1;
  return sizes;
}

// Adds the credits for one result's value. Inside a piece of work it goes by cost; parts without
// any share alike.
void credit(const Genealogy& genealogy, const Basis& basis, const ValueAmount& value,
            CreditByNode& credits) {
  const auto sizes = sizes_of(genealogy, basis);
  for (std::size_t rule = 0; rule < sizes.size(); ++rule) {
    const std::vector<ValueAmount> of_works = split(value, sizes.at(rule));
    std::size_t position = 0;
    for (const auto& [whole, nodes] : basis.works) {
      const std::vector<ValueAmount> parts =
          split(of_works[position++], costs_of(genealogy.graph(), nodes));
      for (std::size_t i = 0; i < nodes.size(); ++i) {
        const auto [found, is_new] =
            credits.try_emplace(nodes[i], zero_amounts(genealogy.currency()));
        add_to(found->second.at(rule), parts[i]);
      }
    }
  }
}

// The values in the graph's currency, one sum for each result.
std::map<NodeIndex, ValueAmount> values_of(const Genealogy& genealogy, UtcTime as_of) {
  std::map<NodeIndex, ValueAmount> values;
  for (const BusinessValue& value : genealogy.values()) {
    if (value.amount.currency() == genealogy.currency()) {
      const auto [found, is_new] =
          values.try_emplace(genealogy.index_of(value.node_id), zero_value(genealogy.currency()));
      add_to(found->second, value_amount(value, as_of));
    }
  }
  return values;
}

// A result with a value: what it rests on, and who has what part in it.
struct CreditedResult {
  ValueAmount value;
  std::vector<NodeIndex> closure;  // sorted
  CreditByNode credits;
};

// All that the questions below share.
struct Credited {
  std::map<NodeIndex, CreditedResult> results;
  std::set<NodeIndex> works;
};

Credited credit_all(const Genealogy& genealogy, UtcTime as_of, CostGraph::Workspace& workspace) {
  Credited all;
  for (const auto& [result, value] : values_of(genealogy, as_of)) {
    Basis basis = basis_of(genealogy, result, workspace);
    CreditByNode credits;
    credit(genealogy, basis, value, credits);
    for (const auto& [whole, nodes] : basis.works) {
      all.works.insert(whole);
    }
    all.results.emplace(result,
                        CreditedResult{value, std::move(basis.closure), std::move(credits)});
  }
  return all;
}

ValueRange range_of(const Amounts& amounts) {
  ValueRange range{.lowest = amounts.front(), .highest = amounts.front()};
  for (const ValueAmount& amount : amounts) {
    range.lowest.per_month = std::min(range.lowest.per_month, amount.per_month);
    range.lowest.to_date = std::min(range.lowest.to_date, amount.to_date);
    range.highest.per_month = std::max(range.highest.per_month, amount.per_month);
    range.highest.to_date = std::max(range.highest.to_date, amount.to_date);
  }
  return range;
}

// The nodes whose credit is the node's: of what is made, all behind it; of work, itself and the
// parts that belong to no other whole.
std::vector<NodeIndex> credited_to(const Genealogy& genealogy, NodeIndex node,
                                   CostGraph::Workspace& workspace) {
  std::vector<NodeIndex> nodes;
  const NodeKind kind = node_kind(genealogy.id_of(node));
  if (is_made(kind)) {
    genealogy.graph().closure(node, Direction::Upstream, workspace, nodes);
    return nodes;
  }
  nodes = genealogy.parts_of(node);
  if (is_work(kind)) {
    const NodeIndex whole = genealogy.whole_of(node);
    std::erase_if(nodes, [&](NodeIndex part) { return genealogy.whole_of(part) != whole; });
  }
  return nodes;
}

NodeValue view(const Genealogy& genealogy, const Credited& all, NodeIndex node,
               CostGraph::Workspace& workspace) {
  NodeValue shown{.node_id = genealogy.id_of(node),
                  .full_cost = genealogy.full_cost(genealogy.id_of(node)),
                  .led_to = zero_value(genealogy.currency()),
                  .credit = {zero_value(genealogy.currency()), zero_value(genealogy.currency())},
                  .results = {}};
  const std::vector<NodeIndex> sources =
      is_made(node_kind(shown.node_id)) ? std::vector<NodeIndex>{node} : genealogy.parts_of(node);
  const std::vector<NodeIndex> credited = credited_to(genealogy, node, workspace);
  Amounts amounts = zero_amounts(genealogy.currency());
  for (const auto& [result, behind] : all.results) {
    const auto is_behind = [&closure = behind.closure](NodeIndex source) {
      return std::binary_search(closure.begin(), closure.end(), source);
    };
    if (std::none_of(sources.begin(), sources.end(), is_behind)) {
      continue;  // what its work did for other results is not its own
    }
    add_to(shown.led_to, behind.value);
    shown.results.push_back(genealogy.id_of(result));
    for (const NodeIndex part : credited) {
      if (const auto found = behind.credits.find(part); found != behind.credits.end()) {
        for (std::size_t rule = 0; rule < amounts.size(); ++rule) {
          add_to(amounts.at(rule), found->second.at(rule));
        }
      }
    }
  }
  shown.credit = range_of(amounts);
  return shown;
}

}  // namespace

NodeValue value_of(const Genealogy& genealogy, const NodeId& node_id, UtcTime as_of) {
  CostGraph::Workspace workspace;
  const Credited all = credit_all(genealogy, as_of, workspace);
  return view(genealogy, all, genealogy.index_of(node_id), workspace);
}

std::vector<NodeValue> value_report(const Genealogy& genealogy, UtcTime as_of) {
  CostGraph::Workspace workspace;
  const Credited all = credit_all(genealogy, as_of, workspace);
  std::set<NodeIndex> nodes = all.works;
  for (const auto& [result, behind] : all.results) {
    nodes.insert(result);
  }
  std::vector<NodeValue> report;
  report.reserve(nodes.size());
  for (const NodeIndex node : nodes) {
    report.push_back(view(genealogy, all, node, workspace));
  }
  std::sort(report.begin(), report.end(), [](const NodeValue& lhs, const NodeValue& rhs) {
    const Money left = lhs.full_cost.total();
    const Money right = rhs.full_cost.total();
    return left != right ? left > right : lhs.node_id < rhs.node_id;
  });
  return report;
}

}  // namespace finops::genealogy
