// needs.hpp - from sentences to needs: what each one says, and what it says of the wholes around.
//
// Owns: build_needs. Does not own: the sentences and their checks (add.cpp).
// Invariant: the needs depend on the set of sentences and not on their order, except which one of a
// cycle is refused.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "finops/genealogy/cost_graph.hpp"
#include "genealogy/names.hpp"
#include "genealogy/nesting.hpp"
#include "genealogy/sentences.hpp"

namespace finops::genealogy {

struct RefusedSentence {
  std::size_t position = 0;  ///< in the sentences given
  std::string reason;        ///< with the cycle's path, in words
};

struct Needs {
  CostGraph graph;  ///< costs and marks are zero
  LinkTable links;
  Nesting nesting;
  std::vector<RefusedSentence> refused;
};

/// All that the sentences say, in time linear in them (and in the sorting of them).
///
/// Who takes something out of a part (by `produced` and `forked_from`) needs the widest wholes
/// around it that do not need the taker. First all takers are given the outermost ones, in the
/// order of recorded_at, then of the sentences; those for whom that closes a cycle are then given
/// the next ones inwards that close none.
[[nodiscard]] Needs build_needs(const Names& names, std::span<const Sentence> sentences);

}  // namespace finops::genealogy
