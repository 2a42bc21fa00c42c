// schema.cpp - the SQL of a ledger file, version 1; upgrade.cpp makes later ones of it.
//
// Money is two columns, units and picos (1e-12 of a unit), of one sign. Times are UTC in ns;
// spans count ns of CLOCK_BOOTTIME from an attempt's start.
#include "ledger/schema.hpp"

#include <algorithm>
#include <array>

#include "ledger/audit.hpp"

namespace finops::ledger {
namespace {

// In the order in which they refer to each other; the last fourteen came later.
constexpr std::array<const char*, 29> kJournalTables{
    "prices",          "runs",           "attempts",        "attempt_budgets",   "attempt_prices",
    "attempt_ends",    "settlements",    "usage",           "charges",           "checkpoints",
    "decisions",       "budgets",        "budget_lines",    "budget_requests",   "budget_rulings",
    "budget_terms",    "budget_parents", "notices",         "notice_deliveries", "telemetry",
    "merged_attempts", "audit_chain",    "lineage_nodes",   "lineage_edges",     "lineage_costs",
    "node_statuses",   "node_uses",      "business_values", "forecasts"};
constexpr std::size_t kVersion1Tables = 15;
constexpr std::array<const char*, 3> kCacheTables{"accounts", "budget_balances", "holds"};

constexpr Sql kJournal = R"sql(
CREATE TABLE prices (
  price_id TEXT PRIMARY KEY, sku_id TEXT NOT NULL, provider TEXT NOT NULL, region TEXT NOT NULL,
  zone TEXT NOT NULL, instance_type TEXT NOT NULL, gpu TEXT NOT NULL, gpu_count INTEGER NOT NULL,
  pricing_category TEXT NOT NULL, currency TEXT NOT NULL,
  list_unit_price_units INTEGER NOT NULL CHECK (list_unit_price_units >= 0),
  list_unit_price_picos INTEGER NOT NULL
    CHECK (list_unit_price_picos BETWEEN 0 AND 999999999999),
  valid_from_ns INTEGER NOT NULL, valid_to_ns INTEGER NOT NULL, source TEXT NOT NULL,
  source_date TEXT NOT NULL, is_user_set INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE runs (
  run_id TEXT PRIMARY KEY, project TEXT NOT NULL CHECK (project <> ''),
  experiment TEXT NOT NULL CHECK (experiment <> ''), name TEXT NOT NULL, user_name TEXT NOT NULL,
  parent_run_id TEXT, fork_of TEXT, tags TEXT NOT NULL, created_at_ns INTEGER NOT NULL) STRICT;
CREATE INDEX runs_by_experiment ON runs (project, experiment, name);
CREATE TABLE attempts (
  attempt_id TEXT PRIMARY KEY, run_id TEXT NOT NULL REFERENCES runs (run_id),
  attempt_number INTEGER NOT NULL, host TEXT NOT NULL, boot_id TEXT NOT NULL,
  pid INTEGER NOT NULL, start_ticks INTEGER NOT NULL, entry_point TEXT NOT NULL,
  command TEXT NOT NULL, resource TEXT NOT NULL, price_id TEXT REFERENCES prices (price_id),
  used_micro_gpus INTEGER NOT NULL CHECK (used_micro_gpus > 0),
  block_micro_gpus INTEGER NOT NULL CHECK (block_micro_gpus > 0),
  is_long_running INTEGER NOT NULL, long_running_reason TEXT NOT NULL,
  started_utc_ns INTEGER NOT NULL, started_boot_ns INTEGER NOT NULL,
  started_monotonic_ns INTEGER NOT NULL, UNIQUE (run_id, attempt_number)) STRICT;
CREATE TABLE attempt_prices (
  attempt_id TEXT PRIMARY KEY REFERENCES attempts (attempt_id),
  price_id TEXT NOT NULL REFERENCES prices (price_id),
  used_micro_gpus INTEGER NOT NULL CHECK (used_micro_gpus > 0),
  block_micro_gpus INTEGER NOT NULL CHECK (block_micro_gpus > 0)) STRICT, WITHOUT ROWID;
CREATE TABLE attempt_ends (
  attempt_id TEXT PRIMARY KEY REFERENCES attempts (attempt_id), status TEXT NOT NULL,
  reason TEXT NOT NULL, ended_at_ns INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE settlements (
  attempt_id TEXT PRIMARY KEY REFERENCES attempts (attempt_id),
  outcome TEXT NOT NULL CHECK (outcome IN ('EXACT', 'SPENT', 'RELEASED')), who TEXT NOT NULL,
  settled_at_ns INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE usage (
  attempt_id TEXT NOT NULL REFERENCES attempts (attempt_id), sequence INTEGER NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('METERED', 'UNCERTAIN')), from_ns INTEGER NOT NULL,
  to_ns INTEGER NOT NULL CHECK (to_ns >= from_ns), charge_period_start_ns INTEGER NOT NULL,
  charge_period_end_ns INTEGER NOT NULL,
  PRIMARY KEY (attempt_id, sequence)) STRICT, WITHOUT ROWID;
CREATE TABLE charges (
  event_id TEXT NOT NULL UNIQUE, attempt_id TEXT REFERENCES attempts (attempt_id),
  basis TEXT NOT NULL CHECK (basis IN ('METERED', 'BILLED')), charge_category TEXT NOT NULL,
  charge_class TEXT CHECK (charge_class = 'Correction'),
  price_id TEXT REFERENCES prices (price_id), consumed_time_ns INTEGER NOT NULL,
  charge_period_start_ns INTEGER NOT NULL, charge_period_end_ns INTEGER NOT NULL,
  currency TEXT NOT NULL, billed_cost_units INTEGER NOT NULL, billed_cost_picos INTEGER NOT NULL,
  effective_cost_units INTEGER NOT NULL, effective_cost_picos INTEGER NOT NULL,
  CHECK (abs(billed_cost_picos) <= 999999999999 AND abs(effective_cost_picos) <= 999999999999),
  CHECK (sign(billed_cost_units) * sign(billed_cost_picos) >= 0),
  CHECK (sign(effective_cost_units) * sign(effective_cost_picos) >= 0)) STRICT;
CREATE INDEX charges_by_attempt ON charges (attempt_id);
CREATE TABLE checkpoints (
  attempt_id TEXT NOT NULL REFERENCES attempts (attempt_id), sequence INTEGER NOT NULL,
  run_id TEXT NOT NULL REFERENCES runs (run_id), step INTEGER NOT NULL, path TEXT NOT NULL,
  confirmed_at_ns INTEGER NOT NULL, PRIMARY KEY (attempt_id, sequence)) STRICT;
CREATE INDEX checkpoints_by_run ON checkpoints (run_id);
CREATE TABLE decisions (
  attempt_id TEXT NOT NULL REFERENCES attempts (attempt_id), sequence INTEGER NOT NULL,
  directive TEXT NOT NULL, rule TEXT NOT NULL, rung TEXT NOT NULL, reason TEXT NOT NULL,
  decided_by TEXT NOT NULL, decided_at_ns INTEGER NOT NULL,
  PRIMARY KEY (attempt_id, sequence)) STRICT;
CREATE TABLE budgets (
  budget_id TEXT PRIMARY KEY, scope TEXT NOT NULL,
  parent_budget_id TEXT REFERENCES budgets (budget_id), period TEXT NOT NULL,
  currency TEXT NOT NULL, is_hard INTEGER NOT NULL, created_by TEXT NOT NULL,
  created_at_ns INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE attempt_budgets (
  attempt_id TEXT NOT NULL REFERENCES attempts (attempt_id), position INTEGER NOT NULL,
  budget_id TEXT NOT NULL REFERENCES budgets (budget_id),
  PRIMARY KEY (attempt_id, position)) STRICT, WITHOUT ROWID;
CREATE TABLE budget_lines (
  event_id TEXT NOT NULL UNIQUE, budget_id TEXT NOT NULL REFERENCES budgets (budget_id),
  attempt_id TEXT REFERENCES attempts (attempt_id), from_account TEXT NOT NULL,
  to_account TEXT NOT NULL, amount_units INTEGER NOT NULL CHECK (amount_units >= 0),
  amount_picos INTEGER NOT NULL CHECK (amount_picos BETWEEN 0 AND 999999999999),
  who TEXT NOT NULL, why TEXT NOT NULL, recorded_at_ns INTEGER NOT NULL) STRICT;
CREATE INDEX budget_lines_by_budget ON budget_lines (budget_id);
CREATE INDEX budget_lines_by_attempt ON budget_lines (attempt_id);
CREATE TABLE budget_requests (
  request_id TEXT PRIMARY KEY, budget_id TEXT NOT NULL REFERENCES budgets (budget_id),
  run_id TEXT, amount_units INTEGER NOT NULL, amount_picos INTEGER NOT NULL, who TEXT NOT NULL,
  why TEXT NOT NULL, requested_at_ns INTEGER NOT NULL) STRICT;
CREATE TABLE budget_rulings (
  request_id TEXT PRIMARY KEY REFERENCES budget_requests (request_id),
  is_approved INTEGER NOT NULL, who TEXT NOT NULL, why TEXT NOT NULL,
  old_limit_units INTEGER NOT NULL, old_limit_picos INTEGER NOT NULL,
  new_limit_units INTEGER NOT NULL, new_limit_picos INTEGER NOT NULL,
  ruled_at_ns INTEGER NOT NULL) STRICT;
)sql";

// The caches. The CHECK adds units and picos apart, so that no sum can turn into a float.
constexpr Sql kCaches = R"sql(
CREATE TABLE budget_balances (
  budget_id TEXT PRIMARY KEY REFERENCES budgets (budget_id),
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
           + spent_picos + held_picos + available_picos - overspent_picos - limit_picos = 0)
) STRICT, WITHOUT ROWID;
CREATE TABLE accounts (
  attempt_id TEXT PRIMARY KEY REFERENCES attempts (attempt_id),
  state TEXT NOT NULL CHECK (state IN ('OPEN', 'SUSPECT', 'SETTLED')), epoch INTEGER NOT NULL,
  settled_ns INTEGER NOT NULL, usage_count INTEGER NOT NULL,
  held_units INTEGER, held_picos INTEGER, charged_units INTEGER, charged_picos INTEGER,
  is_exhausted INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE INDEX accounts_unsettled ON accounts (attempt_id) WHERE state <> 'SETTLED';
)sql";

// For people with `sqlite3 'file:ledger.db?mode=ro'`. Sums carry picos into units in steps of a
// million, so that they stay exact in 64 bits for 9 billion rows.
constexpr Sql kViews = R"sql(
CREATE VIEW report_attempt_costs AS
SELECT attempt_id, currency,
  sum(billed_cost_units)
    + (sum(billed_cost_picos / 1000000) + sum(billed_cost_picos % 1000000) / 1000000) / 1000000
    AS billed_cost_units,
  ((sum(billed_cost_picos / 1000000) + sum(billed_cost_picos % 1000000) / 1000000) % 1000000)
    * 1000000 + sum(billed_cost_picos % 1000000) % 1000000 AS billed_cost_picos
FROM charges WHERE basis = 'METERED' GROUP BY attempt_id, currency;
CREATE VIEW report_attempts AS
SELECT r.project, r.experiment, r.name, a.run_id, a.attempt_number, a.attempt_id, a.host,
  a.resource, coalesce(e.status, 'RUNNING') AS status, coalesce(e.reason, '') AS reason,
  printf('%d.%012d', c.billed_cost_units, c.billed_cost_picos) AS metered_cost, c.currency,
  strftime('%Y-%m-%dT%H:%M:%SZ', a.started_utc_ns / 1000000000, 'unixepoch') AS started_at,
  strftime('%Y-%m-%dT%H:%M:%SZ', e.ended_at_ns / 1000000000, 'unixepoch') AS ended_at
FROM attempts a JOIN runs r USING (run_id)
  LEFT JOIN attempt_ends e USING (attempt_id) LEFT JOIN report_attempt_costs c USING (attempt_id);
CREATE VIEW report_budgets AS
SELECT b.budget_id, b.currency, b.is_hard,
  printf('%d.%012d', limit_units, limit_picos) AS budget_limit,
  printf('%d.%012d', spent_units, spent_picos) AS spent,
  printf('%d.%012d', held_units, held_picos) AS held,
  printf('%d.%012d', available_units, available_picos) AS available,
  printf('%d.%012d', overspent_units, overspent_picos) AS overspent
FROM budgets b JOIN budget_balances USING (budget_id);
CREATE VIEW report_decisions AS
SELECT strftime('%Y-%m-%dT%H:%M:%SZ', d.decided_at_ns / 1000000000, 'unixepoch') AS decided_at,
  r.project, r.experiment, r.name, a.run_id, d.attempt_id, d.directive, d.rule, d.rung, d.reason,
  d.decided_by
FROM decisions d JOIN attempts a USING (attempt_id) JOIN runs r USING (run_id);
)sql";

}  // namespace

std::span<const char* const> journal_tables() noexcept { return kJournalTables; }

void make_append_only(Database& database, std::string_view table) {
  database.execute_on_table(
      "CREATE TRIGGER @_no_UPDATE BEFORE UPDATE ON @ BEGIN SELECT RAISE(ABORT, '@ is append-only: "
      "a "
      "correction is a new row'); END; "
      "CREATE TRIGGER @_no_DELETE BEFORE DELETE ON @ BEGIN SELECT RAISE(ABORT, '@ is append-only: "
      "a "
      "correction is a new row'); END",
      table);
}

// The one text of a trigger of ours, with the table's name in it.
#define FINOPS_TRIGGER(operation)                                                            \
  "'CREATE TRIGGER ' || tbl_name || '_no_" operation " BEFORE " operation                    \
  " ON ' || tbl_name || ' BEGIN SELECT RAISE(ABORT, ''' || tbl_name || ' is append-only: a " \
  "correction is a new row''); END'"

void check_schema(Database& database, const std::string& path) {
  const auto require = [&path](bool is_so, const std::string& what) {
    FINOPS_REQUIRE(is_so, ErrorCode::LedgerCorrupt,
                   path + " says that it is a finops ledger, but " + what +
                       "; nothing was written. Move it aside: a new one starts by itself");
  };
  const auto require_table = [&](const char* table) {
    Statement row = database.prepare("SELECT type FROM sqlite_schema WHERE name=?");
    row << table;
    const std::string type = row.step() ? "a " + row.text() : "missing";
    require(type == "a table", std::string(table) + " is " + type);
  };
  std::ranges::for_each(kJournalTables, require_table);
  std::ranges::for_each(kCacheTables, require_table);
  Statement foreign = database.prepare(
      "SELECT name FROM sqlite_schema WHERE type='trigger' AND sql NOT IN (" FINOPS_TRIGGER(
          "UPDATE") ", " FINOPS_TRIGGER("DELETE") ")");
  const bool has_foreign = foreign.step();
  require(!has_foreign, "the trigger " + (has_foreign ? foreign.text() : "") + " is not of finops");
}

#undef FINOPS_TRIGGER

std::vector<std::string> find_schema_changes(Database& database) {
  std::vector<std::string> changes;
  Database made(":memory:", false);
  upgrade_schema(made, 0);
  Statement expected = made.prepare(
      "SELECT type, name, sql FROM sqlite_schema WHERE type<>'trigger' AND sql IS NOT NULL");
  while (expected.step()) {
    const std::string type = expected.text();
    const std::string name = expected.text();
    Statement found =
        database.prepare("SELECT count(*) FROM sqlite_schema WHERE type=? AND name=? AND sql=?");
    found << type << name << expected.text();
    found.step();
    if (found.integer() != 1) {
      changes.push_back(type + " " + name + " is not as finops makes it");
    }
  }
  return changes;
}

void create_schema_1(Database& database) {
  database.execute(kJournal);
  database.execute(kCaches);
  database.execute(kViews);
  for (std::size_t i = 0; i < kVersion1Tables; ++i) {
    make_append_only(database, kJournalTables.at(i));
  }
  static_assert(kApplicationId == 1'179'209'295);
  database.execute("PRAGMA application_id=1179209295; PRAGMA user_version=1");
}

void upgrade_schema(Database& database, std::int64_t version) {
  if (version < 1) {
    create_schema_1(database);
  }
  if (version < 2) {
    upgrade_schema_to_2(database);
  }
  if (version < 3) {
    upgrade_schema_to_3(database);
  }
  if (version < 4) {
    upgrade_schema_to_4(database);
  }
  if (version < 5) {
    upgrade_schema_to_5(database);
  }
  if (version < 3) {
    // What was written before the chain existed enters it as it is found, and is marked so: the
    // chain says nothing about the time before. Last, since it asks for every table that is
    // chained; and never in a file that had the chain: what it does not name there is forged.
    chain_missing(database, AuditOrigin::Upgraded);
  }
}

}  // namespace finops::ledger
