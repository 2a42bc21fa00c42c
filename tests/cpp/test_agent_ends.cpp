// test_agent_ends.cpp - tests of the agent's rounds: how attempts end, and what budgets do to them.
//
// Owns: the checks of settling, of last signs and of leases that the agent serves. Does not own:
// silence and the ladder (test_agent.cpp), the ledger's arithmetic (ledger_conformance*.hpp).
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "agent_support.hpp"
#include "finops/agent/settle.hpp"

namespace finops::agent {
namespace {

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

// A clock that goes on while a round looks at its pages.
class RunningClock final : public Clock {
 public:
  explicit RunningClock(ManualClock& clock) : clock_(clock) {}
  [[nodiscard]] ClockReading now() const override {
    const ClockReading reading = clock_.now();
    clock_.advance(seconds{1});
    return reading;
  }

 private:
  ManualClock& clock_;
};

// Goal: what a process reported after the round began, and before its end was seen, is charged.
// Method: a second passes with each reading; the last call is half a second after the round's
// first.
TEST_F(AgentRounds, ChargesWhatWasReportedWhileTheRoundLooked) {
  for (const bool is_tick : {true, false}) {
    const std::string run_id = is_tick ? "run1" : "run2";
    pulse::PageInfo info = page_of(run_id);
    info.started_at = clock_.now();
    const std::unique_ptr<Child> child = hold(info);
    const RunningClock running(clock_);
    Agent agent(agent_options(), running);
    ASSERT_TRUE(agent.try_serve());
    const Nanoseconds last_call = milliseconds{500};
    page(run_id).process.last_seen_ns.store(
        (info.started_at.monotonic + last_call).time_since_epoch().count());
    child->send(SIGKILL);
    child->wait();
    const TickReport report = is_tick ? agent.tick() : agent.settle_dead(10);
    ASSERT_EQ(report.concluded.size(), 1U);
    EXPECT_GE(attempt_of(run_id).metered_time, last_call) << run_id;
  }
}

// Goal: whoever ends its run while the round goes on is not signalled: it may train on with
// another. Method: silent to the point of SIGTERM; the page says goodbye between the look and the
// verdict.
TEST_F(AgentRounds, SparesWhoSaysGoodbyeWhileItIsJudged) {
  class Goodbye final : public UsageSource {
   public:
    explicit Goodbye(pulse::ProcessLine& line) : line_(line) {}
    void sample(const pulse::PageInfo& /*info*/, ClockReading /*now*/) override {
      if (is_due) {
        line_.state.store(pulse::ProcessState::Paused);
      }
    }
    [[nodiscard]] guard::UsageSummary summary(const AttemptId& /*attempt_id*/,
                                              Nanoseconds /*window*/,
                                              ClockReading /*now*/) const override {
      return {};
    }
    [[nodiscard]] std::optional<std::vector<GpuHolder>> gpu_holders() const override {
      return std::nullopt;
    }
    void flush(Ledger& /*ledger*/, ClockReading /*now*/) override {}
    void end(const AttemptId& /*attempt_id*/) override {}
    bool is_due = false;

   private:
    pulse::ProcessLine& line_;
  };
  const std::unique_ptr<Child> child = hold(page_of("run1"));
  const auto goodbye = std::make_shared<Goodbye>(page("run1").process);
  AgentOptions options = agent_options();
  options.usage = goodbye;
  const auto agent = make_guard(options);
  EXPECT_EQ(rungs_of(rounds(*agent, seconds{7}).decisions), "directive ") << "silent for 6 s";
  goodbye->is_due = true;
  EXPECT_EQ(rungs_of(rounds(*agent, seconds{3}).decisions), "") << "SIGTERM was due";
  EXPECT_FALSE(has_page("run1")) << "it is settled";
  EXPECT_TRUE(child->is_running()) << "and its process lives";
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

// Goal: a run that is still in `init` is left to it: it is refused by itself if its budget is used
// up, and not killed. Method: a page of a hard budget of nothing that the ledger does not know yet.
TEST_F(AgentRounds, ARunThatBeginsIsNotStoppedForMoney) {
  pulse::PageInfo info = page_with_budget("run1", usd("0"));
  const std::unique_ptr<Child> child = hold(info);
  const auto agent = make_guard(agent_options());
  EXPECT_TRUE(rounds(*agent, seconds{5}).decisions.empty());
  EXPECT_TRUE(child->is_running());
  EXPECT_TRUE(ledger()->attempts(RunId{"run1"}).empty());
  EXPECT_FALSE(rounds(*agent, seconds{2}).decisions.empty()) << "but not for ever";
}

// Goal: a run is paused within its budget. Method: 60 USD at 1 USD a second, a reserve of 6 s: the
// agent renews its leases, tells it at 54 s and stops it half-way to the end, one look early.
TEST_F(AgentRounds, PausesARunWithinItsBudget) {
  pulse::PageInfo info = page_with_budget("run1", usd("60"));
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
  EXPECT_EQ(rungs_of(rounds(*agent, seconds{2}).decisions), "SIGTERM ");
  EXPECT_EQ(child->wait(), -SIGTERM);
  const TickReport last = rounds(*agent, seconds{1});
  ASSERT_EQ(last.concluded.size(), 1U);
  EXPECT_EQ(last.concluded[0].status, RunStatus::PAUSED);
  const BudgetAccounts after =
      ledger()->budget(BudgetId{info.budget_id}, testing::example_time()).value().accounts;
  EXPECT_EQ(after.overspent, usd("0"));
  EXPECT_EQ(after.spent, usd("57"));
  EXPECT_EQ(after.held, usd("0"));
  EXPECT_TRUE(ledger()->verify().is_clean());
}

// Goal: an approval in time lets the run go on. Method: the limit rises after CHECKPOINT.
TEST_F(AgentRounds, AnApprovalTakesTheDirectiveBack) {
  pulse::PageInfo info = page_with_budget("run1", usd("40"));
  const std::unique_ptr<Child> child = hold(info);
  const auto agent = make_agent();
  ASSERT_TRUE(agent->try_serve());
  (void)account_of(*ledger(), info);  // registered: its beginning is over
  rounds(*agent, seconds{5});
  ASSERT_EQ(directive_of("run1"), "CHECKPOINT") << "a reserve of 36 s is all that is left";
  ledger()->change_terms(BudgetId{info.budget_id}, testing::terms_of(usd("400")), "grace", "go on",
                         clock_.now().utc);
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
