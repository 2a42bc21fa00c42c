// policy.cpp - which limits hold for which run.
#include "finops/guard/policy.hpp"

namespace finops::guard {

bool PolicyRule::fits(const RunFacts& /*run*/) const { return false; }

Policy PolicyBook::policy_for(const RunFacts& /*run*/,
                              std::vector<std::string>* /*rule_names*/) const {
  return base;
}

void check_policy_book(const PolicyBook& book) { check_policy(book.base); }

}  // namespace finops::guard
