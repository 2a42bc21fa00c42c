// test_ledger_lock.cpp - the ledger's write lock, between threads and between processes.
//
// Owns: the checks of src/ledger/write_lock.* and of ledgers that write at the same time.
// Does not own: what is written (ledger_conformance.hpp).
// Invariant: processes are real forks, killed and reaped within their test.
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "finops/ledger/ledger.hpp"
#include "ledger/write_lock.hpp"
#include "support.hpp"

namespace finops::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr int kWriteCount = 200;

/// A ledger file with one attempt per writer.
class SharedLedger {
 public:
  SharedLedger() {
    const std::unique_ptr<Ledger> ledger = open();
    const PriceRow price = example_price("24 USD");
    ledger->add_price(price);
    ledger->ensure_budget(example_budget("b"), terms_of(usd("1000")));
    for (const std::string attempt_id : {"a0", "a1", "both"}) {
      ledger->add_run(example_run("run-" + attempt_id));
      AttemptRecord attempt = example_attempt("run-" + attempt_id, attempt_id);
      attempt.price_id = price.price_id;
      attempt.budget_chain = {BudgetId{"b"}};
      ledger->add_attempt(attempt);
    }
  }
  [[nodiscard]] std::unique_ptr<Ledger> open() const { return open_ledger(path(), {seconds{30}}); }
  [[nodiscard]] std::string path() const { return folder_ / "ledger.db"; }

 private:
  TempDir folder_;
};

/// Settles an attempt of its own and adds decisions to one that all share.
void write_much(Ledger& ledger, const std::string& attempt_id) {
  std::int64_t epoch = 1;
  for (int i = 1; i <= kWriteCount / 2; ++i) {
    epoch = ledger
                .settle({.attempt_id = AttemptId{attempt_id},
                         .epoch = epoch,
                         .elapsed = seconds{i},
                         .now = example_time() + seconds{i},
                         .wanted_hold = usd("1")})
                .epoch;
    DecisionRecord decision;
    decision.attempt_id = AttemptId{"both"};
    decision.decided_by = attempt_id;
    decision.decided_at = example_time() + seconds{i};
    ledger.add_decision(decision);
  }
}

