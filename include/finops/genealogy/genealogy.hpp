// genealogy.hpp - what a model really cost: named nodes, their facts, and the questions to them.
//
// Owns: Genealogy: names, pending nodes, statuses, what needs what, full cost, contributors, groups
// and differences. Does not own: the walks (cost_graph.hpp), shares of cost that add up to the
// total (credit.hpp), where the records come from (ledger, or lines of text).
// Invariants: one currency per graph, amounts in others are listed and never added; each node is
// counted once; unknown cost is counted as unknown, never as zero.
//
// What needs what, from the sentences that people record:
//   model was produced by run   -> the model needs the run
//   run read dataset            -> the run needs the dataset
//   run nested_in sweep         -> the sweep needs the run: a whole needs its parts
//   B forked_from A, A retried_as B, M deployed_as E -> B needs A, E needs M
// Who takes something out of a piece of work paid for all of it: what a trial produced, and what
// forked from a trial, needs the widest enclosing run that does not itself need the taker. So a
// model that one of 200 trials produced cost the whole sweep; a checkpoint that another trial of
// the same sweep began from cost its own trial only. Enclosing are runs and jobs, never experiments
// and projects. Where two such takers exclude each other, the one recorded first (then, by id)
// goes first, so that the answer does not depend on the order in which records come.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "finops/genealogy/cost_graph.hpp"
#include "finops/money/money.hpp"
#include "finops/record/lineage.hpp"

namespace finops::genealogy {

/// How what was spent turned out. Work (run, attempt, job) without a status turned out as the whole
/// around it, if that has one (of several wholes, the one whose id is least is asked); else it
/// counts as Good, and so does what is no work: a result that was retired cost what it cost.
enum class Outcome { Good, Failed, Preempted, Running };
inline constexpr int kOutcomeCount = 4;
/// "good", "failed", "preempted", "running".
[[nodiscard]] std::string_view outcome_name(Outcome outcome) noexcept;
/// FAILED and KILLED are Failed, PREEMPTED is Preempted, RUNNING and PAUSED are Running.
[[nodiscard]] Outcome outcome_of_status(std::string_view status) noexcept;

/// A cost by how it turned out.
struct CostSum {
  std::array<Money, kOutcomeCount> by_outcome;
  std::int64_t node_count = 0;
  std::int64_t unpriced_count = 0;  ///< nodes whose cost is not known: the sum is a lower bound
  std::int64_t other_currency_count = 0;  ///< nodes with costs in another currency, not in the sum

  explicit CostSum(Currency currency)
      : by_outcome{Money::zero(currency), Money::zero(currency), Money::zero(currency),
                   Money::zero(currency)} {}
  [[nodiscard]] Money total() const;
  [[nodiscard]] Money of(Outcome outcome) const {
    return by_outcome.at(static_cast<std::size_t>(outcome));
  }
};

/// Which vector of LineageRecords a record is in.
enum class RecordKind { Node, Edge, Cost, Status, Use, Value, Unpriced };

/// What a refused record is told: which one, and why. A cycle's path is in the reason.
struct Refusal {
  RecordKind record_kind = RecordKind::Node;
  std::size_t position = 0;  ///< in the vector of that kind, in the order given
  std::string record;        ///< the record in words: "run:a read dataset:d"
  std::string reason;

  bool operator==(const Refusal&) const = default;
};

/// One node as a report shows it.
struct NodeView {
  NodeId node_id;
  NodeKind kind = NodeKind::Run;
  std::string label;   ///< never empty: the name in the id if there is none
  std::string status;  ///< empty: none known
  Outcome outcome = Outcome::Good;
  std::string user_name;
  std::string cluster;
  UtcTime created_at{};     ///< or when it was first produced or deployed; epoch: unknown
  bool is_pending = false;  ///< others name it; nobody said what it is or when it was made
  bool is_unpriced = false;
  bool has_other_currency = false;  ///< it has costs in another currency, not in own_cost
  Money own_cost;
};

/// A piece of work, data or result that a node needs, with all of its parts.
struct Contributor {
  NodeId node_id;  ///< the widest whole that the asked node needs: a sweep, not its trials
  CostSum cost;    ///< of it and its parts, as far as the asked node needs them
  /// The shortest from the asked node to this one, both included; in the middle of a path longer
  /// than kLongestPath nodes are left out. Empty past the kMostPaths largest contributors.
  std::vector<NodeId> path;
  std::int64_t hidden_path_count = 0;  ///< nodes left out
};
inline constexpr std::size_t kLongestPath = 64;
inline constexpr std::size_t kMostPaths = 10'000;

/// Two closures side by side: only in one, only in the other, in both.
struct Difference {
  CostSum only_first;
  CostSum only_second;
  CostSum both;
  std::vector<Contributor> first_contributors;   ///< of what is only in the first
  std::vector<Contributor> second_contributors;  ///< of what is only in the second
};

/// Status, user and cluster of a part that has none of its own are those of the whole around it, as
/// its outcome is. The status of what is no work is its own.
enum class GroupBy { Kind, Status, User, Cluster };
/// Throws Error(InvalidArgument) unless "kind", "status", "user" or "cluster".
[[nodiscard]] GroupBy parse_group_by(std::string_view name);

struct Group {
  std::string name;  ///< empty: unknown
  CostSum cost;
};

/// A node in a tree of what it needs (or of what came from it). Each node stands as near to the
/// root as it can be; where else it is needed it is a repetition: no children, and its cost is
/// counted there.
struct TreeNode {
  NodeView view;
  std::int64_t depth = 0;    ///< 0: the root; the nodes are in the order of a walk, parents first
  std::int64_t parent = -1;  ///< position in the vector; -1: the root
  std::string relation;      ///< to its parent, in words: "produced by", "read", "part of"
  std::optional<std::int64_t> step;
  bool is_repetition = false;
  std::int64_t hidden_child_count = 0;  ///< children cut off by the limits, still in the cost
  CostSum subtree_cost;  ///< of all nodes counted at or below it: adds up, each node once
};

/// What is nearest to the root, and among that what cost most, stays.
struct TreeLimits {
  std::int64_t longest_depth = 1'000'000;
  std::int64_t most_nodes = 1'000'000;
};

/// Something a person should look at; nothing was changed because of it.
struct Problem {
  NodeId node_id;
  std::string text;  ///< "created 3 s before run:a was created (run:b forked_from run:a): ..."
};

inline constexpr std::size_t kMostProblems = 1'000;

/// What a Genealogy consists of; private to it.
struct GenealogyParts;

/// Const calls may run beside each other.
class Genealogy {
 public:
  explicit Genealogy(Currency currency);
  ~Genealogy();
  Genealogy(Genealogy&&) noexcept;
  Genealogy& operator=(Genealogy&&) noexcept;
  Genealogy(const Genealogy&) = delete;
  Genealogy& operator=(const Genealogy&) = delete;

