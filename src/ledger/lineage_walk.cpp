// lineage_walk.cpp - a breadth-first walk from both ends of a new edge.
//
// Projects and experiments are left out: nobody needs them but one another, so that no cycle can
// pass through one. That an attempt read the checkpoint it went on from is left out too: it needs
// the attempt of that checkpoint by its retries already.
#include "ledger/lineage_walk.hpp"

#include <algorithm>
#include <unordered_map>

namespace finops::ledger {
namespace {

// `needs`: what a node needs. `needers`: who needs it.
enum class Way { Needs, Needers };

// An attempt is the retry of the one before it, unless both ran at once on two hosts.
#define FINOPS_RETRIED                                                                         \
  "attempts a JOIN attempts b ON b.run_id = a.run_id AND b.attempt_number = "                  \
  "a.attempt_number + 1 WHERE (a.host = b.host OR EXISTS (SELECT 1 FROM attempt_ends e WHERE " \
  "e.attempt_id = a.attempt_id AND e.ended_at_ns <= b.started_utc_ns)) AND "

constexpr Sql kRecordedNeeds =
    "SELECT object FROM lineage_edges WHERE subject=?1 AND kind IN ('forked_from', 'read') "
    "UNION ALL SELECT subject FROM lineage_edges WHERE object=?1 AND kind IN ('nested_in', "
    "'retried_as', 'produced', 'deployed_as')";
constexpr Sql kRecordedNeeders =
    "SELECT subject FROM lineage_edges WHERE object=?1 AND kind IN ('forked_from', 'read') "
    "UNION ALL SELECT object FROM lineage_edges WHERE subject=?1 AND kind IN ('nested_in', "
    "'retried_as', 'produced', 'deployed_as')";
constexpr Sql kRunNeeds =
    "SELECT 'attempt:' || attempt_id FROM attempts WHERE run_id=?1 UNION ALL "
    "SELECT 'run:' || run_id FROM runs WHERE parent_run_id=?1 UNION ALL "
    "SELECT 'run:' || fork_of FROM runs WHERE run_id=?1 AND fork_of IS NOT NULL";
constexpr Sql kRunNeeders =
    "SELECT 'run:' || parent_run_id FROM runs WHERE run_id=?1 AND parent_run_id IS NOT NULL "
    "UNION ALL SELECT 'run:' || run_id FROM runs WHERE fork_of=?1";
constexpr Sql kAttemptNeeds =
    "SELECT 'attempt:' || a.attempt_id FROM " FINOPS_RETRIED "b.attempt_id=?1";
constexpr Sql kAttemptNeeders =
    "SELECT 'run:' || run_id FROM attempts WHERE attempt_id=?1 UNION ALL "
    "SELECT 'attempt:' || b.attempt_id FROM " FINOPS_RETRIED
    "a.attempt_id=?1 UNION ALL "
    "SELECT 'checkpoint:' || attempt_id || '/' || sequence FROM checkpoints WHERE attempt_id=?1";
constexpr Sql kCheckpointNeeds = "SELECT 'attempt:' || attempt_id FROM attempts WHERE attempt_id=?";

#undef FINOPS_RETRIED

bool is_rooted(NodeKind kind) { return kind == NodeKind::Project || kind == NodeKind::Experiment; }

void collect(Database& database, Sql sql, std::string_view name, std::vector<NodeId>& found) {
  Statement rows = database.prepare(sql);
  rows << name;
  while (rows.step()) {
    NodeId node_id{rows.text()};
    if (!is_rooted(node_kind(node_id))) {
      found.push_back(std::move(node_id));
    }
  }
}

std::vector<NodeId> neighbours(Database& database, const NodeId& node_id, Way way) {
  const bool is_needs = way == Way::Needs;
  std::vector<NodeId> found;
  if (is_needs) {
    collect(database, kRecordedNeeds, node_id.str(), found);
  } else {
    collect(database, kRecordedNeeders, node_id.str(), found);
  }
  const std::string_view name = node_name(node_id);
  switch (node_kind(node_id)) {
    case NodeKind::Run:
      is_needs ? collect(database, kRunNeeds, name, found)
               : collect(database, kRunNeeders, name, found);
      break;
    case NodeKind::Attempt:
      is_needs ? collect(database, kAttemptNeeds, name, found)
               : collect(database, kAttemptNeeders, name, found);
      break;
    case NodeKind::Checkpoint:
      if (is_needs) {  // its name is attempt/sequence
        collect(database, kCheckpointNeeds, name.substr(0, name.rfind('/')), found);
      }
      break;
    default: break;
  }
  return found;
}

// One end of the walk: what it has reached, and from where.
class Side {
 public:
  Side(Database& database, const NodeId& start, Way way) : database_(database), way_(way) {
    reach(start, NodeId{});
  }

