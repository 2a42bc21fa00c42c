// test_agent.cpp - tests of the agent's rounds: what it sees of live pages, records, and does.
//
// Owns: the checks of include/finops/agent with real processes. Does not own: the decisions
// (test_guard.cpp), the pages (test_pulse.cpp).
// Invariants: the agent's time comes from a ManualClock that starts now; what a process would write
// into its page the test writes, so that nothing depends on a child's speed.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "finops/agent/agent.hpp"
#include "support.hpp"

namespace finops::agent {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::Child;
using testing::usd;

class AgentRounds : public ::testing::Test {
 protected:
  /// Silent after 6 s, SIGTERM 2 s after the directive, SIGKILL 3 s after that; a round a second.
  [[nodiscard]] std::unique_ptr<Agent> make_agent(Nanoseconds longest_auto_settle = minutes{5}) {
    AgentOptions options;
    options.home = home_;
    options.policy.silence_limit = seconds{6};
    options.policy.directive_grace = seconds{2};
    options.policy.term_grace = seconds{3};
    options.interval = seconds{1};
    options.longest_auto_settle = longest_auto_settle;
    return std::make_unique<Agent>(options, clock_);
  }

  [[nodiscard]] pulse::PageInfo page_of(const std::string& run_id) const {
    pulse::PageInfo info = testing::example_page(run_id, start_);
    info.price_id = "sku+test";
    info.currency = "USD";
    info.price_units = 3'600;  // 1 USD a second
    return info;
  }

  /// A child that holds the page until a signal ends it. `ignored` is a signal that does not.
  std::unique_ptr<Child> hold(const pulse::PageInfo& info, int ignored = 0) {
    return std::make_unique<Child>([&](const std::function<void()>& say_ready) -> int {
      if (ignored != 0) {
        signal(ignored, SIG_IGN);
      }
      pulse::PageInfo own = info;
      if (own.process.boot_id == current_boot_id()) {
        own.process = current_process();
      }
      const auto page = pulse::OwnPage::create(home_.live_path(), own);
      say_ready();
      testing::sleep_for_ever();
    });
  }

  /// The page of a run as its process sees it.
  pulse::PageLayout& page(const std::string& run_id) {
    scanner_.scan();
    for (pulse::ForeignPage* found : scanner_.pages()) {
      if (found->info().run_id == RunId{run_id}) {
        return found->page();
      }
    }
    throw std::runtime_error("no page of " + run_id);
  }
  [[nodiscard]] bool has_page(const std::string& run_id) const {
    return std::filesystem::exists(home_.live_path() + "/" + run_id + "-1.page");
  }
  [[nodiscard]] std::string directive_of(const std::string& run_id) {
    return std::string(directive_name(static_cast<Directive>(page(run_id).agent.directive.load())));
  }
  /// What `progress()` writes.
  void progress(const std::string& run_id) {
    pulse::ProcessLine& line = page(run_id).process;
    line.progress_count.fetch_add(1);
    line.last_seen_ns.store(clock_.now().monotonic.time_since_epoch().count());
  }

  /// One round a second for `span`; the reports added up.
  TickReport rounds(Agent& agent, seconds span) {
    TickReport all;
    for (seconds passed{0}; passed < span; ++passed) {
      clock_.advance(seconds{1});
      add(agent.tick(), all);
    }
    return all;
  }
  static void add(const TickReport& one, TickReport& all) {
    all.page_count = one.page_count;
    all.decisions.insert(all.decisions.end(), one.decisions.begin(), one.decisions.end());
    all.concluded.insert(all.concluded.end(), one.concluded.begin(), one.concluded.end());
    all.warnings.insert(all.warnings.end(), one.warnings.begin(), one.warnings.end());
  }
  static std::string rungs_of(const std::vector<DecisionRecord>& decisions) {
    std::string text;
    for (const DecisionRecord& decision : decisions) {
      text += std::string(rung_name(decision.rung)) + " ";
    }
    return text;
  }

  [[nodiscard]] std::unique_ptr<Ledger> ledger() const {
    return open_ledger(home_.ledger_path(), {});
  }
  [[nodiscard]] AttemptSummary attempt_of(const std::string& run_id) const {
    return ledger()->attempts(RunId{run_id}).at(0);
  }

