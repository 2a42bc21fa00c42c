// test_tracker_budget.cpp - tests of what a run may: budgets, prices, options, resuming, failures.
//
// Owns: the checks of RunOptions and of directives. Does not own: a run's life (test_tracker.cpp),
// the arithmetic of leases (test_budget.cpp).
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "finops/tracker/command_run.hpp"
#include "ledger/write_lock.hpp"
#include "tracker_support.hpp"

namespace finops {
namespace {

// --- budgets -------------------------------------------------------------------------------------

// Goal: near the limit a run is told to save, after that to leave, and spends no more than it may.
// Method: 2.8 USD at 1 USD a second, with a reserve of 2.05 s.
TEST_F(TrackerRuns, CheckpointThenPauseAtTheLimit) {
  RunOptions tight = options();
  tight.price = "3600 USD/h";
  tight.budget = usd("2.8");
  tight.lease_terms = {.term = milliseconds{400},
                       .check_gap = milliseconds{50},
                       .stop_time = seconds{2},
                       .billing_quantum = Nanoseconds{0}};
  const std::unique_ptr<TrackedRun> run = TrackedRun::start(tight);
  EXPECT_EQ(run->check_budget(), Directive::CONTINUE);
  ASSERT_TRUE(eventually([&] { return run->check_budget() != Directive::CONTINUE; }, seconds{5}));
  EXPECT_EQ(run->check_budget(), Directive::CHECKPOINT);
  EXPECT_NE(run->reason().find("budget"), std::string::npos) << run->reason();
  run->checkpointed(120, "/ckpt/120");
  EXPECT_EQ(run->check_budget(), Directive::PAUSE) << "what had to be saved is saved";
  run->finish(RunStatus::PAUSED, run->reason());
  const BudgetAccounts after = ledger()->budgets(testing::example_time()).at(0).accounts;
  EXPECT_EQ(after.overspent, usd("0"));
  EXPECT_EQ(after.held, usd("0"));
  EXPECT_EQ(after.spent, run->cost().value());
  const std::vector<DecisionRecord> decisions = ledger()->decisions({}, 10);
  ASSERT_FALSE(decisions.empty());
  EXPECT_EQ(decisions[0].directive, Directive::CHECKPOINT);
  EXPECT_EQ(decisions[0].decided_by, "process");
  EXPECT_EQ(code_of([&] { TrackedRun::start(tight); }), "BudgetExhausted");
}

// Goal: of many that start at once, each can pay for its stop or is refused; what is refused holds
// nothing. Method: 8 threads, money for two or three of them, 20 rounds.
TEST_F(TrackerRuns, ConcurrentStartsEachPayForTheirStop) {
  RunOptions tight = options();
  tight.price = "3600 USD/h";
  tight.lease_terms = {.term = seconds{1},
                       .check_gap = seconds{0},
                       .stop_time = seconds{20},
                       .billing_quantum = Nanoseconds{0}};
  for (int round = 0; round < 20; ++round) {
    tight.experiment = "round" + std::to_string(round);
    tight.budget = usd("50");
    std::atomic<int> refused{0};
    std::vector<std::unique_ptr<TrackedRun>> runs(8);
    std::vector<std::thread> threads;
    threads.reserve(runs.size());
    for (std::unique_ptr<TrackedRun>& run : runs) {
      threads.emplace_back([&] {
        try {
          run = TrackedRun::start(tight);
        } catch (const Error& error) {
          refused += error.code() == ErrorCode::BudgetExhausted ? 1 : 0;
        }
      });
    }
    for (std::thread& thread : threads) {
      thread.join();
    }
    for (const std::unique_ptr<TrackedRun>& run : runs) {
      if (run != nullptr) {
        const AttemptAccount account = ledger()->account(run->info().attempt_id);
        EXPECT_GT(account.held.value(), usd("20")) << "round " << round;
      }
    }
    EXPECT_EQ(refused, 6) << "round " << round;
    EXPECT_EQ(page_count(), 2U);
    runs.clear();
    EXPECT_EQ(ledger()->budgets(testing::example_time()).back().accounts.held, usd("0"));
  }
  EXPECT_TRUE(ledger()->verify().is_clean());
}

// Goal: a start needs more than the reserve. Method: a budget of nothing, of exactly the reserve,
// and of one nanosecond more, at 1 USD a second.
TEST_F(TrackerRuns, StartsOnlyWithMoreThanTheReserve) {
  struct Case {
    const char* budget;
    const char* code;
  };
  for (const Case& c : {Case{"0", "BudgetExhausted"}, Case{"36", "BudgetExhausted"},
                        Case{"36.000000001", "none"}}) {
    RunOptions tight = options();
    tight.experiment = std::string("e") + c.budget;
    tight.price = "3600 USD/h";
    tight.budget = usd(c.budget);
    EXPECT_EQ(code_of([&] { TrackedRun::start(tight); }), c.code) << c.budget;
    tight.experiment += "soft";
    tight.is_hard_budget = false;
    EXPECT_EQ(code_of([&] { TrackedRun::start(tight); }), "none") << "soft, " << c.budget;
  }
}

// Goal: an experiment's budget holds for all its runs and is not changed in passing. Method: the
// same, none, and another budget given.
TEST_F(TrackerRuns, ABudgetHoldsForAllRuns) {
  RunOptions with_budget = options();
  with_budget.budget = usd("10");
  TrackedRun::start(with_budget);
  EXPECT_EQ(code_of([&] { TrackedRun::start(with_budget); }), "none");
  const std::unique_ptr<TrackedRun> silent = TrackedRun::start(options());
  EXPECT_EQ(silent->budget().value().accounts.limit, usd("10"));
  with_budget.budget = usd("11");
  EXPECT_EQ(code_of([&] { TrackedRun::start(with_budget); }), "BudgetMismatch");
  with_budget.budget = Money::parse("10 EUR");
  EXPECT_EQ(code_of([&] { TrackedRun::start(with_budget); }), "CurrencyMismatch");
  with_budget.budget = usd("-1");
  EXPECT_EQ(code_of([&] { TrackedRun::start(with_budget); }), "InvalidMoney");
  EXPECT_EQ(page_count(), 1U) << "refused starts leave no page";
}

// Goal: a script that is started again after an approval says what it said at first, and goes on.
// Method: 10 USD, 7 more approved; then the old limit, the new one, and a third.
TEST_F(TrackerRuns, AnApprovedBudgetMayBeCalledByItsFirstLimit) {
  RunOptions with_budget = options();
  with_budget.budget = usd("10");
  const RequestId request = TrackedRun::start(with_budget)->request_budget(usd("7"), "nearly done");
  ledger()->rule_request(request, true, "ada", "go on", testing::example_time());
  EXPECT_EQ(code_of([&] { TrackedRun::start(with_budget); }), "none");
  with_budget.budget = usd("17");
  EXPECT_EQ(code_of([&] { TrackedRun::start(with_budget); }), "none");
  with_budget.budget = usd("12");
  EXPECT_EQ(code_of([&] { TrackedRun::start(with_budget); }), "BudgetMismatch");
  EXPECT_EQ(ledger()->budgets(testing::example_time()).at(0).accounts.limit, usd("17"));
}

// Goal: what `finops run` knows of its command's end is not lost with a ledger that cannot take it.
// Method: another process holds the ledger's lock while the command ends; its page tells the rest.
TEST_F(TrackerRuns, ACommandsEndStandsInItsPageFirst) {
  const std::unique_ptr<CommandRun> command = CommandRun::start(options());
  const SystemClock clock;
  agent::Agent agent({.home = open_home(home_path()), .policies = {}}, clock);
  const Child holder([&](const std::function<void()>& say_ready) -> int {
    const ledger::WriteLock lock(home_path() + "/ledger.db.lock", seconds{5});
    say_ready();
    testing::sleep_for_ever();
  });
  ASSERT_TRUE(holder.is_ready());
  command->child_ended(agent, 3);
  pulse::PageScanner scanner(home_path() + "/live");
  const Child reader([&](const std::function<void()>& say_ready) -> int {
    scanner.scan();
    const pulse::PageLayout& page = scanner.pages().at(0)->page();
    const bool is_told = page.process.state.load() == pulse::ProcessState::Failed &&
                         page.group.ended_after_ns.load() > 0;
    if (is_told) {
      say_ready();
    }
    return 0;
  });
  EXPECT_TRUE(reader.is_ready());
}

// Goal: a run asks for more with a reason, and the approval raises the limit. Method: one request,
// beside those that are refused.
TEST_F(TrackerRuns, AsksForMore) {
  RunOptions with_budget = options();
  with_budget.budget = usd("10");
  const std::unique_ptr<TrackedRun> run = TrackedRun::start(with_budget);
  EXPECT_EQ(code_of([&] { run->request_budget(usd("5"), ""); }), "InvalidArgument");
  EXPECT_EQ(code_of([&] { run->request_budget(usd("0"), "why"); }), "InvalidMoney");
  const RequestId request = run->request_budget(usd("5"), "two more epochs");
  ledger()->rule_request(request, true, "grace", "", testing::example_time());
  EXPECT_EQ(run->budget().value().accounts.limit, usd("15"));
  RunOptions without = options();
  without.experiment = "free";
  const std::unique_ptr<TrackedRun> free = TrackedRun::start(without);
  EXPECT_FALSE(free->budget().has_value());
  EXPECT_EQ(code_of([&] { free->request_budget(usd("5"), "why"); }), "NotFound");
}

// --- prices --------------------------------------------------------------------------------------

// Goal: unknown cost is unknown, and no budget runs on it. Method: a resource without a price, with
// and without a budget.
TEST_F(TrackerRuns, AnUnpricedRunHasNoCost) {
  RunOptions unpriced = options();
  unpriced.price = "";
  unpriced.resources = "8xH100";
  const std::unique_ptr<TrackedRun> run = TrackedRun::start(unpriced);
  EXPECT_FALSE(run->cost().has_value());
  EXPECT_FALSE(run->price_per_hour().has_value());
  EXPECT_NE(all_warnings(*run).find("no price"), std::string::npos) << all_warnings(*run);
  run->finish(RunStatus::FINISHED, "");
  EXPECT_FALSE(attempt_of(run->run_id()).metered_cost.has_value());
  EXPECT_EQ(ledger()->unpriced_attempts().size(), 1U);
  unpriced.budget = usd("10");
  const std::string message = message_of([&] { TrackedRun::start(unpriced); });
  EXPECT_EQ(code_of([&] { TrackedRun::start(unpriced); }), "UnpricedResource");
  EXPECT_NE(message.find("8xH100"), std::string::npos) << message;
  EXPECT_TRUE(ledger()->budgets(testing::example_time()).empty());
}

// --- options -------------------------------------------------------------------------------------

// Goal: what a run must say is asked for. Method: one option wrong at a time, beside the nearest
// good one.
TEST_F(TrackerRuns, RefusesBadOptions) {
  struct Case {
    const char* what;
    void (*change)(RunOptions&);
    const char* code;
  };
  const Case cases[] = {
      {"as it is", [](RunOptions&) {}, "none"},
      {"no project", [](RunOptions& o) { o.project = ""; }, "InvalidArgument"},
      {"no experiment", [](RunOptions& o) { o.experiment = ""; }, "InvalidArgument"},
      {"a '/'", [](RunOptions& o) { o.project = "a/b"; }, "InvalidArgument"},
      {"127 bytes", [](RunOptions& o) { o.name = std::string(127, 'n'); }, "none"},
      {"128 bytes", [](RunOptions& o) { o.name = std::string(128, 'n'); }, "InvalidArgument"},
      {"a newline", [](RunOptions& o) { o.name = "a\nb"; }, "InvalidArgument"},
      {"no reason", [](RunOptions& o) { o.is_long_running = true; }, "InvalidArgument"},
      {"no limit", [](RunOptions& o) { o.silence_limit = seconds{0}; }, "InvalidArgument"},
      {"no term", [](RunOptions& o) { o.lease_terms.term = seconds{0}; }, "InvalidArgument"},
      {"no run", [](RunOptions& o) { o.resume = "nobody"; }, "NotFound"},
      {"auto", [](RunOptions& o) { o.resume = "auto"; }, "none"},
      {"a bad price", [](RunOptions& o) { o.price = "24"; }, "InvalidMoney"},
      {"no such home", [](RunOptions& o) { o.home = "here"; }, "InvalidArgument"},
  };
  for (const Case& c : cases) {
    RunOptions changed = options();
    c.change(changed);
    EXPECT_EQ(code_of([&] { TrackedRun::start(changed); }), c.code) << c.what;
  }
}

// Goal: an expected silence is bounded and has a reason. Method: around 0 and 24 h.
TEST_F(TrackerRuns, ExpectsSilenceWithinADay) {
  const std::unique_ptr<TrackedRun> run = TrackedRun::start(options());
  const auto expect = [&](Nanoseconds span, const char* why) {
    return code_of([&] { run->expect_silence(span, why); });
  };
  EXPECT_EQ(expect(Nanoseconds{-1}, "why"), "InvalidArgument");
  EXPECT_EQ(expect(Nanoseconds{0}, "why"), "none");
  EXPECT_EQ(expect(hours{24}, "why"), "none");
  EXPECT_EQ(expect(hours{24} + Nanoseconds{1}, "why"), "InvalidArgument");
  EXPECT_EQ(expect(hours{1}, ""), "InvalidArgument");
}

// --- resuming ------------------------------------------------------------------------------------

// Goal: a paused run goes on as its second attempt, from its checkpoint, at the cost of both.
// Method: pause, resume="auto", resume by id; refused while it runs and from another experiment.
TEST_F(TrackerRuns, ResumesAsASecondAttempt) {
  const std::unique_ptr<TrackedRun> first = TrackedRun::start(options());
  EXPECT_FALSE(first->resume_from().has_value());
  first->checkpointed(120, "/ckpt/120");
  RunOptions again = options();
  again.resume = first->run_id().str();
  EXPECT_EQ(code_of([&] { TrackedRun::start(again); }), "Conflict") << "it still runs";
  first->finish(RunStatus::PAUSED, "budget");
  RunOptions automatic = options();
  automatic.resume = "auto";
  const std::unique_ptr<TrackedRun> second = TrackedRun::start(automatic);
  EXPECT_EQ(second->run_id(), first->run_id());
  EXPECT_EQ(second->attempt_number(), 2);
  EXPECT_EQ(second->resume_from().value().step, 120);
  EXPECT_EQ(second->resume_from().value().path, "/ckpt/120");
  EXPECT_GT(second->cost().value(), first->cost().value());
  second->finish(RunStatus::FINISHED, "");
  const RunSummary summary = ledger()->runs({}).at(0);
  EXPECT_EQ(summary.attempt_count, 2);
  EXPECT_EQ(summary.metered_cost.value(), second->cost().value());
  EXPECT_EQ(summary.status, RunStatus::FINISHED);
  again.experiment = "other";
  EXPECT_EQ(code_of([&] { TrackedRun::start(again); }), "Conflict") << "it belongs to resnet";
  again.experiment = "resnet";
  EXPECT_EQ(TrackedRun::start(again)->attempt_number(), 3);
  EXPECT_EQ(page_count(), 0U);
}

// Goal: below `finops run` a process reports into the attempt there is, and is charged once.
// Method: a command's attempt; a child starts a run; the command ends.
TEST_F(TrackerRuns, AttachesToTheAttemptOfACommand) {
  const std::unique_ptr<CommandRun> command = CommandRun::start(options());
  Child child([&](const std::function<void()>&) {
    setenv("FINOPS_ATTEMPT_ID", command->info().attempt_id.str().c_str(), 1);
    const std::unique_ptr<TrackedRun> run = TrackedRun::start(options());
    run->progress(3);
    const bool is_same = run->run_id() == command->info().run_id && run->attempt_number() == 1;
    run->finish(RunStatus::FINISHED, "");
    return is_same ? 0 : 1;
  });
  EXPECT_EQ(child.wait(), 0);
  const SystemClock clock;
  agent::AgentOptions agent_options;
  agent_options.home = open_home(home_path());
  agent::Agent agent(agent_options, clock);
  EXPECT_EQ(command->child_ended(agent, 0), RunStatus::FINISHED);
  ASSERT_EQ(ledger()->runs({}).size(), 1U);
  EXPECT_EQ(ledger()->attempts(command->info().run_id).size(), 1U);
  EXPECT_EQ(command->cost().value(), attempt_of(command->info().run_id).metered_cost.value());
}

// --- failures ------------------------------------------------------------------------------------

// Goal: a broken home stops no observation unless asked to, and no hard budget passes on it.
// Method: the home is a file; fail_open and the kind of budget move.
TEST_F(TrackerRuns, FailsOpenForObservationOnly) {
  std::ofstream(home_path()) << "in the way";
  RunOptions changed = options();
  const std::unique_ptr<TrackedRun> run = TrackedRun::start(changed);
  EXPECT_NE(all_warnings(*run).find("without a ledger"), std::string::npos) << all_warnings(*run);
  run->progress(1);
  EXPECT_EQ(run->check_budget(), Directive::CONTINUE);
  EXPECT_TRUE(run->cost().has_value()) << "the price is known all the same";
  EXPECT_EQ(code_of([&] { run->commit(); }), "LedgerUnavailable");
  EXPECT_NO_THROW(run->checkpointed(1, "/ckpt"));
  run->finish(RunStatus::FINISHED, "");
  EXPECT_EQ(run->status(), RunStatus::FINISHED);
  changed.fail_open = false;
  EXPECT_NE(code_of([&] { TrackedRun::start(changed); }), "none");
  changed.fail_open = true;
  changed.budget = usd("10");
  EXPECT_NE(code_of([&] { TrackedRun::start(changed); }), "none") << "a hard budget";
  changed.is_hard_budget = false;
  EXPECT_EQ(code_of([&] { TrackedRun::start(changed); }), "none") << "a soft one";
}

// Goal: a ledger that breaks later loses nothing that the page holds. Method: the ledger is away
// while the run finishes; it comes back; the next start settles.
TEST_F(TrackerRuns, AFinishWithoutALedgerIsSettledLater) {
  const std::unique_ptr<TrackedRun> run = TrackedRun::start(options());
  std::filesystem::rename(home_path() + "/live", folder_ / "live");
  std::filesystem::rename(home_path(), folder_ / "away");
  run->checkpointed(9, "/ckpt/9");
  run->finish(RunStatus::FINISHED, "");
  EXPECT_FALSE(run->warnings().empty());
  std::filesystem::rename(folder_ / "away", home_path());
  std::filesystem::rename(folder_ / "live", home_path() + "/live");
  ASSERT_EQ(page_count(), 1U) << "the page waits";
  const std::unique_ptr<TrackedRun> next = TrackedRun::start(options());
  EXPECT_EQ(attempt_of(run->run_id()).end.value().status, RunStatus::FINISHED);
  EXPECT_EQ(attempt_of(run->run_id()).account_state, "SETTLED");
  // Its last word is a reading of another clock: the same to the microsecond, not to the
  // nanosecond.
  const Money difference = attempt_of(run->run_id()).metered_cost.value() - run->cost().value();
  EXPECT_LT(std::max(difference, -difference), usd("0.000001")) << difference.str();
  EXPECT_EQ(ledger()->last_checkpoint(run->run_id()).value().step, 9);
}

}  // namespace
}  // namespace finops
