// names.hpp - the dense index of each node's name, and texts that many nodes share.
//
// Owns: Names, TextPool. Does not own: what is known of a node (parts.hpp).
// Invariants: an index and the id behind it never change; a text has one number.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "finops/genealogy/cost_graph.hpp"
#include "finops/record/lineage.hpp"

namespace finops::genealogy {

/// Whether such a node is work that somebody did, and not what it read or made.
[[nodiscard]] constexpr bool is_work(NodeKind kind) noexcept {
  return kind == NodeKind::Run || kind == NodeKind::Attempt || kind == NodeKind::Job;
}

inline constexpr NodeIndex kNoNode = 0xFFFFFFFF;

class Names {
 public:
  /// The index of a valid id, which is taken in if it is new.
  NodeIndex intern(const NodeId& node_id);
  [[nodiscard]] std::optional<NodeIndex> find(const NodeId& node_id) const;
  [[nodiscard]] const NodeId& id(NodeIndex node) const { return ids_[node]; }
  [[nodiscard]] NodeKind kind(NodeIndex node) const { return kinds_[node]; }
  [[nodiscard]] std::size_t size() const noexcept { return ids_.size(); }
  /// Up to three ids that somebody may have meant by `node_id`, the nearest first: the same name of
  /// another kind, at most two letters wrong, the beginning of it.
  [[nodiscard]] std::vector<NodeId> nearest(const NodeId& node_id) const;

 private:
  std::deque<NodeId> ids_;  // a deque, since the views below must stay
  std::vector<NodeKind> kinds_;
  std::unordered_map<std::string_view, NodeIndex> indices_;
};

/// Each text once; number 0 is the empty text.
class TextPool {
 public:
  TextPool() { (void)number(""); }
  std::uint32_t number(std::string_view text);
  [[nodiscard]] const std::string& text(std::uint32_t number) const { return texts_[number]; }

 private:
  std::deque<std::string> texts_;
  std::unordered_map<std::string_view, std::uint32_t> numbers_;
};

}  // namespace finops::genealogy
