// test_simulated_disk.cpp - the simulated disk does what SQLite expects of a real one, and loses
// what a real one may lose.
//
// Owns: the checks of tests/simulation/{disk,storage}.*. Does not own: what the ledger does on it
// (test_power_loss.cpp, test_wal_reset.cpp).
// Invariant: processes are numbers that a test sets; everything runs in one thread.
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "disk_support.hpp"
#include "support.hpp"

namespace finops::testing {
namespace {

using simulation::Bytes;
using simulation::Disk;
using simulation::DiskCall;
using simulation::DiskOperation;
using simulation::Storage;
using simulation::StorageChange;
using Kind = simulation::StorageChange::Kind;

constexpr const char* kPath = "/disk/data.db";

std::uint64_t lose_all(std::uint64_t) { return 0; }
std::uint64_t keep_all(std::uint64_t count) { return count - 1; }

class SimulatedDisk : public ::testing::Test {
 protected:
  std::unique_ptr<Connection> connect(int process, const std::string& synchronous = "FULL") {
    observer_.current_process = process;
    return std::make_unique<Connection>(kPath, synchronous);
  }
  static std::string count(Connection& connection) {
    return connection.text("SELECT count(*) FROM t");
  }
  static int insert(Connection& connection) {
    return connection.execute("INSERT INTO t VALUES (randomblob(3000))");
  }

