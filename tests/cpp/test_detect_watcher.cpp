// test_detect_watcher.cpp - a thread that waits for the driver, and readers that never do.
//
// The names hold "Thread": these run under ThreadSanitizer too.
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "fake_driver.hpp"
#include "finops/detect/gpu_watcher.hpp"
#include "support.hpp"

namespace finops::detect {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::Child;
using testing::code_of;
using testing::eventually;
using testing::FakeDriver;

constexpr Nanoseconds kPatience = seconds{30};
constexpr const char* kTwoGpus = "gpu uuid=GPU-a utilization=10\ngpu uuid=GPU-b utilization=20\n";

GpuWatcherOptions options(Nanoseconds interval = milliseconds{20}) {
  GpuWatcherOptions options;
  options.interval = interval;
  options.stop_limit = milliseconds{50};
  options.library = std::string(FINOPS_FAKE_NVML_DIR) + "/v3/libnvidia-ml.so.1";
  return options;
}

bool comes(const GpuWatcher& watcher, GpuSight sight) {
  return eventually([&] { return watcher.latest().sight == sight; }, kPatience);
}

// Goal: nothing is asked before `start`, and from then on readings follow the driver. Method: the
// driver's answer moves; an interval that no reading outlives in this test.
TEST(GpuWatcherThread, FollowsTheDriver) {
  const FakeDriver driver(kTwoGpus);
  GpuWatcher watcher(options(seconds{1}));
  EXPECT_EQ(watcher.latest().sight, GpuSight::Blind);
  EXPECT_FALSE(watcher.latest().why.empty());
  watcher.start();
  watcher.start();  // again: no second thread
  ASSERT_TRUE(comes(watcher, GpuSight::Fresh)) << watcher.latest().why;
  ASSERT_EQ(watcher.latest().gpus.size(), 2U);
  EXPECT_EQ(watcher.latest().gpus[1].utilization, 20.0);
  driver.say("gpu uuid=GPU-a utilization=77\n");
  EXPECT_TRUE(eventually(
      [&] {
        const GpuReading reading = watcher.latest();
        return reading.gpus.size() == 1 && reading.gpus[0].utilization == 77.0;
      },
      kPatience));
}

// Goal: a host without a driver is no host with a silent one. Method: a library that nobody has.
TEST(GpuWatcherThread, KnowsAHostWithoutADriver) {
  if (access("/dev/nvidiactl", F_OK) == 0) {
    return;  // this host has one: KnowsWhyTheDriverIsRefused covers it
  }
  GpuWatcherOptions none = options();
  none.library = "libnvidia-of-nobody.so.1";
  GpuWatcher watcher(none);
  watcher.start();
  ASSERT_TRUE(comes(watcher, GpuSight::NoDriver));
  EXPECT_NE(watcher.latest().why.find("libnvidia-of-nobody"), std::string::npos);
}

// Goal: a driver that refuses is told, asked again, and used once it works. Method: a library that
// is newer than its driver; then it is repaired.
TEST(GpuWatcherThread, AsksARefusingDriverAgain) {
  const FakeDriver driver(std::string(kTwoGpus) + "error nvmlInit_v2 18\n");
  GpuWatcher watcher(options());
  watcher.start();
  ASSERT_TRUE(eventually([&] { return watcher.latest().why.find("NVML 18") != std::string::npos; },
                         kPatience));
  EXPECT_EQ(watcher.latest().sight, GpuSight::Blind);
  driver.say(kTwoGpus);
  EXPECT_TRUE(comes(watcher, GpuSight::Fresh)) << watcher.latest().why;
}

// Goal: a driver that no longer answers is opened anew, since it may have been replaced. Method: it
// cannot count any more, and refuses to be opened: only who opens it hears why.
TEST(GpuWatcherThread, OpensADriverAnewThatNoLongerAnswers) {
  const FakeDriver driver(kTwoGpus);
  GpuWatcher watcher(options());
  watcher.start();
  ASSERT_TRUE(comes(watcher, GpuSight::Fresh));
  driver.say(std::string(kTwoGpus) + "error nvmlDeviceGetCount_v2 999\nerror nvmlInit_v2 18\n");
  EXPECT_TRUE(eventually([&] { return watcher.latest().why.find("NVML 18") != std::string::npos; },
                         kPatience));
  EXPECT_TRUE(comes(watcher, GpuSight::Blind));
}

// Goal: a driver that blocks makes readings grow old, then unknown, and never a reader wait; when
// it answers again, so do we. Method: it blocks in the middle of a look, after good ones.
TEST(GpuWatcherThread, GivesOutNothingOldOfADriverThatBlocks) {
  const FakeDriver driver(kTwoGpus);
  GpuWatcher watcher(options());
  watcher.start();
  ASSERT_TRUE(comes(watcher, GpuSight::Fresh));
  driver.say(std::string(kTwoGpus) + "block nvmlDeviceGetPowerUsage\n");
  ASSERT_TRUE(comes(watcher, GpuSight::Blind));
  const auto until = std::chrono::steady_clock::now() + milliseconds{200};
  while (std::chrono::steady_clock::now() < until) {
    const GpuReading reading = watcher.latest();
    ASSERT_EQ(reading.sight, GpuSight::Blind);
    ASSERT_TRUE(reading.gpus.empty());
    ASSERT_GT(reading.age, 3 * milliseconds{20}) << "the age says since when";
  }
  driver.say(kTwoGpus);
  EXPECT_TRUE(comes(watcher, GpuSight::Fresh));
}

// Goal: a driver that never answers does not hold up the watcher's end. Method: it blocks in each
// function in turn, also in the shutdown; the end is waited for by a limit of the test only.
TEST(GpuWatcherThread, EndsWhileTheDriverBlocks) {
  const FakeDriver driver(kTwoGpus);
  for (const char* function : {"nvmlInit_v2", "nvmlDeviceGetCount_v2", "nvmlShutdown"}) {
    driver.say(std::string(kTwoGpus) + "block " + function + "\n");
    auto watcher = std::make_unique<GpuWatcher>(options());
    watcher->start();
    if (std::string(function) == "nvmlShutdown") {
      ASSERT_TRUE(comes(*watcher, GpuSight::Fresh));
    } else {
      EXPECT_EQ(watcher->latest().sight, GpuSight::Blind) << function;
    }
    watcher.reset();
    driver.say(kTwoGpus);  // lets the thread that was left to itself end
  }
}

// Goal: a process whose driver never answers exits by itself, without delay. Method: this test runs
// itself in a process that ends as every program does; a Child waits ten seconds for it.
TEST(GpuWatcherThread, LetsTheProcessExitWhileTheDriverBlocks) {
  if (std::getenv("FINOPS_TEST_WATCHER_CHILD") != nullptr) {
    GpuWatcher watcher(options());
    watcher.start();
    EXPECT_EQ(watcher.latest().sight, GpuSight::Blind);
    return;
  }
  const FakeDriver driver(std::string(kTwoGpus) + "block nvmlInit_v2\n");
  Child child([&](const std::function<void()>& say_ready) {
    say_ready();
    setenv("FINOPS_TEST_WATCHER_CHILD", "1", 1);
    execl("/proc/self/exe", "finops_tests",
          "--gtest_filter=GpuWatcherThread.LetsTheProcessExitWhileTheDriverBlocks", nullptr);
    return 97;
  });
  EXPECT_EQ(child.wait(), 0);
}

// Goal: a forked child has no thread: it answers nothing, and its end waits for nobody. Method:
// fork while the thread works.
TEST(GpuWatcherThread, DoesNothingInAForkedChild) {
  const FakeDriver driver(kTwoGpus);
  GpuWatcherOptions patient = options(milliseconds{1});
  patient.stop_limit = seconds{60};  // more than a Child is waited for
  auto watcher = std::make_unique<GpuWatcher>(patient);
  watcher->start();
  ASSERT_TRUE(comes(*watcher, GpuSight::Fresh));
  Child child([&](const std::function<void()>& say_ready) {
    say_ready();
    const bool is_blind = watcher->latest().sight == GpuSight::Blind;
    watcher.reset();
    return is_blind ? 0 : 1;
  });
  EXPECT_EQ(child.wait(), 0);
  EXPECT_TRUE(comes(*watcher, GpuSight::Fresh)) << "the parent's thread goes on";
}

// Goal: signals go to the agent's own thread. Method: the blocked signals of the thread by its
// name.
TEST(GpuWatcherThread, LeavesSignalsToOthers) {
  const FakeDriver driver(kTwoGpus);
  GpuWatcher watcher(options());
  watcher.start();
  ASSERT_TRUE(comes(watcher, GpuSight::Fresh));
  std::string blocked;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    std::string name;
    std::ifstream(task.path() / "comm") >> name;
    std::ifstream status(task.path() / "status");
    std::string word;
    while (name == "finops-nvml" && status >> word) {
      if (word == "SigBlk:") {
        status >> blocked;
      }
    }
  }
  ASSERT_FALSE(blocked.empty());
  const std::uint64_t mask = std::stoull(blocked, nullptr, 16);
  for (const int signal_number : {SIGTERM, SIGINT, SIGHUP, SIGCHLD}) {
    EXPECT_NE(mask & (1ULL << (signal_number - 1)), 0U) << signal_number;
  }
}

