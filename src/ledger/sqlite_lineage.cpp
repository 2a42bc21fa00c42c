// sqlite_lineage.cpp - records what came from what, and reads it in one snapshot.
//
// Each record is inserted unless its key is known; a known one must have equal content. The time of
// recording is no content, but part of a status's key: who says a thing again says it later. What
// is new is linked into the audit chain.
#include "ledger/audit.hpp"
#include "ledger/lineage_reader.hpp"
#include "ledger/lineage_walk.hpp"
#include "ledger/sqlite_ledger.hpp"

namespace finops::ledger {
namespace {

Statement& bind_step(Statement& statement, const std::optional<std::int64_t>& step) {
  return step.has_value() ? statement << *step : statement.bind_text_or_null("");
}

Statement& bind_cost(Statement& statement, const LineageCost& cost) {
  statement << cost.event_id.str() << cost.node_id.str()
            << charge_category_name(cost.charge_category);
  statement.bind_text_or_null(cost.is_correction ? "Correction" : "");
  return statement << cost.billed_cost.currency().str() << cost.billed_cost
                   << cost.charge_period_start << cost.charge_period_end;
}

Statement& bind_value(Statement& statement, const BusinessValue& value) {
  return statement << value.value_id.str() << value.node_id.str() << value.amount.currency().str()
                   << value.amount << value_period_name(value.period) << value.valid_from
                   << value.valid_to << value.source << value.who;
}

void require_recordable(const LineageRecords& records) {
  const auto require_all = [](const auto& list) {
    for (const auto& record : list) {
      require_valid(record);
    }
  };
  require_all(records.nodes);
  require_all(records.edges);
  require_all(records.costs);
  require_all(records.statuses);
  require_all(records.uses);
  require_all(records.values);
  for (const LineageEdge& edge : records.edges) {
    require_sensible(edge);
  }
  for (const LineageCost& cost : records.costs) {
    FINOPS_REQUIRE(!is_growing_cost(cost.event_id), ErrorCode::InvalidArgument,
                   cost.event_id.str() +
                       " is what an attempt cost so far: recorded here, it would count again when "
                       "more comes; record it once the attempt has ended, or bring its ledger in "
                       "with: finops ledger merge");
  }
  FINOPS_REQUIRE(records.unpriced.empty(), ErrorCode::InvalidArgument,
                 "work without a price (" + records.unpriced.front().str() +
                     ") cannot be recorded; bring its ledger in with: finops ledger merge");
}

std::int64_t last_number(Database& database) {
  return database.count("SELECT last_insert_rowid()");
}

}  // namespace

bool SqliteLedger::is_own_work(const NodeId& node_id) {
  const NodeKind kind = node_kind(node_id);
  if (kind != NodeKind::Run && kind != NodeKind::Attempt) {
    return false;
  }
  Statement known = kind == NodeKind::Run
                        ? database_->prepare("SELECT count(*) FROM runs WHERE run_id=?")
                        : database_->prepare("SELECT count(*) FROM attempts WHERE attempt_id=?");
  known << node_name(node_id);
  known.step();
  return known.integer() != 0;
}

void SqliteLedger::insert_node(const LineageNode& node) {
  FINOPS_REQUIRE(!is_own_work(node.node_id), ErrorCode::Conflict,
                 node.node_id.str() +
                     " is this ledger's own: its facts come from the run itself; "
                     "leave its node out");
  const std::string attributes = canonical_attributes(node.attributes);
  const auto bind = [&](Statement& statement) {
    statement << node.node_id.str() << node.label << node.user_name << node.cluster << attributes
              << node.created_at;
  };
  Statement insert = database_->prepare(
      "INSERT INTO lineage_nodes VALUES (?,?,?,?,?,?) ON CONFLICT (node_id) DO NOTHING");
  bind(insert);
  insert.run();
  if (database_->changes() == 1) {
    chain_record(*database_, AuditKind::Node, node.node_id.str());
    return;
  }
  Statement same = database_->prepare(
      "SELECT count(*) FROM lineage_nodes WHERE node_id=? AND label=? AND user_name=? AND "
      "cluster=? AND attributes=? AND created_at_ns=?");
  bind(same);
  require_known(same, "node " + node.node_id.str());
}

// Gives back whether it is new. Rows never change, so that the first step said of an edge stands.
bool SqliteLedger::insert_edge(const LineageEdge& edge) {
  Statement insert = database_->prepare(
      "INSERT INTO lineage_edges (subject, kind, object, step, recorded_at_ns) VALUES "
      "(?,?,?,?,?) ON CONFLICT (subject, kind, object) DO NOTHING");
  insert << edge.subject.str() << edge_kind_name(edge.kind) << edge.object.str();
  bind_step(insert, edge.step) << edge.recorded_at;
  insert.run();
  if (database_->changes() == 1) {
    chain_record(*database_, AuditKind::Edge, edge.subject.str(), last_number(*database_));
    return true;
  }
  Statement known = database_->prepare(
      "SELECT step FROM lineage_edges WHERE subject=? AND kind=? AND object=? AND step <> ?");
  known << edge.subject.str() << edge_kind_name(edge.kind) << edge.object.str();
  bind_step(known, edge.step);
  if (known.step()) {
    detail::throw_error(ErrorCode::Conflict, "'" + sentence(edge) + "' is recorded with step " +
                                                 std::to_string(known.integer()) + ", not " +
                                                 std::to_string(edge.step.value_or(0)) +
                                                 "; a sentence has one step, leave this one out");
  }
  return false;
}

void SqliteLedger::insert_cost(const LineageCost& cost) {
  FINOPS_REQUIRE(!is_own_work(cost.node_id), ErrorCode::Conflict,
                 cost.node_id.str() + " is metered by this ledger: cost " + cost.event_id.str() +
                     " would count it twice; hang other cost on a job that is nested in the run");
  Statement insert = database_->prepare(
      "INSERT INTO lineage_costs VALUES (?,?,?,?,?,?,?,?,?) ON CONFLICT (event_id) DO NOTHING");
  bind_cost(insert, cost);
  insert.run();
  if (database_->changes() == 1) {
    chain_record(*database_, AuditKind::Cost, cost.event_id.str());
    return;
  }
  Statement same = database_->prepare(
      "SELECT count(*) FROM lineage_costs WHERE event_id=? AND node_id=? AND charge_category=? AND "
      "charge_class IS ? AND currency=? AND billed_cost_units=? AND billed_cost_picos=? AND "
      "charge_period_start_ns=? AND charge_period_end_ns=?");
  bind_cost(same, cost);
  require_known(same, "cost " + cost.event_id.str());
}

void SqliteLedger::insert_status(const NodeStatus& status) {
  Statement insert = database_->prepare(
      "INSERT INTO node_statuses (node_id, status, who, why, recorded_at_ns) VALUES (?,?,?,?,?) "
      "ON CONFLICT (node_id, status, recorded_at_ns) DO NOTHING");
  insert << status.node_id.str() << status.status << status.who << status.why << status.recorded_at;
  insert.run();
  if (database_->changes() == 1) {
    chain_record(*database_, AuditKind::Status, status.node_id.str(), last_number(*database_));
    return;
  }
  Statement same = database_->prepare(
      "SELECT count(*) FROM node_statuses WHERE node_id=? AND status=? AND who=? AND why=? AND "
      "recorded_at_ns=?");
  same << status.node_id.str() << status.status << status.who << status.why << status.recorded_at;
  require_known(same, "status " + status.status + " of " + status.node_id.str());
}

void SqliteLedger::insert_use(const NodeUse& use) {
  const auto bind = [&use](Statement& statement) -> Statement& {
    return statement << use.event_id.str() << use.node_id.str() << use.quantity << use.unit;
  };
  Statement insert = database_->prepare(
      "INSERT INTO node_uses VALUES (?,?,?,?,?) ON CONFLICT (event_id) DO NOTHING");
  bind(insert) << use.recorded_at;
  insert.run();
  if (database_->changes() == 1) {
    chain_record(*database_, AuditKind::Use, use.event_id.str());
    return;
  }
  Statement same = database_->prepare(
      "SELECT count(*) FROM node_uses WHERE event_id=? AND node_id=? AND quantity=? AND unit=?");
  bind(same);
  require_known(same, "use " + use.event_id.str());
}

void SqliteLedger::insert_value(const BusinessValue& value) {
  Statement insert = database_->prepare(
      "INSERT INTO business_values VALUES (?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT (value_id) DO "
      "NOTHING");
  bind_value(insert, value) << value.recorded_at;
  insert.run();
  if (database_->changes() == 1) {
    chain_record(*database_, AuditKind::Value, value.value_id.str());
    return;
  }
  Statement same = database_->prepare(
      "SELECT count(*) FROM business_values WHERE value_id=? AND node_id=? AND currency=? AND "
      "amount_units=? AND amount_picos=? AND period=? AND valid_from_ns=? AND valid_to_ns=? AND "
      "source=? AND who=?");
  bind_value(same, value);
  require_known(same, "value " + value.value_id.str());
}

void SqliteLedger::add_lineage(const LineageRecords& records) {
  require_recordable(records);
  write([&] {
    for (const LineageNode& node : records.nodes) {
      insert_node(node);
    }
    std::vector<LineageEdge> new_edges;
    for (const LineageEdge& edge : records.edges) {
      if (insert_edge(edge)) {
        new_edges.push_back(edge);
      }
    }
    require_no_cycles(*database_, new_edges);
    for (const LineageCost& cost : records.costs) {
      insert_cost(cost);
    }
    for (const NodeStatus& status : records.statuses) {
      insert_status(status);
    }
    for (const NodeUse& use : records.uses) {
      insert_use(use);
    }
    for (const BusinessValue& value : records.values) {
      insert_value(value);
    }
  });
}

LineageRecords SqliteLedger::lineage(UtcTime as_of) {
  const Use use(*this);
  LineageReader reader(*database_, as_of);
  if (database_->is_in_transaction()) {  // inside of `together`
    return reader.read();
  }
  database_->execute("BEGIN");
  try {
    LineageRecords records = reader.read();
    database_->execute("COMMIT");
    return records;
  } catch (...) {
    database_->roll_back();
    throw;
  }
}

}  // namespace finops::ledger
