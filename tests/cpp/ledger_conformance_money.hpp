// ledger_conformance_money.hpp - what every backend of the Ledger interface has to do: an attempt's
// money.
//
// Owns: the tests of settling, closing, uncertain spans and prices that come later.
// Does not own: the fixture (ledger_conformance.hpp), budgets (ledger_conformance_budgets.hpp).
// Invariant: after every test `verify` finds nothing.
#pragma once

#include <algorithm>
#include <string>

#include "ledger_conformance.hpp"

namespace finops::testing {

// Goal: the slices of a run add up to the price of the whole, at a price that no slice hits evenly.
// Method: random cuts (also of no length, also backwards), seed printed.
TEST_P(LedgerConformance, SlicesAddUpToThePriceOfTheWhole) {
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE("FINOPS_TEST_SEED=" + std::to_string(seed));
  Random random(seed);
  const PriceRow price = example_price("88.490000000007 USD");
  ledger().add_price(price);
  AttemptRecord attempt = example_attempt("run1", "a1");
  attempt.price_id = price.price_id;
  attempt.used_micro_gpus = 3;
  attempt.block_micro_gpus = 7;
  ledger().add_attempt(attempt);
  const Rate rate(price.list_unit_price, 3, 7);
  Nanoseconds reached{};
  for (int i = 0; i < 60; ++i) {
    const Nanoseconds elapsed = reached + Nanoseconds{random.between(-1'000, 3'000'000'000'000)};
    const AttemptAccount account = settle(attempt.attempt_id, elapsed);
    reached = std::max(reached, elapsed);
    ASSERT_EQ(account.settled, reached) << "slice " << i;
    ASSERT_EQ(account.charged.value().str(), rate.cost_of(reached).str()) << "slice " << i;
  }
  expect_clean();
}

// Goal: a late writer changes nothing. Method: two readers of one epoch, one is first.
TEST_P(LedgerConformance, RefusesAStaleEpoch) {
  ledger().ensure_budget(example_budget("b"), terms_of(usd("100")));
  const AttemptId attempt_id = start("a1", true, {"b"});
  SettleRequest request{.attempt_id = attempt_id,
                        .epoch = ledger().account(attempt_id).epoch,
                        .elapsed = minutes{5},
                        .now = example_time(),
                        .wanted_hold = usd("1")};
  const AttemptAccount first = ledger().settle(request);
  EXPECT_GT(first.epoch, request.epoch);
  request.elapsed = minutes{10};
  EXPECT_EQ(code_of([&] { ledger().settle(request); }), "Conflict");
  EXPECT_EQ(code_of([&] {
              ledger().close({.attempt_id = attempt_id,
                              .epoch = request.epoch,
                              .metered_until = minutes{10},
                              .gone_at = minutes{10},
                              .end = {}});
            }),
            "Conflict");
  const AttemptAccount after = ledger().account(attempt_id);
  EXPECT_EQ(after.epoch, first.epoch);
  EXPECT_EQ(after.settled, minutes{5});
  EXPECT_EQ(after.held.value(), usd("1"));
  EXPECT_EQ(after.state, AccountState::OPEN);
  expect_clean();
}

// Goal: an exact end settles at once, and only once. Method: close, close again, settle after it.
TEST_P(LedgerConformance, ClosesExactlyOnce) {
  ledger().ensure_budget(example_budget("b"), terms_of(usd("100")));
  const AttemptId attempt_id = start("a1", true, {"b"});
  settle(attempt_id, minutes{5}, usd("4"));
  const AttemptAccount closed = close(attempt_id, minutes{6}, minutes{6});
  EXPECT_EQ(closed.state, AccountState::SETTLED);
  EXPECT_EQ(closed.held.value(), usd("0"));
  EXPECT_EQ(closed.charged.value(), usd("2.4"));
  EXPECT_EQ(accounts("b").available, usd("97.6")) << "what was held is given back";
  EXPECT_EQ(close(attempt_id, minutes{9}, minutes{9}).epoch, closed.epoch) << "a no-op";
  EXPECT_EQ(code_of([&] { settle(attempt_id, minutes{9}); }), "Conflict");
  EXPECT_EQ(accounts("b").spent, usd("2.4"));
  const AttemptSummary summary = ledger().attempts(RunId{"run-a1"}).at(0);
  EXPECT_EQ(summary.end.value().reason, "done");
  EXPECT_EQ(summary.account_state, "SETTLED");
  expect_clean();
}

// Goal: an uncertain span is held and shown, never zero, then settled once, as spent or as
// released. Method: the same end twice, two outcomes; the opposite outcome afterwards is a no-op.
TEST_P(LedgerConformance, SettlesASuspectOnce) {
  ledger().ensure_budget(example_budget("b"), terms_of(usd("100")));
  const AttemptId spent = start("a1", true, {"b"});
  const AttemptId released = start("a2", true, {"b"});
  for (const AttemptId& attempt_id : {spent, released}) {
    EXPECT_EQ(code_of([&] {
                ledger().settle_suspect(attempt_id, SuspectOutcome::Spent, "ada", example_time());
              }),
              "Conflict")
        << "it has not ended";
    settle(attempt_id, minutes{5}, usd("10"));
    const AttemptAccount suspect = close(attempt_id, minutes{6}, minutes{8});
    EXPECT_EQ(suspect.state, AccountState::SUSPECT);
    EXPECT_EQ(suspect.charged.value(), usd("2.4"));
    EXPECT_EQ(suspect.held.value(), usd("0.8")) << "two minutes are uncertain";
  }
  ASSERT_EQ(ledger().suspects().size(), 2U);
  EXPECT_EQ(ledger().suspects()[0].uncertain_time, minutes{2});
  EXPECT_EQ(run_summary("run-a2").uncertain_cost.value(), usd("0.8"));
  EXPECT_EQ(accounts("b").held, usd("1.6"));
  expect_clean();
  ledger().settle_suspect(spent, SuspectOutcome::Spent, "ada", example_time());
  ledger().settle_suspect(released, SuspectOutcome::Released, "ada", example_time());
  EXPECT_EQ(ledger().account(spent).charged.value(), usd("3.2"));
  EXPECT_EQ(ledger().account(released).charged.value(), usd("2.4"));
  for (const AttemptId& attempt_id : {spent, released}) {
    const AttemptAccount before = ledger().account(attempt_id);
    EXPECT_EQ(before.state, AccountState::SETTLED);
    const SuspectOutcome opposite =
        attempt_id == spent ? SuspectOutcome::Released : SuspectOutcome::Spent;
    ledger().settle_suspect(attempt_id, opposite, "eve", example_time());
    EXPECT_EQ(ledger().account(attempt_id).epoch, before.epoch);
  }
  EXPECT_EQ(accounts("b").spent, usd("5.6"));
  EXPECT_EQ(accounts("b").held, usd("0"));
  EXPECT_TRUE(ledger().suspects().empty());
  expect_clean();
}

// Goal: unknown cost is empty, not zero, and can be priced later, also what was uncertain. Method:
// an unpriced attempt ends with an uncertain span that is settled as spent.
TEST_P(LedgerConformance, PricesAnAttemptLater) {
  const AttemptId attempt_id = start("a1", false);
  EXPECT_FALSE(settle(attempt_id, minutes{5}, usd("1")).charged.has_value());
  EXPECT_FALSE(run_summary("run-a1").metered_cost.has_value());
  EXPECT_EQ(run_summary("run-a1").unpriced_time, minutes{5});
  close(attempt_id, minutes{5}, minutes{10});
  ledger().settle_suspect(attempt_id, SuspectOutcome::Spent, "ada", example_time());
  ASSERT_EQ(ledger().unpriced_attempts().size(), 1U);
  EXPECT_EQ(ledger().unpriced_attempts()[0].unpriced_time, minutes{10});
  const AttemptAccount priced = ledger().price_attempt(attempt_id, price_, 1, 2);
  EXPECT_EQ(priced.charged.value(), usd("2")) << "half of 24 USD/h for ten minutes";
  EXPECT_TRUE(ledger().unpriced_attempts().empty());
  EXPECT_EQ(run_summary("run-a1").metered_cost.value(), usd("2"));
  EXPECT_EQ(code_of([&] { ledger().price_attempt(attempt_id, price_, 1, 2); }), "Conflict");
  expect_clean();
}

// Goal: writes that are made together are durable together, one that is refused undoes itself
// alone, and an exception that leaves undoes all. Method: another open ledger looks on.
TEST_P(LedgerConformance, WritesTogether) {
  const std::unique_ptr<Ledger> other = store_->open();
  ledger().together([&] {
    start("a");
    EXPECT_EQ(code_of([&] { start("a", false); }), "Conflict");
    start("b");
    EXPECT_FALSE(other->attempt(AttemptId{"a"}).has_value()) << "not before the commit";
  });
  EXPECT_TRUE(other->attempt(AttemptId{"a"}).has_value());
  EXPECT_TRUE(other->attempt(AttemptId{"b"}).has_value());
  EXPECT_THROW(ledger().together([&] {
    start("c");
    throw std::runtime_error("stop");
  }),
               std::runtime_error);
  EXPECT_FALSE(ledger().attempt(AttemptId{"c"}).has_value());
  EXPECT_NO_THROW(start("c")) << "it works as before";
  expect_clean();
}

}  // namespace finops::testing
