// genealogy.cpp - the questions that one look-up or one walk answers.
#include "finops/genealogy/genealogy.hpp"

#include <algorithm>
#include <unordered_set>
#include <utility>

#include "finops/base/error.hpp"
#include "genealogy/came_from.hpp"
#include "genealogy/parts.hpp"

namespace finops::genealogy {
namespace {

constexpr std::array<std::string_view, kOutcomeCount> kOutcomeNames{"good", "failed", "preempted",
                                                                    "running"};

std::string not_found(const NodeId& node_id, const std::vector<NodeId>& near) {
  std::string message = "no node '" + node_id.str() + "' in the graph; ";
  if (near.empty()) {
    return message + "a node is its kind, a colon and its name, such as model:resnet-v2";
  }
  message += "did you mean ";
  for (std::size_t i = 0; i < near.size(); ++i) {
    message += (i == 0 ? "" : " or ") + near[i].str();
  }
  return message + "?";
}

}  // namespace

std::string_view outcome_name(Outcome outcome) noexcept {
  return kOutcomeNames[static_cast<std::size_t>(outcome)];
}

Outcome outcome_of_status(std::string_view status) noexcept {
  if (status == "FAILED" || status == "KILLED") {
    return Outcome::Failed;
  }
  if (status == "PREEMPTED") {
    return Outcome::Preempted;
  }
  return status == "RUNNING" || status == "PAUSED" ? Outcome::Running : Outcome::Good;
}

Money CostSum::total() const {
  return by_outcome[0] + by_outcome[1] + by_outcome[2] + by_outcome[3];
}

void add_sum(CostSum& target, const CostSum& source) {
  for (std::size_t i = 0; i < target.by_outcome.size(); ++i) {
    target.by_outcome[i] += source.by_outcome[i];
  }
  target.node_count += source.node_count;
  target.unpriced_count += source.unpriced_count;
  target.other_currency_count += source.other_currency_count;
}

// --- GenealogyParts ------------------------------------------------------------------------------

NodeIndex GenealogyParts::require(const NodeId& node_id) const {
  const std::optional<NodeIndex> node = names.find(node_id);
  FINOPS_REQUIRE(node.has_value(), ErrorCode::NotFound, not_found(node_id, names.nearest(node_id)));
  return *node;
}

std::uint32_t Inheritance::of(NodeIndex node) {
  const NodeIndex owner = follow(node, owners_, [&](NodeIndex part) {
    const auto wholes = parts_.nesting.wholes(part);
    const bool is_own = parts_.facts[part].*field_ != 0;
    return is_own || wholes.empty() ? kNoNode : wholes.front();
  });
  return parts_.facts[owner].*field_;
}

void GenealogyParts::find_outcomes() {
  Inheritance statuses(*this, &NodeFacts::status);
  for (NodeIndex node = 0; node < names.size(); ++node) {
    facts[node].outcome = is_work(names.kind(node))
                              ? outcome_of_status(texts.text(statuses.of(node)))
                              : Outcome::Good;
    const auto mark = static_cast<std::uint8_t>(facts[node].outcome);
    graph.set_mark(node, facts[node].is_unpriced ? mark | kUnpricedMark : mark);
  }
}

void GenealogyParts::add_to(CostSum& sum, NodeIndex node) const {
  sum.by_outcome[static_cast<std::size_t>(outcome(node))] += own_cost(node);
  ++sum.node_count;
  sum.unpriced_count += facts[node].is_unpriced ? 1 : 0;
  sum.other_currency_count += other_costs.contains(node) ? 1 : 0;
}

NodeView GenealogyParts::view(NodeIndex node) const {
  const NodeFacts& known = facts[node];
  const NodeId& node_id = names.id(node);
  const std::string& label = texts.text(known.label);
  return {.node_id = node_id,
          .kind = names.kind(node),
          .label = label.empty() ? std::string(node_name(node_id)) : label,
          .status = texts.text(known.status),
          .outcome = outcome(node),
          .user_name = texts.text(known.user_name),
          .cluster = texts.text(known.cluster),
          .created_at = known.since(),
          .is_pending = known.is_pending(),
          .is_unpriced = known.is_unpriced,
          .has_other_currency = other_costs.contains(node),
          .own_cost = own_cost(node)};
}

const Link& GenealogyParts::link(Need need) const {
  const Link* known = links.find(need);
  FINOPS_ASSERT(known != nullptr);
  return *known;
}

// --- Genealogy -----------------------------------------------------------------------------------

Genealogy::Genealogy(Currency currency) : parts_(std::make_unique<GenealogyParts>(currency)) {}
Genealogy::~Genealogy() = default;
Genealogy::Genealogy(Genealogy&&) noexcept = default;
Genealogy& Genealogy::operator=(Genealogy&&) noexcept = default;

Currency Genealogy::currency() const noexcept { return parts_->currency; }
std::size_t Genealogy::node_count() const noexcept { return parts_->names.size(); }
std::size_t Genealogy::edge_count() const noexcept { return parts_->sentences.size(); }

std::vector<NodeId> Genealogy::node_ids() const {
  std::vector<NodeId> ids;
  ids.reserve(node_count());
  for (NodeIndex node = 0; node < node_count(); ++node) {
    ids.push_back(parts_->names.id(node));
  }
  return ids;
}

bool Genealogy::contains(const NodeId& node_id) const {
  return parts_->names.find(node_id).has_value();
}

NodeView Genealogy::node(const NodeId& node_id) const {
  return parts_->view(parts_->require(node_id));
}

std::vector<NodeId> Genealogy::pending() const {
  std::vector<NodeId> ids;
  for (NodeIndex node = 0; node < node_count(); ++node) {
    if (parts_->facts[node].is_pending()) {
      ids.push_back(parts_->names.id(node));
    }
  }
  return ids;
}

CostSum Genealogy::total_cost() const {
  CostSum sum(parts_->currency);
  for (NodeIndex node = 0; node < node_count(); ++node) {
    parts_->add_to(sum, node);
  }
  return sum;
}

CostSum Genealogy::own_cost(const NodeId& node_id) const {
  CostSum sum(parts_->currency);
  parts_->add_to(sum, parts_->require(node_id));
  return sum;
}

CostSum Genealogy::full_cost(const NodeId& node_id) const {
  const NodeIndex node = parts_->require(node_id);
  const WorkspacePool::Lease workspace = parts_->workspaces.lend();
  const ClosureSum closure = parts_->graph.closure_sum(node, Direction::Upstream, *workspace);
  CostSum sum(parts_->currency);
  sum.node_count = closure.node_count();
  for (std::uint8_t mark = 0; mark < kMarkCount; ++mark) {
    sum.by_outcome[mark % kUnpricedMark] +=
        Money::from_picos(closure.cost_picos[mark], parts_->currency);
    sum.unpriced_count += (mark & kUnpricedMark) != 0 ? closure.node_counts[mark] : 0;
  }
  if (!parts_->other_costs.empty()) {
    std::vector<NodeIndex> nodes;
    parts_->graph.closure(node, Direction::Upstream, *workspace, nodes);
    sum.other_currency_count = std::ranges::count_if(nodes, [&](NodeIndex member) {
      return parts_->other_costs.contains(member);
    });
  }
  return sum;
}

CostSum Genealogy::cost_from(const NodeId& node_id) const {
  const CameFrom closure(*parts_, parts_->require(node_id));
  CostSum sum(parts_->currency);
  for (const NodeIndex node : closure.nodes()) {
    parts_->add_to(sum, node);
  }
  return sum;
}

const CostGraph& Genealogy::graph() const noexcept { return parts_->graph; }
NodeIndex Genealogy::index_of(const NodeId& node_id) const { return parts_->require(node_id); }
const NodeId& Genealogy::id_of(NodeIndex node) const { return parts_->names.id(node); }
NodeIndex Genealogy::whole_of(NodeIndex node) const { return parts_->nesting.outermost(node); }

std::vector<NodeIndex> Genealogy::parts_of(NodeIndex node) const {
  std::vector<NodeIndex> parts{node};
  std::unordered_set<NodeIndex> seen{node};
  std::vector<NodeIndex> needed;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    parts_->graph.neighbours(parts[i], Direction::Upstream, needed);
    for (const NodeIndex part : needed) {
      const SentenceKey nested{.subject = part, .object = parts[i], .kind = EdgeKind::NestedIn};
      if (parts_->sentence_positions.contains(nested) && seen.insert(part).second) {
        parts.push_back(part);
      }
    }
  }
  return parts;
}