  TestObserver observer_;
  Disk disk_{observer_};
};

// --- processes -----------------------------------------------------------------------------------

// Goal: two processes share one database. Method: each writes, and the other one counts.
TEST_F(SimulatedDisk, TwoProcessesSeeEachOthersCommits) {
  const auto first = connect(1);
  EXPECT_EQ(first->execute("CREATE TABLE t (x)"), SQLITE_OK);
  const auto second = connect(2);
  EXPECT_EQ(insert(*first), SQLITE_OK);
  EXPECT_EQ(count(*second), "1");
  EXPECT_EQ(insert(*second), SQLITE_OK);
  EXPECT_EQ(count(*first), "2");
  EXPECT_EQ(first->checkpoint(), SQLITE_OK);
  EXPECT_EQ(count(*second), "2");
  EXPECT_EQ(second->text("PRAGMA integrity_check"), "ok");
}

// Goal: one writer at a time, while readers go on. Method: a transaction is left open; after it the
// other one gets in. In the rollback journal's mode too, where file locks do it.
TEST_F(SimulatedDisk, AWriterKeepsOthersOut) {
  for (const std::string mode : {"WAL", "DELETE"}) {
    const std::string path = "/disk/" + mode + ".db";
    observer_.current_process = 1;
    Connection first(path, "FULL", mode);
    EXPECT_EQ(first.execute("CREATE TABLE t (x)"), SQLITE_OK);
    observer_.current_process = 2;
    Connection second(path, "FULL", mode);
    EXPECT_EQ(first.execute("BEGIN IMMEDIATE"), SQLITE_OK);
    EXPECT_EQ(insert(first), SQLITE_OK);
    EXPECT_EQ(insert(second) & 0xff, SQLITE_BUSY) << mode;
    EXPECT_EQ(count(second), "0") << mode;
    EXPECT_EQ(first.execute("COMMIT"), SQLITE_OK);
    EXPECT_EQ(insert(second), SQLITE_OK) << mode;
    EXPECT_EQ(count(first), "2") << mode;
  }
}

// Goal: a killed process holds no lock, and what it had not committed is not there. Method: it is
// killed inside its transaction, after its pages reached the log.
TEST_F(SimulatedDisk, ADeadProcessHoldsNoLock) {
  const auto survivor = connect(2);
  survivor->execute("CREATE TABLE t (x)");
  auto victim = connect(1);
  victim->execute("PRAGMA cache_size=1; BEGIN IMMEDIATE");
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(insert(*victim), SQLITE_OK);  // spills pages into the log
  }
  EXPECT_EQ(insert(*survivor) & 0xff, SQLITE_BUSY);
  disk_.process_died(1);
  EXPECT_EQ(insert(*survivor), SQLITE_OK);
  EXPECT_EQ(count(*survivor), "1");
  EXPECT_NE(victim->execute("COMMIT"), SQLITE_OK) << "a dead process commits nothing";
  EXPECT_EQ(count(*survivor), "1");
  EXPECT_EQ(survivor->text("PRAGMA integrity_check"), "ok");
}

// Goal: the last process dies with its writes in the page cache; the next one finds them. Method:
// commits without a sync, death of all, a new process.
TEST_F(SimulatedDisk, ADeathLosesNothingThatWasWritten) {
  auto victim = connect(1, "OFF");
  victim->execute("CREATE TABLE t (x)");
  insert(*victim);
  disk_.process_died(1);
  EXPECT_EQ(count(*connect(2)), "1");
}

// --- errors --------------------------------------------------------------------------------------

// Goal: an error that the observer orders reaches SQLite, and has no effect but the torn bytes.
// Method: a full disk at the first page of a commit, with none of it written and with a part of it;
// then the same insert works.
TEST_F(SimulatedDisk, FailsWhereItIsTold) {
  const auto connection = connect(1);
  connection->execute("CREATE TABLE t (x)");
  const auto log_size = [this] { return std::ssize(disk_.content(std::string(kPath) + "-wal")); };
  constexpr std::int64_t kFrameHeader = 24;  // is written before its page
  const std::int64_t size_before = log_size();
  for (const std::int64_t torn_bytes : {0, 700}) {
    observer_.on_call = [torn_bytes](const DiskCall& call, std::int64_t& torn) {
      torn = torn_bytes;
      return call.operation == DiskOperation::Write && call.size > kFrameHeader ? SQLITE_FULL
                                                                                : SQLITE_OK;
    };
    EXPECT_EQ(insert(*connection), SQLITE_FULL);
    EXPECT_EQ(log_size(), size_before + kFrameHeader + torn_bytes);
  }
  observer_.on_call = nullptr;
  EXPECT_EQ(insert(*connection), SQLITE_OK);
  EXPECT_EQ(count(*connection), "1");
}

// --- power ---------------------------------------------------------------------------------------

// Goal: what was synced survives every power loss, what was not may be lost. Method: commits with
// FULL and with NORMAL, then a power loss that takes all it may, and one that takes nothing.
TEST_F(SimulatedDisk, KeepsWhatWasSyncedAndLosesTheRest) {
  struct Case {
    std::string synchronous;
    std::uint64_t (*choose)(std::uint64_t);
    std::string expected;
  };
  for (const Case& c : {Case{"FULL", lose_all, "2"}, Case{"FULL", keep_all, "2"},
                        Case{"NORMAL", keep_all, "2"}, Case{"NORMAL", lose_all, "0"}}) {
    for (const std::string suffix : {"", "-wal", "-journal"}) {
      disk_.remove(kPath + suffix);
    }
    {
      const auto connection = connect(1);
      EXPECT_EQ(connection->execute("CREATE TABLE t (x)"), SQLITE_OK);
      disk_.name_is_durable(kPath);
      connection->execute("PRAGMA synchronous=" + c.synchronous);
      EXPECT_EQ(insert(*connection), SQLITE_OK);
      EXPECT_EQ(insert(*connection), SQLITE_OK);
      disk_.lose_power(c.choose);
    }
    EXPECT_EQ(count(*connect(2)), c.expected) << c.synchronous;
  }
}

// Goal: a failed sync is never made good by a later one (fsyncgate), though processes see the data.
TEST_F(SimulatedDisk, AFailedSyncIsFinal) {
  Storage storage;
  storage.apply({.kind = Kind::Create, .path = "/f", .bytes = {}});
  storage.apply({.kind = Kind::NameSync, .path = "/f", .bytes = {}});
  storage.apply({.kind = Kind::Write, .path = "/f", .bytes = {'a'}});
  storage.apply({.kind = Kind::FailedSync, .path = "/f", .bytes = {}});
  storage.apply({.kind = Kind::Write, .path = "/f", .offset = 1, .bytes = {'b'}});
  storage.apply({.kind = Kind::Sync, .path = "/f", .bytes = {}});
  EXPECT_EQ(storage.content("/f"), (Bytes{'a', 'b'}));
  storage.lose_power(keep_all);
  EXPECT_EQ(storage.content("/f"), (Bytes{0, 'b'}));
}

// Goal: an unsynced write is torn at sectors, and each combination comes up; the synced one below
// it stays. Method: 200 power losses of one write over three sectors, of which the first has
// synced bytes before it.
TEST_F(SimulatedDisk, TearsAtSectors) {
  Storage storage;
  storage.apply({.kind = Kind::Write, .path = "/f", .bytes = Bytes(600, 's')});
  storage.apply({.kind = Kind::Sync, .path = "/f", .bytes = {}});
  storage.apply({.kind = Kind::NameSync, .path = "/f", .bytes = {}});
  storage.apply({.kind = Kind::Write, .path = "/f", .offset = 500, .bytes = Bytes(600, 'n')});
  Random random(test_seed());
  std::map<std::string, int> seen;
  for (int i = 0; i < 200; ++i) {
    Storage left = storage;
    left.lose_power([&](std::uint64_t count) {
      return static_cast<std::uint64_t>(random.between(0, static_cast<std::int64_t>(count) - 1));
    });
    const Bytes& content = left.content("/f");
    ASSERT_GE(content.size(), 600U);
    EXPECT_EQ(Bytes(content.begin(), content.begin() + 500), Bytes(500, 's'));
    std::string pattern;
    for (const std::size_t at : {500U, 511U, 512U, 599U, 1'023U, 1'024U, 1'099U}) {
      pattern +=
          at < content.size() ? (content[at] == 0 ? '0' : static_cast<char>(content[at])) : '.';
    }
    EXPECT_EQ(pattern[0], pattern[1]) << pattern;
    EXPECT_EQ(pattern[5], pattern[6]) << pattern;
    ++seen[pattern];
  }
  EXPECT_TRUE(seen.contains("nnnnnnn"));
  EXPECT_TRUE(seen.contains("ssss...")) << "nothing came through";
  EXPECT_TRUE(seen.contains("ssss000")) << "only the size";
  EXPECT_GE(seen.size(), 10U);
}

// Goal: a name that no folder sync made durable may vanish with all its data, and a deleted one may
// come back; a durable deletion may not. Method: both answers for each.
TEST_F(SimulatedDisk, NamesMayVanishAndComeBack) {
  const auto left_after = [](const std::vector<Kind>& kinds, auto choose) {
    Storage storage;
    storage.apply({.kind = Kind::Write, .path = "/f", .bytes = {'a'}});
    storage.apply({.kind = Kind::Sync, .path = "/f", .bytes = {}});
    for (const Kind kind : kinds) {
      storage.apply({.kind = kind, .path = "/f", .bytes = {}});
    }
    storage.lose_power(choose);
    return storage.exists("/f");
  };
  EXPECT_FALSE(left_after({}, lose_all));
  EXPECT_TRUE(left_after({}, keep_all));
  EXPECT_TRUE(left_after({Kind::NameSync}, lose_all));
  EXPECT_TRUE(left_after({Kind::NameSync, Kind::Delete}, lose_all));
  EXPECT_FALSE(left_after({Kind::NameSync, Kind::Delete}, keep_all));
  EXPECT_FALSE(left_after({Kind::NameSync, Kind::DurableDelete}, lose_all));
}

// --- determinism ---------------------------------------------------------------------------------

// Goal: equal calls on a fresh disk give equal bytes, another seed gives others. Method: the same
// commits three times in one process.
TEST(SimulatedDiskRuns, AreTheSameAgain) {
  const auto bytes_of = [](std::uint64_t seed) {
    TestObserver observer;
    Disk disk(observer, {.seed = seed, .storage = {}});
    {
      Connection connection(kPath);
      connection.execute("CREATE TABLE t (x); INSERT INTO t VALUES (randomblob(100))");
    }
    return std::pair(disk.content(kPath), disk.content(std::string(kPath) + "-wal"));
  };
  const auto first = bytes_of(1);
  EXPECT_FALSE(first.second.empty());
  EXPECT_EQ(bytes_of(1), first);
  EXPECT_NE(bytes_of(2), first);
}

// Goal: the real disk is SQLite's default again afterwards. Method: a real file.
TEST(SimulatedDiskRuns, GiveTheRealDiskBack) {
  const TempDir folder;
  const std::string path = folder / "real.db";
  {
    TestObserver observer;
    const Disk disk(observer);
  }
  {
    Connection connection(path);
    EXPECT_EQ(connection.execute("CREATE TABLE t (x)"), SQLITE_OK);
  }
  EXPECT_TRUE(std::filesystem::exists(path));
}

}  // namespace
}  // namespace finops::testing
