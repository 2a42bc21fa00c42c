// bench_ingest.cpp - durable ingest: Ledger::append against a bare loop over SQLite's C interface.
//
// Three writers take turns, a commit of 1,000 charges each, so that a busy disk or processor hits
// all alike:
//   ledger       Ledger::append;
//   bare         prepared inserts into one table with the same columns and indexes, and none of
//                the ledger's checks, foreign keys, triggers and locks;
//   same schema  prepared inserts into a ledger file, with its checks and foreign keys: what is
//                between it and `ledger` is our C++ code.
// All use WAL, synchronous=FULL, and a checkpoint per 4,000 frames. The bare loops get their
// columns ready-made. ratio = bare time / ledger time, per round.
#include <benchmark/benchmark.h>
#include <sqlite3.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "bench_support.hpp"
#include "finops/ledger/ledger.hpp"

namespace finops {
namespace {

constexpr int kBatchSize = 1'000;
constexpr int kAttemptCount = 10;  // one digit of an id
constexpr double kGoalRatio = 0.8;

constexpr const char* kBareSchema = R"sql(
PRAGMA journal_mode=WAL;
CREATE TABLE charges (
  event_id TEXT NOT NULL UNIQUE, attempt_id TEXT, basis TEXT NOT NULL,
  charge_category TEXT NOT NULL, charge_class TEXT, price_id TEXT,
  consumed_time_ns INTEGER NOT NULL, charge_period_start_ns INTEGER NOT NULL,
  charge_period_end_ns INTEGER NOT NULL, currency TEXT NOT NULL,
  billed_cost_units INTEGER NOT NULL, billed_cost_picos INTEGER NOT NULL,
  effective_cost_units INTEGER NOT NULL, effective_cost_picos INTEGER NOT NULL) STRICT;
CREATE INDEX charges_by_attempt ON charges (attempt_id);
)sql";
constexpr const char* kInsert = "INSERT INTO charges VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)";

void require(bool is_true, const char* what) {
  if (!is_true) {
    throw std::runtime_error(what);
  }
}

/// The runs, of one attempt each, that the charges belong to. Returns the attempts' ids.
std::vector<AttemptId> add_attempts(Ledger& ledger) {
  const ClockReading now = SystemClock{}.now();
  std::vector<AttemptId> ids;
  for (int i = 0; i < kAttemptCount; ++i) {
    RunRecord run;
    run.run_id = RunId{"0123456789a" + std::to_string(i)};
    run.project = "benchmark";
    run.experiment = "ingest";
    run.tags = "{}";
    run.created_at = now.utc;
    ledger.add_run(run);
    AttemptRecord attempt;
    attempt.attempt_id = AttemptId{run.run_id.str() + "-000000"};
    attempt.run_id = run.run_id;
    attempt.started_at = now;
    ledger.add_attempt(attempt);
    ids.push_back(attempt.attempt_id);
  }
  return ids;
}

/// A charge as the bare loops want it: every column ready to bind.
struct Row {
  std::string event_id;
  std::string attempt_id;
  std::array<sqlite3_int64, 7> numbers{};
};

struct Batch {
  std::vector<Charge> charges;
  std::vector<Row> rows;
};

Batch make_batch(const std::vector<AttemptId>& attempts, std::int64_t& sequence) {
  Batch batch;
  for (int i = 0; i < kBatchSize; ++i) {
    const AttemptId& attempt_id = attempts[static_cast<std::size_t>(i) % attempts.size()];
    Charge charge;
    charge.event_id = make_event_id(attempt_id, "bill", ++sequence);
    charge.attempt_id = attempt_id;
    charge.basis = Basis::BILLED;
    charge.consumed_time = std::chrono::seconds{30};
    charge.charge_period_start = UtcTime{std::chrono::seconds{1'764'000'000 + sequence * 30}};
    charge.charge_period_end = charge.charge_period_start + charge.consumed_time;
    charge.billed_cost = Money::from_picos(Int128{123'456'789'012} * sequence, Currency::usd());
    charge.effective_cost = Money::from_picos(Int128{98'765'432'109} * sequence, Currency::usd());
    const StoredMoney billed = charge.billed_cost.to_stored();
    const StoredMoney effective = charge.effective_cost.to_stored();
    batch.rows.push_back({charge.event_id.str(),
                          attempt_id.str(),
                          {charge.consumed_time.count(),
                           charge.charge_period_start.time_since_epoch().count(),
                           charge.charge_period_end.time_since_epoch().count(), billed.units,
                           billed.picos, effective.units, effective.picos}});
    batch.charges.push_back(std::move(charge));
  }
  return batch;
}

/// A plain connection that does what a C program would.
class BareWriter {
 public:
  BareWriter(const std::string& path, const char* schema) {
    require(sqlite3_open(path.c_str(), &connection_) == SQLITE_OK, "cannot open the database");
    execute("PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=4000");
    execute(schema);
    require(sqlite3_prepare_v2(connection_, kInsert, -1, &insert_, nullptr) == SQLITE_OK,
            "cannot prepare the insert");
  }
  ~BareWriter() {
    sqlite3_finalize(insert_);
    sqlite3_close(connection_);
  }
  BareWriter(const BareWriter&) = delete;
  BareWriter& operator=(const BareWriter&) = delete;

  void append(const std::vector<Row>& rows) {
    execute("BEGIN IMMEDIATE");
    for (const Row& row : rows) {
      bind(1, row.event_id);
      bind(2, row.attempt_id);
      sqlite3_bind_text(insert_, 3, "BILLED", 6, SQLITE_STATIC);
      sqlite3_bind_text(insert_, 4, "Usage", 5, SQLITE_STATIC);
      for (int i = 0; i < 3; ++i) {
        sqlite3_bind_int64(insert_, 7 + i, row.numbers[static_cast<std::size_t>(i)]);
      }
      sqlite3_bind_text(insert_, 10, "USD", 3, SQLITE_STATIC);
      for (int i = 3; i < 7; ++i) {
        sqlite3_bind_int64(insert_, 8 + i, row.numbers[static_cast<std::size_t>(i)]);
      }
      require(sqlite3_step(insert_) == SQLITE_DONE, "an insert failed");
      sqlite3_reset(insert_);
    }
    execute("COMMIT");
  }

 private:
  void bind(int column, const std::string& text) {
    sqlite3_bind_text(insert_, column, text.data(), static_cast<int>(text.size()), SQLITE_STATIC);
  }
  void execute(const char* sql) {
    require(sqlite3_exec(connection_, sql, nullptr, nullptr, nullptr) == SQLITE_OK, sql);
  }

  sqlite3* connection_ = nullptr;
  sqlite3_stmt* insert_ = nullptr;
};

template <class Body>
double milliseconds_of(Body&& body) {
  const auto start = std::chrono::steady_clock::now();
  body();
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
      .count();
}

struct Samples {
  std::array<std::vector<double>, 3> milliseconds;  // ledger, bare, same schema
  std::vector<double> bare_ratios;
  std::vector<double> same_schema_ratios;
};

void report(benchmark::State& state, const Samples& samples) {
  const auto rows_per_second = [&](std::size_t writer) {
    return 1000.0 * kBatchSize / bench::quantile(samples.milliseconds[writer], 0.5);
  };
  state.counters["ledger_rows_s"] = rows_per_second(0);
  state.counters["bare_rows_s"] = rows_per_second(1);
  state.counters["same_schema_rows_s"] = rows_per_second(2);
  state.counters["ratio"] = bench::quantile(samples.bare_ratios, 0.5);
  state.counters["ratio_low"] = bench::quantile(samples.bare_ratios, 0.25);
  state.counters["ratio_high"] = bench::quantile(samples.bare_ratios, 0.75);
  state.counters["same_schema_ratio"] = bench::quantile(samples.same_schema_ratios, 0.5);
  state.counters["goal_ratio"] = kGoalRatio;
}

/// The iteration time is the ledger's; the other two are in the counters.
void ingest(benchmark::State& state) {
  const bench::TemporaryFolder folder;
  const std::string same_schema_path = folder.path() + "/same_schema.db";
  (void)add_attempts(*open_ledger(same_schema_path, {}));
  const std::unique_ptr<Ledger> ledger = open_ledger(folder.path() + "/ledger.db", {});
  const std::vector<AttemptId> attempts = add_attempts(*ledger);
  BareWriter bare(folder.path() + "/bare.db", kBareSchema);
  BareWriter same_schema(same_schema_path, "PRAGMA foreign_keys=ON; PRAGMA recursive_triggers=ON");

  Samples samples;
  std::int64_t sequence = 0;
  std::size_t round = 0;
  for (auto _ : state) {
    const Batch batch = make_batch(attempts, sequence);
    std::array<double, 3> spans{};
    for (std::size_t i = 0; i < spans.size(); ++i) {
      const std::size_t writer = (round + i) % spans.size();
      spans[writer] = milliseconds_of([&] {
        if (writer == 0) {
          require(ledger->append(batch.charges) == kBatchSize, "a charge was not new");
        } else {
          (writer == 1 ? bare : same_schema).append(batch.rows);
        }
      });
      samples.milliseconds[writer].push_back(spans[writer]);
    }
    ++round;
    samples.bare_ratios.push_back(spans[1] / spans[0]);
    samples.same_schema_ratios.push_back(spans[2] / spans[0]);
    state.SetIterationTime(spans[0] / 1000.0);
  }
  report(state, samples);
}
BENCHMARK(ingest)
    ->Unit(benchmark::kMillisecond)
    ->UseManualTime()
    ->Iterations(bench::is_short() ? 30 : 300);

}  // namespace
}  // namespace finops
