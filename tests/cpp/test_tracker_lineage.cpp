// test_tracker_lineage.cpp - what a run says of what it read, made and serves.
//
// Owns: the checks of used, produced, deployed and forks. Does not own: which sentences make sense
// (test_record_lineage.cpp), cycles (ledger_conformance_lineage.hpp).
#include <fstream>
#include <set>

#include "tracker/lineage_backlog.hpp"
#include "tracker_support.hpp"

namespace finops {
namespace {

class TrackerLineage : public TrackerRuns {
 protected:
  [[nodiscard]] std::set<std::string> sentences() const {
    std::set<std::string> words;
    for (const LineageEdge& edge : ledger()->lineage(UtcTime::max()).edges) {
      words.insert(sentence(edge) + (edge.step ? " at " + std::to_string(*edge.step) : ""));
    }
    return words;
  }
  [[nodiscard]] bool says(const std::string& words) const { return sentences().contains(words); }

  /// Nobody can open the ledger until `bring_back`.
  void take_away() const {
    std::filesystem::rename(home_path() + "/ledger.db", home_path() + "/away");
    std::filesystem::create_directory(home_path() + "/ledger.db");
  }
  void bring_back() const {
    std::filesystem::remove(home_path() + "/ledger.db");
    std::filesystem::rename(home_path() + "/away", home_path() + "/ledger.db");
  }
  [[nodiscard]] std::size_t waiting_file_count() const {
    std::size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(home_path())) {
      count += entry.path().filename().string().starts_with("lineage-") ? 1U : 0U;
    }
    return count;
  }
  static bool warns(const TrackedRun& run, const std::string& part) {
    for (const std::string& warning : run.warnings()) {
      if (warning.find(part) != std::string::npos) {
        return true;
      }
    }
    return false;
  }
};

// Goal: each call is a sentence about the run, with the usual kind where none is given. Method:
// names with and without a kind, with and without a step, some of them twice.
TEST_F(TrackerLineage, RecordsWhatARunSays) {
  const auto run = TrackedRun::start(options());
  const std::string subject = "run:" + run->run_id().str();
  run->used("imagenet");
  run->used("imagenet");
  run->used("s3://bucket/my data");
  run->used("model:base", 7);
  run->used("checkpoint:other-1/2");
  run->produced("resnet-v2", 90'000);
  run->produced("dataset:tokens");
  run->deployed("resnet-v2", "chat");
  for (const std::string& words :
       {subject + " read dataset:imagenet", subject + " read dataset:s3://bucket/my data",
        subject + " read model:base at 7", subject + " read checkpoint:other-1/2",
        subject + " produced model:resnet-v2 at 90000", subject + " produced dataset:tokens",
        std::string("model:resnet-v2 deployed_as endpoint:chat"),
        subject + " produced endpoint:chat"}) {
    EXPECT_TRUE(says(words)) << words;
  }
  EXPECT_TRUE(run->warnings().empty());
}

// Goal: a caller's fault is told at once, and the run goes on. Method: bad names, what no run can
// read, a bad step, another step, a cycle.
TEST_F(TrackerLineage, RefusesWhatMakesNoSense) {
  const auto run = TrackedRun::start(options());
  for (const char* what : {"", " a", "a\nb", "\xff", "model:", "run:other", "endpoint:chat"}) {
    EXPECT_EQ(code_of([&] { run->used(what); }), "InvalidArgument") << what;
  }
  EXPECT_EQ(code_of([&] { run->produced("experiment:a/b"); }), "InvalidArgument");
  EXPECT_EQ(code_of([&] { run->produced("m", -1); }), "InvalidArgument");
  EXPECT_EQ(code_of([&] { run->deployed("dataset:d", "chat"); }), "InvalidArgument");
  EXPECT_EQ(code_of([&] { run->deployed("m", "model:m"); }), "InvalidArgument");
  run->produced("m", 1);
  EXPECT_EQ(code_of([&] { run->produced("m", 2); }), "Conflict");
  EXPECT_NE(message_of([&] { run->used("model:m"); }).find("model:m@2"), std::string::npos);
  EXPECT_TRUE(run->warnings().empty());
  run->used("d");
  EXPECT_TRUE(says("run:" + run->run_id().str() + " read dataset:d"));
}

// Goal: what is said while the ledger is away is written when it is back. Method: the ledger goes
// after the start; commit, and the next call, bring what waited.
TEST_F(TrackerLineage, WritesWhatWaited) {
  const auto run = TrackedRun::start(options());
  const std::string subject = "run:" + run->run_id().str();
  take_away();
  run->used("one");
  run->used("one");
  EXPECT_TRUE(warns(*run, "waits in memory"));
  bring_back();
  EXPECT_FALSE(says(subject + " read dataset:one"));
  run->used("two");
  EXPECT_TRUE(says(subject + " read dataset:one"));
  take_away();
  run->produced("m");
  bring_back();
  run->commit();
  EXPECT_TRUE(says(subject + " produced model:m"));
}

// Goal: a run that said much while the ledger was away gets all of it in, and hears of every
// refusal. Method: 2,000 sentences, of which 30 close a cycle, wait; one call brings some of them
// and finish the rest; the warnings that are kept and the count of the others add up.
TEST_F(TrackerLineage, WritesALongBacklogAndCountsRefusals) {
  const auto run = TrackedRun::start(options());
  const std::string subject = "run:" + run->run_id().str();
  for (int i = 0; i < 30; ++i) {
    run->produced("m" + std::to_string(i));
  }
  take_away();
  for (int i = 0; i < 1'970; ++i) {
    run->used(std::to_string(i));
  }
  for (int i = 0; i < 30; ++i) {
    run->used("model:m" + std::to_string(i));
  }
  bring_back();
  run->used("last");
  EXPECT_TRUE(says(subject + " read dataset:last"));
  run->finish(RunStatus::FINISHED, "");
  const std::set<std::string> said = sentences();
  for (int i = 0; i < 1'970; ++i) {
    EXPECT_TRUE(said.contains(subject + " read dataset:" + std::to_string(i)));
  }
  std::int64_t refusal_count = 0;
  for (const std::string& warning : run->warnings()) {
    refusal_count += warning.find("' closes a cycle") != std::string::npos ? 1 : 0;
    if (warning.starts_with("and ")) {
      refusal_count += std::stoll(warning.substr(4)) - 1;
    }
  }
  EXPECT_EQ(refusal_count, 30);
}

// Goal: what cannot be kept in memory is counted. Method: more sentences than may wait.
TEST_F(TrackerLineage, CountsWhatIsLost) {
  RunOptions nowhere = options();
  nowhere.home = "/proc/no-such-home";
  const auto run = TrackedRun::start(nowhere);
  for (int i = 0; i < 10'007; ++i) {
    run->used(std::to_string(i));
  }
  EXPECT_TRUE(warns(*run, "7 sentences are lost, from run:" + run->run_id().str() +
                              " read dataset:10000 on"));
}

// Goal: what still waits at the end is kept for the next start, also where that has no ledger
// either. Method: the ledger is away until the run has finished; another run starts without it, a
// third with it.
TEST_F(TrackerLineage, KeepsWhatWaitsAtTheEnd) {
  std::string subject;
  {
    const auto run = TrackedRun::start(options());
    subject = "run:" + run->run_id().str();
    take_away();
    run->used("one");
    run->finish(RunStatus::FINISHED, "");
    EXPECT_TRUE(warns(*run, "kept in")) << run->warnings().back();
  }
  EXPECT_EQ(waiting_file_count(), 1U);
  TrackedRun::start(options())->finish(RunStatus::FINISHED, "");
  EXPECT_EQ(waiting_file_count(), 1U);
  bring_back();
  const auto next = TrackedRun::start(options());
  EXPECT_EQ(waiting_file_count(), 0U);
  EXPECT_TRUE(says(subject + " read dataset:one"));
}

// Goal: a file of the home that is damaged, or says what the ledger refuses, stops nothing and
// loses nothing else. Method: bad lines between good ones; a file that others can write.
TEST_F(TrackerLineage, TakesInWhatItCan) {
  TrackedRun::start(options())->finish(RunStatus::FINISHED, "");
  const std::string path = home_path() + "/lineage-abc.jsonl";
  std::ofstream(path) << R"({"edge": "read", "subject": "run:a", "object": "dataset:d"})" << "\n"
                      << "half a li\n"
                      << R"({"node": "model:m"})" << "\n"
                      << R"({"edge": "produced", "subject": "run:a", "object": "dataset:d"})"
                      << "\n"
                      << R"({"edge": "read", "subject": "run:a", "object": "dataset:e"})";
  std::filesystem::permissions(path, std::filesystem::perms(0666));
  EXPECT_TRUE(warns(*TrackedRun::start(options()), "waits"));
  EXPECT_EQ(waiting_file_count(), 1U);
  std::filesystem::permissions(path, std::filesystem::perms(0600));
  EXPECT_TRUE(warns(*TrackedRun::start(options()), "left out"));
  EXPECT_EQ(waiting_file_count(), 0U);
  EXPECT_TRUE(says("run:a read dataset:d"));
  EXPECT_TRUE(says("run:a read dataset:e"));
  EXPECT_FALSE(says("run:a produced dataset:d"));
}

// Goal: with fail_open=false a ledger that is away is told at once, and nothing waits. Method: the
// ledger goes after the start.
TEST_F(TrackerLineage, FailsClosedWhereAsked) {
  RunOptions closed = options();
  closed.fail_open = false;
  const auto run = TrackedRun::start(closed);
  take_away();
  EXPECT_NE(code_of([&] { run->used("one"); }), "none");
  bring_back();
  run->commit();
  EXPECT_FALSE(says("run:" + run->run_id().str() + " read dataset:one"));
}

// Goal: a run without any home says what it lost. Method: a home that cannot be made.
TEST_F(TrackerLineage, SaysWhatIsLost) {
  RunOptions nowhere = options();
  nowhere.home = "/proc/no-such-home";
  const auto run = TrackedRun::start(nowhere);
  run->used("one");
  run->finish(RunStatus::FINISHED, "");
  EXPECT_TRUE(warns(*run, "read dataset:one")) << run->warnings().back();
}

// Goal: after the end, and in a forked child, nothing is recorded. Method: both.
TEST_F(TrackerLineage, IsANoOpForOthers) {
  const auto run = TrackedRun::start(options());
  Child child([&](const auto&) {
    run->used("child");
    return 0;
  });
  EXPECT_EQ(child.wait(), 0);
  run->finish(RunStatus::FINISHED, "");
  run->used("late");
  const std::string subject = "run:" + run->run_id().str();
  EXPECT_FALSE(says(subject + " read dataset:child"));
  EXPECT_FALSE(says(subject + " read dataset:late"));
}

// Goal: a fork is recorded with its step, and without. Method: three runs.
TEST_F(TrackerLineage, RecordsForks) {
  const auto first = TrackedRun::start(options());
  const std::string origin = first->run_id().str();
  first->finish(RunStatus::FINISHED, "");
  RunOptions forked = options();
  forked.fork_of = origin;
  const auto plain = TrackedRun::start(forked);
  EXPECT_TRUE(says("run:" + plain->run_id().str() + " forked_from run:" + origin));
  plain->finish(RunStatus::FINISHED, "");
  forked.fork_step = 100;
  const auto stepped = TrackedRun::start(forked);
  EXPECT_TRUE(says("run:" + stepped->run_id().str() + " forked_from run:" + origin + " at 100"));
}

// Goal: a fork whose run the ledger could not take at the start is not lost. Method: a start with
// the ledger away, which comes back before the end.
TEST_F(TrackerLineage, RemembersAForkWithoutALedger) {
  TrackedRun::start(options())->finish(RunStatus::FINISHED, "");
  take_away();
  RunOptions forked = options();
  forked.fork_of = "origin";
  const auto run = TrackedRun::start(forked);
  bring_back();
  run->finish(RunStatus::FINISHED, "");
  EXPECT_TRUE(says("run:" + run->run_id().str() + " forked_from run:origin"));
}

// Goal: options of a fork that make no sense are refused. Method: one each.
TEST_F(TrackerLineage, RefusesForksThatMakeNoSense) {
  RunOptions bad = options();
  bad.fork_step = 1;
  EXPECT_EQ(code_of([&] { TrackedRun::start(bad); }), "InvalidArgument");
  bad.fork_of = "other";
  bad.fork_step = -1;
  EXPECT_EQ(code_of([&] { TrackedRun::start(bad); }), "InvalidArgument");
}

// Goal: a long backlog gets on at every call, however little time there is and whatever is wrong
// with it. Method: no time at all; the sentence at fault is among the first.
TEST_F(TrackerLineage, ABacklogGetsOnAtEveryCall) {
  const auto run = TrackedRun::start(options());
  const NodeId subject = run_node_id(run->run_id());
  run->produced("mine");
  std::deque<LineageEdge> waiting;
  for (int i = 0; i < 600; ++i) {
    waiting.push_back({subject, EdgeKind::Read, NodeId{"dataset:" + std::to_string(i)}, {}, {}});
  }
  waiting[9].object = NodeId{"model:mine"};
  std::int64_t refusal_count = 0;
  std::size_t call_count = 0;
  for (; !waiting.empty() && call_count < 100; ++call_count) {
    const std::size_t before = waiting.size();
    tracker::write_waiting(*ledger(), waiting, Nanoseconds{},
                           [&](const std::string&) { ++refusal_count; });
    ASSERT_LT(waiting.size(), before);
  }
  EXPECT_EQ(refusal_count, 1);
  EXPECT_LT(call_count, 100U);
  EXPECT_TRUE(says(subject.str() + " read dataset:599"));
}

// Goal: a part that forked from its whole is no cycle: the whole needs it, and not the other way
// round. Method: a run that names one run as both, as scripts did before there was a genealogy.
TEST_F(TrackerLineage, APartMayForkFromItsWhole) {
  const std::string whole = TrackedRun::start(options())->run_id().str();
  RunOptions both = options();
  both.parent = both.fork_of = whole;
  both.fork_step = 100;
  const auto part = TrackedRun::start(both);
  const std::string name = "run:" + part->run_id().str();
  EXPECT_TRUE(part->warnings().empty());
  EXPECT_TRUE(says(name + " nested_in run:" + whole));
  EXPECT_FALSE(says(name + " forked_from run:" + whole + " at 100"));
  part->produced("model:m");
}

}  // namespace
}  // namespace finops
