// lineage_walk.hpp - whether a new edge closes a cycle with what the ledger holds.
//
// Owns: the walk over recorded edges and over the nesting, forks and retries of the ledger's own
// runs. Does not own: what needs what (record/lineage.hpp).
// Invariants: no recursion; every node is visited once; a walk ends as soon as one of its two ends
// knows all of its side, so that an import in any order costs little.
#pragma once

#include "finops/record/lineage.hpp"
#include "ledger/database.hpp"

namespace finops::ledger {

/// Throws Error(InvalidArgument), naming the path, if what `edge` makes one node need already needs
/// that node. The caller holds a transaction; whether the edge is stored already does not matter.
void require_no_cycle(Database& database, const LineageEdge& edge);

}  // namespace finops::ledger
