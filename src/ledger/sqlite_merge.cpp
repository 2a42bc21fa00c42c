// sqlite_merge.cpp - brings the runs of another ledger file in, and writes files to be brought in.
//
// The other file is attached read-only, and everything is copied by SQL in one transaction. Journal
// rows are never changed, so that the same row twice is the same row; an id with other content is
// refused before anything is written.
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "finops/base/private_file.hpp"
#include "ledger/audit.hpp"
#include "ledger/forks.hpp"
#include "ledger/lineage_walk.hpp"
#include "ledger/schema.hpp"
#include "ledger/sqlite_ledger.hpp"

namespace finops::ledger {
namespace {

// As a URI: what has a meaning of its own there is escaped.
std::string read_only_uri(const std::string& path) {
  std::string uri = "file:";
  for (const char c : path) {
    if (c == '%' || c == '?' || c == '#') {
      constexpr std::string_view kDigits = "0123456789ABCDEF";
      uri += '%';
      uri += kDigits[static_cast<unsigned char>(c) >> 4U];
      uri += kDigits[static_cast<unsigned char>(c) & 15U];
    } else {
      uri += c;
    }
  }
  return uri + "?mode=ro";
}

// Which attempts are taken: those of other hosts. An attempt of this ledger's own is its own word.
constexpr Sql kTaken =
    "CREATE TEMP TABLE taken AS SELECT attempt_id FROM other.attempts WHERE attempt_id NOT IN "
    "(SELECT attempt_id FROM main.attempts) OR attempt_id IN (SELECT attempt_id FROM "
    "main.merged_attempts)";

// What must not differ, by id: (what, its id, SQL that gives the ids which differ).
struct Check {
  const char* what;
  Sql sql;
};
constexpr std::array<Check, 12> kChecks{{
    {"run",
     "SELECT o.run_id FROM other.runs o JOIN main.runs m USING (run_id) WHERE "
     "(o.project, o.experiment) <> (m.project, m.experiment)"},
    {"price",
     "SELECT o.price_id FROM other.prices o JOIN main.prices m USING (price_id) WHERE (o.currency, "
     "o.list_unit_price_units, o.list_unit_price_picos) <> (m.currency, m.list_unit_price_units, "
     "m.list_unit_price_picos)"},
    {"attempt",
     "SELECT o.attempt_id FROM other.attempts o JOIN main.attempts m USING (attempt_id) WHERE "
     "(o.run_id, o.host, o.boot_id, o.pid, o.start_ticks) <> (m.run_id, m.host, m.boot_id, m.pid, "
     "m.start_ticks)"},
    {"usage of attempt",
     "SELECT attempt_id FROM (SELECT o.* FROM other.usage o JOIN main.usage m USING (attempt_id, "
     "sequence) EXCEPT SELECT * FROM main.usage)"},
    {"charge",
     "SELECT event_id FROM (SELECT o.* FROM other.charges o JOIN main.charges m USING (event_id) "
     "EXCEPT SELECT * FROM main.charges)"},
    {"forecast",
     "SELECT event_id FROM (SELECT o.* FROM other.forecasts o JOIN main.forecasts m USING "
     "(event_id) EXCEPT SELECT * FROM main.forecasts)"},
    {"node",
     "SELECT o.node_id FROM other.lineage_nodes o JOIN main.lineage_nodes m USING (node_id) WHERE "
     "(o.label, o.user_name, o.cluster, o.attributes, o.created_at_ns) <> (m.label, m.user_name, "
     "m.cluster, m.attributes, m.created_at_ns)"},
    {"the edge",
     "SELECT o.subject || ' ' || o.kind || ' ' || o.object FROM other.lineage_edges o JOIN "
     "main.lineage_edges m USING (subject, kind, object) WHERE o.step <> m.step"},
    {"cost",
     "SELECT event_id FROM (SELECT o.* FROM other.lineage_costs o JOIN main.lineage_costs m USING "
     "(event_id) EXCEPT SELECT * FROM main.lineage_costs)"},
    {"the status of",
     "SELECT o.node_id FROM other.node_statuses o JOIN main.node_statuses m USING (node_id, "
     "status, recorded_at_ns) WHERE (o.who, o.why) <> (m.who, m.why)"},
    {"use",
     "SELECT o.event_id FROM other.node_uses o JOIN main.node_uses m USING (event_id) WHERE "
     "(o.node_id, o.quantity, o.unit) <> (m.node_id, m.quantity, m.unit)"},
    {"value",
     "SELECT o.value_id FROM other.business_values o JOIN main.business_values m USING (value_id) "
     "WHERE (o.node_id, o.currency, o.amount_units, o.amount_picos, o.period, o.valid_from_ns, "
     "o.valid_to_ns, o.source, o.who) <> (m.node_id, m.currency, m.amount_units, m.amount_picos, "
     "m.period, m.valid_from_ns, m.valid_to_ns, m.source, m.who)"},
}};

#define FINOPS_TAKEN "WHERE attempt_id IN (SELECT attempt_id FROM taken) "

// The journal tables that hang on an attempt, in an order that keeps their own.
constexpr std::array<Sql, 7> kOfAttempts{
    "INSERT INTO attempt_prices SELECT * FROM other.attempt_prices " FINOPS_TAKEN
    "ON CONFLICT DO NOTHING",
    "INSERT INTO attempt_ends SELECT * FROM other.attempt_ends " FINOPS_TAKEN
    "ON CONFLICT DO NOTHING",
    "INSERT INTO settlements SELECT * FROM other.settlements " FINOPS_TAKEN
    "ON CONFLICT DO NOTHING",
    "INSERT INTO checkpoints SELECT * FROM other.checkpoints o " FINOPS_TAKEN
    "ORDER BY o.rowid ON CONFLICT DO NOTHING",
    "INSERT INTO decisions SELECT * FROM other.decisions o " FINOPS_TAKEN
    "ORDER BY o.rowid ON CONFLICT DO NOTHING",
    "INSERT INTO telemetry SELECT * FROM other.telemetry " FINOPS_TAKEN "ON CONFLICT DO NOTHING",
    "INSERT INTO prices SELECT * FROM other.prices WHERE true ON CONFLICT DO NOTHING"};

constexpr Sql kAttempts =
    "INSERT INTO attempts SELECT attempt_id, run_id, (SELECT coalesce(max(attempt_number), 0) FROM "
    "main.attempts m WHERE m.run_id = o.run_id) + row_number() OVER (PARTITION BY run_id ORDER BY "
    "started_utc_ns, attempt_id), host, boot_id, pid, start_ticks, entry_point, command, resource, "
    "price_id, used_micro_gpus, block_micro_gpus, is_long_running, long_running_reason, "
    "started_utc_ns, started_boot_ns, started_monotonic_ns FROM other.attempts o " FINOPS_TAKEN
    "AND attempt_id NOT IN (SELECT attempt_id FROM main.attempts)";

// Budgets stay where they are, so that a merged attempt holds nothing here.
constexpr Sql kAccounts =
    "INSERT INTO accounts SELECT attempt_id, state, epoch, settled_ns, usage_count, NULL, NULL, "
    "charged_units, charged_picos, is_exhausted FROM other.accounts " FINOPS_TAKEN
    "ON CONFLICT (attempt_id) DO UPDATE SET state=excluded.state, epoch=excluded.epoch, "
    "settled_ns=excluded.settled_ns, usage_count=excluded.usage_count, "
    "charged_units=excluded.charged_units, charged_picos=excluded.charged_picos, "
    "is_exhausted=excluded.is_exhausted WHERE excluded.epoch > accounts.epoch";

// Of every run, since a forecast may have been made before any attempt.
constexpr Sql kForecasts =
    "INSERT INTO forecasts SELECT * FROM other.forecasts o WHERE attempt_id IS NULL OR attempt_id "
    "IN (SELECT attempt_id FROM taken) ORDER BY o.rowid ON CONFLICT DO NOTHING";

// What people recorded. The edges come last: those that are new here are asked for cycles.
constexpr std::array<Sql, 6> kLineage{
    "INSERT INTO lineage_nodes SELECT * FROM other.lineage_nodes o WHERE true ORDER BY o.rowid "
    "ON CONFLICT DO NOTHING",
    "INSERT INTO lineage_costs SELECT * FROM other.lineage_costs o WHERE true ORDER BY o.rowid "
    "ON CONFLICT DO NOTHING",
    "INSERT INTO node_statuses (node_id, status, who, why, recorded_at_ns) SELECT node_id, status, "
    "who, why, recorded_at_ns FROM other.node_statuses WHERE true ORDER BY status_number "
    "ON CONFLICT DO NOTHING",
    "INSERT INTO node_uses SELECT * FROM other.node_uses o WHERE true ORDER BY o.rowid "
    "ON CONFLICT DO NOTHING",
    "INSERT INTO business_values SELECT * FROM other.business_values o WHERE true ORDER BY o.rowid "
    "ON CONFLICT DO NOTHING",
    "INSERT INTO lineage_edges (subject, kind, object, step, recorded_at_ns) SELECT subject, kind, "
    "object, step, recorded_at_ns FROM other.lineage_edges WHERE true ORDER BY edge_number "
    "ON CONFLICT DO NOTHING"};

// Cost that one ledger meters and the other was told of would count twice.
constexpr Sql kMeteredAndRecorded =
    "SELECT c.event_id FROM main.runs r JOIN main.lineage_costs c ON c.node_id = 'run:' || "
    "r.run_id "
    "UNION ALL SELECT c.event_id FROM main.attempts a JOIN main.lineage_costs c ON c.node_id = "
    "'attempt:' || a.attempt_id LIMIT 1";

// What the new runs are nested in and forked from is asked for cycles too.
constexpr std::array<Sql, 2> kSentencesOfRuns{
    "SELECT 'run:' || r.run_id, 'nested_in', 'run:' || r.parent_run_id FROM main.runs r WHERE "
    "r.rowid > ? AND r.parent_run_id IS NOT NULL",
    "SELECT 'run:' || r.run_id, 'forked_from', 'run:' || r.fork_of FROM main.runs r WHERE "
    "r.rowid > ? AND " FINOPS_FORKED};

void collect_edges(Statement& rows, std::vector<LineageEdge>& edges) {
  while (rows.step()) {
    LineageEdge& edge = edges.emplace_back();
    edge.subject = NodeId{rows.text()};
    edge.kind = parse_edge_kind(rows.text());
    edge.object = NodeId{rows.text()};
  }
}

}  // namespace

std::int64_t SqliteLedger::insert_missing(Sql sql) {
  Statement insert = database_->prepare(sql);
  insert.run();
  return database_->changes();
}

void SqliteLedger::refuse_other_content() {
  for (const Check& check : kChecks) {
    Statement differs = database_->prepare(check.sql);
    if (differs.step()) {
      detail::throw_error(ErrorCode::Conflict, std::string(check.what) + " " + differs.text() +
                                                   " is something else in the other ledger; "
                                                   "nothing was merged");
    }
  }
}

std::int64_t SqliteLedger::merge_lineage(std::int64_t last_run) {
  const std::int64_t last_edge =
      database_->count("SELECT coalesce(max(edge_number), 0) FROM main.lineage_edges");
  std::int64_t count = 0;
  for (const Sql& sql : kLineage) {
    count += insert_missing(sql);
  }
  {
    Statement twice = database_->prepare(kMeteredAndRecorded);
    if (twice.step()) {
      detail::throw_error(ErrorCode::Conflict,
                          "cost " + twice.text() +
                              " was recorded in one ledger for work that the other one meters: it "
                              "would count twice; nothing was merged");
    }
  }
  std::vector<LineageEdge> edges;
  for (const Sql& sql : kSentencesOfRuns) {
    Statement rows = database_->prepare(sql);
    rows << last_run;
    collect_edges(rows, edges);
  }
  Statement recorded = database_->prepare(
      "SELECT subject, kind, object FROM main.lineage_edges WHERE edge_number > ?");
  recorded << last_edge;
  collect_edges(recorded, edges);
  require_no_cycles(*database_, edges);
  return count;
}

MergeReport SqliteLedger::merge_attached(const std::string& origin, UtcTime now) {
  MergeReport report;
  refuse_other_content();
  const std::int64_t last_run = database_->count("SELECT coalesce(max(rowid), 0) FROM main.runs");
  report.run_count = insert_missing(
      "INSERT INTO runs SELECT * FROM other.runs o WHERE true ORDER BY o.rowid "
      "ON CONFLICT DO NOTHING");
  report.other_count = insert_missing(kOfAttempts.back());  // prices first: attempts name them
  report.attempt_count = insert_missing(kAttempts);
  {
    Statement mark = database_->prepare(
        "INSERT INTO merged_attempts SELECT attempt_id, ?, ? FROM taken WHERE true ON CONFLICT DO "
        "NOTHING");
    mark << origin << now;
    mark.run();
  }
  report.usage_count = insert_missing("INSERT INTO usage SELECT * FROM other.usage " FINOPS_TAKEN
                                      "ON CONFLICT DO NOTHING");
  report.charge_count = insert_missing(
      "INSERT INTO charges SELECT * FROM other.charges o WHERE attempt_id IS NULL OR "
      "attempt_id IN (SELECT attempt_id FROM taken) ORDER BY o.rowid ON CONFLICT DO "
      "NOTHING");
  for (std::size_t i = 0; i + 1 < kOfAttempts.size(); ++i) {
    report.other_count += insert_missing(kOfAttempts.at(i));
  }
  insert_missing(kAccounts);
  report.other_count += insert_missing(kForecasts);
  report.other_count += merge_lineage(last_run);
  chain_missing(*database_, AuditOrigin::Merged);  // of what is chained: decisions and lineage
  return report;
}

MergeReport SqliteLedger::merge(const std::string& other_path, UtcTime now) {
  const Use use(*this);
  {
    // Opened once as a ledger: it says by itself what is wrong with a file that is none.
    const SqliteLedger other(other_path, {.read_only = true});
  }
  MergeReport report;
  // SQL that names the attached file must be forgotten before it goes: a connection of its own.
  SqliteLedger own(path_, options_);
  {
    Statement attach = own.database_->prepare("ATTACH ? AS other");
    attach << read_only_uri(other_path);
    attach.run();
  }
  own.write([&] {
    own.database_->execute(kTaken);
    report = own.merge_attached(other_path, now);
  });
  return report;
}

void SqliteLedger::copy_to(const std::string& path) {
  const Use use(*this);
  // SQLite takes an empty file as a new one, and would make one that others can read.
  const PrivateFile file = open_private_file(path, O_CREAT | O_EXCL | O_RDWR);
  FINOPS_REQUIRE(file.is_open() || file.error_number != EEXIST, ErrorCode::InvalidArgument,
                 path + " exists; give the name of a new file");
  FINOPS_REQUIRE(file.is_open(), ErrorCode::LedgerUnavailable, "cannot make the copy " + file.why);
  ::close(file.descriptor);
  Statement copy = database_->prepare("VACUUM INTO ?");
  copy << path;
  copy.run();
}

}  // namespace finops::ledger
