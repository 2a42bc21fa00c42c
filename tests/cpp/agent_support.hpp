// agent_support.hpp - the fixture of the agent's tests: a home, a clock, pages of real children.
//
// Owns: AgentRounds. Does not own: the tests (test_agent.cpp, test_agent_ends.cpp).
// Invariants: the agent's time comes from a ManualClock that starts now; what a process would write
// into its page the test writes, so that nothing depends on a child's speed.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "finops/agent/agent.hpp"
#include "support.hpp"

namespace finops::agent {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::Child;
using testing::usd;

class AgentRounds : public ::testing::Test {
 protected:
  /// Silent after 6 s, SIGTERM 2 s after the directive, SIGKILL 3 s after that; a round a second.
  [[nodiscard]] std::unique_ptr<Agent> make_agent(Nanoseconds longest_auto_settle = minutes{5}) {
    AgentOptions options;
    options.home = home_;
    options.policies.base.silence_limit = seconds{6};
    options.policies.base.directive_grace = seconds{2};
    options.policies.base.term_grace = seconds{3};
    options.interval = seconds{1};
    options.longest_auto_settle = longest_auto_settle;
    return std::make_unique<Agent>(options, clock_);
  }

  [[nodiscard]] pulse::PageInfo page_of(const std::string& run_id) const {
    pulse::PageInfo info = testing::example_page(run_id, start_);
    info.price_id = "sku+test";
    info.currency = "USD";
    info.price_units = 3'600;  // 1 USD a second
    return info;
  }

  /// A child that holds the page until a signal ends it. `ignored` is a signal that does not.
  std::unique_ptr<Child> hold(const pulse::PageInfo& info, int ignored = 0) {
    return std::make_unique<Child>([&](const std::function<void()>& say_ready) -> int {
      if (ignored != 0) {
        signal(ignored, SIG_IGN);
      }
      pulse::PageInfo own = info;
      if (own.process.boot_id == current_boot_id()) {
        own.process = current_process();
      }
      const auto page = pulse::OwnPage::create(home_.live_path(), own);
      say_ready();
      testing::sleep_for_ever();
    });
  }

  /// The page of a run as its process sees it.
  pulse::PageLayout& page(const std::string& run_id) {
    scanner_.scan();
    for (pulse::ForeignPage* found : scanner_.pages()) {
      if (found->info().run_id == RunId{run_id}) {
        return found->page();
      }
    }
    throw std::runtime_error("no page of " + run_id);
  }
  [[nodiscard]] bool has_page(const std::string& run_id) const {
    return std::filesystem::exists(home_.live_path() + "/" + run_id + "-1.page");
  }
  [[nodiscard]] std::string directive_of(const std::string& run_id) {
    return std::string(directive_name(static_cast<Directive>(page(run_id).agent.directive.load())));
  }
  /// What `progress()` writes.
  void progress(const std::string& run_id) {
    pulse::ProcessLine& line = page(run_id).process;
    line.progress_count.fetch_add(1);
    line.last_seen_ns.store(clock_.now().monotonic.time_since_epoch().count());
  }

  /// One round a second for `span`; the reports added up.
  TickReport rounds(Agent& agent, seconds span) {
    TickReport all;
    for (seconds passed{0}; passed < span; ++passed) {
      clock_.advance(seconds{1});
      add(agent.tick(), all);
    }
    return all;
  }
  static void add(const TickReport& one, TickReport& all) {
    all.page_count = one.page_count;
    all.decisions.insert(all.decisions.end(), one.decisions.begin(), one.decisions.end());
    all.concluded.insert(all.concluded.end(), one.concluded.begin(), one.concluded.end());
    all.warnings.insert(all.warnings.end(), one.warnings.begin(), one.warnings.end());
  }
  static std::string rungs_of(const std::vector<DecisionRecord>& decisions) {
    std::string text;
    for (const DecisionRecord& decision : decisions) {
      text += std::string(rung_name(decision.rung)) + " ";
    }
    return text;
  }

  [[nodiscard]] std::unique_ptr<Ledger> ledger() const {
    return open_ledger(home_.ledger_path(), {});
  }
  [[nodiscard]] AttemptSummary attempt_of(const std::string& run_id) const {
    return ledger()->attempts(RunId{run_id}).at(0);
  }

  testing::TempDir folder_;
  Home home_ = open_home(folder_ / "home");
  const ClockReading start_ = SystemClock{}.now();
  ManualClock clock_{start_};
  pulse::PageScanner scanner_{home_.live_path()};
};

}  // namespace finops::agent
