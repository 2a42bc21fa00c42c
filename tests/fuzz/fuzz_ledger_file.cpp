// fuzz_ledger_file.cpp - ledger files that somebody else made: any bytes, a good file with bytes
// changed, a good file whose rows say anything.
//
// Invariants: opening, reading, verifying, merging and writing work or are refused with an Error;
// reading a file never changes it.
#include <sqlite3.h>

#include <memory>
#include <vector>

#include "finops/ledger/ledger.hpp"
#include "fuzz.hpp"

namespace {

using namespace finops;  // NOLINT(google-build-using-namespace): a target, not a library

const fuzz::TempFolder kFolder;
constexpr UtcTime kNow{std::chrono::seconds{1'764'000'000}};

void add_lineage(Ledger& ledger) {
  LineageRecords lineage;
  lineage.nodes.push_back({.node_id = NodeId{"model:m"}, .created_at = kNow});
  lineage.edges.push_back({NodeId{"run:run1"}, EdgeKind::Produced, NodeId{"model:m"}, 7, kNow});
  lineage.edges.push_back({NodeId{"run:run2"}, EdgeKind::ForkedFrom, NodeId{"run:run1"}, 7, kNow});
  lineage.costs.push_back({.event_id = EventId{"c"},
                           .node_id = NodeId{"job:j"},
                           .billed_cost = Money::parse("5 USD")});
  lineage.statuses.push_back({.node_id = NodeId{"job:j"}, .status = "FAILED", .recorded_at = kNow});
  lineage.uses.push_back({.event_id = EventId{"u"}, .node_id = NodeId{"model:m"}, .quantity = 5});
  lineage.values.push_back({.value_id = EventId{"v"},
                            .node_id = NodeId{"model:m"},
                            .amount = Money::parse("5 USD"),
                            .source = "test"});
  ledger.add_lineage(lineage);
}

void add_forecast(Ledger& ledger, const RunId& run_id) {
  ForecastRecord forecast;
  forecast.run_id = run_id;
  forecast.made_at = kNow;
  forecast.p50_gpu_seconds = 5;
  forecast.p90_gpu_seconds = 7;
  forecast.gpu_count = 8;
  forecast.price_id = PriceId{"price"};
  forecast.cost = ForecastCost{};
  forecast.job.planned_steps = 7;
  ledger.add_forecast(forecast);
}

void fill(Ledger& ledger) {
  PriceRow price;
  price.price_id = PriceId{"price"};
  price.list_unit_price = Money::parse("24 USD");
  ledger.add_price(price);
  BudgetRecord budget;
  budget.budget_id = BudgetId{"experiment:v/r"};
  budget.period = Period::parse("month");
  budget.created_at = kNow;
  BudgetTerms terms;
  terms.limit = Money::parse("100 USD");
  ledger.ensure_budget(budget, terms);
  ledger.set_parent({BudgetId{"project:v"}, BudgetId{"team:t"}, "ada", kNow});
  BudgetRequest request;
  request.request_id = RequestId{"q1"};
  request.budget_id = budget.budget_id;
  request.amount = Money::parse("5 USD");
  request.requested_at = kNow;
  ledger.add_request(request);
  (void)ledger.rule_request(request.request_id, true, "ada", "", kNow);
  add_lineage(ledger);
  for (const char* name : {"run1", "run2"}) {
    RunRecord run;
    run.run_id = RunId{name};
    run.project = "v";
    run.experiment = "r";
    run.fork_of = RunId{run.run_id == RunId{"run2"} ? "run1" : ""};
    run.tags = R"({"a": 1})";
    run.created_at = kNow;
    ledger.add_run(run);
    AttemptRecord attempt;
    attempt.attempt_id = AttemptId{std::string(name) + "-1"};
    attempt.run_id = run.run_id;
    attempt.price_id = price.price_id;
    attempt.budget_chain = {budget.budget_id};
    attempt.started_at.utc = kNow;
    (void)ledger.add_attempt(attempt);
    const AttemptAccount account = ledger.settle({.attempt_id = attempt.attempt_id,
                                                  .epoch = 1,
                                                  .elapsed = std::chrono::minutes{90},
                                                  .now = kNow,
                                                  .wanted_hold = Money::parse("7 USD")});
    (void)ledger.add_decision({.attempt_id = attempt.attempt_id, .decided_at = kNow});
    ledger.add_checkpoint({run.run_id, attempt.attempt_id, 1, 7, "/ckpt", kNow});
    add_forecast(ledger, run.run_id);
    if (run.run_id == RunId{"run1"}) {
      (void)ledger.close({.attempt_id = attempt.attempt_id,
                          .epoch = account.epoch,
                          .metered_until = std::chrono::minutes{100},
                          .gone_at = std::chrono::minutes{110},
                          .end = {.status = RunStatus::FAILED, .reason = "", .ended_at = kNow}});
    }
  }
}

const std::string& good_ledger() {
  static const std::string kBytes = [] {
    const auto ledger = open_ledger(kFolder / "good.db", {});
    fill(*ledger);
    ledger->copy_to(kFolder / "copy.db");
    return fuzz::read_file(kFolder / "copy.db");
  }();
  return kBytes;
}

/// Some bytes of the good file are others.
std::string damaged(fuzz::Bytes& bytes) {
  std::string file = good_ledger();
  while (!bytes.empty()) {
    const std::size_t at = bytes.raw<std::uint32_t>() % file.size();
    const std::string patch = bytes.text(64);
    file.replace(at, std::min(patch.size(), file.size() - at), patch, 0,
                 std::min(patch.size(), file.size() - at));
    if (bytes.byte() == 255) {
      file.resize(at);
      break;
    }
  }
  return file;
}

class Forger {
 public:
  explicit Forger(const std::string& path) {
    fuzz::require(sqlite3_open(path.c_str(), &connection_) == SQLITE_OK, "opening " + path);
    run("PRAGMA synchronous=OFF; PRAGMA ignore_check_constraints=ON; PRAGMA writable_schema=ON; "
        "PRAGMA foreign_keys=OFF; DELETE FROM sqlite_schema WHERE type='trigger'; "
        "PRAGMA writable_schema=RESET;");
  }
  ~Forger() { sqlite3_close(connection_); }
  Forger(const Forger&) = delete;
  Forger& operator=(const Forger&) = delete;

  void run(const std::string& sql) {  // what cannot be forged is not forged
    sqlite3_exec(connection_, sql.c_str(), nullptr, nullptr, nullptr);
  }
  /// The name of the `index`-th table or column, starting anew after the last.
  std::string name(const std::string& sql, std::size_t index) {
    sqlite3_stmt* rows = nullptr;
    std::vector<std::string> names;
    fuzz::require(sqlite3_prepare_v2(connection_, sql.c_str(), -1, &rows, nullptr) == SQLITE_OK,
                  sql);
    while (sqlite3_step(rows) == SQLITE_ROW) {
      names.emplace_back(reinterpret_cast<const char*>(sqlite3_column_text(rows, 0)));
    }
    sqlite3_finalize(rows);
    return names.empty() ? std::string() : names[index % names.size()];
  }

 private:
  sqlite3* connection_ = nullptr;
};

std::string value_of(fuzz::Bytes& bytes) {
  switch (bytes.choice(4)) {
    case 0: return "NULL";
    case 1:
      return "'" +
             bytes.one_of({"", "x", "OPEN", "SUSPECT", "SETTLED", "SPENT", "EUR", "7", "run1-1",
                           "month@Nowhere", "50,x", "experiment:v/r", "run:run1", "model:m",
                           "produced", "model:", "run1"}) +
             "'";
    case 2: {
      std::string text = bytes.text(16);
      std::erase_if(text, [](char c) { return c == '\'' || c == '\0'; });
      return "'" + text + "'";
    }
    default: return std::to_string(bytes.integer());
  }
}

/// The good file with values of its rows, or its tables, changed.
void forge(fuzz::Bytes& bytes, const std::string& path) {
  fuzz::write_private_file(path, good_ledger());
  Forger forger(path);
  for (int count = 0; count < 8 && !bytes.empty(); ++count) {
    const std::string table =
        forger.name("SELECT name FROM sqlite_schema WHERE type='table' ORDER BY name",
                    bytes.byte());
    const std::string column =
        forger.name("SELECT name FROM pragma_table_info('" + table + "')", bytes.byte());
    const std::string value = value_of(bytes);
    switch (bytes.choice(8)) {
      case 0: forger.run("DELETE FROM " + table); break;
      case 1: forger.run("ALTER TABLE " + table + " RENAME COLUMN " + column + " TO other"); break;
      case 2: forger.run("DROP TABLE " + table); break;
      case 3: forger.run("PRAGMA user_version=" + std::to_string(bytes.byte() % 6)); break;
      default: forger.run("UPDATE " + table + " SET " + column + "=" + value);
    }
  }
}

void read_all(Ledger& ledger) {
  fuzz::is_allowed([&] {
    for (const RunSummary& run : ledger.runs({})) {
      (void)ledger.attempts(run.run.run_id);
      (void)ledger.last_checkpoint(run.run.run_id);
    }
  });
  fuzz::is_allowed([&] { (void)ledger.attempt(AttemptId{"run1-1"}); });
  fuzz::is_allowed([&] { (void)ledger.account(AttemptId{"run1-1"}); });
  fuzz::is_allowed([&] { (void)ledger.suspects(); });
  fuzz::is_allowed([&] { (void)ledger.unpriced_attempts(); });
  fuzz::is_allowed([&] { (void)ledger.budgets(kNow); });
  fuzz::is_allowed([&] { (void)ledger.budget_chain("v", "r", "ada", kNow); });
  fuzz::is_allowed([&] { (void)ledger.memberships(); });
  fuzz::is_allowed([&] { (void)ledger.overspent(BudgetId{"experiment:v/r"}); });
  fuzz::is_allowed([&] { (void)ledger.budget_lines(BudgetId{"experiment:v/r"}); });
  fuzz::is_allowed([&] { (void)ledger.requests(); });
  fuzz::is_allowed([&] { (void)ledger.decisions({}, 100); });
  fuzz::is_allowed([&] { (void)ledger.user_prices(); });
  fuzz::is_allowed([&] { (void)ledger.notices(0, 100); });
  fuzz::is_allowed([&] { (void)ledger.telemetry(AttemptId{"run1-1"}); });
  fuzz::is_allowed([&] {
    for (const ForecastOutcome& outcome : ledger.forecast_outcomes({})) {
      require_valid(outcome.forecast);
    }
  });
  fuzz::is_allowed([&] { (void)ledger.job_history(kNow); });
  for (const UtcTime as_of : {UtcTime::max(), kNow}) {
    fuzz::is_allowed([&] {
      for (const LineageEdge& edge : ledger.lineage(as_of).edges) {
        (void)parse_node_id(edge.subject.str());
        (void)parse_node_id(edge.object.str());
      }
    });
  }
  fuzz::is_allowed([&] { (void)ledger.verify(); });
}

void write_all(Ledger& ledger) {
  const AttemptId open{"run2-1"};
  fuzz::is_allowed([&] {
    (void)ledger.settle({.attempt_id = open,
                         .epoch = ledger.account(open).epoch,
                         .elapsed = std::chrono::hours{3},
                         .now = kNow,
                         .wanted_hold = Money::parse("7 USD")});
  });
  fuzz::is_allowed([&] {
    (void)ledger.settle_suspect(AttemptId{"run1-1"}, SuspectOutcome::Spent, "ada", kNow);
  });
  fuzz::is_allowed([&] { (void)ledger.expire_requests(kNow); });
  fuzz::is_allowed([&] { add_forecast(ledger, RunId{"run1"}); });
  fuzz::is_allowed([&] {
    LineageRecords records;
    records.edges.push_back({NodeId{"run:run2"}, EdgeKind::Read, NodeId{"model:m"}, {}, kNow});
    ledger.add_lineage(records);
  });
  fuzz::is_allowed([&] {
    (void)ledger.close({.attempt_id = open,
                        .epoch = ledger.account(open).epoch,
                        .metered_until = std::chrono::hours{4},
                        .gone_at = std::chrono::hours{5},
                        .end = {.status = RunStatus::FINISHED, .reason = "", .ended_at = kNow}});
  });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string path = kFolder / "ledger.db";
  const std::string into = kFolder / "into.db";
  for (const char* part : {"", "-wal", "-shm", "-journal"}) {
    unlink((path + part).c_str());
    unlink((into + part).c_str());
  }
  fuzz::Bytes bytes(data, size);
  switch (bytes.choice(4)) {
    case 0: fuzz::write_private_file(path, bytes.rest()); break;
    case 1: fuzz::write_private_file(path, damaged(bytes)); break;
    default: forge(bytes, path);
  }
  const std::string before = fuzz::read_file(path);
  fuzz::is_allowed([&] { read_all(*open_ledger(path, {.read_only = true})); });
  fuzz::write_private_file(into, good_ledger());
  fuzz::is_allowed([&] { (void)open_ledger(into, {})->merge(path, kNow); });
  fuzz::require(fuzz::read_file(path) == before, "reading changes nothing");
  fuzz::is_allowed([&] {
    const auto ledger = open_ledger(path, {});
    write_all(*ledger);
    read_all(*ledger);
  });
  return 0;
}
