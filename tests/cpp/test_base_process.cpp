// test_base_process.cpp - tests of process identities, pidfds and the process tree.
//
// Owns: the checks of process.hpp. Does not own: the rest of base (test_base.cpp).
// Invariant: signals go only to children that a test forked itself; each is reaped at its end.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "finops/base/process.hpp"

namespace finops {
namespace {

// In a child: asks to end with `parent_pid`, whatever happens to the test, and ends if it is too
// late to ask.
void end_with(pid_t parent_pid) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent_pid) {
    _exit(0);
  }
}

// In a child: tells `pid` through the pipe and sleeps until it is killed.
[[noreturn]] void report_and_sleep(int pipe_end, pid_t pid) {
  if (write(pipe_end, &pid, sizeof pid) != static_cast<ssize_t>(sizeof pid)) {
    _exit(1);
  }
  for (;;) {
    pause();
  }
}

// A child that sleeps, with a sleeping child of its own if asked for. Ended and reaped at the end.
class Child {
 public:
  explicit Child(bool with_grandchild = false) {
    std::array<int, 2> pipe_ends{-1, -1};
    EXPECT_EQ(pipe(pipe_ends.data()), 0);
    const pid_t test_pid = getpid();
    pid_ = fork();
    if (pid_ == 0) {
      end_with(test_pid);
      const pid_t child_pid = getpid();
      if (!with_grandchild) {
        report_and_sleep(pipe_ends[1], -1);
      }
      const pid_t below = fork();
      if (below == 0) {
        end_with(child_pid);
        report_and_sleep(pipe_ends[1], getpid());
      }
      if (below < 0) {
        report_and_sleep(pipe_ends[1], -1);
      }
      for (;;) {
        pause();
      }
    }
    // The last one to start reports, so that nothing below sees one half-way through fork. Only
    // children hold the writing end, so that the read also ends if none of them is left.
    close(pipe_ends[1]);
    EXPECT_EQ(read(pipe_ends[0], &grandchild_pid_, sizeof grandchild_pid_),
              static_cast<ssize_t>(sizeof grandchild_pid_));
    close(pipe_ends[0]);
  }
  ~Child() { reap(); }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  [[nodiscard]] pid_t pid() const { return pid_; }
  [[nodiscard]] pid_t grandchild_pid() const { return grandchild_pid_; }
  [[nodiscard]] ProcessIdentity identity() const {
    return {.boot_id = current_boot_id(), .pid = pid_, .start_ticks = process_start_ticks(pid_)};
  }
  // Ends it but leaves it as a zombie.
  void kill_only() const {
    ASSERT_GT(pid_, 0);
    kill(pid_, SIGKILL);
    siginfo_t info{};
    ASSERT_EQ(waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOWAIT), 0);
  }
  void reap() {
    if (pid_ > 0) {
      kill(pid_, SIGKILL);
      waitpid(pid_, nullptr, 0);
    }
    pid_ = -1;
  }

 private:
  pid_t pid_ = -1;
  pid_t grandchild_pid_ = -1;
};

// Goal: the own identity is stable, whatever the process is called.
// Method: only the name moves, to one with what separates the fields of /proc/PID/stat.
TEST(CurrentProcess, DoesNotDependOnTheName) {
  std::array<char, 16> old_name{};
  ASSERT_EQ(prctl(PR_GET_NAME, old_name.data()), 0);
  const ProcessIdentity before = current_process();
  ASSERT_EQ(prctl(PR_SET_NAME, "a) Z 1 (2"), 0);
  const ProcessIdentity after = current_process();
  prctl(PR_SET_NAME, old_name.data());
  EXPECT_EQ(before.pid, getpid());
  EXPECT_EQ(before.boot_id, current_boot_id());
  EXPECT_NE(before.boot_id, "");
  EXPECT_GT(before.start_ticks, 0U);
  EXPECT_TRUE(before == after) << "start ticks " << before.start_ticks << " and "
                               << after.start_ticks;
}

// Goal: a process has a start time as long as it lives. Method: alive, zombie, reaped.
TEST(ProcessStartTicks, IsZeroOnceTheProcessIsGone) {
  Child child;
  const pid_t pid = child.pid();
  const std::uint64_t ticks = process_start_ticks(pid);
  EXPECT_GE(ticks, process_start_ticks(getpid())) << "a child starts after its parent";
  EXPECT_EQ(process_start_ticks(pid), ticks) << "second look";
  child.kill_only();
  EXPECT_EQ(process_start_ticks(pid), 0U) << "zombie";
  child.reap();
  EXPECT_EQ(process_start_ticks(pid), 0U) << "reaped";
  EXPECT_EQ(process_start_ticks(0), 0U);
  EXPECT_EQ(process_start_ticks(-1), 0U);
}

