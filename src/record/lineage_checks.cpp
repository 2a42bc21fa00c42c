// lineage_checks.cpp - which sentences make sense, and which records can be kept.
#include <algorithm>
#include <array>
#include <initializer_list>

#include "finops/base/error.hpp"
#include "finops/record/json_depth.hpp"
#include "finops/record/lineage.hpp"
#include "record/strict_json.hpp"
#include "record/utf8.hpp"

namespace finops {
namespace {

// Kinds as a set of bits.
constexpr unsigned kinds(std::initializer_list<NodeKind> list) {
  unsigned bits = 0;
  for (const NodeKind kind : list) {
    bits |= 1U << static_cast<unsigned>(kind);
  }
  return bits;
}
constexpr unsigned kWork = kinds({NodeKind::Run, NodeKind::Attempt, NodeKind::Job});
constexpr unsigned kWhole = kinds({NodeKind::Run, NodeKind::Job});

// Which kinds may stand before and after a verb; a verb may have several lines.
struct Sense {
  EdgeKind kind;
  unsigned subjects;
  unsigned objects;
};
constexpr std::array<Sense, 10> kSenses{{
    {EdgeKind::NestedIn, kinds({NodeKind::Attempt}), kWhole},
    {EdgeKind::NestedIn, kWhole, kWhole | kinds({NodeKind::Experiment})},
    {EdgeKind::NestedIn, kinds({NodeKind::Experiment}), kinds({NodeKind::Project})},
    {EdgeKind::ForkedFrom, kinds({NodeKind::Run}), kinds({NodeKind::Run, NodeKind::Checkpoint})},
    {EdgeKind::RetriedAs, kinds({NodeKind::Attempt}), kinds({NodeKind::Attempt})},
    {EdgeKind::RetriedAs, kinds({NodeKind::Run}), kinds({NodeKind::Run})},
    {EdgeKind::RetriedAs, kinds({NodeKind::Job}), kinds({NodeKind::Job})},
    {EdgeKind::Read, kWork, kinds({NodeKind::Dataset, NodeKind::Model, NodeKind::Checkpoint})},
    {EdgeKind::Produced, kWork,
     kinds({NodeKind::Dataset, NodeKind::Model, NodeKind::Checkpoint, NodeKind::Endpoint})},
    {EdgeKind::DeployedAs, kinds({NodeKind::Model}), kinds({NodeKind::Endpoint})},
}};

bool has(unsigned kind_set, NodeKind kind) {
  return (kind_set & (1U << static_cast<unsigned>(kind))) != 0;
}

std::string names_of(unsigned kind_set) {
  std::string names;
  for (int i = 0; i < kNodeKindCount; ++i) {
    const auto kind = static_cast<NodeKind>(i);
    if (has(kind_set, kind)) {
      names += (names.empty() ? "" : " or ") + std::string(node_kind_name(kind));
    }
  }
  return names;
}

bool is_sensible(NodeKind subject, EdgeKind kind, NodeKind object) {
  return std::ranges::any_of(kSenses, [&](const Sense& sense) {
    return sense.kind == kind && has(sense.subjects, subject) && has(sense.objects, object);
  });
}

std::string possible_sentences(EdgeKind kind) {
  std::string choices;
  for (const Sense& sense : kSenses) {
    if (sense.kind == kind) {
      choices += (choices.empty() ? "" : "; ") + names_of(sense.subjects) + " " +
                 std::string(edge_kind_name(kind)) + " " + names_of(sense.objects);
    }
  }
  return choices;
}

void require_period(const char* start_name, UtcTime start, const char* end_name, UtcTime end) {
  FINOPS_REQUIRE(start == UtcTime{} || end == UtcTime{} || start < end, ErrorCode::InvalidArgument,
                 std::string(end_name) + " (" + format_utc(end) + ") must be after " + start_name +
                     " (" + format_utc(start) + ")");
}

void require_event(const EventId& event_id) {
  require_name("event_id", event_id.str(), kLongestNodeId);
}

}  // namespace

void require_sensible(const LineageEdge& edge) {
  FINOPS_REQUIRE(is_sensible(node_kind(edge.subject), edge.kind, node_kind(edge.object)),
                 ErrorCode::InvalidArgument,
                 "'" + sentence(edge) +
                     "' makes no sense; possible are: " + possible_sentences(edge.kind));
  FINOPS_REQUIRE(edge.subject != edge.object, ErrorCode::InvalidArgument,
                 "'" + sentence(edge) +
                     "': a node cannot need itself; give the other one a name of its own");
}

std::string canonical_attributes(std::string_view json_text) {
  FINOPS_REQUIRE(json_text.size() <= kLongestAttributes, ErrorCode::InvalidArgument,
                 "attributes have " + std::to_string(json_text.size()) + " bytes, at most " +
                     std::to_string(kLongestAttributes) + " are kept");
  // A line holds them inside of its own object.
  FINOPS_REQUIRE(json_depth(json_text) < kDeepestJson, ErrorCode::InvalidArgument,
                 "attributes are nested deeper than " + std::to_string(kDeepestJson - 1) +
                     " levels");
  const nlohmann::json root = parse_strict(json_text);
  FINOPS_REQUIRE(root.is_object(), ErrorCode::InvalidArgument,
                 "attributes must be a JSON object, not '" + shown(json_text) + "'");
  return root.dump();
}

void require_valid(const LineageNode& node) {
  (void)parse_node_id(node.node_id.str());
  require_text("label", node.label, kLongestLineageText);
  require_text("user_name", node.user_name, kLongestLineageText);
  require_text("cluster", node.cluster, kLongestLineageText);
  (void)canonical_attributes(node.attributes);
}

void require_valid(const LineageEdge& edge) {
  (void)parse_node_id(edge.subject.str());
  (void)parse_node_id(edge.object.str());
  FINOPS_REQUIRE(edge.step.value_or(0) >= 0, ErrorCode::InvalidArgument,
                 "step must be 0 or more, not " + std::to_string(edge.step.value_or(0)));
}

void require_valid(const LineageCost& cost) {
  require_event(cost.event_id);
  (void)parse_node_id(cost.node_id.str());
  require_period("charge_period_start", cost.charge_period_start, "charge_period_end",
                 cost.charge_period_end);
  FINOPS_REQUIRE(!cost.billed_cost.is_negative() || cost.is_correction ||
                     cost.charge_category == ChargeCategory::Credit ||
                     cost.charge_category == ChargeCategory::Adjustment,
                 ErrorCode::InvalidArgument,
                 "billed_cost is below zero (" + cost.billed_cost.str() + ") for " +
                     std::string(charge_category_name(cost.charge_category)) +
                     "; if it takes back an earlier cost, say so: is_correction in a line, "
                     "--correction in the shell");
}

void require_valid(const NodeStatus& status) {
  (void)parse_node_id(status.node_id.str());
  FINOPS_REQUIRE(is_node_status(status.status), ErrorCode::InvalidArgument,
                 "unknown status '" + shown(status.status) +
                     "'; known are RUNNING, FINISHED, FAILED, KILLED, PAUSED, PREEMPTED, ACTIVE "
                     "and RETIRED");
  require_text("who", status.who, kLongestLineageText);
  require_text("why", status.why, kLongestLineageText);
}

void require_valid(const NodeUse& use) {
  require_event(use.event_id);
  (void)parse_node_id(use.node_id.str());
  FINOPS_REQUIRE(use.quantity >= 0, ErrorCode::InvalidArgument,
                 "use must be 0 or more, not " + std::to_string(use.quantity));
  require_text("unit", use.unit, kLongestLineageText);
}

void require_valid(const BusinessValue& value) {
  require_event(value.value_id);
  const NodeKind kind = node_kind(parse_node_id(value.node_id.str()));
  FINOPS_REQUIRE(kind == NodeKind::Model || kind == NodeKind::Endpoint, ErrorCode::InvalidArgument,
                 "a value hangs on a model or an endpoint, not on " + value.node_id.str());
  require_period("valid_from", value.valid_from, "valid_to", value.valid_to);
  FINOPS_REQUIRE(value.period == ValuePeriod::Once || value.valid_from != UtcTime{},
                 ErrorCode::InvalidArgument,
                 "a value of each " + std::string(value_period_name(value.period)) +
                     " needs a start; say from when: valid_from");
  FINOPS_REQUIRE(!value.source.empty(), ErrorCode::InvalidArgument,
                 "a value needs a source: say who measured it and how");
  require_text("source", value.source, kLongestLineageText);
  require_text("who", value.who, kLongestLineageText);
}

}  // namespace finops
