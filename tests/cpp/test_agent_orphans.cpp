// test_agent_orphans.cpp - tests of what dead runs leave running, with real processes.
//
// Owns: the checks of whom the guard stops after a run's death, and whom it never touches.
// Does not own: how the attempt ends in the books (test_agent_ends.cpp).
// Invariants: this process adopts what its children leave, so that it sees how they end; none of
// them outlives its test.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string>

#include "agent_support.hpp"

namespace finops::agent {
namespace {

/// A process that a run starts.
struct Worker {
  bool leaves_session = false;  ///< setsid, as a daemon does
  bool carries_id = false;      ///< FINOPS_ATTEMPT_ID in its environment
  bool ignores_term = false;
};

class AgentOrphans : public AgentRounds {
 protected:
  void SetUp() override { prctl(PR_SET_CHILD_SUBREAPER, 1); }
  void TearDown() override {
    for (const pid_t pid : started_) {
      kill(pid, SIGKILL);
      waitpid(pid, nullptr, 0);
    }
    prctl(PR_SET_CHILD_SUBREAPER, 0);
  }

  /// Becomes `sleep`, so that /proc shows the environment it was started with.
  [[noreturn]] static void become(const Worker& worker, const std::string& attempt_id) {
    if (worker.leaves_session) {
      setsid();
    }
    if (worker.ignores_term) {
      signal(SIGTERM, SIG_IGN);
    }
    std::string variable = "FINOPS_ATTEMPT_ID=" + attempt_id;
    std::string name = "sleep";
    std::string span = "1000";
    char* const arguments[] = {name.data(), span.data(), nullptr};
    char* const with_id[] = {variable.data(), nullptr};
    char* const without_id[] = {nullptr};
    execve("/bin/sleep", arguments, worker.carries_id ? with_id : without_id);
    _exit(97);
  }

  /// A run that holds its page and has started these; their pids are in `workers_`, in order.
  std::unique_ptr<Child> hold_with(const pulse::PageInfo& info, const std::vector<Worker>& workers,
                                   bool finishes = false) {
    int ends[2] = {-1, -1};
    EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
    auto child = std::make_unique<Child>([&](const std::function<void()>& say_ready) -> int {
      pulse::PageInfo own = info;
      own.process = current_process();
      const auto page = pulse::OwnPage::create(home_.live_path(), own);
      for (const Worker& worker : workers) {
        const pid_t pid = fork();
        if (pid == 0) {
          become(worker, info.attempt_id.str());
        }
        (void)!write(ends[1], &pid, sizeof pid);
      }
      if (finishes) {
        page->page().process.state.store(pulse::ProcessState::Finished);
        page->release();
      }
      say_ready();
      testing::sleep_for_ever();
    });
    close(ends[1]);
    for (std::size_t index = 0; index < workers.size(); ++index) {
      pid_t pid = 0;
      EXPECT_EQ(read(ends[0], &pid, sizeof pid), static_cast<ssize_t>(sizeof pid));
      started_.push_back(pid);
      workers_.push_back(pid);
      EXPECT_TRUE(testing::eventually([&] { return is_sleeping(pid); }, seconds{20}));
    }
    close(ends[0]);
    EXPECT_TRUE(child->is_ready());
    return child;
  }

  /// Somebody's process beside the run, as the other end of a shell's pipeline: in its group.
  pid_t start_stranger(pid_t group) {
    const pid_t pid = fork();
    if (pid == 0) {
      setpgid(0, group);
      become({}, "");
    }
    started_.push_back(pid);
    EXPECT_TRUE(testing::eventually([&] { return is_sleeping(pid); }, seconds{20}));
    return pid;
  }

  static bool is_sleeping(pid_t pid) {
    std::error_code ignored;
    return std::filesystem::read_symlink("/proc/" + std::to_string(pid) + "/exe", ignored)
               .filename() == "sleep";
  }

  /// The signal that ended `pid`, which a dead run left to this process; 0: it lives.
  int end_of(pid_t pid, bool is_expected) {
    int status = 0;
    const auto has_ended = [&] { return waitpid(pid, &status, WNOHANG) == pid; };
    const bool ended = is_expected ? testing::eventually(has_ended, seconds{20}) : has_ended();
    if (ended) {
      std::erase(started_, pid);
    }
    return ended ? WTERMSIG(status) : 0;
  }

  void hold_gpu(pid_t pid) {
    use_->holders = use_->holders.value_or(std::vector<GpuHolder>{});
    use_->holders->push_back({.pid = pid, .uuid = "GPU-1"});
  }

  static void end(Child& child) {
    child.send(SIGKILL);
    child.wait();
  }

