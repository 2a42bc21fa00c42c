// support.hpp - what several C++ tests need: a folder of their own, money, records, child
// processes.
//
// Owns: TempDir, PrintTo, usd, code_of, test_seed, Random, Child, eventually, and example records.
// Does not own: anything that a test moves; a test states that itself.
// Invariants: a child never runs the parent's destructors (it leaves by _exit) and never outlives
// its test; random values come from FINOPS_TEST_SEED, which a failure prints.
#pragma once

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <ostream>
#include <random>
#include <string>
#include <string_view>
#include <thread>

#include "finops/base/clock.hpp"
#include "finops/base/error.hpp"
#include "finops/base/process.hpp"
#include "finops/ledger/ledger.hpp"
#include "finops/pulse/page.hpp"

namespace finops {

// How GoogleTest shows these in a failure: found by argument-dependent lookup.
// NOLINTBEGIN(readability-identifier-naming): the name is GoogleTest's.
inline void PrintTo(const Money& money, std::ostream* out) { *out << money.str(); }
inline void PrintTo(Directive directive, std::ostream* out) { *out << directive_name(directive); }
inline void PrintTo(Rung rung, std::ostream* out) { *out << rung_name(rung); }
inline void PrintTo(RunStatus status, std::ostream* out) { *out << run_status_name(status); }
// NOLINTEND(readability-identifier-naming)

}  // namespace finops

namespace finops::testing {

/// A new folder, removed with all it holds by the process that made it.
class TempDir {
 public:
  TempDir() {
    std::string name = (std::filesystem::temp_directory_path() / "finops-test-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) {
      throw std::runtime_error("cannot make " + name);
    }
    path_ = name;
  }
  ~TempDir() {
    if (owner_ == getpid()) {
      std::error_code ignored;
      std::filesystem::remove_all(path_, ignored);
    }
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  [[nodiscard]] std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  pid_t owner_ = getpid();
  std::string path_;
};

inline Money usd(std::string_view amount) { return Money::parse(amount, Currency::usd()); }

/// The name of the code that `call` throws; "none" if it throws nothing.
template <class Call>
std::string code_of(Call call) {
  try {
    call();
  } catch (const Error& error) {
    return std::string(error_code_name(error.code()));
  } catch (const InternalError&) {
    return "InternalError";
  }
  return "none";
}

/// The message that `call` throws; empty if it throws nothing.
template <class Call>
std::string message_of(Call call) {
  try {
    call();
  } catch (const std::exception& error) {
    return error.what();
  }
  return {};
}

inline std::uint64_t test_seed() {
  const char* text = std::getenv("FINOPS_TEST_SEED");
  return text != nullptr ? std::strtoull(text, nullptr, 10) : 20261124;
}

/// A seeded generator; `between` includes both ends.
class Random {
 public:
  explicit Random(std::uint64_t seed) : engine_(seed) {}
  std::int64_t between(std::int64_t low, std::int64_t high) {
    return std::uniform_int_distribution<std::int64_t>(low, high)(engine_);
  }
  bool chance(int percent) { return between(1, 100) <= percent; }

 private:
  std::mt19937_64 engine_;
};

/// Asks `holds` again and again, for up to `limit`.
inline bool eventually(const std::function<bool()>& holds, Nanoseconds limit) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  while (!holds()) {
    if (std::chrono::steady_clock::now() >= deadline) {
      return false;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds{1});
  }
  return true;
}

/// A forked child that runs `body` and leaves with its result (99 if it throws). `say_ready` tells
/// the parent's constructor, which waits for it, that the child has come so far.
class Child {
 public:
  using Body = std::function<int(const std::function<void()>& say_ready)>;

