// ledger_conformance.hpp - what every backend of the Ledger interface has to do: records and money.
//
// Owns: LedgerBackend, the fixture, the tests of appending, settling and closing. Budgets and
// random sequences: ledger_conformance_budgets.hpp.
// Does not own: which backends there are (test_ledger_conformance.cpp instantiates the suite).
// Invariant: nothing here knows how a backend stores anything.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "finops/ledger/ledger.hpp"
#include "support.hpp"

namespace finops::testing {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

/// One store that can be opened several times.
class LedgerStore {
 public:
  virtual ~LedgerStore() = default;
  virtual std::unique_ptr<Ledger> open() = 0;
};

struct LedgerBackend {
  const char* name;
  std::unique_ptr<LedgerStore> (*make_store)();
};

class LedgerConformance : public ::testing::TestWithParam<LedgerBackend> {
 protected:
  void SetUp() override {
    store_ = GetParam().make_store();
    ledger_ = store_->open();
    ledger_->add_price(price_);
    ledger_->add_run(example_run("run1"));
  }

  [[nodiscard]] Ledger& ledger() { return *ledger_; }

  /// Starts an attempt of a run of its own, "run-" and the attempt's id.
  AttemptId start(const std::string& attempt_id, bool is_priced = true,
                  const std::vector<std::string>& chain = {}) {
    ledger_->add_run(example_run("run-" + attempt_id));
    AttemptRecord attempt = example_attempt("run-" + attempt_id, attempt_id);
    attempt.price_id = is_priced ? price_.price_id : PriceId{};
    for (const std::string& budget_id : chain) {
      attempt.budget_chain.emplace_back(budget_id);
    }
    ledger_->add_attempt(attempt);
    return attempt.attempt_id;
  }

  AttemptAccount settle(const AttemptId& attempt_id, Nanoseconds elapsed,
                        std::optional<Money> wanted = std::nullopt) {
    return ledger_->settle({.attempt_id = attempt_id,
                            .epoch = ledger_->account(attempt_id).epoch,
                            .elapsed = elapsed,
                            .now = example_time() + elapsed,
                            .wanted_hold = wanted});
  }

  AttemptAccount close(const AttemptId& attempt_id, Nanoseconds metered_until,
                       Nanoseconds gone_at) {
    return ledger_->close({.attempt_id = attempt_id,
                           .epoch = ledger_->account(attempt_id).epoch,
                           .metered_until = metered_until,
                           .gone_at = gone_at,
                           .end = {.status = RunStatus::FINISHED,
                                   .reason = "done",
                                   .ended_at = example_time() + gone_at}});
  }

  [[nodiscard]] BudgetAccounts accounts(const std::string& budget_id) {
    return ledger_->budget(BudgetId{budget_id}).value().accounts;
  }

  [[nodiscard]] RunSummary run_summary(const std::string& run_id) {
    RunFilter filter;
    filter.run_id = RunId{run_id};
    return ledger_->runs(filter).at(0);
  }

  void expect_clean() {
    const VerifyReport report = ledger_->verify();
    for (const std::string& problem : report.problems) {
      ADD_FAILURE() << problem;
    }
  }

