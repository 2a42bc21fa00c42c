// test_wal_overlap.cpp - in real processes on real files, no write and no checkpoint of a ledger
// are ever at work at the same time; without the write lock they are.
//
// Owns: the measurement of the lock's effect on SQLite itself. Does not own: what an overlap does
// (test_wal_reset.cpp).
// Invariant: both runs are the same program; one of them pulls the lock file away from under it.
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "finops/ledger/ledger.hpp"
#include "support.hpp"
#include "wal_recorder.hpp"

namespace finops::testing {
namespace {

using std::chrono::seconds;

constexpr int kProcessCount = 3;

/// Processes that write to one ledger at once; each commit is followed by a checkpoint.
class BusyLedger {
 public:
  BusyLedger() { open()->add_run(example_run("first")); }

  /// Each process writes `write_count` times. `is_locked` says whether the write lock holds: if
  /// not, each pulls the lock file away before it writes, so that all have one of their own.
  void start(int write_count, bool is_locked) {
    for (int index = 0; index < kProcessCount; ++index) {
      writers_.push_back(std::make_unique<Child>([=, this](const std::function<void()>& say_ready) {
        const WalRecorderVfs vfs(recorder_);
        const std::unique_ptr<Ledger> ledger = open();
        say_ready();
        recorder_.wait_for_go();
        for (int i = 0; i < write_count; ++i) {
          std::this_thread::sleep_for(std::chrono::microseconds{200});  // lets others in
          const std::string run_id = std::to_string(index) + "-" + std::to_string(i);
          if (is_locked) {
            ledger->add_run(example_run(run_id));
          } else {
            std::filesystem::remove(path_ + ".lock");
            (void)code_of([&] { ledger->add_run(example_run(run_id)); });  // it may be damaged
          }
        }
        return 0;
      }));
    }
    recorder_.say_go();
  }
  /// Whether all have ended well.
  bool finish() {
    bool is_good = true;
    for (const std::unique_ptr<Child>& writer : writers_) {
      eventually([&] { return !writer->is_running(); }, seconds{90});
      is_good = writer->wait() == 0 && is_good;
    }
    return is_good;
  }
  [[nodiscard]] const WalRecorder& recorder() const { return recorder_; }
  [[nodiscard]] std::unique_ptr<Ledger> open() const {
    return open_ledger(path_, {.busy_timeout = seconds{60}, .checkpoint_frames = 0});
  }

 private:
  TempDir folder_;
  std::string path_ = folder_ / "ledger.db";
  WalRecorder recorder_;
  std::vector<std::unique_ptr<Child>> writers_;
};

// Goal: a write and a checkpoint of a ledger never overlap, whoever they are of, and nothing is
// lost. Method: three processes commit and checkpoint thousands of times; SQLite's own locks say
// when.
TEST(WalOverlapConcurrentProcesses, NeverHappensUnderTheWriteLock) {
  constexpr int kWrites = 1'000;
  constexpr std::size_t kAllWrites = std::size_t{kProcessCount} * kWrites;
  BusyLedger busy;
  busy.start(kWrites, true);
  EXPECT_TRUE(busy.finish());
  EXPECT_GE(busy.recorder().intervals(false).size(), kAllWrites);
  EXPECT_GE(busy.recorder().intervals(true).size(), kAllWrites);
  EXPECT_EQ(busy.recorder().overlap_count(), 0);
  EXPECT_GE(busy.recorder().turn_count(), kWrites / 10) << "they took turns";
  const std::unique_ptr<Ledger> ledger = busy.open();
  EXPECT_EQ(ledger->runs({.limit = 10'000}).size(), kAllWrites + 1);
  EXPECT_TRUE(ledger->verify().is_clean());
}

// Goal: it is the lock that does it, and the recording finds overlaps. Method: the same program
// without the lock, until some are seen.
TEST(WalOverlapConcurrentProcesses, HappensWithoutTheWriteLock) {
  constexpr int kWrites = 200;  // each leaves an open descriptor of its lock file
  int overlap_count = 0;
  EXPECT_TRUE(eventually(
      [&] {
        BusyLedger busy;
        busy.start(kWrites, false);
        busy.finish();
        overlap_count = busy.recorder().overlap_count();
        return overlap_count > 0;
      },
      seconds{60}));
  EXPECT_GT(overlap_count, 0);
}

}  // namespace
}  // namespace finops::testing
