// test_wal_reset.cpp - SQLite's WAL-reset bug: it is real here, and the write lock keeps it away.
//
// Owns: the proof that a writer and a checkpointer of one ledger never overlap, and of what happens
// if they do. Does not own: the lock's waiting and naming (test_ledger_lock.cpp).
// Invariant: what SQLite does to itself is shown with plain SQLite; the ledger is never let into
// it. Source: sqlite.org/wal.html, "The WAL-reset bug": 3.7.0 to 3.51.2, fixed
// in 3.51.3, 3.50.7, 3.44.6.
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <thread>

#include "disk_support.hpp"
#include "finops/ledger/ledger.hpp"
#include "support.hpp"

namespace finops::testing {
namespace {

using simulation::Disk;
using simulation::DiskCall;

bool has_wal_reset_bug() {
  const int version = sqlite3_libversion_number();
  const bool is_backport = (version >= 3'044'006 && version < 3'045'000) ||
                           (version >= 3'050'007 && version < 3'051'000);
  return version < 3'051'003 && !is_backport;
}

// --- the bug -------------------------------------------------------------------------------------

/// A checkpointer and a writer on one database, in two simulated processes.
class WalReset : public ::testing::Test {
 protected:
  WalReset() {
    writer_.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, x)");
    insert(5);
    observer_.current_process = 2;
    EXPECT_EQ(checkpointer_.text("SELECT count(*) FROM t"), "5");
    observer_.current_process = 1;
    insert(5);
    EXPECT_EQ(writer_.checkpoint(), SQLITE_OK);  // all of the log is in the file: it may be reset
  }

  /// Each is acknowledged: committed with synchronous=FULL.
  void insert(int count) {
    for (int i = 0; i < count; ++i) {
      ASSERT_EQ(writer_.execute("INSERT INTO t (x) VALUES (randomblob(2000))"), SQLITE_OK);
      ++acknowledged_count_;
    }
  }

  /// A checkpoint of the other process; right after it has read the log's header, `meanwhile` runs.
  void checkpoint(const std::function<void()>& meanwhile) {
    int barrier_count = 0;
    observer_.on_barrier = [&](std::string_view) {
      constexpr int kAfterReading = 2;  // the first lies between the header's two copies
      if (observer_.current_process == 2 && ++barrier_count == kAfterReading) {
        observer_.current_process = 1;
        meanwhile();
        observer_.current_process = 2;
      }
    };
    observer_.current_process = 2;
    EXPECT_EQ(checkpointer_.checkpoint(), SQLITE_OK);
    EXPECT_GE(barrier_count, 2);
    observer_.on_barrier = nullptr;
    observer_.current_process = 1;
  }

  /// Rows that are not there any more, of which each was acknowledged; or a damaged file.
  std::string harm() {
    Connection reader("/disk/data.db");  // with nothing in its cache
    const std::string check = reader.text("PRAGMA integrity_check");
    const std::string count = reader.text("SELECT count(*) FROM t NOT INDEXED");
    return check == "ok" && count == std::to_string(acknowledged_count_)
               ? ""
               : count + " of " + std::to_string(acknowledged_count_) + " rows, " + check;
  }

  TestObserver observer_;
  Disk disk_{observer_};
  Connection writer_{"/disk/data.db"};
  Connection checkpointer_{"/disk/data.db"};
  int acknowledged_count_ = 0;
};

// Goal: the bug is real in the SQLite that is linked here, or is mended there; no crash and no
// power loss is needed. Method: a commit resets the log while a checkpoint stands between reading
// the log's header and reading how much of it is copied. It then takes the new log's frames for
// copied: they are read no more, and are never brought into the file.
TEST_F(WalReset, LosesCommitsIfAWriterComesInDuringACheckpoint) {
  checkpoint([this] { insert(1); });
  insert(30);
  EXPECT_EQ(writer_.checkpoint(), SQLITE_OK);
  insert(1);  // begins the log anew
  EXPECT_EQ(harm().empty(), !has_wal_reset_bug()) << sqlite3_libversion() << ": " << harm();
}

// Goal: the loss above comes from the overlap alone. Method: the same commits and checkpoints, one
// after the other.
TEST_F(WalReset, LosesNothingOneAfterTheOther) {
  checkpoint([] {});
  insert(1);
  insert(30);
  EXPECT_EQ(writer_.checkpoint(), SQLITE_OK);
  insert(1);
  EXPECT_EQ(harm(), "");
}

// --- the ledger ----------------------------------------------------------------------------------

// Goal: nobody writes to the ledger at any moment of another one's commit and checkpoint. Method:
// at each call that SQLite makes in them, another ledger tries to write, from another thread, and
// is refused; afterwards it may. Each commit of the first one is followed by a checkpoint.
TEST(WalResetOfTheLedger, NobodyComesInAtAnyCall) {
  const TempDir folder;
  const std::string path = folder / "ledger.db";
  TestObserver observer;
  const Disk disk(observer);
  const std::unique_ptr<Ledger> first = open_ledger(path, {.checkpoint_frames = 0});
  observer.current_process = 2;
  const std::unique_ptr<Ledger> second =
      open_ledger(path, {.busy_timeout = std::chrono::microseconds{1}});
  observer.current_process = 1;
  int refused_count = 0;
  int synced_count = 0;
  observer.on_call = [&](const DiskCall& call, std::int64_t&) {
    synced_count += call.operation == simulation::DiskOperation::Sync && call.path == path ? 1 : 0;
    std::thread([&] {
      const std::string code = code_of([&] { second->add_run(example_run("second")); });
      refused_count += code == "LedgerUnavailable" ? 1 : 0;
      EXPECT_EQ(code, "LedgerUnavailable") << static_cast<int>(call.operation);
    }).join();
    return SQLITE_OK;
  };
  for (int i = 0; i < 3; ++i) {
    first->add_run(example_run("first" + std::to_string(i)));
  }
  EXPECT_EQ(synced_count, 3) << "checkpoints";
  EXPECT_GE(refused_count, 60);
  observer.on_call = nullptr;
  observer.current_process = 2;
  second->add_run(example_run("second"));
  EXPECT_EQ(first->runs({}).size(), 4U);
  EXPECT_TRUE(first->verify().is_clean());
}

}  // namespace
}  // namespace finops::testing
