// forecast_support.hpp - forecasts that several tests keep, and what can be changed of one.
//
// Owns: example_forecast, bare_forecast, forecast_changes. Does not own: what a test moves.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "finops/record/forecast.hpp"
#include "support.hpp"

namespace finops::testing {

/// A forecast with nothing that may be left out: no attempt, price, or facts of the job.
inline ForecastRecord bare_forecast(const std::string& run_id) {
  ForecastRecord forecast;
  forecast.run_id = RunId{run_id};
  forecast.made_at = example_time();
  forecast.p10_gpu_seconds = 100;
  forecast.p50_gpu_seconds = 200;
  forecast.p90_gpu_seconds = 400;
  forecast.mean_gpu_seconds = 250;
  forecast.gpu_count = 8;
  return forecast;
}

/// A forecast with every field set, made a minute after the bare one.
inline ForecastRecord example_forecast(const std::string& run_id, const std::string& attempt_id) {
  ForecastRecord forecast = bare_forecast(run_id);
  forecast.attempt_id = AttemptId{attempt_id};
  forecast.made_at += std::chrono::minutes{1};
  forecast.elapsed_gpu_seconds = 50;
  forecast.ended_job_count = 1'234;
  forecast.model_id = "sha256:3fa9c0";
  forecast.price_id = PriceId{"test-sku+0123456789ab"};
  forecast.cost = ForecastCost{
      .p10 = usd("0.1"), .p50 = usd("0.2"), .p90 = usd("0.400000000001"), .mean = usd("0.25")};
  forecast.job = {.user_name = "ada",
                  .group_name = "vision",
                  .experiment = "resnet",
                  .name = "sft-'ll\u00e4ma'",
                  .queue = "gpu-large",
                  .gpu_model = "H100-80GB",
                  .node_count = 1,
                  .requested_seconds = 86'400,
                  .planned_steps = 10'000};
  return forecast;
}

struct ForecastChange {
  const char* name;
  std::function<void(ForecastRecord&)> apply;
};

/// Each gives a valid forecast with the id and other content of example_forecast.
inline std::vector<ForecastChange> forecast_changes() {
  using F = ForecastRecord;
  return {
      {"attempt_id", [](F& it) { it.attempt_id = {}; }},
      {"p10", [](F& it) { it.p10_gpu_seconds += 1; }},
      {"p50", [](F& it) { it.p50_gpu_seconds += 1; }},
      {"p90", [](F& it) { it.p90_gpu_seconds += 1; }},
      {"mean", [](F& it) { it.mean_gpu_seconds += 1; }},
      {"gpu_count", [](F& it) { it.gpu_count = 4; }},
      {"elapsed", [](F& it) { it.elapsed_gpu_seconds = 0; }},
      {"ended_job_count", [](F& it) { it.ended_job_count += 1; }},
      {"model_id", [](F& it) { it.model_id = ""; }},
      {"price_id", [](F& it) { it.price_id = PriceId{"other"}; }},
      {"unpriced",
       [](F& it) {
         it.price_id = {};
         it.cost.reset();
       }},
      {"p10 cost", [](F& it) { it.cost->p10 = usd("0.11"); }},
      {"p50 cost", [](F& it) { it.cost->p50 = usd("0.21"); }},
      {"p90 cost", [](F& it) { it.cost->p90 = usd("0.4"); }},
      {"mean cost", [](F& it) { it.cost->mean = usd("1.25"); }},
      {"currency",
       [](F& it) {
         const auto eur = [](const char* amount) { return Money::parse(amount, Currency("EUR")); };
         it.cost = ForecastCost{eur("0.1"), eur("0.2"), eur("0.400000000001"), eur("0.25")};
       }},
      {"user_name", [](F& it) { it.job.user_name = ""; }},
      {"group_name", [](F& it) { it.job.group_name = "?"; }},
      {"experiment", [](F& it) { it.job.experiment = "?"; }},
      {"name", [](F& it) { it.job.name = "?"; }},
      {"queue", [](F& it) { it.job.queue = "?"; }},
      {"gpu_model", [](F& it) { it.job.gpu_model = "?"; }},
      {"node_count", [](F& it) { it.job.node_count = 2; }},
      {"requested_seconds", [](F& it) { it.job.requested_seconds.reset(); }},
      {"planned_steps", [](F& it) { it.job.planned_steps = 0; }},
  };
}

}  // namespace finops::testing
