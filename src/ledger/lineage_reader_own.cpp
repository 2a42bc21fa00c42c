// lineage_reader_own.cpp - runs, attempts and checkpoints of a ledger as nodes, sentences and cost.
#include <algorithm>
#include <cctype>

#include "ledger/forks.hpp"
#include "ledger/lineage_reader.hpp"

// Of the charges: what somebody used, as it was metered. Use below zero can only be a correction.
#define FINOPS_METERED_USE                                                        \
  "basis = 'METERED' AND charge_category = 'Usage' AND charge_class IS NULL AND " \
  "billed_cost_units >= 0 AND billed_cost_picos >= 0"

namespace finops::ledger {
namespace {

// No scheduler hands in a word of its own yet: a stop that says so in its reason is believed.
bool says_preempted(std::string reason) {
  std::ranges::transform(reason, reason.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return reason.find("preempt") != std::string::npos;
}

// Tags become attributes where they are a JSON object that can be kept; bad tags stop nobody.
std::string attributes_of(const std::string& tags) {
  if (tags == "{}") {
    return tags;
  }
  try {
    return canonical_attributes(tags);
  } catch (const Error&) {
    return "{}";
  }
}

}  // namespace

void LineageReader::read_own_work() {
  read_runs();
  read_attempts();
  read_checkpoints();
  read_metered_costs();
  read_unpriced();
}

void LineageReader::add_experiment(const std::string& project, const std::string& experiment,
                                   UtcTime at) {
  const NodeId experiment_id = experiment_node_id(project, experiment);
  if (!experiments_.insert(experiment_id).second) {
    return;
  }
  const NodeId project_id = project_node_id(project);
  if (experiments_.insert(project_id).second) {
    add_node(project_id, at);
  }
  add_node(experiment_id, at);
  add_edge(experiment_id, EdgeKind::NestedIn, project_id, at);
}

void LineageReader::read_runs() {
  Statement rows = database_.prepare(
      "SELECT r.run_id, r.project, r.experiment, r.name, r.user_name, r.tags, r.created_at_ns, "
      "r.parent_run_id, CASE WHEN " FINOPS_FORKED
      " THEN r.fork_of END, p.project, p.experiment FROM runs r LEFT JOIN runs p "
      "ON p.run_id = r.parent_run_id WHERE r.created_at_ns < ? ORDER BY r.rowid");
  rows << as_of_;
  while (rows.step()) {
    const NodeId node_id = run_node_id(RunId{rows.text()});
    const std::string project = rows.text();
    const std::string experiment = rows.text();
    LineageNode node;
    node.node_id = node_id;
    node.label = rows.text();
    node.user_name = rows.text();
    node.attributes = attributes_of(rows.text());
    node.created_at = rows.utc();
    const UtcTime at = node.created_at;
    const std::string parent = rows.text();
    const std::string fork_of = rows.text();
    const std::string parent_project = rows.text();
    const std::string parent_experiment = rows.text();
    add_experiment(project, experiment, at);
    records_.nodes.push_back(std::move(node));
    // A part of a sweep is in its experiment by the sweep, unless that is another's.
    if (parent.empty() || parent_project != project || parent_experiment != experiment) {
      add_edge(node_id, EdgeKind::NestedIn, experiment_node_id(project, experiment), at);
    }
    if (!parent.empty()) {
      add_edge(node_id, EdgeKind::NestedIn, run_node_id(RunId{parent}), at);
    }
    if (!fork_of.empty()) {
      add_edge(node_id, EdgeKind::ForkedFrom, run_node_id(RunId{fork_of}), at);
    }
  }
}

// Reads status, reason and end of an attempt, of which NULL and an end to come mean that it runs.
void LineageReader::add_attempt_status(Statement& row, UtcTime started_at, ReadAttempt& attempt) {
  NodeStatus status;
  status.node_id = attempt_node_id(attempt.attempt_id);
  status.status = "RUNNING";
  status.recorded_at = started_at;
  const bool has_ended = !row.next_is_null();
  const std::string name = row.text();
  const std::string reason = row.text();
  const UtcTime ended_at = row.utc();
  if (has_ended && ended_at < as_of_) {
    status.status = name == "KILLED" && says_preempted(reason) ? "PREEMPTED" : name;
    status.why = reason;
    status.recorded_at = ended_at;
    attempt.ended_at = ended_at;
  }
  records_.statuses.push_back(std::move(status));
}

// One after the other: one the retry of the other, from its newest checkpoint if there is one. Two
// that ran at once on two hosts, in a merged ledger, have nothing to do with each other.
void LineageReader::add_retry(const ReadAttempt& before, const ReadAttempt& attempt,
                              UtcTime started_at) {
  if (before.attempt_id.empty() || (before.host != attempt.host && before.ended_at > started_at)) {
    return;
  }
  const NodeId node_id = attempt_node_id(attempt.attempt_id);
  add_edge(attempt_node_id(before.attempt_id), EdgeKind::RetriedAs, node_id, started_at);
  if (!before.checkpoint_id.empty() && before.confirmed_at <= started_at) {
    add_edge(node_id, EdgeKind::Read, before.checkpoint_id, started_at);
  }
}

// Gives back when it started.
UtcTime LineageReader::add_attempt_node(const RunId& run_id, Statement& row, ReadAttempt& attempt) {
  LineageNode node;
  node.node_id = attempt_node_id(attempt.attempt_id);
  const std::string number = std::to_string(row.integer());
  attempt.host = row.text();
  node.cluster = attempt.host;
  node.created_at = row.utc();
  const std::string run_name = row.text();
  node.label = run_name.empty() ? "" : run_name + " #" + number;
  node.user_name = row.text();
  const UtcTime started_at = node.created_at;
  add_edge(node.node_id, EdgeKind::NestedIn, run_node_id(run_id), started_at);
  records_.nodes.push_back(std::move(node));
  return started_at;
}

void LineageReader::read_attempts() {
  Statement rows = database_.prepare(
      "SELECT a.attempt_id, a.run_id, a.attempt_number, a.host, a.started_utc_ns, r.name, "
      "r.user_name, c.sequence, c.confirmed_at_ns, e.status, e.reason, e.ended_at_ns "
      "FROM attempts a JOIN runs r USING (run_id) LEFT JOIN attempt_ends e USING (attempt_id) "
      "LEFT JOIN checkpoints c ON c.attempt_id = a.attempt_id AND c.sequence = (SELECT "
      "max(sequence) FROM checkpoints n WHERE n.attempt_id = a.attempt_id AND "
      "n.confirmed_at_ns < ?1) "
      "WHERE a.started_utc_ns < ?1 ORDER BY a.run_id, a.attempt_number");
  rows << as_of_;
  RunId run_id;
  ReadAttempt before;
  NodeStatus run_status;  // that of its last attempt, and RUNNING while any of them runs
  const auto end_run = [&] {
    if (!run_id.empty()) {
      records_.statuses.push_back(run_status);
    }
    before = {};
    run_status = {};
  };
  while (rows.step()) {
    ReadAttempt attempt;
    attempt.attempt_id = AttemptId{rows.text()};
    if (RunId next{rows.text()}; next != run_id) {
      end_run();
      run_id = std::move(next);
    }
    const UtcTime started_at = add_attempt_node(run_id, rows, attempt);
    attempt.checkpoint_id = before.checkpoint_id;
    attempt.confirmed_at = before.confirmed_at;
    if (!rows.next_is_null()) {
      attempt.checkpoint_id = checkpoint_node_id(attempt.attempt_id, rows.integer());
      attempt.confirmed_at = rows.utc();
    } else {
      rows.skip(2);
    }
    add_retry(before, attempt, started_at);
    add_attempt_status(rows, started_at, attempt);
    if (run_status.status != "RUNNING") {
      run_status = records_.statuses.back();
      run_status.node_id = run_node_id(run_id);
    }
    before = std::move(attempt);
  }
  end_run();
}

void LineageReader::read_checkpoints() {
  Statement rows = database_.prepare(
      "SELECT attempt_id, sequence, step, path, confirmed_at_ns FROM checkpoints "
      "WHERE confirmed_at_ns < ? ORDER BY rowid");
  rows << as_of_;
  while (rows.step()) {
    const AttemptId attempt_id{rows.text()};
    const NodeId node_id = checkpoint_node_id(attempt_id, rows.integer());
    const std::int64_t step = rows.integer();
    LineageNode node;
    node.node_id = node_id;
    node.label = rows.text();
    node.created_at = rows.utc();
    add_edge(attempt_node_id(attempt_id), EdgeKind::Produced, node_id, node.created_at, step);
    records_.nodes.push_back(std::move(node));
  }
}

// Use is one cost of each currency; all else, a correction above all, is a cost by itself, so that
// what use cost stands once it is settled.
void LineageReader::read_metered_costs() {
  // Units and picos apart, in steps of a million, as the view report_attempt_costs.
  Statement rows = database_.prepare(
      "SELECT attempt_id, currency, min(charge_period_start_ns), max(charge_period_end_ns), "
      "sum(billed_cost_units) + (sum(billed_cost_picos / 1000000) + "
      "sum(billed_cost_picos % 1000000) / 1000000) / 1000000, "
      "((sum(billed_cost_picos / 1000000) + sum(billed_cost_picos % 1000000) / 1000000) % 1000000) "
      "* 1000000 + sum(billed_cost_picos % 1000000) % 1000000, "
      "coalesce((SELECT state = 'SETTLED' FROM accounts a WHERE a.attempt_id = c.attempt_id), 0) "
      "AND NOT EXISTS (SELECT 1 FROM charges l WHERE l.attempt_id = c.attempt_id "
      "AND " FINOPS_METERED_USE
      " AND l.charge_period_end_ns > ?1) "
      "FROM charges c WHERE " FINOPS_METERED_USE
      " AND attempt_id IS NOT NULL AND charge_period_end_ns <= ?1 GROUP BY attempt_id, currency");
  rows << as_of_;
  while (rows.step()) {
    const AttemptId attempt_id{rows.text()};
    const Currency currency(rows.text());
    LineageCost cost{.event_id = {}, .node_id = attempt_node_id(attempt_id)};
    cost.charge_period_start = rows.utc();
    cost.charge_period_end = rows.utc();
    cost.billed_cost = rows.money(currency);
    cost.event_id = rows.boolean() ? metered_cost_id(attempt_id, currency)
                                   : growing_cost_id(attempt_id, currency, cost.charge_period_end);
    records_.costs.push_back(std::move(cost));
  }
  read_other_costs();
}

void LineageReader::read_other_costs() {
  Statement rows = database_.prepare(
      "SELECT event_id, attempt_id, charge_category, charge_class IS NOT NULL, "
      "charge_period_start_ns, charge_period_end_ns, currency, billed_cost_units, "
      "billed_cost_picos FROM charges WHERE basis = 'METERED' AND NOT (" FINOPS_METERED_USE
      ") AND attempt_id IS NOT NULL AND charge_period_end_ns <= ? ORDER BY rowid");
  rows << as_of_;
  while (rows.step()) {
    LineageCost cost{.event_id = EventId{rows.text()}, .node_id = {}};
    cost.node_id = attempt_node_id(AttemptId{rows.text()});
    cost.charge_category = parse_charge_category(rows.text());
    const bool is_correction = rows.boolean();
    cost.charge_period_start = rows.utc();
    cost.charge_period_end = rows.utc();
    cost.billed_cost = rows.money(Currency(rows.text()));
    cost.is_correction = is_correction || cost.billed_cost.is_negative();
    records_.costs.push_back(std::move(cost));
  }
}

void LineageReader::read_unpriced() {
  Statement rows = database_.prepare(
      "SELECT a.attempt_id FROM attempts a JOIN accounts c USING (attempt_id) LEFT JOIN "
      "attempt_prices l USING (attempt_id) WHERE a.price_id IS NULL AND l.price_id IS NULL AND "
      "a.started_utc_ns < ? AND (c.settled_ns > 0 OR c.state <> 'SETTLED') ORDER BY a.rowid");
  rows << as_of_;
  while (rows.step()) {
    records_.unpriced.push_back(attempt_node_id(AttemptId{rows.text()}));
  }
}

}  // namespace finops::ledger
