// test_tracker.cpp - tests of a run inside its process: start, hot calls, forks, threads, finish.
//
// Owns: the checks of Run's life. Does not own: budgets, options, resuming and failures
// (test_tracker_budget.cpp), the agent's rounds (test_agent.cpp).
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <thread>
#include <vector>

#include "finops/pulse/scanner.hpp"
#include "tracker_support.hpp"

namespace finops {
namespace {

// --- the whole of a run --------------------------------------------------------------------------

// Goal: a finished run is settled exactly, and leaves no page. Method: start, progress, finish; the
// ledger's charge is the price of the ledger's time, and what the run says itself.
TEST_F(TrackerRuns, FinishSettles) {
  const std::unique_ptr<TrackedRun> run = TrackedRun::start(options());
  EXPECT_EQ(run->status(), RunStatus::RUNNING);
  EXPECT_EQ(run->attempt_number(), 1);
  EXPECT_EQ(run->price_per_hour().value(), usd("24"));
  EXPECT_EQ(page_count(), 1U);
  run->progress(5);
  run->heartbeat();
  EXPECT_EQ(run->check_budget(), Directive::CONTINUE);
  EXPECT_EQ(attempt_of(run->run_id()).account_state, "OPEN");
  run->finish(RunStatus::FINISHED, "done");
  EXPECT_EQ(run->status(), RunStatus::FINISHED);
  EXPECT_EQ(page_count(), 0U);
  const AttemptSummary attempt = attempt_of(run->run_id());
  EXPECT_EQ(attempt.account_state, "SETTLED");
  EXPECT_EQ(attempt.end.value().reason, "done");
  EXPECT_GT(attempt.metered_time, Nanoseconds{0});
  EXPECT_EQ(attempt.metered_cost.value(), Rate::whole(usd("24")).cost_of(attempt.metered_time));
  EXPECT_EQ(run->cost().value(), attempt.metered_cost.value());
  EXPECT_TRUE(ledger()->verify().is_clean());
}

// Goal: a run ends once, with its first word. Method: finish twice; then the object goes; another
// run is dropped without a word.
TEST_F(TrackerRuns, EndsOnce) {
  std::unique_ptr<TrackedRun> run = TrackedRun::start(options());
  const RunId first = run->run_id();
  run->finish(RunStatus::FAILED, "a bad batch");
  run->finish(RunStatus::FINISHED, "");
  EXPECT_EQ(run->status(), RunStatus::FAILED);
  run.reset();
  EXPECT_EQ(attempt_of(first).end.value().status, RunStatus::FAILED);
  EXPECT_EQ(attempt_of(first).end.value().reason, "a bad batch");
  run = TrackedRun::start(options());
  const RunId second = run->run_id();
  run.reset();
  EXPECT_EQ(attempt_of(second).end.value().status, RunStatus::FINISHED);
}

// Goal: hot calls count the user's word and nothing else. Method: the page's counters after each.
TEST_F(TrackerRuns, HotCallsWriteThePage) {
  const std::unique_ptr<TrackedRun> run = TrackedRun::start(options());
  Child watcher([&](const std::function<void()>&) {
    run->progress(99);  // a forked child is no owner
    run->heartbeat();
    pulse::PageScanner theirs(home_path() + "/live");
    theirs.scan();
    pulse::ProcessLine& line = theirs.pages().at(0)->page().process;
    return line.progress_count.load() == 0 && line.step.load() == 0 ? 0 : 1;
  });
  EXPECT_EQ(watcher.wait(), 0);
  run->progress(7);
  run->heartbeat();
  (void)run->check_budget();
  Child reader([&](const std::function<void()>&) {
    pulse::PageScanner theirs(home_path() + "/live");
    theirs.scan();
    pulse::ProcessLine& line = theirs.pages().at(0)->page().process;
    return line.step.load() == 7 && line.progress_count.load() == 2 ? 0 : 1;
  });
  EXPECT_EQ(reader.wait(), 0) << "step 7, two signs of progress: check_budget is none";
}

// Goal: after finish every call is harmless. Method: all of them, each once.
TEST_F(TrackerRuns, CallsAfterFinishAreNoOps) {
  RunOptions with_budget = options();
  with_budget.budget = usd("10");
  const std::unique_ptr<TrackedRun> run = TrackedRun::start(with_budget);
  run->finish(RunStatus::FINISHED, "");
  const Money cost = run->cost().value();
  run->progress(1);
  run->heartbeat();
  EXPECT_EQ(run->check_budget(), Directive::CONTINUE);
  run->checkpointed(1, "/ckpt");
  run->commit();
  run->expect_silence(seconds{1}, "why");
  EXPECT_EQ(run->cost().value(), cost);
  EXPECT_FALSE(run->is_owner());
  EXPECT_FALSE(ledger()->last_checkpoint(run->run_id()).has_value());
  EXPECT_EQ(ledger()->budgets(testing::example_time()).at(0).accounts.spent, cost);
}

// Goal: a forked child ends nothing of its parent's. Method: the child makes every call, finishes
// and drops its copy; the parent's run goes on and ends as it says.
TEST_F(TrackerRuns, AForkedChildTouchesNothing) {
  std::unique_ptr<TrackedRun> run = TrackedRun::start(options());
  Child child([&](const std::function<void()>&) {
    run->progress(99);
    run->heartbeat();
    const bool is_quiet = run->check_budget() == Directive::CONTINUE && !run->is_owner();
    run->checkpointed(99, "/child");
    run->commit();
    run->finish(RunStatus::FAILED, "child");
    run.reset();
    return is_quiet ? 0 : 1;
  });
  EXPECT_EQ(child.wait(), 0);
  EXPECT_TRUE(run->is_owner());
  EXPECT_EQ(page_count(), 1U);
  EXPECT_EQ(attempt_of(run->run_id()).account_state, "OPEN");
  run->finish(RunStatus::FINISHED, "parent");
  EXPECT_EQ(attempt_of(run->run_id()).end.value().reason, "parent");
  EXPECT_FALSE(ledger()->last_checkpoint(run->run_id()).has_value());
}

// Goal: two runs of one process are two attempts. Method: both at once, in one experiment; the
// first ends while the second goes on; a third process still sees the second's lock.
TEST_F(TrackerRuns, TwoRunsInOneProcess) {
  const std::unique_ptr<TrackedRun> first = TrackedRun::start(options());
  const std::unique_ptr<TrackedRun> second = TrackedRun::start(options());
  EXPECT_NE(first->run_id(), second->run_id());
  EXPECT_EQ(page_count(), 2U);
  first->finish(RunStatus::FINISHED, "");
  Child asker([&](const std::function<void()>&) {
    pulse::PageScanner theirs(home_path() + "/live");
    theirs.scan();
    return theirs.pages().size() == 1 && theirs.pages()[0]->is_locked() ? 0 : 1;
  });
  EXPECT_EQ(asker.wait(), 0);
  second->progress(1);
  second->finish(RunStatus::FINISHED, "");
  EXPECT_EQ(ledger()->runs({}).size(), 2U);
  EXPECT_EQ(page_count(), 0U);
}

// Goal: a run whose process was killed is settled by the next start. Method: a child starts one and
// is killed; another run starts.
TEST_F(TrackerRuns, TheNextStartSettlesTheDead) {
  Child child([&](const std::function<void()>& say_ready) -> int {
    const std::unique_ptr<TrackedRun> run = TrackedRun::start(options());
    run->progress(1);
    say_ready();
    testing::sleep_for_ever();
  });
  ASSERT_TRUE(child.is_ready());
  child.send(SIGKILL);
  child.wait();
  const std::unique_ptr<TrackedRun> run = TrackedRun::start(options());
  RunFilter failed;
  failed.status = RunStatus::FAILED;
  ASSERT_EQ(ledger()->runs(failed).size(), 1U);
  EXPECT_TRUE(ledger()->runs(failed)[0].metered_cost.has_value());
  EXPECT_EQ(page_count(), 1U) << "only the living one's";
}

// --- threads -------------------------------------------------------------------------------------

// Goal: hot calls of other threads are harmless while the run settles and finishes. Method: four
// threads call without end, with a slow path every few milliseconds.
TEST_F(TrackerRuns, ConcurrentHotCallsWhileFinishing) {
  RunOptions quick = options();
  quick.budget = usd("1000");
  quick.lease_terms.term = milliseconds{4};
  const std::unique_ptr<TrackedRun> run = TrackedRun::start(quick);
  std::atomic<bool> is_over{false};
  std::vector<std::thread> threads;
  threads.reserve(4);
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (std::int64_t step = 0; !is_over.load(); ++step) {
        run->progress(step);
        run->heartbeat();
        (void)run->check_budget();
      }
    });
  }
  std::this_thread::sleep_for(milliseconds{60});
  run->finish(RunStatus::FINISHED, "");
  std::this_thread::sleep_for(milliseconds{5});
  is_over.store(true);
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(attempt_of(run->run_id()).account_state, "SETTLED");
  EXPECT_EQ(run->cost().value(), attempt_of(run->run_id()).metered_cost.value());
  EXPECT_GT(run->slow_path_time(), Nanoseconds{0});
  EXPECT_TRUE(ledger()->verify().is_clean());
}

}  // namespace
}  // namespace finops
