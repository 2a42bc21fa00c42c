// ledger_conformance_budgets.hpp - what every backend of the Ledger interface has to do: budgets.
//
// Owns: the tests of leases, limits, requests, rulings and random sequences of operations.
// Does not own: the fixture (ledger_conformance.hpp).
// Invariant: after every test each budget balances and `verify` finds nothing.
#pragma once

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "ledger_conformance.hpp"

namespace finops::testing {

// --- leases --------------------------------------------------------------------------------------

// Goal: a lease is what was wished for, or what is left. Method: the wish below, at and above what
// is available; only the wish moves.
TEST_P(LedgerConformance, LeasesWhatIsLeft) {
  struct Case {
    const char* wanted;
    const char* held;
    bool is_exhausted;
  };
  const Case cases[] = {{"9.999999999999", "9.999999999999", false},
                        {"10", "10", false},
                        {"10.000000000001", "10", true},
                        {"0", "0", false}};
  for (const Case& c : cases) {
    const std::string budget_id = std::string("b") + c.wanted;
    ledger().ensure_budget(example_budget(budget_id), terms_of(usd("10")));
    const AttemptId attempt_id = start(std::string("a") + c.wanted, true, {budget_id});
    const AttemptAccount account = settle(attempt_id, Nanoseconds{0}, usd(c.wanted));
    EXPECT_EQ(account.held.value(), usd(c.held)) << c.wanted;
    EXPECT_EQ(account.is_exhausted, c.is_exhausted) << c.wanted;
    EXPECT_EQ(accounts(budget_id).held, usd(c.held)) << c.wanted;
    EXPECT_EQ(accounts(budget_id).available, usd("10") - usd(c.held)) << c.wanted;
  }
  expect_clean();
}

// Goal: a lease debits the whole chain, as far as its tightest budget goes. Method: the parent has
// less than the experiment; a second attempt finds it empty; an approval ends the exhaustion.
TEST_P(LedgerConformance, LeasesFromTheWholeChain) {
  ledger().ensure_budget(example_budget("project"), terms_of(usd("5")));
  BudgetRecord experiment = example_budget("experiment");
  ledger().ensure_budget(experiment, terms_of(usd("50")));
  const AttemptId first = start("a1", true, {"experiment", "project"});
  const AttemptId second = start("a2", true, {"experiment", "project"});
  EXPECT_EQ(settle(first, seconds{0}, usd("6")).held.value(), usd("5"));
  EXPECT_EQ(accounts("experiment").held, usd("5"));
  EXPECT_EQ(accounts("project").available, usd("0"));
  EXPECT_EQ(ledger().budget(BudgetId{"project"}, example_time()).value().open_lease_count, 2);
  const AttemptAccount nothing = settle(second, seconds{0}, usd("1"));
  EXPECT_EQ(nothing.held.value(), usd("0"));
  EXPECT_TRUE(nothing.is_exhausted);
  ledger().change_terms(BudgetId{"project"}, terms_of(usd("7")), "ada", "more", example_time());
  EXPECT_FALSE(settle(second, seconds{1}, usd("1")).is_exhausted);
  expect_clean();
}

// Goal: what is metered past the lease comes out of what is available, then is overspent; no
// account goes below zero. Method: one hour at 24 USD/h at rising limits around its cost.
TEST_P(LedgerConformance, ShowsOverspentPastTheLimit) {
  struct Case {
    const char* limit;
    const char* available;
    const char* overspent;
  };
  const Case cases[] = {{"25", "1", "0"},
                        {"24", "0", "0"},
                        {"23.999999999999", "0", "0.000000000001"},
                        {"1", "0", "23"}};
  for (const Case& c : cases) {
    const std::string budget_id = std::string("b") + c.limit;
    ledger().ensure_budget(example_budget(budget_id), terms_of(usd(c.limit)));
    const AttemptId attempt_id = start(std::string("a") + c.limit, true, {budget_id});
    settle(attempt_id, seconds{0}, usd("1"));
    settle(attempt_id, hours{1});
    const BudgetAccounts after = accounts(budget_id);
    EXPECT_EQ(after.spent, usd("24")) << c.limit;
    EXPECT_EQ(after.held, usd("0")) << c.limit;
    EXPECT_EQ(after.available, usd(c.available)) << c.limit;
    EXPECT_EQ(after.overspent, usd(c.overspent)) << c.limit;
    EXPECT_TRUE(after.balances()) << c.limit;
  }
  expect_clean();
}

// --- limits --------------------------------------------------------------------------------------

// Goal: a budget is made once and never changed in passing. Method: the same again, then another
// limit, kind and currency.
TEST_P(LedgerConformance, EnsuresABudgetOnce) {
  const BudgetRecord budget = example_budget("b");
  ledger().ensure_budget(budget, terms_of(usd("10")));
  EXPECT_NO_THROW(ledger().ensure_budget(budget, terms_of(usd("10.0"))));
  EXPECT_EQ(ledger().budget_lines(budget.budget_id).size(), 1U);
  const std::string message =
      message_of([&] { ledger().ensure_budget(budget, terms_of(usd("10.000000000001"))); });
  EXPECT_NE(message.find("finops budget request"), std::string::npos) << message;
  EXPECT_EQ(code_of([&] { ledger().ensure_budget(budget, terms_of(usd("9"))); }), "BudgetMismatch");
  BudgetRecord other = budget;
  other.is_hard = false;
  EXPECT_EQ(code_of([&] { ledger().ensure_budget(other, terms_of(usd("10"))); }), "BudgetMismatch");
  other = budget;
  other.currency = Currency("EUR");
  EXPECT_EQ(code_of([&] { ledger().ensure_budget(other, terms_of(Money::parse("10 EUR"))); }),
            "BudgetMismatch");
  EXPECT_EQ(code_of([&] { ledger().ensure_budget(budget, terms_of(Money::parse("10 EUR"))); }),
            "CurrencyMismatch");
  EXPECT_EQ(code_of([&] { ledger().ensure_budget(example_budget("c"), terms_of(usd("-1"))); }),
            "InvalidMoney");
  EXPECT_FALSE(ledger().budget(BudgetId{"c"}, example_time()).has_value());
  EXPECT_EQ(accounts("b").limit, usd("10"));
}

// Goal: a limit can be lowered to what is spent and held, not below. Method: 3 USD spent, 2 held;
// one pico above, at and below 5.
TEST_P(LedgerConformance, LowersALimitToWhatIsInUse) {
  ledger().ensure_budget(example_budget("b"), terms_of(usd("10")));
  const AttemptId attempt_id = start("a1", true, {"b"});
  settle(attempt_id, seconds{450}, usd("2"));
  ASSERT_EQ(accounts("b").spent, usd("3"));
  const auto set = [&](const char* limit) {
    return code_of([&] {
      ledger().change_terms(BudgetId{"b"}, terms_of(usd(limit)), "ada", "less", example_time());
    });
  };
  EXPECT_EQ(set("5.000000000001"), "none");
  EXPECT_EQ(set("5"), "none");
  EXPECT_EQ(set("4.999999999999"), "InvalidArgument");
  EXPECT_EQ(set("-1"), "InvalidMoney");
  EXPECT_EQ(accounts("b").limit, usd("5"));
  EXPECT_EQ(accounts("b").available, usd("0"));
  EXPECT_EQ(code_of([&] {
              ledger().change_terms(BudgetId{"no"}, terms_of(usd("1")), "ada", "", example_time());
            }),
            "NotFound");
  EXPECT_EQ(code_of([&] {
              ledger().change_terms(BudgetId{"b"}, terms_of(Money::parse("9 EUR")), "ada", "",
                                    example_time());
            }),
            "CurrencyMismatch");
  expect_clean();
}

// Goal: a raised limit pays off what was overspent before it is lent again. Method: 23 USD
// overspent; the limit rises by less, by as much, by more.
TEST_P(LedgerConformance, PaysOffOverspentFirst) {
  ledger().ensure_budget(example_budget("b"), terms_of(usd("1")));
  const AttemptId attempt_id = start("a1", true, {"b"});
  settle(attempt_id, hours{1});
  ASSERT_EQ(accounts("b").overspent, usd("23"));
  struct Case {
    const char* limit;
    const char* overspent;
    const char* available;
  };
  for (const Case& c : {Case{"23", "1", "0"}, Case{"24", "0", "0"}, Case{"26.5", "0", "2.5"}}) {
    const BudgetAccounts after =
        ledger().change_terms(BudgetId{"b"}, terms_of(usd(c.limit)), "ada", "more", example_time());
    EXPECT_EQ(after.overspent, usd(c.overspent)) << c.limit;
    EXPECT_EQ(after.available, usd(c.available)) << c.limit;
  }
  const BudgetLine last = ledger().budget_lines(BudgetId{"b"}).back();
  EXPECT_EQ(last.who, "ada");
  EXPECT_EQ(last.why, "more");
  expect_clean();
}

// --- requests ------------------------------------------------------------------------------------

// Goal: a request is answered once. Method: approved, approved again, then denied; another denied.
TEST_P(LedgerConformance, RulesARequestOnce) {
  ledger().ensure_budget(example_budget("b"), terms_of(usd("10")));
  BudgetRequest request;
  request.request_id = RequestId{"r1"};
  request.budget_id = BudgetId{"b"};
  request.run_id = RunId{"run1"};
  request.amount = usd("2.5");
  request.who = "ada";
  request.why = "two more epochs";
  request.requested_at = example_time();
  ledger().add_request(request);
  EXPECT_NO_THROW(ledger().add_request(request));
  ASSERT_EQ(ledger().requests().size(), 1U);
  EXPECT_FALSE(ledger().requests()[0].ruling.has_value());
  const auto rule = [&](const char* id, bool is_approved) {
    return ledger().rule_request(RequestId{id}, is_approved, "grace", "ok", example_time());
  };
  const BudgetRuling ruling = rule("r1", true);
  EXPECT_EQ(ruling.old_limit, usd("10"));
  EXPECT_EQ(ruling.new_limit, usd("12.5"));
  EXPECT_EQ(rule("r1", true).new_limit, usd("12.5"));
  EXPECT_EQ(accounts("b").limit, usd("12.5")) << "raised once";
  EXPECT_EQ(code_of([&] { rule("r1", false); }), "Conflict");
  request.request_id = RequestId{"r2"};
  ledger().add_request(request);
  EXPECT_EQ(rule("r2", false).new_limit, usd("12.5"));
  EXPECT_EQ(code_of([&] { rule("r2", true); }), "Conflict");
  EXPECT_EQ(code_of([&] { rule("r9", true); }), "NotFound");
  EXPECT_EQ(accounts("b").limit, usd("12.5"));
  EXPECT_EQ(ledger().requests().at(1).ruling.value().who, "grace");
  expect_clean();
}

// Goal: a request is for something, of a budget that exists, in its currency. Method: one of them
// wrong at a time.
TEST_P(LedgerConformance, RefusesSenselessRequests) {
  ledger().ensure_budget(example_budget("b"), terms_of(usd("10")));
  const auto ask = [&](const char* budget_id, Money amount) {
    BudgetRequest request;
    request.request_id = RequestId{"r1"};
    request.budget_id = BudgetId{budget_id};
    request.amount = amount;
    return code_of([&] { ledger().add_request(request); });
  };
  EXPECT_EQ(ask("b", usd("0")), "InvalidMoney");
  EXPECT_EQ(ask("b", usd("-0.000000000001")), "InvalidMoney");
  EXPECT_EQ(ask("no", usd("1")), "NotFound");
  EXPECT_EQ(ask("b", Money::parse("1 EUR")), "CurrencyMismatch");
  EXPECT_TRUE(ledger().requests().empty());
  EXPECT_EQ(ask("b", usd("0.000000000001")), "none");
}

// --- any sequence --------------------------------------------------------------------------------

/// Takes random steps with attempts over a chain of budgets, and one without a budget.
class RandomWalk {
 public:
  RandomWalk(Ledger& ledger, std::vector<AttemptId> attempts, std::vector<std::string> budgets,
             std::uint64_t seed)
      : ledger_(ledger),
        attempts_(std::move(attempts)),
        budgets_(std::move(budgets)),
        random_(seed) {}