  /// Takes records in; edges may come before their nodes. Returns what was refused: other facts
  /// under a known id, a sentence that makes no sense (dataset read run), a cycle (with its path),
  /// an own cost that leaves the range. The rest counts. The same record again is a no-op. Edges,
  /// statuses and what is unpriced take time in proportion to the whole graph, so give many at
  /// once; the rest only to themselves.
  std::vector<Refusal> add(const LineageRecords& records);

  [[nodiscard]] Currency currency() const noexcept;
  [[nodiscard]] std::size_t node_count() const noexcept;
  [[nodiscard]] std::size_t edge_count() const noexcept;
  /// All node ids, in the order of their first mention.
  [[nodiscard]] std::vector<NodeId> node_ids() const;
  [[nodiscard]] bool contains(const NodeId& node_id) const;
  /// Error(NotFound), with the nearest names, if the graph has no such node. So do all below.
  [[nodiscard]] NodeView node(const NodeId& node_id) const;
  /// Nodes that only edges, costs or statuses name, but for what was produced or deployed at a
  /// known time: who made it described it.
  [[nodiscard]] std::vector<NodeId> pending() const;
  /// Clocks that differ between a node and what it needs, costs in other currencies, negative sums,
  /// ids that look alike. At most kMostProblems; then one more without an id says how many more.
  [[nodiscard]] std::vector<Problem> problems() const;
  /// What the whole graph cost.
  [[nodiscard]] CostSum total_cost() const;

  [[nodiscard]] CostSum own_cost(const NodeId& node_id) const;
  /// Of the node and all that it needs, each once.
  [[nodiscard]] CostSum full_cost(const NodeId& node_id) const;
  /// Of the node and all that came from it, each once. What came from it as a whole counts with its
  /// parts: a run that read the dataset, with its attempts. A sweep of which one trial read it
  /// counts with that trial alone.
  [[nodiscard]] CostSum cost_from(const NodeId& node_id) const;
  /// What the node's full cost (or the cost from it) consists of, largest first.
  [[nodiscard]] std::vector<Contributor> contributors(const NodeId& node_id,
                                                      Direction direction) const;
  [[nodiscard]] Difference difference(const NodeId& first, const NodeId& second) const;
  /// The full cost in groups, largest first.
  [[nodiscard]] std::vector<Group> grouped(const NodeId& node_id, GroupBy group_by) const;
  [[nodiscard]] std::vector<TreeNode> tree(const NodeId& node_id, Direction direction,
                                           TreeLimits limits) const;

  // For credit.hpp and value.hpp.

  [[nodiscard]] const CostGraph& graph() const noexcept;
  [[nodiscard]] NodeIndex index_of(const NodeId& node_id) const;
  [[nodiscard]] const NodeId& id_of(NodeIndex node) const;
  /// The outermost run or job that a node is nested in, or the node itself; of several, the least
  /// by id.
  [[nodiscard]] NodeIndex whole_of(NodeIndex node) const;
  /// The node and all that is nested in it, however deep; in no stated order.
  [[nodiscard]] std::vector<NodeIndex> parts_of(NodeIndex node) const;
  /// Models and endpoints that are not RETIRED, without the models that are deployed as such an
  /// endpoint: there the endpoint stands for both. By id.
  [[nodiscard]] std::vector<NodeIndex> surviving_results() const;
  /// The newest status; empty: none.
  [[nodiscard]] std::string_view status_of(NodeIndex node) const;
  [[nodiscard]] UtcTime created_at(NodeIndex node) const;
  [[nodiscard]] std::span<const NodeUse> uses() const noexcept;
  [[nodiscard]] std::span<const BusinessValue> values() const noexcept;

 private:
  std::unique_ptr<GenealogyParts> parts_;
};

}  // namespace finops::genealogy
