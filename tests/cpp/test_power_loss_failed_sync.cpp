// test_power_loss_failed_sync.cpp - a sync that failed once is never relied on, by nobody.
//
// Owns: the ledger after an error of fsync (the kernel then calls the pages clean: what they hold
// can be read, but never reaches the disk, and the next fsync says that all is well).
// Does not own: syncs that work (test_power_loss.cpp).
// Invariant: what is acknowledged after the failure survives the loss of all that failed.
// Source: "Can applications recover from fsync failures?", Rebello et al., USENIX ATC 2020.
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "disk_support.hpp"
#include "finops/ledger/ledger.hpp"
#include "power_loss_support.hpp"
#include "support.hpp"

namespace finops::testing {
namespace {

using simulation::Disk;
using simulation::DiskCall;
using simulation::DiskOperation;

class FailedSync : public ::testing::TestWithParam<int> {
 protected:
  std::unique_ptr<Ledger> open(int process, int checkpoint_frames = 4'000) {
    observer_.current_process = process;
    return open_ledger(path_, {.checkpoint_frames = checkpoint_frames});
  }
  static bool has(Ledger& ledger, const std::string& run_id) {
    return !ledger.runs({.run_id = RunId{run_id}}).empty();
  }
  /// The disk fails the next `count` syncs of files whose names end so.
  void fail_syncs(int count, const std::string& suffix) {
    observer_.on_call = [this, count, suffix](const DiskCall& call, std::int64_t&) mutable {
      if (call.operation != DiskOperation::Sync || !call.path.ends_with(suffix) || count == 0) {
        return SQLITE_OK;
      }
      --count;
      ++failed_count_;
      return SQLITE_IOERR_FSYNC;
    };
  }
  void lose_power() {
    disk_.name_is_durable(path_);
    Losses losses(test_seed());
    disk_.lose_power(losses.with_chance(GetParam()));
  }
  /// After the power loss: which of these runs are there, in a ledger that is whole.
  std::string left(const std::vector<std::string>& run_ids) {
    const std::unique_ptr<Ledger> ledger = open(9);
    EXPECT_TRUE(ledger->verify().is_clean());
    std::string found;
    for (const std::string& run_id : run_ids) {
      found += has(*ledger, run_id) ? run_id + " " : "";
    }
    return found;
  }

  TempDir folder_;
  std::string path_ = folder_ / "ledger.db";
  TestObserver observer_;
  Disk disk_{observer_};
  int failed_count_ = 0;
};

// The share of unsynced sectors that survive the power loss, in percent.
INSTANTIATE_TEST_SUITE_P(, FailedSync, ::testing::Values(0, 50, 100));

// Goal: a commit whose sync failed is not acknowledged, its ledger writes no more, and others go
// on. Method: another process writes afterwards; all that was not synced is lost.
TEST_P(FailedSync, OthersGoOnOverIt) {
  const std::unique_ptr<Ledger> first = open(1);
  first->add_run(example_run("before"));
  const std::unique_ptr<Ledger> second = open(2);
  fail_syncs(1, "-wal");
  EXPECT_EQ(code_of([&] { first->add_run(example_run("failed")); }), "LedgerUnavailable");
  EXPECT_EQ(failed_count_, 1);
  EXPECT_EQ(code_of([&] { first->add_run(example_run("refused")); }), "LedgerUnavailable");
  second->add_run(example_run("after"));
  EXPECT_FALSE(has(*second, "refused"));
  lose_power();
  EXPECT_EQ(left({"before", "after"}), "before after ");
}

// Goal: the same if nobody is left who knows that it failed. Method: all processes die, and another
// one rebuilds the log's index from what can be read.
TEST_P(FailedSync, NobodyBuildsOnItAfterTheDeathOfAll) {
  const std::unique_ptr<Ledger> first = open(1);
  first->add_run(example_run("before"));
  fail_syncs(1, "-wal");
  EXPECT_EQ(code_of([&] { first->add_run(example_run("failed")); }), "LedgerUnavailable");
  disk_.process_died(1);
  const std::unique_ptr<Ledger> second = open(2);
  second->add_run(example_run("after"));
  lose_power();
  EXPECT_EQ(left({"before", "after"}), "before after ");
}

// Goal: as long as the log cannot be replaced, nothing is acknowledged; then all is well again.
// Method: the disk fails the file's sync, then a reader holds the log, then neither.
TEST_P(FailedSync, NothingIsWrittenUntilTheLogIsReplaced) {
  const std::unique_ptr<Ledger> first = open(1);
  first->add_run(example_run("before"));
  const std::unique_ptr<Ledger> second = open(2);
  const auto write = [&] { second->add_run(example_run("after")); };
  fail_syncs(1, "-wal");
  EXPECT_EQ(code_of([&] { first->add_run(example_run("failed")); }), "LedgerUnavailable");
  fail_syncs(1, "ledger.db");
  EXPECT_EQ(code_of(write), "LedgerUnavailable");
  EXPECT_EQ(failed_count_, 2);
  {
    observer_.current_process = 3;
    Connection reader(path_);
    reader.execute("BEGIN; SELECT count(*) FROM runs");
    observer_.current_process = 2;
    EXPECT_EQ(code_of(write), "LedgerUnavailable");
    EXPECT_NE(message_of(write).find("failed to sync"), std::string::npos) << message_of(write);
  }
  EXPECT_EQ(code_of(write), "none");
  EXPECT_EQ(second->runs({}).size(), 2U);
  lose_power();
  EXPECT_EQ(left({"before", "after"}), "before after ");
}

// Goal: a checkpoint whose sync of the file failed has copied nothing. Method: the log may be begun
// anew only over what is in the file for good; commits go on, and all that failed is lost.
TEST_P(FailedSync, OfACheckpointKeepsTheLog) {
  const std::unique_ptr<Ledger> ledger = open(1, 0);
  ledger->add_run(example_run("before"));
  fail_syncs(1, "ledger.db");
  ledger->add_run(example_run("during"));
  EXPECT_EQ(failed_count_, 1);
  ledger->add_run(example_run("after"));
  ledger->add_run(example_run("later"));
  lose_power();
  EXPECT_EQ(left({"before", "during", "after", "later"}), "before during after later ");
}

}  // namespace
}  // namespace finops::testing
