// ledger_conformance_approvals.hpp - what every backend has to do: an approval raises a limit once.
//
// Owns: the tests of replayed, expired, merged and forged-looking requests and rulings, and any
// sequence of them. Does not own: single requests (ledger_conformance_{budgets,hierarchy}.hpp).
// Invariant: a limit is what it was set to, plus each approved request once.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "ledger_conformance.hpp"

namespace finops::testing {

class LedgerApprovals : public LedgerConformance {
 protected:
  static constexpr Nanoseconds kDay = hours{24};

  void make(const std::string& budget_id, Money limit, const std::string& period = "lifetime") {
    BudgetRecord budget = example_budget(budget_id);
    budget.scope = parse_budget_id(budget.budget_id);
    budget.period = Period::parse(period);
    BudgetTerms terms = terms_of(limit);
    terms.approvers = {"grace"};
    budget.created_by = "grace";
    ledger().ensure_budget(budget, terms);
  }

  std::string rule(const std::string& id, bool is_approved, const std::string& who, UtcTime now) {
    return code_of([&] { ledger().rule_request(RequestId{id}, is_approved, who, "answer", now); });
  }

  Money limit_at(const std::string& budget_id, UtcTime now) {
    return ledger().budget(BudgetId{budget_id}, now).value().accounts.limit;
  }
};

// Goal: an id names one request for good. Method: the same again, then with one field moved at a
// time, before and after it was approved.
TEST_P(LedgerApprovals, ARequestIsWhatItWasFirst) {
  make("team:a", usd("10"));
  make("team:b", usd("10"));
  const BudgetRequest first = example_request("r1", "team:a", usd("1"));
  ledger().add_request(first);
  const auto expect_fixed = [&] {
    EXPECT_EQ(code_of([&] { ledger().add_request(first); }), "none");
    std::vector<BudgetRequest> others(5, first);
    others[0].amount = usd("1000");
    others[1].budget_id = BudgetId{"team:b"};
    others[2].who = "mallory";
    others[3].expires_at = example_time() + kDay;
    others[4].requested_at = example_time() + kDay;
    for (const BudgetRequest& other : others) {
      EXPECT_EQ(code_of([&] { ledger().add_request(other); }), "Conflict");
    }
    ASSERT_EQ(ledger().requests().size(), 1U);
    EXPECT_EQ(ledger().requests()[0].request.amount, usd("1"));
  };
  expect_fixed();
  EXPECT_EQ(rule("r1", true, "grace", example_time()), "none");
  expect_fixed();
  EXPECT_EQ(rule("r1", true, "grace", example_time()), "none") << "the same answer";
  EXPECT_EQ(limit_at("team:a", example_time()), usd("11"));
  EXPECT_EQ(limit_at("team:b", example_time()), usd("10"));
  expect_clean();
}

// Goal: an approval counts in the period in which it was given, and again in none. Method: approved
// in one month, approved once more in the next.
TEST_P(LedgerApprovals, AReplayInTheNextPeriodRaisesNothing) {
  make("team:a", usd("10"), "month");
  ledger().add_request(example_request("r1", "team:a", usd("5")));
  const UtcTime later = example_time() + 40 * kDay;
  EXPECT_EQ(rule("r1", true, "grace", example_time()), "none");
  EXPECT_EQ(rule("r1", true, "grace", later), "none");
  EXPECT_EQ(limit_at("team:a", example_time()), usd("15"));
  EXPECT_EQ(limit_at("team:a", later), usd("10"));
  expect_clean();
}

// Goal: only who is entitled gives an answer, and what was refused can be answered still. Method:
// somebody else approves, denies and changes the approvers; then the one who may.
TEST_P(LedgerApprovals, OnlyApproversAnswer) {
  make("team:a", usd("10"));
  ledger().add_request(example_request("r1", "team:a", usd("5")));
  for (const char* who : {"ada", "mallory", "", "grace ", "Grace", "grace,mallory"}) {
    EXPECT_EQ(rule("r1", true, who, example_time()), "NotEntitled") << who;
    EXPECT_EQ(rule("r1", false, who, example_time()), "NotEntitled") << who;
    BudgetTerms own = terms_of(usd("10"));
    own.approvers = {"mallory"};
    EXPECT_EQ(code_of([&] {
                ledger().change_terms(BudgetId{"team:a"}, own, who, "mine", example_time());
              }),
              "NotEntitled")
        << who;
  }
  EXPECT_EQ(limit_at("team:a", example_time()), usd("10"));
  EXPECT_EQ(rule("r1", true, "grace", example_time()), "none");
  EXPECT_EQ(limit_at("team:a", example_time()), usd("15"));
}

// Goal: nobody makes himself an approver below a budget that names some. Method: a project below a
// team is made with approvers of its own by somebody who is none, then without, then by one.
TEST_P(LedgerApprovals, ANewBudgetBelowDoesNotNameOthers) {
  make("team:a", usd("10"));
  ledger().set_parent({BudgetId{"project:vision"}, BudgetId{"team:a"}, "ada", example_time()});
  BudgetRecord project = example_budget("project:vision");
  project.scope = BudgetScope::Project;
  project.created_by = "mallory";
  BudgetTerms terms = terms_of(usd("1000"));
  terms.approvers = {"mallory"};
  EXPECT_EQ(code_of([&] { ledger().ensure_budget(project, terms); }), "NotEntitled");
  EXPECT_FALSE(ledger().budget(BudgetId{"project:vision"}, example_time()).has_value());
  terms.approvers.clear();
  EXPECT_EQ(code_of([&] { ledger().ensure_budget(project, terms); }), "none")
      << "it adds a limit and takes none away";
  BudgetRecord experiment = example_budget("experiment:vision/resnet");
  experiment.created_by = "grace";
  terms.approvers = {"ada"};
  EXPECT_EQ(code_of([&] { ledger().ensure_budget(experiment, terms); }), "none");
}

// Goal: a ruling that another file carries is not taken. Method: the requests of two ledgers have
// the same ids; theirs is approved with another amount, ours is open; merged twice, and answered.
TEST_P(LedgerApprovals, AMergeBringsNoApproval) {
  make("team:a", usd("10"));
  const std::unique_ptr<LedgerStore> other_store = GetParam().make_store();
  const std::unique_ptr<Ledger> other = other_store->open();
  BudgetRecord budget = example_budget("team:a");
  budget.scope = BudgetScope::Team;
  other->ensure_budget(budget, terms_of(usd("10")));
  other->add_request(example_request("r1", "team:a", usd("100")));
  other->rule_request(RequestId{"r1"}, true, "mallory", "", example_time());
  ledger().add_request(example_request("r1", "team:a", usd("1")));
  TempDir folder;
  other->copy_to(folder / "other.db");
  for (int i = 0; i < 2; ++i) {
    ledger().merge(folder / "other.db", example_time());
    EXPECT_EQ(limit_at("team:a", example_time()), usd("10"));
    ASSERT_EQ(ledger().requests().size(), 1U);
    EXPECT_FALSE(ledger().requests()[0].ruling.has_value());
  }
  EXPECT_EQ(rule("r1", true, "grace", example_time()), "none");
  EXPECT_EQ(limit_at("team:a", example_time()), usd("11"));
  expect_clean();
}

// Goal: an amount that would leave the range is refused as a whole. Method: the largest limit, one
// pico more.
TEST_P(LedgerApprovals, AnApprovalThatOverflowsChangesNothing) {
  const Money limit = usd("9223372036854775807.999999999999");
  make("team:a", limit);
  ledger().add_request(example_request("r1", "team:a", usd("0.000000000001")));
  EXPECT_EQ(rule("r1", true, "grace", example_time()), "Overflow");
  EXPECT_EQ(limit_at("team:a", example_time()), limit);
  EXPECT_FALSE(ledger().requests()[0].ruling.has_value());
  expect_clean();
}

/// What limits should be, told in the plainest way.
struct ExpectedBudget {
  Period period;
  Money terms_limit;
  std::map<UtcTime, Money> windows;  ///< those that were opened, by their start

