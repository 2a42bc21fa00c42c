// test_guard_policy.cpp - tests of the policy book: whom a rule fits, what it overrides.
//
// Owns: the checks of include/finops/guard/policy.hpp. Does not own: what the limits do
// (test_guard.cpp, test_guard_rules.cpp), the policy file (Python).
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "guard_support.hpp"

namespace finops::guard {
namespace {

const RunFacts kRun{.project = "vision",
                    .experiment = "sweep-7",
                    .user_name = "ada",
                    .tags = {{"team", "perception"}, {"kind", "night/ly"}}};

// --- fitting -------------------------------------------------------------------------------------

// Goal: patterns are shell globs over the whole text, empty ones fit all, and every tag that is
// named must be there. Method: one run; only the rule moves.
TEST(GuardPolicyRule, FitsByGlobs) {
  struct Case {
    PolicyRule rule;
    bool fits;
  };
  const Case cases[] = {
      {{}, true},
      {{.project = "vision"}, true},
      {{.project = "visio"}, false},
      {{.project = "vision2"}, false},
      {{.project = "Vision"}, false},
      {{.project = "v*n"}, true},
      {{.experiment = "sweep-*"}, true},
      {{.experiment = "sweep-?"}, true},
      {{.experiment = "sweep-??"}, false},
      {{.experiment = "sweep-[0-6]"}, false},
      {{.experiment = "sweep-[0-7]"}, true},
      {{.user_name = "a*"}, true},
      {{.user_name = "b*"}, false},
      {{.project = "vision", .experiment = "other"}, false},
      {{.tags = {{"team", "*"}}}, true},
      {{.tags = {{"team", ""}}}, true},
      {{.tags = {{"kind", "night*"}}}, true},  // a slash is a letter like any other
      {{.tags = {{"team", "perception"}, {"kind", "day"}}}, false},
      {{.tags = {{"owner", ""}}}, false},
      {{.tags = {{"owner", "*"}}}, false},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(c.rule.fits(kRun), c.fits)
        << c.rule.project << "|" << c.rule.experiment << "|" << c.rule.user_name << "|"
        << (c.rule.tags.empty() ? "" : c.rule.tags.begin()->second);
  }
}

// --- overriding ----------------------------------------------------------------------------------

// Goal: every fitting rule overrides exactly what it names, the later over the earlier. Method:
// three rules fit, one does not; each value comes from another place.
TEST(GuardPolicyBook, LaterRulesOverrideWhatTheyName) {
  PolicyBook book;
  book.base.silence_limit = minutes{10};
  book.base.term_grace = seconds{11};
  book.rules = {{.name = "sweeps",
                 .experiment = "sweep-*",
                 .silence_limit = minutes{20},
                 .max_duration = hours{1}},
                {.name = "others", .project = "speech", .silence_limit = minutes{99}},
                {.name = "ada", .user_name = "ada", .max_duration = hours{2}, .is_dry_run = true},
                {.name = "all", .min_gpu_utilization = 5.0}};
  std::vector<std::string> names{"left from before"};
  const Policy policy = book.policy_for(kRun, &names);
  EXPECT_EQ(names, (std::vector<std::string>{"sweeps", "ada", "all"}));
  EXPECT_EQ(policy.silence_limit, minutes{20});
  EXPECT_EQ(policy.max_duration, hours{2});
  EXPECT_EQ(policy.min_gpu_utilization, 5.0);
  EXPECT_TRUE(policy.is_dry_run);
  EXPECT_EQ(policy.term_grace, seconds{11}) << "named by nobody";
  EXPECT_EQ(book.policy_for({.project = "text"}).silence_limit, minutes{10});
}

// Goal: every field of a rule reaches the policy, also where it says no. Method: a rule that names
// all, over a base that says the opposite.
TEST(GuardPolicyBook, ARuleCanOverrideEverything) {
  PolicyBook book;
  book.base.is_enforced = true;
  book.base.is_dry_run = true;
  book.rules = {{.name = "all",
                 .silence_limit = seconds{1},
                 .directive_grace = seconds{2},
                 .term_grace = seconds{3},
                 .max_duration = seconds{4},
                 .min_gpu_utilization = 5,
                 .utilization_window = seconds{6},
                 .allows_long_running = false,
                 .is_dry_run = false,
                 .is_enforced = false}};
  const Policy policy = book.policy_for(kRun);
  EXPECT_EQ(policy.silence_limit, seconds{1});
  EXPECT_EQ(policy.directive_grace, seconds{2});
  EXPECT_EQ(policy.term_grace, seconds{3});
  EXPECT_EQ(policy.max_duration, seconds{4});
  EXPECT_EQ(policy.min_gpu_utilization, 5);
  EXPECT_EQ(policy.utilization_window, seconds{6});
  EXPECT_FALSE(policy.allows_long_running);
  EXPECT_FALSE(policy.is_dry_run);
  EXPECT_FALSE(policy.is_enforced);
}

// --- checks --------------------------------------------------------------------------------------

// Goal: every limit is above zero and no longer than ten years, so that no sum leaves the clock.
// Method: each at 0 and below, at the smallest span, and at and past the longest.
TEST(GuardPolicy, RefusesLimitsThatMakeNoSense) {
  EXPECT_EQ(code_of([] { check_policy({}); }), "none");
  const Nanoseconds longest = hours{24 * 366 * 10};
  for (Nanoseconds Policy::* limit :
       {&Policy::silence_limit, &Policy::longest_expected_silence, &Policy::directive_grace,
        &Policy::term_grace, &Policy::utilization_window}) {
    Policy policy;
    const auto code_at = [&](Nanoseconds span) {
      policy.*limit = span;
      return code_of([&] { check_policy(policy); });
    };
    EXPECT_EQ(code_at(kNanosecond), "none");
    EXPECT_EQ(code_at(longest), "none");
    EXPECT_EQ(code_at(Nanoseconds{0}), "InvalidArgument");
    EXPECT_EQ(code_at(-kNanosecond), "InvalidArgument");
    EXPECT_EQ(code_at(longest + kNanosecond), "InvalidArgument");
  }
}

// Goal: no duration limit is zero; a utilization is a percentage. Method: around their bounds.
TEST(GuardPolicy, RefusesANegativeDurationAndNoPercentage) {
  const auto code_with = [](Nanoseconds duration, double percent) {
    Policy policy;
    policy.max_duration = duration;
    policy.min_gpu_utilization = percent;
    return code_of([&] { check_policy(policy); });
  };
  EXPECT_EQ(code_with(Nanoseconds{0}, 0), "none");
  EXPECT_EQ(code_with(kNanosecond, 100), "none");
  EXPECT_EQ(code_with(-kNanosecond, 0), "InvalidArgument");
  EXPECT_EQ(code_with(Nanoseconds{0}, -0.1), "InvalidArgument");
  EXPECT_EQ(code_with(Nanoseconds{0}, 100.1), "InvalidArgument");
  EXPECT_EQ(code_with(Nanoseconds{0}, std::nan("")), "InvalidArgument");
}

// Goal: a mistake in a rule is found at the start, whether or not a run fits it, and named. Method:
// a rule that fits nobody.
TEST(GuardPolicyBook, NamesTheRuleThatMakesNoSense) {
  PolicyBook book;
  book.rules = {{.name = "fine", .silence_limit = seconds{1}},
                {.name = "nightly", .project = "nobody", .silence_limit = Nanoseconds{0}}};
  EXPECT_EQ(code_of([&] { check_policy_book(book); }), "InvalidArgument");
  const std::string message = testing::message_of([&] { check_policy_book(book); });
  EXPECT_NE(message.find("'nightly'"), std::string::npos) << message;
  EXPECT_NE(message.find("silence_limit"), std::string::npos) << message;
}

// Goal: the breaker's share is one of 0..1 and its minimum a count. Method: around the bounds.
TEST(GuardPolicyBook, ChecksTheBreaker) {
  const auto code_with = [](double share, std::int64_t minimum) {
    PolicyBook book;
    book.breaker_share = share;
    book.breaker_minimum = minimum;
    return code_of([&] { check_policy_book(book); });
  };
  EXPECT_EQ(code_with(0, 0), "none");
  EXPECT_EQ(code_with(1, std::numeric_limits<std::int64_t>::max()), "none");
  EXPECT_EQ(code_with(-0.01, 0), "InvalidArgument");
  EXPECT_EQ(code_with(1.01, 0), "InvalidArgument");
  EXPECT_EQ(code_with(std::nan(""), 0), "InvalidArgument");
  EXPECT_EQ(code_with(0.5, -1), "InvalidArgument");
}

}  // namespace
}  // namespace finops::guard
