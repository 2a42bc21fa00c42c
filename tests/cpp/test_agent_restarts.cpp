// test_agent_restarts.cpp - tests of guards that come and go, of several at once, and of pages that
// lie.
//
// Owns: the checks of ladders over restarts, of exclusion, of hostile numbers, of bounded memory.
// Does not own: the ladder of one guard (test_agent.cpp).
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "agent_support.hpp"

namespace finops::agent {
namespace {

class AgentRestarts : public AgentRounds {
 protected:
  /// One round of a guard that is started for it, as by cron.
  TickReport round_by_cron(Nanoseconds pause, const AgentOptions& options) {
    clock_.advance(pause);
    return make_guard(options)->tick();
  }
  TickReport round_by_cron(Nanoseconds pause) { return round_by_cron(pause, agent_options()); }
};

// --- restarts ------------------------------------------------------------------------------------

// Goal: a guard that is started anew for every round comes to the end of its ladder. Method: a run
// that ignores SIGTERM; a round a second, then one a minute.
TEST_F(AgentRestarts, AGuardByCronComesToTheEnd) {
  for (const Nanoseconds pause : {Nanoseconds{seconds{1}}, Nanoseconds{minutes{1}}}) {
    const std::string run_id = "run" + std::to_string(pause.count());
    pulse::PageInfo info = page_of(run_id);
    info.started_at = clock_.now();
    const std::unique_ptr<Child> child = hold(info, SIGTERM);
    clock_.advance(seconds{6});
    std::string rungs;
    for (int round = 0; round < 10 && child->is_running(); ++round) {
      rungs += rungs_of(round_by_cron(pause).decisions);
    }
    EXPECT_EQ(rungs, "directive SIGTERM SIGKILL ");
    EXPECT_EQ(child->wait(), -SIGKILL);
    round_by_cron(pause);
  }
}

// Goal: the ladder over restarts waits for each grace in full. Method: SIGTERM was at 9 s; the
// successors look one nanosecond before and at the end of its 3 s.
TEST_F(AgentRestarts, EachGraceIsKeptOverARestart) {
  const std::unique_ptr<Child> child = hold(page_of("run1"), SIGTERM);
  clock_.advance(seconds{6});
  EXPECT_EQ(rungs_of(round_by_cron(seconds{1}).decisions), "directive ");
  EXPECT_EQ(rungs_of(round_by_cron(seconds{2} - Nanoseconds{1}).decisions), "");
  EXPECT_EQ(rungs_of(round_by_cron(Nanoseconds{1}).decisions), "SIGTERM ");
  EXPECT_EQ(rungs_of(round_by_cron(seconds{3} - Nanoseconds{1}).decisions), "");
  EXPECT_EQ(rungs_of(round_by_cron(Nanoseconds{1}).decisions), "SIGKILL ");
}

// Goal: a wall clock that was set does not kill: a decision from the future counts from now.
// Method: the clock goes back an hour between SIGTERM and the next guard.
TEST_F(AgentRestarts, AWallClockThatWentBackGrantsTheGrace) {
  const std::unique_ptr<Child> child = hold(page_of("run1"), SIGTERM);
  clock_.advance(seconds{6});
  round_by_cron(seconds{1});
  ASSERT_EQ(rungs_of(round_by_cron(seconds{2}).decisions), "SIGTERM ");
  clock_.jump_utc(-hours{1});
  const auto agent = make_guard(agent_options());
  EXPECT_EQ(rungs_of(rounds(*agent, seconds{3}).decisions), "");
  EXPECT_EQ(rungs_of(rounds(*agent, seconds{1}).decisions), "SIGKILL ");
}

// Goal: a directive that was recorded by a guard that died before it told the run counts from the
// telling. Method: the record is an hour old, the page says nothing.
TEST_F(AgentRestarts, AnUntoldDirectiveIsToldFirst) {
  const std::unique_ptr<Child> child = hold(page_of("run1"));
  rounds(*make_guard(agent_options()), seconds{1});
  DecisionRecord decision;
  decision.attempt_id = AttemptId{"run1-1"};
  decision.directive = Directive::STOP;
  decision.rule = Rule::Silence;
  decision.rung = Rung::Directive;
  decision.decided_at = clock_.now().utc;
  ledger()->add_decision(decision);
  clock_.advance(hours{1});
  const auto agent = make_guard(agent_options());
  EXPECT_EQ(rungs_of(rounds(*agent, seconds{1}).decisions), "");
  EXPECT_EQ(directive_of("run1"), "STOP");
  EXPECT_EQ(rungs_of(rounds(*agent, seconds{2}).decisions), "SIGTERM ");
}

// Goal: a ladder of one rule goes on under it after a restart, whatever else is true. Method: too
// long and silent; SIGTERM for its duration, then a new guard.
TEST_F(AgentRestarts, GoesOnUnderItsRule) {
  pulse::PageInfo info = page_of("run1");
  info.max_duration = seconds{3};
  const std::unique_ptr<Child> child = hold(info, SIGTERM);
  EXPECT_EQ(rungs_of(rounds(*make_guard(agent_options()), seconds{6}).decisions),
            "directive SIGTERM ");
  EXPECT_EQ(rungs_of(rounds(*make_guard(agent_options()), seconds{3}).decisions), "SIGKILL ");
  const std::vector<DecisionRecord> decided = ledger()->decisions({}, 10);
  ASSERT_EQ(decided.size(), 3U);
  for (const DecisionRecord& decision : decided) {
    EXPECT_EQ(decision.rule, Rule::Duration);
  }
}

// --- two at once ---------------------------------------------------------------------------------

// Goal: two guards do nothing twice. Method: two agents here and one in another process, in turns;
// the run is stopped by the records of one.
TEST_F(AgentRestarts, TwoGuardsAreHarmless) {
  const std::unique_ptr<Child> run = hold(page_of("run1"), SIGTERM);
  Child other([&](const std::function<void()>& say_ready) -> int {
    const auto agent = make_agent(agent_options());
    if (!agent->try_serve()) {
      return 1;
    }
    say_ready();
    for (int second = 0; second < 13; ++second) {
      clock_.advance(seconds{1});
      agent->tick();
    }
    return run->is_ready() ? 0 : 2;
  });
  ASSERT_TRUE(other.is_ready());
  const auto first = make_agent(agent_options());
  const auto second = make_agent(agent_options());
  for (int round = 0; round < 13; ++round) {
    clock_.advance(seconds{1});
    for (Agent* agent : {first.get(), second.get()}) {
      agent->try_serve();
      agent->tick();
    }
  }
  EXPECT_EQ(other.wait(), 0);
  EXPECT_EQ(run->wait(), -SIGKILL);
  rounds(*first, seconds{1});
  rounds(*second, seconds{1});
  EXPECT_EQ(rungs_of(ledger()->decisions({}, 10)), "directive SIGTERM SIGKILL ");
  EXPECT_TRUE(ledger()->verify().is_clean());
}

// Goal: a guard that stood still (SIGSTOP) watched nobody meanwhile: no rung climbs for that time.
// Method: STOP was told; an hour passes without a round.
TEST_F(AgentRestarts, AStandstillClimbsNoRung) {
  const std::unique_ptr<Child> child = hold(page_of("run1"));
  const auto agent = make_guard(agent_options());
  rounds(*agent, seconds{7});
  ASSERT_EQ(directive_of("run1"), "STOP");
  clock_.advance(hours{1});
  agent->tick();
  EXPECT_EQ(directive_of("run1"), "CONTINUE") << "its window starts anew";
  EXPECT_TRUE(rounds(*agent, seconds{6}).decisions.empty());
  EXPECT_TRUE(child->is_running());
}

// --- pages that lie ------------------------------------------------------------------------------

// Goal: no number in a page makes the agent stumble, and none gains a run anything: its attempt is
// never metered past its death. Method: the ends of the range in every field of the process line,
// alive and dead (under UBSan an overflow fails the test).
TEST_F(AgentRestarts, HostileNumbersAreHeldWithinSense) {
  int index = 0;
  for (const std::int64_t number : {INT64_MIN, INT64_MIN + 1, INT64_MAX}) {
    const std::string run_id = "run" + std::to_string(index++);
    pulse::PageInfo info = page_of(run_id);
    info.started_at = clock_.now();
    const std::unique_ptr<Child> child = hold(info);
    pulse::ProcessLine& line = page(run_id).process;
    line.last_seen_ns.store(number);
    line.silent_until_boot_ns.store(number);
    line.step.store(number);
    line.progress_count.store(static_cast<std::uint64_t>(number));
    page(run_id).agent.alive_at_boot_ns.store(number);
    page(run_id).agent.pause_at_ns.store(number);
    page(run_id).agent.ends_at_ns.store(number);
    const auto agent = make_guard(agent_options());
    rounds(*agent, seconds{2});
    line.last_seen_ns.store(number == INT64_MAX ? INT64_MIN : INT64_MAX);
    rounds(*agent, seconds{1});
    (void)agent->explain(AttemptId{run_id + "-1"});
    child->send(SIGKILL);
    child->wait();
    rounds(*agent, seconds{1});
    EXPECT_LE(attempt_of(run_id).metered_time, seconds{4}) << number;
  }
}

// Goal: a goodbye is taken at its word, and not past the proof of death. Method: the page's own
// time of its end, below and above what can be; 10 s passed.
TEST_F(AgentRestarts, AGoodbyeCountsItsOwnTime) {
  struct Case {
    std::int64_t ended_after_ns;
    Nanoseconds metered;
  };
  int index = 0;
  for (const Case& c :
       {Case{Nanoseconds{seconds{7}}.count(), seconds{7}}, Case{INT64_MAX, seconds{10}},
        Case{0, seconds{2}}, Case{INT64_MIN, seconds{2}}}) {
    const std::string run_id = "run" + std::to_string(index++);
    pulse::PageInfo info = page_of(run_id);
    info.started_at = clock_.now();
    const std::unique_ptr<Child> child = hold(info);
    clock_.advance(seconds{2});
    progress(run_id);  // 2 s on the monotonic clock; then the host is suspended
    clock_.suspend(seconds{8});
    page(run_id).group.ended_after_ns.store(c.ended_after_ns);
    page(run_id).process.state.store(pulse::ProcessState::Finished);
    child->send(SIGKILL);
    child->wait();
    const auto agent = make_guard(agent_options());
    EXPECT_EQ(agent->settle_dead(10).concluded.size(), 1U);
    EXPECT_EQ(attempt_of(run_id).metered_time, c.metered) << c.ended_after_ns;
  }
}

// --- memory --------------------------------------------------------------------------------------

// Goal: the guard's memory is as large as what runs, not as what ever ran. Method: 10,000 runs, 100
// at a time, each seen alive; then their pages go. The ledger is away: its disk is not the
// question.
TEST_F(AgentRestarts, RemembersOnlyWhatRuns) {
  std::filesystem::create_directory(home_.ledger_path());
  const auto use = std::make_shared<MeasuredUse>();
  AgentOptions options = agent_options();
  options.usage = use;
  const auto agent = make_guard(options);
  constexpr int kAtOnce = 100;
  for (int round = 0; round < 100; ++round) {
    Child child([&](const std::function<void()>& say_ready) -> int {
      std::vector<std::unique_ptr<pulse::OwnPage>> pages;
      for (int index = 0; index < kAtOnce; ++index) {
        pulse::PageInfo info = page_of("run" + std::to_string(round) + "x" + std::to_string(index));
        info.process = current_process();
        info.started_at = clock_.now();
        pages.push_back(pulse::OwnPage::create(home_.live_path(), info));
      }
      say_ready();
      testing::sleep_for_ever();
    });
    ASSERT_TRUE(child.is_ready());
    EXPECT_EQ(rounds(*agent, seconds{1}).page_count, static_cast<std::size_t>(kAtOnce));
    EXPECT_EQ(agent->watched_count(), static_cast<std::size_t>(kAtOnce)) << "round " << round;
    for (const auto& entry : std::filesystem::directory_iterator(home_.live_path())) {
      std::filesystem::remove(entry.path());
    }
  }
  rounds(*agent, seconds{1});
  EXPECT_EQ(agent->watched_count(), 0U);
  EXPECT_EQ(use->ended.size(), 100U * kAtOnce);
}

}  // namespace
}  // namespace finops::agent
