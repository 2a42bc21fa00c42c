// lineage.hpp - what came from what: the nodes and edges of the genealogy, and what hangs on them.
//
// Owns: NodeId, NodeKind, EdgeKind, LineageNode, LineageEdge, LineageCost, NodeStatus, NodeUse,
// BusinessValue, LineageRecords. Does not own: the graph (genealogy), storing (ledger), lines of
// text (lineage_lines.hpp).
// Invariants: a node's id begins with its kind; an edge is a sentence, subject kind object; records
// never change: a correction is a new record.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "finops/base/clock.hpp"
#include "finops/base/ids.hpp"
#include "finops/money/money.hpp"
#include "finops/record/charge.hpp"

namespace finops {

/// What a node is. Job: preprocessing, evaluation, or another piece of work that is no training
/// run.
enum class NodeKind {
  Project,
  Experiment,
  Run,
  Attempt,
  Dataset,
  Job,
  Checkpoint,
  Model,
  Endpoint
};
inline constexpr int kNodeKindCount = 9;
/// "project", "experiment", "run", "attempt", "dataset", "job", "checkpoint", "model", "endpoint".
[[nodiscard]] std::string_view node_kind_name(NodeKind kind) noexcept;
/// Throws Error(InvalidArgument) on an unknown name.
[[nodiscard]] NodeKind parse_node_kind(std::string_view name);

/// A node's id: its kind, a colon and a name: "model:resnet-v2", "run:k3v9q2d7m1xa",
/// "experiment:vision/resnet", "dataset:s3://bucket/my data". Names may be any Unicode text.
using NodeId = StrongId<struct NodeIdTag>;
/// The most bytes of a node's id.
inline constexpr std::size_t kLongestNodeId = 512;

/// The id of a node. Throws Error(InvalidArgument) if the name is empty, too long, no UTF-8, or has
/// control characters or blanks at its ends: such names cannot be told apart on a screen.
[[nodiscard]] NodeId make_node_id(NodeKind kind, std::string_view name);
/// Reads "model:resnet-v2". Throws Error(InvalidArgument), as make_node_id.
[[nodiscard]] NodeId parse_node_id(std::string_view text);
/// The kind of a node id that parse_node_id accepted.
[[nodiscard]] NodeKind node_kind(const NodeId& node_id);
/// What follows the colon.
[[nodiscard]] std::string_view node_name(const NodeId& node_id);
/// What people write where one kind is usual: "dataset:tokens" is that, "tokens" is a
/// `default_kind`, and so is "s3://bucket/x", since "s3" is no kind.
/// Throws Error(InvalidArgument), as make_node_id.
[[nodiscard]] NodeId parse_node_id_or(NodeKind default_kind, std::string_view text);

/// The ids of what a ledger holds. Projects, experiments and what a run names as its parent may be
/// any text: what make_node_id refuses is written as %XX, as is a '/' in a project's name; a name
/// that is too long is cut and ends in a hash. Two names never give one id.
[[nodiscard]] NodeId project_node_id(std::string_view project);
[[nodiscard]] NodeId experiment_node_id(std::string_view project, std::string_view experiment);
[[nodiscard]] NodeId run_node_id(const RunId& run_id);
[[nodiscard]] NodeId attempt_node_id(const AttemptId& attempt_id);
/// "checkpoint:k3v9q2d7m1xa-4t8rw2/17".
[[nodiscard]] NodeId checkpoint_node_id(const AttemptId& attempt_id, std::int64_t sequence);

/// The id of what an attempt's metered use cost in one currency: "a-1/metered/USD". Once it is all
/// settled it stands; while more may come it has another at each time: "a-1/metered/USD@<until>".
[[nodiscard]] EventId metered_cost_id(const AttemptId& attempt_id, Currency currency);
[[nodiscard]] EventId growing_cost_id(const AttemptId& attempt_id, Currency currency,
                                      UtcTime until);
[[nodiscard]] bool is_growing_cost(const EventId& event_id);

/// How a subject relates to an object, read as a sentence.
enum class EdgeKind {
  NestedIn,    ///< trial nested_in sweep; attempt nested_in run; run nested_in experiment
  ForkedFrom,  ///< run forked_from run or checkpoint, at a step
  RetriedAs,   ///< attempt retried_as the next attempt; run retried_as a later run
  Read,        ///< run read dataset, model or checkpoint
  Produced,    ///< run produced model, dataset or checkpoint; run produced endpoint: serves it
  DeployedAs   ///< model deployed_as endpoint
};
/// "nested_in", "forked_from", "retried_as", "read", "produced", "deployed_as".
[[nodiscard]] std::string_view edge_kind_name(EdgeKind kind) noexcept;
/// Throws Error(InvalidArgument) on an unknown name.
[[nodiscard]] EdgeKind parse_edge_kind(std::string_view name);

/// What is known of a node for good. Empty fields are unknown.
struct LineageNode {
  NodeId node_id;
  std::string label;  ///< what people call it: a run's name; empty: the name in the id
  std::string user_name;
  std::string cluster;            ///< cluster or host
  std::string attributes = "{}";  ///< JSON object
  UtcTime created_at{};           ///< epoch: unknown

