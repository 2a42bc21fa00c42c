// test_detect_nvml.cpp - what is read from a driver that says much, little, nonsense, or nothing.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "fake_driver.hpp"
#include "finops/detect/nvml.hpp"
#include "support.hpp"

namespace finops::detect {
namespace {

using testing::Child;
using testing::FakeDriver;

std::string library(int version = 3) {
  return std::string(FINOPS_FAKE_NVML_DIR) + "/v" + std::to_string(version) + "/libnvidia-ml.so.1";
}

// One look with a driver of its own.
std::vector<GpuSample> look(int version = 3) {
  const NvmlLoad load = Nvml::load(library(version));
  EXPECT_NE(load.nvml, nullptr) << load.why;
  return load.nvml == nullptr ? std::vector<GpuSample>{}
                              : load.nvml->sample().value_or(std::vector<GpuSample>{});
}

constexpr const char* kOneGpu =
    "gpu uuid=GPU-a name=H100 utilization=97 memory=1000 power=350 limit=700 mig=0\n";

// Goal: everything that the driver tells arrives, in its units. Method: one GPU, two processes.
TEST(DetectNvml, ReadsAllThatIsTold) {
  const FakeDriver driver(std::string(kOneGpu) +
                          "process gpu=0 pid=12 memory=500 utilization=80\n"
                          "process gpu=0 pid=13\n");
  const std::vector<GpuSample> gpus = look();
  ASSERT_EQ(gpus.size(), 1U);
  EXPECT_EQ(gpus[0].uuid, "GPU-a");
  EXPECT_EQ(gpus[0].name, "H100");
  EXPECT_EQ(gpus[0].utilization, 97.0);
  EXPECT_EQ(gpus[0].memory_bytes, 1'000);
  EXPECT_EQ(gpus[0].power_watts, 350.0);
  EXPECT_EQ(gpus[0].power_limit_watts, 700.0);
  EXPECT_FALSE(gpus[0].is_mig);
  ASSERT_TRUE(gpus[0].processes.has_value());
  ASSERT_EQ(gpus[0].processes->size(), 2U);
  EXPECT_EQ(gpus[0].processes->at(0).pid, 12);
  EXPECT_EQ(gpus[0].processes->at(0).memory_bytes, 500);
  EXPECT_EQ(gpus[0].processes->at(0).utilization, 80.0);
  EXPECT_EQ(gpus[0].processes->at(1).memory_bytes, std::nullopt) << "not available is not zero";
  EXPECT_EQ(gpus[0].processes->at(1).utilization, 0.0) << "it did not run since the last look";
}

// Goal: a host of eight GPUs is read whole and in order, and one that fell off the bus costs only
// itself. Method: eight, then the fourth is lost.
TEST(DetectNvml, ReadsEightGpusAndLeavesOutALostOne) {
  std::string text;
  for (int index = 0; index < 8; ++index) {
    text += "gpu uuid=GPU-" + std::to_string(index) + " utilization=" + std::to_string(index) +
            (index == 3 ? " lost=?" : "") + "\n";
  }
  const FakeDriver driver(text);
  std::vector<GpuSample> gpus = look();
  ASSERT_EQ(gpus.size(), 8U);
  for (int index = 0; index < 8; ++index) {
    EXPECT_EQ(gpus[static_cast<std::size_t>(index)].index, index);
    EXPECT_EQ(gpus[static_cast<std::size_t>(index)].utilization, static_cast<double>(index));
  }
  driver.say(text.replace(text.find('?'), 1, "1"));
  gpus = look();
  ASSERT_EQ(gpus.size(), 7U);
  EXPECT_EQ(gpus[3].uuid, "GPU-4");
  EXPECT_EQ(gpus[3].index, 4) << "an index is the driver's, not a place in our list";
}

// Goal: older libraries lack functions, and their process entries are smaller. Method: the same
// text through libraries that end at version 1, 2 and 3 of the process list; two processes, so that
// a wrong size would show in the second.
TEST(DetectNvml, ReadsTheProcessListOfEveryVersion) {
  const FakeDriver driver(std::string(kOneGpu) +
                          "process gpu=0 pid=12 memory=500\nprocess gpu=0 pid=13 memory=600\n");
  for (const int version : {1, 2, 3}) {
    const std::vector<GpuSample> gpus = look(version);
    ASSERT_EQ(gpus.size(), 1U) << "version " << version;
    ASSERT_EQ(gpus[0].processes.value_or(std::vector<GpuProcess>{}).size(), 2U) << version;
    EXPECT_EQ(gpus[0].processes->at(1).pid, 13) << version;
    EXPECT_EQ(gpus[0].processes->at(1).memory_bytes, 600) << version;
    EXPECT_EQ(gpus[0].memory_bytes, 1'000) << version;
    EXPECT_EQ(gpus[0].power_limit_watts, 700.0) << version;
  }
}

// Goal: a new library over an old driver has functions that the driver does not know. Method: _v3
// answers FUNCTION_NOT_FOUND, then all do.
TEST(DetectNvml, AsksTheOlderFunctionWhereTheDriverDoesNotKnowTheNewer) {
  const std::string text = std::string(kOneGpu) + "process gpu=0 pid=12\n" +
                           "error nvmlDeviceGetComputeRunningProcesses_v3 13\n" +
                           "error nvmlDeviceGetMemoryInfo_v2 13\n";
  const FakeDriver driver(text);
  EXPECT_EQ(look().at(0).processes.value_or(std::vector<GpuProcess>{}).size(), 1U);
  EXPECT_EQ(look().at(0).memory_bytes, 1'000);
  driver.say(text + "error nvmlDeviceGetComputeRunningProcesses_v2 13\n" +
             "error nvmlDeviceGetComputeRunningProcesses 13\n");
  EXPECT_FALSE(look().at(0).processes.has_value()) << "unknown is not an empty list";
}

// Goal: what is not supported is unknown, never zero, and takes nothing else with it. Method: one
// field at a time is left out of the driver's answers.
TEST(DetectNvml, TakesNotSupportedAsUnknown) {
  const FakeDriver driver("gpu uuid=GPU-a\n");
  const GpuSample bare = look().at(0);
  EXPECT_FALSE(bare.utilization.has_value());
  EXPECT_FALSE(bare.memory_bytes.has_value());
  EXPECT_FALSE(bare.power_watts.has_value());
  EXPECT_FALSE(bare.power_limit_watts.has_value());
  EXPECT_FALSE(bare.is_mig);
  ASSERT_TRUE(bare.processes.has_value());
  EXPECT_TRUE(bare.processes->empty());
  driver.say("gpu uuid=GPU-a utilization=0\n");
  EXPECT_EQ(look().at(0).utilization, 0.0) << "zero is a number";
  driver.say("gpu uuid=GPU-a utilization=101 power=0\n");
  EXPECT_FALSE(look().at(0).utilization.has_value()) << "no percentage";
  EXPECT_EQ(look().at(0).power_watts, 0.0);
  driver.say(std::string(kOneGpu) +
             "process gpu=0 pid=12\nerror nvmlDeviceGetProcessUtilization 3\n");
  EXPECT_FALSE(look().at(0).processes->at(0).utilization.has_value());
  EXPECT_EQ(look().at(0).utilization, 97.0);
}

// Goal: use of a process counts once: what was seen before the last look is over. Method: samples
// with stamps, two looks with one driver.
TEST(DetectNvml, CountsTheUseOfAProcessSinceTheLastLookOnly) {
  const std::string text = std::string(kOneGpu);
  const FakeDriver driver(text + "process gpu=0 pid=12 utilization=80 stamp=100\n");
  const NvmlLoad load = Nvml::load(library());
  ASSERT_NE(load.nvml, nullptr) << load.why;
  EXPECT_EQ(load.nvml->sample()->at(0).processes->at(0).utilization, 80.0);
  EXPECT_EQ(load.nvml->sample()->at(0).processes->at(0).utilization, 0.0);
  driver.say(text + "process gpu=0 pid=12 utilization=30 stamp=200\n");
  EXPECT_EQ(load.nvml->sample()->at(0).processes->at(0).utilization, 30.0);
}

// Goal: a GPU that is split stands as its instances, whose utilisation nobody knows. Method: two
// instances on the second of two GPUs; then a library without the functions for instances.
TEST(DetectNvml, NamesMigInstancesInPlaceOfTheirGpu) {
  const FakeDriver driver(
      "gpu uuid=GPU-a utilization=50 mig=0\ngpu uuid=GPU-b mig=1 power=300\n"
      "mig gpu=1 uuid=MIG-1 memory=10\nmig gpu=1 uuid=MIG-2 memory=20\n"
      "process mig=1 pid=12 memory=15\n");
  const std::vector<GpuSample> gpus = look();
  ASSERT_EQ(gpus.size(), 3U);
  EXPECT_FALSE(gpus[0].is_mig);
  EXPECT_EQ(gpus[2].uuid, "MIG-2");
  EXPECT_TRUE(gpus[2].is_mig);
  EXPECT_EQ(gpus[2].index, 1);
  EXPECT_EQ(gpus[2].memory_bytes, 20);
  EXPECT_FALSE(gpus[2].utilization.has_value());
  EXPECT_TRUE(gpus[1].processes->empty());
  EXPECT_EQ(gpus[2].processes->at(0).pid, 12);

  const std::vector<GpuSample> old = look(1);
  ASSERT_EQ(old.size(), 2U);
  EXPECT_TRUE(old[1].is_mig);
  EXPECT_EQ(old[1].uuid, "GPU-b");
}

// Goal: no library is an expected outcome with a reason. Method: a name that nobody has.
TEST(DetectNvml, SaysWhyThereIsNone) {
  const NvmlLoad load = Nvml::load("libnvidia-of-nobody.so.1");
  EXPECT_EQ(load.nvml, nullptr);
  EXPECT_NE(load.why.find("libnvidia-of-nobody"), std::string::npos) << load.why;
  EXPECT_EQ(load.may_have_gpus, access("/dev/nvidiactl", F_OK) == 0);
}

// Goal: a library that is no driver's is refused. Method: one without any of the functions.
TEST(DetectNvml, RefusesALibraryWithoutItsFunctions) {
  const NvmlLoad load = Nvml::load("libm.so.6");
  EXPECT_EQ(load.nvml, nullptr);
  EXPECT_NE(load.why.find("libm.so.6"), std::string::npos) << load.why;
}

// Goal: "no driver" and "a driver that cannot be asked" stay apart. Method: the codes of nvmlInit.
TEST(DetectNvml, TellsAnAbsentDriverFromABrokenOne) {
  struct Case {
    const char* code;
    bool may_have_gpus;
  };
  const FakeDriver driver(kOneGpu);
  // 9: not loaded, 28: no GPU found; 18: library and driver differ, 999: unknown.
  for (const Case& c : {Case{"9", false}, Case{"28", false}, Case{"18", true}, Case{"999", true}}) {
    driver.say(std::string(kOneGpu) + "error nvmlInit_v2 " + c.code + "\n");
    const NvmlLoad load = Nvml::load(library());
    EXPECT_EQ(load.nvml, nullptr) << c.code;
    EXPECT_EQ(load.may_have_gpus, c.may_have_gpus) << c.code;
    EXPECT_NE(load.why.find(std::string("NVML ") + c.code), std::string::npos) << load.why;
  }
}

// Goal: a driver that cannot even count is no host without GPUs. Method: the count fails.
TEST(DetectNvml, DoesNotTakeAFailedCountForNoGpus) {
  const FakeDriver driver(std::string(kOneGpu) + "error nvmlDeviceGetCount_v2 999\n");
  const NvmlLoad load = Nvml::load(library());
  ASSERT_NE(load.nvml, nullptr) << load.why;
  EXPECT_FALSE(load.nvml->sample().has_value());
}

// Goal: a forked child leaves the parent's driver alone. Method: the child asks and closes; a
// shutdown would block it, since the driver blocks there.
TEST(DetectNvml, AnswersNothingInAForkedChild) {
  const FakeDriver driver(std::string(kOneGpu) + "block nvmlShutdown\n");
  NvmlLoad load = Nvml::load(library());
  ASSERT_NE(load.nvml, nullptr) << load.why;
  Child child([&](const std::function<void()>& say_ready) {
    say_ready();
    const bool answers = load.nvml->sample().has_value();
    load.nvml.reset();
    return answers ? 1 : 0;
  });
  EXPECT_EQ(child.wait(), 0);
  EXPECT_TRUE(load.nvml->sample().has_value()) << "the parent goes on";
  driver.say(kOneGpu);
}

// Goal: the library is found by the name that every driver gives it. Method: this test runs itself
// in a process whose loader looks into the fake's folder first.
TEST(DetectNvml, FindsTheDriverByItsName) {
  if (std::getenv("FINOPS_TEST_NVML_CHILD") != nullptr) {
    const NvmlLoad load = Nvml::load();
    ASSERT_NE(load.nvml, nullptr) << load.why;
    EXPECT_EQ(load.nvml->sample()->at(0).uuid, "GPU-a");
    return;
  }
  const FakeDriver driver(kOneGpu);
  Child child([&](const std::function<void()>& say_ready) {
    say_ready();
    setenv("FINOPS_TEST_NVML_CHILD", "1", 1);
    setenv("LD_LIBRARY_PATH", (std::string(FINOPS_FAKE_NVML_DIR) + "/v3").c_str(), 1);
    execl("/proc/self/exe", "finops_tests", "--gtest_filter=DetectNvml.FindsTheDriverByItsName",
          nullptr);
    return 97;
  });
  EXPECT_EQ(child.wait(), 0);
}

}  // namespace
}  // namespace finops::detect
