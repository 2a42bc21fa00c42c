// test_predict_features_lookahead.cpp - a row knows nothing of what comes after it: random
// histories with bursts, equal times, and jobs that never end.
#include <cmath>
#include <cstring>

#include "predict_features_support.hpp"

namespace finops::predict {
namespace {

using testing::at;
using testing::Random;

std::span<const float> row_of(const FeatureTable& table, std::size_t index) {
  const std::size_t count = feature_names().size();
  return std::span(table.features).subspan(index * count, count);
}

// Bit by bit: a NaN equals itself.
void expect_equal_rows(const FeatureTable& left, const FeatureTable& right, std::size_t index,
                       const std::string& what) {
  const std::span<const float> one = row_of(left, index);
  const std::span<const float> other = row_of(right, index);
  for (std::size_t column = 0; column < one.size(); ++column) {
    ASSERT_EQ(std::memcmp(&one[column], &other[column], sizeof(float)), 0)
        << what << ": row " << index << ", " << feature_names()[column] << " was " << one[column]
        << ", is " << other[column];
  }
  ASSERT_EQ(left.anchors[index].log_gpu_seconds, right.anchors[index].log_gpu_seconds) << what;
  ASSERT_EQ(left.anchors[index].mean_gpu_seconds, right.anchors[index].mean_gpu_seconds) << what;
}

// Another future for all that has not come to pass by `now`: what has not started by then starts
// some time, what has not ended strictly before ends some time, perhaps at once.
std::vector<JobRecord> with_another_future(std::vector<JobRecord> records, UtcTime now,
                                           Random& random) {
  const auto later = [&random](UtcTime from) {
    return from + std::chrono::seconds{random.chance(30) ? 0 : 60 * random.between(0, 3000)};
  };
  for (JobRecord& record : records) {
    if (record.end.has_value() && record.end->end_time < now) {
      continue;
    }
    if (!record.start_time.has_value() || *record.start_time >= now) {
      record.start_time.reset();
      if (random.chance(80)) {
        record.start_time = later(std::max(now, record.job.submit_time));
      }
    }
    record.end.reset();
    if (random.chance(80)) {
      record.end = JobEnd{later(std::max(now, record.start_time.value_or(record.job.submit_time))),
                          static_cast<double>(random.between(0, 1'000'000)),
                          static_cast<JobStatus>(random.between(0, 4))};
    }
  }
  return records;
}

// Goal: cutting off later rows changes no earlier one. Method: every prefix of random histories.
TEST(FeaturesLookAhead, APrefixKeepsItsRows) {
  const std::uint64_t seed = testing::test_seed();
  SCOPED_TRACE("FINOPS_TEST_SEED=" + std::to_string(seed));
  Random random(seed);
  for (int round = 0; round < 5; ++round) {
    const std::vector<JobRecord> records = testing::random_history(random, 120);
    const FeatureTable whole = build_features(records);
    for (std::size_t count = 1; count < records.size(); count += 3) {
      const FeatureTable cut = build_features(std::span(records).first(count));
      for (std::size_t index = 0; index < count; ++index) {
        expect_equal_rows(whole, cut, index, "cut at " + std::to_string(count));
        if (HasFatalFailure()) {
          return;
        }
      }
    }
  }
}

// Goal: run time, status, start and end of what is unfinished at a submission do not reach its row,
// nor any row before. Method: another future from each submission on; ends at the very second of
// the submission are among them.
TEST(FeaturesLookAhead, TheFutureOfUnfinishedJobsReachesNoRow) {
  const std::uint64_t seed = testing::test_seed();
  SCOPED_TRACE("FINOPS_TEST_SEED=" + std::to_string(seed));
  Random random(seed);
  for (int round = 0; round < 10; ++round) {
    const std::vector<JobRecord> records = testing::random_history(random, 150);
    const FeatureTable real = build_features(records);
    for (std::size_t index = 0; index < records.size(); index += 5) {
      const UtcTime now = records[index].job.submit_time;
      const FeatureTable other = build_features(with_another_future(records, now, random));
      for (std::size_t row = 0; row <= index; ++row) {
        expect_equal_rows(real, other, row, "another future from row " + std::to_string(index));
        if (HasFatalFailure()) {
          return;
        }
      }
    }
  }
}

// Goal: the tests above can fail. Method: a job that did end before the submission gets another run
// time; the row must change.
TEST(FeaturesLookAhead, ThePastDoesReachTheRow) {
  Random random(testing::test_seed());
  std::vector<JobRecord> records = testing::random_history(random, 150);
  const FeatureTable real = build_features(records);
  int changed_count = 0;
  for (std::size_t index = 100; index < records.size(); ++index) {
    std::vector<JobRecord> other = records;
    for (JobRecord& record : other) {
      if (record.end.has_value() && record.end->end_time < records[index].job.submit_time) {
        record.end->run_seconds += 5000;
      }
    }
    const FeatureTable table = build_features(other);
    changed_count +=
        real.anchors[index].log_gpu_seconds != table.anchors[index].log_gpu_seconds ? 1 : 0;
  }
  EXPECT_EQ(changed_count, 50);
}

// Goal: a burst of ten thousand siblings costs little more a job than a hundred do: nothing walks
// over the jobs in flight. Method: it is fed and asked, all in flight at once; it ends in order.
TEST(FeaturesLookAhead, ABurstOfTenThousandIsTold) {
  FeatureStream stream;
  constexpr int kJobCount = 10'000;
  std::vector<float> row(feature_names().size());
  for (int index = 0; index < kJobCount; ++index) {
    const Job job = testing::make_job(std::to_string(index), 0);
    stream.row(job, at(0), row);
    stream.submit(job);
  }
  for (int index = 0; index < kJobCount; ++index) {
    stream.start(std::to_string(index), at(1));
  }
  for (int index = 0; index < kJobCount; ++index) {
    stream.end(std::to_string(index), {at(100), 99});
  }
  const testing::RowView last(stream, testing::make_job("z", 200), 200);
  EXPECT_EQ(stream.ended_count(), static_cast<std::size_t>(kJobCount));
  EXPECT_NEAR(last["sibling_last"] + last.anchor.log_gpu_seconds, std::log1p(99.0), 1e-5);
  EXPECT_NEAR(last["sibling_running"], 0, 1e-6);
  EXPECT_NEAR(last["sibling_waiting"], 0, 1e-6);
}

}  // namespace
}  // namespace finops::predict
