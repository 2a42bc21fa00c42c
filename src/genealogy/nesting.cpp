// nesting.cpp - parts and wholes from the sentences.
#include "genealogy/nesting.hpp"

#include <algorithm>

namespace finops::genealogy {
namespace {

bool is_work_in_work(const Sentence& sentence, const Names& names) {
  const NodeKind whole_kind = names.kind(sentence.object);
  return sentence.kind == EdgeKind::NestedIn &&
         (whole_kind == NodeKind::Run || whole_kind == NodeKind::Job);
}

}  // namespace

Nesting::Nesting(const Names& names, std::span<const Sentence> sentences,
                 std::span<const NodeIndex> order) {
  begins_.assign(names.size() + 1, 0);
  for (const Sentence& sentence : sentences) {
    if (is_work_in_work(sentence, names)) {
      ++begins_[sentence.subject + 1];
    }
  }
  for (std::size_t part = 0; part < names.size(); ++part) {
    begins_[part + 1] += begins_[part];
  }
  wholes_.resize(begins_.back());
  std::vector<std::uint32_t> next(begins_.begin(), begins_.end() - 1);
  for (const Sentence& sentence : sentences) {
    if (is_work_in_work(sentence, names)) {
      wholes_[next[sentence.subject]++] = sentence.object;
    }
  }
  const auto is_less = [&](NodeIndex lhs, NodeIndex rhs) { return names.id(lhs) < names.id(rhs); };
  outermost_.resize(names.size());
  has_several_.resize(names.size());
  for (auto part = order.rbegin(); part != order.rend(); ++part) {  // wholes before their parts
    const auto first = wholes_.begin() + begins_[*part];
    const auto last = wholes_.begin() + begins_[*part + 1];
    std::sort(first, last, is_less);
    outermost_[*part] = *part;
    has_several_[*part] = last - first > 1 ? 1 : 0;
    for (auto whole = first; whole != last; ++whole) {
      const NodeIndex outer = outermost_[*whole];
      if (whole == first || is_less(outer, outermost_[*part])) {
        outermost_[*part] = outer;
      }
      has_several_[*part] |= has_several_[*whole];
    }
  }
}

void Nesting::extend(std::size_t node_count) {
  begins_.resize(node_count + 1, begins_.back());
  for (std::size_t node = outermost_.size(); node < node_count; ++node) {
    outermost_.push_back(static_cast<NodeIndex>(node));
  }
  has_several_.resize(node_count, 0);
}

}  // namespace finops::genealogy
