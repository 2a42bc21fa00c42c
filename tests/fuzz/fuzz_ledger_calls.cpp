// fuzz_ledger_calls.cpp - bytes read as a sequence of calls on a real ledger: budgets, requests,
// approvals, attempts, settlements, forecasts.
//
// Invariants: each call works or is refused with an Error; whatever was called, the journal
// rebuilds every account, and none is below zero.
#include <memory>
#include <vector>

#include "finops/ledger/ledger.hpp"
#include "finops/pulse/page.hpp"
#include "fuzz.hpp"

namespace {

using namespace finops;  // NOLINT(google-build-using-namespace): a target, not a library

const fuzz::TempFolder kFolder;

/// A ledger with its tables and two prices, as bytes: making one anew takes longer than all else.
const std::string& fresh_ledger() {
  static const std::string kBytes = [] {
    const std::string path = kFolder / "fresh.db";
    {
      const auto ledger = open_ledger(path, {});
      for (const char* currency : {"USD", "EUR"}) {
        PriceRow price;
        price.price_id = PriceId{std::string("price-") + currency};
        price.list_unit_price = Money::parse("3600", Currency(currency));
        ledger->add_price(price);
      }
      ledger->copy_to(kFolder / "copy.db");
    }
    return fuzz::read_file(kFolder / "copy.db");
  }();
  return kBytes;
}

class Calls {
 public:
  Calls(fuzz::Bytes& bytes, Ledger& ledger) : bytes_(bytes), ledger_(ledger) {}

  void make() {
    now_ += std::chrono::minutes{bytes_.byte()};
    fuzz::is_allowed([&] { make_one(bytes_.choice(17)); });
  }
  [[nodiscard]] UtcTime now() const { return now_; }

 private:
  std::string budget() {
    return bytes_.one_of({"experiment:v/r", "project:v", "team:t", "organisation:o", "user:ada",
                          "experiment:v/r2", "nothing", "team:"});
  }
  std::string who() { return bytes_.one_of({"ada", "bob", "", "eve,ada"}); }
  RunId run() { return RunId{bytes_.one_of({"run1", "run2", "", "run 3"})}; }
  AttemptId attempt() { return AttemptId{bytes_.one_of({"run1-1", "run1-2", "run2-1", "../x"})}; }
  Money money() {
    const Currency currency(bytes_.chance() ? "USD" : "EUR");
    return bytes_.chance() ? Money::from_picos(Int128{bytes_.integer()}, currency)
                           : Money::from_picos(Int128{bytes_.integer()} * kPicosPerUnit, currency);
  }
  Money small_money() {
    return Money::from_picos(Int128{bytes_.raw<std::uint16_t>()} * kPicosPerUnit, Currency::usd());
  }
  /// Up to a month and a half; longer ones are slow and nothing else: each day is a window.
  Nanoseconds span() { return std::chrono::minutes{bytes_.raw<std::uint16_t>()}; }
  UtcTime when() { return bytes_.chance() ? now_ : UtcTime{Nanoseconds{bytes_.integer()}}; }
  BudgetTerms terms() {
    BudgetTerms terms;
    terms.limit = bytes_.chance() ? small_money() : money();
    if (bytes_.chance()) {
      terms.burn_cap_per_hour = money();
    }
    terms.max_duration = Nanoseconds{bytes_.chance() ? 0 : bytes_.integer()};
    if (bytes_.chance()) {
      terms.warning_percents = {static_cast<std::int8_t>(bytes_.byte()), bytes_.byte()};
    }
    if (bytes_.chance()) {
      terms.approvers = {who(), "ada"};
    }
    return terms;
  }
  std::int64_t epoch(const AttemptId& attempt_id) {
    return bytes_.byte() < 230 ? ledger_.account(attempt_id).epoch : bytes_.byte();
  }