  explicit Child(const Body& body) {
    int ends[2] = {-1, -1};
    if (pipe(ends) != 0) {
      throw std::runtime_error("cannot make a pipe");
    }
    pid_ = fork();
    if (pid_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);  // a test that crashes leaves no orphan behind
      close(ends[0]);
      int code = 99;
      try {
        code = body([&] { (void)!write(ends[1], "r", 1); });
      } catch (...) {
        code = 98;
      }
      _exit(code);
    }
    close(ends[1]);
    char byte = 0;
    is_ready_ = read(ends[0], &byte, 1) == 1;
    close(ends[0]);
  }
  ~Child() {
    if (!is_reaped_) {
      kill(pid_, SIGKILL);
      wait();
    }
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  [[nodiscard]] pid_t pid() const noexcept { return pid_; }
  /// Whether it said that it is ready; false: it ended before.
  [[nodiscard]] bool is_ready() const noexcept { return is_ready_; }
  void send(int signal_number) const { kill(pid_, signal_number); }
  /// Waits up to ten seconds for its end: the exit code, or minus the signal that ended it. A child
  /// that goes on is killed, and 100 is given back.
  int wait() {
    if (!is_reaped_ && !eventually([this] { return !is_running(); }, std::chrono::seconds{10})) {
      kill(pid_, SIGKILL);
      waitpid(pid_, nullptr, 0);
      is_reaped_ = true;
      result_ = 100;
    }
    return result_;
  }
  /// Whether it still runs; reaps it if not.
  bool is_running() {
    int status = 0;
    if (!is_reaped_ && waitpid(pid_, &status, WNOHANG) == pid_) {
      is_reaped_ = true;
      result_ = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    }
    return !is_reaped_;
  }

 private:
  pid_t pid_ = -1;
  bool is_ready_ = false;
  bool is_reaped_ = false;
  int result_ = 0;
};

/// Sleeps until a signal ends the process.
[[noreturn]] inline void sleep_for_ever() {
  for (;;) {
    pause();
  }
}

/// A point in time for labels; no test depends on which.
inline UtcTime example_time() { return UtcTime{std::chrono::seconds{1'764'000'000}}; }

inline PriceRow example_price(std::string_view price_per_hour) {
  PriceRow price;
  price.sku_id = "test-sku";
  price.provider = "test";
  price.list_unit_price = Money::parse(price_per_hour);
  price.source = "test";
  price.source_date = "2026-01-01";
  price.price_id = make_price_id(price);
  return price;
}

inline RunRecord example_run(const std::string& run_id) {
  RunRecord run;
  run.run_id = RunId{run_id};
  run.project = "vision";
  run.experiment = "resnet";
  run.user_name = "ada";
  run.tags = "{}";
  run.created_at = example_time();
  return run;
}

inline AttemptRecord example_attempt(const std::string& run_id, const std::string& attempt_id) {
  AttemptRecord attempt;
  attempt.run_id = RunId{run_id};
  attempt.attempt_id = AttemptId{attempt_id};
  attempt.host = "node1";
  attempt.process = {.boot_id = "boot", .pid = 4'711, .start_ticks = 42};
  attempt.started_at.utc = example_time();
  return attempt;
}

/// Terms with this limit and everything else as by default.
inline BudgetTerms terms_of(Money limit) {
  BudgetTerms terms;
  terms.limit = limit;
  return terms;
}

inline BudgetRecord example_budget(const std::string& budget_id) {
  BudgetRecord budget;
  budget.budget_id = BudgetId{budget_id};
  budget.created_by = "ada";
  budget.created_at = example_time();
  return budget;
}

/// Ada asks for more.
inline BudgetRequest example_request(const std::string& id, const std::string& budget_id,
                                     Money amount, UtcTime expires_at = {}) {
  BudgetRequest request;
  request.request_id = RequestId{id};
  request.budget_id = BudgetId{budget_id};
  request.amount = amount;
  request.who = "ada";
  request.why = "one more epoch";
  request.requested_at = example_time();
  request.expires_at = expires_at;
  return request;
}

/// One record of each kind: what people say of a model that nobody tracked here.
inline LineageRecords example_lineage() {
  LineageRecords records;
  records.nodes.push_back({.node_id = NodeId{"model:m"},
                           .label = "M",
                           .user_name = "ada",
                           .cluster = "east",
                           .attributes = R"({"seed":7})",
                           .created_at = example_time()});
  records.edges.push_back({NodeId{"run:old"}, EdgeKind::Produced, NodeId{"model:m"}, 100,
                           example_time()});
  records.costs.push_back({.event_id = EventId{"c1"},
                           .node_id = NodeId{"run:old"},
                           .billed_cost = usd("24.5"),
                           .charge_period_start = example_time() - std::chrono::hours{1},
                           .charge_period_end = example_time()});
  records.statuses.push_back({.node_id = NodeId{"run:old"},
                              .status = "FAILED",
                              .who = "ada",
                              .why = "out of memory",
                              .recorded_at = example_time()});
  records.uses.push_back({.event_id = EventId{"u1"},
                          .node_id = NodeId{"model:m"},
                          .quantity = 12,
                          .unit = "requests",
                          .recorded_at = example_time()});
  records.values.push_back({.value_id = EventId{"v1"},
                            .node_id = NodeId{"model:m"},
                            .amount = usd("50000"),
                            .period = ValuePeriod::Month,
                            .valid_from = example_time(),
                            .valid_to = example_time() + std::chrono::hours{24},
                            .source = "A/B test",
                            .who = "ada",
                            .recorded_at = example_time()});
  return records;
}

/// The static part of a page of the calling process, started at `now`.
inline pulse::PageInfo example_page(const std::string& run_id, const ClockReading& now) {
  pulse::PageInfo info;
  info.run_id = RunId{run_id};
  info.attempt_id = AttemptId{run_id + "-1"};
  info.project = "vision";
  info.experiment = "resnet";
  info.user_name = "ada";
  info.host = "node1";
  info.process = current_process();
  info.started_at = now;
  info.lease_term = std::chrono::seconds{60};
  info.check_gap = std::chrono::seconds{5};
  info.stop_time = std::chrono::seconds{30};
  info.billing_quantum = std::chrono::seconds{1};
  return info;
}

}  // namespace finops::testing