  [[nodiscard]] bool is_exhausted() const { return next_ == order_.size(); }
  [[nodiscard]] std::size_t size() const { return order_.size(); }
  [[nodiscard]] bool contains(const NodeId& node_id) const { return from_.contains(node_id); }

  /// Visits one node's neighbours; gives back one that `other` has reached as well, or nothing.
  [[nodiscard]] std::optional<NodeId> expand(const Side& other) {
    const NodeId node_id = order_[next_++];
    for (const NodeId& neighbour : neighbours(database_, node_id, way_)) {
      reach(neighbour, node_id);
      if (other.contains(neighbour)) {
        return neighbour;
      }
    }
    return std::nullopt;
  }

  /// From `node_id` back to the start, both included.
  [[nodiscard]] std::vector<NodeId> way_back(NodeId node_id) const {
    std::vector<NodeId> path;
    while (!node_id.empty()) {
      path.push_back(node_id);
      node_id = from_.at(node_id);
    }
    return path;
  }

 private:
  void reach(const NodeId& node_id, const NodeId& from) {
    if (from_.emplace(node_id, from).second) {
      order_.push_back(node_id);
    }
  }

  Database& database_;
  Way way_;
  std::unordered_map<NodeId, NodeId> from_;
  std::vector<NodeId> order_;
  std::size_t next_ = 0;
};

// From `needed` to `taker` along what each needs, both included; empty: there is no such way.
std::vector<NodeId> find_path(Database& database, const NodeId& needed, const NodeId& taker) {
  Side down(database, needed, Way::Needs);
  Side up(database, taker, Way::Needers);
  while (!down.is_exhausted() && !up.is_exhausted()) {
    // The smaller side goes first: new nodes, which most edges have, are known at once.
    const bool goes_down = down.size() < up.size();
    const std::optional<NodeId> meeting = goes_down ? down.expand(up) : up.expand(down);
    if (meeting.has_value()) {
      std::vector<NodeId> path = down.way_back(*meeting);
      std::reverse(path.begin(), path.end());
      const std::vector<NodeId> rest = up.way_back(*meeting);
      path.insert(path.end(), rest.begin() + 1, rest.end());
      return path;
    }
  }
  return {};
}

// What people mean where a cycle comes out is mostly a new version under the old one's name.
std::string next_step(const std::vector<NodeId>& path) {
  for (const NodeId& node_id : path) {
    const NodeKind kind = node_kind(node_id);
    if (kind == NodeKind::Model || kind == NodeKind::Dataset || kind == NodeKind::Endpoint) {
      return "give the new version a name of its own, such as " + node_id.str() + "@2";
    }
  }
  return "leave out the sentence that is wrong";
}

// A cycle may be as long as the ledger: its middle is left out.
constexpr std::size_t kLongestPathShown = 20;

}  // namespace

void require_no_cycle(Database& database, const LineageEdge& edge) {
  const bool is_subject = subject_needs_object(edge.kind);
  const NodeId& taker = is_subject ? edge.subject : edge.object;
  const NodeId& needed = is_subject ? edge.object : edge.subject;
  if (is_rooted(node_kind(taker))) {
    return;
  }
  const std::vector<NodeId> path = find_path(database, needed, taker);
  if (path.empty()) {
    return;
  }
  std::string words = taker.str();
  for (std::size_t i = 0; i < path.size(); ++i) {
    if (i == kLongestPathShown && path.size() > 2 * kLongestPathShown) {
      words += ", ... (" + std::to_string(path.size() - 2 * kLongestPathShown) + " more)";
      i = path.size() - kLongestPathShown;
    }
    words += " needs " + path[i].str() + (i + 1 < path.size() ? ", which" : "");
  }
  detail::throw_error(ErrorCode::InvalidArgument,
                      "'" + sentence(edge) + "' closes a cycle: " + words + "; " + next_step(path));
}

}  // namespace finops::ledger
