// credit.hpp - allocated cost: shares of what was spent that add up to the total exactly.
//
// Owns: Allocation and the three rules. Does not own: full cost, which does not add up and is never
// mixed with this (genealogy.hpp).
// Invariant: the shares of all claimants and the row of no outcome add up to the total spend, to
// the pico, under each rule.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "finops/genealogy/genealogy.hpp"

namespace finops::genealogy {

/// How the cost of a node is shared among the claimants that came from it.
enum class CreditRule {
  /// Equally. This is the Shapley value: the cost is additive over ancestors, and each is needed by
  /// all who came from it. Source: Littlechild & Owen, Management Science 20 (1973).
  Equal,
  /// In proportion to the claimants' measured use. Where the use of one of them is not known, or is
  /// in another unit, or is zero for all, equally: unknown is never zero.
  Usage,
  /// All of it to the claimant that came last (ties: the greater id).
  LastPays
};
inline constexpr int kCreditRuleCount = 3;
/// "equal", "usage", "last-pays".
[[nodiscard]] std::string_view credit_rule_name(CreditRule rule) noexcept;

/// What one result bears.
struct ClaimantShare {
  NodeId node_id;
  Money equal;
  Money usage;
  Money last_pays;
  Money exclusive;  ///< what no other claimant came from: no rule gives less
  Money full_cost;  ///< no rule gives more; these do not add up
  /// False if some of what it shares under the usage rule was shared equally, as the use of one of
  /// those who share it is not known, is in another unit, or is zero for all.
  bool is_usage_known = true;

  [[nodiscard]] Money share(CreditRule rule) const;
  [[nodiscard]] Money lowest() const;   ///< of the three rules
  [[nodiscard]] Money highest() const;  ///< of the three rules
};

struct Allocation {
  std::vector<ClaimantShare> claimants;  ///< by id
  CostSum no_outcome;                    ///< what no claimant came from
  CostSum total;                         ///< all that was spent
};

/// Shares the cost of the whole graph among `claimants` (empty: Genealogy::surviving_results).
/// A claimant bears its own cost too. Throws Error(NotFound) for an unknown claimant.
[[nodiscard]] Allocation allocate(const Genealogy& genealogy, std::span<const NodeId> claimants);

}  // namespace finops::genealogy
