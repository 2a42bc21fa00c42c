// test_threads.cpp - what threads share: pages, registries, runs, journals, an agent beside its
// run.
//
// Each test has real contention and states what must hold at its end; ThreadSanitizer (`make tsan`)
// sees the rest. Nothing depends on how fast a thread is: work is counted and not timed.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

#include "agent/intents.hpp"
#include "agent_support.hpp"
#include "finops/pulse/agreement.hpp"
#include "tracker_support.hpp"

namespace finops {
namespace {

using testing::TempDir;

/// Runs `body(index)` in `count` threads that begin together.
void in_threads(int count, const std::function<void(int)>& body) {
  std::atomic<int> waiting{count};
  std::vector<std::thread> threads;
  threads.reserve(static_cast<std::size_t>(count));
  for (int index = 0; index < count; ++index) {
    threads.emplace_back([&, index] {
      --waiting;
      while (waiting.load() > 0) {
        std::this_thread::yield();
      }
      body(index);
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
}

// Goal: a checkpoint that is read is whole, however often the slots are written meanwhile. Method:
// one writer whose path says its step, three readers.
TEST(PageThreads, ACheckpointIsNeverTorn) {
  const auto page = std::make_unique<pulse::PageLayout>();
  constexpr std::int64_t kCheckpoints = 1'000;
  const auto path_of = [](std::int64_t step) {
    return "/checkpoints/" + std::string(static_cast<std::size_t>(step % 600), 'x') +
           std::to_string(step);
  };
  std::atomic<int> torn{0};
  std::atomic<int> backwards{0};
  in_threads(4, [&](int index) {
    if (index == 0) {
      for (std::int64_t step = 1; step <= kCheckpoints; ++step) {
        pulse::write_checkpoint(*page, {.count = static_cast<std::uint64_t>(step),
                                        .step = step,
                                        .confirmed_at = testing::example_time(),
                                        .path = path_of(step)});
      }
      return;
    }
    for (std::int64_t last = 0; last < kCheckpoints;) {
      const auto found = pulse::read_checkpoint(*page);
      if (found.has_value()) {
        torn += found->path == path_of(found->step) ? 0 : 1;
        backwards += found->step + 1 < last ? 1 : 0;  // the newer slot may be half written
        last = std::max(last, found->step);
      }
    }
  });
  EXPECT_EQ(torn.load(), 0);
  EXPECT_EQ(backwards.load(), 0);
}

// Goal: whoever sees a directive sees a reason that somebody gave, and no number but those that
// were written. Method: an agent and a rank write, two processes' worth of readers ask.
TEST(PageThreads, DirectivesAndReasonsWhileOthersRead) {
  const auto page = std::make_unique<pulse::PageLayout>();
  pulse::encode(testing::example_page("run1", SystemClock{}.now()), page->fixed);
  page->group.rank_count = 2;
  std::atomic<bool> is_over{false};
  std::atomic<int> wrong{0};
  in_threads(4, [&](int index) {
    if (index == 0) {
      for (std::uint32_t count = 0; count < 3'000; ++count) {
        pulse::write_directive(*page, count % 4, count % 8, std::string(count % 300, 'a'));
      }
      is_over.store(true);
    } else if (index == 1) {
      while (!is_over.load()) {
        pulse::agree(*page, pulse::Teller::Ranks, 2, coarse_monotonic_now());
        pulse::write_reason(*page, std::string(100, 'a'));
        pulse::write_silence_reason(*page, "evaluation");
        page->process.step.fetch_add(1);
      }
    } else {
      pulse::Agreement agreement;
      while (!is_over.load()) {
        const std::string reason = pulse::read_reason(*page);
        const std::int64_t now_ns = coarse_monotonic_now().time_since_epoch().count();
        const std::uint32_t told =
            agreement.due(pulse::Teller::Agent, *page, page->process.step.load(), now_ns);
        std::string why;
        wrong += reason.find_first_not_of('a') != std::string::npos || told > 3 ||
                         !pulse::decode(page->fixed, why).has_value()
                     ? 1
                     : 0;
      }
    }
  });
  EXPECT_EQ(wrong.load(), 0);
}

// Goal: a scan never opens a page of its own process, whatever threads make and remove meanwhile:
// closing one would drop the lock that proves life.
TEST(PageThreads, AScanLeavesTheOwnPagesAlone) {
  const TempDir folder;
  std::atomic<int> makers{3};
  std::atomic<std::size_t> seen{0};
  in_threads(5, [&](int index) {
    if (index < 3) {
      for (int count = 0; count < 60; ++count) {
        const std::string name = "run" + std::to_string(index) + "x" + std::to_string(count);
        const auto page =
            pulse::OwnPage::create(folder.path(), testing::example_page(name, SystemClock{}.now()));
        page->remove();
      }
      --makers;
      return;
    }
    pulse::PageScanner scanner(folder.path());
    while (makers.load() > 0) {
      scanner.scan();
      seen += scanner.pages().size() + scanner.rejected().size();
    }
  });
  EXPECT_EQ(seen.load(), 0U);
}

// Goal: of many threads that leave a page one is told that it was the last, and nobody joins after.
TEST(PageThreads, ExactlyOneUserIsTheLast) {
  for (int round = 0; round < 50; ++round) {
    const auto page = pulse::OwnPage::in_memory(testing::example_page("run1", SystemClock{}.now()));
    page->add_user();
    std::atomic<int> last_count{0};
    in_threads(4, [&](int index) {
      if (index == 0) {
        last_count += page->drop_user() ? 1 : 0;
      }
      for (int count = 0; count < 100 && index != 0; ++count) {
        if (page->try_add_user()) {
          last_count += page->drop_user() ? 1 : 0;
        }
      }
    });
    EXPECT_EQ(last_count.load(), 1);
    EXPECT_FALSE(page->try_add_user());
  }
}

class RunThreads : public TrackerRuns {
 protected:
  /// So short that the slow path is entered all the time.
  [[nodiscard]] RunOptions quick() const {
    RunOptions quick = options();
    quick.budget = usd("1000");
    quick.lease_terms.term = milliseconds{4};
    return quick;
  }
  static void hot_calls(TrackedRun& run, std::int64_t step) {
    run.progress(step);
    run.heartbeat();
    (void)run.check_budget();
  }
  static void other_calls(TrackedRun& run, std::int64_t step) {
    (void)run.cost();
    (void)run.price_per_hour();
    (void)run.warnings();
    (void)run.reason();
    (void)run.status();
    (void)run.is_keeper();
    run.expect_silence(milliseconds{1}, "evaluation " + std::to_string(step));
    run.checkpointed(step, "/checkpoint/" + std::to_string(step));
    run.commit();
    (void)run.budget();
  }
};

// Goal: every call of a run may meet its end in another thread: none throws, and the account is
// closed once. Method: six threads make all calls while two finish.
TEST_F(RunThreads, EveryCallWhileTwoThreadsFinish) {
  for (int round = 0; round < 3; ++round) {
    const std::unique_ptr<TrackedRun> run = TrackedRun::start(quick());
    std::atomic<int> finishing{2};
    std::atomic<int> thrown{0};
    in_threads(8, [&](int index) {
      try {
        if (index < 2) {
          for (std::int64_t step = 0; step < 2'000; ++step) {
            hot_calls(*run, step);
          }
          run->finish(index == 0 ? RunStatus::FINISHED : RunStatus::FAILED, "");
          --finishing;
        }
        for (std::int64_t step = 0; finishing.load() > 0; ++step) {
          index % 2 == 0 ? hot_calls(*run, step) : other_calls(*run, step);
        }
      } catch (const std::exception& error) {
        ++thrown;
        ADD_FAILURE() << error.what();
      }
    });
    EXPECT_EQ(thrown.load(), 0);
    EXPECT_EQ(attempt_of(run->run_id()).account_state, "SETTLED");
    EXPECT_EQ(run->cost().value(), attempt_of(run->run_id()).metered_cost.value());
  }
  EXPECT_TRUE(ledger()->verify().is_clean());
  EXPECT_EQ(page_count(), 0U);
}

// Goal: runs that begin and end in threads of one process at once neither lose nor share anything.
TEST_F(RunThreads, ManyRunsBeginAndEndAtOnce) {
  std::mutex mutex;
  std::vector<RunId> run_ids;
  in_threads(4, [&](int index) {
    for (int count = 0; count < 3; ++count) {
      RunOptions own = quick();
      own.experiment = "experiment" + std::to_string(index);
      const std::unique_ptr<TrackedRun> run = TrackedRun::start(own);
      for (std::int64_t step = 0; step < 500; ++step) {
        hot_calls(*run, step);
      }
      run->finish(RunStatus::FINISHED, "");
      const std::lock_guard<std::mutex> guard(mutex);
      run_ids.push_back(run->run_id());
    }
  });
  ASSERT_EQ(run_ids.size(), 12U);
  for (const RunId& run_id : run_ids) {
    EXPECT_EQ(attempt_of(run_id).account_state, "SETTLED");
  }
  EXPECT_TRUE(ledger()->verify().is_clean());
}

// Goal: several runs of one attempt in one process are charged once, and one of them ends it.
TEST_F(RunThreads, RunsThatShareAnAttempt) {
  setenv("FINOPS_RUN_ID", "shared", 1);
  std::mutex mutex;
  std::vector<std::unique_ptr<TrackedRun>> runs;
  in_threads(3, [&](int) {
    std::unique_ptr<TrackedRun> run = TrackedRun::start(quick());
    const std::lock_guard<std::mutex> guard(mutex);
    runs.push_back(std::move(run));
  });
  unsetenv("FINOPS_RUN_ID");
  in_threads(3, [&](int index) {
    TrackedRun& run = *runs.at(static_cast<std::size_t>(index));
    for (std::int64_t step = 0; step < 50; ++step) {
      hot_calls(run, step);
      other_calls(run, step);
    }
    run.finish(RunStatus::FINISHED, "");
  });
  ASSERT_EQ(ledger()->attempts(RunId{"shared"}).size(), 1U);
  EXPECT_EQ(attempt_of(RunId{"shared"}).account_state, "SETTLED");
  EXPECT_TRUE(ledger()->verify().is_clean());
  EXPECT_EQ(page_count(), 0U);
}

// Goal: two agents of one process share a journal: each intent is imported by exactly one of them,
// and none is lost.
TEST(IntentThreads, EachIntentIsImportedOnce) {
  const TempDir folder;
  const std::string path = folder / "intents.journal";
  constexpr int kEach = 40;
  std::mutex mutex;
  std::map<std::string, int> imported;
  std::atomic<int> appended{0};
  in_threads(4, [&](int index) {
    agent::IntentJournal journal(path);
    for (int count = 0; count < kEach && index < 2; ++count) {
      DecisionRecord intent;
      intent.attempt_id = AttemptId{"run" + std::to_string(index) + "-" + std::to_string(count)};
      intent.decided_at = testing::example_time();
      journal.append(intent);
      ++appended;
    }
    while (index >= 2 && (appended.load() < 2 * kEach || !journal.pending().empty())) {
      journal.import_each([&](const DecisionRecord& intent) {
        const std::lock_guard<std::mutex> guard(mutex);
        ++imported[intent.attempt_id.str()];
        return true;
      });
    }
  });
  EXPECT_EQ(imported.size(), 2U * kEach);
  EXPECT_TRUE(std::all_of(imported.begin(), imported.end(),
                          [](const auto& item) { return item.second == 1; }));
}

class AgentThreads : public agent::AgentRounds {};

// Goal: an agent of the same process serves a page while its run reports into it: no checkpoint is
// torn, and what the agent charges is right.
TEST_F(AgentThreads, TicksWhileTheRunReports) {
  pulse::PageInfo info = page_of("run1");
  info.lease_term = milliseconds{4};
  const auto page = pulse::OwnPage::create(home_.live_path(), info);
  const SystemClock clock;
  agent::Agent agent(agent_options(), clock);
  ASSERT_TRUE(agent.try_serve());
  agent.adopt(page.get());
  std::atomic<bool> is_over{false};
  in_threads(3, [&](int index) {
    if (index == 0) {
      for (int round = 0; round < 40; ++round) {
        (void)agent.tick();
      }
      is_over.store(true);
      return;
    }
    for (std::int64_t step = 1; !is_over.load(); ++step) {
      pulse::ProcessLine& line = page->page().process;
      line.step.store(step);
      line.progress_count.fetch_add(1);
      line.last_seen_ns.store(coarse_monotonic_now().time_since_epoch().count());
      (void)pulse::read_reason(page->page());
      if (index == 1) {
        page->confirm_checkpoint(step, "/checkpoint/" + std::to_string(step), clock.now().utc);
        pulse::write_reason(page->page(), "why");
      }
    }
  });
  const auto checkpoint = ledger()->last_checkpoint(info.run_id);
  ASSERT_TRUE(checkpoint.has_value());
  EXPECT_EQ(checkpoint->path, "/checkpoint/" + std::to_string(checkpoint->step));
  EXPECT_GT(ledger()->account(info.attempt_id).settled, Nanoseconds::zero());
  EXPECT_TRUE(ledger()->verify().is_clean());
  agent.drop(page.get());
  page->remove();
}

// Goal: one ledger object answers, verifies and writes in several threads at once.
TEST(LedgerThreads, OneObjectAnswersWhileItIsWritten) {
  const TempDir folder;
  const std::unique_ptr<Ledger> ledger = open_ledger(folder / "ledger.db", {});
  ledger->ensure_budget(testing::example_budget("experiment:vision/resnet"),
                        testing::terms_of(usd("1000")));
  std::atomic<int> writers{2};
  std::atomic<int> problems{0};
  in_threads(4, [&](int index) {
    const std::string name = "run" + std::to_string(index);
    for (int count = 0; count < 30 && index < 2; ++count) {
      const std::string run_id = name + "x" + std::to_string(count);
      ledger->add_run(testing::example_run(run_id));
      (void)ledger->add_attempt(testing::example_attempt(run_id, run_id + "-1"));
      (void)ledger->settle({.attempt_id = AttemptId{run_id + "-1"},
                            .epoch = 1,
                            .elapsed = seconds{count},
                            .now = testing::example_time(),
                            .wanted_hold = std::nullopt});
    }
    writers -= index < 2 ? 1 : 0;
    while (index >= 2 && writers.load() > 0) {
      (void)ledger->runs({});
      (void)ledger->budgets(testing::example_time());
      (void)ledger->decisions({}, 10);
      problems += static_cast<int>(ledger->verify().problems.size());
    }
  });
  EXPECT_EQ(problems.load(), 0);
  EXPECT_EQ(ledger->runs({}).size(), 60U);
}

}  // namespace
}  // namespace finops
