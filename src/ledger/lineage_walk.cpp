// lineage_walk.cpp - a breadth-first walk from both ends of a new edge, or one look at all needs.
//
// The walk reads little of a large ledger, but all that hangs on one node, and so for each edge
// anew: many new edges around a sweep would cost the square. Past an allowance all is looked at
// once instead.
//
// Projects and experiments are left out: nobody needs them but one another, so that no cycle can
// pass through one. That an attempt read the checkpoint it went on from is left out too: it needs
// the attempt of that checkpoint by its retries already.
#include "ledger/lineage_walk.hpp"

#include <algorithm>
#include <cstdint>
#include <unordered_map>

#include "ledger/forks.hpp"
#include "ledger/needs_graph.hpp"

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
    "SELECT 'run:' || r.fork_of FROM runs r WHERE r.run_id=?1 AND " FINOPS_FORKED;
constexpr Sql kRunNeeders =
    "SELECT 'run:' || parent_run_id FROM runs WHERE run_id=?1 AND parent_run_id IS NOT NULL "
    "UNION ALL SELECT 'run:' || r.run_id FROM runs r WHERE r.fork_of=?1 AND " FINOPS_FORKED;
constexpr Sql kAttemptNeeds =
    "SELECT 'attempt:' || a.attempt_id FROM " FINOPS_RETRIED "b.attempt_id=?1";
constexpr Sql kAttemptNeeders =
    "SELECT 'run:' || run_id FROM attempts WHERE attempt_id=?1 UNION ALL "
    "SELECT 'attempt:' || b.attempt_id FROM " FINOPS_RETRIED
    "a.attempt_id=?1 UNION ALL "
    "SELECT 'checkpoint:' || attempt_id || '/' || sequence FROM checkpoints WHERE attempt_id=?1";
constexpr Sql kCheckpointNeeds = "SELECT 'attempt:' || attempt_id FROM attempts WHERE attempt_id=?";

// Who needs whom, all of it.
constexpr Sql kAllNeeds =
    "SELECT subject, object FROM lineage_edges WHERE kind IN ('forked_from', 'read') UNION ALL "
    "SELECT object, subject FROM lineage_edges WHERE kind IN ('nested_in', 'retried_as', "
    "'produced', 'deployed_as') UNION ALL "
    "SELECT 'run:' || run_id, 'attempt:' || attempt_id FROM attempts UNION ALL "
    "SELECT 'run:' || parent_run_id, 'run:' || run_id FROM runs WHERE parent_run_id IS NOT NULL "
    "UNION ALL SELECT 'run:' || r.run_id, 'run:' || r.fork_of FROM runs r WHERE " FINOPS_FORKED
    " UNION ALL SELECT 'attempt:' || b.attempt_id, 'attempt:' || "
    "a.attempt_id FROM " FINOPS_RETRIED "true";

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

  /// How much was read so far: nodes that were visited and what hung on them.
  [[nodiscard]] std::int64_t read_count() const { return read_count_; }

  [[nodiscard]] bool is_exhausted() const { return next_ == order_.size(); }
  [[nodiscard]] std::size_t size() const { return order_.size(); }
  [[nodiscard]] bool contains(const NodeId& node_id) const { return from_.contains(node_id); }

  /// Visits one node's neighbours; gives back one that `other` has reached as well, or nothing.
  [[nodiscard]] std::optional<NodeId> expand(const Side& other) {
    const NodeId node_id = order_[next_++];
    const std::vector<NodeId> found = neighbours(database_, node_id, way_);
    read_count_ += 1 + static_cast<std::int64_t>(found.size());
    for (const NodeId& neighbour : found) {
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
  std::int64_t read_count_ = 0;
};

struct Need {
  const NodeId& taker;
  const NodeId& needed;
};

Need need_of(const LineageEdge& edge) {
  return subject_needs_object(edge.kind) ? Need{edge.subject, edge.object}
                                         : Need{edge.object, edge.subject};
}

// From what is needed to the taker along what each needs, both included; empty: there is no such
// way, or more than `allowance` would be read, which it is lowered by and then below zero.
std::vector<NodeId> find_path(Database& database, const Need& need, std::int64_t& allowance) {
  Side down(database, need.needed, Way::Needs);
  Side up(database, need.taker, Way::Needers);
  const std::int64_t allowed = allowance;
  while (allowance >= 0 && !down.is_exhausted() && !up.is_exhausted()) {
    // The smaller side goes first: new nodes, which most edges have, are known at once.
    const bool goes_down = down.size() < up.size();
    const std::optional<NodeId> meeting = goes_down ? down.expand(up) : up.expand(down);
    allowance = allowed - down.read_count() - up.read_count();
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

// Rows and nodes that the walks of several edges may read together: about 0.1 s. One alone reads
// each at most once, and no ledger is read whole for it.
constexpr std::int64_t kAllowance = 50'000;
// A cycle may be as long as the ledger: its middle is left out.
constexpr std::size_t kLongestPathShown = 20;

[[noreturn]] void refuse(const LineageEdge& edge, const std::vector<NodeId>& path) {
  std::string words = need_of(edge).taker.str();
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

// Walks until there is a cycle, which is refused, all are seen, or the allowance is used up: gives
// back whether all were seen.
bool walk_each(Database& database, const std::vector<LineageEdge>& edges, std::int64_t allowance) {
  for (const LineageEdge& edge : edges) {
    const Need need = need_of(edge);
    if (is_rooted(node_kind(need.taker))) {
      continue;
    }
    if (const std::vector<NodeId> path = find_path(database, need, allowance); !path.empty()) {
      refuse(edge, path);
    }
    if (allowance < 0) {
      return false;
    }
  }
  return true;
}

void look_at_all(Database& database, const std::vector<LineageEdge>& edges) {
  NeedsGraph graph;
  // Checkpoints that nobody speaks of are in no cycle.
  const auto add_attempt_of = [&graph](const NodeId& node_id) {
    if (node_kind(node_id) == NodeKind::Checkpoint) {
      const std::string_view name = node_name(node_id);
      graph.add(node_id.str(), "attempt:" + std::string(name.substr(0, name.rfind('/'))));
    }
  };
  {
    Statement rows = database.prepare(kAllNeeds);
    while (rows.step()) {
      const NodeId taker{rows.text()};
      const NodeId needed{rows.text()};
      graph.add(taker.str(), needed.str());
      add_attempt_of(taker);
      add_attempt_of(needed);
    }
  }
  graph.find_cycles();
  std::vector<LineageEdge> suspects;
  for (const LineageEdge& edge : edges) {
    if (graph.is_in_one_cycle(edge.subject.str(), edge.object.str())) {
      suspects.push_back(edge);
    }
  }
  walk_each(database, suspects, INT64_MAX);  // it has the last word, and finds the path
}

}  // namespace

void require_no_cycles(Database& database, const std::vector<LineageEdge>& edges) {
  if (!walk_each(database, edges, edges.size() <= 1 ? INT64_MAX : kAllowance)) {
    look_at_all(database, edges);
  }
}

}  // namespace finops::ledger
