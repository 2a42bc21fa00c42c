// test_guard_usage.cpp - what a window of samples says, below, at and above every limit.
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <ostream>
#include <string>

#include "finops/guard/usage.hpp"

namespace finops::guard {

// NOLINTNEXTLINE(readability-identifier-naming): the name is GoogleTest's.
inline void PrintTo(Use use, std::ostream* out) { *out << use_name(use); }

namespace {

using std::chrono::minutes;
using std::chrono::seconds;

GpuUsage gpu(double minimum, double maximum, double power_share) {
  GpuUsage usage;
  usage.uuid = "GPU-a";
  usage.sample_count = 180;
  usage.minimum_utilization = minimum;
  usage.maximum_utilization = maximum;
  usage.mean_power_share = power_share;
  usage.has_process = true;
  return usage;
}

// Half an hour, sampled every ten seconds.
UsageSummary window(double cpu_use, std::vector<GpuUsage> gpus) {
  UsageSummary usage;
  usage.asked = minutes{30};
  usage.covered = minutes{30};
  usage.sample_count = 180;
  usage.maximum_cpu_use = cpu_use;
  usage.gpus = std::move(gpus);
  return usage;
}

constexpr bool kSilent = true;
constexpr bool kReporting = false;

// Goal: too few samples, or too little of the window, say nothing at all. Method: an idle run;
// below and at ten samples and nine tenths.
TEST(GuardUsage, RefusesAWindowTooShortToJudge) {
  UsageSummary usage = window(0, {gpu(0, 0, 0.1)});
  ASSERT_EQ(use_of(usage, kReporting), Use::Idle);
  usage.covered = minutes{27} - seconds{1};
  EXPECT_EQ(use_of(usage, kReporting), Use::Unknown);
  usage.covered = minutes{27};
  EXPECT_EQ(use_of(usage, kReporting), Use::Idle);
  usage.sample_count = 9;
  EXPECT_EQ(use_of(usage, kReporting), Use::Unknown);
  usage.sample_count = 10;
  EXPECT_EQ(use_of(usage, kReporting), Use::Idle);
  EXPECT_EQ(use_of({}, kSilent), Use::Unknown) << "nothing was measured";
}

// Goal: idle is no GPU at 5 % in any sample and less than a tenth of a core. Method: one moves.
TEST(GuardUsage, IdleNeedsEveryGpuAndTheCpuBelowTheirLimits) {
  struct Case {
    double maximum;
    double cpu_use;
    Use expected;
  };
  for (const Case& c :
       {Case{0, 0, Use::Idle}, Case{4.9, 0, Use::Idle}, Case{5, 0, Use::Working},
        Case{5.1, 0, Use::Working}, Case{0, 0.099, Use::Idle}, Case{0, 0.1, Use::Working},
        Case{0, 0.101, Use::Working}, Case{100, 4, Use::Working}}) {
    EXPECT_EQ(use_of(window(c.cpu_use, {gpu(0, c.maximum, 0.9)}), kReporting), c.expected)
        << c.maximum << " %, " << c.cpu_use << " cores";
  }
  EXPECT_EQ(use_of(window(0, {gpu(0, 0, 0.1), gpu(0, 60, 0.5)}), kReporting), Use::Working)
      << "one GPU of two is used";
}

// Goal: a GPU of which too little is known keeps a run from being called idle. Method: no
// utilisation (MIG), a part of the samples, a driver that told nothing.
TEST(GuardUsage, IdleIsNotSaidOfWhatIsNotSeen) {
  UsageSummary usage = window(0, {gpu(0, 0, 0.1), gpu(0, 0, 0.1)});
  ASSERT_EQ(use_of(usage, kReporting), Use::Idle);
  usage.gpus[1].maximum_utilization.reset();
  EXPECT_EQ(use_of(usage, kReporting), Use::Unknown);
  usage.maximum_cpu_use = 0.1;
  EXPECT_EQ(use_of(usage, kReporting), Use::Working) << "the CPU is known to work";

  usage = window(0, {gpu(0, 0, 0.1)});
  usage.gpus[0].sample_count = 161;
  EXPECT_EQ(use_of(usage, kReporting), Use::Unknown) << "below nine tenths of 180";
  usage.gpus[0].sample_count = 162;
  EXPECT_EQ(use_of(usage, kReporting), Use::Idle);
  usage.may_miss_gpus = true;
  EXPECT_EQ(use_of(usage, kReporting), Use::Unknown);
}

// Goal: without a GPU to look at only a run that does nothing at all is idle. Method: below, at and
// above a hundredth and a tenth of a core.
TEST(GuardUsage, WithoutGpusAloneIdleIsAlmostNothing) {
  struct Case {
    double cpu_use;
    Use expected;
  };
  for (const Case& c : {Case{0, Use::Idle}, Case{0.0099, Use::Idle}, Case{0.01, Use::Unknown},
                        Case{0.099, Use::Unknown}, Case{0.1, Use::Working}}) {
    EXPECT_EQ(use_of(window(c.cpu_use, {}), kReporting), c.expected) << c.cpu_use << " cores";
  }
  UsageSummary blind = window(0, {});
  blind.may_miss_gpus = true;
  EXPECT_EQ(use_of(blind, kReporting), Use::Unknown) << "the driver did not answer";
}

// Goal: hung is silent, full in every sample, at less than half of the power. Method: one moves.
TEST(GuardUsage, HungNeedsSilenceFullUtilizationAndLowPower) {
  struct Case {
    double minimum;
    double power_share;
    bool is_silent;
    Use expected;
  };
  for (const Case& c :
       {Case{100, 0.2, kSilent, Use::Hung}, Case{100, 0.2, kReporting, Use::Working},
        Case{95, 0.2, kSilent, Use::Hung}, Case{94.9, 0.2, kSilent, Use::Working},
        Case{100, 0.499, kSilent, Use::Hung}, Case{100, 0.5, kSilent, Use::Working},
        Case{100, 0.501, kSilent, Use::Working}}) {
    // A process that waits in a collective spins on a core too.
    EXPECT_EQ(use_of(window(1, {gpu(c.minimum, 100, c.power_share)}), c.is_silent), c.expected)
        << c.minimum << " %, " << c.power_share << (c.is_silent ? " silent" : " reporting");
  }
}

// Goal: every GPU of the run must look stuck, and all must be known. Method: the second one
// differs.
TEST(GuardUsage, HungNeedsEveryGpu) {
  const GpuUsage stuck = gpu(100, 100, 0.2);
  EXPECT_EQ(use_of(window(1, {stuck, stuck}), kSilent), Use::Hung);
  EXPECT_EQ(use_of(window(1, {stuck, gpu(0, 0, 0.2)}), kSilent), Use::Working);
  GpuUsage other = stuck;
  other.mean_power_share.reset();
  EXPECT_EQ(use_of(window(1, {stuck, other}), kSilent), Use::Working) << "its power is unknown";
  other = stuck;
  other.sample_count = 100;
  EXPECT_EQ(use_of(window(1, {stuck, other}), kSilent), Use::Working) << "seen for a part only";
  EXPECT_EQ(use_of(window(1, {}), kSilent), Use::Working) << "no GPU, no hung collective";
}

// Goal: a number that is none says nothing. Method: not-a-number as CPU use.
TEST(GuardUsage, SaysNothingOfNotANumber) {
  EXPECT_EQ(use_of(window(std::nan(""), {}), kSilent), Use::Unknown);
  EXPECT_EQ(use_of(window(std::nan(""), {gpu(0, 0, 0.1)}), kReporting), Use::Unknown);
}

TEST(GuardUsage, NamesAreForPeople) {
  EXPECT_EQ(use_name(Use::Unknown), "unknown");
  EXPECT_EQ(use_name(Use::Idle), "idle");
  EXPECT_EQ(use_name(Use::Hung), "hung");
  EXPECT_EQ(use_name(Use::Working), "working");
}

}  // namespace
}  // namespace finops::guard
