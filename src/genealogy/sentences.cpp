// sentences.cpp - needs and words of edges.
#include "genealogy/sentences.hpp"

#include <algorithm>
#include <array>
#include <tuple>

#include "finops/base/error.hpp"

namespace finops::genealogy {
namespace {

struct Words {
  EdgeKind kind;
  std::string_view upstream;    // of what the upper node needs
  std::string_view downstream;  // of what needs the upper node
  std::string_view sentence;    // between the needer and the needed one
};
constexpr std::array<Words, 6> kWords{{
    {EdgeKind::NestedIn, "part", "part of", "has the part"},
    {EdgeKind::ForkedFrom, "forked from", "forked into", "forked from"},
    {EdgeKind::RetriedAs, "retry of", "retried as", "is the retry of"},
    {EdgeKind::Read, "read", "read by", "read"},
    {EdgeKind::Produced, "produced by", "produced", "was produced by"},
    {EdgeKind::DeployedAs, "deployed from", "deployed as", "was deployed from"},
}};

const Words& words_of(EdgeKind kind) { return kWords[static_cast<std::size_t>(kind)]; }

}  // namespace

Need need_of(const Sentence& sentence) noexcept {
  return subject_needs_object(sentence.kind) ? Need{sentence.subject, sentence.object}
                                             : Need{sentence.object, sentence.subject};
}

LineageEdge edge_of(const Sentence& sentence, const Names& names) {
  return {.subject = names.id(sentence.subject),
          .kind = sentence.kind,
          .object = names.id(sentence.object),
          .step = sentence.step == kNoStep ? std::nullopt : std::optional{sentence.step},
          .recorded_at = sentence.recorded_at};
}

void LinkTable::add(Need need, const Sentence& sentence) {
  links_.push_back(
      {.needer = need.needer, .needed = need.needed, .kind = sentence.kind, .step = sentence.step});
}

void LinkTable::sort(std::size_t node_count) {
  // By all fields, so that of several sentences for one need the same one stays in any order.
  std::ranges::sort(links_, [](const Link& lhs, const Link& rhs) {
    return std::tie(lhs.needer, lhs.needed, lhs.is_superseded, lhs.kind, lhs.step) <
           std::tie(rhs.needer, rhs.needed, rhs.is_superseded, rhs.kind, rhs.step);
  });
  const auto has_same_ends = [](const Link& lhs, const Link& rhs) {
    return lhs.needer == rhs.needer && lhs.needed == rhs.needed;
  };
  links_.erase(std::unique(links_.begin(), links_.end(), has_same_ends), links_.end());
  begins_.assign(node_count + 1, 0);
  for (const Link& link : links_) {
    ++begins_[link.needer + 1];
  }
  for (std::size_t node = 0; node < node_count; ++node) {
    begins_[node + 1] += begins_[node];
  }
}

std::size_t LinkTable::position(Need need) const {
  if (need.needer + 1 >= begins_.size()) {
    return links_.size();  // a node that came after the last edge
  }
  const auto end = links_.begin() + static_cast<std::ptrdiff_t>(begins_[need.needer + 1]);
  const auto link =
      std::lower_bound(links_.begin() + static_cast<std::ptrdiff_t>(begins_[need.needer]), end,
                       need.needed,
                       [](const Link& known, NodeIndex needed) { return known.needed < needed; });
  return link == end || link->needed != need.needed
             ? links_.size()
             : static_cast<std::size_t>(link - links_.begin());
}

void LinkTable::supersede(Need need) {
  const std::size_t known = position(need);
  FINOPS_ASSERT(known < links_.size());
  links_[known].is_superseded = true;
  has_superseded_ = true;
}

const Link* LinkTable::find(Need need) const {
  const std::size_t known = position(need);
  return known < links_.size() ? &links_[known] : nullptr;
}

std::string need_words(const Link& link, const Names& names) {
  return names.id(link.needer).str() + " " + std::string(words_of(link.kind).sentence) + " " +
         names.id(link.needed).str();
}

std::string_view relation_words(EdgeKind kind, Direction direction) noexcept {
  const Words& words = words_of(kind);
  return direction == Direction::Upstream ? words.upstream : words.downstream;
}

}  // namespace finops::genealogy
