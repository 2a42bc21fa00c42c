// test_genealogy_random.cpp - random small lineages against a second, simple reading of the
// rules: sets of names and searches without any index.
#include <algorithm>
#include <functional>
#include <map>
#include <set>
#include <tuple>
#include <utility>

#include "genealogy_support.hpp"

namespace finops::testing {
namespace {

using genealogy::CostSum;
using genealogy::Direction;
using genealogy::Genealogy;
using genealogy::Outcome;
using genealogy::TreeNode;

using Ids = std::set<std::string>;

struct PaperSum {
  Money total = usd("0");
  Money failed = usd("0");
  std::int64_t unpriced_count = 0;
};

// What a person with paper and pencil would do, one sentence after the other.
class Paper {
 public:
  explicit Paper(const LineageRecords& records) : records_(records) {
    for (std::size_t i = 0; i < records.edges.size(); ++i) {
      const LineageEdge& edge = records.edges[i];
      nodes_.insert(edge.subject.str());
      nodes_.insert(edge.object.str());
      const auto [needer, needed] = need_of(edge);
      if (reached(needed, needs_).contains(needer)) {
        refused.push_back(i);
        continue;
      }
      needs_[needer].insert(needed);
      if (edge.kind == EdgeKind::NestedIn) {
        parts_[needer].insert(needed);
      }
      const NodeKind whole_kind = node_kind(edge.object);
      if (edge.kind == EdgeKind::NestedIn &&
          (whole_kind == NodeKind::Run || whole_kind == NodeKind::Job)) {
        wholes_[edge.subject.str()].insert(edge.object.str());
      }
      if (edge.kind == EdgeKind::Produced || edge.kind == EdgeKind::ForkedFrom) {
        takings_.insert({edge.recorded_at, needer, needed});
      }
    }
    widen();
  }

  [[nodiscard]] Ids closure(const std::string& node, Direction direction) const {
    return direction == Direction::Upstream ? reached(node, needs_) : came_from(node);
  }
  [[nodiscard]] const Ids& nodes() const { return nodes_; }
  [[nodiscard]] PaperSum sum_of(const Ids& nodes) const {
    PaperSum sum;
    for (const LineageCost& cost : records_.costs) {
      if (nodes.contains(cost.node_id.str())) {
        sum.total += cost.billed_cost;
        sum.failed += has_failed(cost.node_id) ? cost.billed_cost : usd("0");
        sum.unpriced_count += std::ranges::count(records_.unpriced, cost.node_id);
      }
    }
    return sum;
  }

  std::vector<std::size_t> refused;

 private:
  using Relation = std::map<std::string, Ids>;

  static std::pair<std::string, std::string> need_of(const LineageEdge& edge) {
    const bool is_forward = edge.kind == EdgeKind::Read || edge.kind == EdgeKind::ForkedFrom;
    return is_forward ? std::pair{edge.subject.str(), edge.object.str()}
                      : std::pair{edge.object.str(), edge.subject.str()};
  }

  static Ids reached(const std::string& node, const Relation& relation) {
    Ids found{node};
    std::vector<std::string> open{node};
    while (!open.empty()) {
      const auto below = relation.find(open.back());
      open.pop_back();
      if (below != relation.end()) {
        for (const std::string& next : below->second) {
          if (found.insert(next).second) {
            open.push_back(next);
          }
        }
      }
    }
    return found;
  }

  // Who needs something of it needs it as a whole, unless only as the whole of a part; what is
  // there as a whole is there with its parts. Said again and again until nothing new comes of it.
  [[nodiscard]] Ids came_from(const std::string& node) const {
    Ids in_part{node};
    Ids whole{node};
    for (std::size_t before = 0; before != in_part.size() + whole.size();) {
      before = in_part.size() + whole.size();
      for (const auto& [needer, needed] : needs_) {
        for (const std::string& other : needed) {
          const bool is_part = parts_.contains(needer) && parts_.at(needer).contains(other);
          if (in_part.contains(other)) {
            in_part.insert(needer);
            if (!is_part) {
              whole.insert(needer);
            }
          }
          if (is_part && whole.contains(needer)) {
            in_part.insert(other);
            whole.insert(other);
          }
        }
      }
    }
    return in_part;
  }

