// lineage_reader.hpp - all that a genealogy is built from, as the ledger has it at a time.
//
// Owns: LineageReader. Does not own: the snapshot that it reads in (sqlite_lineage.cpp).
// Invariants: the ledger's own work comes first, in the order of its runs, then what people
// recorded; a node or a sentence comes once; the work is linear in the ledger's size.
#pragma once

#include <string>
#include <unordered_set>

#include "finops/record/lineage.hpp"
#include "ledger/database.hpp"

namespace finops::ledger {

/// An attempt, for the one after it: those of one run are read in their order.
struct ReadAttempt {
  AttemptId attempt_id;
  std::string host;
  UtcTime ended_at = UtcTime::max();  ///< as of the time that is asked for
  NodeId checkpoint_id;               ///< its newest one, or that of one before it; empty: none
  UtcTime confirmed_at{};
};

/// Reads once: make a new one for another time.
class LineageReader {
 public:
  LineageReader(Database& database, UtcTime as_of) : database_(database), as_of_(as_of) {}

  LineageRecords read() {
    read_own_work();
    own_node_count_ = records_.nodes.size();
    own_edge_count_ = records_.edges.size();
    read_recorded();
    return std::move(records_);
  }

 private:
  // lineage_reader_own.cpp
  void read_own_work();
  void read_runs();
  void add_experiment(const std::string& project, const std::string& experiment, UtcTime at);
  void read_attempts();
  UtcTime add_attempt_node(const RunId& run_id, Statement& row, ReadAttempt& attempt);
  void add_attempt_status(Statement& row, UtcTime started_at, ReadAttempt& attempt);
  void add_retry(const ReadAttempt& before, const ReadAttempt& attempt, UtcTime started_at);
  void read_checkpoints();
  void read_metered_costs();
  void read_other_costs();
  void read_unpriced();

  // lineage_reader_recorded.cpp
  void read_recorded();
  void read_recorded_nodes();
  void read_recorded_edges();
  void read_recorded_costs();
  void read_recorded_statuses();
  void read_uses();
  void read_values();

  void add_node(const NodeId& node_id, UtcTime created_at) {
    records_.nodes.emplace_back();
    records_.nodes.back().node_id = node_id;
    records_.nodes.back().created_at = created_at;
  }
  void add_edge(NodeId subject, EdgeKind kind, NodeId object, UtcTime at,
                std::optional<std::int64_t> step = std::nullopt) {
    records_.edges.push_back({std::move(subject), kind, std::move(object), step, at});
  }

  Database& database_;
  UtcTime as_of_;
  LineageRecords records_;
  std::size_t own_node_count_ = 0;
  std::size_t own_edge_count_ = 0;
  std::unordered_set<NodeId> experiments_;  // and projects
};

}  // namespace finops::ledger
