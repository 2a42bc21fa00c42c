// widening.cpp - the widest wholes that do not need who took something out of them.
//
// Outermost first, all at once: in most graphs that closes no cycle, and takes linear time. Only
// for takers that are used inside of the whole, a walk over all that needs them finds how far out
// the wholes go that may be theirs.
#include "genealogy/widening.hpp"

#include <algorithm>
#include <tuple>
#include <utility>
#include <vector>

#include "finops/base/error.hpp"

namespace finops::genealogy {
namespace {

// `taker` came out of `part`, which is nested in something.
struct Taking {
  NodeIndex taker = 0;
  NodeIndex part = 0;
  const Sentence* sentence = nullptr;
};

std::vector<Taking> find_takings(const Names& names, std::span<const Sentence> sentences,
                                 const Nesting& nesting) {
  std::vector<Taking> takings;
  for (const Sentence& sentence : sentences) {
    if (sentence.kind == EdgeKind::Produced || sentence.kind == EdgeKind::ForkedFrom) {
      const Need need = need_of(sentence);
      if (!nesting.wholes(need.needed).empty()) {
        takings.push_back({need.needer, need.needed, &sentence});
      }
    }
  }
  std::ranges::sort(takings, [&](const Taking& lhs, const Taking& rhs) {
    if (lhs.sentence->recorded_at != rhs.sentence->recorded_at) {
      return lhs.sentence->recorded_at < rhs.sentence->recorded_at;
    }
    return std::tie(names.id(lhs.taker), names.id(lhs.part), lhs.sentence->kind) <
           std::tie(names.id(rhs.taker), names.id(rhs.part), rhs.sentence->kind);
  });
  return takings;
}

// Pairs of a node and an outermost whole of which a part reads it or forked from it; sorted. Only
// saves time: for a sweep whose trials begin from each other's checkpoints, one cycle each.
std::vector<std::pair<NodeIndex, NodeIndex>> find_inner_uses(std::span<const Sentence> sentences,
                                                             const Nesting& nesting) {
  std::vector<std::pair<NodeIndex, NodeIndex>> uses;
  for (const Sentence& sentence : sentences) {
    if (sentence.kind == EdgeKind::Read) {
      uses.emplace_back(sentence.object, nesting.outermost(sentence.subject));
    } else if (sentence.kind == EdgeKind::ForkedFrom) {
      uses.emplace_back(sentence.subject, nesting.outermost(sentence.subject));
      uses.emplace_back(sentence.object, nesting.outermost(sentence.subject));
    }
  }
  std::ranges::sort(uses);
  return uses;
}

class Widener {
 public:
  Widener(const Names& names, std::span<const Sentence> sentences, Needs& needs)
      : needs_(needs),
        takings_(find_takings(names, sentences, needs.nesting)),
        seen_(names.size(), 0),
        needs_taker_(names.size(), 0) {}

  void widen(std::span<const Sentence> sentences) {
    std::vector<std::size_t> inner = take_outermost(find_inner_uses(sentences, needs_.nesting));
    std::ranges::sort(inner);
    inner.erase(std::unique(inner.begin(), inner.end()), inner.end());
    for (const std::size_t taking : inner) {
      take_inner(takings_[taking]);
    }
    needs_.graph.merge();
    note_links();
  }

 private:
  // What was given to which taking.
  struct Given {
    std::size_t taking = 0;
    NodeIndex whole = 0;
  };

  // The widest wholes around the taking's part that are not marked as needing the taker; the part
  // itself if there are none.
  std::vector<NodeIndex> widest(const Taking& taking) {
    std::vector<NodeIndex> result;
    std::vector<NodeIndex> queue{taking.part};
    ++walk_number_;
    for (std::size_t i = 0; i < queue.size(); ++i) {
      bool is_widest = true;
      for (const NodeIndex whole : needs_.nesting.wholes(queue[i])) {
        if (needs_taker_[whole] != 0) {
          continue;
        }
        is_widest = false;
        if (std::exchange(seen_[whole], walk_number_) != walk_number_) {
          queue.push_back(whole);
        }
      }
      if (is_widest) {
        result.push_back(queue[i]);
      }
    }
    return result;
  }

  // The positions of the takings that need another look.
  std::vector<std::size_t> take_outermost(
      const std::vector<std::pair<NodeIndex, NodeIndex>>& inner_uses) {
    std::vector<std::size_t> inner;
    std::vector<Given> asked;
    for (std::size_t i = 0; i < takings_.size(); ++i) {
      const Taking& taking = takings_[i];
      const NodeIndex outermost = needs_.nesting.outermost(taking.part);
      if (needs_.nesting.has_several(taking.part)) {
        for (const NodeIndex whole : widest(taking)) {
          asked.push_back({i, whole});
        }
      } else if (std::ranges::binary_search(inner_uses, std::pair{taking.taker, outermost})) {
        inner.push_back(i);
      } else {
        asked.push_back({i, outermost});
      }
    }
    std::vector<Need> wider;
    wider.reserve(asked.size());
    for (const Given& given : asked) {
      wider.push_back({takings_[given.taking].taker, given.whole});
    }
    for (const RefusedNeed& refused : needs_.graph.add_needs(wider)) {
      inner.push_back(asked[refused.position].taking);
      asked[refused.position].whole = kNoNode;
    }
    std::ranges::copy_if(asked, std::back_inserter(given_),
                         [](const Given& given) { return given.whole != kNoNode; });
    return inner;
  }

  void take_inner(const Taking& taking) {
    const auto is_outermost = [&](NodeIndex whole) { return needs_.nesting.wholes(whole).empty(); };
    if (std::ranges::all_of(needs_.nesting.wholes(taking.part), is_outermost)) {
      return;  // there is nothing between the part and what was refused
    }
    needs_.graph.closure(taking.taker, Direction::Downstream, workspace_, needers_);
    for (const NodeIndex needer : needers_) {
      needs_taker_[needer] = 1;
    }
    for (const NodeIndex whole : widest(taking)) {
      if (whole != taking.part) {
        const bool is_taken = needs_.graph.add_need({taking.taker, whole}).empty();
        FINOPS_ASSERT(is_taken);
        given_.push_back({static_cast<std::size_t>(&taking - takings_.data()), whole});
      }
    }
    for (const NodeIndex needer : needers_) {
      needs_taker_[needer] = 0;
    }
  }

  void note_links() {
    for (const Given& given : given_) {
      const Taking& taking = takings_[given.taking];
      const Need plain{taking.taker, taking.part};
      const Link* link = needs_.links.find(plain);
      FINOPS_ASSERT(link != nullptr);
      if (link->kind != EdgeKind::NestedIn) {  // a part stays one, even if its whole forked from it
        needs_.links.supersede(plain);
      }
    }
    for (const Given& given : given_) {
      const Taking& taking = takings_[given.taking];
      needs_.links.add({taking.taker, given.whole}, *taking.sentence);
    }
    if (!given_.empty()) {
      needs_.links.sort(seen_.size());
    }
  }

  Needs& needs_;
  std::vector<Taking> takings_;
  std::vector<Given> given_;
  std::vector<std::uint32_t> seen_;        // by node: the last walk of `widest` that met it
  std::vector<std::uint8_t> needs_taker_;  // by node; all zero between two takings
  std::uint32_t walk_number_ = 0;
  CostGraph::Workspace workspace_;
  std::vector<NodeIndex> needers_;
};

}  // namespace

void widen(const Names& names, std::span<const Sentence> sentences, Needs& needs) {
  Widener(names, sentences, needs).widen(sentences);
}

}  // namespace finops::genealogy
