// test_agent_policies.cpp - tests of the agent's rounds: whose policy, measured use, dry runs, the
// mass-stop breaker, explanations.
//
// Owns: the checks of policies with living processes. Does not own: the rules by themselves
// (test_guard*.cpp), silence and the ladder (test_agent.cpp).
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "agent_support.hpp"

namespace finops::agent {
namespace {

class AgentPolicies : public AgentRounds {
 protected:
  [[nodiscard]] AgentOptions measured_options() const {
    AgentOptions options = agent_options();
    options.policies.base.silence_limit = hours{1};
    options.policies.base.min_gpu_utilization = 5;
    options.policies.base.utilization_window = minutes{30};
    options.usage = use_;
    return options;
  }
  std::shared_ptr<MeasuredUse> use_ = std::make_shared<MeasuredUse>();
};

// --- whose policy --------------------------------------------------------------------------------

// Goal: a rule holds for the runs that it fits, by project, and by tags of the ledger. Method:
// three runs, silent for 7 s; one is given an hour by its project, one by its tag.
TEST_F(AgentPolicies, RulesHoldForWhomTheyFit) {
  RunRecord tagged = testing::example_run("run3");
  tagged.tags = R"({"kind": "slow"})";
  ledger()->add_run(tagged);
  pulse::PageInfo other = page_of("run2");
  other.project = "speech";
  const std::unique_ptr<Child> children[] = {hold(page_of("run1")), hold(other),
                                             hold(page_of("run3"))};
  AgentOptions options = agent_options();
  options.policies.rules = {
      {.name = "speech", .project = "speech", .silence_limit = hours{1}},
      {.name = "slow", .tags = {{"kind", "slow"}}, .silence_limit = hours{1}}};
  const auto agent = make_guard(options);
  rounds(*agent, seconds{7});
  EXPECT_EQ(directive_of("run1"), "STOP");
  EXPECT_EQ(directive_of("run2"), "CONTINUE");
  EXPECT_EQ(directive_of("run3"), "CONTINUE");
}

// Goal: a run's own max_duration stops it, in the ledger as KILLED with the numbers. Method: 10 s
// allowed, steady progress.
TEST_F(AgentPolicies, StopsAfterTheRunsOwnDuration) {
  pulse::PageInfo info = page_of("run1");
  info.max_duration = seconds{10};
  const std::unique_ptr<Child> child = hold(info);
  const auto agent = make_guard(agent_options());
  const auto keep_working = [&](seconds span) {
    TickReport all;
    for (seconds passed{0}; passed < span; ++passed) {
      progress("run1");
      add(rounds(*agent, seconds{1}), all);
    }
    return rungs_of(all.decisions);
  };
  EXPECT_EQ(keep_working(seconds{10}), "");
  EXPECT_EQ(keep_working(seconds{1}), "directive ");
  EXPECT_EQ(keep_working(seconds{2}), "SIGTERM ");
  EXPECT_EQ(child->wait(), -SIGTERM);
  rounds(*agent, seconds{1});
  const AttemptEnd end = attempt_of("run1").end.value();
  EXPECT_EQ(end.status, RunStatus::KILLED);
  EXPECT_EQ(end.reason, "it has run for 13 s, the limit is 10 s");
}

// --- measured use --------------------------------------------------------------------------------

// Goal: whoever reads a page sees what its hardware does. Method: an idle and a busy run under a
// guard that stops nobody for that; the verdict on their pages.
TEST_F(AgentPolicies, WritesTheMeasuredUseOnThePage) {
  use_->maxima[AttemptId{"idle-1"}] = 1;
  use_->maxima[AttemptId{"busy-1"}] = 90;
  const std::unique_ptr<Child> children[] = {hold(page_of("idle")), hold(page_of("busy"))};
  AgentOptions options = measured_options();
  options.policies.base.min_gpu_utilization = 0;
  const auto agent = make_guard(options);
  rounds(*agent, seconds{2});
  EXPECT_EQ(page("idle").agent.measured_use.load(), static_cast<std::uint64_t>(guard::Use::Idle));
  EXPECT_EQ(page("busy").agent.measured_use.load(),
            static_cast<std::uint64_t>(guard::Use::Unknown));
  EXPECT_EQ(directive_of("idle"), "CONTINUE");
}

// Goal: an idle run is stopped, a busy one and one of which nothing is known are not, and the
// source is told of each round and each end. Method: three commands that report nothing.
TEST_F(AgentPolicies, AnIdleRunIsStopped) {
  for (const char* name : {"idle", "busy", "dark"}) {
    use_->maxima[AttemptId{std::string(name) + "-1"}] = name == std::string("idle") ? 1 : 90;
  }
  use_->maxima.erase(AttemptId{"dark-1"});
  const std::unique_ptr<Child> children[] = {hold(page_of("idle")), hold(page_of("busy")),
                                             hold(page_of("dark"))};
  const auto agent = make_guard(measured_options());
  EXPECT_EQ(rungs_of(rounds(*agent, seconds{1}).decisions), "directive ");
  EXPECT_EQ(directive_of("idle"), "STOP");
  EXPECT_NE(pulse::read_reason(page("idle")).find("GPU-1 was used to at most 1 %"),
            std::string::npos)
      << pulse::read_reason(page("idle"));
  rounds(*agent, seconds{2});
  EXPECT_EQ(children[0]->wait(), -SIGTERM);
  EXPECT_EQ(use_->sample_counts[AttemptId{"busy-1"}], 3);
  EXPECT_TRUE(use_->ended.empty());
  rounds(*agent, seconds{1});
  EXPECT_EQ(use_->flush_count, 4);
  ASSERT_FALSE(use_->ended.empty());
  EXPECT_EQ(use_->ended[0], AttemptId{"idle-1"});
  EXPECT_EQ(attempt_of("idle").end.value().status, RunStatus::KILLED);
  EXPECT_EQ(directive_of("busy"), "CONTINUE");
  EXPECT_EQ(directive_of("dark"), "CONTINUE");
}

// Goal: use takes the directive back. Method: the GPU is used again after STOP.
TEST_F(AgentPolicies, UseTakesADirectiveBack) {
  use_->maxima[AttemptId{"run1-1"}] = 1;
  const std::unique_ptr<Child> child = hold(page_of("run1"));
  const auto agent = make_guard(measured_options());
  rounds(*agent, seconds{1});
  ASSERT_EQ(directive_of("run1"), "STOP");
  use_->maxima[AttemptId{"run1-1"}] = 50;
  rounds(*agent, seconds{1});
  EXPECT_EQ(directive_of("run1"), "CONTINUE");
}

// Goal: what cannot be kept is told and stops nothing. Method: the source's flush throws.
TEST_F(AgentPolicies, AFailedFlushIsAWarning) {
  use_->flush_fails = true;
  use_->maxima[AttemptId{"run1-1"}] = 1;
  const std::unique_ptr<Child> child = hold(page_of("run1"));
  const auto agent = make_guard(measured_options());
  const TickReport report = rounds(*agent, seconds{1});
  ASSERT_EQ(report.warnings.size(), 1U);
  EXPECT_NE(report.warnings[0].find("measured use"), std::string::npos) << report.warnings[0];
  EXPECT_EQ(rungs_of(report.decisions), "directive ");
}

// --- dry runs ------------------------------------------------------------------------------------

// Goal: a dry policy tells nobody, records once, and records its end. Method: 30 s of silence, then
// progress; then the same under a policy in earnest, whose ladder begins at its foot.
TEST_F(AgentPolicies, ADryRunOnlyRecords) {
  const std::unique_ptr<Child> child = hold(page_of("run1"));
  AgentOptions options = agent_options();
  options.policies.base.is_dry_run = true;
  auto agent = make_guard(options);
  rounds(*agent, seconds{30});
  EXPECT_EQ(directive_of("run1"), "CONTINUE");
  EXPECT_TRUE(child->is_running());
  std::vector<DecisionRecord> decided = ledger()->decisions({}, 10);
  ASSERT_EQ(rungs_of(decided), "directive ");
  EXPECT_TRUE(decided[0].is_dry_run);
  EXPECT_EQ(decided[0].directive, Directive::STOP);
  progress("run1");
  rounds(*agent, seconds{2});
  decided = ledger()->decisions({}, 10);
  ASSERT_EQ(rungs_of(decided), "directive watch ");
  EXPECT_TRUE(decided[1].is_dry_run) << "nothing real was taken back";
  rounds(*agent, seconds{6});
  agent.reset();
  agent = make_guard(agent_options());
  EXPECT_EQ(rungs_of(rounds(*agent, seconds{1}).decisions), "directive ");
  EXPECT_EQ(directive_of("run1"), "STOP");
}

// Goal: a policy that becomes dry takes back what was told in earnest. Method: STOP stands, then a
// dry guard serves.
TEST_F(AgentPolicies, ADryPolicyTakesBackAStandingDirective) {
  const std::unique_ptr<Child> child = hold(page_of("run1"));
  AgentOptions options = agent_options();
  auto agent = make_guard(options);
  rounds(*agent, seconds{7});
  ASSERT_EQ(directive_of("run1"), "STOP");
  agent.reset();
  options.policies.base.is_dry_run = true;
  agent = make_guard(options);
  rounds(*agent, seconds{20});
  EXPECT_EQ(directive_of("run1"), "CONTINUE");
  EXPECT_TRUE(child->is_running());
}

// Goal: a run that would have been stopped in a dry run and then dies failed; it was not killed by
// the guard. Method: a dry STOP, then SIGKILL from outside.
TEST_F(AgentPolicies, ADryDecisionKillsNobodyInTheBooks) {
  const std::unique_ptr<Child> child = hold(page_of("run1"));
  AgentOptions options = agent_options();
  options.policies.base.is_dry_run = true;
  const auto agent = make_guard(options);
  rounds(*agent, seconds{8});
  child->send(SIGKILL);
  child->wait();
  rounds(*agent, seconds{1});
  EXPECT_EQ(attempt_of("run1").end.value().status, RunStatus::FAILED);
}

// --- the breaker ---------------------------------------------------------------------------------

// Goal: the breaker holds only past both of its limits. Method: of ten runs so many are silent; the
// share is a half, the minimum three; then the same with other limits.
TEST_F(AgentPolicies, TheBreakerHoldsPastBothLimits) {
  struct Case {
    int run_count, silent_count;
    double share;
    std::int64_t minimum;
    bool is_held;
  };
  const Case cases[] = {{10, 5, 0.5, 3, false}, {10, 6, 0.5, 3, true}, {3, 3, 0.5, 3, false},
                        {4, 4, 0.5, 3, true},   {4, 4, 1.0, 3, false}, {4, 1, 0.0, 0, true}};
  int case_index = 0;
  for (const Case& c : cases) {
    testing::TempDir folder;
    home_ = open_home(folder / "home");
    scanner_ = pulse::PageScanner(home_.live_path());
    std::vector<std::unique_ptr<Child>> children;
    for (int index = 0; index < c.run_count; ++index) {
      pulse::PageInfo info = page_of("run" + std::to_string(index));
      info.started_at = clock_.now();
      info.silence_limit = index < c.silent_count ? seconds{6} : seconds{3'600};
      children.push_back(hold(info));
    }
    AgentOptions options = agent_options();
    options.policies.breaker_share = c.share;
    options.policies.breaker_minimum = c.minimum;
    clock_.advance(seconds{7});
    const TickReport report = make_guard(options)->tick();
    EXPECT_EQ(report.breaker_held, c.is_held ? static_cast<std::size_t>(c.silent_count) : 0U)
        << "case " << case_index;
    EXPECT_EQ(report.decisions.size(), c.is_held ? 0U : static_cast<std::size_t>(c.silent_count))
        << "case " << case_index;
    ++case_index;
  }
}

/// Five silent runs of five.
class AgentBreaker : public AgentPolicies {
 protected:
  void hold_five(int spent = 0) {
    for (int index = 0; index < 5; ++index) {
      pulse::PageInfo info = page_of("run" + std::to_string(index));
      info.max_duration = index < spent ? seconds{6} : seconds{0};
      children_.push_back(hold(info));
    }
  }
  std::vector<std::unique_ptr<Child>> children_;
};

// Goal: somebody is told once a trip, and it is judged anew in every round. Method: all silent,
// then two progress, then all silent again.
TEST_F(AgentBreaker, IsToldOnceATripAndJudgedAnew) {
  hold_five();
  const auto agent = make_guard(agent_options());
  const TickReport held = rounds(*agent, seconds{30});
  EXPECT_EQ(held.breaker_held, 5U);
  EXPECT_TRUE(held.decisions.empty());
  ASSERT_EQ(held.warnings.size(), 1U);
  EXPECT_NE(held.warnings[0].find("5 of 5 runs"), std::string::npos) << held.warnings[0];
  ASSERT_EQ(ledger()->notices(0, 10).size(), 1U);
  EXPECT_EQ(ledger()->notices(0, 10)[0].kind, NoticeKind::Breaker);
  for (const char* name : {"run0", "run1", "run2"}) {
    progress(name);
  }
  const TickReport freed = rounds(*agent, seconds{1});
  EXPECT_EQ(freed.breaker_held, 0U);
  EXPECT_EQ(rungs_of(freed.decisions), "directive directive ");
  EXPECT_EQ(directive_of("run0"), "CONTINUE");
  EXPECT_EQ(directive_of("run4"), "STOP");
}

// Goal: a second trip is told again. Method: all progress in between.
TEST_F(AgentBreaker, ASecondTripIsToldAgain) {
  hold_five();
  const auto agent = make_guard(agent_options());
  rounds(*agent, seconds{8});
  for (int index = 0; index < 5; ++index) {
    progress("run" + std::to_string(index));
  }
  EXPECT_EQ(rounds(*agent, seconds{1}).breaker_held, 0U);
  EXPECT_EQ(rounds(*agent, seconds{8}).breaker_held, 5U);
  EXPECT_EQ(ledger()->notices(0, 10).size(), 2U);
}

// Goal: durations are no guess: they go on, and do not count. Method: two of five are over their
// own max_duration, the other three are silent; three are past the limits, or just within.
TEST_F(AgentBreaker, DurationsGoOn) {
  hold_five(2);
  AgentOptions options = agent_options();
  options.policies.breaker_minimum = 2;
  auto agent = make_guard(options);
  const TickReport report = rounds(*agent, seconds{7});
  EXPECT_EQ(rungs_of(report.decisions), "directive directive ");
  EXPECT_EQ(report.decisions[0].rule, Rule::Duration);
  EXPECT_EQ(report.breaker_held, 3U);
  agent.reset();
  options.policies.breaker_minimum = 3;
  EXPECT_EQ(rounds(*make_guard(options), seconds{1}).breaker_held, 0U);
}

// Goal: a ladder that is under way goes on. Method: one is told to stop, then all fall silent.
TEST_F(AgentBreaker, ALadderUnderWayGoesOn) {
  hold_five();
  const auto agent = make_guard(agent_options());
  for (int second = 0; second < 7; ++second) {
    for (int index = 1; index < 5; ++index) {
      progress("run" + std::to_string(index));
    }
    rounds(*agent, seconds{1});
  }
  ASSERT_EQ(directive_of("run0"), "STOP");
  rounds(*agent, seconds{1});
  EXPECT_EQ(rungs_of(rounds(*agent, seconds{1}).decisions), "SIGTERM ");
  EXPECT_EQ(children_[0]->wait(), -SIGTERM);
}

// Goal: a person may say that they are to be stopped; a dry run stops nobody and is not held.
// Method: five silent runs under each.
TEST_F(AgentBreaker, APersonOverridesIt) {
  hold_five();
  AgentOptions dry = agent_options();
  dry.policies.base.is_dry_run = true;
  {
    const TickReport report = rounds(*make_guard(dry), seconds{7});
    EXPECT_EQ(report.decisions.size(), 5U);
    EXPECT_EQ(report.breaker_held, 0U);
  }
  AgentOptions options = agent_options();
  options.overrides_breaker = true;
  const TickReport report = rounds(*make_guard(options), seconds{1});
  EXPECT_EQ(report.decisions.size(), 5U);
  EXPECT_EQ(directive_of("run3"), "STOP");
}

// --- explanations --------------------------------------------------------------------------------

// Goal: an explanation needs no lock, changes nothing, and names the rules that fit. Method:
// another agent serves; the run is silent for 8 s under a rule of 6 s.
TEST_F(AgentPolicies, ExplainsWithoutTheLock) {
  const std::unique_ptr<Child> child = hold(page_of("run1"));
  const auto serving = make_guard(agent_options());
  rounds(*serving, seconds{1});
  AgentOptions options = agent_options();
  options.policies.rules = {{.name = "vision", .project = "vision", .silence_limit = seconds{5}},
                            {.name = "speech", .project = "speech"}};
  const auto agent = make_agent(options);
  clock_.advance(seconds{7});
  const Explanation explanation = agent->explain(AttemptId{"run1-1"});
  EXPECT_EQ(explanation.policy_rules, std::vector<std::string>{"vision"});
  ASSERT_EQ(explanation.readings.size(), 4U);
  EXPECT_EQ(explanation.readings[1].text, "silence: last progress 8 s ago, the limit is 5 s");
  EXPECT_TRUE(explanation.readings[1].is_fired);
  EXPECT_EQ(directive_of("run1"), "CONTINUE");
  EXPECT_TRUE(ledger()->decisions({}, 10).empty());
  EXPECT_EQ(testing::code_of([&] { (void)agent->explain(AttemptId{"run9-1"}); }), "NotFound");
}

}  // namespace
}  // namespace finops::agent
