// test_record_forecast.cpp - which forecasts can be kept, and their ids.
//
// Owns: the checks of record/forecast.hpp. Does not own: keeping
// (ledger_conformance_forecasts.hpp).
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "forecast_support.hpp"

namespace finops::testing {
namespace {

// The code with which a changed forecast is refused; "none": it is valid.
template <class Change>
std::string refusal(const Change& change) {
  ForecastRecord forecast = example_forecast("run1", "run1-1");
  change(forecast);
  return code_of([&] { require_valid(forecast); });
}

using F = ForecastRecord;

// Goal: what is whole can be kept, with every field and with none that may be left out. Method: the
// two, and each single change of the first that keeps it valid.
TEST(RecordForecast, TakesWhatIsWhole) {
  EXPECT_EQ(refusal([](F&) {}), "none");
  EXPECT_NO_THROW(require_valid(bare_forecast("run1")));
  for (const ForecastChange& change : forecast_changes()) {
    EXPECT_EQ(refusal(change.apply), "none") << change.name;
  }
}

// Goal: every number has its limits. Method: each below, at and past them, and what is no number.
TEST(RecordForecast, RefusesImpossibleNumbers) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  for (double F::* const field : {&F::p10_gpu_seconds, &F::p50_gpu_seconds, &F::p90_gpu_seconds,
                                  &F::mean_gpu_seconds, &F::elapsed_gpu_seconds}) {
    for (const double bad :
         {-1e-300, std::nan(""), kInfinity, -kInfinity, kMostGpuSeconds * 1.01}) {
      EXPECT_EQ(refusal([&](F& it) { it.*field = bad; }), "InvalidArgument") << bad;
    }
  }
  EXPECT_EQ(refusal([](F& it) { it.p90_gpu_seconds = kMostGpuSeconds; }), "none");
  EXPECT_EQ(refusal([](F& it) { it.p10_gpu_seconds = 0; }), "none");
  EXPECT_EQ(refusal([](F& it) { it.mean_gpu_seconds = 0; }), "none");
  for (const int bad : {0, -1, kMostGpus + 1}) {
    EXPECT_EQ(refusal([&](F& it) { it.gpu_count = bad; }), "InvalidArgument") << bad;
  }
  EXPECT_EQ(refusal([](F& it) { it.gpu_count = kMostGpus; }), "none");
  EXPECT_EQ(refusal([](F& it) { it.ended_job_count = -1; }), "InvalidArgument");
  EXPECT_EQ(refusal([](F& it) { it.ended_job_count = 0; }), "none");
  EXPECT_EQ(refusal([](F& it) { it.job.node_count = -1; }), "InvalidArgument");
  EXPECT_EQ(refusal([](F& it) { it.job.node_count = 0; }), "none");
  EXPECT_EQ(refusal([](F& it) { it.job.requested_seconds = -1; }), "InvalidArgument");
  EXPECT_EQ(refusal([](F& it) { it.job.requested_seconds = 0; }), "none");
  EXPECT_EQ(refusal([](F& it) { it.job.requested_seconds = 4'000'000'000; }), "InvalidArgument");
  EXPECT_EQ(refusal([](F& it) { it.job.planned_steps = -1; }), "InvalidArgument");
}

// Goal: quantiles never cross, in use and in money; equal ones do not. Method: one moved past its
// neighbour by the least there is.
TEST(RecordForecast, RefusesQuantilesThatCross) {
  EXPECT_EQ(refusal([](F& it) { it.p10_gpu_seconds = std::nextafter(it.p50_gpu_seconds, 1e9); }),
            "InvalidArgument");
  EXPECT_EQ(refusal([](F& it) { it.p90_gpu_seconds = std::nextafter(it.p50_gpu_seconds, 0.0); }),
            "InvalidArgument");
  EXPECT_EQ(refusal([](F& it) { it.p10_gpu_seconds = it.p90_gpu_seconds = it.p50_gpu_seconds; }),
            "none");
  EXPECT_EQ(refusal([](F& it) { it.cost->p10 = usd("0.200000000001"); }), "InvalidArgument");
  EXPECT_EQ(refusal([](F& it) { it.cost->p90 = usd("0.199999999999"); }), "InvalidArgument");
  EXPECT_EQ(refusal([](F& it) { it.cost->p10 = usd("-0.000000000001"); }), "InvalidArgument");
  EXPECT_EQ(refusal([](F& it) { it.cost->mean = usd("-0.000000000001"); }), "InvalidArgument");
  EXPECT_EQ(refusal([](F& it) { it.cost->p10 = it.cost->p90 = it.cost->p50; }), "none");
  EXPECT_EQ(refusal([](F& it) { it.cost->mean = usd("1000"); }), "none");
}

// Goal: a cost has a price and one currency. Method: one without the other, and each amount in
// euros.
TEST(RecordForecast, RefusesCostsThatDoNotFit) {
  EXPECT_EQ(refusal([](F& it) { it.price_id = {}; }), "InvalidArgument");
  EXPECT_EQ(refusal([](F& it) { it.cost.reset(); }), "InvalidArgument");
  for (Money ForecastCost::* const amount :
       {&ForecastCost::p10, &ForecastCost::p50, &ForecastCost::p90, &ForecastCost::mean}) {
    EXPECT_EQ(refusal([&](F& it) { (*it.cost).*amount = Money::parse("0.2 EUR"); }),
              "CurrencyMismatch");
  }
}

// Goal: a forecast names its run and time; texts may be any that can be read. Method: names and
// times that are none; texts at and past the longest, with controls, and that are no UTF-8.
TEST(RecordForecast, RefusesWhatCannotBeNamed) {
  EXPECT_EQ(refusal([](F& it) { it.run_id = {}; }), "InvalidArgument");
  EXPECT_EQ(refusal([](F& it) { it.run_id = RunId{"a b"}; }), "InvalidArgument");
  EXPECT_EQ(refusal([](F& it) { it.attempt_id = AttemptId{"a b"}; }), "InvalidArgument");
  EXPECT_EQ(refusal([](F& it) { it.made_at = {}; }), "InvalidArgument");
  EXPECT_EQ(refusal([](F& it) { it.made_at = UtcTime::min(); }), "InvalidArgument");
  EXPECT_EQ(refusal([](F& it) { it.made_at = UtcTime::max(); }), "InvalidArgument");
  const std::string longest(kLongestForecastText, 'x');
  const auto refusals = [&](auto field) {
    EXPECT_EQ(refusal([&](F& it) { field(it) = longest; }), "none");
    EXPECT_EQ(refusal([&](F& it) { field(it) = longest + "x"; }), "InvalidArgument");
    EXPECT_EQ(refusal([&](F& it) { field(it) = "a\n\u2028b"; }), "none") << "as a run's name";
    EXPECT_EQ(refusal([&](F& it) { field(it) = "a\xff"; }), "InvalidArgument");
  };
  refusals([](F& it) -> std::string& { return it.model_id; });
  refusals([](F& it) -> std::string& { return it.job.user_name; });
  refusals([](F& it) -> std::string& { return it.job.group_name; });
  refusals([](F& it) -> std::string& { return it.job.experiment; });
  refusals([](F& it) -> std::string& { return it.job.name; });
  refusals([](F& it) -> std::string& { return it.job.queue; });
  refusals([](F& it) -> std::string& { return it.job.gpu_model; });
  EXPECT_EQ(refusal([](F& it) { it.price_id = PriceId{"a\xff"}; }), "InvalidArgument");
}

// Goal: the message says what is wrong with what. Method: one of each kind.
TEST(RecordForecast, SaysWhatIsWrong) {
  ForecastRecord forecast = bare_forecast("run1");
  forecast.p10_gpu_seconds = 300;
  const std::string crossing = message_of([&] { require_valid(forecast); });
  EXPECT_NE(crossing.find("p10 300"), std::string::npos) << crossing;
  forecast.p10_gpu_seconds = std::nan("");
  const std::string nan = message_of([&] { require_valid(forecast); });
  EXPECT_NE(nan.find("p10_gpu_seconds"), std::string::npos) << nan;
}

// Goal: the id is made of run, kind and time, to the nanosecond, and of nothing else. Method: each
// of them moved; every other field changed.
TEST(RecordForecast, HasADeterministicId) {
  const ForecastRecord forecast = example_forecast("run1", "a1");
  EXPECT_EQ(forecast_event_id(forecast).str(), "run1/forecast/submitted/1764000060000000000");
  ForecastRecord other = forecast;
  other.kind = ForecastKind::Refreshed;
  EXPECT_EQ(forecast_event_id(other).str(), "run1/forecast/refreshed/1764000060000000000");
  other.made_at += Nanoseconds{1};
  EXPECT_EQ(forecast_event_id(other).str(), "run1/forecast/refreshed/1764000060000000001");
  for (const ForecastChange& change : forecast_changes()) {
    other = forecast;
    change.apply(other);
    EXPECT_EQ(forecast_event_id(other), forecast_event_id(forecast)) << change.name;
    EXPECT_NE(other, forecast) << change.name;
  }
}

// Goal: names of kinds and kinds of names are the same. Method: both, and a name that is none.
TEST(RecordForecast, NamesItsKinds) {
  for (const ForecastKind kind : {ForecastKind::Submitted, ForecastKind::Refreshed}) {
    EXPECT_EQ(parse_forecast_kind(forecast_kind_name(kind)), kind);
  }
  EXPECT_EQ(code_of([] { (void)parse_forecast_kind("Submitted"); }), "InvalidArgument");
}

}  // namespace
}  // namespace finops::testing