// Goal: a pidfd opens only for the process that is meant. Method: a living child, one field moved.
TEST(PidFd, OpensOnlyTheProcessThatIsMeant) {
  const Child child;
  const ProcessIdentity identity = child.identity();
  EXPECT_TRUE(PidFd(identity).valid());
  ProcessIdentity other = identity;
  other.start_ticks += 1;
  EXPECT_FALSE(PidFd(other).valid()) << "started later";
  other.start_ticks = identity.start_ticks - 1;
  EXPECT_FALSE(PidFd(other).valid()) << "started earlier";
  other = identity;
  other.boot_id = "00000000-0000-0000-0000-000000000000";
  EXPECT_FALSE(PidFd(other).valid()) << "another boot";
  for (const pid_t pid : {0, -1, -child.pid()}) {
    other = identity;
    other.pid = pid;
    EXPECT_FALSE(PidFd(other).valid()) << "pid " << pid;
  }
}

// Goal: a process that ended cannot be opened. Method: the same identity: alive, zombie, reaped.
TEST(PidFd, DoesNotOpenADeadProcess) {
  Child child;
  const ProcessIdentity identity = child.identity();
  EXPECT_TRUE(PidFd(identity).valid()) << "alive";
  child.kill_only();
  EXPECT_FALSE(PidFd(identity).valid()) << "zombie";
  child.reap();
  EXPECT_FALSE(PidFd(identity).valid()) << "reaped";
}

// Goal: an identity without a start time never fits. Method: zero ticks for a child and its zombie.
TEST(PidFd, RefusesAnUnknownStartTime) {
  const Child child;
  ProcessIdentity identity = child.identity();
  identity.start_ticks = 0;
  EXPECT_FALSE(PidFd(identity).valid()) << "alive";
  child.kill_only();
  EXPECT_FALSE(PidFd(identity).valid()) << "zombie";
}

// Goal: signals reach the process, and only while it is there. Method: SIGTERM, then once more.
TEST(PidFd, SendsSignalsUntilTheProcessIsGone) {
  Child child;
  PidFd first(child.identity());
  const PidFd pidfd(std::move(first));
  ASSERT_TRUE(pidfd.valid());
  // What is left of a moved one is part of its contract: nobody closes or signals twice.
  EXPECT_FALSE(first.valid());         // NOLINT(bugprone-use-after-move)
  EXPECT_FALSE(first.send_signal(0));  // NOLINT(bugprone-use-after-move)
  EXPECT_TRUE(pidfd.send_signal(0));
  EXPECT_TRUE(pidfd.send_signal(SIGTERM));
  int status = 0;
  ASSERT_EQ(waitpid(child.pid(), &status, 0), child.pid());
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM) << "status " << status;
  EXPECT_FALSE(pidfd.send_signal(0)) << "reaped";
}

// Goal: all generations below a process are found, nearest first, and nobody else.
// Method: a child with a child of its own, seen from three places in the tree.
TEST(DescendantsOf, FindsChildrenBeforeGrandchildren) {
  Child child(true);
  ASSERT_GT(child.grandchild_pid(), 0);
  std::vector<pid_t> found;
  for (const ProcessIdentity& identity : descendants_of(getpid())) {
    found.push_back(identity.pid);
  }
  const auto child_at = std::find(found.begin(), found.end(), child.pid());
  const auto grandchild_at = std::find(found.begin(), found.end(), child.grandchild_pid());
  ASSERT_NE(child_at, found.end());
  ASSERT_NE(grandchild_at, found.end());
  EXPECT_LT(child_at - found.begin(), grandchild_at - found.begin());
  EXPECT_EQ(std::count(found.begin(), found.end(), getpid()), 0) << "itself";

  const std::vector<ProcessIdentity> below = descendants_of(child.pid());
  ASSERT_EQ(below.size(), 1U);
  EXPECT_EQ(below[0].pid, child.grandchild_pid());
  EXPECT_TRUE(PidFd(below[0]).valid()) << "the identity is complete";
  EXPECT_TRUE(descendants_of(child.grandchild_pid()).empty());
}

// Goal: the dead are no descendants. Method: one child: alive, zombie.
TEST(DescendantsOf, LeavesOutZombies) {
  const Child child;
  const auto is_listed = [&] {
    const std::vector<ProcessIdentity> all = descendants_of(getpid());
    return std::any_of(all.begin(), all.end(),
                       [&](const ProcessIdentity& each) { return each.pid == child.pid(); });
  };
  EXPECT_TRUE(is_listed()) << "alive";
  child.kill_only();
  EXPECT_FALSE(is_listed()) << "zombie";
}

}  // namespace
}  // namespace finops
