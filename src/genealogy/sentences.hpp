// sentences.hpp - the edges as people recorded them, and the words for them.
//
// Owns: Sentence, its need, Link and LinkTable: from a need back to the sentence that it came from.
// Does not own: which needs there are (needs.hpp).
// Invariant: a table's links are sorted by needer and needed, one for each pair.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "finops/base/clock.hpp"
#include "finops/genealogy/cost_graph.hpp"
#include "finops/record/lineage.hpp"
#include "genealogy/names.hpp"

namespace finops::genealogy {

inline constexpr std::int64_t kNoStep = -1;

struct Sentence {
  NodeIndex subject = 0;
  NodeIndex object = 0;
  EdgeKind kind = EdgeKind::Read;
  std::int64_t step = kNoStep;
  UtcTime recorded_at{};
};
[[nodiscard]] Need need_of(const Sentence& sentence) noexcept;
[[nodiscard]] LineageEdge edge_of(const Sentence& sentence, const Names& names);

/// Why one node needs another.
struct Link {
  NodeIndex needer = 0;
  NodeIndex needed = 0;
  EdgeKind kind = EdgeKind::Read;
  /// The needer needs a whole of the needed one too: a tree shows it there.
  bool is_superseded = false;
  std::int64_t step = kNoStep;
};

class LinkTable {
 public:
  void add(const Sentence& sentence) { add(need_of(sentence), sentence); }
  /// `need` is another one than the sentence's own: a whole's.
  void add(Need need, const Sentence& sentence);
  /// To be called after `add` and before all others, with the number of nodes.
  void sort(std::size_t node_count);
  /// Marks a need that `add` was told.
  void supersede(Need need);
  [[nodiscard]] const Link* find(Need need) const;
  [[nodiscard]] bool has_superseded() const noexcept { return has_superseded_; }

 private:
  [[nodiscard]] std::size_t position(Need need) const;  // links_.size(): none

  std::vector<Link> links_;
  std::vector<std::size_t> begins_{
      0};  // by needer; as long as the last one that has links, or more
  bool has_superseded_ = false;
};

/// "model:x was produced by run:a": the need in words.
[[nodiscard]] std::string need_words(const Link& link, const Names& names);
/// What a tree calls the lower node: "produced by", "read by".
[[nodiscard]] std::string_view relation_words(EdgeKind kind, Direction direction) noexcept;

}  // namespace finops::genealogy
