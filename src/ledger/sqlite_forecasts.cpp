// sqlite_forecasts.cpp - keeps forecasts, and reads them with what became of their runs.
//
// Owns: add_forecast, forecasts, forecast_outcomes. Does not own: what a run used
// (sqlite_job_history.cpp), the error of a forecast (reports).
// Invariant: a forecast authorises nothing and moves no money, so that it is in no audit chain
// (docs/ledger.md).
#include <algorithm>
#include <map>

#include "ledger/sqlite_ledger.hpp"

namespace finops::ledger {
namespace {

Statement& operator<<(Statement& statement, const std::optional<std::int64_t>& value) {
  return value.has_value() ? statement << *value : statement.bind_text_or_null({});
}

// The columns of `forecasts`, in their order.
void bind_forecast(Statement& statement, const ForecastRecord& forecast) {
  statement << forecast_event_id(forecast).str() << forecast.run_id.str();
  statement.bind_text_or_null(forecast.attempt_id.str());
  statement << forecast_kind_name(forecast.kind) << forecast.made_at << forecast.p10_gpu_seconds
            << forecast.p50_gpu_seconds << forecast.p90_gpu_seconds << forecast.mean_gpu_seconds
            << std::int64_t{forecast.gpu_count} << forecast.elapsed_gpu_seconds
            << forecast.ended_job_count << forecast.model_id;
  statement.bind_text_or_null(forecast.price_id.str());
  const std::optional<ForecastCost>& cost = forecast.cost;
  statement.bind_text_or_null(cost ? cost->p10.currency().str() : "");
  for (Money ForecastCost::* const quantile :
       {&ForecastCost::p10, &ForecastCost::p50, &ForecastCost::p90, &ForecastCost::mean}) {
    statement << (cost ? std::optional((*cost).*quantile) : std::nullopt);
  }
  const ForecastJob& job = forecast.job;
  statement << job.user_name << job.group_name << job.experiment << job.name << job.queue
            << job.gpu_model << std::int64_t{job.node_count} << job.requested_seconds
            << job.planned_steps;
}

// A number that fits, or 0, which no forecast that was kept has where it is not allowed.
std::int32_t read_small(Statement& row) {
  const std::int64_t value = row.integer();
  return value >= 0 && value <= kMostGpus ? static_cast<std::int32_t>(value) : 0;
}

ForecastRecord read_forecast(Statement& row) {
  ForecastRecord forecast;
  const std::string event_id = row.text();
  forecast.run_id = RunId{row.text()};
  forecast.attempt_id = AttemptId{row.text()};
  forecast.kind = parse_forecast_kind(row.text());
  forecast.made_at = row.utc();
  forecast.p10_gpu_seconds = row.real();
  forecast.p50_gpu_seconds = row.real();
  forecast.p90_gpu_seconds = row.real();
  forecast.mean_gpu_seconds = row.real();
  forecast.gpu_count = read_small(row);
  forecast.elapsed_gpu_seconds = row.real();
  forecast.ended_job_count = row.integer();
  forecast.model_id = row.text();
  forecast.price_id = PriceId{row.text()};
  if (row.next_is_null()) {
    row.skip(9);
  } else {
    const Currency currency(row.text());
    const Money p10 = row.money(currency);
    const Money p50 = row.money(currency);
    const Money p90 = row.money(currency);
    forecast.cost = ForecastCost{.p10 = p10, .p50 = p50, .p90 = p90, .mean = row.money(currency)};
  }
  ForecastJob& job = forecast.job;
  job.user_name = row.text();
  job.group_name = row.text();
  job.experiment = row.text();
  job.name = row.text();
  job.queue = row.text();
  job.gpu_model = row.text();
  job.node_count = read_small(row);
  job.requested_seconds = row.optional_integer();
  job.planned_steps = row.optional_integer();
  require_whole(forecast_event_id(forecast).str() == event_id, "a forecast makes no sense",
                event_id);
  try {
    require_valid(forecast);
  } catch (const Error& error) {
    require_whole(false, error.what(), event_id);
  }
  return forecast;
}

}  // namespace

void SqliteLedger::require_run_of(const ForecastRecord& forecast) {
  Statement run = database_->prepare("SELECT count(*) FROM runs WHERE run_id=?");
  run << forecast.run_id.str();
  run.step();
  FINOPS_REQUIRE(run.integer() == 1, ErrorCode::NotFound,
                 "run " + forecast.run_id.str() + " is not in the ledger; add it first");
  if (forecast.attempt_id.empty()) {
    return;
  }
  Statement attempt = database_->prepare("SELECT run_id FROM attempts WHERE attempt_id=?");
  attempt << forecast.attempt_id.str();
  FINOPS_REQUIRE(attempt.step(), ErrorCode::NotFound,
                 "attempt " + forecast.attempt_id.str() +
                     " is not in the ledger; leave attempt_id empty before it is");
  const std::string run_id = attempt.text();
  FINOPS_REQUIRE(run_id == forecast.run_id.str(), ErrorCode::Conflict,
                 "attempt " + forecast.attempt_id.str() + " is of run " + run_id + ", not of " +
                     forecast.run_id.str());
}

void SqliteLedger::add_forecast(const ForecastRecord& forecast) {
  require_valid(forecast);
  write([&] {
    require_run_of(forecast);
    Statement insert = database_->prepare(
        "INSERT INTO forecasts VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,"
        "?,?) ON CONFLICT (event_id) DO NOTHING");
    bind_forecast(insert, forecast);
    insert.run();
    if (database_->changes() == 1) {
      return;
    }
    Statement same = database_->prepare(
        "SELECT count(*) FROM forecasts WHERE event_id=? AND run_id=? AND attempt_id IS ? AND "
        "kind=? AND made_at_ns=? AND p10_gpu_seconds=? AND p50_gpu_seconds=? AND "
        "p90_gpu_seconds=? AND mean_gpu_seconds=? AND gpu_count=? AND elapsed_gpu_seconds=? AND "
        "ended_job_count=? AND model_id=? AND price_id IS ? AND currency IS ? AND p10_cost_units "
        "IS ? AND p10_cost_picos IS ? AND p50_cost_units IS ? AND p50_cost_picos IS ? AND "
        "p90_cost_units IS ? AND p90_cost_picos IS ? AND mean_cost_units IS ? AND mean_cost_picos "
        "IS ? AND user_name=? AND group_name=? AND experiment=? AND name=? AND queue=? AND "
        "gpu_model=? AND node_count=? AND requested_seconds IS ? AND planned_steps IS ?");
    bind_forecast(same, forecast);
    require_known(same, "forecast " + forecast_event_id(forecast).str());
  });
}

std::vector<ForecastRecord> SqliteLedger::forecasts(const ForecastFilter& filter) {
  const Use use(*this);
  std::vector<ForecastRecord> forecasts;
  Statement rows = database_->prepare(
      "SELECT f.* FROM forecasts f JOIN runs r USING (run_id) WHERE (?1='' OR f.run_id=?1) AND "
      "(?2='' OR r.project=?2) AND (?3='' OR r.experiment=?3) AND (?4='' OR f.kind=?4) AND "
      "f.made_at_ns >= ?5 AND f.made_at_ns < ?6 ORDER BY f.made_at_ns DESC, f.event_id DESC "
      "LIMIT ?7");
  rows << filter.run_id.str() << filter.project << filter.experiment
       << (filter.kind ? forecast_kind_name(*filter.kind) : "") << filter.made_from
       << filter.made_until << filter.limit;
  while (rows.step()) {
    forecasts.push_back(read_forecast(rows));
  }
  std::ranges::reverse(forecasts);
  return forecasts;
}

std::vector<ForecastOutcome> SqliteLedger::forecast_outcomes(const ForecastFilter& filter) {
  const Use use(*this);
  std::vector<ForecastOutcome> outcomes;
  std::map<RunId, LedgerJob> jobs;
  for (ForecastRecord& forecast : forecasts(filter)) {
    const auto [job, is_new] = jobs.try_emplace(forecast.run_id);
    if (is_new) {
      const std::vector<LedgerJob> found = read_jobs(forecast.run_id, UtcTime::min());
      require_whole(found.size() == 1, "a forecast without its run", forecast.run_id.str());
      job->second = found.front();
    }
    outcomes.push_back({std::move(forecast), job->second});
  }
  return outcomes;
}

}  // namespace finops::ledger
