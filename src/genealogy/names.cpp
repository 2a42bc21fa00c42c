// names.cpp - names to indices and back, and what a misspelt name may have meant.
#include "genealogy/names.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace finops::genealogy {
namespace {

constexpr std::size_t kMostSuggestions = 3;
constexpr int kMostWrongLetters = 2;
constexpr std::size_t kLongestCompared = 64;  // of longer names only their beginnings are compared

// How many letters must be inserted, taken out or changed; kMostWrongLetters + 1: more than that.
int wrong_letters(std::string_view lhs, std::string_view rhs) {
  const std::size_t size_gap =
      lhs.size() > rhs.size() ? lhs.size() - rhs.size() : rhs.size() - lhs.size();
  if (size_gap > kMostWrongLetters || std::max(lhs.size(), rhs.size()) > kLongestCompared) {
    return kMostWrongLetters + 1;
  }
  std::array<int, kLongestCompared + 1> row{};  // distances of one beginning of lhs to all of rhs
  for (std::size_t j = 0; j <= rhs.size(); ++j) {
    row[j] = static_cast<int>(j);
  }
  for (std::size_t i = 1; i <= lhs.size(); ++i) {
    int diagonal = row[0];
    row[0] = static_cast<int>(i);
    int row_least = row[0];
    for (std::size_t j = 1; j <= rhs.size(); ++j) {
      const int changed = diagonal + (lhs[i - 1] == rhs[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({changed, row[j] + 1, row[j - 1] + 1});
      row_least = std::min(row_least, row[j]);
    }
    if (row_least > kMostWrongLetters) {
      return kMostWrongLetters + 1;
    }
  }
  return std::min(row[rhs.size()], kMostWrongLetters + 1);
}

std::string_view name_part(const NodeId& node_id) {
  const std::string_view text = node_id.str();
  const std::size_t colon = text.find(':');
  return colon == std::string_view::npos ? text : text.substr(colon + 1);
}

// 0 is nearest; nullopt: not near.
std::optional<int> remoteness(const NodeId& asked, const NodeId& known) {
  const std::string_view asked_name = name_part(asked);
  const std::string_view known_name = name_part(known);
  if (asked_name == known_name) {
    return 0;
  }
  const int wrong = wrong_letters(asked.str(), known.str());
  if (wrong <= kMostWrongLetters) {
    return wrong;
  }
  const bool is_beginning = asked_name.size() >= 3 && known_name.starts_with(asked_name);
  return is_beginning ? std::optional<int>{kMostWrongLetters + 1} : std::nullopt;
}

}  // namespace

NodeIndex Names::intern(const NodeId& node_id) {
  if (const auto known = indices_.find(node_id.str()); known != indices_.end()) {
    return known->second;
  }
  const auto index = static_cast<NodeIndex>(ids_.size());
  kinds_.push_back(node_kind(node_id));
  ids_.push_back(node_id);
  indices_.emplace(ids_.back().str(), index);
  return index;
}

std::optional<NodeIndex> Names::find(const NodeId& node_id) const {
  const auto known = indices_.find(node_id.str());
  return known == indices_.end() ? std::nullopt : std::optional{known->second};
}

std::vector<NodeId> Names::nearest(const NodeId& node_id) const {
  std::vector<std::pair<int, NodeId>> near;
  for (const NodeId& known : ids_) {
    if (const std::optional<int> far = remoteness(node_id, known)) {
      near.emplace_back(*far, known);
      std::ranges::sort(near);
      near.resize(std::min(near.size(), kMostSuggestions));
    }
  }
  std::vector<NodeId> result;
  result.reserve(near.size());
  for (auto& [far, known] : near) {
    result.push_back(std::move(known));
  }
  return result;
}

std::uint32_t TextPool::number(std::string_view text) {
  if (const auto known = numbers_.find(text); known != numbers_.end()) {
    return known->second;
  }
  const auto number = static_cast<std::uint32_t>(texts_.size());
  texts_.emplace_back(text);
  numbers_.emplace(texts_.back(), number);
  return number;
}

}  // namespace finops::genealogy
