// ledger_conformance_forecasts.hpp - what every backend has to do with forecasts, and with runs as
// the jobs that forecasts are learned from.
//
// Owns: the tests of add_forecast, forecasts, forecast_outcomes and job_history. Does not own:
// which forecasts are valid (test_record_forecast.cpp), merging (test_ledger_merge_forecasts.cpp).
#pragma once

#include <string>
#include <vector>

#include "forecast_support.hpp"
#include "ledger_conformance.hpp"

namespace finops::testing {

struct MicroGpus {
  std::int64_t used = 1;
  std::int64_t block = 1;
};

class LedgerForecasts : public LedgerConformance {
 protected:
  void SetUp() override {
    LedgerConformance::SetUp();
    ledger_->add_attempt(example_attempt("run1", "a1"));
  }

  /// An attempt of `run_id` that began so many minutes after example_time.
  AttemptId begin(const std::string& run_id, const std::string& attempt_id, minutes at,
                  const std::string& resource = "", const PriceRow* price = nullptr,
                  MicroGpus micro_gpus = {}) {
    AttemptRecord attempt = example_attempt(run_id, attempt_id);
    attempt.started_at.utc = example_time() + at;
    attempt.resource = resource;
    if (price != nullptr) {
      ledger().add_price(*price);
      attempt.price_id = price->price_id;
      attempt.used_micro_gpus = micro_gpus.used;
      attempt.block_micro_gpus = micro_gpus.block;
    }
    ledger().add_attempt(attempt);
    return attempt.attempt_id;
  }

  /// Ends an attempt that ran for `length`, uncertain for `uncertain` more.
  void end(const AttemptId& attempt_id, minutes length, RunStatus status,
           minutes uncertain = minutes{0}) {
    const UtcTime started_at = ledger().attempt(attempt_id).value().started_at.utc;
    ledger().close({.attempt_id = attempt_id,
                    .epoch = ledger().account(attempt_id).epoch,
                    .metered_until = length,
                    .gone_at = length + uncertain,
                    .end = {.status = status,
                            .reason = std::string(run_status_name(status)),
                            .ended_at = started_at + length + uncertain}});
  }

  void make_run(const std::string& run_id, minutes created_at) {
    RunRecord run = example_run(run_id);
    run.name = "name of " + run_id;
    run.created_at = example_time() + created_at;
    ledger().add_run(run);
  }

  LedgerJob job_of(const std::string& run_id) {
    for (const LedgerJob& job : ledger().job_history(UtcTime::min())) {
      if (job.run_id.str() == run_id) {
        return job;
      }
    }
    ADD_FAILURE() << run_id << " is not in the history";
    return {};
  }

  static std::vector<std::string> ids(const std::vector<LedgerJob>& jobs) {
    std::vector<std::string> found;
    found.reserve(jobs.size());
    for (const LedgerJob& job : jobs) {
      found.push_back(job.run_id.str());
    }
    return found;
  }

