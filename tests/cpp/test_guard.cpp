// test_guard.cpp - tests of the decisions: silence, money, the ladder, and what is spared.
//
// Owns: the checks of include/finops/guard. Does not own: observation and acting (test_agent.cpp).
// Invariant: a table moves one thing, and stands below, at and above its limit.
#include <gtest/gtest.h>

#include "guard_support.hpp"

namespace finops::guard {
namespace {

// --- silence -------------------------------------------------------------------------------------

// Goal: a run may be silent for exactly its limit. Method: one nanosecond around the policy's limit
// and around a limit of its own; only the time moves.
TEST(GuardSilence, AllowsExactlyTheLimit) {
  struct Case {
    Nanoseconds own_limit;
    Nanoseconds silent_for;
    Signal signal;
  };
  const Case cases[] = {{seconds{0}, minutes{30} - kNanosecond, Signal::Working},
                        {seconds{0}, minutes{30}, Signal::Working},
                        {seconds{0}, minutes{30} + kNanosecond, Signal::Silent},
                        {seconds{6}, seconds{6}, Signal::Working},
                        {seconds{6}, seconds{6} + kNanosecond, Signal::Silent},
                        {hours{2}, minutes{31}, Signal::Working},
                        {hours{2}, hours{2} + kNanosecond, Signal::Silent}};
  for (const Case& c : cases) {
    RunState state = working_run();
    state.silence_limit = c.own_limit;
    const BootTime now = kStart + c.silent_for;
    EXPECT_EQ(signal_of(state, {}, now), c.signal) << c.silent_for.count() << " ns";
    EXPECT_EQ(text_of(decide(state, {}, now)),
              c.signal == Signal::Silent ? "STOP silence directive" : kNothing)
        << c.silent_for.count() << " ns";
  }
}

// Goal: the reason says how long and against which limit. Method: 40 minutes of silence.
TEST(GuardSilence, SaysWhy) {
  const Decision decision = decide(working_run(), {}, kStart + minutes{40});
  EXPECT_EQ(decision.reason, "no progress for 40 min, the limit is 30 min");
}

// Goal: what cannot or need not report is never stopped for silence. Method: years of silence of a
// command that never called init and of a long-running run, beside an ordinary one.
TEST(GuardSilence, SparesCommandsAndLongRunningRuns) {
  const BootTime late = kStart + hours{24 * 366};
  EXPECT_EQ(decide(working_run(), {}, late).directive, Directive::STOP);
  RunState command = working_run();
  command.reports = false;
  EXPECT_EQ(text_of(decide(command, {}, late)), kNothing);
  EXPECT_EQ(signal_of(command, {}, late), Signal::NoSignal);
  RunState server = working_run();
  server.is_long_running = true;
  EXPECT_EQ(text_of(decide(server, {}, late)), kNothing);
  EXPECT_EQ(signal_of(server, {}, late), Signal::LongRunning);
}

// Goal: an announced silence holds until its end, then the window starts anew. Method: 2 hours
// announced at the start; the time moves around 2:30 h.
TEST(GuardSilence, WaitsForAnAnnouncedSilence) {
  RunState state = working_run();
  state.silence_announced_at = kStart;
  state.silent_until = kStart + hours{2};
  const BootTime last = kStart + hours{2} + minutes{30};
  EXPECT_EQ(signal_of(state, {}, kStart + hours{2}), Signal::Working);
  EXPECT_EQ(signal_of(state, {}, last), Signal::Working);
  EXPECT_EQ(signal_of(state, {}, last + kNanosecond), Signal::Silent);
  state.progress_changed_at = kStart + hours{2} + minutes{1};
  EXPECT_EQ(signal_of(state, {}, last + minutes{1}), Signal::Working) << "progress counts as well";
}

// Goal: a promise is no exemption. Method: announced for a year; it is cut at 24 h after the
// announcement, and the window follows.
TEST(GuardSilence, CutsAnAnnouncementAtItsLongest) {
  RunState state = working_run();
  state.silence_announced_at = kStart + hours{1};
  state.silent_until = kStart + hours{24 * 366};
  const BootTime last = kStart + hours{25} + minutes{30};
  EXPECT_EQ(signal_of(state, {}, last), Signal::Working);
  EXPECT_EQ(signal_of(state, {}, last + kNanosecond), Signal::Silent);
  Policy strict;
  strict.longest_expected_silence = hours{1};
  EXPECT_EQ(signal_of(state, strict, kStart + hours{2} + minutes{30}), Signal::Working);
  EXPECT_EQ(signal_of(state, strict, kStart + hours{2} + minutes{30} + kNanosecond),
            Signal::Silent);
}

// --- the ladder of a silent run ------------------------------------------------------------------

// Goal: each rung waits for its grace, inclusively. Method: the time since the rung moves around 5
// s and 30 s.
TEST(GuardLadder, ClimbsAfterEachGrace) {
  struct Case {
    Rung rung;
    Nanoseconds waited;
    Rung expected;
  };
  const Case cases[] = {{Rung::Watch, seconds{0}, Rung::Directive},
                        {Rung::Watch, hours{1}, Rung::Directive},
                        {Rung::Directive, seconds{5} - kNanosecond, Rung::Directive},
                        {Rung::Directive, seconds{5}, Rung::Sigterm},
                        {Rung::Sigterm, seconds{30} - kNanosecond, Rung::Sigterm},
                        {Rung::Sigterm, seconds{30}, Rung::Sigkill},
                        {Rung::Sigkill, seconds{0}, Rung::Sigkill},
                        {Rung::Sigkill, hours{1}, Rung::Sigkill}};
  const BootTime now = kStart + hours{1};
  for (const Case& c : cases) {
    RunState state = working_run();
    state.rung = c.rung;
    state.rule = c.rung == Rung::Watch ? Rule::None : Rule::Silence;
    state.rung_since = now - c.waited;
    const Decision decision = decide(state, {}, now);
    EXPECT_EQ(decision.directive, Directive::STOP);
    if (c.rung != Rung::Sigkill || c.waited > seconds{0}) {
      EXPECT_EQ(decision.rung, c.expected)
          << rung_name(c.rung) << " for " << c.waited.count() << " ns";
    }
  }
}

// Goal: once killed, never less. Method: the rung is SIGKILL since just now.
TEST(GuardLadder, StaysAtSigkill) {
  RunState state = working_run();
  state.rung = Rung::Sigkill;
  state.rule = Rule::Silence;
  state.rung_since = kStart + hours{1};
  EXPECT_EQ(decide(state, {}, kStart + hours{1}).rung, Rung::Sigkill);
}

// Goal: progress takes a directive back, and nothing takes back a signal. Method: a run that
// progressed just now, on each rung.
TEST(GuardLadder, ProgressHelpsOnlyBeforeSigterm) {
  const BootTime now = kStart + hours{1};
  struct Case {
    Rung rung;
    const char* expected;
  };
  for (const Case& c :
       {Case{Rung::Directive, "CONTINUE none watch"}, Case{Rung::Sigterm, "STOP silence SIGTERM"},
        Case{Rung::Sigkill, "STOP silence SIGKILL"}}) {
    RunState state = working_run();
    state.progress_changed_at = now;
    state.rung = c.rung;
    state.rule = Rule::Silence;
    state.rung_since = now - seconds{1};
    EXPECT_EQ(text_of(decide(state, {}, now)), c.expected) << rung_name(c.rung);
  }
}

// --- money ---------------------------------------------------------------------------------------

// Goal: CHECKPOINT from the pause on, PAUSE with SIGTERM half-way to the end, SIGKILL with the last
// of the reserve. Method: one nanosecond around each of the three.
TEST(GuardBudget, StopsWithinTheReserve) {
  struct Case {
    Nanoseconds elapsed;
    const char* expected;
  };
  const Case cases[] = {{seconds{100} - kNanosecond, "CONTINUE none watch"},
                        {seconds{100}, "CHECKPOINT budget directive"},
                        {seconds{120} - kNanosecond, "CHECKPOINT budget directive"},
                        {seconds{120}, "PAUSE budget SIGTERM"},
                        {seconds{135} - kNanosecond, "PAUSE budget SIGTERM"},
                        {seconds{135}, "PAUSE budget SIGKILL"},
                        {hours{1}, "PAUSE budget SIGKILL"}};
  for (const Case& c : cases) {
    RunState state = spent_run();
    state.silence_limit = hours{2};
    EXPECT_EQ(text_of(decide(state, {}, kStart + c.elapsed)), c.expected)
        << c.elapsed.count() << " ns";
  }
}

// Goal: a command that cannot read a directive gets SIGTERM first. Method: at the pause.
TEST(GuardBudget, TermsACommandAtOnce) {
  RunState state = spent_run();
  state.reports = false;
  EXPECT_EQ(text_of(decide(state, {}, kStart + seconds{100} - kNanosecond)), kNothing);
  EXPECT_EQ(text_of(decide(state, {}, kStart + seconds{100})), "CHECKPOINT budget SIGTERM");
  EXPECT_EQ(decide(state, {}, kStart + seconds{135}).rung, Rung::Sigkill);
}

// Goal: only a hard budget with nothing left stops anybody. Method: one of the two conditions is
// missing.
TEST(GuardBudget, StopsOnlyAHardBudgetThatIsExhausted) {
  const BootTime late = kStart + minutes{10};
  EXPECT_EQ(decide(spent_run(), {}, late).rule, Rule::Budget);
  RunState soft = spent_run();
  soft.is_hard_budget = false;
  EXPECT_EQ(text_of(decide(soft, {}, late)), kNothing);
  RunState has_more = spent_run();
  has_more.is_exhausted = false;
  EXPECT_EQ(text_of(decide(has_more, {}, late)), kNothing);
  RunState server = spent_run();
  server.is_long_running = true;
  EXPECT_EQ(decide(server, {}, late).rule, Rule::Budget) << "long-running is no free money";
}

// Goal: an approval takes back a directive, never a signal. Method: money arrived, on each rung.
TEST(GuardBudget, MoneyHelpsOnlyBeforeSigterm) {
  struct Case {
    Rung rung;
    Rung expected;
  };
  for (const Case& c : {Case{Rung::Directive, Rung::Watch}, Case{Rung::Sigterm, Rung::Sigterm},
                        Case{Rung::Sigkill, Rung::Sigkill}}) {
    RunState state = spent_run();
    state.is_exhausted = false;
    state.lease.pause_at = minutes{10};
    state.rung = c.rung;
    state.rule = Rule::Budget;
    const Decision decision = decide(state, {}, kStart + seconds{125});
    EXPECT_EQ(decision.rung, c.expected) << rung_name(c.rung);
    EXPECT_EQ(decision.directive == Directive::CONTINUE, c.rung == Rung::Directive)
        << rung_name(c.rung);
  }
}

// Goal: a run that was signalled for money, got more and hangs is stopped as any silent run; one
// that goes on is not, nor is a dry run; and while the money really ends, its own times hold.
// Method: money until an hour from now, silent for its limit, around the grace after the signal.
TEST(GuardBudget, MoneyAfterASignalSavesNoHangingRun) {
  const BootTime now = kStart + minutes{40};
  RunState state = spent_run();
  state.lease.pause_at = minutes{30};
  state.lease.ends_at = hours{2};
  state.silence_limit = minutes{30};
  state.rung = Rung::Sigterm;
  state.rule = Rule::Budget;
  state.rung_since = now - seconds{1};
  EXPECT_EQ(text_of(decide(state, {}, now)), "STOP silence SIGTERM");
  state.rung_since = now - Policy{}.term_grace;
  EXPECT_EQ(text_of(decide(state, {}, now)), "STOP silence SIGKILL");
  Policy dry;
  dry.is_dry_run = true;
  EXPECT_EQ(text_of(decide(state, dry, now)), "CHECKPOINT budget SIGTERM");
  RunState working = state;
  working.progress_changed_at = now - minutes{1};
  EXPECT_EQ(text_of(decide(working, {}, now)), "CHECKPOINT budget SIGTERM");
  RunState ending = state;
  ending.lease.ends_at = minutes{40} + seconds{16};
  EXPECT_EQ(text_of(decide(ending, {}, now)), "PAUSE budget SIGTERM");
}

// Goal: no rung is ever left downwards after SIGTERM, whatever else becomes true of the run.
// Method: every rule, with the run silent, out of money, both and neither.
TEST(GuardLadder, NeverGoesDownFromSigterm) {
  const BootTime now = kStart + seconds{125};
  for (const Rule rule : {Rule::Silence, Rule::Budget}) {
    for (const Rung rung : {Rung::Sigterm, Rung::Sigkill}) {
      for (const bool is_silent : {false, true}) {
        for (const bool is_spent : {false, true}) {
          RunState state = spent_run();
          state.is_exhausted = is_spent;
          state.progress_changed_at = is_silent ? kStart : now;
          state.silence_limit = seconds{60};
          state.rung = rung;
          state.rule = rule;
          state.rung_since = now - seconds{1};
          EXPECT_GE(decide(state, {}, now).rung, rung)
              << rule_name(rule) << (is_silent ? ", silent" : "") << (is_spent ? ", spent" : "");
        }
      }
    }
  }
}

// --- words ---------------------------------------------------------------------------------------

// Goal: spans read as people say them. Method: around the borders of the units.
TEST(GuardFormat, WritesSpansForPeople) {
  EXPECT_EQ(format_span(seconds{0}), "0 s");
  EXPECT_EQ(format_span(seconds{6}), "6 s");
  EXPECT_EQ(format_span(seconds{119}), "119 s");
  EXPECT_EQ(format_span(seconds{120}), "2 min");
  EXPECT_EQ(format_span(minutes{119}), "119 min");
  EXPECT_EQ(format_span(minutes{120}), "2.0 h");
  EXPECT_EQ(format_span(minutes{210}), "3.5 h");
}

// Goal: each state has its word. Method: all of them.
TEST(GuardFormat, NamesTheSignals) {
  EXPECT_EQ(signal_name(Signal::NoSignal), "no signal");
  EXPECT_EQ(signal_name(Signal::Working), "working");
  EXPECT_EQ(signal_name(Signal::Silent), "silent");
  EXPECT_EQ(signal_name(Signal::LongRunning), "long-running");
  EXPECT_EQ(signal_name(Signal::Idle), "idle");
  EXPECT_EQ(signal_name(Signal::Hung), "hung");
}

}  // namespace
}  // namespace finops::guard