std::vector<NodeIndex> Genealogy::surviving_results() const {
  const auto survives = [&](NodeIndex node) { return status_of(node) != "RETIRED"; };
  std::vector<bool> is_deployed(node_count(), false);
  for (const Sentence& sentence : parts_->sentences) {
    if (sentence.kind == EdgeKind::DeployedAs && survives(sentence.object)) {
      is_deployed[sentence.subject] = true;
    }
  }
  std::vector<NodeIndex> results;
  for (NodeIndex node = 0; node < node_count(); ++node) {
    const NodeKind kind = parts_->names.kind(node);
    const bool is_result = kind == NodeKind::Model || kind == NodeKind::Endpoint;
    if (is_result && survives(node) && !is_deployed[node]) {
      results.push_back(node);
    }
  }
  std::ranges::sort(results,
                    [&](NodeIndex lhs, NodeIndex rhs) { return parts_->is_less(lhs, rhs); });
  return results;
}

std::string_view Genealogy::status_of(NodeIndex node) const {
  return parts_->texts.text(parts_->facts[node].status);
}
UtcTime Genealogy::created_at(NodeIndex node) const { return parts_->facts[node].since(); }
std::span<const NodeUse> Genealogy::uses() const noexcept { return parts_->uses.records; }
std::span<const BusinessValue> Genealogy::values() const noexcept { return parts_->values.records; }

}  // namespace finops::genealogy
