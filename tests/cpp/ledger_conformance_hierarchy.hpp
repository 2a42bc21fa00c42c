// ledger_conformance_hierarchy.hpp - what every backend has to do: hierarchies, periods, people.
//
// Owns: the tests of chains, soft against hard, calendar periods, burn caps, approvers, requests
// that expire, and notices. The attempts cost 24 USD/h: 1 USD is 150 s.
#pragma once

#include "ledger_conformance.hpp"
#include "ledger_conformance_budgets.hpp"

namespace finops::testing {

class LedgerHierarchy : public LedgerConformance {
 protected:
  void make(const std::string& budget_id, Money limit, bool is_hard = true,
            const std::string& period = "lifetime") {
    BudgetRecord budget = example_budget(budget_id);
    budget.scope = parse_budget_id(budget.budget_id);
    budget.is_hard = is_hard;
    budget.period = Period::parse(period);
    ledger().ensure_budget(budget, terms_of(limit));
  }

  void belongs(const std::string& child, const std::string& parent,
               const std::string& who = "ada") {
    ledger().set_parent({BudgetId{child}, BudgetId{parent}, who, example_time()});
  }

  [[nodiscard]] std::vector<std::string> chain(const std::string& user = "ada") {
    std::vector<std::string> ids;
    for (const BudgetSummary& budget :
         ledger().budget_chain("vision", "resnet", user, example_time())) {
      ids.push_back(budget.budget.budget_id.str());
    }
    return ids;
  }

  [[nodiscard]] BudgetAccounts accounts_at(const std::string& budget_id, UtcTime now) {
    return ledger().budget(BudgetId{budget_id}, now).value().accounts;
  }

