// test_tracker_ranks.cpp - tests of several runs and processes in one attempt, its longest
// duration, and its chain of budgets.
//
// Owns: the checks of tracker/join.hpp and tracker/chain.hpp. Does not own: the shared page itself
// (test_pulse_group.cpp), ranks as Python processes (tests/python/test_ranks.py).
#include <gtest/gtest.h>

#include <fcntl.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "finops/pulse/scanner.hpp"
#include "finops/tracker/command_run.hpp"
#include "tracker/chain.hpp"
#include "tracker/group_file.hpp"
#include "tracker_support.hpp"

namespace finops {
namespace {

class TrackerRanks : public TrackerRuns {
 protected:
  void TearDown() override {
    for (const char* name : {"FINOPS_RUN_ID", "TORCHELASTIC_RUN_ID", "MASTER_ADDR", "MASTER_PORT",
                             "RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"}) {
      unsetenv(name);
    }
    TrackerRuns::TearDown();
  }
  static void be_rank(int rank, int world_size = 2) {
    setenv("TORCHELASTIC_RUN_ID", "none", 1);
    setenv("MASTER_ADDR", "127.0.0.1", 1);
    setenv("MASTER_PORT", "29500", 1);
    setenv("RANK", std::to_string(rank).c_str(), 1);
    setenv("LOCAL_RANK", std::to_string(rank).c_str(), 1);
    setenv("WORLD_SIZE", std::to_string(world_size).c_str(), 1);
    setenv("LOCAL_WORLD_SIZE", std::to_string(world_size).c_str(), 1);
  }
  [[nodiscard]] std::string group_file() const {
    for (const auto& entry : std::filesystem::directory_iterator(home_path() + "/live")) {
      if (entry.path().filename().string().starts_with(".group-")) {
        return entry.path();
      }
    }
    return {};
  }
  void set_budget(const std::string& budget_id, Money limit, bool is_hard = true,
                  const std::function<void(BudgetTerms&)>& change = {}) {
    (void)open_home(home_path());
    BudgetRecord budget = testing::example_budget(budget_id);
    budget.scope = parse_budget_id(budget.budget_id);
    budget.is_hard = is_hard;
    budget.currency = limit.currency();
    BudgetTerms terms = testing::terms_of(limit);
    if (change) {
      change(terms);
    }
    ledger()->ensure_budget(budget, terms);
  }
};

// --- several runs of one process -----------------------------------------------------------------

// Goal: a second run of a process below `finops run` is the same attempt and not charged again, and
// its end ends nothing. Method: two runs in a child; the inner one finishes first, then the outer.
TEST_F(TrackerRanks, ASecondRunOfAProcessSharesTheAttempt) {
  const std::unique_ptr<CommandRun> command = CommandRun::start(options());
  setenv("FINOPS_ATTEMPT_ID", command->info().attempt_id.str().c_str(), 1);
  Child child([&](const std::function<void()>&) {
    const std::unique_ptr<TrackedRun> outer = TrackedRun::start(options());
    std::unique_ptr<TrackedRun> inner = TrackedRun::start(options());
    if (inner->info().attempt_id != outer->info().attempt_id) {
      return 1;
    }
    inner->progress(7);
    inner->finish(RunStatus::FAILED, "a trial");
    inner->progress(8);  // over: must not count
    const bool goes_on = outer->is_owner() && !inner->is_owner() &&
                         outer->status() == RunStatus::RUNNING &&
                         inner->status() == RunStatus::FAILED;
    inner.reset();
    outer->progress(9);
    outer->finish(RunStatus::FINISHED, "");
    return goes_on ? 0 : 2;
  });
  EXPECT_EQ(child.wait(), 0);
  agent::AgentOptions agent_options;
  agent_options.home = open_home(home_path());
  const SystemClock clock;
  agent::Agent agent(agent_options, clock);
  EXPECT_EQ(command->child_ended(agent, 0), RunStatus::FINISHED);
  ASSERT_EQ(ledger()->runs({}).size(), 1U);
  EXPECT_EQ(ledger()->attempts(command->info().run_id).size(), 1U);
}

// Goal: of two runs in one rank the last to finish ends the attempt, whichever began it. Method: a
// lone process of a job; the first run finishes first; the page is there until the second does.
TEST_F(TrackerRanks, TheLastRunOfAProcessEndsTheAttempt) {
  be_rank(0);
  const std::unique_ptr<TrackedRun> first = TrackedRun::start(options());
  const std::unique_ptr<TrackedRun> second = TrackedRun::start(options());
  EXPECT_EQ(first->run_id(), second->run_id());
  first->finish(RunStatus::FINISHED, "");
  EXPECT_EQ(attempt_of(first->run_id()).account_state, "OPEN");
  second->progress(3);
  second->finish(RunStatus::FINISHED, "");
  EXPECT_EQ(attempt_of(first->run_id()).account_state, "SETTLED");
  EXPECT_EQ(page_count(), 0U) << "neither page nor group file is left";
}

// --- joining -------------------------------------------------------------------------------------

// Goal: a rank that waits in vain trains on uncharged. Method: another process holds the job's file
// and begins nothing.
TEST_F(TrackerRanks, GoesOnWithoutReportingAfterItsWait) {
  be_rank(0);
  TrackedRun::start(options());  // makes the home and, while it runs, the file
  const std::unique_ptr<TrackedRun> known = TrackedRun::start(options());
  const std::string path = group_file();
  ASSERT_FALSE(path.empty());
  known->finish(RunStatus::FINISHED, "");
  Child holder([&](const std::function<void()>& say_ready) -> int {
    tracker::GroupFile file(home_path() + "/live",
                            std::filesystem::path(path).filename().string().substr(7));
    if (!file.try_lock()) {
      return 1;
    }
    say_ready();
    testing::sleep_for_ever();
  });
  ASSERT_TRUE(holder.is_ready());
  const std::size_t run_count = ledger()->runs({}).size();
  RunOptions patient = options();
  patient.longest_rank_wait = milliseconds{200};
  const std::unique_ptr<TrackedRun> run = TrackedRun::start(patient);
  EXPECT_NE(all_warnings(*run).find("not charged twice"), std::string::npos) << all_warnings(*run);
  run->progress(1);
  EXPECT_EQ(run->check_budget(), Directive::CONTINUE);
  EXPECT_FALSE(run->cost().has_value()) << "unknown is not zero";
  run->finish(RunStatus::FINISHED, "");
  EXPECT_EQ(ledger()->runs({}).size(), run_count);
  holder.send(SIGKILL);
  holder.wait();
  EXPECT_EQ(all_warnings(*TrackedRun::start(patient)), "") << "its lock fell with it";
}

// Goal: what an earlier job with the same names left behind is not believed. Method: the file names
// a dead attempt, an unknown one, a path, and nothing; each start is an attempt of its own.
TEST_F(TrackerRanks, BelievesNoStaleGroupFile) {
  be_rank(0);
  std::string path;
  Child dead([&](const std::function<void()>& say_ready) -> int {
    const std::unique_ptr<TrackedRun> run = TrackedRun::start(options());
    say_ready();
    testing::sleep_for_ever();
  });
  ASSERT_TRUE(dead.is_ready());
  path = group_file();
  dead.send(SIGKILL);
  dead.wait();
  std::size_t expected = 2;
  for (const char* content : {"", "nobody-1\n", "../../etc/passwd\n", "\n", "no end"}) {
    if (content[0] != '\0') {
      std::ofstream(path, std::ios::trunc) << content;
    }
    const std::unique_ptr<TrackedRun> run = TrackedRun::start(options());
    EXPECT_TRUE(run->is_keeper());
    EXPECT_EQ(ledger()->runs({}).size(), expected++) << content;
    run->finish(RunStatus::FINISHED, "");
    EXPECT_EQ(attempt_of(run->run_id()).account_state, "SETTLED");
  }
}

// Goal: what killed jobs left goes away, and what is in use stays. Method: an old file that names
// nothing, an old one of a living attempt, a young one; then another job begins.
TEST_F(TrackerRanks, RemovesOldGroupFiles) {
  be_rank(0);
  const std::unique_ptr<TrackedRun> run = TrackedRun::start(options());
  const std::string used = group_file();
  const std::string live = home_path() + "/live/";
  const auto old = std::filesystem::file_time_type::clock::now() - hours{24 * 8};
  std::ofstream(live + ".group-old") << "gone-1\n";
  std::ofstream(live + ".group-young") << "gone-1\n";
  std::filesystem::last_write_time(live + ".group-old", old);
  std::filesystem::last_write_time(used, old);
  setenv("MASTER_PORT", "29501", 1);
  const std::unique_ptr<TrackedRun> other = TrackedRun::start(options());
  EXPECT_NE(other->run_id(), run->run_id());
  EXPECT_FALSE(std::filesystem::exists(live + ".group-old"));
  EXPECT_TRUE(std::filesystem::exists(live + ".group-young"));
  EXPECT_TRUE(std::filesystem::exists(used));
}

// Goal: FINOPS_RUN_ID names the run, and the same name later is its next attempt. Method: twice
// with one name; another experiment; names that are none.
TEST_F(TrackerRanks, ARunIdFromTheEnvironment) {
  setenv("FINOPS_RUN_ID", "night-7", 1);
  for (const int attempt_number : {1, 2}) {
    const std::unique_ptr<TrackedRun> run = TrackedRun::start(options());
    EXPECT_EQ(run->run_id().str(), "night-7");
    EXPECT_EQ(run->attempt_number(), attempt_number);
    EXPECT_EQ(TrackedRun::start(options())->attempt_number(), attempt_number) << "shared";
    run->finish(RunStatus::FINISHED, "");
  }
  RunOptions other = options();
  other.experiment = "other";
  EXPECT_EQ(code_of([&] { TrackedRun::start(other); }), "InvalidArgument");
  for (const char* bad : {"a b", "../x", ".x", "a/b"}) {
    setenv("FINOPS_RUN_ID", bad, 1);
    EXPECT_EQ(code_of([&] { TrackedRun::start(options()); }), "InvalidArgument") << bad;
  }
  setenv("FINOPS_RUN_ID", std::string(101, 'x').c_str(), 1);
  EXPECT_EQ(code_of([&] { TrackedRun::start(options()); }), "InvalidArgument");
  setenv("FINOPS_RUN_ID", std::string(100, 'x').c_str(), 1);
  EXPECT_EQ(code_of([&] { TrackedRun::start(options()); }), "none");
}

// Goal: the run's id is the same on all hosts of a job and another one for another experiment;
// where one host is all, each start is a new run. Method: one job, as it looks on two hosts (two
// homes).
TEST_F(TrackerRanks, OneRunOnSeveralHosts) {
  be_rank(0, 4);
  setenv("LOCAL_WORLD_SIZE", "2", 1);
  RunOptions second_host = options();
  second_host.home = folder_ / "second";
  const RunId first = TrackedRun::start(options())->run_id();
  EXPECT_EQ(TrackedRun::start(second_host)->run_id(), first);
  EXPECT_EQ(TrackedRun::start(options())->attempt_number(), 2) << "a restart of the job";
  second_host.experiment = "other";
  EXPECT_NE(TrackedRun::start(second_host)->run_id(), first);
  setenv("LOCAL_WORLD_SIZE", "4", 1);
  const RunId alone = TrackedRun::start(options())->run_id();
  EXPECT_NE(TrackedRun::start(options())->run_id(), alone);
}

// Goal: what a rank cannot know is refused alike in all. Method: a budget that pays for no start.
TEST_F(TrackerRanks, AllRanksAreRefusedAlike) {
  RunOptions poor = options();
  poor.budget = usd("0");
  for (const int rank : {0, 1}) {
    be_rank(rank);
    EXPECT_EQ(code_of([&] { TrackedRun::start(poor); }), "BudgetExhausted") << rank;
  }
  EXPECT_TRUE(ledger()->runs({}).empty());
}

// --- the end -------------------------------------------------------------------------------------

// Goal: a goodbye that the ledger did not hear is on the page, on a clock that counts suspension.
// Method: the home is away while the run finishes; the page is read by another process.
TEST_F(TrackerRanks, TheGoodbyeIsOnThePage) {
  const std::unique_ptr<TrackedRun> run = TrackedRun::start(options());
  std::filesystem::rename(home_path(), folder_ / "away");
  run->finish(RunStatus::PAUSED, "");
  Child reader([&](const std::function<void()>&) {
    pulse::PageScanner scanner(folder_ / "away/live");
    scanner.scan();
    const pulse::ForeignPage& page = *scanner.pages().at(0);
    const pulse::PageLayout& layout = const_cast<pulse::ForeignPage&>(page).page();
    const Nanoseconds ended{layout.group.ended_after_ns.load()};
    const Nanoseconds now = SystemClock{}.now().boot - page.info().started_at.boot;
    return layout.process.state.load() == pulse::ProcessState::Paused &&
                   ended > Nanoseconds::zero() && ended < now
               ? 0
               : 1;
  });
  EXPECT_EQ(reader.wait(), 0);
}

// --- max_duration --------------------------------------------------------------------------------

// Goal: a run without an agent is told to stop when its time is over, once on record. Method:
// before and after its limit; the run is unpriced in one case, since time is no money.
TEST_F(TrackerRanks, StopsAfterItsLongestDuration) {
  for (const char* price : {"24 USD/h", ""}) {
    RunOptions brief = options();
    brief.price = price;
    brief.max_duration = milliseconds{700};
    const std::unique_ptr<TrackedRun> run = TrackedRun::start(brief);
    EXPECT_EQ(run->check_budget(), Directive::CONTINUE);
    EXPECT_EQ(run->info().max_duration, milliseconds{700});
    ASSERT_TRUE(eventually([&] { return run->check_budget() == Directive::STOP; }, seconds{20}));
    EXPECT_GE(run->cost().value_or(usd("1")), Rate::whole(usd("24")).cost_of(milliseconds{700}));
    EXPECT_NE(run->reason().find("max_duration"), std::string::npos) << run->reason();
    run->checkpointed(1, "/ckpt");
    EXPECT_EQ(run->check_budget(), Directive::STOP) << "a checkpoint takes nothing back";
    run->finish(RunStatus::FINISHED, "");
    const std::vector<DecisionRecord> decided = ledger()->decisions(run->info().attempt_id, 10);
    ASSERT_EQ(decided.size(), 1U);
    EXPECT_EQ(decided[0].rule, Rule::Duration);
    EXPECT_EQ(decided[0].directive, Directive::STOP);
  }
}

// Goal: the smallest limit counts, and there is none where nobody set one. Method: own and budgets'
// limits, and limits that are refused.
TEST_F(TrackerRanks, TheSmallestDurationCounts) {
  EXPECT_EQ(TrackedRun::start(options())->info().max_duration, Nanoseconds{0});
  set_budget("project:vision", usd("1000"), true,
             [](BudgetTerms& terms) { terms.max_duration = hours{3}; });
  RunOptions own = options();
  for (const auto& [stated, expected] :
       {std::pair{hours{2}, hours{2}}, std::pair{hours{3}, hours{3}},
        std::pair{hours{4}, hours{3}}}) {
    own.max_duration = stated;
    EXPECT_EQ(TrackedRun::start(own)->info().max_duration, expected);
  }
  EXPECT_EQ(TrackedRun::start(options())->info().max_duration, hours{3});
  for (const Nanoseconds bad : {Nanoseconds{0}, Nanoseconds{-1}, Nanoseconds{hours{24 * 367}}}) {
    own.max_duration = bad;
    EXPECT_EQ(code_of([&] { TrackedRun::start(own); }), "InvalidArgument");
  }
}

// --- the chain of budgets ------------------------------------------------------------------------

// Goal: every budget above a run counts for it: all are debited, any hard one can refuse, a soft
// one warns. Method: one budget of the chain poor at a time.
TEST_F(TrackerRanks, TheWholeChainPays) {
  set_budget("project:vision", usd("1000"));
  RunOptions with_budget = options();
  with_budget.budget = usd("500");
  const std::unique_ptr<TrackedRun> run = TrackedRun::start(with_budget);
  EXPECT_EQ(run->info().budget_id, "experiment:vision/resnet");
  const AttemptRecord attempt = ledger()->attempt(run->info().attempt_id).value();
  ASSERT_EQ(attempt.budget_chain.size(), 2U);
  EXPECT_EQ(attempt.budget_chain[1].str(), "project:vision");
  run->finish(RunStatus::FINISHED, "");
  for (const BudgetSummary& found : ledger()->budgets(SystemClock{}.now().utc)) {
    EXPECT_EQ(found.accounts.spent, run->cost().value()) << found.budget.budget_id.str();
  }
  const BudgetTerms poor = testing::terms_of(run->cost().value());
  ledger()->change_terms(BudgetId{"project:vision"}, poor, "ada", "", SystemClock{}.now().utc);
  const std::string message = message_of([&] { TrackedRun::start(with_budget); });
  EXPECT_EQ(code_of([&] { TrackedRun::start(with_budget); }), "BudgetExhausted");
  EXPECT_NE(message.find("finops budget request project:vision AMOUNT --why REASON"),
            std::string::npos)
      << message;
  EXPECT_EQ(page_count(), 0U);
}

// Goal: a soft budget above a hard one does not make it soft, and warns when it is used up. Method:
// a soft project's budget of nothing above a hard experiment's, and alone.
TEST_F(TrackerRanks, ASoftBudgetWarns) {
  set_budget("project:vision", usd("0"), false);
  const std::unique_ptr<TrackedRun> alone = TrackedRun::start(options());
  EXPECT_FALSE(alone->info().is_hard_budget);
  EXPECT_NE(all_warnings(*alone).find("project:vision"), std::string::npos) << all_warnings(*alone);
  RunOptions with_budget = options();
  with_budget.budget = usd("500");
  EXPECT_TRUE(TrackedRun::start(with_budget)->info().is_hard_budget);
  set_budget("user:" + alone->info().user_name, Money::parse("5 EUR"), false);
  EXPECT_EQ(code_of([&] { TrackedRun::start(options()); }), "CurrencyMismatch");
}

// Goal: more is asked of the budget that is short. Method: the experiment's is larger than the
// project's, then the project's is raised.
TEST_F(TrackerRanks, AsksTheTightestBudget) {
  set_budget("project:vision", usd("100"));
  RunOptions with_budget = options();
  with_budget.budget = usd("200");
  const std::unique_ptr<TrackedRun> run = TrackedRun::start(with_budget);
  const RequestId first = run->request_budget(usd("300"), "short");
  EXPECT_EQ(ledger()->requests().at(0).request.budget_id.str(), "project:vision");
  ledger()->rule_request(first, true, "grace", "", SystemClock{}.now().utc);
  run->request_budget(usd("1"), "short again");
  EXPECT_EQ(ledger()->requests().at(1).request.budget_id.str(), "experiment:vision/resnet");
}

// Goal: a burn cap refuses a start whatever fail_open says, and leaves no page. Method: a cap that
// one run fills, and a second run.
TEST_F(TrackerRanks, ABurnCapRefuses) {
  set_budget("project:vision", usd("1000"), true,
             [](BudgetTerms& terms) { terms.burn_cap_per_hour = usd("30"); });
  const std::unique_ptr<TrackedRun> run = TrackedRun::start(options());
  EXPECT_EQ(code_of([&] { TrackedRun::start(options()); }), "BurnCapExceeded");
  EXPECT_EQ(page_count(), 1U);
  run->finish(RunStatus::FINISHED, "");
  EXPECT_EQ(code_of([&] { TrackedRun::start(options()); }), "none");
}

// Goal: a paused command goes on only when all of its hard budgets pay. Method: the project's
// budget is nothing, then it is raised.
TEST_F(TrackerRanks, ACommandWaitsForTheWholeChain) {
  set_budget("project:vision", usd("1000"));
  RunOptions with_budget = options();
  with_budget.budget = usd("500");
  const std::unique_ptr<CommandRun> command = CommandRun::start(with_budget);
  EXPECT_TRUE(command->has_budget_again());
  const BudgetAccounts now =
      ledger()->budget(BudgetId{"project:vision"}, SystemClock{}.now().utc)->accounts;
  const auto set_limit = [&](Money limit) {
    ledger()->change_terms(BudgetId{"project:vision"}, testing::terms_of(limit), "ada", "",
                           SystemClock{}.now().utc);
  };
  set_limit(now.held);
  EXPECT_FALSE(command->has_budget_again());
  set_limit(usd("1000"));
  EXPECT_TRUE(command->has_budget_again());
}

}  // namespace
}  // namespace finops
