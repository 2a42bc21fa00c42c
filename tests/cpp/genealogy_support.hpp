// genealogy_support.hpp - records of a lineage, written as short as people say them.
//
// Owns: LineageBuilder and a few short forms. Does not own: what a test expects.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <ostream>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "finops/genealogy/genealogy.hpp"
#include "support.hpp"

namespace finops::genealogy {

// How GoogleTest shows it in a failure.
// NOLINTNEXTLINE(readability-identifier-naming): the name is GoogleTest's.
inline void PrintTo(const Refusal& refusal, std::ostream* out) {
  *out << refusal.position << ": " << refusal.record << ": " << refusal.reason;
}

}  // namespace finops::genealogy

namespace finops::testing {

/// `seconds` after noon of 12 May 2026.
inline UtcTime at(std::int64_t seconds) {
  return parse_utc("2026-05-12T12:00:00Z") + std::chrono::seconds{seconds};
}

inline NodeId id(std::string_view text) { return NodeId{std::string(text)}; }

/// Collects records. Event ids are counted up.
class LineageBuilder {
 public:
  LineageBuilder& node(std::string_view node_id, UtcTime created_at = {}) {
    records.nodes.push_back({.node_id = id(node_id), .created_at = created_at});
    return *this;
  }
  /// "run:a read dataset:d": ids without blanks.
  LineageBuilder& edge(const std::string& sentence, std::optional<std::int64_t> step = {},
                       UtcTime recorded_at = {}) {
    std::istringstream words(sentence);
    std::string subject;
    std::string verb;
    std::string object;
    words >> subject >> verb >> object;
    records.edges.push_back({.subject = id(subject),
                             .kind = parse_edge_kind(verb),
                             .object = id(object),
                             .step = step,
                             .recorded_at = recorded_at});
    return *this;
  }
  /// Below zero: a correction.
  LineageBuilder& cost(std::string_view node_id, std::string_view amount) {
    const Money billed_cost = Money::parse(amount);
    records.costs.push_back({.event_id = EventId{"event-" + std::to_string(++event_count_)},
                             .node_id = id(node_id),
                             .is_correction = billed_cost.is_negative(),
                             .billed_cost = billed_cost});
    return *this;
  }
  LineageBuilder& status(std::string_view node_id, std::string_view status,
                         UtcTime recorded_at = {}) {
    records.statuses.push_back({.node_id = id(node_id),
                                .status = std::string(status),
                                .who = {},
                                .why = {},
                                .recorded_at = recorded_at});
    return *this;
  }
  LineageBuilder& use(std::string_view node_id, std::int64_t quantity, std::string_view unit) {
    records.uses.push_back({.event_id = EventId{"use-" + std::to_string(++event_count_)},
                            .node_id = id(node_id),
                            .quantity = quantity,
                            .unit = std::string(unit)});
    return *this;
  }
  LineageBuilder& value(std::string_view node_id, std::string_view amount, ValuePeriod period,
                        UtcTime valid_from) {
    records.values.push_back({.value_id = EventId{"value-" + std::to_string(++event_count_)},
                              .node_id = id(node_id),
                              .amount = Money::parse(amount),
                              .period = period,
                              .valid_from = valid_from,
                              .source = "A/B test"});
    return *this;
  }
  LineageBuilder& unpriced(std::string_view node_id) {
    records.unpriced.push_back(id(node_id));
    return *this;
  }

  LineageRecords records;

 private:
  int event_count_ = 0;
};

/// A graph in USD of records, none of which is refused.
inline genealogy::Genealogy graph_of(const LineageRecords& records) {
  genealogy::Genealogy graph(Currency::usd());
  EXPECT_EQ(graph.add(records), std::vector<genealogy::Refusal>{});
  return graph;
}

inline std::vector<std::string> texts(const std::vector<NodeId>& ids) {
  std::vector<std::string> result;
  result.reserve(ids.size());
  for (const NodeId& node_id : ids) {
    result.push_back(node_id.str());
  }
  return result;
}

}  // namespace finops::testing
