// names.cpp - case folding and edit distance.
#include "pricing/names.hpp"

#include <algorithm>
#include <numeric>
#include <utility>
#include <vector>

namespace finops::pricing {
namespace {

// Levenshtein's distance, one row at a time.
std::size_t edit_distance(const std::string& lhs, const std::string& rhs) {
  std::vector<std::size_t> row(rhs.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= lhs.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i);
    for (std::size_t j = 1; j <= rhs.size(); ++j) {
      const std::size_t substitute = diagonal + (lhs[i - 1] == rhs[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, substitute});
    }
  }
  return row.back();
}

}  // namespace

std::string fold(const std::string& text) {
  std::string folded = text;
  for (char& c : folded) {
    c = (c >= 'A' && c <= 'Z') ? static_cast<char>(c + 32) : c;
  }
  return folded;
}

std::string nearest_names(const std::string& name, const std::set<std::string>& known) {
  const std::string folded = fold(name);
  std::vector<std::pair<std::size_t, std::string>> ranked;
  for (const std::string& candidate : known) {
    if (!candidate.empty()) {
      // "H100" should be near "H100-80GB": the part before the memory size is compared too.
      const std::string other = fold(candidate);
      const std::string stem = other.substr(0, other.find('-'));
      ranked.emplace_back(std::min(edit_distance(folded, other), edit_distance(folded, stem)),
                          candidate);
    }
  }
  std::sort(ranked.begin(), ranked.end());
  std::string list;
  for (std::size_t i = 0; i < std::min<std::size_t>(3, ranked.size()); ++i) {
    list += (i == 0 ? "" : ", ") + ranked[i].second;
  }
  return list;
}

}  // namespace finops::pricing
