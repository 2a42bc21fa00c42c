// lineage_walk.hpp - whether new edges close a cycle with what the ledger holds.
//
// Owns: the walk over recorded edges and over the nesting, forks and retries of the ledger's own
// runs. Does not own: what needs what (record/lineage.hpp).
// Invariants: no recursion; a walk ends as soon as one of its two ends knows all of its side, so
// that an import in any order costs little; many edges cost no more than the ledger's size.
#pragma once

#include <vector>

#include "finops/record/lineage.hpp"
#include "ledger/database.hpp"

namespace finops::ledger {

/// Throws Error(InvalidArgument), naming the edge and the path, if what one of `edges` makes a node
/// need already needs that node. The caller holds a transaction in which all `edges` are stored.
void require_no_cycles(Database& database, const std::vector<LineageEdge>& edges);

}  // namespace finops::ledger
