// test_predict_forecaster.cpp - what a forecaster says, live and from a history, and its file.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "finops/base/error.hpp"
#include "finops/predict/forecaster.hpp"

namespace finops::predict {
namespace {

using std::chrono::hours;
using std::chrono::seconds;

constexpr UtcTime kStart{hours{24 * 365 * 50}};

Job job_at(int index, UtcTime submit_time, const std::string& user = "u1") {
  Job job;
  job.job_id = "j" + std::to_string(index);
  job.user_name = user;
  job.gpu_count = 2;
  job.requested_seconds = 7200;
  job.submit_time = submit_time;
  return job;
}

// Jobs of one user, one an hour, that run for 600 to 1199 s in a fixed mix.
std::vector<JobRecord> history_of(int count) {
  std::vector<JobRecord> history;
  std::uint64_t state = 7;
  for (int index = 0; index < count; ++index) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    const double run_seconds = 600 + static_cast<double>((state >> 33U) % 600U);
    const UtcTime submit_time = kStart + hours{index};
    JobRecord record{job_at(index, submit_time), submit_time + seconds{5}, {}};
    record.end = JobEnd{submit_time + seconds{5 + static_cast<int>(run_seconds)}, run_seconds,
                        index % 10 == 0 ? JobStatus::FAILED : JobStatus::COMPLETED};
    history.push_back(record);
  }
  return history;
}

void expect_equal(const UsageForecast& lhs, const UsageForecast& rhs) {
  EXPECT_EQ(lhs.p10_gpu_seconds, rhs.p10_gpu_seconds);
  EXPECT_EQ(lhs.p50_gpu_seconds, rhs.p50_gpu_seconds);
  EXPECT_EQ(lhs.p90_gpu_seconds, rhs.p90_gpu_seconds);
  EXPECT_EQ(lhs.mean_gpu_seconds, rhs.mean_gpu_seconds);
  EXPECT_EQ(lhs.ended_job_count, rhs.ended_job_count);
}

// Goal: without any history there is an ordered, wide answer that says it rests on nothing.
TEST(Forecaster, AnswersWithoutHistory) {
  const Forecaster forecaster{ForecasterOptions{}};
  const UsageForecast forecast = forecaster.forecast(job_at(0, kStart), kStart, true);
  EXPECT_EQ(forecast.ended_job_count, 0);
  EXPECT_EQ(forecast.similar_job_count, 0);
  EXPECT_GT(forecast.p10_gpu_seconds, 0);
  EXPECT_GT(forecast.p90_gpu_seconds / forecast.p10_gpu_seconds, 50);
  EXPECT_TRUE(forecast.past_jobs.empty());
}

// Goal: after a steady history the forecast is near it. Method: 1200 to 2398 GPU-seconds each.
TEST(Forecaster, LearnsASteadyKind) {
  Forecaster forecaster{ForecasterOptions{}};
  forecaster.learn(history_of(300));
  const UtcTime now = kStart + hours{400};
  const UsageForecast forecast = forecaster.forecast(job_at(999, now), now, true);
  EXPECT_EQ(forecast.ended_job_count, 300);
  EXPECT_NEAR(forecast.p50_gpu_seconds, 1800, 400);
  EXPECT_NEAR(forecast.mean_gpu_seconds, 1800, 300);
  EXPECT_LT(forecast.p90_gpu_seconds, 3600);
  EXPECT_FALSE(forecast.past_jobs.empty());
  EXPECT_EQ(forecast.past_jobs.front().job_id, "j299");
}

// Goal: the order of a history's rows does not matter, and live feeding gives what learning does.
TEST(Forecaster, SameAnswerForAnyOrderOfRowsAndLive) {
  const std::vector<JobRecord> history = history_of(120);
  Forecaster learned{ForecasterOptions{}};
  learned.learn(history);
  Forecaster reversed{ForecasterOptions{}};
  reversed.learn(std::vector<JobRecord>(history.rbegin(), history.rend()));
  Forecaster live{ForecasterOptions{}};
  for (const JobRecord& record : history) {
    live.submit(record.job);
    live.start(record.job.job_id, *record.start_time);
    live.end(record.job.job_id, *record.end);
    live.refit_if_due(record.end->end_time);
  }
  const UtcTime now = kStart + hours{200};
  const UsageForecast expected = learned.forecast(job_at(999, now), now, false);
  expect_equal(expected, reversed.forecast(job_at(999, now), now, false));
  expect_equal(expected, live.forecast(job_at(999, now), now, false));
}

// Goal: a saved forecaster answers as before, and goes on as before.
TEST(Forecaster, ReturnsFromItsFile) {
  Forecaster forecaster{ForecasterOptions{}};
  forecaster.learn(history_of(250));
  Forecaster loaded = Forecaster::from_json(forecaster.to_json());
  EXPECT_EQ(loaded.to_json(), forecaster.to_json());
  for (int index = 250; index < 260; ++index) {
    const UtcTime now = kStart + hours{index};
    expect_equal(forecaster.submit(job_at(index, now)), loaded.submit(job_at(index, now)));
    const JobEnd end{now + seconds{900}, 850, JobStatus::COMPLETED};
    forecaster.end("j" + std::to_string(index), end);
    loaded.end("j" + std::to_string(index), end);
  }
  EXPECT_EQ(loaded.health().scored_job_count, forecaster.health().scored_job_count);
}

// Goal: a file that was cut, changed, or made to hurt is an Error. Method: one change at a time.
TEST(Forecaster, RefusesDamagedFiles) {
  Forecaster forecaster{ForecasterOptions{}};
  forecaster.learn(history_of(20));
  const std::string good = forecaster.to_json();
  EXPECT_NO_THROW(static_cast<void>(Forecaster::from_json(good)));
  std::string changed = good;
  changed[changed.find("u1") + 1] = '2';
  std::string newer = good;
  newer.replace(newer.find("\"schema_version\":1"), 18, "\"schema_version\":9");
  for (const std::string& bad :
       {std::string(), std::string("[]"), std::string("{}"), good.substr(0, good.size() / 2),
        std::string(100'000, '['), changed}) {
    try {
      static_cast<void>(Forecaster::from_json(bad));
      ADD_FAILURE() << "accepted: " << bad.substr(0, 60);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::InvalidArgument) << bad.substr(0, 60);
    }
  }
  try {
    static_cast<void>(Forecaster::from_json(newer));
    ADD_FAILURE() << "a newer schema was accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::UnsupportedSchema);
  }
}

// Goal: bad input is refused with the caller's error, and changes nothing.
TEST(Forecaster, RefusesBadInput) {
  Forecaster forecaster{ForecasterOptions{}};
  EXPECT_THROW(forecaster.learn({}), Error);
  std::vector<JobRecord> history = history_of(2);
  history[1].end->run_seconds = -1;
  EXPECT_THROW(forecaster.learn(history), Error);
  history[1].end->run_seconds = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THROW(forecaster.learn(history), Error);
  history = history_of(2);
  history[1].job.job_id = "j0";
  EXPECT_THROW(forecaster.learn(history), Error);
  Job job = job_at(1, kStart);
  job.gpu_count = 0;
  EXPECT_THROW(forecaster.submit(job), Error);
  EXPECT_THROW(forecaster.end("nobody", JobEnd{kStart, 1, JobStatus::COMPLETED}), Error);
  forecaster.submit(job_at(2, kStart));
  EXPECT_THROW(forecaster.submit(job_at(3, kStart - seconds{1})), Error);
  EXPECT_THROW(forecaster.submit(job_at(2, kStart)), Error);
}

// Goal: once there are jobs enough the answer rests on trees too, says so, and gives its reasons.
TEST(Forecaster, TreesTakePartAndExplain) {
  Forecaster forecaster{ForecasterOptions{}};
  forecaster.learn(history_of(450));
  const UtcTime now = kStart + hours{500};
  const UsageForecast forecast = forecaster.forecast(job_at(999, now), now, true);
  EXPECT_GE(forecast.tree_weight, 0.5);
  EXPECT_LT(forecast.tree_weight, 1);
  EXPECT_LE(forecast.drivers.size(), 5U);
  EXPECT_EQ(forecast.past_jobs.size(), 5U);
  EXPECT_LE(forecast.p10_gpu_seconds, forecast.p50_gpu_seconds);
  EXPECT_LE(forecast.p50_gpu_seconds, forecast.p90_gpu_seconds);
}

// Goal: a running job's forecast never lies below what it has used.
TEST(Forecaster, RefreshNeverBelowUse) {
  Forecaster forecaster{ForecasterOptions{}};
  forecaster.learn(history_of(100));
  const UtcTime now = kStart + hours{200};
  forecaster.submit(job_at(900, now));
  forecaster.start("j900", now);
  const UsageForecast later = forecaster.refresh("j900", now + hours{5});
  EXPECT_GE(later.p10_gpu_seconds, 2 * 5 * 3600);
  EXPECT_GE(later.p50_gpu_seconds, later.p10_gpu_seconds);
  EXPECT_GE(later.p90_gpu_seconds, later.p50_gpu_seconds);
  EXPECT_GE(later.mean_gpu_seconds, 2 * 5 * 3600);
}

// Goal: the chance falls from 1 to 0 and meets the quantiles. Method: at, below and above each.
TEST(ChanceToExceed, GoesThroughTheQuantiles) {
  UsageForecast forecast;
  forecast.p10_gpu_seconds = 100;
  forecast.p50_gpu_seconds = 1000;
  forecast.p90_gpu_seconds = 5000;
  EXPECT_NEAR(chance_to_exceed(forecast, 100), 0.9, 1e-9);
  EXPECT_NEAR(chance_to_exceed(forecast, 1000), 0.5, 1e-9);
  EXPECT_NEAR(chance_to_exceed(forecast, 5000), 0.1, 1e-9);
  EXPECT_EQ(chance_to_exceed(forecast, -1), 1);
  double before = 1;
  for (int amount = 0; amount < 100'000; amount += 37) {
    const double chance = chance_to_exceed(forecast, amount);
    EXPECT_LE(chance, before) << amount;
    EXPECT_GE(chance, 0) << amount;
    before = chance;
  }
  EXPECT_LT(before, 0.01);
}

}  // namespace
}  // namespace finops::predict
