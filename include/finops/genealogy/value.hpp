// value.hpp - business value against cost, along the graph, as a range and never a single point.
//
// Owns: ValueReport and how value is credited to what a result came from. Does not own: who says
// what something is worth (BusinessValue records).
// Invariant: under each rule the credits of all work behind a result add up to its value exactly.
#pragma once

#include <optional>
#include <vector>

#include "finops/base/clock.hpp"
#include "finops/genealogy/credit.hpp"

namespace finops::genealogy {

/// A value per month, and what came of it so far.
struct ValueAmount {
  Money per_month;  ///< of what is in force at the asked time; a quarter's third, a year's twelfth
  Money to_date;    ///< up to the asked time; a month in part counts by its share of time
};

/// From the lowest to the highest of the rules.
struct ValueRange {
  ValueAmount lowest;
  ValueAmount highest;
};

/// Cost against value of one node.
struct NodeValue {
  NodeId node_id;
  CostSum full_cost;
  /// All the value of the results that came from it or from a part of it, itself included: what it
  /// led to. Several nodes lead to the same value, so these do not add up.
  ValueAmount led_to;
  /// Its share of that value. Of work, a project or an experiment: with all that is nested in it;
  /// under each rule the credits of all outermost runs and jobs add up to the value (a part of
  /// several wholes counts with the one whose id is least). Of a dataset, checkpoint, model or
  /// endpoint, which is made by work: what all the work behind it has in the results that came from
  /// it.
  ValueRange credit;
  std::vector<NodeId> results;  ///< that have a value and came from it
};

/// The node's value at `as_of`. A node from which no result with a value came has zero: nobody said
/// that it is worth something, see `results`. Values in other currencies are left out and listed in
/// Genealogy::problems. Throws Error(NotFound).
[[nodiscard]] NodeValue value_of(const Genealogy& genealogy, const NodeId& node_id, UtcTime as_of);

/// All results that have a value, and the wholes behind them, by full cost, largest first.
[[nodiscard]] std::vector<NodeValue> value_report(const Genealogy& genealogy, UtcTime as_of);

/// What one record is worth per month at `as_of`, and was worth up to then. A value without
/// valid_from counts from recorded_at; without either, nothing is known to have come of it so far.
[[nodiscard]] ValueAmount value_amount(const BusinessValue& value, UtcTime as_of);

}  // namespace finops::genealogy