  // Work without a status turned out as the first of the wholes around it.
  [[nodiscard]] bool has_failed(const NodeId& node_id) const {
    const NodeKind kind = node_kind(node_id);
    if (kind != NodeKind::Run && kind != NodeKind::Attempt && kind != NodeKind::Job) {
      return false;
    }
    for (std::string node = node_id.str();;) {
      const auto status = std::ranges::find_if(records_.statuses, [&](const NodeStatus& known) {
        return known.node_id.str() == node;
      });
      if (status != records_.statuses.end()) {
        return status->status == "FAILED";
      }
      const auto around = wholes_.find(node);
      if (around == wholes_.end()) {
        return false;
      }
      node = *around->second.begin();
    }
  }

  // Those of `around` that have no whole in `around`.
  [[nodiscard]] Ids widest(const Ids& around) const {
    Ids result;
    for (const std::string& whole : around) {
      const auto outer = wholes_.find(whole);
      if (outer == wholes_.end() || std::ranges::none_of(outer->second, [&](const std::string& o) {
            return around.contains(o);
          })) {
        result.insert(whole);
      }
    }
    return result;
  }

  void widen() {
    std::set<std::tuple<UtcTime, std::string, std::string>> inner;
    for (const auto& taking : takings_) {
      const auto& [recorded_at, taker, part] = taking;
      for (const std::string& whole : widest(reached(part, wholes_))) {
        if (reached(whole, needs_).contains(taker)) {
          inner.insert(taking);
        } else {
          needs_[taker].insert(whole);
        }
      }
    }
    for (const auto& [recorded_at, taker, part] : inner) {
      Ids around;
      for (const std::string& whole : reached(part, wholes_)) {
        if (!reached(whole, needs_).contains(taker)) {
          around.insert(whole);
        }
      }
      needs_[taker].merge(widest(around));
    }
  }

