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

// The credits for one result's value, by node; the memory is used again for the next result.
class Credits {
 public:
  explicit Credits(std::size_t node_count) : positions_(node_count, kNoNode) {}

  void clear() {
    for (const auto& [node, amounts] : amounts_) {
      positions_[node] = kNoNode;
    }
    amounts_.clear();
  }
  void add(NodeIndex node, std::size_t rule, const ValueAmount& amount) {
    if (positions_[node] == kNoNode) {
      positions_[node] = static_cast<std::uint32_t>(amounts_.size());
      amounts_.emplace_back(node, zero_amounts(amount.per_month.currency()));
    }
    add_to(amounts_[positions_[node]].second.at(rule), amount);
  }
  /// Adds what the node has, if it has any.
  void add_credit_of(NodeIndex node, Amounts& sums) const {
    if (positions_[node] == kNoNode) {
      return;
    }
    const Amounts& amounts = amounts_[positions_[node]].second;
    for (std::size_t rule = 0; rule < sums.size(); ++rule) {
      add_to(sums.at(rule), amounts.at(rule));
    }
  }

 private:
  std::vector<std::uint32_t> positions_;  // by node, in amounts_; kNoNode: none
  std::vector<std::pair<NodeIndex, Amounts>> amounts_;
};

// Adds the credits for one result's value. Inside a piece of work it goes by cost; parts without
// any share alike.
void credit(const Genealogy& genealogy, const Basis& basis, const ValueAmount& value,
            Credits& credits) {
  const auto sizes = sizes_of(genealogy, basis);
  for (std::size_t rule = 0; rule < sizes.size(); ++rule) {
    const std::vector<ValueAmount> of_works = split(value, sizes.at(rule));
    std::size_t position = 0;
    for (const auto& [whole, nodes] : basis.works) {
      const std::vector<ValueAmount> parts =
          split(of_works[position++], costs_of(genealogy.graph(), nodes));
      for (std::size_t i = 0; i < nodes.size(); ++i) {
        credits.add(nodes[i], rule, parts[i]);
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

// A node that somebody asks about, and what was found of it so far.
struct Asked {
  NodeIndex node = 0;
  bool is_made = false;
  std::vector<NodeIndex> sources;   // a result came from it if it came from one of these
  std::vector<NodeIndex> credited;  // whose credit is its own; not of what is made: all behind it
  Amounts amounts;
  NodeValue shown;
};

// The parts that belong to no other whole.
std::vector<NodeIndex> own_parts(const Genealogy& genealogy, NodeIndex node,
                                 std::vector<NodeIndex> parts) {
  if (is_work(node_kind(genealogy.id_of(node)))) {
    const NodeIndex whole = genealogy.whole_of(node);
    std::erase_if(parts, [&](NodeIndex part) { return genealogy.whole_of(part) != whole; });
  }
  return parts;
}

Asked ask(const Genealogy& genealogy, NodeIndex node) {
  const NodeId& node_id = genealogy.id_of(node);
  const Currency currency = genealogy.currency();
  Asked asked{.node = node,
              .is_made = is_made(node_kind(node_id)),
              .sources = {node},
              .credited = {},
              .amounts = zero_amounts(currency),
              .shown = {.node_id = node_id,
                        .full_cost = genealogy.full_cost(node_id),
                        .led_to = zero_value(currency),
                        .credit = {zero_value(currency), zero_value(currency)},
                        .results = {}}};
  if (!asked.is_made) {
    asked.sources = genealogy.parts_of(node);
    asked.credited = own_parts(genealogy, node, asked.sources);
  }
  return asked;
}

// Hands the value of one result after the other to those who are asked about; what is known of one
// result is dropped before the next, as together they take the square of the results.
class Handout {
 public:
  Handout(const Genealogy& genealogy, std::vector<Asked>& asked)
      : genealogy_(genealogy),
        asked_(asked),
        credits_(genealogy.graph().node_count()),
        is_behind_(genealogy.graph().node_count()) {}

  void hand_out(NodeIndex result, const ValueAmount& value) {
    const Basis basis = basis_of(genealogy_, result, workspace_);
    credits_.clear();
    credit(genealogy_, basis, value, credits_);
    for (const NodeIndex node : basis.closure) {
      is_behind_[node] = 1;
    }
    for (Asked& asked : asked_) {
      // What its work did for other results is not its own.
      if (std::ranges::any_of(asked.sources,
                              [&](NodeIndex node) { return is_behind_[node] != 0; })) {
        add_to(asked.shown.led_to, value);
        asked.shown.results.push_back(genealogy_.id_of(result));
        add_credit(asked);
      }
    }
    for (const NodeIndex node : basis.closure) {
      is_behind_[node] = 0;
    }
  }

 private:
  void add_credit(Asked& asked) {
    if (asked.is_made) {
      genealogy_.graph().closure(asked.node, Direction::Upstream, workspace_, all_behind_);
    }
    for (const NodeIndex node : asked.is_made ? all_behind_ : asked.credited) {
      credits_.add_credit_of(node, asked.amounts);
    }
  }

  const Genealogy& genealogy_;
  std::vector<Asked>& asked_;
  CostGraph::Workspace workspace_;
  Credits credits_;
  std::vector<std::uint8_t> is_behind_;  // by node
  std::vector<NodeIndex> all_behind_;
};

std::vector<NodeValue> answers(const Genealogy& genealogy,
                               const std::map<NodeIndex, ValueAmount>& values,
                               std::vector<Asked> asked) {
  Handout handout(genealogy, asked);
  for (const auto& [result, value] : values) {
    handout.hand_out(result, value);
  }
  std::vector<NodeValue> shown;
  shown.reserve(asked.size());
  for (Asked& one : asked) {
    one.shown.credit = range_of(one.amounts);
    shown.push_back(std::move(one.shown));
  }
  return shown;
}

}  // namespace

NodeValue value_of(const Genealogy& genealogy, const NodeId& node_id, UtcTime as_of) {
  return answers(genealogy, values_of(genealogy, as_of),
                 {ask(genealogy, genealogy.index_of(node_id))})
      .front();
}

std::vector<NodeValue> value_report(const Genealogy& genealogy, UtcTime as_of) {
  const std::map<NodeIndex, ValueAmount> values = values_of(genealogy, as_of);
  CostGraph::Workspace workspace;
  std::set<NodeIndex> nodes;
  for (const auto& [result, value] : values) {
    nodes.insert(result);
    for (const auto& [whole, parts] : basis_of(genealogy, result, workspace).works) {
      nodes.insert(whole);
    }
  }
  std::vector<Asked> asked;
  asked.reserve(nodes.size());
  for (const NodeIndex node : nodes) {
    asked.push_back(ask(genealogy, node));
  }
  std::vector<NodeValue> report = answers(genealogy, values, std::move(asked));
  std::sort(report.begin(), report.end(), [](const NodeValue& lhs, const NodeValue& rhs) {
    const Money left = lhs.full_cost.total();
    const Money right = rhs.full_cost.total();
    return left != right ? left > right : lhs.node_id < rhs.node_id;
  });
  return report;
}

}  // namespace finops::genealogy
