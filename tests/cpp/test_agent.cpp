// test_agent.cpp - tests of the agent's rounds: silence, the ladder, one agent and its successor.
//
// Owns: the checks of include/finops/agent with living processes. Does not own: how attempts end
// (test_agent_ends.cpp), the decisions (test_guard.cpp), the pages (test_pulse.cpp).
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>

#include "agent_support.hpp"

namespace finops::agent {
namespace {

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

// Goal: every rank of an attempt is signalled, not only the one that made the page. Method: a
// second process, which the first did not start, attaches; one more is attached to another run's
// page.
TEST_F(AgentRounds, SignalsEveryRank) {
  const auto attach = [&](const std::string& attempt_id) {
    return std::make_unique<Child>([&, attempt_id](const std::function<void()>& say_ready) -> int {
      const auto page = pulse::OwnPage::attach(home_.live_path(), AttemptId{attempt_id});
      say_ready();
      testing::sleep_for_ever();
    });
  };
  pulse::PageInfo patient = page_of("run2");
  patient.silence_limit = hours{1};
  const std::unique_ptr<Child> first = hold(page_of("run1"));
  const std::unique_ptr<Child> other = hold(patient);
  const std::unique_ptr<Child> second = attach("run1-1");
  const std::unique_ptr<Child> stranger = attach("run2-1");
  ASSERT_TRUE(second->is_ready() && stranger->is_ready());
  const auto agent = make_agent();
  ASSERT_TRUE(agent->try_serve());
  rounds(*agent, seconds{9});
  EXPECT_EQ(first->wait(), -SIGTERM);
  EXPECT_EQ(second->wait(), -SIGTERM);
  EXPECT_TRUE(other->is_running());
  EXPECT_TRUE(stranger->is_running());
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
  EXPECT_EQ(rungs_of(rounds(*agent, seconds{2}).decisions), "");
  EXPECT_EQ(rungs_of(rounds(*agent, seconds{1}).decisions), "SIGKILL ") << "3 s after SIGTERM";
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

}  // namespace
}  // namespace finops::agent
