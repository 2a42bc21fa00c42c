// test_agent_lost_pages.cpp - tests of attempts whose live page is gone before they ended.
//
// Owns: Agent::conclude_lost. Does not own: attempts with a page (test_agent_ends.cpp).
#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>

#include "agent_support.hpp"
#include "finops/detect/environment.hpp"

namespace finops::agent {
namespace {

class AgentLostPages : public AgentRounds {
 protected:
  /// A run of this host that the agent has charged for 30 s, with a budget of 100 USD.
  std::unique_ptr<Child> begin(Agent& agent, const std::string& host) {
    pulse::PageInfo info = page_with_budget("run1", usd("100"));
    info.host = host;
    std::unique_ptr<Child> child = hold(info);
    rounds(agent, seconds{31});
    EXPECT_EQ(attempt_of("run1").account_state, "OPEN");
    EXPECT_GT(attempt_of("run1").metered_time, Nanoseconds::zero());
    return child;
  }
  void lose_page() { std::filesystem::remove(home_.live_path() + "/run1-1.page"); }
  [[nodiscard]] BudgetAccounts accounts() const {
    return ledger()->budgets(testing::example_time()).at(0).accounts;
  }
  static std::string this_host() { return detect::read_environment().host; }
};

// Goal: what a lost run held comes back, and what nobody knows stays uncertain until it is settled
// as spent. Method: the page is removed, the process killed.
TEST_F(AgentLostPages, AreEndedOnceTheirProcessIsGone) {
  const auto agent = make_guard(agent_options());
  const std::unique_ptr<Child> child = begin(*agent, this_host());
  const Nanoseconds metered = attempt_of("run1").metered_time;
  lose_page();
  child->send(SIGKILL);
  child->wait();
  const TickReport report = rounds(*agent, seconds{10});
  ASSERT_EQ(report.concluded.size(), 1U);
  EXPECT_EQ(report.concluded[0].status, RunStatus::FAILED);
  const AttemptSummary attempt = attempt_of("run1");
  EXPECT_EQ(attempt.account_state, "SETTLED");
  EXPECT_GT(attempt.metered_time, metered) << "the uncertain seconds are spent, not given back";
  EXPECT_EQ(accounts().held, usd("0"));
  EXPECT_EQ(accounts().spent, attempt.metered_cost.value());
  EXPECT_TRUE(ledger()->verify().is_clean());
}

// Goal: unknown never ends a run. Method: the page is gone and the process lives; the process is
// gone, but the attempt is of another host, whose processes have no number here.
TEST_F(AgentLostPages, AreLeftAloneWhileTheirProcessMayLive) {
  const auto agent = make_guard(agent_options());
  const std::unique_ptr<Child> child = begin(*agent, this_host());
  lose_page();
  EXPECT_TRUE(rounds(*agent, seconds{20}).concluded.empty());
  EXPECT_EQ(attempt_of("run1").account_state, "OPEN");
  EXPECT_TRUE(child->is_running());
}

TEST_F(AgentLostPages, AreLeftAloneOnAnotherHost) {
  const auto agent = make_guard(agent_options());
  const std::unique_ptr<Child> child = begin(*agent, "another-host");
  lose_page();
  child->send(SIGKILL);
  child->wait();
  EXPECT_TRUE(rounds(*agent, seconds{20}).concluded.empty());
  EXPECT_EQ(attempt_of("run1").account_state, "OPEN");
}

// Goal: an attempt of an earlier boot is over on whatever host it was, and a long uncertain span
// waits for a person. Method: the ledger knows an attempt that began an hour before this boot.
TEST_F(AgentLostPages, OfAnEarlierBootAreOver) {
  AttemptRecord attempt = testing::example_attempt("run1", "run1-1");
  attempt.process.boot_id = "earlier";
  attempt.started_at.utc = start_.utc - start_.boot.time_since_epoch() - hours{1};
  PriceRow price = testing::example_price("24 USD");
  attempt.price_id = price.price_id;
  ledger()->add_price(price);
  ledger()->add_run(testing::example_run("run1"));
  ledger()->add_attempt(attempt);
  const auto agent = make_guard(agent_options());
  EXPECT_EQ(rounds(*agent, seconds{1}).concluded.size(), 1U);
  const AttemptSummary after = attempt_of("run1");
  EXPECT_EQ(after.account_state, "SUSPECT");
  EXPECT_EQ(after.uncertain_time, hours{1});
}

}  // namespace
}  // namespace finops::agent
