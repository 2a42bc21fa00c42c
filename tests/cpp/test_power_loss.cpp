// test_power_loss.cpp - a power loss at any moment loses nothing that the ledger acknowledged.
//
// Owns: the ledger's promise of durability, on the simulated disk. Does not own: the disk itself
// (test_simulated_disk.cpp), names of files (test_durable_names.cpp), the journal of intents
// (test_power_loss_intents.cpp).
// Invariant: every point between two changes of the disk is tried; with weaker syncs the same
// checks find losses.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "finops/ledger/ledger.hpp"
#include "power_loss.hpp"
#include "power_loss_support.hpp"

namespace finops::testing {
namespace {

using simulation::Disk;
using simulation::StorageChange;
using std::chrono::minutes;
using std::chrono::seconds;
using Kind = simulation::StorageChange::Kind;

constexpr int kCheckpointFrames = 60;

/// Two processes with a ledger each, which take turns.
class TwoProcesses {
 public:
  explicit TwoProcesses(Workload& workload) : workload_(workload) {
    const LedgerOptions options{.checkpoint_frames = kCheckpointFrames};
    for (std::unique_ptr<Ledger>& ledger : ledgers_) {
      workload.acknowledge(++opened_, [&] { ledger = open_ledger(workload.path(), options); });
    }
  }
  /// One acknowledged write by the process whose turn it is.
  void write(const std::function<void(Ledger&)>& move) {
    const int index = ++turn_ % 2;
    workload_.acknowledge(index + 1, [&] { move(*ledgers_[index]); });
  }