  /// A price of so many GPUs.
  static PriceRow gpu_price(const char* per_hour, std::int64_t gpu_count, const char* gpu,
                            const char* machine = "") {
    PriceRow price = example_price(per_hour);
    price.gpu = gpu;
    price.gpu_count = gpu_count;
    price.instance_type = machine;
    price.price_id = make_price_id(price);
    return price;
  }
};

using Strings = std::vector<std::string>;

// --- keeping -------------------------------------------------------------------------------------

// Goal: a forecast comes back as it was given, priced or not, once. Method: every field is set, or
// none that may be empty; each twice.
TEST_P(LedgerForecasts, GivesAForecastBackWhole) {
  const ForecastRecord priced = example_forecast("run1", "a1");
  const ForecastRecord bare = bare_forecast("run1");
  for (int i = 0; i < 2; ++i) {
    ledger().add_forecast(priced);
    ledger().add_forecast(bare);
  }
  EXPECT_EQ(ledger().forecasts({}), (std::vector{bare, priced})) << "in the order of their time";
  expect_clean();
}

// Goal: numbers come back to the last bit. Method: doubles that no short decimal gives, the
// smallest and the largest.
TEST_P(LedgerForecasts, KeepsEveryBit) {
  ForecastRecord forecast = bare_forecast("run1");
  forecast.p10_gpu_seconds = 5e-324;
  forecast.p50_gpu_seconds = 0.1 + 0.2;
  forecast.p90_gpu_seconds = kMostGpuSeconds;
  forecast.mean_gpu_seconds = 1.0 / 3;
  ledger().add_forecast(forecast);
  ledger().add_forecast(forecast);
  EXPECT_EQ(ledger().forecasts({}), std::vector{forecast});
}

// Goal: a known id with other content is a Conflict, and what was first stands. Method: each field
// of a forecast changed that is not part of its id.
TEST_P(LedgerForecasts, RefusesOtherContent) {
  const ForecastRecord first = example_forecast("run1", "a1");
  ledger().add_forecast(first);
  for (const ForecastChange& change : forecast_changes()) {
    ForecastRecord other = first;
    change.apply(other);
    EXPECT_EQ(code_of([&] { ledger().add_forecast(other); }), "Conflict") << change.name;
  }
  EXPECT_EQ(ledger().forecasts({}), std::vector{first});
}

// Goal: run, kind and time are the id. Method: one of them moved at a time.
TEST_P(LedgerForecasts, KeepsForecastsOfOtherRunsKindsAndTimes) {
  ledger().add_run(example_run("run2"));
  ForecastRecord forecast = bare_forecast("run1");
  ledger().add_forecast(forecast);
  forecast.run_id = RunId{"run2"};
  ledger().add_forecast(forecast);
  forecast.kind = ForecastKind::Refreshed;
  ledger().add_forecast(forecast);
  forecast.made_at += Nanoseconds{1};
  ledger().add_forecast(forecast);
  EXPECT_EQ(ledger().forecasts({}).size(), 4U);
}

// Goal: a forecast belongs to a run and an attempt of it. Method: an unknown run, an unknown
// attempt, one of another run, and a record that is not valid; nothing is kept.
TEST_P(LedgerForecasts, RefusesStrangers) {
  EXPECT_EQ(code_of([&] { ledger().add_forecast(bare_forecast("run9")); }), "NotFound");
  EXPECT_EQ(code_of([&] { ledger().add_forecast(example_forecast("run1", "a9")); }), "NotFound");
  const AttemptId other = start("b1");
  EXPECT_EQ(code_of([&] { ledger().add_forecast(example_forecast("run1", other.str())); }),
            "Conflict");
  ForecastRecord crossing = bare_forecast("run1");
  crossing.p10_gpu_seconds = crossing.p90_gpu_seconds + 1;
  EXPECT_EQ(code_of([&] { ledger().add_forecast(crossing); }), "InvalidArgument");
  EXPECT_TRUE(ledger().forecasts({}).empty());
}

// Goal: each field of the filter leaves out what does not fit, times include their start and
// exclude their end, and a limit keeps the newest. Method: three forecasts of two projects.
TEST_P(LedgerForecasts, Filters) {
  RunRecord speech = example_run("run2");
  speech.project = "speech";
  speech.experiment = "whisper";
  ledger().add_run(speech);
  const ForecastRecord first = bare_forecast("run1");
  ForecastRecord second = bare_forecast("run1");
  second.kind = ForecastKind::Refreshed;
  second.made_at += hours{1};
  ForecastRecord third = bare_forecast("run2");
  third.made_at += hours{2};
  for (const ForecastRecord& forecast : {third, first, second}) {
    ledger().add_forecast(forecast);
  }
  const auto found = [&](const ForecastFilter& filter) { return ledger().forecasts(filter); };
  using Records = std::vector<ForecastRecord>;
  EXPECT_EQ(found({}), (Records{first, second, third}));
  EXPECT_EQ(found({.run_id = RunId{"run1"}}), (Records{first, second}));
  EXPECT_EQ(found({.project = "speech"}), Records{third});
  EXPECT_EQ(found({.experiment = "resnet"}), (Records{first, second}));
  EXPECT_EQ(found({.kind = ForecastKind::Refreshed}), Records{second});
  EXPECT_EQ(found({.made_from = second.made_at}), (Records{second, third}));
  EXPECT_EQ(found({.made_until = second.made_at}), Records{first});
  EXPECT_EQ(found({.made_from = second.made_at, .made_until = third.made_at}), Records{second});
  EXPECT_EQ(found({.limit = 2}), (Records{second, third}));
  EXPECT_TRUE(found({.run_id = RunId{"run9"}}).empty());
  EXPECT_TRUE(found({.project = "speech", .kind = ForecastKind::Refreshed}).empty());
}

// Goal: a forecast that is refused inside `together` undoes itself alone. Method: a good one, one
// of an unknown run, another good one.
TEST_P(LedgerForecasts, AreWrittenTogetherWithOthers) {
  ForecastRecord later = bare_forecast("run1");
  later.made_at += seconds{1};
  ledger().together([&] {
    ledger().add_forecast(bare_forecast("run1"));
    EXPECT_EQ(code_of([&] { ledger().add_forecast(bare_forecast("run9")); }), "NotFound");
    ledger().add_forecast(later);
  });
  EXPECT_EQ(ledger().forecasts({}).size(), 2U);
}

// --- what became of it ---------------------------------------------------------------------------

// Goal: an outcome names what the run has used and cost, over all its attempts, and whether for
// good. Method: a run of 8 GPUs for 30 minutes, then one of 4 for an hour, looked at on the way.
TEST_P(LedgerForecasts, ReportsWhatTheRunUsed) {
  const PriceRow price = gpu_price("24 USD", 8, "H100-80GB");
  make_run("r", minutes{0});
  ledger().add_forecast(bare_forecast("r"));
  const auto outcome = [&] { return ledger().forecast_outcomes({.run_id = RunId{"r"}}).at(0); };
  EXPECT_EQ(outcome().forecast, bare_forecast("r"));
  EXPECT_EQ(outcome().job.attempt_count, 0);
  EXPECT_EQ(outcome().job.gpu_seconds, 0);
  const AttemptId first = begin("r", "r-1", minutes{5}, "8xH100", &price, {8, 8});
  end(first, minutes{30}, RunStatus::PAUSED);
  EXPECT_EQ(outcome().job.gpu_seconds, 8 * 1'800);
  EXPECT_EQ(outcome().job.ended_at, UtcTime{}) << "a pause is no end";
  EXPECT_EQ(outcome().job.status, RunStatus::PAUSED);
  const AttemptId second = begin("r", "r-2", minutes{60}, "4xH100", &price, {4, 8});
  EXPECT_EQ(outcome().job.status, RunStatus::RUNNING);
  end(second, minutes{60}, RunStatus::FINISHED);
  const LedgerJob done = outcome().job;
  EXPECT_EQ(done.gpu_seconds, 8 * 1'800 + 4 * 3'600);
  EXPECT_EQ(done.run_seconds, 1'800 + 3'600);
  EXPECT_EQ(done.status, RunStatus::FINISHED);
  EXPECT_EQ(done.ended_at, example_time() + minutes{120});
  EXPECT_EQ(done.metered_cost.value(), usd("24"));
}

// Goal: every forecast of a run has its outcome, and runs are not mixed up. Method: two runs, one
// with two forecasts.
TEST_P(LedgerForecasts, ReportsEachForecast) {
  make_run("r", minutes{0});
  end(begin("r", "r-1", minutes{0}, "2xH100"), minutes{10}, RunStatus::FINISHED);
  ForecastRecord again = bare_forecast("r");
  again.kind = ForecastKind::Refreshed;
  again.made_at += minutes{5};
  ForecastRecord other = bare_forecast("run1");
  other.made_at += minutes{1};
  for (const ForecastRecord& forecast : {bare_forecast("r"), other, again}) {
    ledger().add_forecast(forecast);
  }
  const std::vector<ForecastOutcome> outcomes = ledger().forecast_outcomes({});
  ASSERT_EQ(outcomes.size(), 3U);
  EXPECT_EQ(outcomes[0].job.run_id, RunId{"r"});
  EXPECT_EQ(outcomes[1].job.run_id, RunId{"run1"});
  EXPECT_EQ(outcomes[1].job.status, RunStatus::RUNNING);
  EXPECT_EQ(outcomes[2].forecast, again);
  EXPECT_EQ(outcomes[2].job.gpu_seconds, bare_forecast("r").gpu_count * 600.0);
  EXPECT_EQ(ledger().forecast_outcomes({.kind = ForecastKind::Refreshed}).size(), 1U);
}

// --- the history ---------------------------------------------------------------------------------

// Goal: a job's facts are its run's. Method: a finished run with a forecast, all fields.
TEST_P(LedgerForecasts, GivesAFinishedRunAsAJob) {
  const PriceRow price = gpu_price("24 USD", 8, "H100-80GB");
  make_run("r", minutes{1});
  ForecastRecord forecast = example_forecast("r", "");
  forecast.job.gpu_model = "H100-SXM";
  ledger().add_forecast(forecast);
  end(begin("r", "r-1", minutes{5}, "8xH100", &price, {8, 8}), minutes{30}, RunStatus::FAILED);
  const LedgerJob job = job_of("r");
  EXPECT_EQ(job.user_name, "ada");
  EXPECT_EQ(job.project, "vision");
  EXPECT_EQ(job.experiment, "resnet");
  EXPECT_EQ(job.name, "name of r");
  EXPECT_EQ(job.resource, "8xH100");
  EXPECT_EQ(job.gpu_model, "H100-SXM");
  EXPECT_EQ(job.queue, forecast.job.queue);
  EXPECT_EQ(job.node_count, forecast.job.node_count);
  EXPECT_EQ(job.requested_seconds, forecast.job.requested_seconds);
  EXPECT_EQ(job.planned_steps, forecast.job.planned_steps);
  EXPECT_EQ(job.gpu_count, 8);
  EXPECT_EQ(job.submitted_at, example_time() + minutes{1});
  EXPECT_EQ(job.started_at, example_time() + minutes{5});
  EXPECT_EQ(job.ended_at, example_time() + minutes{35});
  EXPECT_EQ(job.attempt_count, 1);
  EXPECT_EQ(job.run_seconds, 1'800);
  EXPECT_EQ(job.gpu_seconds, 14'400);
  EXPECT_EQ(job.status, RunStatus::FAILED);
  EXPECT_EQ(job.reason, "FAILED");
  EXPECT_EQ(job.metered_cost.value(), usd("12"));
}

// Goal: the facts are those that were known at submission. Method: a refreshed forecast before and
// another submitted one after the first submitted one, recorded in the other order.
TEST_P(LedgerForecasts, TakesTheFactsOfTheFirstSubmittedForecast) {
  const auto say = [&](ForecastKind kind, minutes at, const char* queue) {
    ForecastRecord forecast = bare_forecast("run1");
    forecast.kind = kind;
    forecast.made_at += at;
    forecast.job.queue = queue;
    ledger().add_forecast(forecast);
    return job_of("run1").queue;
  };
  EXPECT_EQ(job_of("run1").queue, "");
  EXPECT_EQ(say(ForecastKind::Refreshed, minutes{0}, "refreshed"), "refreshed");
  EXPECT_EQ(say(ForecastKind::Submitted, minutes{9}, "resumed"), "resumed");
  EXPECT_EQ(say(ForecastKind::Submitted, minutes{5}, "first"), "first");
}

// Goal: the history names what ended since, and all that has not ended, in the order of
// submission. Method: runs that ended before, at and after a time; one that runs, one that is
// paused, one that was resumed after a pause, one that never started.
TEST_P(LedgerForecasts, NamesWhatEndedSince) {
  struct Case {
    const char* run_id;
    std::int64_t minute;
    RunStatus status;
  };
  for (const Case& c : {Case{"late", 20, RunStatus::FINISHED}, Case{"early", 10, RunStatus::KILLED},
                        Case{"at", 15, RunStatus::FAILED}, Case{"paused", 5, RunStatus::PAUSED}}) {
    make_run(c.run_id, minutes{c.minute});
    end(begin(c.run_id, std::string(c.run_id) + "-1", minutes{c.minute}), minutes{1}, c.status);
  }
  make_run("resumed", minutes{1});
  end(begin("resumed", "resumed-1", minutes{2}), minutes{1}, RunStatus::PAUSED);
  end(begin("resumed", "resumed-2", minutes{6}), minutes{1}, RunStatus::FINISHED);
  make_run("never", minutes{0});
  const auto since = [&](minutes at) { return ids(ledger().job_history(example_time() + at)); };
  EXPECT_EQ(since(minutes{0}), (Strings{"run1", "resumed", "paused", "early", "at", "late"}));
  EXPECT_EQ(ids(ledger().job_history(UtcTime::min())), since(minutes{0}));
  EXPECT_EQ(since(minutes{16}), (Strings{"run1", "paused", "at", "late"})) << "at ended then";
  EXPECT_EQ(since(minutes{22}), (Strings{"run1", "paused"}));
  EXPECT_EQ(job_of("run1").ended_at, UtcTime{});
  EXPECT_EQ(job_of("paused").ended_at, UtcTime{});
  EXPECT_EQ(job_of("paused").status, RunStatus::PAUSED);
  EXPECT_EQ(job_of("resumed").status, RunStatus::FINISHED);
  EXPECT_EQ(job_of("resumed").attempt_count, 2);
  EXPECT_EQ(job_of("resumed").run_seconds, 120);
  EXPECT_EQ(job_of("resumed").ended_at, example_time() + minutes{7});
}

// Goal: what an attempt has settled counts, whether it runs or its end is uncertain; an uncertain
// rest counts once it is spent. Method: settled on the way, closed with a rest, spent.
TEST_P(LedgerForecasts, CountsWhatIsSettled) {
  make_run("r", minutes{0});
  const AttemptId attempt_id = begin("r", "r-1", minutes{0}, "2xH100");
  EXPECT_EQ(job_of("r").gpu_seconds, 0);
  settle(attempt_id, minutes{1});
  EXPECT_EQ(job_of("r").gpu_seconds, 120);
  EXPECT_EQ(job_of("r").status, RunStatus::RUNNING);
  end(attempt_id, minutes{2}, RunStatus::KILLED, minutes{3});
  EXPECT_EQ(job_of("r").gpu_seconds, 240);
  ledger().settle_suspect(attempt_id, SuspectOutcome::Spent, "ada", example_time());
  EXPECT_EQ(job_of("r").gpu_seconds, 600);
}

// Goal: GPUs are counted by the price where that says it, else by a forecast, else by the name; an
// unknown count is never zero. Method: each way of naming a resource, for one minute.
TEST_P(LedgerForecasts, CountsGpus) {
  const PriceRow whole = example_price("24 USD");
  const PriceRow per_gpu = gpu_price("3 USD", 1, "H100-80GB");
  const PriceRow machine = gpu_price("98 USD", 8, "H100-80GB", "p5.48xlarge");
  constexpr std::int64_t kOne = 1'000'000;
  struct Case {
    const char* resource;
    const PriceRow* price;
    std::int64_t used;
    std::int64_t block;
    std::optional<double> gpu_count;
    const char* gpu_model;
  };
  const Case cases[] = {
      {"8xH100", &machine, 8 * kOne, 8 * kOne, 8, "H100-80GB"},
      {"4xH100", &machine, 4 * kOne, 8 * kOne, 4, "H100-80GB"},
      {"2xp5.48xlarge", &machine, 2 * kOne, kOne, 16, "H100-80GB"},
      {"h100:0.25", &per_gpu, kOne / 4, kOne, 0.25, "H100-80GB"},
      {"8xH100", &whole, 1, 1, 8, "H100"},
      {"8xH100", nullptr, 1, 1, 8, "H100"},
      {"8XH100@aws:us-east-1:spot", nullptr, 1, 1, 8, "H100"},
      {"a100:0.5", nullptr, 1, 1, 0.5, "a100"},
      {"2xa100:0.5@gcp", nullptr, 1, 1, std::nullopt, "2xa100:0.5@gcp"},  // the grammar refuses it
      {"H100", nullptr, 1, 1, 1, "H100"},
      {"x1.large", nullptr, 1, 1, 1, "x1.large"},
      {"2xP5.48XLarge", nullptr, 1, 1, 16, "H100-80GB"},
      {"p5.48xlarge", &whole, 1, 1, 8, "H100-80GB"},
      {"", nullptr, 1, 1, std::nullopt, ""},
      {"", &whole, 1, 1, std::nullopt, ""},
  };
  int number = 0;
  for (const Case& c : cases) {
    const std::string run_id = "c" + std::to_string(++number);
    make_run(run_id, minutes{0});
    end(begin(run_id, run_id + "-1", minutes{0}, c.resource, c.price, {c.used, c.block}),
        minutes{1}, RunStatus::FINISHED);
    const LedgerJob job = job_of(run_id);
    EXPECT_EQ(job.gpu_count, c.gpu_count) << number << ": " << c.resource;
    EXPECT_EQ(job.gpu_model, c.gpu_model) << number << ": " << c.resource;
    EXPECT_EQ(job.gpu_seconds.has_value(), c.gpu_count.has_value()) << number;
    EXPECT_EQ(job.gpu_seconds.value_or(0), 60 * c.gpu_count.value_or(0)) << number;
    ForecastRecord forecast = bare_forecast(run_id);
    forecast.gpu_count = 3;
    ledger().add_forecast(forecast);
    const bool is_price_silent = c.price == nullptr || c.price == &whole;
    EXPECT_EQ(job_of(run_id).gpu_count, is_price_silent ? 3 : c.gpu_count) << number;
  }
}

// Goal: a cost is known only if all of it is, in one currency. Method: a priced attempt, then one
// without a price; one in another currency.
TEST_P(LedgerForecasts, KnowsACostOnlyWhole) {
  const PriceRow dollars = example_price("60 USD");
  const PriceRow euros = example_price("60 EUR");
  const auto cost_of = [&](const std::string& run_id, const PriceRow* second) {
    make_run(run_id, minutes{0});
    end(begin(run_id, run_id + "-1", minutes{0}, "", &dollars), minutes{1}, RunStatus::PAUSED);
    EXPECT_EQ(job_of(run_id).metered_cost, usd("1"));
    end(begin(run_id, run_id + "-2", minutes{2}, "", second), minutes{1}, RunStatus::FINISHED);
    return job_of(run_id).metered_cost;
  };
  EXPECT_EQ(cost_of("both", &dollars), usd("2"));
  EXPECT_EQ(cost_of("half", nullptr), std::nullopt);
  EXPECT_EQ(cost_of("mixed", &euros), std::nullopt);
}

// Goal: a job is submitted when its run was created, whatever the clock did. Method: a run without
// that time, and one that was created after it started.
TEST_P(LedgerForecasts, IsSubmittedBeforeItStarts) {
  RunRecord run = example_run("unknown");
  run.created_at = {};
  ledger().add_run(run);
  begin("unknown", "u-1", minutes{7});
  make_run("later", minutes{30});
  begin("later", "l-1", minutes{8});
  EXPECT_EQ(job_of("unknown").submitted_at, example_time() + minutes{7});
  EXPECT_EQ(job_of("later").submitted_at, example_time() + minutes{8});
}

}  // namespace finops::testing
