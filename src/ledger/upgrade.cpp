// upgrade.cpp - from schema 1 to 2: budgets with terms, periods and parents; notices; telemetry.
// From 2 to 3: the audit chain. From 3 to 4: what came from what. From 4 to 5: forecasts.
//
// A new file is made as version 1 and upgraded, so that an upgraded ledger is the same as a new
// one.
#include <array>

#include "ledger/schema.hpp"

namespace finops::ledger {
namespace {

constexpr Sql kNewJournal = R"sql(
ALTER TABLE budget_lines ADD COLUMN period_start_ns INTEGER NOT NULL DEFAULT 0;
ALTER TABLE budget_requests ADD COLUMN expires_at_ns INTEGER NOT NULL DEFAULT 0;
ALTER TABLE budget_rulings ADD COLUMN outcome TEXT NOT NULL DEFAULT '';
ALTER TABLE decisions ADD COLUMN is_dry_run INTEGER NOT NULL DEFAULT 0;
CREATE TABLE budget_terms (
  budget_id TEXT NOT NULL REFERENCES budgets (budget_id), sequence INTEGER NOT NULL,
  limit_units INTEGER NOT NULL CHECK (limit_units >= 0),
  limit_picos INTEGER NOT NULL CHECK (limit_picos BETWEEN 0 AND 999999999999),
  burn_cap_units INTEGER, burn_cap_picos INTEGER, max_duration_ns INTEGER NOT NULL,
  warning_percents TEXT NOT NULL, approvers TEXT NOT NULL, who TEXT NOT NULL, why TEXT NOT NULL,
  recorded_at_ns INTEGER NOT NULL, PRIMARY KEY (budget_id, sequence)) STRICT, WITHOUT ROWID;
CREATE TABLE budget_parents (
  child_id TEXT NOT NULL, sequence INTEGER NOT NULL, parent_id TEXT NOT NULL, who TEXT NOT NULL,
  recorded_at_ns INTEGER NOT NULL, PRIMARY KEY (child_id, sequence)) STRICT, WITHOUT ROWID;
CREATE TABLE notices (
  number INTEGER PRIMARY KEY, notice_id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, budget_id TEXT,
  attempt_id TEXT, text TEXT NOT NULL, recorded_at_ns INTEGER NOT NULL) STRICT;
CREATE TABLE notice_deliveries (
  channel TEXT NOT NULL, sequence INTEGER NOT NULL, first_number INTEGER NOT NULL,
  last_number INTEGER NOT NULL, state TEXT NOT NULL CHECK (state IN ('SENDING', 'SENT', 'FAILED')),
  detail TEXT NOT NULL, recorded_at_ns INTEGER NOT NULL,
  PRIMARY KEY (channel, sequence)) STRICT, WITHOUT ROWID;
CREATE TABLE telemetry (
  attempt_id TEXT NOT NULL REFERENCES attempts (attempt_id), window_start_ns INTEGER NOT NULL,
  metric TEXT NOT NULL, device TEXT NOT NULL, sample_count INTEGER NOT NULL,
  minimum REAL NOT NULL, mean REAL NOT NULL, maximum REAL NOT NULL,
  PRIMARY KEY (attempt_id, window_start_ns, metric, device)) STRICT, WITHOUT ROWID;
CREATE TABLE merged_attempts (
  attempt_id TEXT PRIMARY KEY REFERENCES attempts (attempt_id), origin TEXT NOT NULL,
  merged_at_ns INTEGER NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO budget_terms SELECT budget_id, 1, limit_units, limit_picos, NULL, NULL, 0, '50,80,95',
  '', created_by, 'created', created_at_ns FROM budgets JOIN budget_balances USING (budget_id);
)sql";

constexpr std::array<const char*, 6> kNewTables{"budget_terms", "budget_parents",
                                                "notices",      "notice_deliveries",
                                                "telemetry",    "merged_attempts"};

// Balances get a row for each window; holds say what each attempt holds of each budget. The views
// show periods, dry runs and notices.
constexpr Sql kNewCaches = R"sql(
DROP VIEW report_budgets;
ALTER TABLE budget_balances RENAME TO old_balances;
CREATE TABLE budget_balances (
  budget_id TEXT NOT NULL REFERENCES budgets (budget_id), period_start_ns INTEGER NOT NULL,
  limit_units INTEGER NOT NULL, limit_picos INTEGER NOT NULL,
  available_units INTEGER NOT NULL CHECK (available_units >= 0),
  available_picos INTEGER NOT NULL CHECK (available_picos BETWEEN 0 AND 999999999999),
  held_units INTEGER NOT NULL CHECK (held_units >= 0),
  held_picos INTEGER NOT NULL CHECK (held_picos BETWEEN 0 AND 999999999999),
  spent_units INTEGER NOT NULL CHECK (spent_units >= 0),
  spent_picos INTEGER NOT NULL CHECK (spent_picos BETWEEN 0 AND 999999999999),
  overspent_units INTEGER NOT NULL CHECK (overspent_units >= 0),
  overspent_picos INTEGER NOT NULL CHECK (overspent_picos BETWEEN 0 AND 999999999999),
  CHECK ((spent_units + held_units + available_units - overspent_units - limit_units)
           BETWEEN -5 AND 5
         AND (spent_units + held_units + available_units - overspent_units - limit_units)
           * 1000000000000
           + spent_picos + held_picos + available_picos - overspent_picos - limit_picos = 0),
  PRIMARY KEY (budget_id, period_start_ns)) STRICT, WITHOUT ROWID;
INSERT INTO budget_balances SELECT budget_id, 0, limit_units, limit_picos, available_units,
  available_picos, held_units, held_picos, spent_units, spent_picos, overspent_units,
  overspent_picos FROM old_balances;
DROP TABLE old_balances;
CREATE TABLE holds (
  attempt_id TEXT NOT NULL REFERENCES attempts (attempt_id),
  budget_id TEXT NOT NULL REFERENCES budgets (budget_id), period_start_ns INTEGER NOT NULL,
  held_units INTEGER NOT NULL CHECK (held_units >= 0),
  held_picos INTEGER NOT NULL CHECK (held_picos BETWEEN 0 AND 999999999999),
  PRIMARY KEY (attempt_id, budget_id, period_start_ns)) STRICT, WITHOUT ROWID;
INSERT INTO holds SELECT attempt_id, budget_id, 0, held_units, held_picos
  FROM accounts JOIN attempt_budgets USING (attempt_id) WHERE (held_units > 0 OR held_picos > 0);
CREATE VIEW report_budgets AS
SELECT b.budget_id, b.period, b.currency, b.is_hard,
  strftime('%Y-%m-%dT%H:%M:%SZ', nullif(period_start_ns, 0) / 1000000000, 'unixepoch')
    AS period_start,
  printf('%d.%012d', limit_units, limit_picos) AS budget_limit,
  printf('%d.%012d', spent_units, spent_picos) AS spent,
  printf('%d.%012d', held_units, held_picos) AS held,
  printf('%d.%012d', available_units, available_picos) AS available,
  printf('%d.%012d', overspent_units, overspent_picos) AS overspent
FROM budgets b JOIN budget_balances USING (budget_id);
DROP VIEW report_decisions;
CREATE VIEW report_decisions AS
SELECT strftime('%Y-%m-%dT%H:%M:%SZ', d.decided_at_ns / 1000000000, 'unixepoch') AS decided_at,
  r.project, r.experiment, r.name, a.run_id, d.attempt_id, d.directive, d.rule, d.rung, d.reason,
  d.decided_by, d.is_dry_run
FROM decisions d JOIN attempts a USING (attempt_id) JOIN runs r USING (run_id);
CREATE VIEW report_notices AS
SELECT number, strftime('%Y-%m-%dT%H:%M:%SZ', recorded_at_ns / 1000000000, 'unixepoch')
  AS recorded_at, kind, budget_id, attempt_id, text FROM notices;
)sql";

constexpr Sql kAuditChain = R"sql(
CREATE TABLE audit_chain (
  sequence INTEGER PRIMARY KEY, kind TEXT NOT NULL, record_id TEXT NOT NULL,
  origin TEXT NOT NULL CHECK (origin IN ('WRITTEN', 'UPGRADED', 'MERGED')),
  previous_hash TEXT NOT NULL, hash TEXT NOT NULL, UNIQUE (kind, record_id)) STRICT;
)sql";

