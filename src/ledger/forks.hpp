// forks.hpp - which runs need the run that they forked from.
//
// Owns: FINOPS_FORKED. Does not own: what is read of them (lineage_reader_own.cpp,
// lineage_walk.cpp).
#pragma once

/// In SQL, of a row `r` of runs: whether it forked from a run and needs that. A part needs nothing
/// of what it is nested in, however deep: that needs the part.
#define FINOPS_FORKED                                                                      \
  "r.fork_of IS NOT NULL AND r.fork_of NOT IN (WITH RECURSIVE around (run_id) AS (SELECT " \
  "r.parent_run_id UNION SELECT w.parent_run_id FROM around JOIN runs w USING (run_id)) "  \
  "SELECT run_id FROM around WHERE run_id IS NOT NULL)"