  [[nodiscard]] std::vector<std::string> notices(NoticeKind kind) {
    std::vector<std::string> texts;
    for (const Notice& notice : ledger().notices(0, 1'000)) {
      if (notice.kind == kind) {
        texts.push_back(notice.text);
      }
    }
    return texts;
  }

  void ask(const std::string& id, const std::string& budget_id, Money amount,
           UtcTime expires_at = {}) {
    ledger().add_request(testing::example_request(id, budget_id, amount, expires_at));
  }

  std::string rule(const std::string& id, bool is_approved, const std::string& who = "grace",
                   UtcTime now = example_time()) {
    return code_of([&] { ledger().rule_request(RequestId{id}, is_approved, who, "", now); });
  }
};

// --- chains --------------------------------------------------------------------------------------

// Goal: a run debits its experiment, its project, what that belongs to, and its user. Method: the
// chain while budgets and memberships come and go; levels without a budget are passed by.
TEST_P(LedgerHierarchy, FindsTheChain) {
  EXPECT_TRUE(chain().empty());
  make("experiment:vision/resnet", usd("1"));
  belongs("project:vision", "team:research");  // the project has no budget of its own
  belongs("team:research", "organisation:acme");
  make("organisation:acme", usd("9"));
  make("user:ada", usd("2"));
  using Ids = std::vector<std::string>;
  EXPECT_EQ(chain(), (Ids{"experiment:vision/resnet", "organisation:acme", "user:ada"}));
  EXPECT_EQ(chain("grace"), (Ids{"experiment:vision/resnet", "organisation:acme"}));
  make("project:vision", usd("5"));
  EXPECT_EQ(chain("x"), (Ids{"experiment:vision/resnet", "project:vision", "organisation:acme"}));
  belongs("project:vision", "");
  EXPECT_EQ(chain("x"), (Ids{"experiment:vision/resnet", "project:vision"}));
  EXPECT_EQ(ledger().memberships().size(), 1U);
}

// Goal: what belongs to what makes sense: the parent is larger, so that no circle can be. Method:
// links upwards, sideways, downwards and of users.
TEST_P(LedgerHierarchy, BelongsToALargerScope) {
  belongs("project:vision", "organisation:b");
  belongs("project:vision", "team:a");
  belongs("team:a", "organisation:b");
  const std::pair<const char*, const char*> wrong[] = {{"organisation:b", "project:vision"},
                                                       {"team:a", "team:a"},
                                                       {"team:a", "team:c"},
                                                       {"user:ada", "team:a"},
                                                       {"project:vision", "user:ada"},
                                                       {"squad:x", "team:a"},
                                                       {"project:vision", "team"}};
  for (const auto& [child, parent] : wrong) {
    EXPECT_EQ(code_of([&, c = child, p = parent] { belongs(c, p); }), "InvalidArgument") << child;
  }
  EXPECT_EQ(ledger().memberships().size(), 2U);
}

// Goal: one settlement debits all budgets above a run, and the scarcest hard one decides. Method:
// three levels of which the middle has least.
TEST_P(LedgerHierarchy, DebitsEveryBudgetAbove) {
  make("experiment:vision/resnet", usd("10"));
  make("project:vision", usd("3"));
  make("user:ada", usd("50"));
  const AttemptId a = start("a", true, {"experiment:vision/resnet", "project:vision", "user:ada"});
  EXPECT_EQ(settle(a, seconds{0}, usd("2")).held.value(), usd("2"));
  const AttemptAccount after = settle(a, seconds{150}, usd("4"));
  EXPECT_EQ(after.held.value(), usd("2")) << "1 of 3 is spent, 2 are left";
  EXPECT_TRUE(after.is_exhausted);
  for (const char* id : {"experiment:vision/resnet", "project:vision", "user:ada"}) {
    EXPECT_EQ(accounts(id).spent, usd("1")) << id;
    EXPECT_EQ(accounts(id).held, usd("2")) << id;
  }
  expect_clean();
}

// Goal: a soft budget never limits a run, and shows what went past it. Method: a soft one that is
// used up below a hard one with plenty.
TEST_P(LedgerHierarchy, SoftWarnsAndHardDecides) {
  make("experiment:vision/resnet", usd("1"), false);
  make("project:vision", usd("10"));
  const AttemptId a = start("a", true, {"experiment:vision/resnet", "project:vision"});
  settle(a, seconds{0}, usd("2"));
  const AttemptAccount after = settle(a, seconds{300}, usd("2"));
  EXPECT_FALSE(after.is_exhausted);
  EXPECT_EQ(after.held.value(), usd("2"));
  const BudgetAccounts soft = accounts("experiment:vision/resnet");
  EXPECT_EQ(soft.spent, usd("2"));
  EXPECT_EQ(soft.overspent, usd("1"));
  EXPECT_EQ(soft.held, usd("0"));
  const std::vector<OverspentEntry> past = ledger().overspent(BudgetId{"experiment:vision/resnet"});
  ASSERT_EQ(past.size(), 1U);
  EXPECT_EQ(past[0].amount, usd("1"));
  EXPECT_EQ(past[0].attempt_id, a);
  EXPECT_NE(past[0].why.find("vision/resnet"), std::string::npos) << past[0].why;
  EXPECT_EQ(notices(NoticeKind::Overspent).size(), 1U);
  expect_clean();
}

// --- periods -------------------------------------------------------------------------------------

// Goal: a lease that reaches over the end of a day takes each part from its own day, and what is
// used is charged to the day it was used in. Method: the example time is 16:00 UTC; an attempt that
// starts 100 s before midnight in Tokyo (15:00 UTC the day before, so 23 h later) settles across
// it.
TEST_P(LedgerHierarchy, RollsOverInTheMiddleOfALease) {
  make("project:vision", usd("5"), true, "day@Asia/Tokyo");
  const UtcTime midnight = example_time() + hours{23};  // 15:00 UTC
  ledger().add_run(example_run("run-a"));
  AttemptRecord attempt = example_attempt("run-a", "a");
  attempt.started_at.utc = midnight - seconds{150};
  attempt.price_id = price_.price_id;
  attempt.budget_chain = {BudgetId{"project:vision"}};
  ledger().add_attempt(attempt);
  const AttemptId a{"a"};
  EXPECT_EQ(settle(a, seconds{0}, usd("3")).held.value(), usd("3"));
  EXPECT_EQ(accounts_at("project:vision", midnight - seconds{1}).held, usd("1"));
  EXPECT_EQ(accounts_at("project:vision", midnight).held, usd("2"));
  settle(a, seconds{300}, usd("1"));
  const BudgetAccounts old_day = accounts_at("project:vision", midnight - seconds{1});
  EXPECT_EQ(old_day.spent, usd("1"));
  EXPECT_EQ(old_day.held, usd("0"));
  const BudgetAccounts new_day = accounts_at("project:vision", midnight);
  EXPECT_EQ(new_day.spent, usd("1"));
  EXPECT_EQ(new_day.held, usd("1"));
  EXPECT_EQ(new_day.available, usd("3"));
  EXPECT_EQ(accounts_at("project:vision", midnight + hours{24}).available, usd("5"));
  expect_clean();
}

// Goal: a run that used up its day waits for the next one, not for ever. Method: 1 USD a day; at
// the end of the money the lease ends with it although the next day has plenty; after midnight
// there is money again.
TEST_P(LedgerHierarchy, HasMoneyAgainInTheNextPeriod) {
  make("project:vision", usd("1"), true, "day");
  const AttemptId a = start("a", true, {"project:vision"});  // 16:00 UTC
  EXPECT_TRUE(settle(a, seconds{0}, usd("2")).is_exhausted);
  const AttemptAccount done = settle(a, seconds{150}, usd("1"));
  EXPECT_TRUE(done.is_exhausted);
  EXPECT_EQ(done.held.value(), usd("0"));
  close(a, seconds{150}, seconds{150});
  EXPECT_EQ(accounts_at("project:vision", example_time() + hours{8}).available, usd("1"));
  expect_clean();
}

// Goal: late reports count in the period in which the time was used. Method: nobody settles for
// two days; 24 USD/h over three calendar days.
TEST_P(LedgerHierarchy, ChargesLateReportsToTheirPeriod) {
  make("project:vision", usd("1000"), true, "day");
  const AttemptId a = start("a", true, {"project:vision"});  // 16:00 UTC
  settle(a, hours{40});
  EXPECT_EQ(accounts_at("project:vision", example_time()).spent, usd("192"));  // 8 h
  EXPECT_EQ(accounts_at("project:vision", example_time() + hours{8}).spent, usd("576"));
  EXPECT_EQ(accounts_at("project:vision", example_time() + hours{32}).spent, usd("192"));
  EXPECT_EQ(ledger().account(a).charged.value(), usd("960"));
  expect_clean();
}

// Goal: uncertain time over a period's end is held and settled in both. Method: the process was
// last seen 150 s before midnight and was gone 150 s after it.
TEST_P(LedgerHierarchy, HoldsUncertainTimeInBothPeriods) {
  make("project:vision", usd("500"), true, "day");
  const AttemptId a = start("a", true, {"project:vision"});
  const Nanoseconds to_midnight = hours{8};
  close(a, to_midnight - seconds{150}, to_midnight + seconds{150});
  EXPECT_EQ(accounts_at("project:vision", example_time()).held, usd("1"));
  EXPECT_EQ(accounts_at("project:vision", example_time() + to_midnight).held, usd("1"));
  ASSERT_EQ(ledger().suspects().size(), 1U);
  EXPECT_EQ(ledger().suspects()[0].uncertain_time, seconds{300});
  expect_clean();
  ledger().settle_suspect(a, SuspectOutcome::Spent, "ada", example_time() + hours{9});
  EXPECT_EQ(accounts_at("project:vision", example_time()).held, usd("0"));
  EXPECT_EQ(accounts_at("project:vision", example_time() + to_midnight).spent, usd("1"));
  expect_clean();
}

// Goal: an approval holds for its period, a new limit from then on. Method: both on a daily budget.
TEST_P(LedgerHierarchy, RaisesOnePeriodOrAll) {
  make("project:vision", usd("5"), true, "day");
  const UtcTime tomorrow = example_time() + hours{24};
  ask("r1", "project:vision", usd("2"));
  ASSERT_EQ(rule("r1", true), "none");
  EXPECT_EQ(accounts_at("project:vision", example_time()).limit, usd("7"));
  EXPECT_EQ(accounts_at("project:vision", tomorrow).limit, usd("5"));
  BudgetTerms terms = ledger().budget(BudgetId{"project:vision"}, example_time())->terms;
  terms.max_duration = hours{2};
  ledger().change_terms(BudgetId{"project:vision"}, terms, "grace", "shorter", example_time());
  EXPECT_EQ(accounts_at("project:vision", example_time()).limit, usd("7")) << "it keeps the rise";
  terms.limit = usd("9");
  ledger().change_terms(BudgetId{"project:vision"}, terms, "grace", "more", example_time());
  EXPECT_EQ(accounts_at("project:vision", example_time()).limit, usd("9"));
  EXPECT_EQ(accounts_at("project:vision", tomorrow).limit, usd("9"));
  EXPECT_EQ(ledger().terms_history(BudgetId{"project:vision"}).size(), 3U);
  expect_clean();
}

// Goal: the accounts of every budget and window balance whatever happens in whatever order, across
// period ends, soft and hard together. Method: 250 random steps over a chain of a lifetime, a day
// that ends 1 h later, a soft month and a soft lifetime budget; seed printed.
TEST_P(LedgerHierarchy, BalancesAfterAnySequenceOverPeriods) {
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE("FINOPS_TEST_SEED=" + std::to_string(seed));
  make("experiment:vision/resnet", usd("200"));
  make("project:vision", usd("160"), true, "day@Asia/Bangkok");
  make("team:research", usd("120"), false, "month@Asia/Bangkok");
  make("user:ada", usd("5"), false);
  const std::vector<std::string> all{"experiment:vision/resnet", "project:vision", "team:research",
                                     "user:ada"};
  std::vector<AttemptId> attempts;
  attempts.reserve(6);
  for (int i = 0; i < 6; ++i) {
    attempts.push_back(start("a" + std::to_string(i), i != 5,
                             i == 5 ? std::vector<std::string>{} : all));
  }
  for (const AttemptId& attempt_id : attempts) {
    settle(attempt_id, minutes{50});  // near the end of the day, so that the walk passes it
  }
  RandomWalk walk(ledger(), attempts, all, seed);
  for (int i = 0; i < 250; ++i) {
    const std::string what = walk.step();
    ASSERT_EQ(what.find("Internal"), std::string::npos) << "step " << i << ", " << what;
    for (const std::string& budget_id : all) {
      for (const Nanoseconds later : {Nanoseconds{0}, Nanoseconds{hours{1}}}) {
        ASSERT_TRUE(accounts_at(budget_id, example_time() + later).balances())
            << "step " << i << ", " << what;
      }
    }
    if (i % 25 == 0) {
      expect_clean();
    }
  }
  const Money today = accounts_at("project:vision", example_time()).spent;
  const Money tomorrow = accounts_at("project:vision", example_time() + hours{1}).spent;
  EXPECT_FALSE(tomorrow.is_zero()) << "the walk has to pass the end of the day";
  EXPECT_EQ(today + tomorrow, accounts("experiment:vision/resnet").spent)
      << "no cent left the days";
  expect_clean();
}

// --- burn cap ------------------------------------------------------------------------------------

// Goal: together runs cost no more in an hour than the cap, to the last pico. Method: runs of 24
// USD/h under caps below, at and above two of them; one that ends makes room.
TEST_P(LedgerHierarchy, CapsTheBurn) {
  make("project:vision", usd("1000"));
  BudgetTerms terms = terms_of(usd("1000"));
  const auto cap = [&](const char* amount) {
    terms.burn_cap_per_hour = usd(amount);
    ledger().change_terms(BudgetId{"project:vision"}, terms, "ada", "", example_time());
  };
  cap("47.999999999999");
  const AttemptId a = start("a", true, {"project:vision"});
  const std::string message = message_of([&] { start("b", true, {"project:vision"}); });
  EXPECT_NE(message.find("47.999999999999 USD per hour"), std::string::npos) << message;
  EXPECT_EQ(code_of([&] { start("b", true, {"project:vision"}); }), "BurnCapExceeded");
  cap("48");
  EXPECT_EQ(code_of([&] { start("b", true, {"project:vision"}); }), "none");
  EXPECT_EQ(ledger().budget(BudgetId{"project:vision"}, example_time())->burn_per_hour, usd("48"));
  EXPECT_EQ(code_of([&] { start("c", true, {"project:vision"}); }), "BurnCapExceeded");
  close(a, seconds{1}, seconds{1});
  EXPECT_EQ(code_of([&] { start("d", true, {"project:vision"}); }), "none");
  expect_clean();
}

// --- people --------------------------------------------------------------------------------------

// Goal: only an approver of a budget, or of the next one above that names some, answers and changes
// limits or leaves. Method: everybody, then a list on the team.
TEST_P(LedgerHierarchy, AsksTheApprovers) {
  make("experiment:vision/resnet", usd("5"));
  make("team:research", usd("50"));
  ask("r1", "experiment:vision/resnet", usd("1"));
  EXPECT_EQ(rule("r1", true, "anybody"), "none");
  belongs("project:vision", "team:research");
  BudgetTerms terms = terms_of(usd("50"));
  terms.approvers = {"grace", "linus"};
  ledger().change_terms(BudgetId{"team:research"}, terms, "ada", "", example_time());
  ask("r2", "experiment:vision/resnet", usd("1"));
  EXPECT_EQ(rule("r2", true, "ada"), "NotEntitled");
  EXPECT_EQ(rule("r2", false, "ada"), "NotEntitled");
  EXPECT_EQ(rule("r2", true, "linus"), "none");
  terms.approvers = {};
  EXPECT_EQ(code_of([&] {
              ledger().change_terms(BudgetId{"team:research"}, terms, "ada", "", example_time());
            }),
            "NotEntitled");
  EXPECT_EQ(code_of([&] {
              ledger().change_terms(BudgetId{"experiment:vision/resnet"}, terms_of(usd("99")),
                                    "ada", "", example_time());
            }),
            "NotEntitled");
  EXPECT_EQ(code_of([&] { belongs("project:vision", "", "ada"); }), "NotEntitled");
  EXPECT_EQ(code_of([&] { belongs("project:vision", "", "grace"); }), "none");
  EXPECT_EQ(accounts("experiment:vision/resnet").limit, usd("7"));
}

// Goal: a request that nobody answers in time is over, and no approval comes after that. Method:
// just before, at, and after its time; with and without the agent's sweep.
TEST_P(LedgerHierarchy, LetsRequestsExpire) {
  make("project:vision", usd("5"));
  const UtcTime end = example_time() + hours{1};
  ask("early", "project:vision", usd("1"), end);
  ask("late", "project:vision", usd("1"), end);
  ask("swept", "project:vision", usd("1"), end);
  ask("never", "project:vision", usd("1"));
  EXPECT_EQ(rule("early", true, "grace", end - Nanoseconds{1}), "none");
  EXPECT_EQ(rule("late", true, "grace", end), "Conflict");
  EXPECT_EQ(ledger().expire_requests(end - Nanoseconds{1}), 0U);
  EXPECT_EQ(ledger().expire_requests(end), 2U);
  EXPECT_EQ(ledger().expire_requests(end + hours{99}), 0U);
  EXPECT_EQ(rule("swept", true, "grace", end), "Conflict");
  EXPECT_EQ(rule("never", true, "grace", end + hours{99}), "none");
  EXPECT_EQ(notices(NoticeKind::Expired).size(), 2U);
  EXPECT_EQ(accounts("project:vision").limit, usd("7"));
  expect_clean();
}

// Goal: two who approve at once raise the limit once. Method: two open ledgers, the same request.
TEST_P(LedgerHierarchy, TwoApprovalsAreOne) {
  make("project:vision", usd("5"));
  ask("r1", "project:vision", usd("2"));
  const std::unique_ptr<Ledger> second = store_->open();
  const BudgetRuling first =
      ledger().rule_request(RequestId{"r1"}, true, "grace", "", example_time());
  const BudgetRuling again =
      second->rule_request(RequestId{"r1"}, true, "linus", "", example_time());
  EXPECT_EQ(again.who, "grace");
  EXPECT_EQ(again.new_limit, first.new_limit);
  EXPECT_EQ(accounts("project:vision").limit, usd("7"));
  EXPECT_EQ(rule("r1", false), "Conflict");
  EXPECT_EQ(notices(NoticeKind::Approved).size(), 1U);
}

// Goal: a request on a budget that somebody else just used up is recorded, and its approval pays
// off what went past the limit before it lends anew. Method: another run overspends in between.
TEST_P(LedgerHierarchy, ApprovesAfterSomebodyElseUsedItUp) {
  make("project:vision", usd("2"));
  const AttemptId other = start("other", true, {"project:vision"});
  ask("r1", "project:vision", usd("3"));
  settle(other, seconds{450});  // 3 USD: one past the limit
  EXPECT_EQ(accounts("project:vision").overspent, usd("1"));
  ASSERT_EQ(rule("r1", true), "none");
  EXPECT_EQ(accounts("project:vision").overspent, usd("0"));
  EXPECT_EQ(accounts("project:vision").available, usd("2"));
  const std::vector<OverspentEntry> past = ledger().overspent(BudgetId{"project:vision"});
  ASSERT_EQ(past.size(), 2U);
  EXPECT_EQ(past[1].amount, usd("-1"));
  expect_clean();
}

// --- notices -------------------------------------------------------------------------------------

// Goal: each threshold is told once, at its very amount, and anew after the limit rose. Method:
// spending steps around 50, 80 and 95 % of 2 USD.
TEST_P(LedgerHierarchy, TellsThresholdsOnce) {
  make("project:vision", usd("2"));
  const AttemptId a = start("a", true, {"project:vision"});
  const auto told_after = [&](Nanoseconds elapsed) {
    settle(a, elapsed);
    return notices(NoticeKind::Threshold).size();
  };
  EXPECT_EQ(told_after(seconds{150} - Nanoseconds{1}), 0U);
  EXPECT_EQ(told_after(seconds{150}), 1U);
  EXPECT_EQ(told_after(seconds{200}), 1U);
  EXPECT_EQ(told_after(seconds{290}), 3U) << "80 and 95 % in one step";
  EXPECT_NE(notices(NoticeKind::Threshold)[1].find("80 %"), std::string::npos);
  ask("r1", "project:vision", usd("2"));
  ASSERT_EQ(rule("r1", true), "none");
  EXPECT_EQ(told_after(seconds{300}), 4U) << "50 % of the new limit";
  EXPECT_EQ(notices(NoticeKind::Request).size(), 1U);
}

// Goal: pauses, stops and uncertain ends are told in the transaction that makes them true, once.
// Method: one end of each kind, closed twice.
TEST_P(LedgerHierarchy, TellsHowRunsEnd) {
  const auto end = [&](const char* id, RunStatus status, Nanoseconds gone_at) {
    const AttemptId attempt_id = start(id);
    for (int i = 0; i < 2; ++i) {
      ledger().close({.attempt_id = attempt_id,
                      .epoch = ledger().account(attempt_id).epoch,
                      .metered_until = seconds{10},
                      .gone_at = gone_at,
                      .end = {.status = status, .reason = "why", .ended_at = example_time()}});
    }
  };
  end("a", RunStatus::PAUSED, seconds{10});
  end("b", RunStatus::KILLED, seconds{10});
  end("c", RunStatus::FINISHED, seconds{10});
  end("d", RunStatus::FAILED, seconds{20});
  EXPECT_EQ(notices(NoticeKind::Paused).size(), 1U);
  EXPECT_EQ(notices(NoticeKind::Stopped).size(), 1U);
  ASSERT_EQ(notices(NoticeKind::Uncertain).size(), 1U);
  EXPECT_NE(notices(NoticeKind::Uncertain)[0].find("finops budget settle d"), std::string::npos);
  EXPECT_EQ(ledger().notices(0, 1'000).size(), 3U);
  EXPECT_EQ(ledger().notices(2, 1'000).size(), 1U);
}

// Goal: what was sent is known after a restart. Method: deliveries through two open ledgers.
TEST_P(LedgerHierarchy, RemembersDeliveries) {
  EXPECT_FALSE(ledger().last_delivery("mail").has_value());
  Delivery delivery{.channel = "mail", .first_number = 1, .last_number = 3, .state = "SENDING"};
  EXPECT_EQ(ledger().add_delivery(delivery).sequence, 1);
  delivery.state = "SENT";
  EXPECT_EQ(store_->open()->add_delivery(delivery).sequence, 2);
  EXPECT_EQ(ledger().last_delivery("mail")->state, "SENT");
  EXPECT_EQ(ledger().last_delivery("mail")->last_number, 3);
  EXPECT_FALSE(ledger().last_delivery("chat").has_value());
}

}  // namespace finops::testing