void expect_nothing_lost(Ledger& ledger) {
  for (const char* attempt_id : {"a0", "a1"}) {
    const AttemptAccount account = ledger.account(AttemptId{attempt_id});
    EXPECT_EQ(account.settled, seconds{kWriteCount / 2}) << attempt_id;
    EXPECT_EQ(account.epoch, 1 + kWriteCount / 2) << attempt_id;
    EXPECT_EQ(account.held.value(), usd("1")) << attempt_id;
  }
  const std::vector<DecisionRecord> decisions = ledger.decisions(AttemptId{"both"}, 10'000);
  ASSERT_EQ(decisions.size(), static_cast<std::size_t>(kWriteCount));
  std::vector<bool> seen(kWriteCount + 1, false);
  for (const DecisionRecord& decision : decisions) {
    ASSERT_GE(decision.sequence, 1);
    ASSERT_LE(decision.sequence, kWriteCount);
    EXPECT_FALSE(seen[static_cast<std::size_t>(decision.sequence)]) << decision.sequence;
    seen[static_cast<std::size_t>(decision.sequence)] = true;
  }
  for (const std::string& problem : ledger.verify().problems) {
    ADD_FAILURE() << problem;
  }
}

// --- threads -------------------------------------------------------------------------------------

// Goal: two threads with a ledger each lose nothing. Method: 200 writes each, at once.
TEST(LedgerLockThreads, TwoLedgersLoseNothing) {
  const SharedLedger shared;
  std::vector<std::thread> threads;
  for (const char* attempt_id : {"a0", "a1"}) {
    threads.emplace_back([&shared, attempt_id] { write_much(*shared.open(), attempt_id); });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  expect_nothing_lost(*shared.open());
}

// Goal: two threads that share one ledger lose nothing. Method: 200 writes each, at once.
TEST(LedgerLockThreads, OneLedgerLosesNothing) {
  const SharedLedger shared;
  const std::unique_ptr<Ledger> ledger = shared.open();
  std::vector<std::thread> threads;
  for (const char* attempt_id : {"a0", "a1"}) {
    threads.emplace_back([&ledger, attempt_id] { write_much(*ledger, attempt_id); });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  expect_nothing_lost(*ledger);
}

// Goal: a thread waits for another one up to its limit, and gets the lock when it is let go.
// Method: the lock is held; a short wait fails, a long one outlives the holder.
TEST(LedgerLockThreads, WaitsForAnotherThreadUpToTheLimit) {
  const TempDir folder;
  const std::string path = folder / "a.lock";
  auto held = std::make_unique<ledger::WriteLock>(path, seconds{1});
  std::string code;
  std::thread([&] {
    code = code_of([&] { const ledger::WriteLock second(path, milliseconds{20}); });
  }).join();
  EXPECT_EQ(code, "LedgerUnavailable");
  std::thread waiting([&] {
    code = code_of([&] { const ledger::WriteLock second(path, seconds{30}); });
  });
  std::this_thread::sleep_for(milliseconds{20});
  held.reset();
  waiting.join();
  EXPECT_EQ(code, "none");
}

// --- processes -----------------------------------------------------------------------------------

// Goal: two processes lose nothing. Method: 200 writes each, at once, in two children.
TEST(LedgerLockConcurrentProcesses, LoseNothing) {
  const SharedLedger shared;
  const auto writer = [&shared](const char* attempt_id) {
    return std::make_unique<Child>([&shared, attempt_id](const std::function<void()>& say_ready) {
      say_ready();
      write_much(*shared.open(), attempt_id);
      return 0;
    });
  };
  const std::unique_ptr<Child> first = writer("a0");
  const std::unique_ptr<Child> second = writer("a1");
  EXPECT_EQ(first->wait(), 0);
  EXPECT_EQ(second->wait(), 0);
  expect_nothing_lost(*shared.open());
}

// Goal: who waits in vain is told who holds the lock, and nothing is left locked when the holder is
// killed. Method: a child holds it and sleeps; a write times out; SIGKILL; the same write works.
TEST(LedgerLockConcurrentProcesses, NameTheHolderAndOutliveIt) {
  const SharedLedger shared;
  Child holder([&shared](const std::function<void()>& say_ready) -> int {
    const ledger::WriteLock lock(shared.path() + ".lock", seconds{1});
    say_ready();
    sleep_for_ever();
  });
  ASSERT_TRUE(holder.is_ready());
  const std::unique_ptr<Ledger> ledger = open_ledger(shared.path(), {milliseconds{50}});
  EXPECT_EQ(ledger->runs({}).size(), 3U) << "reading needs no lock";
  const auto write = [&] { ledger->add_run(example_run("run2")); };
  EXPECT_EQ(code_of(write), "LedgerUnavailable");
  const std::string message = message_of(write);
  EXPECT_NE(message.find(std::to_string(holder.pid())), std::string::npos) << message;
  EXPECT_EQ(ledger->runs({}).size(), 3U);
  holder.send(SIGKILL);
  EXPECT_EQ(holder.wait(), -SIGKILL);
  EXPECT_EQ(code_of(write), "none");
}

// Goal: a writer killed anywhere leaves a whole ledger. Method: a child writes without end and is
// killed after some time; ten times, at different times.
TEST(LedgerLockConcurrentProcesses, LeaveAWholeLedgerWhenKilled) {
  const SharedLedger shared;
  for (int i = 0; i < 10; ++i) {
    Child writer([&shared](const std::function<void()>& say_ready) -> int {
      const std::unique_ptr<Ledger> ledger = shared.open();
      say_ready();
      AttemptAccount account = ledger->account(AttemptId{"a0"});
      for (;;) {
        account = ledger->settle({AttemptId{"a0"}, account.epoch, account.settled + seconds{1},
                                  example_time(), usd("1")});
      }
    });
    std::this_thread::sleep_for(milliseconds{3 * i});
    writer.send(SIGKILL);
    EXPECT_EQ(writer.wait(), -SIGKILL);
    const std::unique_ptr<Ledger> ledger = shared.open();
    const VerifyReport report = ledger->verify();
    EXPECT_TRUE(report.is_clean()) << report.problems.at(0);
    EXPECT_EQ(code_of([&] { ledger->add_run(example_run("after" + std::to_string(i))); }), "none");
  }
}

// Goal: a fork in the middle of the parent's work harms nobody. Method: the parent has an open
// ledger and holds the lock while it forks; the child opens its own, waits and writes.
TEST(LedgerLockConcurrentProcesses, AForkedChildOpensItsOwn) {
  const SharedLedger shared;
  const std::unique_ptr<Ledger> ledger = shared.open();
  EXPECT_EQ(ledger->runs({}).size(), 3U);
  auto held = std::make_unique<ledger::WriteLock>(shared.path() + ".lock", seconds{1});
  Child child([&shared](const std::function<void()>& say_ready) {
    const std::unique_ptr<Ledger> own = open_ledger(shared.path(), {milliseconds{50}});
    if (code_of([&] { own->add_run(example_run("child")); }) != "LedgerUnavailable") {
      return 1;  // the parent's lock is not the child's
    }
    say_ready();
    const std::unique_ptr<Ledger> patient = shared.open();
    patient->add_run(example_run("child"));
    return patient->runs({}).size() == 4 ? 0 : 2;
  });
  EXPECT_TRUE(child.is_ready());
  held.reset();
  EXPECT_EQ(child.wait(), 0);
  EXPECT_EQ(ledger->runs({}).size(), 4U);
  EXPECT_EQ(code_of([&] { ledger->add_run(example_run("parent")); }), "none");
  EXPECT_TRUE(ledger->verify().is_clean());
}

// Goal: the lock is of the file that the name stands for now. Method: the folder is removed and
// made again while the process remembers the old lock file; another process must still be kept out.
TEST(LedgerLockConcurrentProcesses, FollowARemovedFolder) {
  const TempDir folder;
  const std::string path = folder / "a.lock";
  {
    const ledger::WriteLock first(path, seconds{1});
  }
  std::filesystem::remove(path);
  const ledger::WriteLock second(path, seconds{1});
  Child other([&path](const std::function<void()>&) {
    return code_of([&] { const ledger::WriteLock lock(path, milliseconds{20}); }) ==
                   "LedgerUnavailable"
               ? 0
               : 1;
  });
  EXPECT_EQ(other.wait(), 0);
}

}  // namespace
}  // namespace finops::testing