  [[nodiscard]] AgentOptions measured_options() const {
    AgentOptions options = agent_options();
    options.policies.base.silence_limit = hours{1};
    options.usage = use_;
    return options;
  }
  /// What was recorded for what was left.
  [[nodiscard]] std::string rungs_recorded(const std::string& run_id) const {
    std::string text;
    for (const DecisionRecord& decision : ledger()->decisions(AttemptId{run_id + "-1"}, 10)) {
      EXPECT_EQ(decision.rule, Rule::ProcessGone);
      text += std::string(rung_name(decision.rung)) + (decision.is_dry_run ? " dry " : " ");
    }
    return text;
  }

  std::shared_ptr<MeasuredUse> use_ = std::make_shared<MeasuredUse>();
  std::vector<pid_t> started_;
  std::vector<pid_t> workers_;
};

// Goal: what a dead run left on a GPU is asked to end, also if it left the session; what holds no
// GPU and what is not the run's goes on. Method: three workers, two of which hold a GPU; a stranger
// in the run's group that holds one as well.
TEST_F(AgentOrphans, StopsWhatHoldsTheGpu) {
  const std::unique_ptr<Child> run = hold_with(page_of("run1"), {{}, {.leaves_session = true}, {}});
  const pid_t stranger = start_stranger(getpgid(run->pid()));
  for (const pid_t pid : {workers_[0], workers_[1], stranger}) {
    hold_gpu(pid);
  }
  const auto agent = make_guard(measured_options());
  EXPECT_TRUE(rounds(*agent, seconds{2}).decisions.empty()) << "the run lives";
  end(*run);
  const TickReport report = rounds(*agent, seconds{1});
  ASSERT_EQ(rungs_of(report.decisions), "SIGTERM ");
  EXPECT_NE(report.decisions[0].reason.find(std::to_string(workers_[1])), std::string::npos)
      << report.decisions[0].reason;
  EXPECT_EQ(end_of(workers_[0], true), SIGTERM);
  EXPECT_EQ(end_of(workers_[1], true), SIGTERM);
  rounds(*agent, seconds{10});
  EXPECT_EQ(rungs_recorded("run1"), "SIGTERM ");
  EXPECT_EQ(end_of(workers_[2], false), 0);
  EXPECT_EQ(end_of(stranger, false), 0);
}

// Goal: who does not end after the grace is killed, and each rung is recorded once. Method: a
// worker that ignores SIGTERM; the grace is 3 s.
TEST_F(AgentOrphans, KillsAfterTheGrace) {
  const std::unique_ptr<Child> run = hold_with(page_of("run1"), {{.ignores_term = true}});
  hold_gpu(workers_[0]);
  const auto agent = make_guard(measured_options());
  rounds(*agent, seconds{1});
  end(*run);
  EXPECT_EQ(rungs_of(rounds(*agent, seconds{1}).decisions), "SIGTERM ");
  EXPECT_EQ(rungs_of(rounds(*agent, seconds{2}).decisions), "");
  EXPECT_EQ(end_of(workers_[0], false), 0);
  EXPECT_EQ(rungs_of(rounds(*agent, seconds{1}).decisions), "SIGKILL ");
  EXPECT_EQ(end_of(workers_[0], true), SIGKILL);
  rounds(*agent, seconds{5});
  EXPECT_EQ(rungs_recorded("run1"), "SIGTERM SIGKILL ");
}

// Goal: where a driver tells that nobody holds a GPU, nothing is stopped, whatever it carries.
// Method: a failed run's worker with its attempt id, and an empty list of holders.
TEST_F(AgentOrphans, SparesWhatHoldsNoGpuWhereADriverTells) {
  const std::unique_ptr<Child> run = hold_with(page_of("run1"), {{.carries_id = true}});
  use_->holders.emplace();
  const auto agent = make_guard(measured_options());
  rounds(*agent, seconds{1});
  end(*run);
  EXPECT_EQ(rungs_of(rounds(*agent, seconds{10}).decisions), "");
  EXPECT_EQ(end_of(workers_[0], false), 0);
}

// Goal: where no driver names holders, only what carries the attempt's id is stopped. Method: one
// worker with it, one without, one with the id of another attempt.
TEST_F(AgentOrphans, WithoutADriverTheEnvironmentDecides) {
  const std::unique_ptr<Child> run = hold_with(page_of("run1"), {{.carries_id = true}, {}});
  const std::unique_ptr<Child> other = hold_with(page_of("run2"), {{.carries_id = true}});
  const auto agent = make_guard(measured_options());
  rounds(*agent, seconds{1});
  end(*run);
  rounds(*agent, seconds{1});
  EXPECT_EQ(end_of(workers_[0], true), SIGTERM);
  rounds(*agent, seconds{5});
  EXPECT_EQ(end_of(workers_[1], false), 0);
  EXPECT_EQ(rungs_recorded("run1"), "SIGTERM ");
  EXPECT_TRUE(other->is_running());
  EXPECT_EQ(rungs_recorded("run2"), "");
}

// Goal: a guard that never saw the run alive finds what it left by its environment. Method: the run
// dies first; one worker left the session and carries the id, one carries none.
TEST_F(AgentOrphans, ALateGuardFindsThemByTheirEnvironment) {
  const std::unique_ptr<Child> run =
      hold_with(page_of("run1"), {{.leaves_session = true, .carries_id = true}, {}});
  hold_gpu(workers_[0]);
  hold_gpu(workers_[1]);
  end(*run);
  rounds(*make_guard(measured_options()), seconds{1});
  EXPECT_EQ(end_of(workers_[0], true), SIGTERM);
  EXPECT_EQ(end_of(workers_[1], false), 0) << "nothing says that it was the run's";
}

// Goal: children of a run that finished may be meant to stay, unless they hold a GPU. Method: a
// run that said goodbye and died; two workers carry its id; then one holds a GPU.
TEST_F(AgentOrphans, AFinishedRunsChildrenStayWithoutAGpu) {
  const std::unique_ptr<Child> run =
      hold_with(page_of("run1"), {{.carries_id = true}, {.carries_id = true}}, true);
  end(*run);
  const auto agent = make_guard(measured_options());
  rounds(*agent, seconds{5});
  EXPECT_EQ(end_of(workers_[0], false), 0);
  EXPECT_EQ(end_of(workers_[1], false), 0);
  hold_gpu(workers_[0]);
  rounds(*agent, seconds{1});
  EXPECT_EQ(end_of(workers_[0], true), SIGTERM);
  EXPECT_EQ(end_of(workers_[1], false), 0);
}

// Goal: while the process lives, what it started is its own affair. Method: the run finished, its
// process goes on (a notebook), its worker holds a GPU.
TEST_F(AgentOrphans, AProcessThatGoesOnKeepsItsChildren) {
  const std::unique_ptr<Child> run = hold_with(page_of("run1"), {{.carries_id = true}}, true);
  hold_gpu(workers_[0]);
  const auto agent = make_guard(measured_options());
  const TickReport report = rounds(*agent, seconds{10});
  EXPECT_EQ(report.concluded.size(), 1U);
  EXPECT_TRUE(report.decisions.empty());
  EXPECT_EQ(end_of(workers_[0], false), 0);
  EXPECT_TRUE(run->is_running());
}

// Goal: a living run is spared whatever it descends from. Method: a run started another one, with a
// page of its own, and dies; both hold GPUs.
TEST_F(AgentOrphans, ALivingRunBelowADeadOneIsSpared) {
  int ends[2] = {-1, -1};
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  Child outer([&](const std::function<void()>& say_ready) -> int {
    pulse::PageInfo info = page_of("run1");
    info.process = current_process();
    const auto page = pulse::OwnPage::create(home_.live_path(), info);
    const pid_t inner = fork();
    if (inner == 0) {
      pulse::PageInfo own = page_of("run2");
      own.process = current_process();
      const auto inner_page = pulse::OwnPage::create(home_.live_path(), own);
      const pid_t self = getpid();
      (void)!write(ends[1], &self, sizeof self);
      testing::sleep_for_ever();
    }
    say_ready();
    testing::sleep_for_ever();
  });
  pid_t inner = 0;
  ASSERT_EQ(read(ends[0], &inner, sizeof inner), static_cast<ssize_t>(sizeof inner));
  close(ends[0]);
  close(ends[1]);
  started_.push_back(inner);
  hold_gpu(inner);
  const auto agent = make_guard(measured_options());
  rounds(*agent, seconds{1});
  end(outer);
  const TickReport report = rounds(*agent, seconds{5});
  EXPECT_EQ(report.concluded.size(), 1U);
  EXPECT_TRUE(report.decisions.empty());
  EXPECT_EQ(end_of(inner, false), 0);
}

// Goal: a dry policy only says whom it would stop, once. Method: a worker on a GPU, for longer than
// the grace.
TEST_F(AgentOrphans, ADryRunTouchesNobody) {
  const std::unique_ptr<Child> run = hold_with(page_of("run1"), {{}});
  hold_gpu(workers_[0]);
  AgentOptions options = measured_options();
  options.policies.base.is_dry_run = true;
  const auto agent = make_guard(options);
  rounds(*agent, seconds{1});
  end(*run);
  rounds(*agent, seconds{10});
  EXPECT_EQ(rungs_recorded("run1"), "SIGTERM dry ");
  EXPECT_EQ(end_of(workers_[0], false), 0);
}

// Goal: a pid that was given to another process is not touched. Method: the identity remembered is
// of the worker; the worker ends by itself before the run does, and the holder list still names it.
TEST_F(AgentOrphans, AWorkerThatEndedIsForgotten) {
  const std::unique_ptr<Child> run = hold_with(page_of("run1"), {{}});
  hold_gpu(workers_[0]);
  const auto agent = make_guard(measured_options());
  rounds(*agent, seconds{1});
  kill(workers_[0], SIGKILL);
  end(*run);
  EXPECT_TRUE(rounds(*agent, seconds{3}).decisions.empty());
}

}  // namespace
}  // namespace finops::agent