 private:
  Workload& workload_;
  std::unique_ptr<Ledger> ledgers_[2];
  int opened_ = 0;
  int turn_ = 0;
};

void begin_attempt(TwoProcesses& both, const PriceRow& price, const std::string& id) {
  both.write([&](Ledger& ledger) { ledger.add_run(example_run("run-" + id)); });
  AttemptRecord attempt = example_attempt("run-" + id, id);
  attempt.price_id = price.price_id;
  attempt.budget_chain = {BudgetId{"b"}, BudgetId{"project:vision"}};
  both.write([&](Ledger& ledger) { ledger.add_attempt(attempt); });
}

void settle_and_decide(TwoProcesses& both, const std::string& id, int count) {
  for (int i = 1; i <= count; ++i) {
    both.write([&](Ledger& ledger) {
      ledger.settle({AttemptId{id}, i, minutes{i}, example_time() + minutes{i}, usd("2")});
    });
    both.write([&](Ledger& ledger) {
      DecisionRecord decision;
      decision.attempt_id = AttemptId{id};
      decision.directive = Directive::CHECKPOINT;
      decision.reason = std::string(300, 'r');
      decision.decided_at = example_time() + minutes{i};
      ledger.add_decision(decision);
    });
    both.write([&](Ledger& ledger) {
      ledger.add_checkpoint({RunId{"run-" + id}, AttemptId{id}, i, i, "/ckpt", example_time()});
    });
  }
}

void ask_and_rule(TwoProcesses& both) {
  for (const bool is_approved : {true, false}) {
    BudgetRequest request;
    request.request_id = RequestId{is_approved ? "yes" : "no"};
    request.budget_id = BudgetId{"b"};
    request.amount = usd("7");
    both.write([&](Ledger& ledger) { ledger.add_request(request); });
    both.write([&](Ledger& ledger) {
      ledger.rule_request(request.request_id, is_approved, "grace", "", example_time());
    });
  }
}

void end_attempts(TwoProcesses& both) {
  both.write([](Ledger& ledger) {  // the account is settled at once
    ledger.close(
        {AttemptId{"a1"}, ledger.account(AttemptId{"a1"}).epoch, minutes{10}, minutes{10}, {}});
  });
  both.write([](Ledger& ledger) {  // a span is uncertain
    ledger.close({AttemptId{"a2"},
                  ledger.account(AttemptId{"a2"}).epoch,
                  minutes{10},
                  minutes{12},
                  {.status = RunStatus::FAILED, .reason = "gone"}});
  });
  both.write([](Ledger& ledger) {
    ledger.settle_suspect(AttemptId{"a2"}, SuspectOutcome::Spent, "ada", example_time());
  });
  both.write([](Ledger& ledger) {  // many writes in one commit
    ledger.together([&] {
      for (int i = 0; i < 10; ++i) {
        ledger.add_run(example_run("together" + std::to_string(i)));
      }
      ledger.add_attempt(example_attempt("together0", "t0"));
      ledger.add_notice({.notice_id = "n1", .kind = NoticeKind::Breaker, .text = "too many"});
    });
  });
}

/// Writes of every kind that the ledger knows, until the log was copied and begun anew.
void run_workload(Workload& workload) {
  TwoProcesses both(workload);
  const PriceRow price = example_price("24 USD");
  both.write([&](Ledger& ledger) { ledger.add_price(price); });
  both.write([](Ledger& ledger) {
    ledger.ensure_budget(example_budget("b"), terms_of(usd("10")));
  });
  both.write([](Ledger& ledger) {
    BudgetRecord budget = example_budget("project:vision");
    budget.scope = BudgetScope::Project;
    budget.is_hard = false;
    ledger.ensure_budget(budget, terms_of(usd("5")));
  });
  begin_attempt(both, price, "a1");
  begin_attempt(both, price, "a2");
  settle_and_decide(both, "a1", 4);
  ask_and_rule(both);
  settle_and_decide(both, "a2", 3);
  both.write([](Ledger& ledger) {
    ledger.change_terms(BudgetId{"b"}, terms_of(usd("40")), "ada", "more", example_time());
  });
  both.write([](Ledger& ledger) {
    ledger.set_parent({BudgetId{"project:vision"}, BudgetId{"team:c"}, "ada", example_time()});
  });
  end_attempts(both);
  both.write([](Ledger& ledger) { ledger.add_delivery({.channel = "mail", .state = "SENT"}); });
  both.write([](Ledger& ledger) {
    const TelemetryWindow window{.attempt_id = AttemptId{"a1"}, .sample_count = 1};
    ledger.add_telemetry({&window, 1});
  });
}

/// The recording as it were with synchronous=NORMAL: the log is synced only after its header was
/// written, and by a checkpoint before it writes the file; not at commits.
std::vector<StorageChange> with_normal_syncs(std::vector<StorageChange> changes) {
  for (std::size_t i = 0; i < changes.size(); ++i) {
    const bool is_log_sync = changes[i].kind == Kind::Sync && changes[i].path.ends_with("-wal");
    const bool is_of_header = i > 0 && changes[i - 1].kind == Kind::Write &&
                              changes[i - 1].path == changes[i].path && changes[i - 1].offset == 0;
    const bool is_of_checkpoint =
        i + 1 < changes.size() && changes[i + 1].path + "-wal" == changes[i].path;
    if (is_log_sync && !is_of_header && !is_of_checkpoint) {
      changes[i].kind = Kind::Create;  // of a file that exists: no change
    }
  }
  return changes;
}

/// What is synced between which statements, with plain SQLite: 'L' the log, 'F' the file, ';' ends
/// a statement.
std::string syncs_of(const std::vector<StorageChange>& changes,
                     const std::vector<std::size_t>& ends, const std::string& path) {
  std::string syncs;
  std::size_t at = 0;
  for (const std::size_t end : ends) {
    for (; at < end; ++at) {
      if (changes[at].kind == Kind::Sync) {
        syncs += changes[at].path == path ? "F" : "L";
      }
    }
    syncs += ';';
  }
  return syncs;
}

/// A plain SQLite database on a disk of its own: commits, a checkpoint, a log begun anew, commits.
std::pair<std::vector<StorageChange>, std::vector<std::size_t>> plain_workload(
    const std::string& path, const std::string& synchronous) {
  TestObserver observer;
  Disk disk(observer);
  Connection connection(path, synchronous);
  connection.execute("CREATE TABLE t (x)");
  disk.start_recording();
  std::vector<std::size_t> ends;
  for (int i = 0; i < 9; ++i) {
    EXPECT_EQ(connection.execute("INSERT INTO t VALUES (randomblob(5000))"), SQLITE_OK);
    ends.push_back(disk.recording().size());
    if (i % 3 == 2) {
      EXPECT_EQ(connection.checkpoint(), SQLITE_OK);
      ends.push_back(disk.recording().size());
    }
  }
  return {disk.recording(), ends};
}

/// A ledger's workload, recorded.
class LedgerPowerLoss : public ::testing::TestWithParam<int> {
 protected:
  LedgerPowerLoss() {
    run_workload(workload_);
    changes_ = workload_.finish();
  }

