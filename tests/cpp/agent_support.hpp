// agent_support.hpp - the fixture of the agent's tests: a home, a clock, pages of real children.
//
// Owns: AgentRounds, MeasuredUse. Does not own: the tests (test_agent*.cpp).
// Invariants: the agent's time comes from a ManualClock that starts now; what a process would write
// into its page the test writes, so that nothing depends on a child's speed.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <unordered_map>
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

/// Measured use as a test states it, in place of a driver.
class MeasuredUse final : public UsageSource {
 public:
  void sample(const pulse::PageInfo& info, ClockReading /*now*/) override {
    ++sample_counts[info.attempt_id];
  }
  [[nodiscard]] guard::UsageSummary summary(const AttemptId& attempt_id, Nanoseconds window,
                                            ClockReading /*now*/) const override {
    guard::UsageSummary usage;
    usage.asked = usage.covered = window;
    usage.sample_count = 100;
    if (const auto found = maxima.find(attempt_id); found != maxima.end()) {
      usage.gpus.push_back({.uuid = "GPU-1",
                            .sample_count = 100,
                            .minimum_utilization = 0,
                            .maximum_utilization = found->second,
                            .mean_power_share = 0.5,
                            .has_process = true});
    }
    return usage;
  }
  [[nodiscard]] std::optional<std::vector<GpuHolder>> gpu_holders() const override {
    return holders;
  }
  void flush(Ledger& /*ledger*/, ClockReading /*now*/) override {
    ++flush_count;
    if (flush_fails) {
      throw Error(ErrorCode::Conflict, "the window is there with other content");
    }
  }
  void end(const AttemptId& attempt_id) override { ended.push_back(attempt_id); }

  std::unordered_map<AttemptId, double> maxima;   ///< percent, of the attempt's one GPU
  std::optional<std::vector<GpuHolder>> holders;  ///< nullopt: no driver tells
  std::unordered_map<AttemptId, int> sample_counts;
  std::vector<AttemptId> ended;
  int flush_count = 0;
  bool flush_fails = false;
};

class AgentRounds : public ::testing::Test {
 protected:
  /// Silent after 6 s, SIGTERM 2 s after the directive, SIGKILL 3 s after that; a round a second.
  [[nodiscard]] AgentOptions agent_options() const {
    AgentOptions options;
    options.home = home_;
    options.policies.base.silence_limit = seconds{6};
    options.policies.base.directive_grace = seconds{2};
    options.policies.base.term_grace = seconds{3};
    options.interval = seconds{1};
    return options;
  }
  [[nodiscard]] std::unique_ptr<Agent> make_agent(const AgentOptions& options) {
    return std::make_unique<Agent>(options, clock_);
  }
  [[nodiscard]] std::unique_ptr<Agent> make_agent(Nanoseconds longest_auto_settle = minutes{5}) {
    AgentOptions options = agent_options();
    options.longest_auto_settle = longest_auto_settle;
    return make_agent(options);
  }
  /// One that serves.
  [[nodiscard]] std::unique_ptr<Agent> make_guard(const AgentOptions& options) {
    auto agent = make_agent(options);
    EXPECT_TRUE(agent->try_serve());
    return agent;
  }

  [[nodiscard]] pulse::PageInfo page_of(const std::string& run_id) const {
    pulse::PageInfo info = testing::example_page(run_id, start_);
    info.price_id = "sku+test";
    info.currency = "USD";
    info.price_units = 3'600;  // 1 USD a second
    return info;
  }

  /// The same under a budget of its experiment with this limit; its silence concerns nobody.
  [[nodiscard]] pulse::PageInfo page_with_budget(const std::string& run_id, Money limit,
                                                 bool is_hard = true) const {
    BudgetRecord budget = testing::example_budget("experiment:vision/resnet");
    budget.is_hard = is_hard;
    ledger()->ensure_budget(budget, testing::terms_of(limit));
    pulse::PageInfo info = page_of(run_id);
    info.budget_id = budget.budget_id.str();
    info.is_hard_budget = is_hard;
    info.silence_limit = hours{1};
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
    all.breaker_held = one.breaker_held;
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
