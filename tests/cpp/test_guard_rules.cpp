// test_guard_rules.cpp - tests of the rules beside silence and money, and of how they meet.
//
// Owns: duration, idleness, enforced policies, dry runs, precedence, explanations, batches.
// Does not own: silence and money by themselves (test_guard.cpp).
// Invariant: a table moves one thing, and stands below, at and above its limit.
#include <gtest/gtest.h>

#include "guard_support.hpp"

namespace finops::guard {
namespace {

/// A policy whose idle rule asks for 5 % in 30 minutes.
Policy idle_policy() {
  Policy policy;
  policy.min_gpu_utilization = 5;
  policy.utilization_window = minutes{30};
  return policy;
}

/// A run that progressed just now, so that nothing but its GPUs can speak.
RunState measured_run(double maximum, BootTime now) {
  RunState state = working_run();
  state.progress_changed_at = now;
  state.usage = measured(maximum);
  return state;
}

constexpr BootTime kLater = kStart + hours{10};

// --- limits of the run and of the policy ---------------------------------------------------------

// Goal: a run's own word tightens always, and loosens only where the policy is not enforced.
// Method: policy 10 min, own limit below, at and above, silent just within and just past what must
// hold.
TEST(GuardPolicy, AnEnforcedPolicyCannotBeLoosened) {
  struct Case {
    bool is_enforced;
    Nanoseconds own;
    Nanoseconds holds;
  };
  const Case cases[] = {{false, seconds{0}, minutes{10}},  {false, minutes{9}, minutes{9}},
                        {false, minutes{11}, minutes{11}}, {true, seconds{0}, minutes{10}},
                        {true, minutes{9}, minutes{9}},    {true, minutes{10}, minutes{10}},
                        {true, minutes{11}, minutes{10}}};
  for (const Case& c : cases) {
    Policy policy;
    policy.silence_limit = minutes{10};
    policy.is_enforced = c.is_enforced;
    RunState silent = working_run();
    silent.silence_limit = c.own;
    silent.max_duration = hours{1};
    policy.max_duration = hours{1};
    EXPECT_EQ(text_of(decide(silent, policy, kStart + c.holds)), kNothing) << c.own.count();
    EXPECT_EQ(text_of(decide(silent, policy, kStart + c.holds + kNanosecond)),
              "STOP silence directive")
        << c.own.count();
    policy.max_duration = minutes{10};
    RunState lasting = working_run();
    lasting.progress_changed_at = kStart + c.holds;
    lasting.max_duration = c.own;
    EXPECT_EQ(text_of(decide(lasting, policy, kStart + c.holds)), kNothing) << c.own.count();
    EXPECT_EQ(text_of(decide(lasting, policy, kStart + c.holds + kNanosecond)),
              "STOP duration directive")
        << c.own.count();
  }
}

// Goal: long_running exempts only where it is allowed. Method: silent for a day.
TEST(GuardPolicy, MayRefuseLongRunning) {
  RunState state = working_run();
  state.is_long_running = true;
  Policy policy;
  EXPECT_EQ(text_of(decide(state, policy, kStart + hours{24})), kNothing);
  policy.allows_long_running = false;
  EXPECT_EQ(text_of(decide(state, policy, kStart + hours{24})), "STOP silence directive");
  EXPECT_EQ(signal_of(state, policy, kStart + hours{24}), Signal::Silent);
}

// --- duration ------------------------------------------------------------------------------------

// Goal: without a limit a run may last for ever; the rule holds for commands and servers as well,
// and says why. Method: a year, then a limit of an hour.
TEST(GuardDuration, StopsWhoeverRunsForLonger) {
  for (const bool is_command : {false, true}) {
    RunState state = working_run();
    state.reports = !is_command;
    state.is_long_running = true;
    Policy policy;
    EXPECT_EQ(text_of(decide(state, policy, kStart + hours{24 * 366})), kNothing);
    policy.max_duration = hours{1};
    EXPECT_EQ(text_of(decide(state, policy, kStart + hours{1})), kNothing);
    state.policy_rules = "sweeps, ada";
    const Decision decision = decide(state, policy, kStart + hours{3});
    EXPECT_EQ(text_of(decision), "STOP duration directive");
    EXPECT_EQ(decision.reason, "it has run for 3.0 h, the limit is 60 min (policy sweeps, ada)");
  }
}

// --- idleness ------------------------------------------------------------------------------------

// Goal: a run is idle only if a GPU stayed below the limit in every sample. Method: its maximum
// around 5 %.
TEST(GuardIdle, StopsBelowTheLimitOnly) {
  struct Case {
    double maximum;
    const char* expected;
  };
  for (const Case& c : {Case{0, "STOP idle directive"}, Case{4.9, "STOP idle directive"},
                        Case{5, "CONTINUE none watch"}, Case{100, "CONTINUE none watch"}}) {
    EXPECT_EQ(text_of(decide(measured_run(c.maximum, kLater), idle_policy(), kLater)), c.expected)
        << c.maximum << " %";
  }
  EXPECT_EQ(text_of(decide(measured_run(0, kLater), {}, kLater)), kNothing) << "no such rule";
  EXPECT_EQ(decide(measured_run(2.5, kLater), idle_policy(), kLater).reason,
            "GPU GPU-1 was used to at most 2.5 % in 30 min, the limit is 5 %");
}

// Goal: one idle GPU of several is enough, and it is the one that is named. Method: three GPUs.
TEST(GuardIdle, NamesTheIdleGpu) {
  RunState state = measured_run(90, kLater);
  GpuUsage idle = state.usage->gpus.front();
  idle.uuid = "GPU-2";
  idle.maximum_utilization = 1;
  state.usage->gpus.push_back(idle);
  state.usage->gpus.push_back(state.usage->gpus.front());
  const Decision decision = decide(state, idle_policy(), kLater);
  EXPECT_EQ(decision.rule, Rule::Idle);
  EXPECT_NE(decision.reason.find("GPU-2"), std::string::npos) << decision.reason;
}

// Goal: what is not known well enough never stops anybody. Method: an idle run of which one thing
// is missing: the measurement, samples, the window, the driver's word, the GPUs.
TEST(GuardIdle, UnknownNeverStops) {
  const auto decide_with = [](const std::function<void(RunState&)>& change) {
    RunState state = measured_run(0, kLater);
    change(state);
    return text_of(decide(state, idle_policy(), kLater));
  };
  EXPECT_EQ(decide_with([](RunState&) {}), "STOP idle directive");
  EXPECT_EQ(decide_with([](RunState& run) { run.usage.reset(); }), kNothing);
  EXPECT_EQ(decide_with([](RunState& run) { run.usage = UsageSummary{}; }), kNothing);
  EXPECT_EQ(decide_with([](RunState& run) { run.usage->sample_count = 9; }), kNothing);
  EXPECT_EQ(decide_with([](RunState& run) { run.usage->covered = minutes{27}; }),
            "STOP idle directive");
  EXPECT_EQ(decide_with([](RunState& run) { run.usage->covered = minutes{27} - kNanosecond; }),
            kNothing);
  EXPECT_EQ(decide_with([](RunState& run) { run.usage->asked = run.usage->covered = minutes{20}; }),
            kNothing)
      << "a shorter window than the policy's";
  EXPECT_EQ(decide_with([](RunState& run) { run.usage->gpus.clear(); }), kNothing);
  EXPECT_EQ(decide_with([](RunState& run) { run.usage->gpus[0].maximum_utilization.reset(); }),
            kNothing);
  EXPECT_EQ(decide_with([](RunState& run) { run.usage->gpus[0].sample_count = 162; }),
            "STOP idle directive");
  EXPECT_EQ(decide_with([](RunState& run) { run.usage->gpus[0].sample_count = 161; }), kNothing)
      << "a GPU that came late";
}

// Goal: an announced silence spares a run that waits, and a window after it. Method: announced for
// an hour; the time moves around its end and a window later.
TEST(GuardIdle, WaitsForAnAnnouncedSilence) {
  const auto decide_at = [](BootTime now) {
    RunState state = measured_run(0, now);
    state.silence_announced_at = kLater;
    state.silent_until = kLater + hours{1};
    return text_of(decide(state, idle_policy(), now));
  };
  EXPECT_EQ(decide_at(kLater), kNothing);
  EXPECT_EQ(decide_at(kLater + minutes{90} - kNanosecond), kNothing);
  EXPECT_EQ(decide_at(kLater + minutes{90}), "STOP idle directive");
}

// Goal: a host that has just started judges as any other; nobody announced a silence there.
// Method: the clock of the boot is at a moment, before and after a window's length.
TEST(GuardIdle, NeedsNoLongUptime) {
  for (const minutes uptime : {minutes{1}, minutes{29}, minutes{31}}) {
    RunState state = measured_run(0, BootTime{uptime});
    state.started_at = BootTime{};
    EXPECT_EQ(text_of(decide(state, idle_policy(), BootTime{uptime})), "STOP idle directive")
        << uptime.count() << " min";
  }
}

// Goal: use takes a directive back, never a signal. Method: a busy GPU on each rung.
TEST(GuardIdle, UseHelpsOnlyBeforeSigterm) {
  struct Case {
    Rung rung;
    const char* expected;
  };
  for (const Case& c :
       {Case{Rung::Directive, "CONTINUE none watch"}, Case{Rung::Sigterm, "STOP idle SIGTERM"},
        Case{Rung::Sigkill, "STOP idle SIGKILL"}}) {
    RunState state = measured_run(90, kLater);
    state.rule = Rule::Idle;
    state.rung = c.rung;
    state.rung_since = kLater;
    EXPECT_EQ(text_of(decide(state, idle_policy(), kLater)), c.expected);
  }
}

// --- several rules -------------------------------------------------------------------------------

// Goal: the rule that counts is the documented one. Method: the conditions are switched on one by
// one for a run that was told nothing yet.
TEST(GuardPrecedence, BeforeAnySignal) {
  struct Case {
    bool duration, silence, idle;
    Nanoseconds elapsed;  // 100 s: CHECKPOINT, 120 s: PAUSE; 99 s: the money suffices
    const char* expected;
  };
  const Case cases[] = {
      {false, false, false, seconds{99}, "CONTINUE none watch"},
      {false, false, true, seconds{99}, "STOP idle directive"},
      {false, true, true, seconds{99}, "STOP silence directive"},
      {true, true, true, seconds{99}, "STOP duration directive"},
      {false, false, false, seconds{100}, "CHECKPOINT budget directive"},
      {false, false, true, seconds{100}, "STOP idle directive"},
      {true, true, true, seconds{100}, "STOP duration directive"},
      {true, true, true, seconds{120}, "PAUSE budget SIGTERM"},
      {true, true, true, seconds{135}, "PAUSE budget SIGKILL"},
  };
  for (const Case& c : cases) {
    const BootTime now = kStart + c.elapsed;
    RunState state = spent_run();
    state.max_duration = c.duration ? seconds{60} : seconds{0};
    state.progress_changed_at = c.silence ? kStart : now;
    state.silence_limit = seconds{60};
    state.usage = measured(c.idle ? 0 : 100);
    EXPECT_EQ(text_of(decide(state, idle_policy(), now)), c.expected)
        << c.duration << c.silence << c.idle << " at " << c.elapsed.count();
  }
}

// Goal: a change of reason grants no new grace. Method: told to STOP by one rule, another one
// speaks when the grace is over; told CHECKPOINT by the budget, the grace begins.
TEST(GuardPrecedence, BeingToldToStopCountsForEveryRule) {
  struct Case {
    Rule told_by;
    Rung expected;
  };
  for (const Case& c : {Case{Rule::Silence, Rung::Sigterm}, Case{Rule::Duration, Rung::Sigterm},
                        Case{Rule::Idle, Rung::Sigterm}, Case{Rule::Operator, Rung::Sigterm},
                        Case{Rule::Budget, Rung::Directive}, Case{Rule::Lease, Rung::Directive}}) {
    RunState state = working_run();
    state.max_duration = minutes{1};
    state.rule = c.told_by;
    state.rung = Rung::Directive;
    state.rung_since = kStart;
    const Decision decision = decide(state, {}, kStart + minutes{2});
    EXPECT_EQ(decision.rule, Rule::Duration);
    EXPECT_EQ(decision.rung, c.expected) << rule_name(c.told_by);
  }
}

// Goal: a ladder that has signalled keeps its rule and its grace, and only the end of the money
// hastens it. Method: SIGTERM since a second; the money moves to its end.
TEST(GuardPrecedence, AnOngoingLadderKeepsItsRule) {
  struct Case {
    Nanoseconds elapsed;
    const char* expected;
  };
  for (const Rule rule : {Rule::Silence, Rule::Duration, Rule::Idle, Rule::Operator}) {
    for (const Nanoseconds elapsed : {seconds{125}, seconds{134}, seconds{135}}) {
      RunState state = spent_run();
      state.rule = rule;
      state.rung = Rung::Sigterm;
      state.rung_since = kStart + elapsed - seconds{1};
      EXPECT_EQ(text_of(decide(state, {}, kStart + elapsed)),
                elapsed == seconds{135} ? "PAUSE budget SIGKILL"
                                        : "STOP " + std::string(rule_name(rule)) + " SIGTERM");
    }
  }
  RunState paused = spent_run();
  paused.rule = Rule::Budget;
  paused.rung = Rung::Sigterm;
  paused.max_duration = seconds{1};
  EXPECT_EQ(text_of(decide(paused, {}, kStart + seconds{125})), "PAUSE budget SIGTERM");
}

// Goal: no rung is ever left downwards after SIGTERM, whatever becomes true. Method: every rule
// with every combination of conditions, in a dry policy as well.
TEST(GuardPrecedence, NothingGoesDownFromSigterm) {
  const BootTime now = kStart + seconds{125};
  for (const Rule rule :
       {Rule::Silence, Rule::Budget, Rule::Lease, Rule::Duration, Rule::Idle, Rule::Operator}) {
    for (const Rung rung : {Rung::Sigterm, Rung::Sigkill}) {
      for (unsigned bits = 0; bits < 32; ++bits) {
        RunState state = spent_run();
        state.is_exhausted = (bits & 1U) != 0;
        state.progress_changed_at = (bits & 2U) != 0 ? kStart : now;
        state.silence_limit = seconds{60};
        state.max_duration = (bits & 4U) != 0 ? seconds{1} : seconds{0};
        state.usage = measured((bits & 8U) != 0 ? 0 : 100);
        state.rung = rung;
        state.rule = rule;
        state.rung_since = now - seconds{1};
        Policy policy = idle_policy();
        policy.is_dry_run = (bits & 16U) != 0;
        const Decision decision = decide(state, policy, now);
        EXPECT_GE(decision.rung, rung) << rule_name(rule) << " " << bits;
        EXPECT_FALSE(decision.is_dry_run) << rule_name(rule) << " " << bits;
      }
    }
  }
}

// --- the ledger is away --------------------------------------------------------------------------

// Goal: a hard budget whose lease nobody can renew is paused by the last known lease; all others
// go on. Method: the lease ends at 136 s with money left; the ledger is away or not.
TEST(GuardLease, PausesByTheLastKnownLease) {
  RunState state = spent_run();
  state.is_exhausted = false;
  EXPECT_EQ(text_of(decide(state, {}, kStart + seconds{130})), kNothing);
  state.is_ledger_away = true;
  EXPECT_EQ(text_of(decide(state, {}, kStart + seconds{100} - kNanosecond)), kNothing);
  EXPECT_EQ(text_of(decide(state, {}, kStart + seconds{100})), "CHECKPOINT lease directive");
  EXPECT_EQ(text_of(decide(state, {}, kStart + seconds{120})), "PAUSE lease SIGTERM");
  EXPECT_EQ(text_of(decide(state, {}, kStart + seconds{135})), "PAUSE lease SIGKILL");
  RunState command = state;
  command.reports = false;
  EXPECT_EQ(text_of(decide(command, {}, kStart + seconds{100})), "CHECKPOINT lease SIGTERM");
  RunState soft = state;
  soft.is_hard_budget = false;
  EXPECT_EQ(text_of(decide(soft, {}, kStart + seconds{135})), kNothing);
  RunState unknown = state;
  unknown.lease.pause_at = unknown.lease.ends_at = Nanoseconds::max();
  EXPECT_EQ(text_of(decide(unknown, {}, kStart + minutes{20})), kNothing) << "no lease is known";
}

// Goal: a lease that was renewed takes the directive back, never a signal, whose rule stays.
// Method: the ledger is back, with money.
TEST(GuardLease, ALedgerThatComesBackHelpsBeforeSigterm) {
  RunState state = spent_run();
  state.is_exhausted = false;
  state.rule = Rule::Lease;
  state.rung = Rung::Directive;
  EXPECT_EQ(text_of(decide(state, {}, kStart + seconds{125})), kNothing);
  state.rung = Rung::Sigterm;
  EXPECT_EQ(text_of(decide(state, {}, kStart + seconds{125})), "PAUSE lease SIGTERM");
}

// --- dry runs ------------------------------------------------------------------------------------

// Goal: a dry policy only says what it would do, whatever the time. Method: an hour past each rule.
TEST(GuardDryRun, NeverGoesBeyondTheDirective) {
  Policy policy = idle_policy();
  policy.is_dry_run = true;
  RunState silent = working_run();
  EXPECT_EQ(text_of(decide(silent, policy, kLater)), "STOP silence directive dry");
  silent.rule = Rule::Silence;
  silent.rung = Rung::Directive;
  silent.is_rung_dry = true;
  EXPECT_EQ(text_of(decide(silent, policy, kLater)), "STOP silence directive dry");
  RunState lasting = working_run();
  lasting.max_duration = seconds{1};
  EXPECT_EQ(text_of(decide(lasting, policy, kLater)), "STOP duration directive dry");
  EXPECT_EQ(text_of(decide(measured_run(0, kLater), policy, kLater)), "STOP idle directive dry");
}

// Goal: when a policy becomes real the ladder begins at its foot. Method: the directive was dry for
// hours.
TEST(GuardDryRun, ADryRungToldNobody) {
  RunState state = working_run();
  state.rule = Rule::Silence;
  state.rung = Rung::Directive;
  EXPECT_EQ(text_of(decide(state, {}, kLater)), "STOP silence SIGTERM");
  state.is_rung_dry = true;
  EXPECT_EQ(text_of(decide(state, {}, kLater)), "STOP silence directive");
}

// Goal: budgets are never dry and come before what is. Method: out of money and silent.
TEST(GuardDryRun, MoneyIsNoExperiment) {
  Policy policy;
  policy.is_dry_run = true;
  RunState state = spent_run();
  state.silence_limit = seconds{1};
  EXPECT_EQ(text_of(decide(state, policy, kStart + seconds{100})), "CHECKPOINT budget directive");
  EXPECT_EQ(text_of(decide(state, policy, kStart + seconds{120})), "PAUSE budget SIGTERM");
}

// --- words ---------------------------------------------------------------------------------------

// Goal: idle and hung stay apart from silent, no signal and working. Method: runs with what use_of
// (usage.hpp) makes of their window; what it does not know changes nothing.
TEST(GuardFormat, IdleAndHungStayApart) {
  for (const double maximum : {0.0, 50.0, 100.0}) {
    for (const double power_share : {0.1, 0.9}) {
      for (const bool reports : {false, true}) {
        RunState state = working_run();
        state.reports = reports;
        state.usage = measured(maximum);
        state.usage->gpus[0].minimum_utilization = maximum;
        state.usage->gpus[0].mean_power_share = power_share;
        const Use use = use_of(*state.usage, reports);
        const Signal other = reports ? Signal::Silent : Signal::NoSignal;
        EXPECT_EQ(signal_of(state, {}, kLater), use == Use::Idle   ? Signal::Idle
                                                : use == Use::Hung ? Signal::Hung
                                                                   : other)
            << maximum << " % at " << power_share << ", " << use_name(use);
      }
    }
  }
}

// Goal: a run's rules read as one line each, with the numbers. Method: a young run with few
// samples.
TEST(GuardFormat, ExplainsEveryRule) {
  RunState state = working_run();
  const BootTime now = kStart + minutes{12};
  UsageSummary few = measured(0);
  few.sample_count = 4;
  few.covered = minutes{2};
  state.usage = few;
  const std::vector<RuleReading> readings = explain(state, idle_policy(), now);
  ASSERT_EQ(readings.size(), 4U);
  EXPECT_EQ(readings[0].text, "duration: it has run for 12 min, no limit");
  EXPECT_EQ(readings[1].text, "silence: last progress 12 min ago, the limit is 30 min");
  EXPECT_EQ(readings[2].text, "idle: only 4 samples over 2 min of the 30 min window: not judged");
  EXPECT_EQ(readings[3].text, "budget: no hard budget: not judged");
  for (const RuleReading& reading : readings) {
    EXPECT_FALSE(reading.is_fired) << reading.text;
  }
}

// Goal: a rule that speaks is marked, by itself and with its numbers. Method: a run that breaks
// all.
TEST(GuardFormat, MarksTheRulesThatSpeak) {
  RunState state = spent_run();
  state.max_duration = seconds{60};
  state.silence_limit = seconds{60};
  state.usage = measured(2);
  const std::vector<RuleReading> readings = explain(state, idle_policy(), kStart + seconds{130});
  for (const RuleReading& reading : readings) {
    EXPECT_TRUE(reading.is_fired) << reading.text;
  }
  EXPECT_EQ(readings[2].text,
            "idle: GPU GPU-1 was used to at most 2 %, the limit is 5 % in 30 min");
  EXPECT_EQ(readings[3].text, "budget: used up, at the end of the lease since 30 s");
}

// Goal: what is not judged says why. Method: a command, a server, an announced silence.
TEST(GuardFormat, SaysWhyARuleIsNotJudged) {
  const auto silence_text = [](const RunState& state, const Policy& policy, BootTime now) {
    return explain(state, policy, now)[1].text;
  };
  RunState command = working_run();
  command.reports = false;
  EXPECT_EQ(silence_text(command, {}, kLater), "silence: the command reports nothing: not judged");
  RunState server = working_run();
  server.is_long_running = true;
  EXPECT_EQ(silence_text(server, {}, kLater), "silence: long_running: not judged");
  RunState waiting = working_run();
  waiting.silence_announced_at = kStart;
  waiting.silent_until = kStart + minutes{20};
  EXPECT_EQ(silence_text(waiting, {}, kStart + minutes{10}),
            "silence: last progress 10 min ago, the limit is 30 min, silence is announced for "
            "10 min more");
  EXPECT_EQ(explain(working_run(), idle_policy(), kLater)[2].text,
            "idle: nothing measures its GPUs: not judged");
}

// --- batches -------------------------------------------------------------------------------------

// Goal: a batch decides as one by one does, and forgets the round before. Method: three different
// runs with policies of their own, twice into the same vector.
TEST(GuardBatch, DecidesAsOneByOne) {
  const Policy strict{.silence_limit = seconds{1}};
  const Policy lax{};
  std::vector<RunState> states{working_run(), working_run(), spent_run()};
  const std::vector<const Policy*> policies{&strict, &lax, &lax};
  std::vector<Decision> decisions;
  for (const BootTime now : {kStart + seconds{125}, kStart}) {
    decide_all(states, policies, now, decisions);
    ASSERT_EQ(decisions.size(), 3U);
    for (std::size_t index = 0; index < 3; ++index) {
      const Decision one = decide(states[index], *policies[index], now);
      EXPECT_EQ(text_of(decisions[index]), text_of(one)) << index;
      EXPECT_EQ(decisions[index].reason, one.reason) << index;
    }
  }
  EXPECT_EQ(text_of(decisions[0]), kNothing);
  const std::vector<const Policy*> too_few{&lax};
  EXPECT_EQ(code_of([&] { decide_all(states, too_few, kStart, decisions); }), "InvalidArgument");
}

}  // namespace
}  // namespace finops::guard
