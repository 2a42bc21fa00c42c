// lineage_reader_recorded.cpp - what people recorded, beside the ledger's own work.
#include <unordered_map>

#include "ledger/lineage_reader.hpp"

namespace finops::ledger {
namespace {

// Our own writes keep ids so; whoever changed one passed the triggers.
NodeId node_id_of(Statement& row) {
  const std::string text = row.text();
  try {
    return parse_node_id(text);
  } catch (const Error& error) {
    detail::throw_error(
        ErrorCode::LedgerCorrupt,
        std::string("the lineage in the ledger was changed by something else than finops: ") +
            error.what());
  }
}

}  // namespace

void LineageReader::read_recorded() {
  read_recorded_nodes();
  read_recorded_edges();
  read_recorded_costs();
  read_recorded_statuses();
  read_uses();
  read_values();
}

// Of a project or experiment somebody may say more than a ledger knows, of a run's parts not.
void LineageReader::read_recorded_nodes() {
  std::unordered_map<NodeId, std::size_t> own;
  Statement rows = database_.prepare(
      "SELECT node_id, label, user_name, cluster, attributes, created_at_ns FROM lineage_nodes "
      "WHERE created_at_ns < ? ORDER BY rowid");
  rows << as_of_;
  while (rows.step()) {
    if (own.empty()) {  // most ledgers have none recorded
      for (std::size_t i = 0; i < own_node_count_; ++i) {
        own.emplace(records_.nodes[i].node_id, i);
      }
    }
    LineageNode node;
    node.node_id = node_id_of(rows);
    node.label = rows.text();
    node.user_name = rows.text();
    node.cluster = rows.text();
    node.attributes = rows.text();
    node.created_at = rows.utc();
    const auto known = own.find(node.node_id);
    if (known == own.end()) {
      records_.nodes.push_back(std::move(node));
    } else if (experiments_.contains(node.node_id)) {
      records_.nodes[known->second] = std::move(node);
    }
  }
}

// A sentence that the ledger says by itself comes once; its step may be what was recorded.
void LineageReader::read_recorded_edges() {
  const auto key_of = [](const LineageEdge& edge) {
    return edge.subject.str() + '\n' + std::string(edge_kind_name(edge.kind)) + '\n' +
           edge.object.str();  // no name has a line break
  };
  std::unordered_map<std::string, std::size_t> own;
  Statement rows = database_.prepare(
      "SELECT subject, kind, object, step, recorded_at_ns FROM lineage_edges WHERE "
      "recorded_at_ns < ? ORDER BY edge_number");
  rows << as_of_;
  while (rows.step()) {
    if (own.empty()) {
      for (std::size_t i = 0; i < own_edge_count_; ++i) {
        own.emplace(key_of(records_.edges[i]), i);
      }
    }
    LineageEdge edge;
    edge.subject = node_id_of(rows);
    edge.kind = parse_edge_kind(rows.text());
    edge.object = node_id_of(rows);
    edge.step = rows.optional_integer();
    edge.recorded_at = rows.utc();
    const auto known = own.find(key_of(edge));
    if (known == own.end()) {
      records_.edges.push_back(std::move(edge));
    } else if (!records_.edges[known->second].step.has_value()) {
      records_.edges[known->second].step = edge.step;
    }
  }
}

void LineageReader::read_recorded_costs() {
  Statement rows = database_.prepare(
      "SELECT event_id, node_id, charge_category, charge_class, currency, billed_cost_units, "
      "billed_cost_picos, charge_period_start_ns, charge_period_end_ns FROM lineage_costs WHERE "
      "charge_period_end_ns <= ? ORDER BY rowid");
  rows << as_of_;
  while (rows.step()) {
    LineageCost cost;
    cost.event_id = EventId{rows.text()};
    cost.node_id = node_id_of(rows);
    cost.charge_category = parse_charge_category(rows.text());
    cost.is_correction = rows.text() == "Correction";
    const Currency currency(rows.text());
    cost.billed_cost = rows.money(currency);
    cost.charge_period_start = rows.utc();
    cost.charge_period_end = rows.utc();
    records_.costs.push_back(std::move(cost));
  }
}

void LineageReader::read_recorded_statuses() {
  Statement rows = database_.prepare(
      "SELECT node_id, status, who, why, recorded_at_ns FROM node_statuses WHERE "
      "recorded_at_ns < ? ORDER BY status_number");
  rows << as_of_;
  while (rows.step()) {
    NodeStatus status;
    status.node_id = node_id_of(rows);
    status.status = rows.text();
    status.who = rows.text();
    status.why = rows.text();
    status.recorded_at = rows.utc();
    records_.statuses.push_back(std::move(status));
  }
}

void LineageReader::read_uses() {
  Statement rows = database_.prepare(
      "SELECT event_id, node_id, quantity, unit, recorded_at_ns FROM node_uses WHERE "
      "recorded_at_ns < ? ORDER BY rowid");
  rows << as_of_;
  while (rows.step()) {
    NodeUse use;
    use.event_id = EventId{rows.text()};
    use.node_id = node_id_of(rows);
    use.quantity = rows.integer();
    use.unit = rows.text();
    use.recorded_at = rows.utc();
    records_.uses.push_back(std::move(use));
  }
}

void LineageReader::read_values() {
  Statement rows = database_.prepare(
      "SELECT value_id, node_id, currency, amount_units, amount_picos, period, valid_from_ns, "
      "valid_to_ns, source, who, recorded_at_ns FROM business_values WHERE recorded_at_ns < ? "
      "ORDER BY rowid");
  rows << as_of_;
  while (rows.step()) {
    BusinessValue value;
    value.value_id = EventId{rows.text()};
    value.node_id = node_id_of(rows);
    const Currency currency(rows.text());
    value.amount = rows.money(currency);
    value.period = parse_value_period(rows.text());
    value.valid_from = rows.utc();
    value.valid_to = rows.utc();
    value.source = rows.text();
    value.who = rows.text();
    value.recorded_at = rows.utc();
    records_.values.push_back(std::move(value));
  }
}

}  // namespace finops::ledger
