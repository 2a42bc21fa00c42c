// fuzz_genealogy.cpp - any lineage, in any order, some of it twice: the graph and its questions.
//
// Invariants: what is refused changes nothing, the same records again are no news; a tree, its
// contributors and its groups each add up to the full cost, shares add up to the total.
#include <algorithm>
#include <string>
#include <vector>

#include "finops/genealogy/credit.hpp"
#include "finops/genealogy/value.hpp"
#include "fuzz.hpp"

namespace {

using namespace finops;             // NOLINT(google-build-using-namespace): a target, not a library
using namespace finops::genealogy;  // NOLINT(google-build-using-namespace)

NodeId node_id(fuzz::Bytes& bytes) {
  const auto kind = static_cast<NodeKind>(bytes.choice(kNodeKindCount));
  return NodeId{std::string(node_kind_name(kind)) + ":" + std::to_string(bytes.choice(6))};
}

UtcTime time(fuzz::Bytes& bytes) { return UtcTime{Nanoseconds{bytes.integer()}}; }

Money amount(fuzz::Bytes& bytes) {
  return Money::from_picos(bytes.integer(), Currency(bytes.one_of({"USD", "USD", "USD", "EUR"})));
}

void add_record(fuzz::Bytes& bytes, LineageRecords& records) {
  const EventId event_id{std::to_string(bytes.choice(20))};
  switch (bytes.choice(8)) {
    case 0:
      records.nodes.push_back({.node_id = node_id(bytes),
                               .label = bytes.text(3),
                               .user_name = bytes.one_of({"", "ada"}),
                               .cluster = "",
                               .attributes = "{}",
                               .created_at = time(bytes)});
      break;
    case 1:
      records.costs.push_back({.event_id = event_id,
                               .node_id = node_id(bytes),
                               .charge_category = ChargeCategory::Usage,
                               .is_correction = bytes.chance(),
                               .billed_cost = amount(bytes),
                               .charge_period_start = {},
                               .charge_period_end = {}});
      break;
    case 2:
      records.statuses.push_back({.node_id = node_id(bytes),
                                  .status = bytes.one_of({"RUNNING", "FAILED", "PREEMPTED",
                                                          "RETIRED", "ACTIVE"}),
                                  .who = "",
                                  .why = "",
                                  .recorded_at = time(bytes)});
      break;
    case 3:
      records.uses.push_back({.event_id = event_id,
                              .node_id = node_id(bytes),
                              .quantity = bytes.integer(),
                              .unit = bytes.one_of({"requests", "tokens"}),
                              .recorded_at = {}});
      break;
    case 4:
      records.values.push_back({.value_id = event_id,
                                .node_id = node_id(bytes),
                                .amount = amount(bytes),
                                .period = static_cast<ValuePeriod>(bytes.choice(4)),
                                .valid_from = time(bytes),
                                .valid_to = time(bytes),
                                .source = "somebody",
                                .who = "",
                                .recorded_at = {}});
      break;
    default:
      records.edges.push_back({.subject = node_id(bytes),
                               .kind = static_cast<EdgeKind>(bytes.choice(6)),
                               .object = node_id(bytes),
                               .step = {},
                               .recorded_at = {}});
  }
}

template <class Parts>
Money sum_of(const Parts& parts, Currency currency) {
  Money sum = Money::zero(currency);
  for (const auto& part : parts) {
    sum += part.cost.total();
  }
  return sum;
}

void check_node(const Genealogy& graph, const NodeId& asked) {
  const Money full = graph.full_cost(asked).total();
  const std::string& name = asked.str();
  for (const Direction direction : {Direction::Upstream, Direction::Downstream}) {
    const bool is_up = direction == Direction::Upstream;
    const Money whole = is_up ? full : graph.cost_from(asked).total();
    fuzz::require(sum_of(graph.contributors(asked, direction), graph.currency()) == whole,
                  "contributors of " + name);
    fuzz::require(graph.tree(asked, direction, {}).front().subtree_cost.total() == whole,
                  "tree of " + name);
    const TreeLimits few{.longest_depth = 2, .most_nodes = 3};
    fuzz::require(graph.tree(asked, direction, few).front().subtree_cost.total() == whole,
                  "cut tree of " + name);
  }
  for (const GroupBy by : {GroupBy::Kind, GroupBy::Status, GroupBy::User, GroupBy::Cluster}) {
    fuzz::require(sum_of(graph.grouped(asked, by), graph.currency()) == full, "groups of " + name);
  }
}

void check_graph(const Genealogy& graph) {
  const std::vector<NodeId> nodes = graph.node_ids();
  for (const NodeId& node : nodes) {
    check_node(graph, node);
  }
  if (!nodes.empty()) {
    const Difference difference = graph.difference(nodes.front(), nodes.back());
    fuzz::require(difference.only_first.total() + difference.both.total() ==
                      graph.full_cost(nodes.front()).total(),
                  "a difference adds up");
  }
  const Allocation allocation = allocate(graph, {});
  for (const CreditRule rule : {CreditRule::Equal, CreditRule::Usage, CreditRule::LastPays}) {
    Money sum = allocation.no_outcome.total();
    for (const ClaimantShare& share : allocation.claimants) {
      sum += share.share(rule);
    }
    fuzz::require(sum == allocation.total.total(), "shares add up");
  }
  (void)graph.problems();
  (void)value_report(graph, UtcTime{Nanoseconds{1'800'000'000'000'000'000}});
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Bytes bytes(data, std::min<std::size_t>(size, 600));
  Genealogy graph(Currency::usd());
  while (!bytes.empty()) {
    LineageRecords some;
    for (std::size_t count = 1 + bytes.choice(8); count > 0 && !bytes.empty(); --count) {
      add_record(bytes, some);
    }
    (void)graph.add(some);
    (void)graph.add(some);
  }
  check_graph(graph);
  return 0;
}
