// test_base.cpp - tests of the base module: errors, ids, clocks.
//
// Owns: the checks of error.hpp, ids.hpp and clock.hpp. Does not own: process.hpp
// (test_base_process.cpp), event ids (test_record.cpp).
// Invariant: random values come from FINOPS_TEST_SEED, which a failure prints.
#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <random>
#include <set>
#include <string>
#include <type_traits>
#include <unordered_set>

#include "finops/base/clock.hpp"
#include "finops/base/error.hpp"
#include "finops/base/ids.hpp"

namespace finops {
namespace {

using std::chrono::seconds;

std::uint64_t test_seed() {
  const char* text = std::getenv("FINOPS_TEST_SEED");
  return text != nullptr ? std::strtoull(text, nullptr, 10) : 20261124;
}

// The name of the code that `call` throws, "none" if it throws no Error.
template <class Call>
std::string code_of(Call call) {
  try {
    call();
  } catch (const Error& error) {
    return std::string(error_code_name(error.code()));
  }
  return "none";
}

// Nanoseconds since 1970: a number, so that a failure shows it.
std::int64_t count_of(UtcTime time) { return time.time_since_epoch().count(); }

UtcTime utc(int year, unsigned month, unsigned day) {
  const std::chrono::year_month_day date{std::chrono::year{year}, std::chrono::month{month},
                                         std::chrono::day{day}};
  return std::chrono::sys_days{date};
}

// --- errors --------------------------------------------------------------------------------------

// Goal: every code has a name of its own. Method: walk the enum; only the code moves.
TEST(ErrorCodes, HaveOneNameEach) {
  std::set<std::string> names;
  for (int value = 0; value <= static_cast<int>(ErrorCode::SystemFailure); ++value) {
    const std::string name(error_code_name(static_cast<ErrorCode>(value)));
    EXPECT_NE(name, "Unknown") << "code " << value;
    EXPECT_TRUE(names.insert(name).second) << name << " occurs twice";
  }
  EXPECT_EQ(error_code_name(ErrorCode::InvalidArgument), "InvalidArgument");
  EXPECT_EQ(error_code_name(ErrorCode::SystemFailure), "SystemFailure");
}

// Goal: a requirement throws its code and builds its message only when it fails.
// Method: the message counts how often it is built; only the condition moves.
TEST(Require, BuildsItsMessageOnlyOnFailure) {
  int built_count = 0;
  const auto require = [&](bool condition) {
    const auto message = [&] {
      ++built_count;
      return std::string("limit is 3, got 4");
    };
    FINOPS_REQUIRE(condition, ErrorCode::Conflict, message());
  };
  EXPECT_EQ(code_of([&] { require(true); }), "none");
  EXPECT_EQ(built_count, 0);
  EXPECT_EQ(code_of([&] { require(false); }), "Conflict");
  EXPECT_EQ(built_count, 1);
  EXPECT_STREQ(Error(ErrorCode::Conflict, "limit is 3, got 4").what(), "limit is 3, got 4");
}

// Goal: a broken assertion is an InternalError with the condition, file and line, never an abort.
// Method: one that holds beside one that does not.
TEST(Assert, ThrowsInternalErrorWithThePlace) {
  const auto message_of = [](int sum) {
    try {
      FINOPS_ASSERT(sum == 2);
    } catch (const InternalError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_EQ(message_of(2), "");
  EXPECT_NE(message_of(3).find("sum == 2"), std::string::npos) << message_of(3);
  EXPECT_NE(message_of(3).find("test_base.cpp:"), std::string::npos) << message_of(3);
}

// Goal: an errno is text with its number. Method: one known errno.
TEST(ErrnoText, GivesTheTextAndTheNumber) {
  EXPECT_EQ(errno_text(ENOSPC), "No space left on device (errno " + std::to_string(ENOSPC) + ")");
}

// --- ids -----------------------------------------------------------------------------------------

static_assert(!std::is_convertible_v<RunId, AttemptId>, "a run is no attempt");
static_assert(!std::is_convertible_v<std::string, RunId>, "an id is made on purpose");

// Goal: ids of 1 to 127 characters are valid. Method: only the length moves, around both limits.
TEST(IsValidId, LimitsTheLength) {
  EXPECT_FALSE(is_valid_id(""));
  EXPECT_TRUE(is_valid_id("a"));
  EXPECT_TRUE(is_valid_id(std::string(127, 'a')));
  EXPECT_FALSE(is_valid_id(std::string(128, 'a')));
}

// Goal: exactly the stated characters are allowed. Method: all 256 bytes, in the middle of an id.
TEST(IsValidId, AllowsExactlyTheStatedCharacters) {
  const std::string allowed =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:/@+-";
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    const std::string id = std::string("a") + c + "b";
    EXPECT_EQ(is_valid_id(id), allowed.find(c) != std::string::npos) << "byte " << byte;
  }
}

// Goal: a file name neither leaves its folder nor hides. Method: valid ids, one property each.
TEST(IsFileSafe, RefusesPathsHiddenNamesAndInvalidIds) {
  EXPECT_TRUE(is_file_safe("k3v9q2d7m1xa-4t8rw2"));
  EXPECT_TRUE(is_file_safe("a.b"));
  for (const char* text : {"", ".", "..", ".hidden", "a/b", "/a", "a b", "a\n"}) {
    EXPECT_FALSE(is_file_safe(text)) << '\'' << text << '\'';
  }
}

// Goal: random text has the asked length, Crockford's letters only, and uses all of them.
// Method: 32 x 200 characters; the chance that a letter is missing is below 1e-80.
TEST(RandomIdText, UsesTheWholeAlphabetAndNothingElse) {
  EXPECT_EQ(random_id_text(0), "");
  const std::string alphabet = "0123456789abcdefghjkmnpqrstvwxyz";
  const std::string text = random_id_text(32 * 200);
  ASSERT_EQ(text.size(), 32U * 200U);
  EXPECT_EQ(text.find_first_not_of(alphabet), std::string::npos) << text;
  EXPECT_EQ(std::set<char>(text.begin(), text.end()).size(), alphabet.size());
}

// Goal: new ids differ, are valid and file-safe, and an attempt names its run. Method: 1,000 of
// each.
TEST(NewIds, AreDistinctAndFileSafe) {
  std::unordered_set<RunId> runs;
  std::unordered_set<AttemptId> attempts;
  const RunId run_id = new_run_id();
  for (int i = 0; i < 1000; ++i) {
    const RunId fresh = new_run_id();
    EXPECT_EQ(fresh.str().size(), 12U) << fresh.str();
    EXPECT_TRUE(is_file_safe(fresh.str())) << fresh.str();
    EXPECT_TRUE(runs.insert(fresh).second) << fresh.str() << " was given twice";
    const AttemptId attempt = new_attempt_id(run_id);
    EXPECT_EQ(attempt.str().size(), 19U) << attempt.str();
    EXPECT_TRUE(attempt.str().starts_with(run_id.str() + "-")) << attempt.str();
    EXPECT_TRUE(attempts.insert(attempt).second) << attempt.str() << " was given twice";
  }
}

// --- clocks --------------------------------------------------------------------------------------

// Goal: each move of the manual clock moves the clocks it should. Method: one move per clock, 5 s.
TEST(ManualClock, MovesOnlyWhatTheMoveSays) {
  using Moves = std::array<std::int64_t, 3>;  // UTC, boot, monotonic, in nanoseconds
  static constexpr std::int64_t kSpan = 5'000'000'000;
  const ClockReading start{.utc = UtcTime{seconds{1000}},
                           .boot = BootTime{seconds{100}},
                           .monotonic = MonotonicTime{seconds{10}}};
  const auto moved = [&](auto move) {
    ManualClock clock(start);
    move(clock);
    const ClockReading now = clock.now();
    return Moves{(now.utc - start.utc).count(), (now.boot - start.boot).count(),
                 (now.monotonic - start.monotonic).count()};
  };
  EXPECT_EQ(moved([](ManualClock&) {}), (Moves{0, 0, 0})) << "no move";
  EXPECT_EQ(moved([](ManualClock& clock) { clock.advance(Nanoseconds{kSpan}); }),
            (Moves{kSpan, kSpan, kSpan}))
      << "advance";
  EXPECT_EQ(moved([](ManualClock& clock) { clock.jump_utc(Nanoseconds{-kSpan}); }),
            (Moves{-kSpan, 0, 0}))
      << "jump_utc";
  EXPECT_EQ(moved([](ManualClock& clock) { clock.suspend(Nanoseconds{kSpan}); }),
            (Moves{kSpan, kSpan, 0}))
      << "suspend";
}

// Goal: the machine's clocks run forward, and the coarse one is the monotonic one, a tick behind.
// Method: readings in order; 100 ms is far above the coarse clock's 1-4 ms.
TEST(SystemClock, RunsForward) {
  const SystemClock clock;
  const ClockReading first = clock.now();
  const MonotonicTime coarse = coarse_monotonic_now();
  const ClockReading second = clock.now();
  EXPECT_GT(count_of(first.utc), count_of(utc(2024, 1, 1)));
  EXPECT_GE((second.boot - first.boot).count(), 0);
  EXPECT_GE((second.monotonic - first.monotonic).count(), 0);
  EXPECT_GE((second.monotonic - coarse).count(), 0);
  EXPECT_LE((first.monotonic - coarse).count(), 100'000'000);
}

// Goal: times are written in seconds precision, rounded down, and the epoch is "never".
// Method: only the time moves; both sides of the epoch and of a second.
TEST(FormatUtc, WritesSecondsAndNothingForNever) {
  EXPECT_EQ(format_utc(UtcTime{}), "");
  EXPECT_EQ(format_utc(UtcTime{seconds{1}}), "1970-01-01T00:00:01Z");
  EXPECT_EQ(format_utc(UtcTime{Nanoseconds{-1}}), "1969-12-31T23:59:59Z");
  const UtcTime noon = utc(2026, 11, 24) + std::chrono::hours{12};
  EXPECT_EQ(format_utc(noon - Nanoseconds{1}), "2026-11-24T11:59:59Z");
  EXPECT_EQ(format_utc(noon), "2026-11-24T12:00:00Z");
  EXPECT_EQ(format_utc(noon + Nanoseconds{999'999'999}), "2026-11-24T12:00:00Z");
}

// Goal: dates and times are read as UTC. Method: against <chrono>'s calendar, leap days included.
TEST(ParseUtc, ReadsDatesAndTimes) {
  EXPECT_EQ(count_of(parse_utc("1970-01-01")), 0);
  EXPECT_EQ(count_of(parse_utc("2025-06-26")), count_of(utc(2025, 6, 26)));
  EXPECT_EQ(count_of(parse_utc("2024-02-29")), count_of(utc(2024, 2, 29)));
  EXPECT_EQ(count_of(parse_utc("2000-02-29")), count_of(utc(2000, 2, 29)));
  EXPECT_EQ(count_of(parse_utc("1969-12-31")), count_of(utc(1969, 12, 31)));
  EXPECT_EQ(count_of(parse_utc("2026-11-24T05:44:26Z")),
            count_of(utc(2026, 11, 24) + std::chrono::hours{5} + std::chrono::minutes{44} +
                     seconds{26}));
  EXPECT_EQ(count_of(parse_utc("2026-11-24T23:59:59Z")), count_of(utc(2026, 11, 25) - seconds{1}));
}

// Goal: parse_utc is the opposite of format_utc. Method: random seconds from 1678 to 2261.
TEST(ParseUtc, IsTheOppositeOfFormatUtc) {
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE("FINOPS_TEST_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  std::uniform_int_distribution<std::int64_t> pick(count_of(utc(1678, 1, 1)),
                                                   count_of(utc(2262, 1, 1)));
  for (int i = 0; i < 2000 && !HasFailure(); ++i) {
    const UtcTime time = std::chrono::floor<seconds>(UtcTime{Nanoseconds{pick(random)}});
    if (time != UtcTime{}) {  // the epoch is "never"
      EXPECT_EQ(count_of(parse_utc(format_utc(time))), count_of(time)) << format_utc(time);
    }
  }
}

// Goal: anything else is refused. Method: one fault each in an otherwise good text.
TEST(ParseUtc, RefusesOtherForms) {
  for (const char* text :
       {"", "2026", "2026-11", "2026-11-24 ", " 2026-11-24", "24-11-2026", "2026/11/24",
        "2026-11-24T05:44Z", "2026-11-24T05:44:26", "2026-11-24T05:44:26+00:00",
        "2026-11-24T05:44:26.5Z", "2026-11-24 05:44:26Z", "2026-11-24T05:44:26Zx", "tomorrow"}) {
    EXPECT_EQ(code_of([&] { (void)parse_utc(text); }), "InvalidArgument") << text;
  }
}

// Goal: the whole text is looked at. Method: a good time, and the same with text after a NUL.
TEST(ParseUtc, RefusesTextAfterANul) {
  const std::string good = "2026-11-24T05:44:26Z";
  EXPECT_EQ(code_of([&] { (void)parse_utc(good); }), "none");
  EXPECT_EQ(code_of([&] { (void)parse_utc(good + '\0' + "x"); }), "InvalidArgument");
}

// Goal: each field has its range. Method: the first value beyond it, all else good.
TEST(ParseUtc, RefusesFieldsBeyondTheirRange) {
  for (const char* text :
       {"2026-00-10", "2026-13-10", "2026-11-00", "2026-11-32", "2026-11-24T24:00:00Z",
        "2026-11-24T05:60:00Z", "2026-11-24T05:44:60Z"}) {
    EXPECT_EQ(code_of([&] { (void)parse_utc(text); }), "InvalidArgument") << text;
  }
}

// Goal: a day that its month does not have is refused, not moved to the next month.
// Method: the last day of the month beside the day after it.
TEST(ParseUtc, RefusesDaysThatTheMonthDoesNotHave) {
  for (const char* text : {"2025-02-28", "2024-02-29", "2025-04-30"}) {
    EXPECT_EQ(code_of([&] { (void)parse_utc(text); }), "none") << text;
  }
  for (const char* text : {"2025-02-29", "2024-02-30", "2025-04-31", "1900-02-29"}) {
    EXPECT_EQ(code_of([&] { (void)parse_utc(text); }), "InvalidArgument") << text;
  }
}

// Goal: only what format_utc writes is read. Method: zeros left out or replaced by spaces.
TEST(ParseUtc, RefusesFieldsWithoutTheirZeros) {
  for (const char* text : {"2025-06- 6", "2025-6-06T01:02:03Z", "2025-06-06T1:02:03Z",
                           "2025-06-06T 1:02:03Z", " 025-06-06"}) {
    EXPECT_EQ(code_of([&] { (void)parse_utc(text); }), "InvalidArgument") << text;
  }
}

// Goal: a time that int64 nanoseconds cannot hold is refused ("9999-12-31" is how price lists say
// "open"). Method: the last second that fits and the first that does not, at both ends.
TEST(ParseUtc, RefusesTimesBeyondItsRange) {
  EXPECT_EQ(format_utc(UtcTime::max()), "2262-04-11T23:47:16Z");
  for (const char* text : {"2262-04-11T23:47:16Z", "1677-09-22"}) {
    EXPECT_EQ(code_of([&] { (void)parse_utc(text); }), "none") << text;
  }
  for (const char* text : {"2262-04-11T23:47:17Z", "2262-04-12", "9999-12-31", "1677-09-21"}) {
    EXPECT_EQ(code_of([&] { (void)parse_utc(text); }), "InvalidArgument") << text;
  }
}

}  // namespace
}  // namespace finops