  PriceRow price_ = example_price("24 USD");
  std::unique_ptr<LedgerStore> store_;
  std::unique_ptr<Ledger> ledger_;
};

// --- appending -----------------------------------------------------------------------------------

// Goal: a run may be added again, never under another name. Method: the same one twice, then with
// one field moved.
TEST_P(LedgerConformance, AddsARunOnce) {
  EXPECT_NO_THROW(ledger().add_run(example_run("run1")));
  EXPECT_EQ(ledger().runs({}).size(), 1U);
  RunRecord other = example_run("run1");
  other.experiment = "other";
  EXPECT_EQ(code_of([&] { ledger().add_run(other); }), "Conflict");
  other = example_run("run1");
  other.parent_run_id = RunId{"run0"};
  EXPECT_EQ(code_of([&] { ledger().add_run(other); }), "Conflict");
  EXPECT_EQ(code_of([&] { ledger().add_run(example_run("no run")); }), "InvalidArgument");
}

// Goal: attempts are numbered per run, one open at a time, and a repeat keeps its number. Method:
// three attempts of two runs, one of them twice, one too early.
TEST_P(LedgerConformance, NumbersAttemptsPerRun) {
  ledger().add_run(example_run("run2"));
  EXPECT_EQ(ledger().add_attempt(example_attempt("run1", "a1")).attempt_number, 1);
  EXPECT_EQ(ledger().add_attempt(example_attempt("run2", "b1")).attempt_number, 1);
  EXPECT_EQ(code_of([&] { ledger().add_attempt(example_attempt("run1", "a2")); }), "Conflict");
  close(AttemptId{"a1"}, minutes{1}, minutes{1});
  EXPECT_EQ(ledger().add_attempt(example_attempt("run1", "a2")).attempt_number, 2);
  EXPECT_EQ(ledger().add_attempt(example_attempt("run1", "a1")).attempt_number, 1);
  EXPECT_EQ(ledger().attempts(RunId{"run1"}).size(), 2U);
  EXPECT_EQ(code_of([&] { ledger().add_attempt(example_attempt("run2", "a1")); }), "Conflict");
}

// Goal: what an attempt names must exist. Method: one name at a time is unknown.
TEST_P(LedgerConformance, RefusesAttemptsOfUnknownThings) {
  const auto is_refused = [&](const AttemptRecord& attempt) {
    const std::string code = code_of([&] { ledger().add_attempt(attempt); });
    return code == "NotFound" || code == "Conflict";  // a backend may find out either way
  };
  EXPECT_TRUE(is_refused(example_attempt("run9", "a1")));
  AttemptRecord attempt = example_attempt("run1", "a1");
  attempt.price_id = PriceId{"no+price"};
  EXPECT_TRUE(is_refused(attempt));
  attempt.price_id = price_.price_id;
  attempt.budget_chain = {BudgetId{"experiment:no/budget"}};
  EXPECT_TRUE(is_refused(attempt));
  EXPECT_FALSE(ledger().attempt(attempt.attempt_id).has_value()) << "half of it was written";
  EXPECT_EQ(code_of([&] { (void)ledger().account(AttemptId{"a1"}); }), "NotFound");
  ledger().ensure_budget(example_budget("b"), usd("1"));
  attempt.price_id = {};
  attempt.budget_chain = {BudgetId{"b"}};
  EXPECT_EQ(code_of([&] { ledger().add_attempt(attempt); }), "UnpricedResource");
}

// Goal: a record comes back as it was given. Method: every field of an attempt is set.
TEST_P(LedgerConformance, GivesAnAttemptBackWhole) {
  ledger().ensure_budget(example_budget("b"), usd("1"));
  AttemptRecord attempt = example_attempt("run1", "a1");
  attempt.entry_point = EntryPoint::Command;
  attempt.command = "python train.py --name 'ä'";
  attempt.resource = "8xH100";
  attempt.price_id = price_.price_id;
  attempt.used_micro_gpus = 3;
  attempt.block_micro_gpus = 7;
  attempt.budget_chain = {BudgetId{"b"}};
  attempt.is_long_running = true;
  attempt.long_running_reason = "a server";
  attempt.started_at.boot = BootTime{seconds{5}};
  attempt.started_at.monotonic = MonotonicTime{seconds{4}};
  ledger().add_attempt(attempt);
  const AttemptRecord back = ledger().attempt(attempt.attempt_id).value();
  EXPECT_EQ(back.entry_point, EntryPoint::Command);
  EXPECT_EQ(back.command, attempt.command);
  EXPECT_EQ(back.resource, attempt.resource);
  EXPECT_EQ(back.process, attempt.process);
  EXPECT_EQ(back.used_micro_gpus, 3);
  EXPECT_EQ(back.block_micro_gpus, 7);
  EXPECT_EQ(back.budget_chain, attempt.budget_chain);
  EXPECT_EQ(back.long_running_reason, "a server");
  EXPECT_EQ(back.started_at.utc, attempt.started_at.utc);
  EXPECT_EQ(back.started_at.boot, attempt.started_at.boot);
  EXPECT_EQ(back.started_at.monotonic, attempt.started_at.monotonic);
}

// Goal: charges are appended all or nothing, and once. Method: twice the same; then a batch whose
// last charge has a known id and another amount.
TEST_P(LedgerConformance, AppendsChargesOnceAndWhole) {
  const auto charge = [](const std::string& event_id, const char* amount) {
    Charge value;
    value.event_id = EventId{event_id};
    value.basis = Basis::BILLED;
    value.billed_cost = usd(amount);
    value.effective_cost = usd(amount);
    return value;
  };
  const std::vector<Charge> first{charge("bill/1", "0.00000000001"), charge("bill/2", "-3")};
  EXPECT_EQ(ledger().append(first), 2U);
  EXPECT_EQ(ledger().append(first), 0U);
  const std::int64_t rows = ledger().verify().journal_row_count;
  const std::vector<Charge> mixed{charge("bill/3", "1"), charge("bill/2", "-3.000000000001")};
  EXPECT_EQ(code_of([&] { ledger().append(mixed); }), "Conflict");
  EXPECT_EQ(ledger().verify().journal_row_count, rows) << "bill/3 must not have stayed";
  Charge two_currencies = charge("bill/4", "1");
  two_currencies.effective_cost = Money::parse("1 EUR");
  EXPECT_EQ(code_of([&] { ledger().append(std::vector{two_currencies}); }), "CurrencyMismatch");
  expect_clean();
}

// Goal: a price never changes under its id. Method: the same row twice, then another amount.
TEST_P(LedgerConformance, KeepsPricesAsTheyWere) {
  PriceRow price = example_price("3 USD");
  price.is_user_set = true;
  ledger().add_price(price);
  EXPECT_NO_THROW(ledger().add_price(price));
  ASSERT_EQ(ledger().user_prices().size(), 1U);
  EXPECT_EQ(ledger().user_prices()[0].list_unit_price, usd("3"));
  price.list_unit_price = usd("4");
  EXPECT_EQ(code_of([&] { ledger().add_price(price); }), "Conflict");
}

// Goal: decisions get their sequence from the ledger and come back newest last, the newest `limit`.
// Method: three of one attempt, one of another.
TEST_P(LedgerConformance, NumbersDecisionsPerAttempt) {
  const auto decide = [&](const AttemptId& attempt_id, Rung rung, seconds at) {
    return ledger().add_decision({.attempt_id = attempt_id,
                                  .sequence = 0,
                                  .directive = Directive::STOP,
                                  .rule = Rule::Silence,
                                  .rung = rung,
                                  .reason = "no progress for 6 s",
                                  .decided_by = "guard",
                                  .decided_at = example_time() + at});
  };
  const AttemptId first = start("a1");
  const AttemptId second = start("a2");
  EXPECT_EQ(decide(first, Rung::Directive, seconds{1}).sequence, 1);
  EXPECT_EQ(decide(first, Rung::Sigterm, seconds{2}).sequence, 2);
  EXPECT_EQ(decide(second, Rung::Directive, seconds{3}).sequence, 1);
  EXPECT_EQ(decide(first, Rung::Sigkill, seconds{4}).sequence, 3);
  const std::vector<DecisionRecord> newest = ledger().decisions(first, 2);
  ASSERT_EQ(newest.size(), 2U);
  EXPECT_EQ(newest[0].rung, Rung::Sigterm);
  EXPECT_EQ(newest[1].rung, Rung::Sigkill);
  EXPECT_EQ(newest[1].reason, "no progress for 6 s");
  EXPECT_EQ(ledger().decisions({}, 10).size(), 4U);
  EXPECT_TRUE(ledger().decisions(AttemptId{"a9"}, 10).empty());
}

// Goal: an attempt's last decision is the last one decided, whatever the wall clock did. Method: it
// is set back by an hour between two decisions.
TEST_P(LedgerConformance, OrdersAnAttemptsDecisionsWithoutTheWallClock) {
  const AttemptId attempt_id = start("a1");
  DecisionRecord decision;
  decision.attempt_id = attempt_id;
  decision.rung = Rung::Directive;
  decision.decided_at = example_time() + hours{1};
  ledger().add_decision(decision);
  decision.rung = Rung::Sigterm;
  decision.decided_at = example_time();
  ledger().add_decision(decision);
  EXPECT_EQ(ledger().decisions(attempt_id, 1).at(0).rung, Rung::Sigterm);
}

// Goal: the newest checkpoint of the run is found over its attempts. Method: two attempts, each
// with checkpoints; one of them added twice.
TEST_P(LedgerConformance, FindsTheNewestCheckpoint) {
  EXPECT_FALSE(ledger().last_checkpoint(RunId{"run1"}).has_value());
  const AttemptId first{"a1"};
  const AttemptId second{"a2"};
  const auto add = [&](const AttemptId& attempt_id, std::int64_t sequence, std::int64_t step,
                       seconds at) {
    ledger().add_checkpoint({.run_id = RunId{"run1"},
                             .attempt_id = attempt_id,
                             .sequence = sequence,
                             .step = step,
                             .path = "/ckpt/" + std::to_string(step),
                             .confirmed_at = example_time() + at});
  };
  ledger().add_attempt(example_attempt("run1", "a1"));
  add(first, 1, 100, seconds{1});
  add(first, 2, 200, seconds{2});
  add(first, 2, 200, seconds{2});
  EXPECT_EQ(ledger().last_checkpoint(RunId{"run1"}).value().step, 200);
  close(first, minutes{1}, minutes{1});
  ledger().add_attempt(example_attempt("run1", "a2"));
  add(second, 1, 150, seconds{3});
  const CheckpointRecord last = ledger().last_checkpoint(RunId{"run1"}).value();
  EXPECT_EQ(last.step, 150);
  EXPECT_EQ(last.attempt_id, second);
  EXPECT_EQ(last.path, "/ckpt/150");
}

// Goal: the newest checkpoint is the last one confirmed, whatever the wall clock did. Method: it is
// set back by an hour between two checkpoints of one attempt, then before a second attempt.
TEST_P(LedgerConformance, FindsTheNewestCheckpointWithoutTheWallClock) {
  CheckpointRecord checkpoint;
  checkpoint.run_id = RunId{"run1"};
  checkpoint.attempt_id = ledger().add_attempt(example_attempt("run1", "a1")).attempt_id;
  checkpoint.sequence = 1;
  checkpoint.step = 100;
  checkpoint.confirmed_at = example_time() + hours{2};
  ledger().add_checkpoint(checkpoint);
  checkpoint.sequence = 2;
  checkpoint.step = 200;
  checkpoint.confirmed_at = example_time() + hours{1};
  ledger().add_checkpoint(checkpoint);
  EXPECT_EQ(ledger().last_checkpoint(RunId{"run1"}).value().step, 200);
  close(checkpoint.attempt_id, minutes{1}, minutes{1});
  checkpoint.attempt_id = ledger().add_attempt(example_attempt("run1", "a2")).attempt_id;
  checkpoint.sequence = 1;
  checkpoint.step = 300;
  checkpoint.confirmed_at = example_time();
  ledger().add_checkpoint(checkpoint);
  EXPECT_EQ(ledger().last_checkpoint(RunId{"run1"}).value().step, 300);
}

// Goal: a known id with other content is told of, never dropped. Method: a decision, a checkpoint
// and a charge, each again with one field moved.
TEST_P(LedgerConformance, RefusesAKnownIdWithOtherContent) {
  DecisionRecord decision;
  decision.attempt_id = start("a1");
  decision.sequence = 1;
  decision.rung = Rung::Directive;
  ledger().add_decision(decision);
  EXPECT_NO_THROW(ledger().add_decision(decision));
  decision.rung = Rung::Sigkill;
  EXPECT_EQ(code_of([&] { ledger().add_decision(decision); }), "Conflict");
  CheckpointRecord checkpoint;
  checkpoint.run_id = RunId{"run-a1"};
  checkpoint.attempt_id = decision.attempt_id;
  checkpoint.sequence = 1;
  checkpoint.path = "/ckpt/1";
  ledger().add_checkpoint(checkpoint);
  EXPECT_NO_THROW(ledger().add_checkpoint(checkpoint));
  checkpoint.path = "/ckpt/2";
  EXPECT_EQ(code_of([&] { ledger().add_checkpoint(checkpoint); }), "Conflict");
  Charge charge;
  charge.event_id = EventId{"bill/1"};
  charge.basis = Basis::BILLED;
  ledger().append(std::vector{charge});
  charge.attempt_id = decision.attempt_id;
  EXPECT_EQ(code_of([&] { ledger().append(std::vector{charge}); }), "Conflict");
}

// Goal: each field of the filter narrows. Method: three runs that differ in one field each.
TEST_P(LedgerConformance, FiltersRuns) {
  RunRecord other = example_run("run2");
  other.project = "speech";
  ledger().add_run(other);
  other = example_run("run3");
  other.name = "night";
  ledger().add_run(other);
  const auto found = [&](const RunFilter& filter) {
    std::string ids;
    for (const RunSummary& summary : ledger().runs(filter)) {
      ids += summary.run.run_id.str() + " ";
    }
    return ids;
  };
  RunFilter filter;
  EXPECT_EQ(found(filter), "run1 run2 run3 ");
  filter.limit = 2;
  EXPECT_EQ(found(filter), "run2 run3 ") << "the newest so many";
  filter = {};
  filter.project = "speech";
  EXPECT_EQ(found(filter), "run2 ");
  filter = {};
  filter.name = "night";
  EXPECT_EQ(found(filter), "run3 ");
  filter = {};
  filter.run_id = RunId{"run1"};
  EXPECT_EQ(found(filter), "run1 ");
  close(ledger().add_attempt(example_attempt("run1", "a1")).attempt_id, minutes{1}, minutes{1});
  filter = {};
  filter.status = RunStatus::FINISHED;
  EXPECT_EQ(found(filter), "run1 ");
  filter.status = RunStatus::PAUSED;
  EXPECT_EQ(found(filter), "");
}

// --- money of an attempt -------------------------------------------------------------------------

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
  ledger().ensure_budget(example_budget("b"), usd("100"));
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
  ledger().ensure_budget(example_budget("b"), usd("100"));
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
  ledger().ensure_budget(example_budget("b"), usd("100"));
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

}  // namespace finops::testing
