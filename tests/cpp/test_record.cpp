// test_record.cpp - tests of what the ledger holds: names, ids, and budget accounts.
//
// Owns: the checks of include/finops/record. Does not own: the store (ledger's tests).
// Invariant: random values come from FINOPS_TEST_SEED, which a failure prints.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "finops/base/error.hpp"
#include "finops/record/budget.hpp"
#include "finops/record/charge.hpp"
#include "finops/record/decision.hpp"
#include "finops/record/notice.hpp"
#include "finops/record/price.hpp"
#include "finops/record/run.hpp"
#include "finops/record/telemetry.hpp"

namespace finops {
namespace {

using enum BudgetAccount;

std::uint64_t test_seed() {
  const char* text = std::getenv("FINOPS_TEST_SEED");
  return text != nullptr ? std::strtoull(text, nullptr, 10) : 20261124;
}

// The name of the code that `call` throws, "none" if it throws no Error.
template <class Call>
std::string code_of(Call call) {
  try {
    call();
  } catch (const Error& error) {
    return std::string(error_code_name(error.code()));
  }
  return "none";
}

Money usd(std::int64_t picos) { return Money::from_picos(picos, Currency::usd()); }

// --- names ---------------------------------------------------------------------------------------

template <class Enum>
using NameOf = std::string_view (*)(Enum) noexcept;

// The names of the values 0 .. `last`, each checked to be there and to occur once.
template <class Enum>
std::vector<std::string> names_up_to(Enum last, NameOf<Enum> name_of) {
  std::vector<std::string> names;
  for (int value = 0; value <= static_cast<int>(last); ++value) {
    names.emplace_back(name_of(static_cast<Enum>(value)));
    EXPECT_NE(names.back(), "unknown") << "value " << value;
  }
  EXPECT_EQ(std::set<std::string>(names.begin(), names.end()).size(), names.size());
  EXPECT_EQ(name_of(static_cast<Enum>(static_cast<int>(last) + 1)), "unknown")
      << "a value was added; move the end of this test";
  return names;
}

template <class Enum>
void check_round_trip(Enum last, NameOf<Enum> name_of, Enum (*parse)(std::string_view)) {
  const std::vector<std::string> names = names_up_to(last, name_of);
  for (std::size_t value = 0; value < names.size(); ++value) {
    EXPECT_EQ(static_cast<std::size_t>(parse(names[value])), value) << names[value];
  }
  for (const std::string& wrong : {std::string(), std::string("unknown"), names[0] + " "}) {
    EXPECT_EQ(code_of([&] { (void)parse(wrong); }), "InvalidArgument") << '\'' << wrong << '\'';
  }
}

// Goal: what is stored as text comes back as the same value, and other texts are refused.
// Method: every value of each enum that is parsed.
TEST(RecordNames, RoundTrip) {
  check_round_trip(RunStatus::KILLED, run_status_name, parse_run_status);
  check_round_trip(PricingCategory::Committed, pricing_category_name, parse_pricing_category);
  check_round_trip(BudgetAccount::Overspent, budget_account_name, parse_budget_account);
  check_round_trip(Rung::Sigkill, rung_name, parse_rung);
  check_round_trip(Rule::Idle, rule_name, parse_rule);
  check_round_trip(NoticeKind::Breaker, notice_kind_name, parse_notice_kind);
  check_round_trip(Metric::GpuPower, metric_name, parse_metric);
  check_round_trip(BudgetScope::User, budget_scope_name, parse_budget_scope);
}

// Goal: the names are those of MLflow, FOCUS and Slurm, which users filter by.
// Method: every value; stored texts must not change from release to release.
TEST(RecordNames, AreTheWordsOfTheField) {
  using Names = std::vector<std::string>;
  EXPECT_EQ(names_up_to(RunStatus::KILLED, run_status_name),
            (Names{"RUNNING", "PAUSED", "FINISHED", "FAILED", "KILLED"}));
  EXPECT_EQ(names_up_to(PricingCategory::Committed, pricing_category_name),
            (Names{"Standard", "Dynamic", "Committed"}));
  EXPECT_EQ(names_up_to(UsageKind::UNCERTAIN, usage_kind_name), (Names{"METERED", "UNCERTAIN"}));
  EXPECT_EQ(names_up_to(Basis::BILLED, basis_name), (Names{"METERED", "BILLED"}));
  EXPECT_EQ(names_up_to(ChargeCategory::Adjustment, charge_category_name),
            (Names{"Usage", "Purchase", "Tax", "Credit", "Adjustment"}));
  EXPECT_EQ(names_up_to(BudgetScope::User, budget_scope_name),
            (Names{"experiment", "project", "team", "organisation", "user"}));
  EXPECT_EQ(names_up_to(Overspent, budget_account_name),
            (Names{"limit", "available", "held", "spent", "overspent"}));
  EXPECT_EQ(names_up_to(Directive::STOP, directive_name),
            (Names{"CONTINUE", "CHECKPOINT", "PAUSE", "STOP"}));
  EXPECT_EQ(names_up_to(Rule::Idle, rule_name),
            (Names{"none", "silence", "budget", "lease", "process gone", "operator", "duration",
                   "idle"}));
  EXPECT_EQ(names_up_to(Rung::Sigkill, rung_name),
            (Names{"watch", "directive", "SIGTERM", "SIGKILL"}));
}

// Goal: a wrong name is answered with the right ones. Method: one typo.
TEST(RecordNames, AreListedInTheError) {
  try {
    (void)parse_run_status("STOPPED");
    FAIL() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_STREQ(
        error.what(),
        "unknown run status 'STOPPED'; known are RUNNING, PAUSED, FINISHED, FAILED, KILLED");
  }
}

// --- ids -----------------------------------------------------------------------------------------

// Goal: one fact has one id, another fact another. Method: each of the three parts moves alone.
TEST(EventIds, NameAttemptKindAndSequence) {
  const AttemptId attempt{"k3v9q2d7m1xa-4t8rw2"};
  const EventId id = make_event_id(attempt, "usage", 17);
  EXPECT_EQ(id.str(), "k3v9q2d7m1xa-4t8rw2/usage/17");
  EXPECT_TRUE(is_valid_id(id.str()));
  EXPECT_EQ(make_event_id(attempt, "usage", 17).str(), id.str());
  EXPECT_NE(make_event_id(attempt, "usage", 18).str(), id.str());
  EXPECT_NE(make_event_id(attempt, "checkpoint", 17).str(), id.str());
  EXPECT_NE(make_event_id(AttemptId{"k3v9q2d7m1xa-4t8rw3"}, "usage", 17).str(), id.str());
  EXPECT_EQ(code_of([] { (void)make_event_id(AttemptId{}, "usage", 1); }), "InvalidArgument");
}

// Goal: an experiment's budget is found by its names. Method: each name moves alone.
TEST(BudgetIds, NameProjectAndExperiment) {
  EXPECT_EQ(experiment_budget_id("vision", "resnet").str(), "experiment:vision/resnet");
  EXPECT_EQ(experiment_budget_id("vision", "vit").str(), "experiment:vision/vit");
  EXPECT_EQ(experiment_budget_id("text", "resnet").str(), "experiment:text/resnet");
}

PriceRow sample_price() {
  PriceRow row;
  row.sku_id = "aws:p5.48xlarge:us-east-1:on-demand";
  row.provider = "aws";
  row.region = "us-east-1";
  row.zone = "use1-az1";
  row.instance_type = "p5.48xlarge";
  row.gpu = "H100-80GB";
  row.gpu_count = 8;
  row.list_unit_price = Money::parse("55.04 USD");
  row.valid_from = parse_utc("2025-06-26");
  row.source = "AWS list price";
  row.source_date = "2025-06-26";
  return row;
}

std::string id_of(const PriceRow& row) { return make_price_id(row).str(); }

struct PriceChange {
  const char* field;
  std::function<void(PriceRow&)> make;
};

// Goal: equal rows are one, a changed price never takes an old one's place.
// Method: from one sample, one field changes at a time; every new id differs from all others.
TEST(PriceIds, ChangeWithEveryField) {
  const std::vector<PriceChange> changes = {
      {"sku_id", [](PriceRow& row) { row.sku_id = "aws:p5.48xlarge:us-east-1"; }},
      {"provider", [](PriceRow& row) { row.provider = "gcp"; }},
      {"region", [](PriceRow& row) { row.region = "us-east-2"; }},
      {"zone", [](PriceRow& row) { row.zone = ""; }},
      {"instance_type", [](PriceRow& row) { row.instance_type = "p5e.48xlarge"; }},
      {"gpu", [](PriceRow& row) { row.gpu = "H200-141GB"; }},
      {"gpu_count", [](PriceRow& row) { row.gpu_count = 4; }},
      {"category", [](PriceRow& row) { row.pricing_category = PricingCategory::Dynamic; }},
      {"price + 1 pico", [](PriceRow& row) { row.list_unit_price += usd(1); }},
      {"currency", [](PriceRow& row) { row.list_unit_price = Money::parse("55.04 EUR"); }},
      {"valid_from", [](PriceRow& row) { row.valid_from += std::chrono::seconds{1}; }},
      {"valid_to", [](PriceRow& row) { row.valid_to = parse_utc("2027-01-01"); }},
      {"source", [](PriceRow& row) { row.source = "invoice"; }},
      {"source_date", [](PriceRow& row) { row.source_date = "unknown"; }}};
  const std::string original = id_of(sample_price());
  EXPECT_EQ(id_of(sample_price()), original);
  std::set<std::string> ids{original};
  for (const PriceChange& change : changes) {
    PriceRow row = sample_price();
    change.make(row);
    EXPECT_TRUE(ids.insert(id_of(row)).second) << change.field;
  }
}

// Goal: fields cannot run into each other. Method: one character moves to the neighbouring field.
TEST(PriceIds, KeepFieldsApart) {
  PriceRow left = sample_price();
  left.region = "us-east-1a";
  left.zone = "z";
  PriceRow right = left;
  right.region = "us-east-1";
  right.zone = "az";
  EXPECT_NE(id_of(left), id_of(right));
}

// Goal: two prices set in one second stay two. Method: the start of validity moves by 1 ns.
TEST(PriceIds, ChangeWithEveryNanosecondOfValidity) {
  PriceRow row = sample_price();
  row.valid_from += Nanoseconds{1};
  EXPECT_NE(id_of(row), id_of(sample_price())) << "valid_from + 1 ns";
  PriceRow ending = sample_price();
  ending.valid_to = parse_utc("2027-01-01");
  row = ending;
  row.valid_to += Nanoseconds{1};
  EXPECT_NE(id_of(row), id_of(ending)) << "valid_to + 1 ns";
}

// Goal: what is no part of the price leaves the id alone. Method: the row's marks and old id move.
TEST(PriceIds, DoNotChangeWithTheMarks) {
  PriceRow row = sample_price();
  row.is_default = true;
  row.price_id = PriceId{"old"};
  EXPECT_EQ(id_of(row), id_of(sample_price()));
  EXPECT_TRUE(id_of(row).starts_with(row.sku_id)) << id_of(row);
}

// Goal: a price id keeps the rule that ids.hpp states for every id. Method: the sample's.
TEST(PriceIds, AreValidIds) {
  const std::string id = id_of(sample_price());
  EXPECT_TRUE(is_valid_id(id)) << id;
}

// --- budget accounts -----------------------------------------------------------------------------

// The five accounts in the order of BudgetAccount.
using Balances = std::array<std::int64_t, 5>;

BudgetAccounts accounts_of(const Balances& picos) {
  return {.limit = usd(picos[0]),
          .available = usd(picos[1]),
          .held = usd(picos[2]),
          .spent = usd(picos[3]),
          .overspent = usd(picos[4])};
}

Balances balances_of(const BudgetAccounts& accounts) {
  return {static_cast<std::int64_t>(accounts.limit.picos()),
          static_cast<std::int64_t>(accounts.available.picos()),
          static_cast<std::int64_t>(accounts.held.picos()),
          static_cast<std::int64_t>(accounts.spent.picos()),
          static_cast<std::int64_t>(accounts.overspent.picos())};
}

BudgetLine line(BudgetAccount from, BudgetAccount to, std::int64_t picos) {
  BudgetLine made;
  made.from = from;
  made.to = to;
  made.amount = usd(picos);
  return made;
}

std::string describe(const BudgetLine& moved) {
  return std::string(budget_account_name(moved.from)) + " -> " +
         std::string(budget_account_name(moved.to)) + " " + moved.amount.str();
}

// Goal: an empty budget is all zero and balances. Method: two currencies.
TEST(BudgetAccounts, StartAtZero) {
  for (const char* code : {"USD", "VND"}) {
    const BudgetAccounts accounts = BudgetAccounts::zero(Currency(code));
    EXPECT_TRUE(accounts.balances()) << code;
    EXPECT_EQ(balances_of(accounts), (Balances{0, 0, 0, 0, 0})) << code;
    EXPECT_EQ(accounts.overspent.currency().str(), code);
  }
}

// Goal: `balances` sees one missing pico. Method: a sound budget, one account off by one.
TEST(BudgetAccounts, BalanceToThePico) {
  const Balances sound{100, 30, 20, 55, 5};
  EXPECT_TRUE(accounts_of(sound).balances());
  for (std::size_t account = 0; account < sound.size(); ++account) {
    for (const std::int64_t offset : {-1, 1}) {
      Balances off = sound;
      off[account] += offset;
      EXPECT_FALSE(accounts_of(off).balances()) << "account " << account << " by " << offset;
    }
  }
}

// Goal: no account is below zero, even where the sum is right. Method: one negative account each.
TEST(BudgetAccounts, AreNeverNegative) {
  EXPECT_FALSE(accounts_of({0, -1, 1, 0, 0}).balances()) << "available";
  EXPECT_FALSE(accounts_of({0, 1, -1, 0, 0}).balances()) << "held";
  EXPECT_FALSE(accounts_of({0, 1, 0, -1, 0}).balances()) << "spent";
  EXPECT_FALSE(accounts_of({1, 0, 0, 0, -1}).balances()) << "overspent";
}

// Goal: the limit is an account too. Method: a negative limit with a right sum.
TEST(BudgetAccounts, HaveNoNegativeLimit) {
  EXPECT_TRUE(accounts_of({0, 0, 0, 1, 1}).balances());
  EXPECT_FALSE(accounts_of({-1, 0, 0, 0, 1}).balances());
}

// Goal: each kind of line moves what it says. Method: one line on the same accounts.
TEST(ApplyLine, MovesTheAmount) {
  struct Case {
    BudgetLine moved;
    Balances expected;
  };
  const Balances start{100, 30, 20, 55, 5};
  const Case cases[] = {
      {line(Limit, Available, 7), {107, 37, 20, 55, 5}},   // a budget is raised
      {line(Available, Limit, 7), {93, 23, 20, 55, 5}},    // and lowered
      {line(Available, Held, 7), {100, 23, 27, 55, 5}},    // a lease
      {line(Held, Spent, 7), {100, 30, 13, 62, 5}},        // use
      {line(Held, Available, 7), {100, 37, 13, 55, 5}},    // a release
      {line(Overspent, Spent, 7), {100, 30, 20, 62, 12}},  // use past the limit
      {line(Spent, Overspent, 3), {100, 30, 20, 52, 2}},   // its correction
      {line(Limit, Overspent, 3), {103, 30, 20, 55, 2}},   // a raise that covers it
      {line(Available, Held, 0), {100, 30, 20, 55, 5}}};
  for (const Case& c : cases) {
    BudgetAccounts accounts = accounts_of(start);
    apply(c.moved, accounts);
    EXPECT_EQ(balances_of(accounts), c.expected) << describe(c.moved);
    EXPECT_TRUE(accounts.balances()) << describe(c.moved);
  }
}

// Goal: no line takes more than there is. Method: below, at and above what each account holds.
TEST(ApplyLine, RefusesToOverdraw) {
  struct Case {
    BudgetAccount from;
    BudgetAccount to;
  };
  constexpr Case kCases[] = {
      {Available, Held}, {Held, Spent}, {Spent, Held}, {Held, Overspent}, {Held, Limit}};
  for (const Case& c : kCases) {
    for (const std::int64_t picos : {9, 10}) {
      BudgetAccounts accounts = accounts_of({20, 10, 10, 10, 10});
      EXPECT_NO_THROW(apply(line(c.from, c.to, picos), accounts)) << picos;
    }
    BudgetAccounts accounts = accounts_of({20, 10, 10, 10, 10});
    EXPECT_THROW(apply(line(c.from, c.to, 11), accounts), InternalError)
        << describe(line(c.from, c.to, 11));
  }
  // What Limit and Overspent give back is limited by themselves, not by the giver.
  BudgetAccounts accounts = accounts_of({10, 20, 0, 0, 10});
  EXPECT_THROW(apply(line(Available, Limit, 11), accounts), InternalError);
  accounts = accounts_of({10, 20, 0, 0, 10});
  EXPECT_THROW(apply(line(Available, Overspent, 11), accounts), InternalError);
}

// Goal: a line has a direction, given by its accounts and not by a sign. Method: minus one pico.
TEST(ApplyLine, RefusesNegativeAmounts) {
  BudgetAccounts accounts = accounts_of({100, 30, 20, 55, 5});
  EXPECT_THROW(apply(line(Available, Held, -1), accounts), InternalError);
  EXPECT_EQ(balances_of(accounts), (Balances{100, 30, 20, 55, 5}));
}

// Goal: a budget is in one currency. Method: every account gets and gives one euro.
TEST(ApplyLine, RefusesAnotherCurrency) {
  BudgetLine foreign = line(Available, Held, 1);
  foreign.amount = Money::parse("0.000000000001 EUR");
  for (const BudgetAccount from : {Limit, Available, Held, Spent, Overspent}) {
    foreign.from = from;
    BudgetAccounts accounts = accounts_of({100, 30, 20, 55, 5});
    EXPECT_EQ(code_of([&] { apply(foreign, accounts); }), "CurrencyMismatch") << describe(foreign);
    EXPECT_EQ(balances_of(accounts), (Balances{100, 30, 20, 55, 5})) << describe(foreign);
  }
}

// The sign with which an account stands in spent + held + available - overspent - limit = 0.
std::int64_t sign_of(std::size_t account) {
  const auto which = static_cast<BudgetAccount>(account);
  return which == Limit || which == Overspent ? -1 : 1;
}

// Goal: any valid sequence of lines keeps the accounts in balance and each at its expected amount.
// Method: random accounts and amounts up to what both sides allow, against a table of integers.
TEST(ApplyLine, KeepsTheBalanceForRandomSequences) {
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE("FINOPS_TEST_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  for (int sequence = 0; sequence < 100 && !HasFailure(); ++sequence) {
    BudgetAccounts accounts = BudgetAccounts::zero(Currency::usd());
    Balances expected{0, 0, 0, 0, 0};
    for (int step = 0; step < 100 && !HasFailure(); ++step) {
      const std::size_t from = random() % 5;
      const std::size_t to = random() % 5;
      std::int64_t most = 1'000'000;
      most = sign_of(from) > 0 ? std::min(most, expected[from]) : most;
      most = sign_of(to) < 0 ? std::min(most, expected[to]) : most;
      const auto amount = std::uniform_int_distribution<std::int64_t>(0, most)(random);
      const BudgetLine moved =
          line(static_cast<BudgetAccount>(from), static_cast<BudgetAccount>(to), amount);
      apply(moved, accounts);
      expected[from] -= sign_of(from) * amount;
      expected[to] += sign_of(to) * amount;
      EXPECT_EQ(balances_of(accounts), expected) << describe(moved) << ", step " << step;
      EXPECT_TRUE(accounts.balances()) << describe(moved) << ", step " << step;
    }
  }
}

}  // namespace
}  // namespace finops