// Recorded lineage only: nesting, forks, retries and metered cost of runs are read from their own
// tables. Edges and statuses have a number, since the audit chain names records by key and number.
constexpr Sql kLineage = R"sql(
CREATE TABLE lineage_nodes (
  node_id TEXT PRIMARY KEY, label TEXT NOT NULL, user_name TEXT NOT NULL, cluster TEXT NOT NULL,
  attributes TEXT NOT NULL, created_at_ns INTEGER NOT NULL) STRICT;
CREATE TABLE lineage_edges (
  edge_number INTEGER PRIMARY KEY, subject TEXT NOT NULL, kind TEXT NOT NULL, object TEXT NOT NULL,
  step INTEGER CHECK (step >= 0), recorded_at_ns INTEGER NOT NULL,
  UNIQUE (subject, kind, object)) STRICT;
CREATE INDEX lineage_edges_by_object ON lineage_edges (object, kind);
CREATE TABLE lineage_costs (
  event_id TEXT PRIMARY KEY, node_id TEXT NOT NULL, charge_category TEXT NOT NULL,
  charge_class TEXT CHECK (charge_class = 'Correction'), currency TEXT NOT NULL,
  billed_cost_units INTEGER NOT NULL,
  billed_cost_picos INTEGER NOT NULL CHECK (abs(billed_cost_picos) <= 999999999999),
  charge_period_start_ns INTEGER NOT NULL, charge_period_end_ns INTEGER NOT NULL,
  CHECK (sign(billed_cost_units) * sign(billed_cost_picos) >= 0)) STRICT;
