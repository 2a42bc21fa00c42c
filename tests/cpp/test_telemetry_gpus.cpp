// test_telemetry_gpus.cpp - which GPUs are a run's, and what a real process with a driver looks
// like.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/run_gpus.hpp"
#include "fake_driver.hpp"
#include "finops/agent/telemetry.hpp"
#include "finops/detect/gpu_watcher.hpp"
#include "support.hpp"
#include "telemetry_support.hpp"

namespace finops::agent {
namespace {

using detect::GpuProcess;
using detect::GpuSample;
using guard::Use;
using testing::Child;
using testing::eventually;
using testing::FakeDriver;

std::vector<GpuSample> host(int count) {
  std::vector<GpuSample> gpus;
  for (int index = 0; index < count; ++index) {
    GpuSample gpu;
    gpu.uuid = "GPU-" + std::string(1, static_cast<char>('a' + index)) + "123";
    gpu.index = index;
    gpu.utilization = 10.0 * (index + 1);
    gpu.processes.emplace();
    gpus.push_back(gpu);
  }
  return gpus;
}

// "0 2": the indexes of the GPUs.
std::string indexes_of(const std::vector<const GpuSample*>& gpus) {
  std::string text;
  for (const GpuSample* gpu : gpus) {
    text += (text.empty() ? "" : " ") + std::to_string(gpu->index);
  }
  return text;
}

// Goal: CUDA_VISIBLE_DEVICES names GPUs as CUDA reads it, and an index only where it is clear which
// GPU it is. Method: a host of four; one entry moves.
TEST(VisibleGpus, AreThoseThatTheEnvironmentNamesWithoutDoubt) {
  struct Case {
    std::optional<std::string> visible;
    std::optional<std::string> order;
    const char* expected;
  };
  const std::vector<GpuSample> gpus = host(4);
  for (const Case& c : {
           Case{"GPU-b123", {}, "1"},
           Case{"GPU-d123,GPU-a123", {}, "3 0"},
           Case{" GPU-a123 , GPU-b123 ", {}, "0 1"},
           Case{"GPU-a", {}, "0"},                    // shortened to what is unique
           Case{"GPU-", {}, ""},                      // several begin so
           Case{"GPU-z", {}, ""},                     // none
           Case{"GPU-a123,GPU-z,GPU-b123", {}, "0"},  // CUDA stops at the first that is none
           Case{"GPU-a123,GPU-a123", {}, "0"},        // once
           Case{"1", {}, ""},                         // by speed: which one is not known
           Case{"1", "FASTEST_FIRST", ""},
           Case{"1", "PCI_BUS_ID", "1"},
           Case{"3,1", "PCI_BUS_ID", "1 3"},
           Case{"0,-1,2", "PCI_BUS_ID", "0"},
           Case{"0,4", "PCI_BUS_ID", "0"},  // there is no fifth
           Case{"0,1,2,3", {}, "0 1 2 3"},  // all: the order does not matter
           Case{"3,2,1,0", {}, "0 1 2 3"},
           Case{"0,1,2", {}, ""},
           Case{"0,0,0,0", {}, ""},
           Case{"", {}, ""},
           Case{"-1", "PCI_BUS_ID", ""},
           Case{"NoDevFiles", {}, ""},
           Case{"99999999999999999999", "PCI_BUS_ID", ""},
           Case{",,", "PCI_BUS_ID", ""},
           Case{{}, "PCI_BUS_ID", ""},  // not set: CUDA sees all, but uses which?
       }) {
    EXPECT_EQ(indexes_of(visible_gpus(gpus, {c.visible, c.order})), c.expected)
        << c.visible.value_or("(not set)") << " " << c.order.value_or("(not set)");
  }
}

// Goal: the only GPU of a host is index 0 in any order; MIG instances are named by UUID only.
// Method: hosts of one, and of one GPU and an instance.
TEST(VisibleGpus, KnowASingleGpuAndMigInstances) {
  std::vector<GpuSample> gpus = host(1);
  EXPECT_EQ(indexes_of(visible_gpus(gpus, {"0", {}})), "0");
  gpus.push_back(gpus[0]);
  gpus[1].uuid = "MIG-77";
  gpus[1].is_mig = true;
  gpus[1].index = 1;
  EXPECT_EQ(indexes_of(visible_gpus(gpus, {"0", "PCI_BUS_ID"})), "");
  EXPECT_EQ(indexes_of(visible_gpus(gpus, {"MIG-77", {}})), "1");
}

GpuProcess holder(pid_t pid, std::optional<double> utilization) {
  return {.pid = pid, .memory_bytes = 1'000, .utilization = utilization};
}

// Goal: a GPU is a run's if any of its processes holds it. Method: the owner holds the first of
// four, a descendant the third, a stranger the second.
TEST(RunGpus, AreThoseThatTheRunsProcessesHold) {
  std::vector<GpuSample> gpus = host(4);
  gpus[0].processes->push_back(holder(100, 7));
  gpus[1].processes->push_back(holder(999, 7));
  gpus[2].processes->push_back(holder(101, 7));
  const std::vector<pid_t> pids = {100, 101};
  const std::vector<RunGpu> own = gpus_of(gpus, pids, 1);
  ASSERT_EQ(own.size(), 2U);
  EXPECT_EQ(own[0].gpu->index, 0);
  EXPECT_EQ(own[1].gpu->index, 2);
  EXPECT_TRUE(own[0].has_process);
  EXPECT_EQ(own[1].utilization, 30.0)
      << "held alone: the device's, which the driver measures better";
}

// Goal: where others hold a GPU too, the run's part counts if the driver tells it, and the device's
// if not. Method: two processes of the run beside a stranger.
TEST(RunGpus, CountTheirOwnPartOfASharedGpu) {
  std::vector<GpuSample> gpus = host(1);
  gpus[0].utilization = 90;
  const std::vector<pid_t> pids = {100, 101};
  *gpus[0].processes = {holder(100, 3), holder(101, 0), holder(999, 80)};
  EXPECT_EQ(gpus_of(gpus, pids, 1).at(0).utilization, 3.0);
  *gpus[0].processes = {holder(100, 60), holder(101, 60), holder(999, 80)};
  EXPECT_EQ(gpus_of(gpus, pids, 1).at(0).utilization, 100.0) << "no more than all of it";
  *gpus[0].processes = {holder(100, 3), holder(101, {}), holder(999, 80)};
  EXPECT_EQ(gpus_of(gpus, pids, 1).at(0).utilization, 90.0) << "not told for all of the run's";
  *gpus[0].processes = {holder(100, 0), holder(101, 0), holder(999, 0)};
  EXPECT_EQ(gpus_of(gpus, pids, 1).at(0).utilization, 90.0)
      << "busy, and the driver knows not by whom";
  gpus[0].utilization = 0;
  EXPECT_EQ(gpus_of(gpus, pids, 1).at(0).utilization, 0.0);
}

// A process that was started with this environment, and sleeps.
class Sleeper {
 public:
  explicit Sleeper(std::vector<std::string> environment)
      : child_([environment = std::move(environment)](const std::function<void()>& say_ready) {
          std::vector<char*> pointers;
          std::vector<std::string> entries = environment;
          pointers.reserve(entries.size() + 1);
          for (std::string& entry : entries) {
            pointers.push_back(entry.data());
          }
          pointers.push_back(nullptr);
          say_ready();
          execle("/bin/sleep", "sleep", "120", nullptr, pointers.data());
          return 97;
        }) {}
  [[nodiscard]] pid_t pid() const { return child_.pid(); }

 private:
  Child child_;
};

bool shows(const Sleeper& sleeper, const std::string& variable, const std::string& value) {
  return eventually([&] { return start_environment(sleeper.pid(), variable) == value; },
                    seconds{30});
}

// Goal: where the driver shows none of the run's processes (a container), the environment of the
// owner names its GPUs, and that of descendants only if the owner's names none. Method: real
// processes with environments of their own.
TEST(RunGpus, AreNamedByTheEnvironmentWhereTheDriverShowsNoProcess) {
  const std::vector<GpuSample> gpus = host(4);
  const Sleeper owner({"CUDA_VISIBLE_DEVICES=1", "CUDA_DEVICE_ORDER=PCI_BUS_ID"});
  const Sleeper bare({"HOME=/"});
  const Sleeper first({"CUDA_VISIBLE_DEVICES=GPU-a123"});
  const Sleeper second({"CUDA_VISIBLE_DEVICES=GPU-d123"});
  ASSERT_TRUE(shows(owner, "CUDA_VISIBLE_DEVICES", "1"));
  ASSERT_TRUE(shows(bare, "HOME", "/"));
  ASSERT_TRUE(shows(first, "CUDA_VISIBLE_DEVICES", "GPU-a123"));
  ASSERT_TRUE(shows(second, "CUDA_VISIBLE_DEVICES", "GPU-d123"));
  const auto indexes = [&](const std::vector<pid_t>& pids, std::size_t root_count = 1) {
    std::vector<const GpuSample*> found;
    for (const RunGpu& own : gpus_of(gpus, pids, root_count)) {
      EXPECT_FALSE(own.has_process);
      found.push_back(own.gpu);
    }
    return indexes_of(found);
  };
  EXPECT_EQ(indexes({owner.pid()}), "1");
  EXPECT_EQ(indexes({owner.pid(), first.pid()}), "1") << "the owner's word counts";
  EXPECT_EQ(indexes({bare.pid(), first.pid(), second.pid()}), "0 3");
  EXPECT_EQ(indexes({bare.pid()}), "") << "unknown, although CUDA would see all";
  EXPECT_EQ(indexes({}), "");
  EXPECT_EQ(indexes({owner.pid(), first.pid(), second.pid()}, 3), "1 0 3")
      << "each rank has its own";
}

// Goal: from driver and processes to the verdict: idle, working and hung are told apart. Method: a
// real sleeping process, a driver's library that lists it, eleven rounds each.
TEST(TelemetryWithDriverThread, TellsIdleWorkingAndHungApart) {
  struct Case {
    const char* numbers;
    bool is_silent;
    Use expected;
  };
  Child child([](const std::function<void()>& say_ready) -> int {
    say_ready();
    testing::sleep_for_ever();
  });
  for (const Case& c : {Case{"utilization=0 power=70 limit=700", false, Use::Idle},
                        Case{"utilization=60 power=400 limit=700", true, Use::Working},
                        Case{"utilization=100 power=140 limit=700", true, Use::Hung},
                        Case{"utilization=100 power=650 limit=700", true, Use::Working},
                        Case{"power=70 limit=700 mig=1", false, Use::Unknown}}) {
    const FakeDriver driver("gpu uuid=GPU-a utilization=99\ngpu uuid=GPU-b " +
                            std::string(c.numbers) +
                            "\nprocess gpu=1 pid=" + std::to_string(child.pid()) + " memory=100\n");
    detect::GpuWatcherOptions options;
    options.interval = seconds{60};  // one look, which stays fresh for the whole test
    options.library = std::string(FINOPS_FAKE_NVML_DIR) + "/v3/libnvidia-ml.so.1";
    auto watcher = std::make_unique<detect::GpuWatcher>(options);
    watcher->start();
    ASSERT_TRUE(eventually([&] { return watcher->latest().sight == detect::GpuSight::Fresh; },
                           seconds{30}));
    Telemetry telemetry({}, std::move(watcher));
    ManualClock clock(SystemClock{}.now());
    pulse::PageInfo page = testing::example_page("run", clock.now());
    page.process = {current_boot_id(), child.pid(), process_start_ticks(child.pid())};
    for (int round = 0; round < 12; ++round) {
      clock.advance(seconds{10});
      telemetry.sample(page, clock.now());
    }
    const guard::UsageSummary usage = telemetry.summary(page.attempt_id, seconds{100}, clock.now());
    ASSERT_EQ(usage.gpus.size(), 1U) << "the other GPU is nobody's: " << c.numbers;
    EXPECT_EQ(usage.gpus[0].uuid, "GPU-b");
    EXPECT_EQ(guard::use_name(guard::use_of(usage, c.is_silent)), guard::use_name(c.expected))
        << c.numbers;
    ASSERT_EQ(telemetry.gpu_holders().value().size(), 1U);
    EXPECT_EQ(telemetry.gpu_holders().value()[0].pid, child.pid());
    EXPECT_EQ(telemetry.gpu_holders().value()[0].uuid, "GPU-b");
  }
}

// Goal: telemetry with a driver that never answers takes its samples and ends. Method: the driver
// blocks in its first call; a Child's time limit would notice.
TEST(TelemetryWithDriverThread, GoesOnWhileTheDriverBlocks) {
  const FakeDriver driver("gpu uuid=GPU-a\nblock nvmlInit_v2\n");
  Child child([&](const std::function<void()>& say_ready) {
    say_ready();
    detect::GpuWatcherOptions options;
    options.stop_limit = std::chrono::milliseconds{50};
    options.library = std::string(FINOPS_FAKE_NVML_DIR) + "/v3/libnvidia-ml.so.1";
    Telemetry telemetry({}, std::make_unique<detect::GpuWatcher>(options));
    ManualClock clock(SystemClock{}.now());
    const pulse::PageInfo page = testing::example_page("run", clock.now());
    for (int round = 0; round < 12; ++round) {
      clock.advance(seconds{10});
      telemetry.sample(page, clock.now());
    }
    const guard::UsageSummary usage = telemetry.summary(page.attempt_id, seconds{100}, clock.now());
    const bool is_right = usage.sample_count == 11 && usage.may_miss_gpus &&
                          !telemetry.gpu_holders().has_value() &&
                          guard::use_of(usage, true) == Use::Unknown;
    return is_right ? 0 : 1;
  });
  EXPECT_EQ(child.wait(), 0);
}

}  // namespace
}  // namespace finops::agent
