// lineage.cpp - names of kinds, and the ids of nodes.
#include "finops/record/lineage.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <utility>

#include "finops/base/error.hpp"
#include "record/content_suffix.hpp"
#include "record/name_table.hpp"
#include "record/utf8.hpp"

namespace finops {
namespace {

constexpr NameTable<NodeKind, kNodeKindCount> kNodeKinds{{{NodeKind::Project, "project"},
                                                          {NodeKind::Experiment, "experiment"},
                                                          {NodeKind::Run, "run"},
                                                          {NodeKind::Attempt, "attempt"},
                                                          {NodeKind::Dataset, "dataset"},
                                                          {NodeKind::Job, "job"},
                                                          {NodeKind::Checkpoint, "checkpoint"},
                                                          {NodeKind::Model, "model"},
                                                          {NodeKind::Endpoint, "endpoint"}}};
constexpr NameTable<EdgeKind, 6> kEdgeKinds{{{EdgeKind::NestedIn, "nested_in"},
                                             {EdgeKind::ForkedFrom, "forked_from"},
                                             {EdgeKind::RetriedAs, "retried_as"},
                                             {EdgeKind::Read, "read"},
                                             {EdgeKind::Produced, "produced"},
                                             {EdgeKind::DeployedAs, "deployed_as"}}};
constexpr NameTable<ValuePeriod, 4> kValuePeriods{{{ValuePeriod::Once, "once"},
                                                   {ValuePeriod::Month, "month"},
                                                   {ValuePeriod::Quarter, "quarter"},
                                                   {ValuePeriod::Year, "year"}}};
constexpr std::array<std::string_view, 8> kNodeStatuses{
    "RUNNING", "FINISHED", "FAILED", "KILLED", "PAUSED", "PREEMPTED", "ACTIVE", "RETIRED"};

constexpr std::string_view kMeteredCost = "/metered/";

bool is_hexadecimal(char c) { return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F'); }

void append_escaped(std::string& target, std::string_view bytes) {
  for (const char c : bytes) {
    std::array<char, 4> buffer{};
    std::snprintf(buffer.data(), buffer.size(), "%%%02X",
                  static_cast<unsigned>(static_cast<unsigned char>(c)));
    target += buffer.data();
  }
}

// `text` so that make_node_id takes it; `separator` (0: none) is escaped too. What looks like an
// escape is escaped itself, so that two texts never give one.
std::string escaped(std::string_view text, char separator) {
  std::string result;
  for (std::size_t position = 0; position < text.size();) {
    const std::size_t start = position;
    const std::uint32_t code_point = next_code_point(text, position);
    const std::string_view bytes = text.substr(start, position - start);
    const bool is_end = start == 0 || position == text.size();
    const bool looks_escaped = code_point == '%' && text.size() - position >= 2 &&
                               is_hexadecimal(text[position]) && is_hexadecimal(text[position + 1]);
    const bool is_separator = separator != 0 && bytes.front() == separator;
    if (code_point == kInvalidCodePoint || is_unprintable(code_point) || looks_escaped ||
        is_separator || (is_end && is_blank(code_point))) {
      append_escaped(result, bytes);
    } else {
      result += bytes;
    }
  }
  return result;
}

// An id of any name that a ledger holds.
NodeId ledger_node_id(NodeKind kind, std::string name) {
  const std::size_t longest = kLongestNodeId - node_kind_name(kind).size() - 1;
  if (name.size() > longest) {
    const std::string suffix = "~" + content_suffix(name);
    std::size_t end = longest - suffix.size();
    while (end > 0 && (static_cast<unsigned char>(name[end]) & 0xC0U) == 0x80) {
      --end;  // not in the middle of a character
    }
    name = name.substr(0, end) + suffix;
  }
  return make_node_id(kind, name);
}

}  // namespace

std::string_view node_kind_name(NodeKind kind) noexcept { return name_of(kNodeKinds, kind); }
NodeKind parse_node_kind(std::string_view name) {
  return value_of(kNodeKinds, name, "kind of node");
}
std::string_view edge_kind_name(EdgeKind kind) noexcept { return name_of(kEdgeKinds, kind); }
EdgeKind parse_edge_kind(std::string_view name) {
  return value_of(kEdgeKinds, name, "kind of edge");
}
std::string_view value_period_name(ValuePeriod period) noexcept {
  return name_of(kValuePeriods, period);
}
ValuePeriod parse_value_period(std::string_view name) {
  return value_of(kValuePeriods, name, "period of a value");
}
bool is_node_status(std::string_view status) noexcept {
  return std::ranges::find(kNodeStatuses, status) != kNodeStatuses.end();
}

NodeId make_node_id(NodeKind kind, std::string_view name) {
  const std::string_view kind_name = node_kind_name(kind);
  require_name("a node's name", name, kLongestNodeId - kind_name.size() - 1);
  return NodeId{std::string(kind_name) + ":" + std::string(name)};
}

NodeId parse_node_id(std::string_view text) {
  const std::size_t colon = text.find(':');
  FINOPS_REQUIRE(colon != std::string_view::npos, ErrorCode::InvalidArgument,
                 "not a node: '" + shown(text) +
                     "'; write its kind, a colon and its name, such as model:resnet-v2");
  return make_node_id(parse_node_kind(shown(text.substr(0, colon))), text.substr(colon + 1));
}

NodeId parse_node_id_or(NodeKind default_kind, std::string_view text) {
  const std::string_view prefix = text.substr(0, text.find(':'));
  const bool has_kind =
      prefix.size() < text.size() &&
      std::ranges::any_of(kNodeKinds, [&](const auto& known) { return known.second == prefix; });
  return has_kind ? parse_node_id(text) : make_node_id(default_kind, text);
}

NodeKind node_kind(const NodeId& node_id) {
  const std::string_view text = node_id.str();
  return parse_node_kind(text.substr(0, text.find(':')));
}

std::string_view node_name(const NodeId& node_id) {
  const std::string_view text = node_id.str();
  return text.substr(text.find(':') + 1);
}

NodeId project_node_id(std::string_view project) {
  return ledger_node_id(NodeKind::Project, escaped(project, 0));
}

NodeId experiment_node_id(std::string_view project, std::string_view experiment) {
  return ledger_node_id(NodeKind::Experiment, escaped(project, '/') + "/" + escaped(experiment, 0));
}

NodeId run_node_id(const RunId& run_id) {
  return ledger_node_id(NodeKind::Run, escaped(run_id.str(), 0));
}

NodeId attempt_node_id(const AttemptId& attempt_id) {
  return make_node_id(NodeKind::Attempt, attempt_id.str());
}

NodeId checkpoint_node_id(const AttemptId& attempt_id, std::int64_t sequence) {
  return make_node_id(NodeKind::Checkpoint, attempt_id.str() + "/" + std::to_string(sequence));
}

EventId metered_cost_id(const AttemptId& attempt_id, Currency currency) {
  return EventId{attempt_id.str() + std::string(kMeteredCost) + currency.str()};
}

EventId growing_cost_id(const AttemptId& attempt_id, Currency currency, UtcTime until) {
  return EventId{metered_cost_id(attempt_id, currency).str() + "@" +
                 std::to_string(until.time_since_epoch().count())};
}

bool is_growing_cost(const EventId& event_id) {
  const std::string& text = event_id.str();
  const std::size_t found = text.rfind(kMeteredCost);
  return found != std::string::npos && found > 0 && text.find('@', found) != std::string::npos;
}

bool subject_needs_object(EdgeKind kind) noexcept {
  return kind == EdgeKind::ForkedFrom || kind == EdgeKind::Read;
}

std::string sentence(const LineageEdge& edge) {
  return edge.subject.str() + " " + std::string(edge_kind_name(edge.kind)) + " " +
         edge.object.str();
}

}  // namespace finops