CREATE INDEX lineage_costs_by_node ON lineage_costs (node_id);
CREATE TABLE node_statuses (
  status_number INTEGER PRIMARY KEY, node_id TEXT NOT NULL, status TEXT NOT NULL,
  who TEXT NOT NULL, why TEXT NOT NULL, recorded_at_ns INTEGER NOT NULL,
  UNIQUE (node_id, status, recorded_at_ns)) STRICT;
CREATE TABLE node_uses (
  event_id TEXT PRIMARY KEY, node_id TEXT NOT NULL,
  quantity INTEGER NOT NULL CHECK (quantity >= 0), unit TEXT NOT NULL,
  recorded_at_ns INTEGER NOT NULL) STRICT;
CREATE TABLE business_values (
  value_id TEXT PRIMARY KEY, node_id TEXT NOT NULL, currency TEXT NOT NULL,
  amount_units INTEGER NOT NULL,
  amount_picos INTEGER NOT NULL CHECK (abs(amount_picos) <= 999999999999),
  period TEXT NOT NULL, valid_from_ns INTEGER NOT NULL, valid_to_ns INTEGER NOT NULL,
  source TEXT NOT NULL CHECK (source <> ''), who TEXT NOT NULL, recorded_at_ns INTEGER NOT NULL,
  CHECK (sign(amount_units) * sign(amount_picos) >= 0)) STRICT;
CREATE INDEX runs_by_parent ON runs (parent_run_id) WHERE parent_run_id IS NOT NULL;
CREATE INDEX runs_by_fork ON runs (fork_of) WHERE fork_of IS NOT NULL;
CREATE VIEW report_lineage AS
SELECT subject, kind, object, step,
  strftime('%Y-%m-%dT%H:%M:%SZ', nullif(recorded_at_ns, 0) / 1000000000, 'unixepoch')
    AS recorded_at FROM lineage_edges;
)sql";

constexpr std::array<const char*, 6> kLineageTables{"lineage_nodes", "lineage_edges",
                                                    "lineage_costs", "node_statuses",
                                                    "node_uses",     "business_values"};