  testing::TempDir folder_;
  Home home_ = open_home(folder_ / "home");
  const ClockReading start_ = SystemClock{}.now();
  ManualClock clock_{start_};
  pulse::PageScanner scanner_{home_.live_path()};
};

// --- silence -------------------------------------------------------------------------------------

// Goal: a silent run is told, asked and killed, each after its grace, and each is recorded. Method:
// a child that ignores SIGTERM; 6 s of silence are allowed.
TEST_F(AgentRounds, ASilentRunIsStoppedStepByStep) {
  const std::unique_ptr<Child> child = hold(page_of("run1"), SIGTERM);
  ASSERT_TRUE(child->is_ready());
  const auto agent = make_agent();
  ASSERT_TRUE(agent->try_serve());
  agent->tick();
  EXPECT_TRUE(rounds(*agent, seconds{6}).decisions.empty()) << "exactly the limit is allowed";
  EXPECT_EQ(directive_of("run1"), "CONTINUE");
  EXPECT_EQ(rungs_of(rounds(*agent, seconds{1}).decisions), "directive ");
  EXPECT_EQ(directive_of("run1"), "STOP");
  EXPECT_EQ(pulse::read_reason(page("run1")), "no progress for 7 s, the limit is 6 s");
  EXPECT_EQ(rungs_of(rounds(*agent, seconds{1}).decisions), "");
  EXPECT_EQ(rungs_of(rounds(*agent, seconds{1}).decisions), "SIGTERM ");
  EXPECT_EQ(rungs_of(rounds(*agent, seconds{2}).decisions), "");
  EXPECT_TRUE(child->is_running()) << "it ignores SIGTERM";
  EXPECT_EQ(rungs_of(rounds(*agent, seconds{1}).decisions), "SIGKILL ");
  EXPECT_EQ(child->wait(), -SIGKILL);
  const TickReport last = rounds(*agent, seconds{1});
  ASSERT_EQ(last.concluded.size(), 1U);
  EXPECT_EQ(last.concluded[0].status, RunStatus::KILLED);
  EXPECT_FALSE(has_page("run1"));
  EXPECT_EQ(rungs_of(ledger()->decisions({}, 10)), "directive SIGTERM SIGKILL ");
  EXPECT_EQ(ledger()->decisions({}, 10).at(0).decided_by, "guard");
  EXPECT_NE(attempt_of("run1").end.value().reason.find("no progress"), std::string::npos);
}

// Goal: SIGTERM really arrives. Method: a child with the default handler.
TEST_F(AgentRounds, SigtermEndsAnObedientRun) {
  const std::unique_ptr<Child> child = hold(page_of("run1"));
  const auto agent = make_agent();
  ASSERT_TRUE(agent->try_serve());
  rounds(*agent, seconds{9});
  EXPECT_EQ(child->wait(), -SIGTERM);
  EXPECT_EQ(rounds(*agent, seconds{1}).concluded.size(), 1U);
}

// Goal: a run that progresses is left alone, beside one that does not. Method: two children for 30
// rounds; the page of one moves every 5 s, that of a server never.
TEST_F(AgentRounds, AProgressingRunIsLeftAlone) {
  pulse::PageInfo server = page_of("server");
  server.is_long_running = true;
  const std::unique_ptr<Child> working = hold(page_of("run1"));
  const std::unique_ptr<Child> silent = hold(page_of("run2"));
  const std::unique_ptr<Child> serving = hold(server);
  const auto agent = make_agent();
  ASSERT_TRUE(agent->try_serve());
  for (int i = 0; i < 6; ++i) {
    progress("run1");
    rounds(*agent, seconds{5});
  }
  EXPECT_TRUE(working->is_running());
  EXPECT_TRUE(serving->is_running());
  EXPECT_EQ(silent->wait(), -SIGTERM);
  EXPECT_TRUE(ledger()->decisions(AttemptId{"run1-1"}, 10).empty());
  EXPECT_TRUE(ledger()->decisions(AttemptId{"server-1"}, 10).empty());
}

// Goal: a directive is taken back when the run goes on. Method: progress right after STOP.
TEST_F(AgentRounds, ProgressTakesADirectiveBack) {
  const std::unique_ptr<Child> child = hold(page_of("run1"));
  const auto agent = make_agent();
  ASSERT_TRUE(agent->try_serve());
  rounds(*agent, seconds{7});
  ASSERT_EQ(directive_of("run1"), "STOP");
  progress("run1");
  rounds(*agent, seconds{1});
  EXPECT_EQ(directive_of("run1"), "CONTINUE");
  EXPECT_TRUE(child->is_running());
  EXPECT_EQ(rungs_of(ledger()->decisions({}, 10)), "directive watch ");
}

// Goal: a guard that starts late still sees who has been silent. Method: its first round is an hour
// after the run's last call.
TEST_F(AgentRounds, ALateGuardSeesOldSilence) {
  const std::unique_ptr<Child> child = hold(page_of("run1"));
  clock_.advance(hours{1});
  const auto agent = make_agent();
  ASSERT_TRUE(agent->try_serve());
  EXPECT_EQ(rungs_of(agent->tick().decisions), "directive ");
}

// Goal: an agent that did not watch judges nobody for that time. Method: an hour of suspension, and
// an hour in which it was not called; then its windows count anew.
TEST_F(AgentRounds, StartsItsWindowsAnewAfterAStandstill) {
  const std::unique_ptr<Child> child = hold(page_of("run1"));
  const auto agent = make_agent();
  ASSERT_TRUE(agent->try_serve());
  agent->tick();
  for (const bool is_suspended : {true, false}) {
    is_suspended ? clock_.suspend(hours{1}) : clock_.advance(hours{1});
    EXPECT_TRUE(agent->tick().decisions.empty());
    EXPECT_TRUE(rounds(*agent, seconds{6}).decisions.empty());
  }
  EXPECT_EQ(rungs_of(rounds(*agent, seconds{1}).decisions), "directive ");
}

// --- one agent, and its successor ----------------------------------------------------------------

// Goal: one agent serves at a time, also over processes, and a killed one leaves room. Method: two
// here; then one in a child that is killed.
TEST_F(AgentRounds, OneAgentServes) {
  auto first = make_agent();
  const auto second = make_agent();
  EXPECT_TRUE(first->try_serve());
  EXPECT_TRUE(first->try_serve());
  EXPECT_FALSE(second->try_serve());
  EXPECT_EQ(second->tick().page_count, 0U);
  first.reset();
  EXPECT_TRUE(second->try_serve());
  testing::TempDir other;
  home_ = open_home(other / "home");
  Child holder([&](const std::function<void()>& say_ready) -> int {
    const auto agent = make_agent();
    if (!agent->try_serve()) {
      return 1;
    }
    say_ready();
    testing::sleep_for_ever();
  });
  ASSERT_TRUE(holder.is_ready());
  const auto third = make_agent();
  EXPECT_FALSE(third->try_serve());
  holder.send(SIGKILL);
  holder.wait();
  EXPECT_TRUE(third->try_serve());
}

// Goal: a new agent goes on with the ladder of the last one. Method: the agent ends after SIGTERM.
TEST_F(AgentRounds, ASuccessorGoesOnWithTheLadder) {
  const std::unique_ptr<Child> child = hold(page_of("run1"), SIGTERM);
  auto agent = make_agent();
  ASSERT_TRUE(agent->try_serve());
  rounds(*agent, seconds{9});
  const std::uint64_t epoch = page("run1").agent.agent_epoch.load();
  ASSERT_EQ(rungs_of(ledger()->decisions({}, 10)), "directive SIGTERM ");
  agent = make_agent();
  ASSERT_TRUE(agent->try_serve());
  EXPECT_EQ(rungs_of(rounds(*agent, seconds{3}).decisions), "");
  EXPECT_EQ(rungs_of(rounds(*agent, seconds{1}).decisions), "SIGKILL ");
  EXPECT_GT(page("run1").agent.agent_epoch.load(), epoch) << "the page shows the new agent";
  EXPECT_EQ(child->wait(), -SIGKILL);
}

// Goal: what was recorded and not acted on, since the agent died in between, is acted on by the
// next. Method: the directive is in the ledger, not on the page.
TEST_F(AgentRounds, ASuccessorActsOnWhatWasOnlyRecorded) {
  const std::unique_ptr<Child> child = hold(page_of("run1"));
  auto agent = make_agent();
  ASSERT_TRUE(agent->try_serve());
  rounds(*agent, seconds{6});
  agent.reset();
  clock_.advance(seconds{1});
  DecisionRecord decision;
  decision.attempt_id = AttemptId{"run1-1"};
  decision.directive = Directive::STOP;
  decision.rule = Rule::Silence;
  decision.rung = Rung::Directive;
  decision.decided_at = clock_.now().utc;
  ledger()->add_decision(decision);
  agent = make_agent();
  ASSERT_TRUE(agent->try_serve());
  agent->tick();
  EXPECT_EQ(directive_of("run1"), "STOP");
}

// Goal: what cannot be recorded is not done, and every run goes on. Method: the ledger is a folder.
TEST_F(AgentRounds, ABrokenLedgerStopsNobody) {
  std::filesystem::create_directory(home_.ledger_path());
  const std::unique_ptr<Child> child = hold(page_of("run1"));
  const auto agent = make_agent();
  ASSERT_TRUE(agent->try_serve());
  const TickReport report = rounds(*agent, seconds{20});
  EXPECT_TRUE(report.decisions.empty());
  EXPECT_FALSE(report.warnings.empty());
  EXPECT_EQ(directive_of("run1"), "CONTINUE");
  EXPECT_TRUE(child->is_running());
  EXPECT_TRUE(has_page("run1"));
}

// Goal: a damaged page is told of and hides nobody. Method: garbage beside a good page.
TEST_F(AgentRounds, ReportsADamagedPage) {
  const std::unique_ptr<Child> child = hold(page_of("run1"));
  std::ofstream(home_.live_path() + "/bad-1.page") << "garbage";
  const auto agent = make_agent();
  ASSERT_TRUE(agent->try_serve());
  const TickReport report = rounds(*agent, seconds{7});
  ASSERT_EQ(report.warnings.size(), 1U) << "told once";
  EXPECT_NE(report.warnings[0].find("bad-1.page"), std::string::npos) << report.warnings[0];
  EXPECT_EQ(report.page_count, 1U);
  EXPECT_EQ(rungs_of(report.decisions), "directive ");
}

// --- ends ----------------------------------------------------------------------------------------

// Goal: a dead process is metered to its last proof of life; the rest is uncertain and settled
// once, by itself only if short. Method: alive for 3 rounds, dead in the 4th; two limits of
// uncertainty.
TEST_F(AgentRounds, SettlesADeadProcessOnce) {
  struct Case {
    Nanoseconds longest_auto_settle;
    const char* state;
    const char* cost;
  };
  for (const Case& c :
       {Case{seconds{1}, "SETTLED", "4"}, Case{seconds{1} - Nanoseconds{1}, "SUSPECT", "3"}}) {
    const std::string run_id = std::string("run") + c.cost;
    pulse::PageInfo info = page_of(run_id);
    info.started_at = clock_.now();
    const std::unique_ptr<Child> child = hold(info);
    auto agent = make_agent(c.longest_auto_settle);
    ASSERT_TRUE(agent->try_serve());
    rounds(*agent, seconds{3});
    child->send(SIGKILL);
    child->wait();
    const TickReport report = rounds(*agent, seconds{1});
    ASSERT_EQ(report.concluded.size(), 1U);
    EXPECT_EQ(report.concluded[0].status, RunStatus::FAILED);
    EXPECT_FALSE(has_page(run_id));
    EXPECT_EQ(attempt_of(run_id).account_state, c.state);
    EXPECT_EQ(attempt_of(run_id).metered_cost.value(), usd(c.cost));
    EXPECT_TRUE(rounds(*agent, seconds{2}).concluded.empty()) << "once";
    EXPECT_TRUE(ledger()->verify().is_clean());
  }
}

// Goal: a last call is a proof of life up to that call, not up to the round that reads it. Method:
// the page moves at 1 s, the process dies at once, the next round is at 3 s.
TEST_F(AgentRounds, ALastCallProvesNothingAfterIt) {
  const std::unique_ptr<Child> child = hold(page_of("run1"));
  const auto agent = make_agent(Nanoseconds{1});
  ASSERT_TRUE(agent->try_serve());
  rounds(*agent, seconds{1});
  progress("run1");
  child->send(SIGKILL);
  child->wait();
  clock_.advance(seconds{2});
  agent->tick();
  rounds(*agent, seconds{1});
  EXPECT_EQ(attempt_of("run1").metered_time, seconds{1});
  EXPECT_GT(attempt_of("run1").uncertain_time, seconds{1});
}

// Goal: a run that said goodbye ends with its last word, exactly. Method: each state that a process
// can leave in its page before it dies, and a checkpoint that it confirmed.
TEST_F(AgentRounds, TakesTheLastWordOfARun) {
  struct Case {
    pulse::ProcessState state;
    RunStatus status;
  };
  for (const Case& c : {Case{pulse::ProcessState::Finished, RunStatus::FINISHED},
                        Case{pulse::ProcessState::Paused, RunStatus::PAUSED},
                        Case{pulse::ProcessState::Failed, RunStatus::FAILED}}) {
    const std::string run_id = std::string("run") + std::string(run_status_name(c.status));
    pulse::PageInfo info = page_of(run_id);
    info.started_at = clock_.now();
    const std::unique_ptr<Child> child = hold(info);
    clock_.advance(seconds{2});
    progress(run_id);
    page(run_id).process.state.store(c.state);
    pulse::write_checkpoint(page(run_id), {1, 500, clock_.now().utc, "/ckpt/500"});
    child->send(SIGKILL);
    child->wait();
    clock_.advance(minutes{1});
    auto agent = make_agent();
    ASSERT_TRUE(agent->try_serve());
    const TickReport report = agent->settle_dead(10);
    ASSERT_EQ(report.concluded.size(), 1U) << run_id;
    EXPECT_EQ(report.concluded[0].status, c.status) << run_id;
    EXPECT_EQ(attempt_of(run_id).account_state, "SETTLED") << run_id;
    EXPECT_EQ(attempt_of(run_id).metered_time, seconds{2}) << run_id;
    EXPECT_EQ(ledger()->last_checkpoint(RunId{run_id}).value().step, 500) << run_id;
  }
}

// Goal: the next `init` settles the dead and leaves the living. Method: one of each.
TEST_F(AgentRounds, SettleDeadLeavesTheLiving) {
  const std::unique_ptr<Child> living = hold(page_of("run1"));
  const std::unique_ptr<Child> dead = hold(page_of("run2"));
  dead->send(SIGKILL);
  dead->wait();
  clock_.advance(hours{1});
  const auto agent = make_agent();
  EXPECT_TRUE(agent->settle_dead(10).concluded.empty()) << "it does not serve";
  ASSERT_TRUE(agent->try_serve());
  EXPECT_EQ(agent->settle_dead(10).concluded.size(), 1U);
  EXPECT_TRUE(has_page("run1"));
  EXPECT_FALSE(has_page("run2"));
  EXPECT_EQ(directive_of("run1"), "CONTINUE") << "it judges nobody";
}

// Goal: a page of an earlier boot is metered to its last call, and uncertain until this boot began.
// Method: started an hour before this boot, last seen after ten minutes.
TEST_F(AgentRounds, SettlesAPageOfAnEarlierBoot) {
  pulse::PageInfo info = page_of("run1");
  info.process.boot_id = "earlier";
  info.started_at = {.utc = start_.utc - start_.boot.time_since_epoch() - hours{1},
                     .boot = BootTime{seconds{100}},
                     .monotonic = MonotonicTime{seconds{90}}};
  const std::unique_ptr<Child> child = hold(info);
  page("run1").process.last_seen_ns.store(Nanoseconds{seconds{690}}.count());
  child->send(SIGKILL);
  child->wait();
  const auto agent = make_agent();
  ASSERT_TRUE(agent->try_serve());
  EXPECT_EQ(rounds(*agent, seconds{1}).concluded.size(), 1U);
  const AttemptSummary attempt = attempt_of("run1");
  EXPECT_EQ(attempt.account_state, "SUSPECT");
  EXPECT_EQ(attempt.metered_time, minutes{10});
  EXPECT_EQ(attempt.uncertain_time, minutes{50});
  EXPECT_EQ(attempt.uncertain_cost.value(), usd("3000"));
}

// --- money ---------------------------------------------------------------------------------------

// Goal: a run is paused within its budget. Method: 60 USD at 1 USD a second, a reserve of 6 s: the
// agent renews its leases, tells it at 54 s and stops it half-way to the end.
TEST_F(AgentRounds, PausesARunWithinItsBudget) {
  BudgetRecord budget = testing::example_budget("experiment:vision/resnet");
  ledger()->ensure_budget(budget, usd("60"));
  pulse::PageInfo info = page_of("run1");
  info.budget_id = budget.budget_id.str();
  info.silence_limit = hours{1};
  info.lease_term = seconds{10};
  info.check_gap = seconds{1};
  info.stop_time = seconds{4};
  const std::unique_ptr<Child> child = hold(info);
  const auto agent = make_agent();
  ASSERT_TRUE(agent->try_serve());
  agent->tick();
  EXPECT_TRUE(rounds(*agent, seconds{53}).decisions.empty());
  EXPECT_TRUE(child->is_running());
  EXPECT_EQ(rungs_of(rounds(*agent, seconds{1}).decisions), "directive ");
  EXPECT_EQ(directive_of("run1"), "CHECKPOINT");
  EXPECT_EQ(rungs_of(rounds(*agent, seconds{3}).decisions), "SIGTERM ");
  EXPECT_EQ(child->wait(), -SIGTERM);
  const TickReport last = rounds(*agent, seconds{1});
  ASSERT_EQ(last.concluded.size(), 1U);
  EXPECT_EQ(last.concluded[0].status, RunStatus::PAUSED);
  const BudgetAccounts after = ledger()->budget(budget.budget_id).value().accounts;
  EXPECT_EQ(after.overspent, usd("0"));
  EXPECT_EQ(after.spent, usd("58"));
  EXPECT_EQ(after.held, usd("0"));
  EXPECT_TRUE(ledger()->verify().is_clean());
}

// Goal: an approval in time lets the run go on. Method: the limit rises after CHECKPOINT.
TEST_F(AgentRounds, AnApprovalTakesTheDirectiveBack) {
  BudgetRecord budget = testing::example_budget("experiment:vision/resnet");
  ledger()->ensure_budget(budget, usd("40"));
  pulse::PageInfo info = page_of("run1");
  info.budget_id = budget.budget_id.str();
  info.silence_limit = hours{1};
  const std::unique_ptr<Child> child = hold(info);
  const auto agent = make_agent();
  ASSERT_TRUE(agent->try_serve());
  rounds(*agent, seconds{5});
  ASSERT_EQ(directive_of("run1"), "CHECKPOINT") << "a reserve of 36 s is all that is left";
  ledger()->set_limit(budget.budget_id, usd("400"), "grace", "go on", clock_.now().utc);
  rounds(*agent, seconds{2});
  EXPECT_EQ(directive_of("run1"), "CONTINUE");
  EXPECT_TRUE(child->is_running());
}

// Goal: `finops run` without the agent's lock looks after its own page. Method: another agent
// serves nobody; the adopted page is served and judged.
TEST_F(AgentRounds, AnAdoptedPageIsServedWithoutTheLock) {
  const auto serving = make_agent();
  ASSERT_TRUE(serving->try_serve());
  pulse::PageInfo info = page_of("run1");
  info.is_command = true;
  const auto own = pulse::OwnPage::create(home_.live_path(), info);
  const auto agent = make_agent();
  agent->adopt(own.get());
  const TickReport report = rounds(*agent, seconds{20});
  EXPECT_EQ(report.page_count, 1U);
  EXPECT_TRUE(report.decisions.empty()) << "a command that does not report is not silent";
  EXPECT_NE(own->page().agent.agent_epoch.load(), 0U);
  agent->drop(own.get());
  EXPECT_EQ(agent->tick().page_count, 0U);
}

}  // namespace
}  // namespace finops::agent
