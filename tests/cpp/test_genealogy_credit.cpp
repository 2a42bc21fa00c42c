// test_genealogy_credit.cpp - shares of cost: the three rules, and that they add up.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <set>
#include <string>
#include <vector>

#include "finops/genealogy/credit.hpp"
#include "genealogy_support.hpp"

namespace finops::genealogy {
namespace {

using finops::testing::at;
using finops::testing::graph_of;
using finops::testing::LineageBuilder;
using finops::testing::usd;

// A data set for both models, a sweep for one, a training run for the other; an abandoned run.
LineageBuilder two_models() {
  LineageBuilder lineage;
  lineage.node("model:a", at(10)).node("model:b", at(20));
  lineage.edge("run:a produced model:a").edge("run:a read dataset:d");
  lineage.edge("run:b produced model:b").edge("run:b read dataset:d");
  lineage.edge("job:prep produced dataset:d");
  lineage.cost("job:prep", "100 USD").cost("run:a", "30 USD").cost("run:b", "70 USD");
  lineage.cost("run:lost", "11 USD").status("run:lost", "FAILED");
  return lineage;
}

Money sum_of(const Allocation& allocation, CreditRule rule) {
  Money sum = allocation.no_outcome.total();
  for (const ClaimantShare& share : allocation.claimants) {
    sum += share.share(rule);
  }
  return sum;
}

// Goal: what is shared is shared by the rule, what is one's own stays so, and what led to nothing
// is a row of its own. Method: the smallest story that has all three.
TEST(Credit, SharesByEachRule) {
  LineageBuilder lineage = two_models();
  lineage.use("model:a", 1, "requests").use("model:b", 3, "requests");
  const Allocation allocation = allocate(graph_of(lineage.records), {});
  ASSERT_EQ(allocation.claimants.size(), 2U);
  const ClaimantShare& a = allocation.claimants[0];
  const ClaimantShare& b = allocation.claimants[1];
  EXPECT_EQ(a.node_id, NodeId{"model:a"});
  EXPECT_EQ(a.equal, usd("80"));
  EXPECT_EQ(b.equal, usd("120"));
  EXPECT_EQ(a.usage, usd("55"));
  EXPECT_EQ(b.usage, usd("145"));
  EXPECT_TRUE(a.is_usage_known);
  EXPECT_EQ(a.last_pays, usd("30"));
  EXPECT_EQ(b.last_pays, usd("170")) << "model:b came later";
  EXPECT_EQ(a.lowest(), usd("30"));
  EXPECT_EQ(a.highest(), usd("80"));
  EXPECT_EQ(a.exclusive, usd("30"));
  EXPECT_EQ(b.exclusive, usd("70"));
  EXPECT_EQ(a.full_cost, usd("130"));
  EXPECT_EQ(b.full_cost, usd("170"));
  EXPECT_EQ(allocation.no_outcome.total(), usd("11"));
  EXPECT_EQ(allocation.no_outcome.of(Outcome::Failed), usd("11"));
  EXPECT_EQ(allocation.total.total(), usd("211"));
}

// Goal: of results that nobody described, the one that was produced last came last. Method: two
// runs say what they made, as training scripts do.
TEST(Credit, AResultCameWhenItWasProduced) {
  LineageBuilder lineage;
  lineage.edge("run:a produced model:z", {}, at(1)).edge("run:b produced model:b", {}, at(2));
  lineage.edge("run:a read dataset:d").edge("run:b read dataset:d").cost("dataset:d", "9 USD");
  const Genealogy graph = graph_of(lineage.records);
  EXPECT_EQ(allocate(graph, {}).claimants[0].last_pays, usd("9")) << "model:b";
  EXPECT_EQ(graph.node(NodeId{"model:z"}).created_at, at(1));
  EXPECT_EQ(graph.pending(),
            (std::vector<NodeId>{NodeId{"run:a"}, NodeId{"run:b"}, NodeId{"dataset:d"}}));
}

// Goal: unknown use is not zero use. Method: the use of one is missing, or in another unit, or all
// is zero: then the parts are equal.
TEST(Credit, SharesEquallyWhereUseIsNotKnown) {
  const auto usage_of_a = [](const LineageBuilder& lineage) {
    return allocate(graph_of(lineage.records), {}).claimants.front().usage;
  };
  EXPECT_EQ(usage_of_a(two_models()), usd("80"));
  EXPECT_EQ(usage_of_a(two_models().use("model:a", 9, "requests")), usd("80"));
  EXPECT_EQ(usage_of_a(two_models().use("model:a", 9, "requests").use("model:b", 1, "tokens")),
            usd("80"));
  EXPECT_EQ(usage_of_a(two_models().use("model:a", 0, "requests").use("model:b", 0, "requests")),
            usd("80"));
  EXPECT_EQ(usage_of_a(two_models().use("model:a", 0, "requests").use("model:b", 5, "requests")),
            usd("30"))
      << "measured zero is zero";
  const Allocation allocation =
      allocate(graph_of(two_models().use("model:a", 9, "requests").records), {});
  EXPECT_FALSE(allocation.claimants[0].is_usage_known) << "its own is, the other's is not";
  EXPECT_FALSE(allocation.claimants[1].is_usage_known);
}

// Goal: to share nothing needs no use; to share what nobody knows does. Method: two models of one
// dataset that cost nothing, then of one whose cost is unknown.
TEST(Credit, KnowsHowToShareNothing) {
  LineageBuilder lineage;
  lineage.node("run:a").node("run:b").cost("run:a", "1 USD").cost("run:b", "2 USD");
  lineage.edge("run:a read dataset:d").edge("run:a produced model:a");
  lineage.edge("run:b read dataset:d").edge("run:b produced model:b");
  for (const ClaimantShare& share : allocate(graph_of(lineage.records), {}).claimants) {
    EXPECT_TRUE(share.is_usage_known) << share.node_id.str();
  }
  lineage.records.unpriced.emplace_back("dataset:d");
  for (const ClaimantShare& share : allocate(graph_of(lineage.records), {}).claimants) {
    EXPECT_FALSE(share.is_usage_known) << share.node_id.str();
  }
}

// Goal: a retired result claims nothing, and what only it came from has no outcome any more.
TEST(Credit, ARetiredResultClaimsNothing) {
  const Allocation allocation =
      allocate(graph_of(two_models().status("model:a", "RETIRED").records), {});
  ASSERT_EQ(allocation.claimants.size(), 1U);
  EXPECT_EQ(allocation.claimants[0].equal, usd("170"));
  EXPECT_EQ(allocation.no_outcome.total(), usd("41"));
}

TEST(Credit, TakesTheClaimantsThatItIsGiven) {
  const Genealogy graph = graph_of(two_models().records);
  const std::vector<NodeId> twice{NodeId{"run:a"}, NodeId{"run:a"}};
  const Allocation allocation = allocate(graph, twice);
  ASSERT_EQ(allocation.claimants.size(), 1U);
  EXPECT_EQ(allocation.claimants[0].equal, usd("130"));
  EXPECT_EQ(sum_of(allocation, CreditRule::Equal), usd("211"));
  const std::vector<NodeId> unknown{NodeId{"model:nowhere"}};
  EXPECT_EQ(finops::testing::code_of([&] { (void)allocate(graph, unknown); }), "NotFound");
}

TEST(Credit, WithoutAnyResultAllHasNoOutcome) {
  const Allocation empty = allocate(Genealogy(Currency::usd()), {});
  EXPECT_TRUE(empty.claimants.empty());
  EXPECT_EQ(empty.total.total(), usd("0"));
  const Allocation lost = allocate(graph_of(LineageBuilder().cost("run:x", "5 USD").records), {});
  EXPECT_TRUE(lost.claimants.empty());
  EXPECT_EQ(lost.no_outcome.total(), usd("5"));
}

// --- against definitions, on random lineages
// ------------------------------------------------------

// Layers of runs; each layer reads what earlier ones produced. Costs are multiples of `unit`.
struct RandomLineage {
  LineageBuilder lineage;
  std::map<std::string, std::set<std::string>> needs;  // directly
  std::map<std::string, Money> costs;
  std::vector<std::string> models;
};

RandomLineage random_lineage(finops::testing::Random& random, std::int64_t unit_picos,
                             int most_models) {
  RandomLineage made;
  const int count = static_cast<int>(random.between(2, 20));
  for (int i = 0; i < count; ++i) {
    const std::string name = std::to_string(i);
    const std::string run = "run:" + name;
    const bool is_model = static_cast<int>(made.models.size()) < most_models && random.chance(40);
    const std::string product = (is_model ? "model:" : "dataset:") + name;
    made.lineage.node(product, at(random.between(1, 9)));
    made.lineage.edge(run + " produced " + product);
    made.needs[product].insert(run);
    if (is_model) {
      made.models.push_back(product);
    }
    for (int j = 0; j < i; ++j) {
      if (random.chance(15)) {
        const std::string other = "dataset:" + std::to_string(j);
        if (made.needs.contains(other)) {
          made.lineage.edge(run + " read " + other);
          made.needs[run].insert(other);
        }
      }
    }
    for (const std::string& node : {run, product}) {
      const Money cost =
          Money::from_picos(Int128{unit_picos} * random.between(-3, 50), Currency::usd());
      made.lineage.cost(node, cost.str());
      made.costs.emplace(node, cost);
    }
  }
  return made;
}

std::set<std::string> closure_of(const RandomLineage& made, const std::string& node) {
  std::set<std::string> seen;
  std::vector<std::string> waiting{node};
  while (!waiting.empty()) {
    const std::string next = waiting.back();
    waiting.pop_back();
    if (seen.insert(next).second && made.needs.contains(next)) {
      const std::set<std::string>& needed = made.needs.at(next);
      waiting.insert(waiting.end(), needed.begin(), needed.end());
    }
  }
  return seen;
}

Money cost_of(const RandomLineage& made, const std::set<std::string>& nodes) {
  Money sum = usd("0");
  for (const std::string& node : nodes) {
    sum += made.costs.at(node);
  }
  return sum;
}

// Goal: equal shares are the Shapley value. Method: its definition, the mean over all orders of
// arrival of what a claimant adds to the cost, with costs that divide without a rest.
TEST(Credit, EqualSharesAreTheShapleyValue) {
  finops::testing::Random random(finops::testing::test_seed());
  constexpr std::int64_t kOrders = 120;
  for (int round = 0; round < 200; ++round) {
    const RandomLineage made = random_lineage(random, kOrders, 5);
    const Allocation allocation = allocate(graph_of(made.lineage.records), {});
    ASSERT_EQ(allocation.claimants.size(), made.models.size());
    std::vector<std::string> order = made.models;
    std::sort(order.begin(), order.end());
    std::map<std::string, Int128> sums;
    std::int64_t order_count = 0;
    do {
      ++order_count;
      std::set<std::string> covered;
      for (const std::string& model : order) {
        const Money before = cost_of(made, covered);
        const std::set<std::string> more = closure_of(made, model);
        covered.insert(more.begin(), more.end());
        sums[model] += (cost_of(made, covered) - before).picos();
      }
    } while (std::next_permutation(order.begin(), order.end()));
    for (const ClaimantShare& share : allocation.claimants) {
      EXPECT_EQ(share.equal.picos() * order_count, sums.at(share.node_id.str()))
          << share.node_id.str() << " in round " << round << " of seed "
          << finops::testing::test_seed();
    }
  }
}

// Goal: the shares add up to the total under each rule, whatever the amounts; full and exclusive
// cost are what their names say. Method: amounts that do not divide, more claimants than one block
// of 64 holds.
TEST(Credit, SharesAddUpToTheTotal) {
  finops::testing::Random random(finops::testing::test_seed() + 1);
  for (int round = 0; round < 300; ++round) {
    RandomLineage made = random_lineage(random, 1, 1'000);
    for (const std::string& model : made.models) {
      if (random.chance(70)) {
        made.lineage.use(model, random.between(0, INT64_MAX), random.chance(80) ? "a" : "b");
      }
    }
    const Allocation allocation = allocate(graph_of(made.lineage.records), {});
    for (const CreditRule rule : {CreditRule::Equal, CreditRule::Usage, CreditRule::LastPays}) {
      EXPECT_EQ(sum_of(allocation, rule), allocation.total.total())
          << credit_rule_name(rule) << " in round " << round;
    }
    for (const ClaimantShare& share : allocation.claimants) {
      EXPECT_EQ(share.full_cost, cost_of(made, closure_of(made, share.node_id.str())));
    }
  }
}

TEST(Credit, ThousandClaimantsOfOneDataset) {
  LineageBuilder lineage;
  lineage.cost("dataset:d", "0.000001000003 USD");
  for (int i = 0; i < 1'000; ++i) {
    const std::string name = std::to_string(i);
    lineage.edge("run:" + name + " produced model:" + name);
    lineage.edge("run:" + name + " read dataset:d");
  }
  const Allocation allocation = allocate(graph_of(lineage.records), {});
  ASSERT_EQ(allocation.claimants.size(), 1'000U);
  std::map<Int128, int> counts;
  for (const ClaimantShare& share : allocation.claimants) {
    ++counts[share.equal.picos()];
  }
  EXPECT_EQ(counts, (std::map<Int128, int>{{1'000, 997}, {1'001, 3}}));
  EXPECT_EQ(allocation.claimants[2].equal.picos(), 1'001) << "the rest goes by id";
  EXPECT_EQ(allocation.claimants[3].equal.picos(), 1'000);
}

}  // namespace
}  // namespace finops::genealogy