// Use is no money: GPU-seconds are REAL. The limits of a forecast are checked here too, so that
// `PRAGMA integrity_check` finds what was written past them.
constexpr Sql kForecasts = R"sql(
CREATE TABLE forecasts (
  event_id TEXT PRIMARY KEY, run_id TEXT NOT NULL REFERENCES runs (run_id),
  attempt_id TEXT REFERENCES attempts (attempt_id),
  kind TEXT NOT NULL CHECK (kind IN ('submitted', 'refreshed')),
  made_at_ns INTEGER NOT NULL CHECK (made_at_ns > 0),
  p10_gpu_seconds REAL NOT NULL CHECK (p10_gpu_seconds >= 0),
  p50_gpu_seconds REAL NOT NULL CHECK (p50_gpu_seconds >= p10_gpu_seconds),
  p90_gpu_seconds REAL NOT NULL CHECK (p90_gpu_seconds BETWEEN p50_gpu_seconds AND 1e16),
  mean_gpu_seconds REAL NOT NULL CHECK (mean_gpu_seconds BETWEEN 0 AND 1e16),
  gpu_count INTEGER NOT NULL CHECK (gpu_count > 0),
  elapsed_gpu_seconds REAL NOT NULL CHECK (elapsed_gpu_seconds BETWEEN 0 AND 1e16),
  ended_job_count INTEGER NOT NULL CHECK (ended_job_count >= 0), model_id TEXT NOT NULL,
  price_id TEXT, currency TEXT, p10_cost_units INTEGER, p10_cost_picos INTEGER,
  p50_cost_units INTEGER, p50_cost_picos INTEGER, p90_cost_units INTEGER, p90_cost_picos INTEGER,
  mean_cost_units INTEGER, mean_cost_picos INTEGER, user_name TEXT NOT NULL,
  group_name TEXT NOT NULL, experiment TEXT NOT NULL, name TEXT NOT NULL, queue TEXT NOT NULL,
  gpu_model TEXT NOT NULL, node_count INTEGER NOT NULL CHECK (node_count >= 0),
  requested_seconds INTEGER CHECK (requested_seconds >= 0),
  planned_steps INTEGER CHECK (planned_steps >= 0),
  CHECK ((price_id IS NULL) + (currency IS NULL) + (p10_cost_units IS NULL)
         + (p10_cost_picos IS NULL) + (p50_cost_units IS NULL) + (p50_cost_picos IS NULL)
         + (p90_cost_units IS NULL) + (p90_cost_picos IS NULL) + (mean_cost_units IS NULL)
         + (mean_cost_picos IS NULL) IN (0, 10)),
  CHECK (p10_cost_picos BETWEEN 0 AND 999999999999 AND p50_cost_picos BETWEEN 0 AND 999999999999
         AND p90_cost_picos BETWEEN 0 AND 999999999999
         AND mean_cost_picos BETWEEN 0 AND 999999999999),
  CHECK (p10_cost_units >= 0 AND mean_cost_units >= 0
         AND (p10_cost_units, p10_cost_picos) <= (p50_cost_units, p50_cost_picos)
         AND (p50_cost_units, p50_cost_picos) <= (p90_cost_units, p90_cost_picos))) STRICT;
CREATE INDEX forecasts_by_run ON forecasts (run_id);
CREATE VIEW report_forecasts AS
SELECT strftime('%Y-%m-%dT%H:%M:%SZ', f.made_at_ns / 1000000000, 'unixepoch') AS made_at, f.kind,
  r.project, r.experiment, r.name, f.run_id, f.attempt_id, f.gpu_count, f.p10_gpu_seconds,
  f.p50_gpu_seconds, f.p90_gpu_seconds, f.mean_gpu_seconds, f.elapsed_gpu_seconds,
  (SELECT sum(c.settled_ns / 1e9 * CASE WHEN p.gpu_count > 0
      THEN 1.0 * coalesce(l.used_micro_gpus, a.used_micro_gpus) * p.gpu_count
        / coalesce(l.block_micro_gpus, a.block_micro_gpus)
      ELSE (SELECT g.gpu_count FROM forecasts g WHERE g.run_id = f.run_id
        ORDER BY g.kind = 'submitted' DESC, g.made_at_ns, g.event_id LIMIT 1) END)
    FROM attempts a JOIN accounts c USING (attempt_id) LEFT JOIN attempt_prices l USING (attempt_id)
      LEFT JOIN prices p ON p.price_id = coalesce(l.price_id, a.price_id)
    WHERE a.run_id = f.run_id) AS used_gpu_seconds,
  CASE WHEN EXISTS (SELECT 1 FROM attempts a LEFT JOIN attempt_ends e USING (attempt_id)
      WHERE a.run_id = f.run_id AND e.status IS NULL) THEN 'RUNNING'
    ELSE (SELECT e.status FROM attempts a JOIN attempt_ends e USING (attempt_id)
      WHERE a.run_id = f.run_id ORDER BY a.attempt_number DESC LIMIT 1) END AS status,
  CASE WHEN f.currency IS NOT NULL THEN printf('%d.%012d', f.p50_cost_units, f.p50_cost_picos) END
    AS p50_cost, f.currency,
  f.ended_job_count, f.model_id
FROM forecasts f JOIN runs r USING (run_id);
)sql";

}  // namespace

void upgrade_schema_to_2(Database& database) {
  database.execute(kNewJournal);
  database.execute(kNewCaches);
  for (const char* table : kNewTables) {
    make_append_only(database, table);
  }
  database.execute("PRAGMA user_version=2");
}

void upgrade_schema_to_3(Database& database) {
  database.execute(kAuditChain);
  make_append_only(database, "audit_chain");
  database.execute("PRAGMA user_version=3");
}

void upgrade_schema_to_4(Database& database) {
  database.execute(kLineage);
  for (const char* table : kLineageTables) {
    make_append_only(database, table);
  }
  database.execute("PRAGMA user_version=4");
}

void upgrade_schema_to_5(Database& database) {
  database.execute(kForecasts);
  make_append_only(database, "forecasts");
  database.execute("PRAGMA user_version=5");
}

}  // namespace finops::ledger
