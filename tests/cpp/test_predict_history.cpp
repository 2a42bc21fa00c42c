// test_predict_history.cpp - which rows make a history: every row is kept or counted with a reason.
#include "finops/predict/history.hpp"

#include <cmath>
#include <limits>

#include "predict_features_support.hpp"

namespace finops::predict {
namespace {

using testing::at;
using testing::code_of;
using testing::make_job;
using testing::make_record;

// Goal: each kind of bad row is named by its column, beside the nearest good one. Method: one good
// record; only one value moves.
TEST(History, NamesTheColumnOfABadRow) {
  const double nan = std::nan("");
  struct Case {
    const char* what;
    void (*change)(JobRecord&);
    const char* column;  // empty: the row is good
  };
  const Case cases[] = {
      {"as it is", [](JobRecord&) {}, ""},
      {"no id", [](JobRecord& row) { row.job.job_id.clear(); }, "job_id"},
      {"GPUs below 0", [](JobRecord& row) { row.job.gpu_count = -1; }, "gpu_count"},
      {"nodes below 0", [](JobRecord& row) { row.job.node_count = -1; }, "node_count"},
      {"request of 0", [](JobRecord& row) { row.job.requested_seconds = 0; }, ""},
      {"request below 0", [](JobRecord& row) { row.job.requested_seconds = -1; },
       "requested_seconds"},
      {"steps below 0", [](JobRecord& row) { row.job.planned_steps = -1; }, "planned_steps"},
      {"submitted before 1970",
       [](JobRecord& row) { row.job.submit_time = UtcTime{} - Nanoseconds{1}; }, "submit_time"},
      {"start before submission",
       [](JobRecord& row) { row.start_time = row.job.submit_time - Nanoseconds{1}; }, "start_time"},
      {"end at the start", [](JobRecord& row) { row.end->end_time = *row.start_time; }, ""},
      {"end before the start",
       [](JobRecord& row) { row.end->end_time = *row.start_time - Nanoseconds{1}; }, "end_time"},
      {"end before the submission, no start",
       [](JobRecord& row) {
         row.start_time.reset();
         row.end->end_time = row.job.submit_time - Nanoseconds{1};
       },
       "end_time"},
      {"run time below 0", [](JobRecord& row) { row.end->run_seconds = -1; }, "run_seconds"},
      {"run time infinite",
       [](JobRecord& row) { row.end->run_seconds = std::numeric_limits<double>::infinity(); },
       "run_seconds"},
      {"end past 2200", [](JobRecord& row) { row.end->end_time = UtcTime::max(); }, "end_time"},
  };
  for (const Case& c : cases) {
    JobRecord row = make_record(make_job("a", 0), 100);
    c.change(row);
    const History history = check_history({row});
    if (*c.column == '\0') {
      EXPECT_EQ(history.problem_count, 0) << c.what;
      EXPECT_EQ(history.records.size(), 1U) << c.what;
    } else {
      ASSERT_EQ(history.problems.size(), 1U) << c.what;
      EXPECT_EQ(history.problems[0].column, c.column) << c.what;
      EXPECT_EQ(history.problems[0].row_index, 0U) << c.what;
      EXPECT_FALSE(history.problems[0].reason.empty()) << c.what;
      EXPECT_TRUE(history.records.empty()) << c.what;
    }
  }
  JobRecord row = make_record(make_job("a", 0), 100);
  row.end->run_seconds = nan;
  EXPECT_EQ(check_history({row}).records.at(0).end->run_seconds, 100) << "end minus start";
  row.start_time.reset();
  EXPECT_EQ(check_history({row}).problems.at(0).column, "run_seconds") << "nothing says how long";
}

// Goal: nothing is dropped silently. Method: rows of every kind; the counts add up.
TEST(History, CountsEveryRow) {
  std::vector<JobRecord> rows;
  rows.push_back(make_record(make_job("late", 500), 10));
  rows.push_back(make_record(make_job("early", 0), 10));
  rows.push_back(make_record(make_job("early", 100), 10));  // an id that came before
  rows.push_back(make_record(make_job("cpu", 100, "u1", 0), 10));
  JobRecord running;
  running.job = make_job("running", 200);
  rows.push_back(running);
  JobRecord no_times;
  no_times.job = make_job("no times", 300);
  no_times.end = JobEnd{UtcTime{}, 60, JobStatus::COMPLETED};
  rows.push_back(no_times);
  const History history = check_history(rows);
  EXPECT_EQ(history.records.size() + static_cast<std::size_t>(history.problem_count) +
                static_cast<std::size_t>(history.cpu_job_count),
            rows.size());
  EXPECT_EQ(history.problem_count, 1);
  EXPECT_EQ(history.problems.at(0).row_index, 2U);
  EXPECT_EQ(history.problems.at(0).column, "job_id");
  EXPECT_EQ(history.cpu_job_count, 1);
  EXPECT_EQ(history.unfinished_count, 1);
  EXPECT_EQ(history.assumed_time_count, 1);
  ASSERT_EQ(history.records.size(), 4U);
  EXPECT_EQ(history.records[0].job.job_id, "early");
  EXPECT_EQ(history.records[2].start_time, at(300));
  EXPECT_EQ(history.records[2].end->end_time, at(360));
  EXPECT_EQ(history.records[3].job.job_id, "late");
}

TEST(History, ListsOnlySoManyProblems) {
  std::vector<JobRecord> rows(kMaxListedProblems + 5);
  const History history = check_history(rows);
  EXPECT_EQ(history.problems.size(), kMaxListedProblems);
  EXPECT_EQ(history.problem_count, static_cast<std::int64_t>(kMaxListedProblems) + 5);
}

// Goal: of equal submit times, plain numbers come in their own order, not as texts.
TEST(History, OrdersNumbersAsNumbers) {
  std::vector<JobRecord> rows;
  for (const char* id : {"10", "9", "100"}) {
    rows.push_back(make_record(make_job(id, 0), 1));
  }
  const History history = check_history(rows);
  EXPECT_EQ(history.records[0].job.job_id, "9");
  EXPECT_EQ(history.records[1].job.job_id, "10");
  EXPECT_EQ(history.records[2].job.job_id, "100");
}

TEST(History, EventsAtOneTimeAreSubmitStartEnd) {
  const std::vector<JobRecord> records{make_record(make_job("a", 0), 0),
                                       make_record(make_job("b", 0), 5)};
  const std::vector<JobEvent> events = events_of(records);
  ASSERT_EQ(events.size(), 6U);
  const JobEventKind kinds[] = {JobEventKind::Submit, JobEventKind::Submit, JobEventKind::Start,
                                JobEventKind::Start,  JobEventKind::End,    JobEventKind::End};
  for (std::size_t index = 0; index < events.size(); ++index) {
    EXPECT_EQ(events[index].kind, kinds[index]) << index;
  }
  EXPECT_EQ(events[5].time, at(5));
}

TEST(History, RefusesRecordsOutOfOrder) {
  const std::vector<JobRecord> records{make_record(make_job("a", 10), 0),
                                       make_record(make_job("b", 0), 0)};
  EXPECT_EQ(code_of([&] { return build_features(records); }), "InvalidArgument");
  EXPECT_TRUE(build_features({}).features.empty());
}

TEST(History, StatusNamesAreReadBack) {
  for (const JobStatus status : {JobStatus::COMPLETED, JobStatus::FAILED, JobStatus::TIMEOUT,
                                 JobStatus::CANCELLED, JobStatus::CANCELLED_BY_SYSTEM}) {
    EXPECT_EQ(parse_job_status(job_status_name(status)), status);
  }
  EXPECT_EQ(code_of([] { return parse_job_status("completed"); }), "InvalidArgument");
}

// Goal: histories at the edge make rows: one user, all killed, no user at all, a million
// categories' worth of strange words. Method: every value is finite or NaN, no anchor is either.
TEST(History, EdgeHistoriesMakeRows) {
  std::vector<JobRecord> killed;
  std::vector<JobRecord> strangers;
  for (int index = 0; index < 300; ++index) {
    killed.push_back(make_record(make_job(std::to_string(index), index, "", 1), 50,
                                 JobStatus::CANCELLED));
    Job job = make_job(std::to_string(index), index, "user" + std::to_string(index), 1'000'000);
    job.group_name = std::string(1000, static_cast<char>(index));
    job.name = job.group_name;
    job.requested_seconds = std::numeric_limits<std::int64_t>::max();
    job.planned_steps = std::numeric_limits<std::int64_t>::max();
    strangers.push_back(make_record(std::move(job), index % 2 == 0 ? 0 : 1'000'000'000));
  }
  for (const std::vector<JobRecord>& rows : {killed, strangers}) {
    const History history = check_history(rows);
    ASSERT_EQ(history.problem_count, 0) << history.problems.at(0).reason;
    const FeatureTable table = build_features(history.records);
    for (const float value : table.features) {
      ASSERT_FALSE(std::isinf(value));
    }
    for (const Anchor& anchor : table.anchors) {
      ASSERT_TRUE(std::isfinite(anchor.log_gpu_seconds) && std::isfinite(anchor.mean_gpu_seconds));
      ASSERT_GE(anchor.log_gpu_seconds, 0);
    }
  }
}

}  // namespace
}  // namespace finops::predict