  const LineageRecords& records_;
  Ids nodes_;
  Relation needs_;
  Relation parts_;  // of any kind of whole
  Relation wholes_;
  std::set<std::tuple<UtcTime, std::string, std::string>> takings_;
};

std::string random_node(Random& random) {
  static const std::vector<std::string> kKinds{"run",      "run",       "run",        "attempt",
                                               "job",      "dataset",   "checkpoint", "model",
                                               "endpoint", "experiment"};
  return kKinds[static_cast<std::size_t>(random.between(0, 9))] + ":" +
         std::to_string(random.between(0, 4));
}

// At most 30 sensible sentences, of which some close cycles; each node has a cost and perhaps a
// status.
LineageRecords random_records(Random& random) {
  LineageBuilder lineage;
  Ids nodes;
  const std::int64_t edge_count = random.between(1, 30);
  while (std::ssize(lineage.records.edges) < edge_count) {
    const LineageEdge edge{.subject = id(random_node(random)),
                           .kind = static_cast<EdgeKind>(random.between(0, 5)),
                           .object = id(random_node(random)),
                           .step = std::nullopt,
                           .recorded_at = at(random.between(0, 3))};
    if (code_of([&] { require_sensible(edge); }) == "none") {
      const bool is_new =
          std::ranges::none_of(lineage.records.edges, [&](const LineageEdge& known) {
            return known.subject == edge.subject && known.kind == edge.kind &&
                   known.object == edge.object;
          });
      if (is_new) {
        lineage.records.edges.push_back(edge);
        nodes.insert(edge.subject.str());
        nodes.insert(edge.object.str());
      } else if (random.chance(10)) {
        break;  // few sentences are left
      }
    }
  }
  std::int64_t amount = 1;
  for (const std::string& node : nodes) {
    lineage.cost(node, std::to_string(amount) + " USD");  // powers of two: a sum tells its parts
    amount *= 2;
    if (random.chance(30)) {
      static const std::vector<std::string> kStatuses{"RUNNING", "FINISHED", "FAILED", "PREEMPTED"};
      lineage.status(node, kStatuses[static_cast<std::size_t>(random.between(0, 3))]);
    }
    if (random.chance(10)) {
      lineage.unpriced(node);
    }
  }
  return std::move(lineage.records);
}

void expect_sum(const CostSum& sum, const Ids& nodes, const Paper& paper) {
  const PaperSum expected = paper.sum_of(nodes);
  EXPECT_EQ(sum.total(), expected.total);
  EXPECT_EQ(sum.of(Outcome::Failed), expected.failed);
  EXPECT_EQ(sum.node_count, std::ssize(nodes));
  EXPECT_EQ(sum.unpriced_count, expected.unpriced_count);
}

// What the parts of an answer are together.
void expect_parts_add_up(const Genealogy& graph, const std::string& node, Direction direction,
                         const Ids& closure, const Paper& paper) {
  CostSum contributed(Currency::usd());
  for (const genealogy::Contributor& contributor : graph.contributors(id(node), direction)) {
    EXPECT_EQ(contributor.path.front(), id(node));
    EXPECT_EQ(contributor.path.back(), contributor.node_id);
    EXPECT_TRUE(closure.contains(contributor.node_id.str())) << contributor.node_id.str();
    contributed.by_outcome[0] += contributor.cost.total();
    contributed.node_count += contributor.cost.node_count;
  }
  EXPECT_EQ(contributed.total(), paper.sum_of(closure).total);
  EXPECT_EQ(contributed.node_count, std::ssize(closure));

  const std::vector<TreeNode> tree = graph.tree(id(node), direction, {});
  expect_sum(tree.front().subtree_cost, closure, paper);
  std::vector<Money> below;  // own cost and the subtrees of the children
  Ids counted;
  for (const TreeNode& line : tree) {
    below.push_back(line.is_repetition ? usd("0") : line.view.own_cost);
    EXPECT_TRUE(line.is_repetition || counted.insert(line.view.node_id.str()).second);
  }
  EXPECT_EQ(counted, closure);
  for (std::size_t i = tree.size(); i-- > 0;) {
    EXPECT_EQ(tree[i].subtree_cost.total(), below[i]) << tree[i].view.node_id.str();
    if (tree[i].parent >= 0) {
      below[static_cast<std::size_t>(tree[i].parent)] += tree[i].subtree_cost.total();
    }
  }
}

// Goal: the graph answers what a person finds with sets of names, in both directions; contributors
// and trees add up to it. Method: 3,000 random lineages with cycles, nesting and takers in
// all ways that make sense; costs are powers of two, so that no two sets have one sum.
TEST(GenealogyRandom, AnswersAsPaperAndPencilDo) {
  Random random(test_seed());
  for (int round = 0; round < 3'000 && !HasFailure(); ++round) {
    SCOPED_TRACE("FINOPS_TEST_SEED=" + std::to_string(test_seed()) + " round " +
                 std::to_string(round));
    const LineageRecords records = random_records(random);
    const Paper paper(records);
    Genealogy graph(Currency::usd());
    std::vector<std::size_t> refused;
    for (const genealogy::Refusal& refusal : graph.add(records)) {
      refused.push_back(refusal.position);
    }
    EXPECT_EQ(refused, paper.refused);
    for (const std::string& node : paper.nodes()) {
      SCOPED_TRACE(node);
      for (const Direction direction : {Direction::Upstream, Direction::Downstream}) {
        const Ids closure = paper.closure(node, direction);
        const bool is_upstream = direction == Direction::Upstream;
        expect_sum(is_upstream ? graph.full_cost(id(node)) : graph.cost_from(id(node)), closure,
                   paper);
        expect_parts_add_up(graph, node, direction, closure, paper);
      }
    }
  }
}

// All that a graph says of its costs, as text.
std::string answers(const Genealogy& graph) {
  std::vector<NodeId> ids = graph.node_ids();
  std::ranges::sort(ids);
  std::string text;
  for (const NodeId& node_id : ids) {
    for (const Direction direction : {Direction::Upstream, Direction::Downstream}) {
      for (const genealogy::Contributor& contributor : graph.contributors(node_id, direction)) {
        text += contributor.node_id.str() + " " + contributor.cost.total().str() + " by";
        for (const NodeId& step : contributor.path) {
          text += " " + step.str();
        }
        text += '\n';
      }
      for (const TreeNode& line : graph.tree(node_id, direction, {})) {
        text += std::string(static_cast<std::size_t>(line.depth), ' ') + line.view.node_id.str() +
                " " + line.relation + " " + line.subtree_cost.total().str() + "\n";
      }
    }
    for (const genealogy::Group& group : graph.grouped(node_id, genealogy::GroupBy::Status)) {
      text += group.name + " " + group.cost.total().str() + "\n";
    }
  }
  return text;
}

// Goal: the order of records does not matter, nor whether they come in one call or in many. Method:
// the same records, without those that were refused, in another order and in pieces.
TEST(GenealogyRandom, TheOrderOfRecordsDoesNotMatter) {
  Random random(test_seed() + 1);
  for (int round = 0; round < 500 && !HasFailure(); ++round) {
    SCOPED_TRACE("FINOPS_TEST_SEED=" + std::to_string(test_seed()) + " round " +
                 std::to_string(round));
    LineageRecords records = random_records(random);
    Genealogy first(Currency::usd());
    const auto refusals = first.add(records);
    for (auto refusal = refusals.rbegin(); refusal != refusals.rend(); ++refusal) {
      records.edges.erase(records.edges.begin() + static_cast<std::ptrdiff_t>(refusal->position));
    }
    std::mt19937_64 engine(static_cast<std::uint64_t>(random.between(0, 1'000'000)));
    std::ranges::shuffle(records.edges, engine);
    std::ranges::shuffle(records.costs, engine);
    Genealogy pieces(Currency::usd());
    for (const LineageEdge& edge : records.edges) {
      LineageRecords piece;
      piece.edges.push_back(edge);
      EXPECT_EQ(pieces.add(piece), std::vector<genealogy::Refusal>{});
    }
    records.edges.clear();
    EXPECT_EQ(pieces.add(records), std::vector<genealogy::Refusal>{});
    EXPECT_EQ(answers(pieces), answers(first));
  }
}

// Goal: two closures side by side add up to each of them. Method: random pairs.
TEST(GenealogyRandom, DifferencesAddUp) {
  Random random(test_seed() + 2);
  for (int round = 0; round < 500 && !HasFailure(); ++round) {
    SCOPED_TRACE("FINOPS_TEST_SEED=" + std::to_string(test_seed()) + " round " +
                 std::to_string(round));
    const LineageRecords records = random_records(random);
    const Paper paper(records);
    Genealogy graph(Currency::usd());
    (void)graph.add(records);
    const std::vector<std::string> nodes(paper.nodes().begin(), paper.nodes().end());
    const auto pick = [&] {
      return nodes[static_cast<std::size_t>(random.between(0, std::ssize(nodes) - 1))];
    };
    const std::string first = pick();
    const std::string second = pick();
    const Ids first_closure = paper.closure(first, Direction::Upstream);
    const Ids second_closure = paper.closure(second, Direction::Upstream);
    Ids both;
    Ids only_first;
    Ids only_second;
    std::ranges::set_intersection(first_closure, second_closure, std::inserter(both, both.end()));
    std::ranges::set_difference(first_closure, second_closure,
                                std::inserter(only_first, only_first.end()));
    std::ranges::set_difference(second_closure, first_closure,
                                std::inserter(only_second, only_second.end()));
    const genealogy::Difference difference = graph.difference(id(first), id(second));
    expect_sum(difference.both, both, paper);
    expect_sum(difference.only_first, only_first, paper);
    expect_sum(difference.only_second, only_second, paper);
    Money contributed = usd("0");
    for (const genealogy::Contributor& contributor : difference.first_contributors) {
      contributed += contributor.cost.total();
      EXPECT_TRUE(only_first.contains(contributor.node_id.str())) << contributor.node_id.str();
    }
    EXPECT_EQ(contributed, difference.only_first.total());
  }
}

}  // namespace
}  // namespace finops::testing
