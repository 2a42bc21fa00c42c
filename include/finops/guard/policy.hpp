// policy.hpp - what the guard allows, and for whom.
//
// Owns: Policy, PolicyRule, PolicyBook. Does not own: the policy file (Python reads the TOML).
// Invariant: pure. A run's own word may tighten what it is allowed; it loosens it only where no
// rule is enforced (users cannot cancel an administrator's rule).
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "finops/base/clock.hpp"

namespace finops::guard {

/// The limits for one run.
struct Policy {
  /// A run that reports no progress for longer is stopped; a run may state its own limit.
  Nanoseconds silence_limit{std::chrono::minutes{30}};
  /// expect_silence beyond this is cut: a promise is not an exemption.
  Nanoseconds longest_expected_silence{std::chrono::hours{24}};
  /// From the directive to SIGTERM, and from SIGTERM to SIGKILL, for all rules but the budget's,
  /// whose rungs are counted back from the end of the money.
  Nanoseconds directive_grace{std::chrono::seconds{5}};
  Nanoseconds term_grace{std::chrono::seconds{30}};
  /// An attempt that runs for longer is stopped; zero: no limit.
  Nanoseconds max_duration{};
  /// A run any of whose GPUs stays below this in every sample of the window is stopped, as dstack's
  /// utilization_policy does; zero: no such rule.
  double min_gpu_utilization = 0;
  Nanoseconds utilization_window{std::chrono::minutes{30}};
  /// Whether `long_running` exempts from the silence rule.
  bool allows_long_running = true;
  /// Decisions are recorded and not acted on. Budgets are never dry: money is no experiment.
  bool is_dry_run = false;
  /// The silence limit and max_duration are the most that a run may state for itself.
  bool is_enforced = false;
};

/// Throws Error(InvalidArgument) unless the spans that must be above zero are.
void check_policy(const Policy& policy);

/// What a rule is matched with.
struct RunFacts {
  std::string project;
  std::string experiment;
  std::string user_name;
  std::map<std::string, std::string> tags;
};

/// Overrides parts of the policy for the runs that fit. Patterns are shell globs ("sweep-*");
/// empty: any. Every tag that is named must be there and fit.
struct PolicyRule {
  std::string name;  ///< for people: it stands in the reasons
  std::string project;
  std::string experiment;
  std::string user_name;
  std::map<std::string, std::string> tags;
  std::optional<Nanoseconds> silence_limit;
  std::optional<Nanoseconds> directive_grace;
  std::optional<Nanoseconds> term_grace;
  std::optional<Nanoseconds> max_duration;
  std::optional<double> min_gpu_utilization;
  std::optional<Nanoseconds> utilization_window;
  std::optional<bool> allows_long_running;
  std::optional<bool> is_dry_run;
  std::optional<bool> is_enforced;

  [[nodiscard]] bool fits(const RunFacts& run) const;
};

/// The policy file: a default, and rules of which every fitting one overrides what it names, the
/// later over the earlier.
struct PolicyBook {
  Policy base;
  std::vector<PolicyRule> rules;
  /// The mass-stop breaker: if more than this share of all watched runs, and more than
  /// `breaker_minimum` of them, would begin to be stopped for silence or idleness in one round,
  /// none of them is: it is more likely that something is wrong with what we see.
  double breaker_share = 0.5;
  std::int64_t breaker_minimum = 3;

  /// The policy for one run, and the names of the rules that made it.
  [[nodiscard]] Policy policy_for(const RunFacts& run,
                                  std::vector<std::string>* rule_names = nullptr) const;
};

/// Throws Error(InvalidArgument), naming the rule, for limits that make no sense.
void check_policy_book(const PolicyBook& book);

}  // namespace finops::guard
