// parts.hpp - what a Genealogy consists of, and what several of its questions ask.
//
// Owns: GenealogyParts. Does not own: the questions (genealogy.cpp, contributors.cpp, tree.cpp,
// problems.cpp), taking records in (add.cpp).
// Invariants: names, facts, graph and nesting have the same nodes; a node's mark in the graph is
// its outcome and whether its cost is unknown.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "finops/genealogy/genealogy.hpp"
#include "genealogy/names.hpp"
#include "genealogy/needs.hpp"
#include "genealogy/sentences.hpp"
#include "genealogy/workspaces.hpp"

namespace finops::genealogy {

/// What is known of a node; texts are numbers in the pool.
struct NodeFacts {
  std::uint32_t label = 0;
  std::uint32_t user_name = 0;
  std::uint32_t cluster = 0;
  std::uint32_t attributes = 0;
  std::uint32_t status = 0;
  bool is_known = false;  ///< from a node's record
  bool is_unpriced = false;
  Outcome outcome = Outcome::Good;  ///< of work without a status, that of the whole around it
  UtcTime created_at{};
  UtcTime made_at{};  ///< when somebody first said that it was produced or deployed
  UtcTime status_recorded_at{};

  /// Nobody said what it is, nor that it was made.
  [[nodiscard]] bool is_pending() const noexcept { return !is_known && made_at == UtcTime{}; }
  [[nodiscard]] UtcTime since() const noexcept {
    return created_at == UtcTime{} ? made_at : created_at;
  }
};

/// A cost that was taken in, to tell whether another one with its event id is the same.
struct KnownCost {
  NodeIndex node = 0;
  ChargeCategory charge_category = ChargeCategory::Usage;
  bool is_correction = false;
  Money billed_cost;
  UtcTime charge_period_start{};
  UtcTime charge_period_end{};
};

struct SentenceKey {
  NodeIndex subject = 0;
  NodeIndex object = 0;
  EdgeKind kind = EdgeKind::Read;
  bool operator==(const SentenceKey&) const = default;
};
struct SentenceKeyHash {
  std::size_t operator()(const SentenceKey& key) const noexcept {
    const auto pair = (std::uint64_t{key.subject} << 32U) | key.object;
    // Fibonacci hashing; the kind is in the high bits, where indices seldom reach.
    return (pair ^ (static_cast<std::uint64_t>(key.kind) << 61U)) * 0x9E3779B97F4A7C15U;
  }
};

/// Records under an id of their own, each once.
template <class Record>
struct RecordsById {
  std::vector<Record> records;
  std::unordered_map<std::string, std::size_t> positions;
};

inline constexpr std::uint8_t kUnpricedMark = 4;  // over the two bits of the outcome

struct GenealogyParts {
  explicit GenealogyParts(Currency graph_currency) : currency(graph_currency) {}

  Currency currency;
  Names names;
  TextPool texts;
  std::vector<NodeFacts> facts;
  std::vector<Sentence> sentences;
  std::unordered_map<SentenceKey, std::size_t, SentenceKeyHash> sentence_positions;
  CostGraph graph;
  LinkTable links;
  Nesting nesting;
  std::unordered_map<std::string, KnownCost> costs;
  std::unordered_map<NodeIndex, std::map<Currency, Money>> other_costs;  // in other currencies
  RecordsById<NodeUse> uses;
  RecordsById<BusinessValue> values;
  mutable WorkspacePool workspaces;

  // Asked by several questions.

  /// Throws Error(NotFound) with the nearest names.
  [[nodiscard]] NodeIndex require(const NodeId& node_id) const;
  [[nodiscard]] Outcome outcome(NodeIndex node) const { return facts[node].outcome; }
  /// Anew for all nodes, from statuses, nesting, and whose cost is unknown.
  void find_outcomes();
  [[nodiscard]] Money own_cost(NodeIndex node) const {
    return Money::from_picos(graph.cost_picos(node), currency);
  }
  void add_to(CostSum& sum, NodeIndex node) const;
  [[nodiscard]] NodeView view(NodeIndex node) const;
  [[nodiscard]] bool is_less(NodeIndex lhs, NodeIndex rhs) const {
    return names.id(lhs) < names.id(rhs);
  }
  /// Why there is a need, which must be one of the graph.
  [[nodiscard]] const Link& link(Need need) const;
  /// Whether `whole` needs `part` because that is nested in it.
  [[nodiscard]] bool is_part(NodeIndex part, NodeIndex whole) const {
    const Link* known = links.find({whole, part});
    return known != nullptr && known->kind == EdgeKind::NestedIn;
  }
};

/// Whose word counts for a node that has none of its own in `field`: that of the first around it
/// that has one. Of several wholes the one whose id is least is asked.
class Inheritance {
 public:
  Inheritance(const GenealogyParts& parts, std::uint32_t NodeFacts::* field)
      : parts_(parts), field_(field), owners_(parts.names.size(), kNoNode) {}

  /// The number of a text in the pool; 0: nobody around has one.
  [[nodiscard]] std::uint32_t of(NodeIndex node);

 private:
  const GenealogyParts& parts_;
  std::uint32_t NodeFacts::* field_;
  std::vector<NodeIndex> owners_;
};

/// Adds one sum to another.
void add_sum(CostSum& target, const CostSum& source);

}  // namespace finops::genealogy
