// fork_gate.cpp - counts the threads that are inside, and keeps new ones out while one forks.
#include "ledger/fork_gate.hpp"

#include <pthread.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <vector>

#include "finops/base/clock.hpp"
#include "finops/base/error.hpp"

namespace finops::ledger {
namespace {

// The longest that a fork waits for a commit of another thread, which a slow disk holds up.
constexpr Nanoseconds kLongestWait = std::chrono::seconds{5};

struct Gate {
  std::atomic<int> inside{0};
  std::atomic<bool> is_forking{false};
  std::atomic<bool> is_closed_for_good{false};
  bool will_be_unusable = false;  // in the child of the fork that is going on
  std::mutex mutex;               // of the list; only held inside the gate, so free at a fork
  std::vector<ForkGate::Connection*> connections;
};

// Never destroyed: threads may use a ledger while the process ends.
Gate& gate() {
  static Gate& one = *new Gate;
  return one;
}

thread_local int depth = 0;

void pause_shortly() {
  const timespec pause{.tv_sec = 0, .tv_nsec = 50'000};
  nanosleep(&pause, nullptr);
}

void before_fork() noexcept {
  Gate& one = gate();
  bool expected = false;
  while (!one.is_forking.compare_exchange_weak(expected, true)) {
    expected = false;  // another thread forks
    pause_shortly();
  }
  const auto deadline = std::chrono::steady_clock::now() + kLongestWait;
  while (one.inside.load() > 0 && depth == 0 && std::chrono::steady_clock::now() < deadline) {
    pause_shortly();
  }
  one.will_be_unusable = one.inside.load() > 0;
  if (!one.will_be_unusable) {
    for (ForkGate::Connection* connection : one.connections) {
      connection->close_before_fork();
    }
  }
}

void after_fork_in_parent() noexcept { gate().is_forking.store(false); }

void after_fork_in_child() noexcept {
  Gate& one = gate();
  if (one.will_be_unusable) {
    one.is_closed_for_good.store(true);
  }
  one.inside.store(0);
  one.is_forking.store(false);
}

}  // namespace

void ForkGate::enter() {
  static int registered = pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
  Gate& one = gate();
  FINOPS_REQUIRE(
      registered == 0 && !one.is_closed_for_good.load(), ErrorCode::LedgerUnavailable,
      "this process was forked while its parent was inside the ledger, and cannot use it "
      "itself; start it with the method spawn or forkserver");
  if (depth == 0) {
    for (;;) {
      one.inside.fetch_add(1);
      if (!one.is_forking.load()) {
        break;
      }
      one.inside.fetch_sub(1);
      pause_shortly();
    }
  }
  ++depth;
}

void ForkGate::leave() noexcept {
  if (--depth == 0) {
    gate().inside.fetch_sub(1);
  }
}

bool ForkGate::is_outermost() noexcept { return depth == 1; }

bool ForkGate::is_closed_for_good() noexcept { return gate().is_closed_for_good.load(); }

void ForkGate::add(Connection* connection) {
  const std::lock_guard<std::mutex> guard(gate().mutex);
  gate().connections.push_back(connection);
}

void ForkGate::remove(Connection* connection) noexcept {
  const std::lock_guard<std::mutex> guard(gate().mutex);
  std::erase(gate().connections, connection);
}

}  // namespace finops::ledger