// Goal: many may read while the thread writes. Method: readers beside a fast watcher; what they see
// is always whole.
TEST(GpuWatcherThread, ServesManyReaders) {
  const FakeDriver driver(kTwoGpus);
  GpuWatcher watcher(options(milliseconds{1}));
  watcher.start();
  ASSERT_TRUE(comes(watcher, GpuSight::Fresh));
  std::atomic<int> torn_count = 0;
  std::vector<std::thread> readers;
  readers.reserve(3);
  for (int reader = 0; reader < 3; ++reader) {
    readers.emplace_back([&] {
      for (int round = 0; round < 200; ++round) {
        const GpuReading reading = watcher.latest();
        const std::size_t expected = reading.sight == GpuSight::Fresh ? 2 : 0;
        torn_count += reading.gpus.size() == expected ? 0 : 1;
      }
    });
  }
  for (std::thread& reader : readers) {
    reader.join();
  }
  EXPECT_EQ(torn_count, 0);
}

// Goal: an interval that is none is refused. Method: zero and below.
TEST(GpuWatcherThread, RefusesAnIntervalOfZero) {
  EXPECT_EQ(code_of([] { GpuWatcher(options(Nanoseconds{0})); }), "InvalidArgument");
  EXPECT_EQ(code_of([] { GpuWatcher(options(Nanoseconds{-1})); }), "InvalidArgument");
}

}  // namespace
}  // namespace finops::detect
