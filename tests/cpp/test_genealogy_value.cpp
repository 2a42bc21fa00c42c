// test_genealogy_value.cpp - business value against cost, as ranges.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "finops/genealogy/value.hpp"
#include "genealogy_support.hpp"

namespace finops::genealogy {
namespace {

using finops::testing::graph_of;
using finops::testing::LineageBuilder;
using finops::testing::usd;

BusinessValue value(const std::string& amount, ValuePeriod period, const std::string& from,
                    const std::string& to) {
  BusinessValue made;
  made.amount = usd(amount);
  made.period = period;
  made.valid_from = parse_utc(from);
  made.valid_to = to.empty() ? UtcTime{} : parse_utc(to);
  return made;
}

// Goal: what a value comes to, per month and so far. Method: one period at a time; below, at and
// past each end.
TEST(ValueAmount, CountsPeriods) {
  struct Case {
    const char* amount;
    ValuePeriod period;
    const char* from;
    const char* to;
    const char* as_of;
    const char* per_month;
    const char* to_date;
  };
  constexpr Case kCases[] = {
      {"31", ValuePeriod::Month, "2026-05-01", "", "2026-04-30", "0", "0"},
      {"31", ValuePeriod::Month, "2026-05-01", "", "2026-05-01", "31", "0"},
      {"31", ValuePeriod::Month, "2026-05-01", "", "2026-05-11", "31", "10"},
      {"31", ValuePeriod::Month, "2026-05-01", "", "2026-06-01", "31", "31"},
      {"31", ValuePeriod::Month, "2026-05-31", "", "2026-06-01", "31", "1"},
      {"30", ValuePeriod::Month, "2026-04-16", "", "2026-07-01", "30", "75"},
      {"31", ValuePeriod::Month, "2026-05-01", "2026-05-11", "2026-05-10", "31", "9"},
      {"31", ValuePeriod::Month, "2026-05-01", "2026-05-11", "2026-05-11", "0", "10"},
      {"31", ValuePeriod::Month, "2026-05-01", "2026-05-11", "2027-01-01", "0", "10"},
      {"31", ValuePeriod::Month, "2026-05-11", "2026-05-01", "2027-01-01", "0", "0"},
      {"92", ValuePeriod::Quarter, "2026-07-01", "", "2026-08-01", "30.666666666667", "31"},
      {"365", ValuePeriod::Year, "2026-01-01", "", "2027-01-01", "30.416666666667", "365"},
      {"365", ValuePeriod::Year, "2026-12-31", "", "2027-01-02", "30.416666666667", "2"},
      {"500", ValuePeriod::Once, "2026-05-01", "", "2026-04-30", "0", "0"},
      {"500", ValuePeriod::Once, "2026-05-01", "", "2026-05-01", "0", "500"},
      {"500", ValuePeriod::Once, "2026-05-01", "2026-04-01", "2026-05-01", "0", "500"},
      {"-31", ValuePeriod::Month, "2026-05-01", "", "2026-05-11", "-31", "-10"},
  };
  for (const Case& c : kCases) {
    const ValueAmount amount =
        value_amount(value(c.amount, c.period, c.from, c.to), parse_utc(c.as_of));
    const std::string name = std::string(c.amount) + " from " + c.from + " as of " + c.as_of;
    EXPECT_EQ(amount.per_month, usd(c.per_month)) << name;
    EXPECT_EQ(amount.to_date, usd(c.to_date)) << name;
  }
}

TEST(ValueAmount, EndsWithTheCalendarOf64Bits) {
  BusinessValue forever = value("1", ValuePeriod::Month, "2026-01-01", "");
  EXPECT_EQ(value_amount(forever, UtcTime::max()).to_date, usd("2820")) << "until 2261";
  forever.valid_from = UtcTime::min();
  EXPECT_EQ(value_amount(forever, parse_utc("1970-02-01")).to_date, usd("1"));
  forever.valid_from = UtcTime::max();
  EXPECT_EQ(value_amount(forever, UtcTime::max()).to_date, usd("0"));
}

// A sweep of 5,000 USD and a training run of 1,000 USD behind a model that saves 50,000 a month.
LineageBuilder story() {
  LineageBuilder lineage;
  lineage.node("run:sweep", parse_utc("2026-05-12"))
      .node("run:train", parse_utc("2026-05-20"))
      .node("model:m", parse_utc("2026-05-21"));
  for (int trial = 0; trial < 4; ++trial) {
    const std::string name = "run:trial-" + std::to_string(trial);
    lineage.edge(name + " nested_in run:sweep").cost(name, "1250 USD");
  }
  lineage.edge("run:trial-2 produced checkpoint:best");
  lineage.edge("run:train read checkpoint:best").cost("run:train", "1000 USD");
  lineage.edge("run:train produced model:m");
  lineage.value("model:m", "50000 USD", ValuePeriod::Month, parse_utc("2026-05-01"));
  return lineage;
}

// Goal: the sweep is seen to have led to the model, and its credit is a range.
TEST(Value, ASweepLedToAModel) {
  const Genealogy graph = graph_of(story().records);
  const NodeValue sweep = value_of(graph, NodeId{"run:sweep"}, parse_utc("2026-06-01"));
  EXPECT_EQ(sweep.full_cost.total(), usd("5000"));
  EXPECT_EQ(sweep.led_to.per_month, usd("50000"));
  EXPECT_EQ(sweep.led_to.to_date, usd("50000"));
  EXPECT_EQ(sweep.results, (std::vector<NodeId>{NodeId{"model:m"}}));
  EXPECT_EQ(sweep.credit.lowest.per_month, usd("0")) << "the last to come was the training run";
  EXPECT_EQ(sweep.credit.highest.per_month, usd("41666.666666666667")) << "5,000 of 6,000 USD";
  const NodeValue trial = value_of(graph, NodeId{"run:trial-0"}, parse_utc("2026-06-01"));
  EXPECT_EQ(trial.credit.highest.per_month, usd("10416.666666666667")) << "a quarter of the sweep";
  const NodeValue model = value_of(graph, NodeId{"model:m"}, parse_utc("2026-06-01"));
  EXPECT_EQ(model.full_cost.total(), usd("6000"));
  EXPECT_EQ(model.credit.lowest.per_month, usd("50000"));
  EXPECT_EQ(model.credit.highest.per_month, usd("50000"));
}

// Goal: the credits of the work behind a value add up to it under each rule. Method: two pieces of
// work, so that what one has least of the other has most of; trials share their sweep's.
TEST(Value, CreditsOfAllWorkAddUp) {
  const Genealogy graph = graph_of(story().records);
  const UtcTime as_of = parse_utc("2026-05-11");
  const NodeValue train = value_of(graph, NodeId{"run:train"}, as_of);
  const NodeValue sweep = value_of(graph, NodeId{"run:sweep"}, as_of);
  const Money value = train.led_to.to_date;
  EXPECT_EQ(train.credit.lowest.to_date + sweep.credit.highest.to_date, value);
  EXPECT_EQ(train.credit.highest.to_date + sweep.credit.lowest.to_date, value);
  EXPECT_EQ(train.credit.highest.to_date, value) << "it came last";
  Money trials = usd("0");
  for (int trial = 0; trial < 4; ++trial) {
    const NodeId name{"run:trial-" + std::to_string(trial)};
    trials += value_of(graph, name, as_of).credit.highest.to_date;
  }
  EXPECT_EQ(trials, sweep.credit.highest.to_date);
  const NodeValue checkpoint = value_of(graph, NodeId{"checkpoint:best"}, as_of);
  EXPECT_EQ(checkpoint.credit.highest.to_date, sweep.credit.highest.to_date)
      << "it is what the sweep made";
}

// Goal: a model's credit is for its own value alone, though its work is credited for another's too;
// a part of two wholes is credited once. Method: the smallest graphs with both.
TEST(Value, NothingIsCreditedTwice) {
  const UtcTime from = parse_utc("2026-05-01");
  const UtcTime as_of = parse_utc("2026-06-01");
  LineageBuilder two;
  two.edge("run:s produced model:m").edge("run:s produced model:n").cost("run:s", "10 USD");
  two.value("model:m", "100 USD", ValuePeriod::Month, from);
  two.value("model:n", "1000 USD", ValuePeriod::Month, from);
  const Genealogy models = graph_of(two.records);
  EXPECT_EQ(value_of(models, NodeId{"model:m"}, as_of).credit.highest.per_month, usd("100"));
  EXPECT_EQ(value_of(models, NodeId{"run:s"}, as_of).credit.highest.per_month, usd("1100"));

  LineageBuilder shared;
  shared.edge("run:t nested_in run:a").edge("run:t nested_in run:b").cost("run:t", "10 USD");
  shared.edge("run:t produced model:m");
  shared.value("model:m", "100 USD", ValuePeriod::Month, from);
  const Genealogy wholes = graph_of(shared.records);
  const ValueRange a = value_of(wholes, NodeId{"run:a"}, as_of).credit;
  const ValueRange b = value_of(wholes, NodeId{"run:b"}, as_of).credit;
  EXPECT_EQ(a.highest.per_month + b.lowest.per_month, usd("100"));
  EXPECT_EQ(a.lowest.per_month + b.highest.per_month, usd("100"));
}

// Goal: a value that comes again and again, of which nobody said from when, counts from when it was
// said and never from 1970.
TEST(ValueAmount, BeginsWhenItWasSaid) {
  BusinessValue value;
  value.amount = usd("31");
  value.period = ValuePeriod::Month;
  value.recorded_at = parse_utc("2026-05-01");
  EXPECT_EQ(value_amount(value, parse_utc("2026-05-11")).to_date, usd("10"));
  EXPECT_EQ(value_amount(value, parse_utc("2026-04-11")).per_month, usd("0"));
  value.recorded_at = {};
  EXPECT_EQ(value_amount(value, parse_utc("2026-05-11")).to_date, usd("0"));
  EXPECT_EQ(value_amount(value, parse_utc("2026-05-11")).per_month, usd("31"));
}

// Goal: what came once was worth something, also if it was written down after it had ended.
TEST(ValueAmount, KeepsWhatCameOnceAndEnded) {
  BusinessValue value;
  value.amount = usd("50000");
  value.valid_to = parse_utc("2026-01-01");
  value.recorded_at = parse_utc("2026-05-01");
  EXPECT_EQ(value_amount(value, parse_utc("2026-06-01")).to_date, usd("50000"));
  EXPECT_EQ(value_amount(value, parse_utc("2026-04-30")).to_date, usd("0"));
}

// Goal: a project led to what its runs led to, though no model needs a project.
TEST(Value, AProjectLedToWhatItsRunsLedTo) {
  LineageBuilder lineage = story();
  lineage.edge("run:sweep nested_in experiment:p/e").edge("experiment:p/e nested_in project:p");
  const Genealogy graph = graph_of(lineage.records);
  const UtcTime as_of = parse_utc("2026-06-01");
  const NodeValue project = value_of(graph, NodeId{"project:p"}, as_of);
  EXPECT_EQ(project.led_to.per_month, usd("50000"));
  EXPECT_EQ(project.results, (std::vector<NodeId>{NodeId{"model:m"}}));
  const NodeValue sweep = value_of(graph, NodeId{"run:sweep"}, as_of);
  EXPECT_EQ(project.credit.highest.per_month, sweep.credit.highest.per_month);
}

TEST(Value, WithoutAValueThereIsNone) {
  LineageBuilder lineage = story();
  lineage.cost("run:aside", "3 USD");
  const Genealogy graph = graph_of(lineage.records);
  const NodeValue aside = value_of(graph, NodeId{"run:aside"}, parse_utc("2026-06-01"));
  EXPECT_TRUE(aside.results.empty());
  EXPECT_EQ(aside.led_to.per_month, usd("0"));
  EXPECT_EQ(finops::testing::code_of([&] {
              (void)value_of(graph, NodeId{"run:nowhere"}, parse_utc("2026-06-01"));
            }),
            "NotFound");
}

// Goal: a value on a model of which nothing else is known stays with it.
TEST(Value, AModelWithoutWorkKeepsItsValue) {
  const Genealogy graph =
      graph_of(LineageBuilder()
                   .value("model:bought", "7 USD", ValuePeriod::Once, parse_utc("2026-05-01"))
                   .records);
  const std::vector<NodeValue> report = value_report(graph, parse_utc("2026-06-01"));
  ASSERT_EQ(report.size(), 1U);
  EXPECT_EQ(report[0].node_id, NodeId{"model:bought"});
  EXPECT_EQ(report[0].credit.lowest.to_date, usd("7"));
}

// Goal: the report has each result with a value and the wholes behind it, dearest first; a value in
// another currency is not added.
TEST(Value, ReportsResultsAndTheWorkBehindThem) {
  LineageBuilder lineage = story();
  lineage.value("model:m", "9 EUR", ValuePeriod::Once, parse_utc("2026-05-01"));
  const std::vector<NodeValue> report =
      value_report(graph_of(lineage.records), parse_utc("2026-06-01"));
  std::vector<std::string> names;
  names.reserve(report.size());
  for (const NodeValue& row : report) {
    names.push_back(row.node_id.str());
  }
  EXPECT_EQ(names, (std::vector<std::string>{"model:m", "run:train", "run:sweep"}));
  EXPECT_EQ(report[0].led_to.to_date, usd("50000"));
}

}  // namespace
}  // namespace finops::genealogy
