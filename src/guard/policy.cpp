// policy.cpp - which limits hold for which run.
#include "finops/guard/policy.hpp"

#include <fnmatch.h>

#include "finops/base/error.hpp"

namespace finops::guard {
namespace {

constexpr Nanoseconds kLongest = std::chrono::hours{24 * 366 * 10};

// `*` crosses slashes: projects and experiments are names and no paths.
bool matches(const std::string& pattern, const std::string& text) {
  return pattern.empty() || fnmatch(pattern.c_str(), text.c_str(), 0) == 0;
}

template <class Value>
void override(Value& value, const std::optional<Value>& other) {
  value = other.value_or(value);
}

void apply(const PolicyRule& rule, Policy& policy) {
  override(policy.silence_limit, rule.silence_limit);
  override(policy.directive_grace, rule.directive_grace);
  override(policy.term_grace, rule.term_grace);
  override(policy.max_duration, rule.max_duration);
  override(policy.min_gpu_utilization, rule.min_gpu_utilization);
  override(policy.utilization_window, rule.utilization_window);
  override(policy.allows_long_running, rule.allows_long_running);
  override(policy.is_dry_run, rule.is_dry_run);
  override(policy.is_enforced, rule.is_enforced);
}

// The bounds keep every sum of a limit and a time on the clock within its range.
void check_span(const char* name, Nanoseconds span, Nanoseconds lowest, const char* bounds) {
  FINOPS_REQUIRE(span >= lowest && span <= kLongest, ErrorCode::InvalidArgument,
                 std::string(name) + " is " + std::to_string(span.count()) + " ns; it must be " +
                     bounds + " and at most ten years");
}

}  // namespace

bool PolicyRule::fits(const RunFacts& run) const {
  if (!matches(project, run.project) || !matches(experiment, run.experiment) ||
      !matches(user_name, run.user_name)) {
    return false;
  }
  for (const auto& [key, pattern] : tags) {
    const auto found = run.tags.find(key);
    if (found == run.tags.end() || !matches(pattern, found->second)) {
      return false;
    }
  }
  return true;
}

Policy PolicyBook::policy_for(const RunFacts& run, std::vector<std::string>* rule_names) const {
  Policy policy = base;
  if (rule_names != nullptr) {
    rule_names->clear();
  }
  for (const PolicyRule& rule : rules) {
    if (rule.fits(run)) {
      apply(rule, policy);
      if (rule_names != nullptr) {
        rule_names->push_back(rule.name);
      }
    }
  }
  return policy;
}

void check_policy(const Policy& policy) {
  constexpr Nanoseconds kSmallest{1};
  check_span("silence_limit", policy.silence_limit, kSmallest, "above zero");
  check_span("longest_expected_silence", policy.longest_expected_silence, kSmallest, "above zero");
  check_span("directive_grace", policy.directive_grace, kSmallest, "above zero");
  check_span("term_grace", policy.term_grace, kSmallest, "above zero");
  check_span("utilization_window", policy.utilization_window, kSmallest, "above zero");
  check_span("max_duration", policy.max_duration, Nanoseconds::zero(), "zero (no limit) or above");
  FINOPS_REQUIRE(policy.min_gpu_utilization >= 0 && policy.min_gpu_utilization <= 100,
                 ErrorCode::InvalidArgument,
                 "min_gpu_utilization is " + std::to_string(policy.min_gpu_utilization) +
                     "; it is a percentage from 0 (no such rule) to 100");
}

void check_policy_book(const PolicyBook& book) {
  check_policy(book.base);
  for (const PolicyRule& rule : book.rules) {
    Policy policy;
    apply(rule, policy);
    try {
      check_policy(policy);
    } catch (const Error& error) {
      detail::throw_error(error.code(), "the guard's rule '" + rule.name + "': " + error.what());
    }
  }
  FINOPS_REQUIRE(book.breaker_share >= 0 && book.breaker_share <= 1, ErrorCode::InvalidArgument,
                 "breaker_share is " + std::to_string(book.breaker_share) +
                     "; it is a share of all runs from 0 to 1");
  FINOPS_REQUIRE(book.breaker_minimum >= 0, ErrorCode::InvalidArgument,
                 "breaker_minimum is " + std::to_string(book.breaker_minimum) +
                     "; it is a count of runs and cannot be below 0");
}

}  // namespace finops::guard
