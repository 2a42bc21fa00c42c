// needs.cpp - the plain needs first, then the wholes.
#include "genealogy/needs.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

#include "finops/base/error.hpp"
#include "genealogy/widening.hpp"

namespace finops::genealogy {
namespace {

constexpr std::size_t kShownPathEnds = 8;  // needs shown at each end of a long cycle

std::string cycle_words(std::span<const NodeIndex> path, const LinkTable& links,
                        const Names& names) {
  if (path.empty()) {
    return "it closes a cycle; one of many, its path was not kept: mend the others first";
  }
  std::string words = "it closes a cycle: ";
  for (std::size_t i = 0; i < path.size(); ++i) {
    if (i == kShownPathEnds && path.size() > 2 * kShownPathEnds) {
      const std::size_t hidden = path.size() - 2 * kShownPathEnds;
      words += ", (" + std::to_string(hidden) + " more)";
      i += hidden;
    }
    const Link* link = links.find({path[i], path[(i + 1) % path.size()]});
    FINOPS_ASSERT(link != nullptr);
    words += (i == 0 ? "" : ", ") + need_words(*link, names);
  }
  return words + "; take back the one that is wrong";
}

LinkTable make_links(std::span<const Sentence> sentences, std::size_t node_count) {
  LinkTable links;
  for (const Sentence& sentence : sentences) {
    links.add(sentence);
  }
  links.sort(node_count);
  return links;
}

std::vector<Sentence> without(std::span<const Sentence> sentences,
                              std::span<const RefusedSentence> refused) {
  std::vector<Sentence> kept;
  kept.reserve(sentences.size() - refused.size());
  auto next_refused = refused.begin();
  for (std::size_t i = 0; i < sentences.size(); ++i) {
    if (next_refused != refused.end() && next_refused->position == i) {
      ++next_refused;
    } else {
      kept.push_back(sentences[i]);
    }
  }
  return kept;
}

// A part in several wholes, one of which is in another: a tree shows it in the inner one only.
void supersede_outer_wholes(std::span<const Sentence> sentences, Needs& needs) {
  for (const Sentence& sentence : sentences) {
    if (sentence.kind != EdgeKind::NestedIn) {
      continue;
    }
    for (const NodeIndex inner : needs.nesting.wholes(sentence.subject)) {
      const Link* link = needs.links.find({sentence.object, inner});
      if (link != nullptr && link->kind == EdgeKind::NestedIn) {
        needs.links.supersede(need_of(sentence));
        break;
      }
    }
  }
}

}  // namespace

Needs build_needs(const Names& names, std::span<const Sentence> sentences) {
  Needs needs;
  needs.graph.add_nodes(names.size());
  std::vector<Need> plain;
  plain.reserve(sentences.size());
  for (const Sentence& sentence : sentences) {
    plain.push_back(need_of(sentence));
  }
  const std::vector<RefusedNeed> refused = needs.graph.add_needs(plain);
  plain = {};
  needs.links = make_links(sentences, names.size());
  for (const RefusedNeed& need : refused) {
    needs.refused.push_back({need.position, cycle_words(need.path, needs.links, names)});
  }
  std::vector<Sentence> kept;
  if (!refused.empty()) {
    kept = without(sentences, needs.refused);
    sentences = kept;
    needs.links = make_links(sentences, names.size());
  }
  needs.nesting = Nesting(names, sentences, needs.graph.topological_order());
  widen(names, sentences, needs);
  supersede_outer_wholes(sentences, needs);
  return needs;
}

}  // namespace finops::genealogy
