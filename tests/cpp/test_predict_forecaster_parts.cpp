// test_predict_forecaster_parts.cpp - limits, balance and tracking of a forecaster, each alone, and
// that the forecaster uses them.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "finops/base/error.hpp"
#include "finops/base/fnv1a.hpp"
#include "finops/predict/forecaster.hpp"
#include "finops/predict/model_file.hpp"
#include "predict/forecaster_calibration.hpp"
#include "predict/forecaster_limits.hpp"
#include "predict/forecaster_means.hpp"
#include "predict/splitmix.hpp"

namespace finops::predict {
namespace {

using std::chrono::hours;
using std::chrono::seconds;

constexpr UtcTime kStart{hours{24 * 365 * 50}};
constexpr double kInfinity = std::numeric_limits<double>::infinity();

Job job_at(int index, UtcTime submit_time, std::int64_t requested_seconds) {
  Job job;
  job.job_id = "j" + std::to_string(index);
  job.user_name = "u1";
  job.gpu_count = 2;
  job.requested_seconds = requested_seconds;
  job.submit_time = submit_time;
  return job;
}

// One job an hour of 900 to 1100 s; each asks for so much, and each tenth runs for `longest`.
std::vector<JobRecord> history_of(int count, std::int64_t requested_seconds, double longest) {
  std::vector<JobRecord> history;
  for (int index = 0; index < count; ++index) {
    const double run_seconds = index % 10 == 9 ? longest : 900 + 50 * (index % 5);
    const UtcTime submit_time = kStart + hours{index};
    JobRecord record{job_at(index, submit_time, requested_seconds), submit_time, {}};
    record.end =
        JobEnd{submit_time + seconds{std::lround(run_seconds)}, run_seconds, JobStatus::COMPLETED};
    history.push_back(record);
  }
  return history;
}

// Goal: requests become a limit once a hundred jobs kept to theirs, and stop being one when jobs
// run past it; jobs without a request say nothing. Method: counts, one job at a time.
TEST(RequestLimit, IsLearned) {
  RequestLimit limit;
  const Job job = job_at(1, kStart, 1000);
  for (int index = 0; index < 99; ++index) {
    limit.observe(job, 1000);
  }
  EXPECT_EQ(limit.most_gpu_seconds(job), kInfinity);
  limit.observe(job, 1070);  // the scheduler's grace
  EXPECT_EQ(limit.most_gpu_seconds(job), 2000);
  Job silent = job;
  silent.requested_seconds.reset();
  EXPECT_EQ(limit.most_gpu_seconds(silent), kInfinity);
  limit.observe(silent, 1e9);
  EXPECT_EQ(limit.most_gpu_seconds(job), 2000);
  limit.observe(job, 1200);
  EXPECT_EQ(limit.most_gpu_seconds(job), kInfinity);
}

TEST(RequestLimit, RefusesCountsThatNoJobsGive) {
  RequestLimit limit;
  EXPECT_THROW(limit.set_counts({10, 11}), Error);
  EXPECT_THROW(limit.set_counts({10, -1}), Error);
  EXPECT_THROW(limit.set_counts({1'000'000, 0}), Error);
  limit.set_counts({500, 1});
  EXPECT_EQ(limit.most_gpu_seconds(job_at(1, kStart, 10)), 20);
}

// Goal: a forecaster cuts at a limit that its history keeps, in all that it says; and does not
// where the history overran. Method: the same jobs, asking for 1100 s and for 500 s; then one that
// asks for 500 s.
TEST(Forecaster, CutsAtALimitThatIsKept) {
  const UtcTime now = kStart + hours{200};
  Forecaster kept{ForecasterOptions{}};
  kept.learn(history_of(150, 1100, 1100));
  const UsageForecast cut = kept.forecast(job_at(999, now, 500), now, false);
  EXPECT_EQ(cut.most_gpu_seconds, 1000);
  EXPECT_LE(cut.p90_gpu_seconds, 1000.001);
  EXPECT_LE(cut.p10_gpu_seconds, cut.p50_gpu_seconds);
  EXPECT_LE(cut.mean_gpu_seconds, 1000);
  EXPECT_EQ(chance_to_exceed(cut, 1000), 0);
  Forecaster overrun{ForecasterOptions{}};
  overrun.learn(history_of(150, 500, 1100));
  const UsageForecast open = overrun.forecast(job_at(999, now, 500), now, false);
  EXPECT_EQ(open.most_gpu_seconds, kInfinity);
  EXPECT_GT(open.p50_gpu_seconds, 1500);
}

// Goal: means are moved half of the way (in logs) to what was used over two weeks, after enough
// jobs, and forget what is older. Method: jobs that use four times what was said.
TEST(MeanBalance, MovesMeansTowardsWhatWasUsed) {
  MeanBalance balance;
  for (int index = 0; index < 199; ++index) {
    balance.observe(kStart, 100, 400);
  }
  EXPECT_EQ(balance.factor(), 1);
  balance.observe(kStart + hours{24}, 100, 400);
  EXPECT_NEAR(balance.factor(), 2, 1e-12);
  for (int index = 0; index < 300; ++index) {
    balance.observe(kStart + hours{24 * 20}, 100, 100);
  }
  EXPECT_NEAR(balance.factor(), 1, 1e-12);
  EXPECT_EQ(balance.days().size(), 1U);
}

TEST(MeanBalance, RefusesDaysThatNoJobsGive) {
  MeanBalance balance;
  EXPECT_THROW(balance.set_days({{5, 1, 1, 1}, {5, 1, 1, 1}}), Error);
  EXPECT_THROW(balance.set_days({{5, 1, -1, 1}}), Error);
  EXPECT_THROW(balance.set_days({{5, 1, 1, kInfinity}}), Error);
  EXPECT_THROW(balance.set_days({{5, 0, 1, 1}}), Error);
  balance.set_days({{5, 200, 100, 900}});
  EXPECT_NEAR(balance.factor(), 2, 1e-12);  // at most a ratio of 4
}

// Goal: a job counts above its p90 once, when it is known. Method: the factors after each call.
TEST(Calibration, CountsAJobAboveOnce) {
  Calibration early;
  early.observe_above(0);
  const double raised = early.factors()[0][1];
  EXPECT_GT(raised, 0);
  EXPECT_EQ(early.factors()[0][0], 0);
  early.observe(0, {1, 2, 3}, 5, /*is_known_above=*/true);
  EXPECT_EQ(early.factors()[0][1], raised);
  Calibration late;
  late.observe(0, {1, 2, 3}, 5, /*is_known_above=*/false);
  EXPECT_EQ(late.factors(), early.factors());
}

// Goal: a running job that has used its p90 is noticed before it ends, also by a forecaster that
// was saved and loaded meanwhile; one that waits is not. Method: the promises in the file.
TEST(Forecaster, NoticesJobsPastTheirP90) {
  Forecaster before{ForecasterOptions{}};
  before.learn(history_of(150, 100'000, 1100));
  const UtcTime now = kStart + hours{200};
  before.submit(job_at(900, now, 100'000));
  before.submit(job_at(901, now, 100'000));
  before.start("j900", now);
  Forecaster forecaster = Forecaster::from_json(before.to_json());
  const auto is_known_above = [&forecaster](std::size_t place) {
    const auto file = nlohmann::json::parse(forecaster.to_json());
    return file.at("body").at("promises").at(place).at(7).get<bool>();
  };
  forecaster.submit(job_at(902, now + seconds{60}, 100'000));
  EXPECT_FALSE(is_known_above(0));
  forecaster.submit(job_at(903, now + hours{100}, 100'000));
  EXPECT_TRUE(is_known_above(0));
  EXPECT_FALSE(is_known_above(1));
}

// Goal: with few jobs the answer is the ridge's: near the jobs, and narrower the more there are.
TEST(Forecaster, ColdStartNarrows) {
  const auto span_after = [](int count) {
    Forecaster forecaster{ForecasterOptions{}};
    forecaster.learn(history_of(count, 100'000, 1100));
    const UtcTime now = kStart + hours{count};
    const UsageForecast forecast = forecaster.forecast(job_at(999, now, 100'000), now, false);
    EXPECT_EQ(forecast.tree_weight, 0);
    EXPECT_EQ(forecast.ended_job_count, count);
    EXPECT_GT(forecast.p90_gpu_seconds, 1800);
    EXPECT_LT(forecast.p10_gpu_seconds, 2200);
    return std::log(forecast.p90_gpu_seconds / forecast.p10_gpu_seconds);
  };
  EXPECT_GT(span_after(3), span_after(30));
  EXPECT_GT(span_after(30), span_after(150));
}

void expect_sound(const UsageForecast& forecast, const std::string& what) {
  EXPECT_GE(forecast.p10_gpu_seconds, 0) << what;
  EXPECT_LE(forecast.p10_gpu_seconds, forecast.p50_gpu_seconds) << what;
  EXPECT_LE(forecast.p50_gpu_seconds, forecast.p90_gpu_seconds) << what;
  EXPECT_TRUE(std::isfinite(forecast.p90_gpu_seconds)) << what;
  EXPECT_TRUE(std::isfinite(forecast.mean_gpu_seconds) && forecast.mean_gpu_seconds >= 0) << what;
}

// Goal: histories at the edge give sound answers, with and without trees. Method: 260 jobs each of
// a constant time, of none, all killed, one that ran for years, users of one job each.
TEST(Forecaster, TakesHistoriesAtTheEdge) {
  struct Edge {
    const char* name;
    void (*change)(JobRecord&, int);
  };
  const Edge edges[] = {
      {"constant", [](JobRecord& it, int) { it.end->run_seconds = 100; }},
      {"no time at all", [](JobRecord& it, int) { it.end->run_seconds = 0; }},
      {"all killed", [](JobRecord& it, int) { it.end->status = JobStatus::CANCELLED; }},
      {"one for years", [](JobRecord& it, int i) { it.end->run_seconds = i == 7 ? 3e8 : 10; }},
      {"no user twice", [](JobRecord& it, int i) { it.job.user_name = std::to_string(i); }},
      {"nobody", [](JobRecord& it, int) { it.job.user_name.clear(); }},
  };
  for (const Edge& edge : edges) {
    std::vector<JobRecord> history = history_of(260, 100'000, 1100);
    for (std::size_t index = 0; index < history.size(); ++index) {
      edge.change(history[index], static_cast<int>(index));
    }
    Forecaster forecaster{ForecasterOptions{}};
    forecaster.learn(history);
    const UtcTime now = kStart + hours{300};
    const UsageForecast forecast = forecaster.forecast(job_at(999, now, 100'000), now, true);
    expect_sound(forecast, edge.name);
    EXPECT_GT(forecast.tree_weight, 0) << edge.name;
  }
}

// A forecaster's file with another body, under a checksum that fits.
std::string file_of(const nlohmann::json& body) {
  const std::string text = body.dump();
  return R"({"schema":"finops.forecaster","schema_version":1,"checksum":")" +
         std::to_string(fnv1a(text)) + R"(","body":)" + text + "}";
}

// Goal: forests that contradict each other are put in order. Method: the forest for p10 says what
// that for p90 should, and the other way round.
TEST(Forecaster, OrdersForestsThatCross) {
  ForecasterOptions options;
  options.blend_job_count = 0;  // trees alone
  Forecaster forecaster{options};
  forecaster.learn(history_of(260, 100'000, 1100));
  auto body = nlohmann::json::parse(forecaster.to_json()).at("body");
  ForestModel model = model_from_json(body.at("model").dump());
  model.outputs[0].base += 3;
  model.outputs[2].base -= 3;
  body["model"] = nlohmann::json::parse(model_to_json(model));
  const Forecaster crossed = Forecaster::from_json(file_of(body));
  const UtcTime now = kStart + hours{300};
  const UsageForecast forecast = crossed.forecast(job_at(999, now, 100'000), now, false);
  EXPECT_EQ(forecast.tree_weight, 1);
  expect_sound(forecast, "crossed");
  EXPECT_GT(forecast.p90_gpu_seconds, 5 * forecast.p10_gpu_seconds);
}

// Goal: answers are in order and finite, whatever is learned. Method: random jobs in flight at
// once, of five users, with times over eight orders of magnitude; each answer at submission, and
// one refreshed.
TEST(Forecaster, AnswersSoundlyWhateverItLearns) {
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    SplitMix64 random(seed);
    const auto below = [&random](std::uint64_t count) {
      return static_cast<std::int64_t>(random.below(count));
    };
    ForecasterOptions options;
    options.tree_count = 10;
    options.refit_job_count = 20;
    Forecaster forecaster{options};
    UtcTime now = kStart;
    for (int index = 0; index < 300; ++index) {
      now += seconds{below(4'000)};
      Job job = job_at(index, now, 1 + below(100'000));
      job.user_name = std::to_string(below(5));
      job.gpu_count = 1 << below(6);
      forecaster.refit_if_due(now);
      expect_sound(forecaster.submit(job), "seed " + std::to_string(seed));
      forecaster.start(job.job_id, now);
      if (index % 3 != 0 && index >= 3) {
        const int ended = index - 2;
        const double run_seconds = std::pow(10.0, static_cast<double>(below(800)) / 100);
        forecaster.end("j" + std::to_string(ended), {now, run_seconds, JobStatus::COMPLETED});
      }
      expect_sound(forecaster.refresh(job.job_id, now + seconds{below(100'000)}),
                   "refreshed, seed " + std::to_string(seed));
    }
  }
}

}  // namespace
}  // namespace finops::predict
