// test_telemetry.cpp - what is known of a run's use: samples, windows, five-minute records.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "agent/usage_spans.hpp"
#include "agent/usage_windows.hpp"
#include "finops/agent/telemetry.hpp"
#include "support.hpp"
#include "telemetry_support.hpp"

namespace finops::agent {
namespace {

using detect::GpuSight;
using guard::Use;
using testing::code_of;
using testing::message_of;

// Goal: a window's numbers are those of its samples. Method: eleven samples of two GPUs that differ
// in every number, ten seconds apart.
TEST_F(TelemetryRounds, SummaryIsTheWindowsExtremesAndMeans) {
  gpus_ = {held_gpu("GPU-b"), held_gpu("GPU-a")};
  gpus_[1].processes->clear();
  gpus_[1].processes->push_back({.pid = getpid(), .memory_bytes = 1, .utilization = {}});
  for (int round = 0; round <= 11; ++round) {
    gpus_[0].utilization = 10 + round;
    gpus_[0].power_watts = 100 + 10 * round;
    gpus_[1].utilization.reset();
    next_round();
  }
  const guard::UsageSummary usage = summary(seconds{100});
  EXPECT_EQ(usage.asked, seconds{100});
  EXPECT_EQ(usage.covered, seconds{100});
  EXPECT_EQ(usage.sample_count, 11) << "the first look is only the start";
  EXPECT_TRUE(usage.is_enough());
  EXPECT_FALSE(usage.may_miss_gpus);
  ASSERT_EQ(usage.gpus.size(), 2U);
  EXPECT_EQ(usage.gpus[1].uuid, "GPU-b");
  EXPECT_EQ(usage.gpus[1].minimum_utilization, 11.0);
  EXPECT_EQ(usage.gpus[1].maximum_utilization, 21.0);
  EXPECT_DOUBLE_EQ(usage.gpus[1].mean_power_share.value_or(-1), 160.0 / 700.0);
  EXPECT_TRUE(usage.gpus[1].has_process);
  EXPECT_EQ(usage.gpus[0].sample_count, 11);
  EXPECT_EQ(usage.gpus[0].minimum_utilization, std::nullopt) << "MIG: unknown, not zero";
}

// Goal: only samples of the window count, its start included. Method: a busy sample, then idle
// ones; windows that begin just after, at, and just before it.
TEST_F(TelemetryRounds, TheWindowBeginsWhereItWasAskedTo) {
  gpus_ = {held_gpu("GPU-a")};
  next_round();
  gpus_[0].utilization = 90;
  next_round();
  gpus_[0].utilization = 0;
  rounds(10);
  EXPECT_EQ(summary(seconds{99}).gpus.at(0).maximum_utilization, 0.0);
  EXPECT_EQ(summary(seconds{99}).covered, seconds{90});
  EXPECT_EQ(summary(seconds{100}).gpus.at(0).maximum_utilization, 90.0);
  EXPECT_EQ(summary(seconds{101}).covered, seconds{100});
  EXPECT_EQ(guard::use_of(summary(seconds{100}), false), Use::Working);
  EXPECT_EQ(guard::use_of(summary(minutes{30}), false), Use::Unknown) << "too short to judge";
}

// Goal: what was sampled long ago says nothing of now. Method: no rounds for three rounds and more.
TEST_F(TelemetryRounds, ForgetsWhatIsTooOldToSayAnythingOfNow) {
  gpus_ = {held_gpu("GPU-a")};
  rounds(20);
  clock_.advance(seconds{30});
  EXPECT_EQ(summary(minutes{2}).sample_count, 10);
  clock_.advance(Nanoseconds{1});
  EXPECT_EQ(summary(minutes{2}).sample_count, 0);
  EXPECT_EQ(telemetry_.summary(AttemptId{"nobody-1"}, minutes{2}, clock_.now()).sample_count, 0);
}

// Goal: after a suspension of the host the measurement starts anew: nobody looked meanwhile.
// Method: rounds, a gap within the limit, then one beyond.
TEST_F(TelemetryRounds, StartsAnewAfterAGap) {
  gpus_ = {held_gpu("GPU-a")};
  rounds(20);
  clock_.advance(seconds{20});
  next_round();
  EXPECT_EQ(summary(hours{2}).sample_count, 20) << "30 s without a round are three intervals";
  clock_.suspend(hours{1});
  next_round();
  EXPECT_EQ(summary(hours{2}).sample_count, 0);
  rounds(3);
  EXPECT_EQ(summary(hours{2}).sample_count, 3);
}

// Goal: rounds decide when a sample is taken, however often the agent calls. Method: a call a
// second with the time of that second, for a minute.
TEST_F(TelemetryRounds, TakesOneSampleAnInterval) {
  gpus_ = {held_gpu("GPU-a")};
  for (int second = 0; second < 61; ++second) {
    telemetry_.sample(page_, clock_.now());
    telemetry_.sample(page_, clock_.now());
    clock_.advance(seconds{1});
  }
  EXPECT_EQ(summary(minutes{1}).sample_count, 6);
}

// Goal: an agent that looks less often than the interval is served too. Method: a look a minute.
TEST_F(TelemetryRounds, TakesASampleARoundOfASlowAgent) {
  gpus_ = {held_gpu("GPU-a")};
  for (int minute = 0; minute < 15; ++minute) {
    telemetry_.sample(page_, clock_.now());
    clock_.advance(minutes{1});
  }
  EXPECT_EQ(summary(minutes{12}).sample_count, 12);
  EXPECT_TRUE(summary(minutes{12}).is_enough());
}

// Goal: a driver that does not answer makes the window say nothing of GPUs, and a host without one
// is not such a window. Method: blind for one of eleven samples, for two, for all; then no driver.
TEST_F(TelemetryRounds, SaysThatTheDriverWasSilent) {
  gpus_ = {held_gpu("GPU-a")};
  rounds(11);
  sight_ = GpuSight::Blind;
  next_round();
  EXPECT_FALSE(summary(seconds{100}).may_miss_gpus);
  EXPECT_EQ(guard::use_of(summary(seconds{100}), false), Use::Idle) << "ten of eleven samples";
  next_round();
  EXPECT_TRUE(summary(seconds{100}).may_miss_gpus);
  EXPECT_EQ(guard::use_of(summary(seconds{100}), false), Use::Unknown);
  rounds(12);
  EXPECT_TRUE(summary(seconds{100}).gpus.empty());
  EXPECT_EQ(guard::use_of(summary(seconds{100}), false), Use::Unknown);
  sight_ = GpuSight::NoDriver;
  rounds(12);
  EXPECT_FALSE(summary(seconds{100}).may_miss_gpus);
}

// Goal: the day's worth of samples fits into a bounded number of spans, and a window over them
// still has its extremes and its length. Method: a day of samples, one of them busy; windows of all
// sizes.
TEST(UsageSpansTest, CondenseWithoutLosingExtremes) {
  UsageSpans spans;
  const BootTime start{hours{1}};
  constexpr int kCount = 8'640;
  for (int index = 0; index < kCount; ++index) {
    const double utilization = index == kCount / 2 ? 90 : 1;
    spans.add({.at = start + index * seconds{10},
               .cpu_use = 0.01,
               .may_miss_gpus = false,
               .gpus = {{"GPU-a", utilization, 0.25, true}}},
              720);
    ASSERT_LE(spans.size(), 720U);
  }
  const BootTime now = start + (kCount - 1) * seconds{10};
  const guard::UsageSummary day = spans.summary(hours{23}, now);
  EXPECT_GE(day.covered * 10, day.asked * 9);
  EXPECT_EQ(day.gpus.at(0).maximum_utilization, 90.0);
  EXPECT_EQ(day.gpus.at(0).minimum_utilization, 1.0);
  EXPECT_DOUBLE_EQ(day.gpus.at(0).mean_power_share.value_or(-1), 0.25);
  for (const Nanoseconds window : {Nanoseconds{minutes{10}}, Nanoseconds{hours{1}},
                                   Nanoseconds{hours{4}}, Nanoseconds{hours{10}}}) {
    const guard::UsageSummary usage = spans.summary(window, now);
    EXPECT_TRUE(usage.is_enough()) << window.count();
    EXPECT_LE(usage.covered, window);
    EXPECT_EQ(usage.gpus.at(0).maximum_utilization, 1.0) << window.count();
    EXPECT_EQ(usage.gpus.at(0).sample_count, usage.sample_count);
  }
  const Nanoseconds since_busy = (kCount - 1 - kCount / 2) * seconds{10};
  EXPECT_EQ(spans.summary(since_busy + seconds{5}, now).gpus.at(0).maximum_utilization, 90.0)
      << "the window begins inside a merged span, which counts";
  EXPECT_EQ(spans.summary(minutes{5}, now).sample_count, 31) << "the newest are as measured";
}

// Goal: with very many attempts each keeps less, never nothing. Method: a limit below the smallest.
TEST(UsageSpansTest, KeepSomeDetailUnderTheSmallestLimit) {
  UsageSpans spans;
  for (int index = 0; index < 1'000; ++index) {
    spans.add(
        {.at = BootTime{index * seconds{10}}, .cpu_use = 1, .may_miss_gpus = false, .gpus = {}}, 0);
  }
  EXPECT_GE(spans.size(), 10U);
  EXPECT_LE(spans.size(), 40U);
  EXPECT_TRUE(spans.summary(hours{2}, BootTime{999 * seconds{10}}).is_enough());
}

// Goal: several GPUs come and go, and each is counted for itself. Method: one is held for the first
// half only, another for the second; merged spans.
TEST(UsageSpansTest, CountEachGpuForItself) {
  UsageSpans spans;
  for (int index = 0; index < 200; ++index) {
    const std::string uuid = index < 100 ? "GPU-a" : "GPU-b";
    spans.add({.at = BootTime{index * seconds{10}},
               .cpu_use = 0,
               .may_miss_gpus = false,
               .gpus = {{uuid, 1.0, {}, true}}},
              20);
  }
  const guard::UsageSummary usage = spans.summary(hours{1}, BootTime{199 * seconds{10}});
  ASSERT_EQ(usage.gpus.size(), 2U);
  EXPECT_EQ(usage.gpus[0].sample_count, 100);
  EXPECT_EQ(usage.gpus[1].sample_count, 100);
  EXPECT_FALSE(usage.gpus[0].has_process) << "it was let go";
  EXPECT_TRUE(usage.gpus[1].has_process);
  EXPECT_EQ(usage.gpus[0].mean_power_share, std::nullopt);
}

// --- five-minute windows -------------------------------------------------------------------------

UtcTime five_past(Nanoseconds since) {
  return testing::example_time() - testing::example_time().time_since_epoch() % kTelemetryWindow +
         since;
}

// Goal: a window begins at a multiple of five minutes, start included and end excluded, and is
// written once it is over. Method: values just before, at and after the border.
TEST(UsageWindowsTest, AreAlignedAndWrittenWhenTheyAreOver) {
  Taker ledger;
  UsageWindows windows(100);
  const AttemptId id{"run-1"};
  windows.add(id, five_past(minutes{1}), Metric::CpuUse, "", 1.0);
  windows.add(id, five_past(minutes{5} - Nanoseconds{1}), Metric::CpuUse, "", 4.0);
  windows.add(id, five_past(minutes{4}), Metric::GpuPower, "GPU-a", 300.0);
  windows.flush(ledger.sink(), five_past(minutes{5} - Nanoseconds{1}));
  EXPECT_TRUE(ledger.taken.empty()) << "not over yet";
  windows.add(id, five_past(minutes{5}), Metric::CpuUse, "", 9.0);
  windows.flush(ledger.sink(), five_past(minutes{5}));
  ASSERT_EQ(ledger.taken.size(), 2U);
  const TelemetryWindow& first = ledger.taken[0];
  EXPECT_EQ(first.attempt_id, id);
  EXPECT_EQ(first.window_start, five_past({}));
  EXPECT_EQ(first.metric, Metric::CpuUse);
  EXPECT_EQ(first.device, "");
  EXPECT_EQ(first.sample_count, 2);
  EXPECT_EQ(first.minimum, 1.0);
  EXPECT_EQ(first.mean, 2.5);
  EXPECT_EQ(first.maximum, 4.0);
  EXPECT_EQ(ledger.taken[1].device, "GPU-a");
  windows.flush(ledger.sink(), five_past(minutes{10} - Nanoseconds{1}));
  EXPECT_EQ(ledger.taken.size(), 2U);
  windows.flush(ledger.sink(), five_past(minutes{10}));
  ASSERT_EQ(ledger.taken.size(), 3U) << "also without a later value";
  EXPECT_EQ(ledger.taken[2].window_start, five_past(minutes{5}));
  EXPECT_EQ(ledger.taken[2].mean, 9.0);
}

// Goal: windows wait for a ledger that takes none, are written once, in order, and beyond the limit
// the oldest goes, counted and told. Method: a broken ledger; a limit of three.
TEST(UsageWindowsTest, WaitForALedgerThatTakesNone) {
  Taker ledger;
  ledger.failure = ErrorCode::LedgerUnavailable;
  UsageWindows windows(3);
  for (int index = 0; index < 4; ++index) {
    windows.add(AttemptId{"run-1"}, five_past(index * minutes{5}), Metric::CpuUse, "", index);
  }
  EXPECT_EQ(code_of([&] { windows.flush(ledger.sink(), five_past(minutes{15})); }),
            "LedgerUnavailable");
  EXPECT_EQ(windows.pending_count(), 3U);
  EXPECT_EQ(windows.dropped_count(), 0);
  const std::string told =
      message_of([&] { windows.flush(ledger.sink(), five_past(minutes{20})); });
  EXPECT_NE(told.find("1 five-minute windows of measured use were dropped"), std::string::npos)
      << told;
  EXPECT_EQ(windows.dropped_count(), 1);
  const std::string again =
      message_of([&] { windows.flush(ledger.sink(), five_past(minutes{20})); });
  EXPECT_EQ(again.find("dropped"), std::string::npos) << "told once: " << again;
  ledger.failure.reset();
  windows.flush(ledger.sink(), five_past(minutes{20}));
  windows.flush(ledger.sink(), five_past(minutes{20}));
  ASSERT_EQ(ledger.taken.size(), 3U);
  EXPECT_EQ(ledger.taken[0].maximum, 1.0);
  EXPECT_EQ(ledger.taken[2].maximum, 3.0);
  EXPECT_EQ(windows.pending_count(), 0U);
}

// Goal: an attempt that the ledger does not know holds up no other, is tried again, and is given up
// after an hour. Method: two attempts, one refused.
TEST(UsageWindowsTest, GoOnPastAnAttemptThatTheLedgerDoesNotKnow) {
  Taker ledger;
  ledger.unknown = AttemptId{"run-2"};
  UsageWindows windows(100);
  for (const char* name : {"run-1", "run-2", "run-3"}) {
    windows.add(AttemptId{name}, five_past({}), Metric::CpuUse, "", 1.0);
  }
  EXPECT_EQ(code_of([&] { windows.flush(ledger.sink(), five_past(minutes{5})); }), "NotFound");
  EXPECT_EQ(ledger.taken.size(), 2U);
  EXPECT_EQ(windows.pending_count(), 1U);
  EXPECT_EQ(code_of([&] { windows.flush(ledger.sink(), five_past(hours{1})); }), "NotFound");
  EXPECT_EQ(windows.pending_count(), 1U);
  const std::string told =
      message_of([&] { windows.flush(ledger.sink(), five_past(hours{1} + seconds{1})); });
  EXPECT_NE(told.find("dropped"), std::string::npos) << told;
  EXPECT_EQ(windows.pending_count(), 0U);
  EXPECT_EQ(windows.dropped_count(), 1);
  windows.flush(ledger.sink(), five_past(hours{2}));
}

// Goal: the wall clock may jump; no value is lost and no window is written under a wrong start.
// Method: it is set back by an hour in the middle of a window.
TEST(UsageWindowsTest, FollowAWallClockThatWasSetBack) {
  Taker ledger;
  UsageWindows windows(100);
  const AttemptId id{"run-1"};
  windows.add(id, five_past(hours{1} + minutes{1}), Metric::CpuUse, "", 1.0);
  windows.add(id, five_past(minutes{2}), Metric::CpuUse, "", 2.0);
  windows.flush(ledger.sink(), five_past(minutes{5}));
  ASSERT_EQ(ledger.taken.size(), 2U);
  EXPECT_EQ(ledger.taken[0].window_start, five_past(hours{1}));
  EXPECT_EQ(ledger.taken[1].window_start, five_past({}));
}

// Goal: a run that ends in the middle of a window keeps what was measured of it, and nothing of it
// stays. Method: two minutes of rounds, then the end.
TEST_F(TelemetryRounds, WritesTheOpenWindowOfARunThatEnded) {
  gpus_ = {held_gpu("GPU-a")};
  gpus_[0].utilization = 50;
  rounds(13);
  Taker ledger;
  telemetry_.flush_to(ledger.sink(), clock_.now());
  EXPECT_TRUE(ledger.taken.empty());
  telemetry_.end(page_.attempt_id);
  telemetry_.flush_to(ledger.sink(), clock_.now());
  const TelemetryWindow* use = ledger.find(Metric::GpuUtilization, "GPU-a");
  ASSERT_NE(use, nullptr);
  EXPECT_EQ(use->attempt_id, page_.attempt_id);
  EXPECT_EQ(use->sample_count, 12);
  EXPECT_EQ(use->mean, 50.0);
  EXPECT_EQ(ledger.find(Metric::GpuPower, "GPU-a")->maximum, 100.0);
  EXPECT_EQ(ledger.find(Metric::GpuMemory, "GPU-a")->minimum, 5'000.0);
  EXPECT_GT(ledger.find(Metric::Memory, "")->minimum, 0.0) << "this process is the run's";
  EXPECT_EQ(ledger.find(Metric::CpuUse, "")->sample_count, 12);
  EXPECT_EQ(summary(minutes{2}).sample_count, 0);
}

// Goal: what the driver does not tell is no row, not a row of zeros. Method: a GPU without numbers.
TEST_F(TelemetryRounds, WritesNothingOfWhatIsUnknown) {
  gpus_ = {held_gpu("MIG-a")};
  gpus_[0].utilization.reset();
  gpus_[0].power_watts.reset();
  rounds(3);
  telemetry_.end(page_.attempt_id);
  Taker ledger;
  telemetry_.flush_to(ledger.sink(), clock_.now());
  EXPECT_NE(ledger.find(Metric::GpuMemory, "MIG-a"), nullptr);
  EXPECT_EQ(ledger.find(Metric::GpuUtilization, "MIG-a"), nullptr);
  EXPECT_EQ(ledger.find(Metric::GpuPower, "MIG-a"), nullptr);
}

// Goal: an attempt that nobody speaks of any more is let go, and its window is written. Method: a
// quarter of an hour without a sample of it.
TEST_F(TelemetryRounds, LetsGoOfAForgottenAttempt) {
  rounds(3);
  Taker ledger;
  clock_.advance(minutes{15} + seconds{1});
  telemetry_.flush_to(ledger.sink(), clock_.now());
  EXPECT_NE(ledger.find(Metric::CpuUse, ""), nullptr);
}

// Goal: an owner that is gone has no use, rather than none. Method: a page of a process that never
// was.
TEST_F(TelemetryRounds, KnowsNothingOfAnOwnerThatIsGone) {
  page_.process.start_ticks += 1;
  rounds(20);
  EXPECT_EQ(summary(minutes{2}).sample_count, 0);
  EXPECT_EQ(guard::use_of(summary(minutes{2}), true), Use::Unknown);
}

// Goal: a real ledger takes the windows, an attempt that it does not know yet waits for it. Method:
// the attempt's rows come after its first window.
TEST_F(TelemetryRounds, BringsItsWindowsToTheLedger) {
  const testing::TempDir folder;
  const std::unique_ptr<Ledger> ledger = open_ledger(folder / "ledger.db", {});
  gpus_ = {held_gpu("GPU-a")};
  rounds(3);
  telemetry_.end(page_.attempt_id);
  EXPECT_EQ(code_of([&] { telemetry_.flush(*ledger, clock_.now()); }), "Conflict");
  ledger->add_run(testing::example_run("run"));
  ledger->add_attempt(testing::example_attempt("run", "run-1"));
  telemetry_.flush(*ledger, clock_.now());
  telemetry_.flush(*ledger, clock_.now());
  const std::vector<TelemetryWindow> windows = ledger->telemetry(page_.attempt_id);
  ASSERT_EQ(windows.size(), 5U) << "two of the host and three of the GPU";
  EXPECT_TRUE(std::ranges::any_of(windows, [](const TelemetryWindow& window) {
    return window.metric == Metric::GpuPower && window.device == "GPU-a" &&
           window.sample_count == 2 && window.mean == 100.0;
  }));
}

// Goal: the ranks of an attempt are its processes, also when the one that made it is gone. Method:
// this process as a rank of a page whose owner never was.
TEST_F(TelemetryRounds, MeasuresTheRanksOfAnAttempt) {
  gpus_ = {held_gpu("GPU-a")};
  page_.process.start_ticks += 1;
  const std::vector<pid_t> ranks = {getpid()};
  for (int round = 0; round < 12; ++round) {
    clock_.advance(seconds{10});
    telemetry_.sample_ranks(page_, ranks, clock_.now());
  }
  EXPECT_EQ(summary(seconds{100}).sample_count, 11);
  ASSERT_EQ(summary(seconds{100}).gpus.size(), 1U);
  EXPECT_TRUE(summary(seconds{100}).gpus[0].has_process);
}

TEST(TelemetryOptionsTest, RefuseAnIntervalOfZero) {
  EXPECT_EQ(code_of([] { Telemetry(TelemetryOptions{.interval = {}, .pending_limit = 1}); }),
            "InvalidArgument");
}

}  // namespace
}  // namespace finops::agent