  void expect_no_problems(const PowerLoss& power) {
    constexpr std::size_t kShown = 10;
    for (std::size_t i = 0; i < std::min(kShown, power.problems().size()); ++i) {
      ADD_FAILURE() << power.problems()[i];
    }
    EXPECT_LE(power.problems().size(), kShown);
  }

  TempDir folder_;
  Workload workload_{folder_ / "ledger.db"};
  std::vector<StorageChange> changes_;
};

// The share of unsynced sectors that survive, in percent: none, all, and any mixture.
INSTANTIATE_TEST_SUITE_P(, LedgerPowerLoss, ::testing::Values(0, 50, 90, 100));

// Goal: at every point, what was acknowledged is there after a power loss, the write under way is
// in or out, whole, and the ledger is clean and can be written. Method: see above, and
// power_loss.hpp.
TEST_P(LedgerPowerLoss, LosesNothingThatWasAcknowledged) {
  PowerLoss power(workload_, changes_);
  power.try_everywhere(GetParam());
  EXPECT_GE(power.tried_count(), GetParam() == 0 ? 50 : 500);
  EXPECT_EQ(power.lost_count(), 0);
  expect_no_problems(power);
}

// Goal: the workload comes to where it can hurt. Method: its log is begun anew at least twice after
// it was copied into the file, which takes a checkpoint while the other process has the file open.
TEST_F(LedgerPowerLoss, CoversCheckpointsAndResets) {
  int reset_count = 0;
  int copied_count = 0;
  for (const StorageChange& change : changes_) {
    const bool is_log = change.path.ends_with("-wal");
    reset_count += is_log && change.kind == Kind::Write && change.offset == 0 ? 1 : 0;
    copied_count += !is_log && change.kind == Kind::Write && reset_count > 0 ? 1 : 0;
  }
  EXPECT_GE(reset_count, 3);
  EXPECT_GE(copied_count, kCheckpointFrames);
  EXPECT_GE(workload_.acknowledged().size(), 40U);
}

// Goal: these checks find the losses that weaker syncs bring. Method: the same recording without
// the syncs at commits. It still comes back whole: what is lost are the newest writes.
TEST_F(LedgerPowerLoss, IsFoundWithNormalSyncs) {
  PowerLoss power(workload_, with_normal_syncs(changes_));
  power.try_everywhere(0);
  EXPECT_GE(power.lost_count(), 10) << "of " << power.tried_count();
  expect_no_problems(power);
}

// Goal: what the test above leaves out is what SQLite leaves out with synchronous=NORMAL. Method:
// the syncs of both for the same statements, with a checkpoint and a log that is begun anew.
TEST(PlainSqlitePowerLoss, NormalLeavesOutTheSyncsOfCommits) {
  const std::string path = "/disk/plain.db";
  const auto [full, full_ends] = plain_workload(path, "FULL");
  const auto [normal, normal_ends] = plain_workload(path, "NORMAL");
  const std::string expected = syncs_of(normal, normal_ends, path);
  EXPECT_EQ(syncs_of(with_normal_syncs(full), full_ends, path), expected);
  EXPECT_NE(syncs_of(full, full_ends, path), expected);
  EXPECT_EQ(expected.substr(0, 6), ";;;LF;")
      << "nothing at commits, log and file at the checkpoint";
}

}  // namespace
}  // namespace finops::testing