  /// Does one thing, which may be refused; says which for messages.
  std::string step() {
    const AttemptId attempt_id = attempts_[static_cast<std::size_t>(
        random_.between(0, static_cast<std::int64_t>(attempts_.size()) - 1))];
    const AttemptAccount account = ledger_.account(attempt_id);
    const Nanoseconds elapsed =
        account.settled + Nanoseconds{random_.between(-1'000'000'000, 400'000'000'000)};
    const std::int64_t kind = random_.between(1, 100);
    std::string what = attempt_id.str() + " kind " + std::to_string(kind) + ": ";
    return what + code_of([&] { act(kind, attempt_id, account, elapsed); });
  }

 private:
  void act(std::int64_t kind, const AttemptId& attempt_id, const AttemptAccount& account,
           Nanoseconds elapsed) {
    const UtcTime now = example_time() + elapsed;
    const std::int64_t epoch = account.epoch - (random_.chance(5) ? 1 : 0);
    if (kind <= 65) {
      const bool has_wish = account.held.has_value() && random_.chance(80);
      ledger_.settle({.attempt_id = attempt_id,
                      .epoch = epoch,
                      .elapsed = elapsed,
                      .now = now,
                      .wanted_hold = has_wish ? std::optional(amount()) : std::nullopt});
    } else if (kind <= 70) {
      const Nanoseconds gone_at = elapsed + Nanoseconds{random_.between(-5, 50) * 1'000'000'000};
      ledger_.close({.attempt_id = attempt_id,
                     .epoch = epoch,
                     .metered_until = elapsed,
                     .gone_at = gone_at,
                     .end = {.status = RunStatus::KILLED, .reason = "walk", .ended_at = now}});
    } else if (kind <= 75) {
      const SuspectOutcome outcome =
          random_.chance(50) ? SuspectOutcome::Spent : SuspectOutcome::Released;
      ledger_.settle_suspect(attempt_id, outcome, "walk", now);
    } else if (kind <= 95) {
      const BudgetId budget_id{budgets_[static_cast<std::size_t>(
          random_.between(0, static_cast<std::int64_t>(budgets_.size()) - 1))]};
      const Money limit = ledger_.budget(budget_id, example_time()).value().accounts.limit;
      ledger_.change_terms(budget_id,
                           terms_of(random_.chance(50) ? limit + amount() : limit - amount()),
                           "walk", "", now);
    } else {
      ledger_.price_attempt(attempt_id, example_price("24 USD"), 1, 3);
    }
  }
  Money amount() {
    return Money::from_picos(random_.between(0, 9'000'000'000'000), Currency::usd());
  }

  Ledger& ledger_;
  std::vector<AttemptId> attempts_;
  std::vector<std::string> budgets_;
  Random random_;
};

// Goal: whatever happens in whatever order, budgets balance, every attempt is charged the price of
// its time, and the journal explains the balances. Method: 250 random steps, seed printed.
TEST_P(LedgerConformance, BalancesAfterAnySequence) {
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE("FINOPS_TEST_SEED=" + std::to_string(seed));
  ledger().ensure_budget(example_budget("project"), terms_of(usd("20")));
  BudgetRecord experiment = example_budget("experiment");
  ledger().ensure_budget(experiment, terms_of(usd("30")));
  std::vector<AttemptId> attempts;
  for (int i = 0; i < 6; ++i) {
    const std::string attempt_id = "a" + std::to_string(i);
    attempts.push_back(i == 5 ? start(attempt_id, false)
                              : start(attempt_id, true, {"experiment", "project"}));
  }
  RandomWalk walk(ledger(), attempts, {"experiment", "project"}, seed);
  for (int i = 0; i < 250; ++i) {
    const std::string what = walk.step();
    ASSERT_EQ(what.find("Internal"), std::string::npos) << "step " << i << ", " << what;
    ASSERT_TRUE(accounts("experiment").balances()) << "step " << i << ", " << what;
    ASSERT_TRUE(accounts("project").balances()) << "step " << i << ", " << what;
    ASSERT_EQ(accounts("experiment").spent, accounts("project").spent) << "one chain for all";
    for (const AttemptId& attempt_id : attempts) {
      const AttemptAccount account = ledger().account(attempt_id);
      if (account.rate.has_value()) {
        ASSERT_EQ(account.charged.value(), account.rate->cost_of(account.settled))
            << "step " << i << ", " << what;
      }
    }
    if (i % 50 == 0) {
      expect_clean();
    }
  }
  expect_clean();
}

// Goal: what one ledger wrote another sees, at once and after all are closed. Method: two open at
// the same time, then a third.
TEST_P(LedgerConformance, IsSharedBetweenOpenLedgers) {
  const std::unique_ptr<Ledger> second = store_->open();
  ledger().ensure_budget(example_budget("b"), terms_of(usd("10")));
  EXPECT_TRUE(second->budget(BudgetId{"b"}, example_time()).has_value());
  second->change_terms(BudgetId{"b"}, terms_of(usd("11")), "ada", "", example_time());
  EXPECT_EQ(accounts("b").limit, usd("11"));
  ledger_.reset();
  const std::unique_ptr<Ledger> third = store_->open();
  EXPECT_EQ(third->budget(BudgetId{"b"}, example_time()).value().accounts.limit, usd("11"));
  EXPECT_TRUE(third->verify().is_clean());
}

}  // namespace finops::testing