  bool operator==(const LineageNode&) const = default;
};

/// One sentence. The same sentence twice, with its step or without, is one edge.
struct LineageEdge {
  NodeId subject;
  EdgeKind kind = EdgeKind::Read;
  NodeId object;
  std::optional<std::int64_t> step;  ///< of a fork or a checkpoint
  UtcTime recorded_at{};             ///< epoch: unknown

  bool operator==(const LineageEdge&) const = default;
};
/// Whether by such a sentence the subject needs the object (forked_from, read), and not the object
/// the subject (nested_in, retried_as, produced, deployed_as).
[[nodiscard]] bool subject_needs_object(EdgeKind kind) noexcept;
/// The sentence: "run:a read dataset:d".
[[nodiscard]] std::string sentence(const LineageEdge& edge);
/// Throws Error(InvalidArgument) if the sentence makes no sense: a dataset that read a run, or a
/// node that has to do with itself. The message names what may stand there.
void require_sensible(const LineageEdge& edge);

/// What a node itself cost, in one part. A correction is another part and may be negative; so may
/// credits and adjustments (FOCUS 1.2, ChargeCategory), and nothing else.
struct LineageCost {
  EventId event_id;  ///< the same event twice is one; with other content a Conflict
  NodeId node_id;
  ChargeCategory charge_category = ChargeCategory::Usage;
  bool is_correction = false;
  Money billed_cost = Money::zero(Currency::usd());
  UtcTime charge_period_start{};  ///< inclusive; epoch: unknown
  UtcTime charge_period_end{};    ///< exclusive; epoch: unknown

  bool operator==(const LineageCost&) const = default;
};

/// The state of a node from `recorded_at` on; the newest counts. RUNNING, FINISHED, FAILED, KILLED,
/// PAUSED, PREEMPTED for work; ACTIVE and RETIRED for results: what is retired claims no cost.
struct NodeStatus {
  NodeId node_id;
  std::string status;
  std::string who;
  std::string why;
  UtcTime recorded_at{};

  bool operator==(const NodeStatus&) const = default;
};
/// Whether `status` is one of those above.
[[nodiscard]] bool is_node_status(std::string_view status) noexcept;

/// Measured use of a result: requests served, tokens, GPU-seconds. Shares cost by use.
struct NodeUse {
  EventId event_id;
  NodeId node_id;
  std::int64_t quantity = 0;  ///< at least 0
  std::string unit;           ///< "requests"; only equal units are compared
  UtcTime recorded_at{};

  bool operator==(const NodeUse&) const = default;
};

/// How often a business value comes.
enum class ValuePeriod { Once, Month, Quarter, Year };
/// "once", "month", "quarter", "year".
[[nodiscard]] std::string_view value_period_name(ValuePeriod period) noexcept;
/// Throws Error(InvalidArgument) on an unknown name.
[[nodiscard]] ValuePeriod parse_value_period(std::string_view name);

/// What a model or endpoint is worth to the business, says somebody.
struct BusinessValue {
  EventId value_id;
  NodeId node_id;                               ///< a model or an endpoint
  Money amount = Money::zero(Currency::usd());  ///< of each period; negative: a correction
  ValuePeriod period = ValuePeriod::Once;
  UtcTime valid_from{};  ///< inclusive; epoch: unknown, which only a value that comes once may be
  UtcTime valid_to{};    ///< exclusive; epoch: open
  std::string source;    ///< "A/B test 2026-10, 3 % fewer returns": required
  std::string who;
  UtcTime recorded_at{};

  bool operator==(const BusinessValue&) const = default;
};

/// The most bytes of a label, a reason, a source and the like, and of a node's attributes.
inline constexpr std::size_t kLongestLineageText = 4'096;
inline constexpr std::size_t kLongestAttributes = 262'144;
/// The one form of a JSON object: keys sorted, no blanks, so that equal attributes are equal texts.
/// Throws Error(InvalidArgument) if it is no JSON object, is too long or nested too deep, or has a
/// key twice.
[[nodiscard]] std::string canonical_attributes(std::string_view json_text);

/// Throw Error(InvalidArgument), naming the field, if a record cannot be kept as it is: a bad id,
/// text that is no UTF-8 or has control characters, a negative step or quantity, a cost below zero
/// that takes nothing back, a period that ends before it starts, a value without a source, or one
/// that recurs without a start.
void require_valid(const LineageNode& node);
void require_valid(const LineageEdge& edge);
void require_valid(const LineageCost& cost);
void require_valid(const NodeStatus& status);
void require_valid(const NodeUse& use);
void require_valid(const BusinessValue& value);

/// All that a genealogy is built from, in the order of recording.
struct LineageRecords {
  std::vector<LineageNode> nodes;
  std::vector<LineageEdge> edges;
  std::vector<LineageCost> costs;
  std::vector<NodeStatus> statuses;
  std::vector<NodeUse> uses;
  std::vector<BusinessValue> values;
  /// Work whose cost is not known yet: unknown is never zero.
  std::vector<NodeId> unpriced;
};

}  // namespace finops
