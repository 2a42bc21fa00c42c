// test_predict_ridge.cpp - the cold start: honest without a job, and quick to learn from a few.
#include "finops/predict/ridge.hpp"

#include <cmath>
#include <limits>

#include "predict_features_support.hpp"

namespace finops::predict {
namespace {

using testing::code_of;
using testing::Random;

std::vector<float> unknown_row() {
  return std::vector<float>(feature_names().size(), std::numeric_limits<float>::quiet_NaN());
}

std::size_t column_of(std::string_view name) {
  const auto names = feature_names();
  for (std::size_t index = 0; index < names.size(); ++index) {
    if (names[index] == name) {
      return index;
    }
  }
  return 0;
}

// About a normal deviate: the sum of twelve uniforms.
double normal_of(Random& random) {
  double sum = -6;
  for (int index = 0; index < 12; ++index) {
    sum += static_cast<double>(random.between(0, 1'000'000)) / 1e6;
  }
  return sum;
}

// Goal: with no job it says the prior: about the anchor, and orders of magnitude wide.
TEST(ColdStart, IsWideWithoutAJob) {
  const ColdStart cold;
  const ColdForecast forecast = cold.forecast(unknown_row(), {7.2, 1300, 0});
  EXPECT_EQ(forecast.job_count, 0);
  EXPECT_NEAR(forecast.p50_level, 7.2, 1e-9);
  EXPECT_LT(forecast.p10_level, 2.2) << "the traces' p10 of all users lie at 1.4 to 3.7";
  EXPECT_GT(forecast.p90_level, 12.5) << "the traces' p90 of all users lie at 12.5 to 14.8";
  EXPECT_LT(forecast.p90_level, 16);
  EXPECT_TRUE(std::isfinite(forecast.mean_gpu_seconds));
  EXPECT_GT(forecast.mean_gpu_seconds, std::expm1(forecast.p50_level));
}

// Goal: it learns towards what was put in: a level off the anchor by a constant, and a slope; not all
// of it, since the anchor knows the level already and old jobs fade.
// Method: residual = 2 + 0.5 * sibling_last + noise of 0.5; the forecast follows at least half way.
TEST(ColdStart, LearnsAnOffsetAndASlope) {
  Random random(testing::test_seed());
  ColdStart cold;
  std::vector<float> row = unknown_row();
  row[column_of("sibling_log_count")] = std::log1p(50.0F);
  row[column_of("user_log_count")] = std::log1p(50.0F);
  const Anchor anchor{8, 3000, 30};
  for (int index = 0; index < 400; ++index) {
    const double x = static_cast<double>(random.between(-3000, 3000)) / 1000;
    row[column_of("sibling_last")] = static_cast<float>(x);
    cold.add(row, anchor, 8 + 2 + 0.5 * x + 0.5 * normal_of(random), false);
  }
  row[column_of("sibling_last")] = 3;
  const ColdForecast high = cold.forecast(row, anchor);
  row[column_of("sibling_last")] = -3;
  const ColdForecast low = cold.forecast(row, anchor);
  EXPECT_GT(high.p50_level, 9.75);
  EXPECT_LE(high.p50_level, 11.5);
  EXPECT_GT(high.p50_level - low.p50_level, 1.5);
  EXPECT_LT(high.p50_level - low.p50_level, 3.1);
  EXPECT_LT(high.p90_level - high.p10_level, 4) << "400 jobs outweigh the prior's ten";
}

// Goal: the interval holds what it says at every size of history, known noise. Method: levels with
// a noise of the prior's own width; 80 % must lie inside, within the error of the count.
TEST(ColdStart, CoversFourInFiveFromTheFirstJobOn) {
  Random random(testing::test_seed());
  int inside_count = 0;
  int asked_count = 0;
  for (int round = 0; round < 40; ++round) {
    ColdStart cold;
    std::vector<float> row = unknown_row();
    row[column_of("sibling_log_count")] = std::log1p(50.0F);
    row[column_of("user_log_count")] = std::log1p(50.0F);
    for (int index = 0; index < 50; ++index) {
      const double level = 20 + 2.6 * normal_of(random);
      const ColdForecast forecast = cold.forecast(row, {20, 1, 30});
      ++asked_count;
      inside_count += level >= forecast.p10_level && level <= forecast.p90_level ? 1 : 0;
      cold.add(row, {20, 1, 30}, level, false);
    }
  }
  EXPECT_NEAR(static_cast<double>(inside_count) / asked_count, 0.8, 0.04);
}

// Goal: a job that was stopped counts as one that would have used more. Method: the same jobs; only
// whether they were stopped moves.
TEST(ColdStart, StoppedJobsRaiseTheForecast) {
  ColdStart ended;
  ColdStart stopped;
  const std::vector<float> row = unknown_row();
  for (int index = 0; index < 20; ++index) {
    ended.add(row, {8, 3000, 30}, 8, false);
    stopped.add(row, {8, 3000, 30}, 8, true);
  }
  const double plain = ended.forecast(row, {8, 3000, 30}).p50_level;
  const double raised = stopped.forecast(row, {8, 3000, 30}).p50_level;
  EXPECT_GT(raised, plain + 0.2);
  EXPECT_LT(raised, plain + 20);
}

// Goal: NaN everywhere, and values far out, give finite and ordered forecasts.
TEST(ColdStart, StaysFiniteAndOrdered) {
  Random random(testing::test_seed());
  ColdStart cold;
  for (int index = 0; index < 300; ++index) {
    std::vector<float> row = unknown_row();
    for (float& value : row) {
      if (random.chance(50)) {
        value = static_cast<float>(random.between(-1'000'000, 1'000'000));
      }
    }
    const Anchor anchor{static_cast<double>(random.between(0, 40)), 1, 1};
    const ColdForecast forecast = cold.forecast(row, anchor);
    ASSERT_TRUE(std::isfinite(forecast.p10_level) && std::isfinite(forecast.p90_level) &&
                std::isfinite(forecast.mean_gpu_seconds));
    ASSERT_LE(0, forecast.p10_level);
    ASSERT_LE(forecast.p10_level, forecast.p50_level);
    ASSERT_LE(forecast.p50_level, forecast.p90_level);
    cold.add(row, anchor, static_cast<double>(random.between(0, 40)), random.chance(30));
  }
}

TEST(ColdStart, ConstantTargetsAreLearned) {
  ColdStart cold;
  const std::vector<float> row = unknown_row();
  for (int index = 0; index < 1000; ++index) {
    cold.add(row, {5, 150, 30}, 5, false);
  }
  EXPECT_NEAR(cold.forecast(row, {5, 150, 30}).p50_level, 5, 1e-6);
}

TEST(ColdStart, IsTakenUpFromItsSums) {
  ColdStart cold;
  std::vector<float> row = unknown_row();
  for (int index = 0; index < 30; ++index) {
    row[column_of("gpus")] = static_cast<float>(index % 4);
    cold.add(row, {5, 150, 30}, 5 + index % 3, index % 7 == 0);
  }
  const ColdStart again = ColdStart::from_sums(cold.sums());
  EXPECT_EQ(again.job_count(), 30);
  EXPECT_EQ(again.forecast(row, {5, 150, 30}).p90_level,
            cold.forecast(row, {5, 150, 30}).p90_level);
  std::vector<double> sums = cold.sums();
  sums.back() = std::nan("");
  EXPECT_EQ(code_of([&] { return ColdStart::from_sums(sums); }), "InvalidArgument");
  sums.back() = -1e9;  // no sum of squares
  EXPECT_EQ(code_of([&] { return ColdStart::from_sums(sums); }), "InvalidArgument");
  sums.pop_back();
  EXPECT_EQ(code_of([&] { return ColdStart::from_sums(sums); }), "InvalidArgument");
}

TEST(ColdStart, RefusesWhatIsNoRowAndNoLevel) {
  ColdStart cold;
  std::vector<float> row = unknown_row();
  EXPECT_EQ(code_of([&] { cold.add(row, {}, std::nan(""), false); }), "InvalidArgument");
  row.pop_back();
  EXPECT_EQ(code_of([&] { cold.add(row, {}, 1, false); }), "InvalidArgument");
  EXPECT_EQ(code_of([&] { return cold.forecast(row, {}); }), "InvalidArgument");
  EXPECT_EQ(cold.job_count(), 0);
}

}  // namespace
}  // namespace finops::predict
