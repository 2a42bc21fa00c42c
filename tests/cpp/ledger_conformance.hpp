// ledger_conformance.hpp - what every backend of the Ledger interface has to do: records.
//
// Owns: LedgerBackend, the fixture, the tests of appending and reading. The others are in
// ledger_conformance_{money,budgets}.hpp.
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
    return ledger_->budget(BudgetId{budget_id}, example_time()).value().accounts;
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
  ledger().ensure_budget(example_budget("b"), terms_of(usd("1")));
  attempt.price_id = {};
  attempt.budget_chain = {BudgetId{"b"}};
  EXPECT_EQ(code_of([&] { ledger().add_attempt(attempt); }), "UnpricedResource");
}

// Goal: a record comes back as it was given. Method: every field of an attempt is set.
TEST_P(LedgerConformance, GivesAnAttemptBackWhole) {
  ledger().ensure_budget(example_budget("b"), terms_of(usd("1")));
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

}  // namespace finops::testing
