// test_process_usage.cpp - CPU time and memory of a run's processes, real and made up.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <new>
#include <string>
#include <thread>
#include <vector>

#include "finops/detect/process_usage.hpp"
#include "support.hpp"

namespace finops::detect {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::Child;
using testing::eventually;

// A process of this boot, by hand.
ProcessEntry process(pid_t pid, pid_t parent_pid, Nanoseconds cpu_time, Nanoseconds reaped = {}) {
  ProcessEntry entry;
  entry.pid = pid;
  entry.parent_pid = parent_pid;
  entry.start_ticks = 1'000 + static_cast<std::uint64_t>(pid);
  entry.cpu_time = cpu_time;
  entry.reaped_cpu_time = reaped;
  entry.resident_bytes = 4'096;
  return entry;
}

ProcessIdentity owner() { return {.boot_id = current_boot_id(), .pid = 10, .start_ticks = 1'010}; }

// Two looks ten seconds apart.
std::optional<double> use_between(const std::vector<ProcessEntry>& first,
                                  const std::vector<ProcessEntry>& second) {
  ProcessMeter meter;
  EXPECT_FALSE(meter.measure(ProcessTable(first), owner(), BootTime{seconds{100}}).cpu_use);
  return meter.measure(ProcessTable(second), owner(), BootTime{seconds{110}}).cpu_use;
}

// Goal: fields are found whatever the command is called. Method: names with spaces, parentheses and
// a whole line in them; texts that are cut.
TEST(ProcessStat, IsReadWhateverTheNameIs) {
  const std::string rest =
      " S 7 12 12 0 -1 4194560 100 0 0 0 150 50 30 20 20 0 1 0 98765 1000000 25 184 1 1 0 0\n";
  for (const char* name : {"python", "a b", "((sd-pam))", ") R 1 1 (", ""}) {
    const auto entry = parse_process_stat("12 (" + std::string(name) + ")" + rest);
    ASSERT_TRUE(entry.has_value()) << name;
    EXPECT_EQ(entry->pid, 12) << name;
    EXPECT_EQ(entry->parent_pid, 7) << name;
    EXPECT_EQ(entry->start_ticks, 98'765U) << name;
    EXPECT_EQ(entry->resident_bytes, 25 * sysconf(_SC_PAGESIZE)) << name;
    const std::int64_t ticks = sysconf(_SC_CLK_TCK);
    EXPECT_EQ(entry->cpu_time, Nanoseconds{seconds{200}} / ticks) << name;
    EXPECT_EQ(entry->reaped_cpu_time, Nanoseconds{seconds{50}} / ticks) << name;
    EXPECT_FALSE(entry->is_zombie);
  }
  EXPECT_FALSE(parse_process_stat(""));
  EXPECT_FALSE(parse_process_stat("12 (python"));
  EXPECT_FALSE(parse_process_stat("12 (python) S 7 12"));
  EXPECT_FALSE(parse_process_stat("12 (python)"));
}

// Goal: use is the growth of a run's processes over the time between two looks. Method: an owner
// with a child and a grandchild, beside a stranger who uses more.
TEST(ProcessUse, IsTheGrowthOfTheWholeFamily) {
  const auto use = use_between({process(10, 1, seconds{5}), process(11, 10, seconds{1}),
                                process(12, 11, seconds{0}), process(20, 1, seconds{0})},
                               {process(10, 1, seconds{6}), process(11, 10, seconds{3}),
                                process(12, 11, seconds{2}), process(20, 1, seconds{90})});
  ASSERT_TRUE(use.has_value());
  EXPECT_DOUBLE_EQ(*use, 0.5) << "5 s of CPU in 10 s";
}

// Goal: a process that began between two looks counts whole, as does one that began and ended.
// Method: a new child; a child that is only in the parent's reaped time.
TEST(ProcessUse, CountsWhatBeganBetweenTwoLooks) {
  EXPECT_DOUBLE_EQ(use_between({process(10, 1, seconds{5})},
                               {process(10, 1, seconds{5}), process(11, 10, seconds{4})})
                       .value_or(-1),
                   0.4);
  EXPECT_DOUBLE_EQ(use_between({process(10, 1, seconds{5}, seconds{100})},
                               {process(10, 1, seconds{5}, seconds{103})})
                       .value_or(-1),
                   0.3)
      << "many short commands are work too";
}

// Goal: a process that ended takes nothing away. Method: a child with 100 s behind it ends after
// one more second, reaped or not, beside a sibling that works for 4 s.
TEST(ProcessUse, IsNotSpoiledByAProcessThatEnded) {
  const std::vector<ProcessEntry> before = {
      process(10, 1, seconds{5}), process(11, 10, seconds{100}), process(12, 10, seconds{7})};
  EXPECT_DOUBLE_EQ(use_between(before, {process(10, 1, seconds{5}, seconds{101}),
                                        process(12, 10, seconds{11})})
                       .value_or(-1),
                   0.5)
      << "1 s of the ended one and 4 s of its sibling";
  EXPECT_DOUBLE_EQ(
      use_between(before, {process(10, 1, seconds{5}), process(12, 10, seconds{11})}).value_or(-1),
      0.4)
      << "nobody waited for it: its last second is lost, the sibling's work is not";
  EXPECT_DOUBLE_EQ(use_between(before, {process(10, 1, seconds{5})}).value_or(-1), 0.0);
}

// Goal: a pid that was given to another process is another process. Method: the child's pid with
// another start and less time behind it; then the owner's.
TEST(ProcessUse, DoesNotTakeAReusedPidForTheOldProcess) {
  ProcessEntry reused = process(11, 10, seconds{2});
  reused.start_ticks = 9'999;
  EXPECT_DOUBLE_EQ(use_between({process(10, 1, seconds{5}), process(11, 10, seconds{100})},
                               {process(10, 1, seconds{5}), reused})
                       .value_or(-1),
                   0.2);
  ProcessEntry other_owner = process(10, 1, seconds{50});
  other_owner.start_ticks = 9'999;
  EXPECT_TRUE(ProcessTable({other_owner}).family_of(owner()).empty());
  ProcessEntry zombie = process(10, 1, {});
  zombie.is_zombie = true;
  EXPECT_TRUE(ProcessTable({zombie}).family_of(owner()).empty());
  ProcessIdentity of_another_boot = owner();
  of_another_boot.boot_id = "another";
  EXPECT_TRUE(ProcessTable({process(10, 1, {})}).family_of(of_another_boot).empty());
}

// Goal: without a span there is no use, and after a restart a look is a first one. Method: the same
// time twice, an earlier one, a restart, an owner that goes and comes.
TEST(ProcessUse, NeedsTwoLooksWithTimeBetween) {
  const ProcessTable table({process(10, 1, seconds{5})});
  ProcessMeter meter;
  const BootTime now{seconds{100}};
  EXPECT_FALSE(meter.measure(table, owner(), now).cpu_use.has_value());
  EXPECT_FALSE(meter.measure(table, owner(), now).cpu_use.has_value());
  EXPECT_FALSE(meter.measure(table, owner(), now - seconds{1}).cpu_use.has_value());
  EXPECT_EQ(meter.measure(table, owner(), now + seconds{9}).cpu_use, 0.0);
  meter.restart();
  EXPECT_FALSE(meter.measure(table, owner(), now + seconds{20}).cpu_use.has_value());
  EXPECT_TRUE(meter.measure(ProcessTable{}, owner(), now + seconds{30}).pids.empty());
  EXPECT_FALSE(meter.measure(table, owner(), now + seconds{40}).cpu_use.has_value());
}

// Goal: ranks that do not descend from each other are one run, each process counted once, also when
// the one that made the attempt is gone. Method: three ranks, one of them a child of the owner, one
// with a child of its own, one a zombie.
TEST(ProcessUse, IsTheSumOverAllRanks) {
  ProcessEntry zombie = process(40, 1, seconds{50});
  zombie.is_zombie = true;
  const auto table_at = [&](Nanoseconds more) {
    return ProcessTable({process(10, 1, seconds{5} + more), process(11, 10, seconds{1} + more),
                         process(30, 1, seconds{2} + more), process(31, 30, seconds{3} + more),
                         zombie, process(50, 1, seconds{9} + more)});
  };
  const std::vector<pid_t> ranks = {30, 11, 40, 10, 99};
  ProcessMeter meter;
  (void)meter.measure(table_at({}), owner(), BootTime{seconds{100}}, ranks);
  const ProcessUsage usage =
      meter.measure(table_at(seconds{1}), owner(), BootTime{seconds{110}}, ranks);
  EXPECT_EQ(usage.pids, (std::vector<pid_t>{10, 30, 11, 31}));
  EXPECT_EQ(usage.root_count, 3U);
  EXPECT_DOUBLE_EQ(usage.cpu_use.value_or(-1), 0.4) << "four processes of a second each";
  ProcessIdentity gone = owner();
  gone.start_ticks = 1;
  const std::vector<pid_t> last = {30};
  EXPECT_EQ(meter.measure(table_at(seconds{2}), gone, BootTime{seconds{120}}, last).pids,
            (std::vector<pid_t>{30, 31}));
}

// Goal: a table that was read while processes came and went does no harm. Method: two processes
// that are each other's parents.
TEST(ProcessUse, EndsInATableThatGoesRound) {
  const ProcessTable table({process(10, 11, {}), process(11, 10, {})});
  EXPECT_EQ(table.family_of(owner()).size(), 2U);
}

// Waits for the word, then spins until it has used so much CPU, which nobody else's load changes.
void burn_when(const std::atomic<bool>& may_begin, Nanoseconds cpu_time) {
  while (!may_begin.load()) {
    std::this_thread::sleep_for(milliseconds{1});
  }
  timespec used{};
  do {
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  } while (seconds{used.tv_sec} + Nanoseconds{used.tv_nsec} < cpu_time);
}

Nanoseconds cpu_time_of(const ProcessIdentity& identity) {
  const ProcessTable table = ProcessTable::read();
  Nanoseconds sum{};
  for (const ProcessEntry* entry : table.family_of(identity)) {
    sum += entry->cpu_time;
  }
  return sum;
}

// Goal: real processes are measured: a child and its own child, their CPU time and memory. Method:
// each uses 0.2 s after a first look, and the clock that is told moves by 1 s.
TEST(ProcessUse, MeasuresRealProcesses) {
  constexpr std::size_t kSize = 8U << 20U;
  void* shared = mmap(nullptr, 4'096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(shared, MAP_FAILED);
  auto& may_begin = *new (shared) std::atomic<bool>(false);
  Child child([&](const std::function<void()>& say_ready) -> int {
    const std::vector<char> memory(kSize, 'x');
    const Child grandchild([&](const std::function<void()>& say_begun) -> int {
      say_begun();
      burn_when(may_begin, milliseconds{200});
      testing::sleep_for_ever();
    });
    say_ready();
    burn_when(may_begin, milliseconds{200});
    testing::sleep_for_ever();
    return memory[0];
  });
  ASSERT_TRUE(child.is_ready());
  const ProcessIdentity identity{current_boot_id(), child.pid(), process_start_ticks(child.pid())};
  ProcessMeter meter;
  const BootTime now{seconds{1}};
  (void)meter.measure(ProcessTable::read(), identity, now);
  may_begin.store(true);
  ASSERT_TRUE(eventually([&] { return cpu_time_of(identity) >= milliseconds{380}; }, seconds{60}));
  const ProcessUsage usage = meter.measure(ProcessTable::read(), identity, now + seconds{1});
  EXPECT_EQ(usage.pids.size(), 2U);
  EXPECT_EQ(usage.pids.front(), child.pid()) << "the owner comes first";
  EXPECT_GT(usage.cpu_use.value_or(-1), 0.25) << "more than one of the two alone";
  EXPECT_LT(usage.cpu_use.value_or(9), 0.6);
  EXPECT_GE(usage.resident_bytes, static_cast<std::int64_t>(kSize));
  child.send(SIGKILL);
  EXPECT_TRUE(eventually(
      [&] { return meter.measure(ProcessTable::read(), identity, now).pids.empty(); }, seconds{30}))
      << "a zombie owner is gone";
  munmap(shared, 4'096);
}

// Goal: a variable is found whole, and "not set" is not "empty". Method: a process that was started
// with an environment of three entries.
TEST(StartEnvironment, TellsNotSetFromEmpty) {
  Child child([](const std::function<void()>& say_ready) -> int {
    say_ready();
    const char* environment[] = {"CUDA_VISIBLE_DEVICES_X=no", "CUDA_VISIBLE_DEVICES=GPU-a,GPU-b",
                                 "EMPTY=", nullptr};
    execle("/bin/sleep", "sleep", "60", nullptr, environment);
    return 97;
  });
  ASSERT_TRUE(eventually(
      [&] { return start_environment(child.pid(), "CUDA_VISIBLE_DEVICES") == "GPU-a,GPU-b"; },
      seconds{30}));
  EXPECT_EQ(start_environment(child.pid(), "EMPTY"), "");
  EXPECT_EQ(start_environment(child.pid(), "CUDA_VISIBLE"), std::nullopt);
  EXPECT_EQ(start_environment(child.pid(), "HOME"), std::nullopt);
  EXPECT_EQ(start_environment(0, "HOME"), std::nullopt) << "no such process";
}

}  // namespace
}  // namespace finops::detect