  Money& window(UtcTime now) {
    return windows.try_emplace(period.window_at(now).start, terms_limit).first->second;
  }
  void set(Money limit, UtcTime now) {
    (void)window(now);
    if (limit != terms_limit) {
      for (auto& [start, window_limit] : windows) {
        window_limit = start >= period.window_at(now).start ? limit : window_limit;
      }
    }
    terms_limit = limit;
  }
  void approve(Money amount, UtcTime now) {
    window(now) += amount;
    terms_limit = period.is_lifetime() ? window(now) : terms_limit;
  }
};

/// Asks, answers, repeats, changes and lets expire at random, and keeps a plain model beside it.
class ApprovalWalk {
 public:
  ApprovalWalk(Ledger& ledger, std::uint64_t seed) : ledger_(ledger), random_(seed) {}

  void know(const std::string& budget_id, const std::string& period, Money limit) {
    ExpectedBudget budget{.period = Period::parse(period), .terms_limit = limit, .windows = {}};
    (void)budget.window(example_time());
    expected_.emplace(budget_id, std::move(budget));
    ids_.push_back(budget_id);
  }

  /// Does one thing that is expected to end as the model says.
  void step() {
    now_ = example_time() + random_.between(0, 120) * hours{24};
    who_ = random_.chance(80) ? "grace" : "mallory";
    const std::int64_t kind = random_.between(1, 100);
    if (kind <= 25 || asked_.empty()) {
      ask();
    } else if (kind <= 35) {
      ask_again();
    } else if (kind <= 80) {
      answer();
    } else if (kind <= 90) {
      change_terms();
    } else {
      expire();
    }
  }

