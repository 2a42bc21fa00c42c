// forecast.cpp - names and ids of forecasts, and which of them can be kept.
#include "finops/record/forecast.hpp"

#include <cmath>

#include "finops/base/error.hpp"
#include "record/name_table.hpp"
#include "record/utf8.hpp"

namespace finops {
namespace {

constexpr NameTable<ForecastKind, 2> kKinds{
    {{ForecastKind::Submitted, "submitted"}, {ForecastKind::Refreshed, "refreshed"}}};

void require_gpu_seconds(const char* what, double value) {
  FINOPS_REQUIRE(std::isfinite(value) && value >= 0 && value <= kMostGpuSeconds,
                 ErrorCode::InvalidArgument,
                 std::string(what) + " must be a number from 0 to " +
                     std::to_string(kMostGpuSeconds) + ", not " + std::to_string(value));
}

void require_count(const char* what, std::int64_t value, std::int64_t least, std::int64_t most) {
  FINOPS_REQUIRE(value >= least && value <= most, ErrorCode::InvalidArgument,
                 std::string(what) + " must be " + std::to_string(least) + " to " +
                     std::to_string(most) + ", not " + std::to_string(value));
}

// Any text that a run's own names may have: only what no reader could decode is refused.
void require_decodable(const char* what, std::string_view text) {
  FINOPS_REQUIRE(text.size() <= kLongestForecastText, ErrorCode::InvalidArgument,
                 std::string(what) + " has " + std::to_string(text.size()) + " bytes, at most " +
                     std::to_string(kLongestForecastText) + " are kept: '" + shown(text) + "'");
  for (std::size_t position = 0; position < text.size();) {
    const std::size_t start = position;
    FINOPS_REQUIRE(next_code_point(text, position) != kInvalidCodePoint, ErrorCode::InvalidArgument,
                   std::string(what) + " is no UTF-8 at byte " + std::to_string(start + 1) + ": '" +
                       shown(text) + "'");
  }
}

void require_valid(const ForecastJob& job) {
  require_decodable("user_name", job.user_name);
  require_decodable("group_name", job.group_name);
  require_decodable("experiment", job.experiment);
  require_decodable("name", job.name);
  require_decodable("queue", job.queue);
  require_decodable("gpu_model", job.gpu_model);
  require_count("node_count", job.node_count, 0, kMostGpus);
  require_count("requested_seconds", job.requested_seconds.value_or(0), 0,
                std::chrono::duration_cast<std::chrono::seconds>(kCentury).count());
  require_count("planned_steps", job.planned_steps.value_or(0), 0, INT64_MAX);
}

void require_valid(const ForecastCost& cost) {
  for (const Money* amount : {&cost.p50, &cost.p90, &cost.mean}) {
    FINOPS_REQUIRE(amount->currency() == cost.p10.currency(), ErrorCode::CurrencyMismatch,
                   "the costs of a forecast have two currencies, " + cost.p10.currency().str() +
                       " and " + amount->currency().str() + "; give all of them in one");
  }
  FINOPS_REQUIRE(!cost.p10.is_negative() && !cost.mean.is_negative() && cost.p10 <= cost.p50 &&
                     cost.p50 <= cost.p90,
                 ErrorCode::InvalidArgument,
                 "the costs of a forecast must be 0 or more with p10 <= p50 <= p90, not " +
                     cost.p10.str() + ", " + cost.p50.str() + ", " + cost.p90.str() +
                     " with mean " + cost.mean.str());
}

}  // namespace

std::string_view forecast_kind_name(ForecastKind kind) noexcept { return name_of(kKinds, kind); }

ForecastKind parse_forecast_kind(std::string_view name) {
  return value_of(kKinds, name, "kind of forecast");
}

EventId forecast_event_id(const ForecastRecord& forecast) {
  return EventId{forecast.run_id.str() + "/forecast/" +
                 std::string(forecast_kind_name(forecast.kind)) + "/" +
                 std::to_string(forecast.made_at.time_since_epoch().count())};
}

void require_valid(const ForecastRecord& forecast) {
  FINOPS_REQUIRE(is_valid_id(forecast.run_id.str()), ErrorCode::InvalidArgument,
                 "a forecast belongs to a run; '" + shown(forecast.run_id.str()) +
                     "' is no run's id");
  FINOPS_REQUIRE(forecast.attempt_id.empty() || is_valid_id(forecast.attempt_id.str()),
                 ErrorCode::InvalidArgument,
                 "'" + shown(forecast.attempt_id.str()) +
                     "' is no attempt's id; leave attempt_id empty if none is known");
  FINOPS_REQUIRE(forecast.made_at != UtcTime{} && is_possible_start(forecast.made_at),
                 ErrorCode::InvalidArgument,
                 "a forecast needs the time that it was made at, from 1970 to 2162");
  require_gpu_seconds("p10_gpu_seconds", forecast.p10_gpu_seconds);
  require_gpu_seconds("p50_gpu_seconds", forecast.p50_gpu_seconds);
  require_gpu_seconds("p90_gpu_seconds", forecast.p90_gpu_seconds);
  require_gpu_seconds("mean_gpu_seconds", forecast.mean_gpu_seconds);
  require_gpu_seconds("elapsed_gpu_seconds", forecast.elapsed_gpu_seconds);
  FINOPS_REQUIRE(forecast.p10_gpu_seconds <= forecast.p50_gpu_seconds &&
                     forecast.p50_gpu_seconds <= forecast.p90_gpu_seconds,
                 ErrorCode::InvalidArgument,
                 "the quantiles of a forecast cross: p10 " +
                     std::to_string(forecast.p10_gpu_seconds) + ", p50 " +
                     std::to_string(forecast.p50_gpu_seconds) + ", p90 " +
                     std::to_string(forecast.p90_gpu_seconds));
  require_count("gpu_count", forecast.gpu_count, 1, kMostGpus);
  require_count("ended_job_count", forecast.ended_job_count, 0, INT64_MAX);
  require_decodable("model_id", forecast.model_id);
  require_decodable("price_id", forecast.price_id.str());
  FINOPS_REQUIRE(forecast.cost.has_value() != forecast.price_id.empty(), ErrorCode::InvalidArgument,
                 forecast.price_id.empty()
                     ? std::string("a forecast with costs needs the price_id they were made with")
                     : "a forecast with the price " + forecast.price_id.str() +
                           " needs its costs; leave price_id empty if it is unpriced");
  if (forecast.cost.has_value()) {
    require_valid(*forecast.cost);
  }
  require_valid(forecast.job);
}

}  // namespace finops