  void make_one(std::size_t call) {
    switch (call) {
      case 0:
      case 1: ensure_budget(); break;
      case 2: (void)ledger_.change_terms(BudgetId{budget()}, terms(), who(), "why", now_); break;
      case 3: ledger_.set_parent({BudgetId{budget()}, BudgetId{budget()}, who(), now_}); break;
      case 4: add_request(); break;
      case 5:
        (void)ledger_.rule_request(RequestId{bytes_.one_of({"q1", "q2"})}, bytes_.chance(), who(),
                                   bytes_.text(8), now_);
        break;
      case 6: (void)ledger_.expire_requests(when()); break;
      case 7: ledger_.add_run(make_run()); break;
      case 8:
      case 9: add_attempt(); break;
      case 10:
      case 11:
      case 12: settle(); break;
      case 13: close(); break;
      case 14:
        (void)ledger_.settle_suspect(attempt(),
                                     bytes_.chance() ? SuspectOutcome::Spent
                                                     : SuspectOutcome::Released,
                                     who(), now_);
        break;
      case 15: price_attempt(); break;
      default: add_forecast();
    }
  }
  void ensure_budget() {
    BudgetRecord record;
    record.budget_id = BudgetId{budget()};
    record.scope = parse_budget_id(record.budget_id);
    record.period = Period::parse(bytes_.one_of({"lifetime", "day@UTC", "week@Europe/Berlin",
                                                 "month", "quarter@America/St_Johns"}));
    record.is_hard = bytes_.chance();
    record.created_by = who();
    record.created_at = when();
    ledger_.ensure_budget(record, terms());
  }
  void add_request() {
    BudgetRequest request;
    request.request_id = RequestId{bytes_.one_of({"q1", "q2"})};
    request.budget_id = BudgetId{budget()};
    request.amount = bytes_.chance() ? small_money() : money();
    request.who = who();
    request.why = bytes_.text(8);
    request.requested_at = now_;
    request.expires_at = bytes_.chance() ? UtcTime{} : when();
    ledger_.add_request(request);
  }
  RunRecord make_run() {
    RunRecord record;
    record.run_id = run();
    record.project = "v";
    record.experiment = bytes_.one_of({"r", "r2", ""});
    record.user_name = "ada";
    record.tags = bytes_.text(8);
    record.created_at = when();
    return record;
  }
  void add_attempt() {
    AttemptRecord record;
    record.attempt_id = attempt();
    record.run_id = run();
    record.price_id = PriceId{bytes_.one_of({"price-USD", "price-EUR", "", "no-price"})};
    record.used_micro_gpus = bytes_.chance() ? 1 : bytes_.integer();
    record.block_micro_gpus = bytes_.chance() ? 1 : bytes_.integer();
    for (std::size_t link = bytes_.choice(4); link > 0; --link) {
      record.budget_chain.emplace_back(budget());
    }
    record.started_at.utc = when();
    (void)ledger_.add_attempt(record);
  }
  void settle() {
    SettleRequest request;
    request.attempt_id = attempt();
    request.epoch = epoch(request.attempt_id);
    request.elapsed = bytes_.byte() < 250 ? span() : Nanoseconds{bytes_.integer()} / 4096;
    request.now = now_;
    if (bytes_.chance()) {
      request.wanted_hold = bytes_.chance() ? small_money() : money();
    }
    (void)ledger_.settle(request);
  }
  void close() {
    CloseRequest request;
    request.attempt_id = attempt();
    request.epoch = epoch(request.attempt_id);
    request.metered_until = span();
    request.gone_at = span();
    request.end = {.status = RunStatus::FAILED, .reason = bytes_.text(8), .ended_at = when()};
    (void)ledger_.close(request);
  }
  void price_attempt() {
    PriceRow price;
    price.price_id = PriceId{bytes_.one_of({"later", "price-USD"})};
    price.list_unit_price = bytes_.chance() ? small_money() : money();
    (void)ledger_.price_attempt(attempt(), price, bytes_.integer(), bytes_.integer());
  }

  void add_forecast() {
    ForecastRecord forecast;
    forecast.run_id = run();
    forecast.attempt_id = bytes_.chance() ? AttemptId{} : attempt();
    forecast.kind = bytes_.chance() ? ForecastKind::Submitted : ForecastKind::Refreshed;
    forecast.made_at = when();
    for (double ForecastRecord::* const number :
         {&ForecastRecord::p10_gpu_seconds, &ForecastRecord::p50_gpu_seconds,
          &ForecastRecord::p90_gpu_seconds, &ForecastRecord::mean_gpu_seconds}) {
      forecast.*number = bytes_.chance() ? bytes_.raw<std::uint16_t>() : bytes_.raw<double>();
    }
    forecast.gpu_count = bytes_.raw<std::int32_t>();
    if (bytes_.chance()) {
      forecast.price_id = PriceId{bytes_.text(4)};
      forecast.cost = ForecastCost{money(), money(), money(), money()};
    }
    forecast.job.name = bytes_.text(8);
    ledger_.add_forecast(forecast);
  }

  fuzz::Bytes& bytes_;
  Ledger& ledger_;
  UtcTime now_{std::chrono::seconds{1'764'000'000}};
};

void check(Ledger& ledger, UtcTime now) {
  for (const BudgetSummary& budget : ledger.budgets(now)) {
    fuzz::require(budget.accounts.balances(), budget.budget.budget_id.str() + " balances");
    (void)ledger.overspent(budget.budget.budget_id);
  }
  for (const RunSummary& run : ledger.runs({})) {
    (void)ledger.attempts(run.run.run_id);
  }
  (void)ledger.requests();
  (void)ledger.suspects();
  (void)ledger.unpriced_attempts();
  (void)ledger.notices(0, 1'000);
  for (const ForecastOutcome& outcome : ledger.forecast_outcomes({})) {
    require_valid(outcome.forecast);
    ledger.add_forecast(outcome.forecast);  // the same again
  }
  for (const LedgerJob& job : ledger.job_history(UtcTime::min())) {
    fuzz::require(job.run_seconds >= 0, job.run_id.str() + " ran for no negative time");
  }
  const VerifyReport report = ledger.verify();
  fuzz::require(report.is_clean(), report.is_clean() ? "" : report.problems.front());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string path = kFolder / "ledger.db";
  for (const char* part : {"", "-wal", "-shm"}) {
    unlink((path + part).c_str());
  }
  fuzz::write_private_file(path, fresh_ledger());
  fuzz::Bytes bytes(data, size);
  const auto ledger = open_ledger(path, {});
  Calls calls(bytes, *ledger);
  for (int count = 0; count < 40 && !bytes.empty(); ++count) {
    calls.make();
  }
  check(*ledger, calls.now());
  return 0;
}
