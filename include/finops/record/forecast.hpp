// forecast.hpp - what was said of a run's use and cost before it was known, kept to be judged by
// it.
//
// Owns: ForecastKind, ForecastJob, ForecastCost, ForecastRecord. Does not own: the making of it
// (predict), storing (ledger), the error of it (reports).
// Invariants: a forecast is about the whole run, all its attempts and what is used already
// included; p10 <= p50 <= p90; a record never changes: who knows better says it later.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "finops/base/clock.hpp"
#include "finops/base/ids.hpp"
#include "finops/money/money.hpp"
#include "finops/record/charge.hpp"

namespace finops {

/// When it was made. Submitted: before an attempt of the run starts. Refreshed: while one runs.
enum class ForecastKind { Submitted, Refreshed };
/// "submitted", "refreshed".
[[nodiscard]] std::string_view forecast_kind_name(ForecastKind kind) noexcept;
/// Throws Error(InvalidArgument) on an unknown name.
[[nodiscard]] ForecastKind parse_forecast_kind(std::string_view name);

/// What the forecast was asked with, for later training: a run's own names may be others. An empty
/// text is unknown.
struct ForecastJob {
  std::string user_name;
  std::string group_name;  ///< project, account or virtual cluster
  std::string experiment;
  std::string name;
  std::string queue;  ///< partition
  std::string gpu_model;
  std::int32_t node_count = 0;  ///< 0: unknown
  std::optional<std::int64_t> requested_seconds;
  std::optional<std::int64_t> planned_steps;

  bool operator==(const ForecastJob&) const = default;
};

/// The forecast in money, one currency.
struct ForecastCost {
  Money p10 = Money::zero(Currency::usd());
  Money p50 = Money::zero(Currency::usd());
  Money p90 = Money::zero(Currency::usd());
  Money mean = Money::zero(Currency::usd());  ///< adds up over runs; quantiles do not

  bool operator==(const ForecastCost&) const = default;
};

/// The most GPU-seconds that a forecast may name: three times a million GPUs for a century.
inline constexpr double kMostGpuSeconds = 1e16;
/// The most GPUs, as in a resource's name.
inline constexpr std::int32_t kMostGpus = 1'000'000;
/// The most bytes of each of its texts.
inline constexpr std::size_t kLongestForecastText = 512;

/// Of the whole run, in GPU-seconds. Use is no money: these are doubles.
struct ForecastRecord {
  RunId run_id;
  AttemptId attempt_id;  ///< the one that is starting or running; empty: none was known
  ForecastKind kind = ForecastKind::Submitted;
  UtcTime made_at{};  ///< with run and kind its id: two of one kind are made at two times
  double p10_gpu_seconds = 0;
  double p50_gpu_seconds = 0;
  double p90_gpu_seconds = 0;
  double mean_gpu_seconds = 0;
  std::int32_t gpu_count = 0;        ///< that it was asked for; at least 1
  double elapsed_gpu_seconds = 0;    ///< used already when it was made
  std::int64_t ended_job_count = 0;  ///< of the history it rests on
  std::string model_id;              ///< the model file's checksum; empty: it has no file
  PriceId price_id;                  ///< what the cost was priced with; empty: unpriced
  std::optional<ForecastCost> cost;  ///< empty: unpriced
  ForecastJob job;

  bool operator==(const ForecastRecord&) const = default;
};

/// Its id, made from run, kind and time: "k3v9q2d7m1xa/forecast/submitted/1764000000000000000".
[[nodiscard]] EventId forecast_event_id(const ForecastRecord& forecast);

/// Throws Error(InvalidArgument), naming the field, if a forecast cannot be kept as it is: no run
/// or time, a number that is not finite, below zero or past its limit, quantiles or costs that
/// cross, costs without a price or a price without costs, text that is too long or no UTF-8. Throws
/// Error(CurrencyMismatch) if its costs have several currencies.
void require_valid(const ForecastRecord& forecast);

}  // namespace finops
