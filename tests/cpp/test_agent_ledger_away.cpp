// test_agent_ledger_away.cpp - tests of the agent while the ledger cannot be written.
//
// Owns: the checks of the journal of intents, of judging by what is known, of the import.
// Does not own: the ledger's own failures (test_ledger*.cpp).
// Method of all: the ledger's file is moved away and a folder put in its place, so that every open
// fails as on a broken disk; putting it back ends the trouble. An agent that has it open must be a
// new one to notice.
#include <gtest/gtest.h>

#include <fcntl.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "agent/intents.hpp"
#include "agent_support.hpp"

namespace finops::agent {
namespace {

using testing::code_of;

DecisionRecord intent_of(const std::string& attempt_id, int number) {
  DecisionRecord intent;
  intent.attempt_id = AttemptId{attempt_id};
  intent.directive = Directive::STOP;
  intent.rule = Rule::Silence;
  intent.rung = Rung::Sigterm;
  intent.reason = "reason " + std::to_string(number);
  intent.decided_by = "guard";
  intent.decided_at = testing::example_time() + seconds{number};
  return intent;
}

std::vector<std::string> reasons_of(const std::vector<DecisionRecord>& intents) {
  std::vector<std::string> reasons;
  reasons.reserve(intents.size());
  for (const DecisionRecord& intent : intents) {
    reasons.push_back(intent.reason);
  }
  return reasons;
}

// --- the journal ---------------------------------------------------------------------------------

class IntentFile : public ::testing::Test {
 protected:
  testing::TempDir folder_;
  const std::string path_ = folder_ / "intents.journal";
};

// Goal: what is appended is there for whoever opens the file next, in order and in full. Method:
// two intents, a new journal object; the file has its whole size from the start.
TEST_F(IntentFile, KeepsIntentsInOrder) {
  DecisionRecord dry = intent_of("run2-1", 2);
  dry.is_dry_run = true;
  dry.rule = Rule::Idle;
  IntentJournal(path_).append(intent_of("run1-1", 1));
  EXPECT_EQ(std::filesystem::file_size(path_), 1U << 20U);
  IntentJournal(path_).append(dry);
  const std::vector<DecisionRecord> pending = IntentJournal(path_).pending();
  ASSERT_EQ(reasons_of(pending), (std::vector<std::string>{"reason 1", "reason 2"}));
  EXPECT_EQ(pending[0].attempt_id, AttemptId{"run1-1"});
  EXPECT_EQ(pending[0].rung, Rung::Sigterm);
  EXPECT_EQ(pending[0].decided_by, "guard");
  EXPECT_EQ(pending[0].decided_at, testing::example_time() + seconds{1});
  EXPECT_FALSE(pending[0].is_dry_run);
  EXPECT_TRUE(pending[1].is_dry_run);
  EXPECT_EQ(pending[1].rule, Rule::Idle);
  EXPECT_EQ(pending[1].directive, Directive::STOP);
}

// Goal: no journal means nothing waits, and asking makes none. Method: an empty folder.
TEST_F(IntentFile, NoJournalIsNoIntent) {
  EXPECT_TRUE(IntentJournal(path_).pending().empty());
  IntentJournal(path_).import_each([](const DecisionRecord&) { return true; });
  EXPECT_FALSE(std::filesystem::exists(path_));
}

// Goal: an import marks what was taken, and only that. Method: the second of three is refused.
TEST_F(IntentFile, MarksWhatWasImported) {
  IntentJournal journal(path_);
  for (int number = 1; number <= 3; ++number) {
    journal.append(intent_of("run1-1", number));
  }
  journal.import_each([](const DecisionRecord& intent) { return intent.reason != "reason 2"; });
  EXPECT_EQ(reasons_of(IntentJournal(path_).pending()), std::vector<std::string>{"reason 2"});
}

// Goal: a full journal refuses, and never loses what waits; imported ones make room, the oldest
// first. Method: as many as it holds, one more, then room for two.
TEST_F(IntentFile, NeverOverwritesWhatWaits) {
  IntentJournal journal(path_);
  const int count = static_cast<int>(IntentJournal::kRecordCount);
  for (int number = 0; number < count; ++number) {
    journal.append(intent_of("run1-1", number));
  }
  EXPECT_EQ(code_of([&] { journal.append(intent_of("run1-1", count)); }), "SystemFailure");
  EXPECT_NE(testing::message_of([&] { journal.append(intent_of("run1-1", count)); }).find("full"),
            std::string::npos);
  EXPECT_EQ(journal.pending().size(), IntentJournal::kRecordCount);
  int taken = 0;
  journal.import_each([&](const DecisionRecord&) { return ++taken <= 2; });
  journal.append(intent_of("run1-1", count));
  journal.append(intent_of("run1-1", count + 1));
  EXPECT_EQ(code_of([&] { journal.append(intent_of("run1-1", 0)); }), "SystemFailure");
  const std::vector<DecisionRecord> pending = journal.pending();
  EXPECT_EQ(pending.front().reason, "reason 2");
  EXPECT_EQ(pending.back().reason, "reason " + std::to_string(count + 1));
}

// Goal: a record that was written half-way is nobody's intent. Method: one byte of the second of
// three is turned over, at several places.
TEST_F(IntentFile, ATornRecordIsFree) {
  for (const off_t offset : {0, 8, 16, 40, 60, 300, 1'023}) {
    std::filesystem::remove(path_);
    {
      IntentJournal journal(path_);
      for (int number = 1; number <= 3; ++number) {
        journal.append(intent_of("run1-1", number));
      }
    }
    const int file = open(path_.c_str(), O_RDWR | O_CLOEXEC);
    const off_t place = static_cast<off_t>(IntentJournal::kRecordSize) + offset;
    char byte = 0;
    ASSERT_EQ(pread(file, &byte, 1, place), 1);
    byte = static_cast<char>(byte ^ 1);
    ASSERT_EQ(pwrite(file, &byte, 1, place), 1);
    close(file);
    EXPECT_EQ(reasons_of(IntentJournal(path_).pending()),
              (std::vector<std::string>{"reason 1", "reason 3"}))
        << offset;
  }
}

// Goal: long texts are cut between characters. Method: 500 two-byte letters.
TEST_F(IntentFile, CutsTextsBetweenCharacters) {
  DecisionRecord intent = intent_of("run1-1", 1);
  intent.reason.clear();
  for (int index = 0; index < 500; ++index) {
    intent.reason += "\u00fc";
  }
  IntentJournal journal(path_);
  journal.append(intent);
  const std::string kept = journal.pending().at(0).reason;
  EXPECT_EQ(kept.size() % 2, 0U);
  EXPECT_GT(kept.size(), 700U);
  EXPECT_EQ(kept, intent.reason.substr(0, kept.size()));
}

// Goal: two processes do not take each other's place. Method: a child and this process append 100
// each at the same time.
TEST_F(IntentFile, ConcurrentWritersKeepAll) {
  IntentJournal(path_).prepare();
  const auto append_all = [&](const std::string& attempt_id) {
    IntentJournal journal(path_);
    for (int number = 0; number < 100; ++number) {
      journal.append(intent_of(attempt_id, number));
    }
  };
  Child child([&](const std::function<void()>& say_ready) -> int {
    say_ready();
    append_all("run1-1");
    return 0;
  });
  ASSERT_TRUE(child.is_ready());
  append_all("run2-1");
  EXPECT_EQ(child.wait(), 0);
  EXPECT_EQ(IntentJournal(path_).pending().size(), 200U);
}

// --- rounds without a ledger ---------------------------------------------------------------------

class AgentWithoutLedger : public AgentRounds {
 protected:
  void take_ledger_away() const {
    for (const char* suffix : {"", "-wal", "-shm"}) {
      const std::string file = home_.ledger_path() + suffix;
      if (std::filesystem::exists(file)) {
        std::filesystem::rename(file, file + ".away");
      }
    }
    std::filesystem::create_directory(home_.ledger_path());
  }
  void bring_ledger_back() const {
    std::filesystem::remove(home_.ledger_path());
    for (const char* suffix : {"", "-wal", "-shm"}) {
      const std::string file = home_.ledger_path() + suffix;
      if (std::filesystem::exists(file + ".away")) {
        std::filesystem::rename(file + ".away", file);
      }
    }
  }
  [[nodiscard]] std::vector<DecisionRecord> waiting() const {
    return IntentJournal(home_.path + "/intents.journal").pending();
  }
  /// A run at 1 USD a second with leases of 10 s and a reserve of 6 s, under a budget of 1,000 USD.
  pulse::PageInfo budgeted(const std::string& run_id, bool is_hard) {
    pulse::PageInfo info = page_with_budget(run_id, usd("1000"), is_hard);
    info.is_command = true;
    info.lease_term = seconds{10};
    info.check_gap = seconds{1};
    info.stop_time = seconds{4};
    return info;
  }
};

// Goal: a broken ledger makes no run unstoppable, and stops nobody else. Method: one silent run and
// one that progresses; the ledger was never there.
TEST_F(AgentWithoutLedger, StopsSilentRunsByItsJournal) {
  std::filesystem::create_directory(home_.ledger_path());
  const std::unique_ptr<Child> silent = hold(page_of("run1"));
  const std::unique_ptr<Child> working = hold(page_of("run2"));
  const auto agent = make_guard(agent_options());
  TickReport report;
  for (int second = 0; second < 10; ++second) {
    progress("run2");
    add(rounds(*agent, seconds{1}), report);
  }
  EXPECT_EQ(rungs_of(report.decisions), "directive SIGTERM ");
  EXPECT_EQ(silent->wait(), -SIGTERM);
  EXPECT_EQ(rungs_of(waiting()), "directive SIGTERM ");
  EXPECT_FALSE(report.warnings.empty());
  EXPECT_TRUE(working->is_running());
  EXPECT_EQ(directive_of("run2"), "CONTINUE");
  EXPECT_TRUE(has_page("run1")) << "its end waits for the ledger";
}

// Goal: when the ledger is back, everything gets there once: the attempt, its decisions, its end.
// Method: as above; then the folder goes, and several rounds and a second guard follow.
TEST_F(AgentWithoutLedger, ImportsItsIntentsOnce) {
  std::filesystem::create_directory(home_.ledger_path());
  const std::unique_ptr<Child> silent = hold(page_of("run1"));
  auto agent = make_guard(agent_options());
  rounds(*agent, seconds{10});
  EXPECT_EQ(silent->wait(), -SIGTERM);
  bring_ledger_back();
  const TickReport report = rounds(*agent, seconds{3});
  ASSERT_EQ(report.concluded.size(), 1U);
  EXPECT_EQ(report.concluded[0].status, RunStatus::KILLED);
  EXPECT_FALSE(has_page("run1"));
  EXPECT_TRUE(waiting().empty());
  agent.reset();
  rounds(*make_guard(agent_options()), seconds{2});
  const std::vector<DecisionRecord> decided = ledger()->decisions(AttemptId{"run1-1"}, 10);
  EXPECT_EQ(rungs_of(decided), "directive SIGTERM ");
  EXPECT_EQ(decided[0].sequence, 1);
  EXPECT_EQ(decided[1].sequence, 2);
  EXPECT_LT(decided[0].decided_at, decided[1].decided_at);
  EXPECT_TRUE(ledger()->verify().is_clean());
}

// Goal: a crash between an import and its mark doubles nothing. Method: the ledger has the decision
// that still waits in the journal.
TEST_F(AgentWithoutLedger, ACrashBeforeTheMarkDoublesNothing) {
  const std::unique_ptr<Child> child = hold(page_of("run1"));
  auto agent = make_guard(agent_options());
  rounds(*agent, seconds{1});
  DecisionRecord intent = intent_of("run1-1", 1);
  intent.rung = Rung::Directive;
  intent.decided_at = clock_.now().utc;
  ledger()->add_decision(intent);
  IntentJournal(home_.path + "/intents.journal").append(intent);
  rounds(*agent, seconds{1});
  EXPECT_EQ(ledger()->decisions(AttemptId{"run1-1"}, 10).size(), 1U);
  EXPECT_TRUE(waiting().empty());
}

// Goal: a guard that starts while the ledger is away goes on with the ladder of the last one, from
// the journal. Method: the first ends after SIGTERM.
TEST_F(AgentWithoutLedger, ASuccessorGoesOnFromTheJournal) {
  std::filesystem::create_directory(home_.ledger_path());
  const std::unique_ptr<Child> child = hold(page_of("run1"), SIGTERM);
  auto agent = make_guard(agent_options());
  EXPECT_EQ(rungs_of(rounds(*agent, seconds{9}).decisions), "directive SIGTERM ");
  agent.reset();
  agent = make_guard(agent_options());
  EXPECT_EQ(rungs_of(rounds(*agent, seconds{2}).decisions), "");
  EXPECT_EQ(rungs_of(rounds(*agent, seconds{1}).decisions), "SIGKILL ");
  EXPECT_EQ(child->wait(), -SIGKILL);
}

// Goal: what can be recorded nowhere is not done. Method: the journal is full of what waits.
TEST_F(AgentWithoutLedger, AFullJournalStopsTheStopping) {
  std::filesystem::create_directory(home_.ledger_path());
  const std::unique_ptr<Child> child = hold(page_of("run1"));
  {
    IntentJournal journal(home_.path + "/intents.journal");
    for (std::size_t number = 0; number < IntentJournal::kRecordCount; ++number) {
      journal.append(intent_of("other-1", static_cast<int>(number)));
    }
  }
  const auto agent = make_guard(agent_options());
  const TickReport report = rounds(*agent, seconds{20});
  EXPECT_TRUE(report.decisions.empty());
  EXPECT_TRUE(child->is_running());
  EXPECT_EQ(directive_of("run1"), "CONTINUE");
  EXPECT_TRUE(std::any_of(report.warnings.begin(), report.warnings.end(), [](const auto& text) {
    return text.find("is not acted on") != std::string::npos;
  }));
}

// Goal: a command under a hard budget is paused by its last known lease; one under a soft budget
// goes on. Method: the ledger goes away after 3 s; the lease ends 16 s after its last renewal.
TEST_F(AgentWithoutLedger, PausesByTheLastKnownLease) {
  for (const bool is_hard : {true, false}) {
    testing::TempDir folder;
    home_ = open_home(folder / "home");
    scanner_ = pulse::PageScanner(home_.live_path());
    pulse::PageInfo info = budgeted("run1", is_hard);
    info.started_at = clock_.now();
    const auto own = pulse::OwnPage::create(home_.live_path(), info);
    auto agent = make_agent(agent_options());
    agent->adopt(own.get());
    rounds(*agent, seconds{3});
    EXPECT_EQ(own->page().agent.ends_at_ns.load(), Nanoseconds{seconds{17}}.count())
        << "16 s from the first look at 1 s on";
    take_ledger_away();
    agent = make_agent(agent_options());  // the page knows the lease
    agent->adopt(own.get());
    EXPECT_TRUE(rounds(*agent, seconds{7}).decisions.empty()) << "paid for up to 11 s";
    const TickReport report = rounds(*agent, seconds{2});
    EXPECT_EQ(rungs_of(report.decisions), is_hard ? "SIGTERM " : "");
    if (is_hard) {
      EXPECT_EQ(report.decisions.at(0).rule, Rule::Lease);
      EXPECT_EQ(report.decisions.at(0).directive, Directive::CHECKPOINT);
    }
    agent->drop(own.get());
    own->remove();
  }
}

// Goal: an agent that cannot write keeps the lease that it had, and waits for the ledger once a
// round at most. Method: another process holds the ledger's lock from 3 s on; then it lets go.
TEST_F(AgentWithoutLedger, ALockedLedgerIsAwayAsWell) {
  pulse::PageInfo info = budgeted("run1", true);
  info.started_at = clock_.now();
  const auto own = pulse::OwnPage::create(home_.live_path(), info);
  const auto agent = make_agent(agent_options());
  agent->adopt(own.get());
  rounds(*agent, seconds{3});
  {
    Child holder([&](const std::function<void()>& say_ready) -> int {
      const int file = open((home_.ledger_path() + ".lock").c_str(), O_RDWR | O_CLOEXEC);
      struct flock lock{};
      lock.l_type = F_WRLCK;
      lock.l_whence = SEEK_SET;
      if (file < 0 || fcntl(file, F_SETLK, &lock) != 0) {
        return 1;
      }
      say_ready();
      testing::sleep_for_ever();
    });
    ASSERT_TRUE(holder.is_ready());
    clock_.advance(seconds{4});  // the lease is due at 6 s
    const TickReport away = agent->tick();
    EXPECT_EQ(away.warnings.size(), 1U) << "one wait";
    EXPECT_TRUE(away.decisions.empty());
    clock_.advance(seconds{4});
    const TickReport paused = agent->tick();
    ASSERT_EQ(rungs_of(paused.decisions), "SIGTERM ");
    EXPECT_EQ(paused.decisions[0].rule, Rule::Lease);
  }
  rounds(*agent, seconds{1});
  EXPECT_EQ(rungs_of(ledger()->decisions(AttemptId{"run1-1"}, 10)), "SIGTERM ");
  agent->drop(own.get());
}

// Goal: a run of whose lease nothing is known is not paused by a guess: it looks after its own.
// Method: a run that reports, never served by an agent, with the ledger away for an hour.
TEST_F(AgentWithoutLedger, AnUnknownLeasePausesNobody) {
  pulse::PageInfo info = budgeted("run1", true);
  info.is_command = false;
  info.silence_limit = hours{2};
  const std::unique_ptr<Child> child = hold(info);
  take_ledger_away();
  const auto agent = make_guard(agent_options());
  for (int minute = 0; minute < 60; ++minute) {
    clock_.advance(seconds{57});
    EXPECT_TRUE(rounds(*agent, seconds{3}).decisions.empty());
  }
  EXPECT_EQ(page("run1").agent.back_by_boot_ns.load(), 0) << "and it is promised nothing";
}

// Goal: the tags are read when the ledger is back; until then no rule that may or may not fit is
// acted on. Method: a tag gives an hour; the run is silent for 20 s, the ledger away at first.
TEST_F(AgentWithoutLedger, WaitsForTheTagsThatARuleAsksFor) {
  RunRecord run = testing::example_run("run1");
  run.tags = R"({"kind": "slow"})";
  ledger()->add_run(run);
  take_ledger_away();
  const std::unique_ptr<Child> slow = hold(page_of("run1"));
  pulse::PageInfo other = page_of("run2");
  other.project = "speech";
  const std::unique_ptr<Child> plain = hold(other);
  AgentOptions options = agent_options();
  options.policies.rules = {
      {.name = "slow", .project = "vision", .tags = {{"kind", "slow"}}, .silence_limit = hours{1}}};
  const auto agent = make_guard(options);
  rounds(*agent, seconds{8});
  EXPECT_EQ(directive_of("run1"), "CONTINUE");
  EXPECT_EQ(directive_of("run2"), "STOP") << "no rule asks for its tags";
  bring_ledger_back();
  rounds(*agent, seconds{8});
  EXPECT_EQ(directive_of("run1"), "CONTINUE");
  EXPECT_TRUE(slow->is_running());
}

}  // namespace
}  // namespace finops::agent
