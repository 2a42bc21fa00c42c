// test_predict_features.cpp - what a row says, by hand: levels, counts, times, the job itself left
// out, and what the stream refuses.
#include "finops/predict/feature_stream.hpp"

#include <algorithm>
#include <cmath>
#include <set>

#include "predict/feature_stream_keys.hpp"
#include "predict/key_statistics.hpp"
#include "predict_features_support.hpp"

namespace finops::predict {
namespace {

using testing::at;
using testing::code_of;
using testing::make_job;
using testing::RowView;

void run_job(FeatureStream& stream, const Job& job, std::int64_t start, std::int64_t end,
             JobStatus status = JobStatus::COMPLETED) {
  stream.submit(job);
  stream.start(job.job_id, at(start));
  stream.end(job.job_id, {at(end), static_cast<double>(end - start), status});
}

TEST(Features, HaveNamesOfTheirOwnAndSigns) {
  const auto names = feature_names();
  EXPECT_LE(names.size(), 64U);
  EXPECT_EQ(std::set<std::string_view>(names.begin(), names.end()).size(), names.size());
  ASSERT_EQ(feature_monotone().size(), names.size());
  for (std::size_t index = 0; index < names.size(); ++index) {
    const bool is_growing = names[index] == "gpus" || names[index] == "planned_steps";
    EXPECT_EQ(feature_monotone()[index], is_growing ? 1 : 0) << names[index];
  }
}

// Goal: without a history a row knows the job alone, and the anchor is the prior.
TEST(Features, KnowTheJobAloneWhereThereIsNoHistory) {
  const FeatureStream stream;
  Job job = make_job("a", 3 * 3600, "u1", 8);
  job.requested_seconds = 7200;
  job.planned_steps = 1000;
  const RowView row(stream, job, 3 * 3600);
  EXPECT_FLOAT_EQ(static_cast<float>(row["gpus"]), std::log(8.0F));
  EXPECT_FLOAT_EQ(static_cast<float>(row["requested_seconds"]), std::log1p(7200.0F));
  EXPECT_FLOAT_EQ(static_cast<float>(row["planned_steps"]), std::log1p(1000.0F));
  EXPECT_EQ(row["hour_of_day"], 3);
  EXPECT_TRUE(std::isnan(row["nodes"]));
  EXPECT_TRUE(std::isnan(row["sibling_last"]));
  EXPECT_TRUE(std::isnan(row["cluster_median"]));
  EXPECT_EQ(row.anchor.job_count, 0);
  EXPECT_GT(row.anchor.log_gpu_seconds, 0);
}

// Goal: levels are differences to the anchor, in the GPU-seconds of the job that asks.
TEST(Features, GiveLevelsAsDifferencesToTheAnchor) {
  FeatureStream stream;
  run_job(stream, make_job("a", 0, "u1", 2), 0, 100);
  run_job(stream, make_job("b", 200, "u1", 2), 200, 600, JobStatus::FAILED);
  const RowView same(stream, make_job("c", 1000, "u1", 2), 1000);
  const double anchor = same.anchor.log_gpu_seconds;
  EXPECT_NEAR(same["sibling_last"], std::log1p(800.0) - anchor, 1e-5);
  EXPECT_NEAR(same["sibling_last_completed"], std::log1p(200.0) - anchor, 1e-5);
  EXPECT_NEAR(same["sibling_log_mean"], std::log1p(500.0) - anchor, 1e-5);
  EXPECT_NEAR(same["sibling_failed_ratio"], 0.5, 1e-6);
  EXPECT_NEAR(same["sibling_log_count"], std::log1p(2.0), 1e-6);
  EXPECT_NEAR(same["sibling_since_end"], std::log1p(400.0), 1e-5);
  EXPECT_NEAR(same.anchor.mean_gpu_seconds, 500, 1e-3);
  EXPECT_EQ(same.anchor.job_count, 2);

  // Of another GPU count the same user's seconds count, times its GPUs.
  const RowView wider(stream, make_job("d", 1000, "u1", 16), 1000);
  EXPECT_TRUE(std::isnan(wider["sibling_last"]));
  EXPECT_NEAR(wider["user_last"], std::log1p(400.0 * 16) - wider.anchor.log_gpu_seconds, 1e-5);
  EXPECT_NEAR(wider.anchor.mean_gpu_seconds, 250 * 16, 1e-2);
}

// Goal: an end is known strictly after its time. Method: only the time of the question moves.
TEST(Features, KnowAnEndOnlyAfterItsTime) {
  FeatureStream stream;
  run_job(stream, make_job("a", 0), 0, 100);
  EXPECT_TRUE(std::isnan(RowView(stream, make_job("b", 100), 100)["sibling_last"]));
  EXPECT_FALSE(std::isnan(RowView(stream, make_job("b", 101), 101)["sibling_last"]));
  EXPECT_EQ(stream.ended_count(), 1U);
  EXPECT_EQ(stream.in_flight_count(), 0U);
}

// Goal: what siblings in flight have used is a lower bound that a row tells; the asking job does
// not count as its own sibling, neither waiting nor running.
TEST(Features, TellOfSiblingsInFlightWithoutTheJobItself) {
  FeatureStream stream;
  for (int index = 0; index < 3; ++index) {
    stream.submit(make_job(std::to_string(index), 10 * index));
  }
  const Job asked = make_job("asked", 30);
  const RowView before(stream, asked, 30);
  stream.submit(asked);
  const RowView after(stream, asked, 30);
  EXPECT_EQ(before.values().size(), after.values().size());
  for (std::size_t index = 0; index < before.values().size(); ++index) {
    const auto left = before.values()[index];
    const auto right = after.values()[index];
    EXPECT_TRUE(left == right || (std::isnan(left) && std::isnan(right))) << feature_names()[index];
  }
  EXPECT_NEAR(before["sibling_waiting"], std::log1p(3.0), 1e-6);
  EXPECT_NEAR(before["sibling_submitted1m"], std::log1p(3.0), 1e-6);
  stream.start("0", at(40));
  stream.start("asked", at(50));
  stream.start("1", at(60));
  stream.start("2", at(70));
  const RowView later(stream, asked, 140);
  const double anchor = later.anchor.log_gpu_seconds;
  EXPECT_NEAR(later["sibling_running"], std::log1p(3.0), 1e-6);
  EXPECT_NEAR(later["sibling_waiting"], 0, 1e-6);
  EXPECT_NEAR(later["sibling_oldest_elapsed"], std::log1p(100.0) - anchor, 1e-5);
  EXPECT_NEAR(later["sibling_median_elapsed"], std::log1p(80.0) - anchor, 1e-5);
  EXPECT_NEAR(later["sibling_youngest_elapsed"], std::log1p(70.0) - anchor, 1e-5);
  EXPECT_NEAR(later["own_elapsed"], std::log1p(90.0) - anchor, 1e-5);
}

// Goal: a burst is what follows within ten minutes, and only its own ends count. Method: the same
// two jobs; only the gap before the third moves.
TEST(Features, CountTheEndsOfTheSameBurst) {
  for (const std::int64_t gap : {600, 601}) {
    FeatureStream stream;
    run_job(stream, make_job("a", 0), 0, 10);
    stream.submit(make_job("b", 20));
    const std::int64_t now = 20 + gap;
    const RowView row(stream, make_job("c", now), now);
    EXPECT_EQ(std::isnan(row["sibling_burst_median"]), gap == 601) << gap;
    EXPECT_FALSE(std::isnan(row["sibling_last"])) << gap;
  }
}

// Goal: the anchor half believes one job and believes thirty. Method: only the number of siblings.
TEST(Features, AnchorLeansOnBroaderKeysWhileSiblingsAreFew) {
  FeatureStream stream;
  std::int64_t now = 0;
  for (int index = 0; index < 30; ++index, now += 2000) {
    run_job(stream, make_job("w" + std::to_string(index), now, "u1", 4), now, now + 1000);
  }
  run_job(stream, make_job("n", now, "u1", 2), now, now + 10);
  const RowView young(stream, make_job("x", now + 100, "u1", 2), now + 100);
  EXPECT_GT(young.anchor.log_gpu_seconds, std::log1p(20.0) + 0.5);
  EXPECT_EQ(young.anchor.job_count, 1);
  const RowView old(stream, make_job("x", now + 100, "u1", 4), now + 100);
  EXPECT_NEAR(old.anchor.log_gpu_seconds, std::log1p(4000.0), 0.05);
  EXPECT_EQ(old.anchor.job_count, 30);
}

TEST(Features, StemsForgetCountersDatesAndHashes) {
  struct Case {
    std::string_view name;
    std::string_view stem;
  };
  constexpr Case kCases[] = {{"SFT-Llama-7b_2026-01-05_run12", "sft-llama-7b-run"},
                             {"sft/llama 7b run3", "sft-llama-7b-run"},
                             {"eval_3f9a1c2e", "eval"},
                             {"20260105T101500", ""},
                             {"", ""},
                             {"decade", "decade"},
                             {"\xc3\xa9t\xc3\xa9-4", "\xc3\xa9t\xc3\xa9"}};
  for (const Case& c : kCases) {
    EXPECT_EQ(name_stem(c.name), c.stem) << c.name;
  }
  EXPECT_LE(name_stem(std::string(100'000, 'x')).size(), 512U);
}

TEST(Features, RefuseWhatMakesNoSense) {
  FeatureStream stream;
  stream.submit(make_job("a", 100));
  EXPECT_EQ(code_of([&] { stream.submit(make_job("a", 100)); }), "InvalidArgument");
  EXPECT_EQ(code_of([&] { stream.submit(make_job("b", 99)); }), "InvalidArgument");
  EXPECT_EQ(code_of([&] { stream.submit(make_job("b", 100, "u1", 0)); }), "InvalidArgument");
  EXPECT_EQ(code_of([&] { stream.start("z", at(100)); }), "NotFound");
  EXPECT_EQ(code_of([&] { stream.end("z", {at(100), 0}); }), "NotFound");
  EXPECT_EQ(code_of([&] { stream.end("a", {at(100), -1}); }), "InvalidArgument");
  EXPECT_EQ(code_of([&] { stream.end("a", {at(100), std::nan("")}); }), "InvalidArgument");
  stream.start("a", at(100));
  EXPECT_EQ(code_of([&] { stream.start("a", at(100)); }), "Conflict");
  stream.end("a", {at(100), 0});
  EXPECT_EQ(code_of([&] { stream.end("a", {at(100), 0}); }), "Conflict");
  std::vector<float> row(feature_names().size() + 1);
  EXPECT_EQ(code_of([&] { stream.row(make_job("b", 100), at(100), row); }), "InvalidArgument");
  row.pop_back();
  EXPECT_EQ(code_of([&] { stream.row(make_job("b", 99), at(99), row); }), "InvalidArgument");
  EXPECT_EQ(code_of([&] { stream.row(make_job("b", 100), at(100), row); }), "none");
  EXPECT_EQ(stream.in_flight_count(), 1U) << "a refused call must leave nothing behind";
}

// Goal: the last 30 levels and their quantiles are those of a plain sort. Method: random levels,
// many of them equal, against std::sort of the last 30.
TEST(KeyStatistics, KeepsTheLastThirtyInOrder) {
  testing::Random random(testing::test_seed());
  RecentJobs recent;
  std::vector<float> all;
  for (int index = 0; index < 200; ++index) {
    EndedJob job;
    job.level = static_cast<float>(random.between(0, 9));
    recent.add(job);
    all.push_back(job.level);
    std::vector<float> last(all.end() - static_cast<std::ptrdiff_t>(recent.size()), all.end());
    ASSERT_EQ(recent.newest(0).level, last.back());
    ASSERT_EQ(recent.newest(recent.size() - 1).level, last.front());
    std::sort(last.begin(), last.end());
    ASSERT_EQ(recent.quantile(0), double{last.front()}) << index;
    ASSERT_EQ(recent.quantile(1), double{last.back()}) << index;
    const std::size_t half = last.size() / 2;
    const double median = last.size() % 2 == 1 ? double{last[half]}
                                               : (double{last[half - 1]} + double{last[half]}) / 2;
    ASSERT_NEAR(recent.quantile(0.5), median, 1e-6) << index;
  }
  EXPECT_EQ(recent.size(), kRecentJobCount);
}

// Goal: a time line holds its limit and forgets the oldest first.
TEST(KeyStatistics, TimeLineHoldsItsLimit) {
  TimeLine line;
  for (std::int64_t time = 0; time < 3 * static_cast<std::int64_t>(kTimeLineLimit); ++time) {
    line.push(time);
  }
  EXPECT_EQ(line.times().size(), kTimeLineLimit);
  EXPECT_EQ(line.count_since(3 * static_cast<std::int64_t>(kTimeLineLimit) - 10), 10U);
  line.remove(5);  // long forgotten
  EXPECT_EQ(line.times().size(), kTimeLineLimit);
  line.remove(line.times()[7]);
  line.remove(line.times().front());
  EXPECT_EQ(line.times().size(), kTimeLineLimit - 2);
  EXPECT_TRUE(std::is_sorted(line.times().begin(), line.times().end()));
}

// Goal: at its limit a table forgets the key that was used the longest ago, but none in flight.
TEST(KeyStatistics, TableForgetsWhatWasUsedTheLongestAgo) {
  KeyTable table(3);
  table.use(1).submit(0, false);  // in flight
  table.use(2);
  table.use(3);
  table.use(2);
  table.use(4);
  EXPECT_NE(table.find(1), nullptr);
  EXPECT_NE(table.find(2), nullptr);
  EXPECT_EQ(table.find(3), nullptr);
  EXPECT_EQ(table.size(), 3U);
  EXPECT_EQ(table.forgotten_count(), 1);
  for (std::uint64_t key = 10; key < 1000; ++key) {
    table.use(key);
  }
  EXPECT_NE(table.find(1), nullptr);
  EXPECT_EQ(table.size(), 3U);
}

}  // namespace
}  // namespace finops::predict