  /// The first limit that is not what the model says; empty: none.
  [[nodiscard]] std::string find_difference() {
    for (const auto& [budget_id, budget] : expected_) {
      for (const auto& [start, limit] : budget.windows) {
        const UtcTime inside = start == UtcTime{} ? example_time() : start;
        const Money found = ledger_.budget(BudgetId{budget_id}, inside).value().accounts.limit;
        if (found != limit) {
          return budget_id + ": " + found.str() + ", not " + limit.str();
        }
      }
    }
    return {};
  }
  [[nodiscard]] int approved_count() const noexcept { return approved_count_; }

 private:
  struct Asked {
    BudgetRequest request;
    std::string answer;  ///< approved, denied, expired; empty: none yet
  };

  template <class Items>
  auto& any_of(Items& items) {
    return items[static_cast<std::size_t>(
        random_.between(0, static_cast<std::int64_t>(items.size()) - 1))];
  }
  Money amount() { return usd(std::to_string(random_.between(1, 50))); }

  void ask() {
    Asked asked;
    asked.request.request_id = RequestId{"r" + std::to_string(asked_.size())};
    asked.request.budget_id = BudgetId{any_of(ids_)};
    asked.request.amount = amount();
    asked.request.requested_at = example_time();
    if (random_.chance(40)) {
      asked.request.expires_at = example_time() + random_.between(1, 120) * hours{24};
    }
    ledger_.add_request(asked.request);
    asked_.push_back(std::move(asked));
  }

  void ask_again() {
    BudgetRequest request = any_of(asked_).request;
    ledger_.add_request(request);
    request.amount += usd("1");
    EXPECT_EQ(code_of([&] { ledger_.add_request(request); }), "Conflict");
  }

  void answer() {
    Asked& asked = any_of(asked_);
    const BudgetRequest& request = asked.request;
    const bool is_approved = random_.chance(60);
    const std::string wish = is_approved ? "approved" : "denied";
    std::string code = "none";
    if (!asked.answer.empty()) {
      code = asked.answer == wish ? "none" : "Conflict";
    } else if (request.expires_at != UtcTime{} && now_ >= request.expires_at) {
      code = "Conflict";
    } else if (who_ != "grace") {
      code = "NotEntitled";
    } else {
      asked.answer = wish;
      ExpectedBudget& budget = expected_.at(request.budget_id.str());
      (void)budget.window(now_);
      if (is_approved) {
        ++approved_count_;
        budget.approve(request.amount, now_);
      }
    }
    EXPECT_EQ(code_of([&] {
                ledger_.rule_request(request.request_id, is_approved, who_, "walk", now_);
              }),
              code)
        << request.request_id.str();
  }

  void change_terms() {
    const std::string& id = any_of(ids_);
    BudgetTerms terms = terms_of(amount());
    terms.approvers = {"grace"};
    const std::string code =
        code_of([&] { ledger_.change_terms(BudgetId{id}, terms, who_, "walk", now_); });
    EXPECT_EQ(code, who_ == "grace" ? "none" : "NotEntitled");
    if (who_ == "grace") {
      expected_.at(id).set(terms.limit, now_);
    }
  }

  void expire() {
    ledger_.expire_requests(now_);
    for (Asked& asked : asked_) {
      const UtcTime at = asked.request.expires_at;
      if (asked.answer.empty() && at != UtcTime{} && now_ >= at) {
        asked.answer = "expired";
        (void)expected_.at(asked.request.budget_id.str()).window(now_);
      }
    }
  }

  Ledger& ledger_;
  Random random_;
  std::map<std::string, ExpectedBudget> expected_;
  std::vector<std::string> ids_;
  std::vector<Asked> asked_;
  UtcTime now_{};
  std::string who_;
  int approved_count_ = 0;
};

// Goal: whatever is asked, answered, repeated, refused, expired and changed in whatever order, each
// limit is what it was set to plus each approved request once. Method: 400 random steps on a
// budget for life and a monthly one over four months, against a plain model; seed printed.
TEST_P(LedgerApprovals, LimitsAreTermsPlusEachApprovalOnce) {
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE("FINOPS_TEST_SEED=" + std::to_string(seed));
  ApprovalWalk walk(ledger(), seed);
  for (const char* period : {"lifetime", "month"}) {
    const std::string id = std::string("team:") + period;
    make(id, usd("100"), period);
    walk.know(id, period, usd("100"));
  }
  for (int step = 0; step < 400; ++step) {
    walk.step();
    ASSERT_EQ(walk.find_difference(), "") << "step " << step;
    ASSERT_FALSE(HasFailure()) << "step " << step;
  }
  EXPECT_GT(walk.approved_count(), 10) << "the walk met approvals";
  expect_clean();
}

}  // namespace finops::testing
