// test_found_by_fuzzing.cpp - what the fuzz targets found, one test each.
//
// The inputs lie in tests/fuzz/corpus as well; here stands what a user may rely on.
#include <gtest/gtest.h>

#include <cstdlib>
#include <limits>

#include "finops/agent/settle.hpp"
#include "finops/base/process_table.hpp"
#include "finops/detect/environment.hpp"
#include "finops/pricing/price_book.hpp"
#include "finops/record/json_depth.hpp"
#include "finops/record/period.hpp"
#include "support.hpp"

namespace finops {
namespace {

using testing::code_of;
using testing::message_of;

std::string nested(std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); }

std::string book_with(const std::string& version) {
  return R"({"schema":"finops-price-book","schema_version":)" + version + R"(,"skus":[]})";
}

// Goal: the numbers of /proc are held in range; no CPU time is below zero.
TEST(FoundByFuzzing, CpuTimeOfAnyNumber) {
  for (const std::int64_t ticks : {std::numeric_limits<std::int64_t>::max(),
                                   std::numeric_limits<std::int64_t>::min(), std::int64_t{-1}}) {
    const std::string n = std::to_string(ticks);
    const auto entry = parse_process_stat("7 (a) S 1 1 1 0 -1 0 0 0 0 0 " + n + " " + n + " " + n +
                                          " " + n + " 20 0 1 0 9 0 " + n);
    ASSERT_TRUE(entry.has_value()) << n;
    EXPECT_GE(entry->cpu_time, Nanoseconds::zero()) << n;
    EXPECT_GE(entry->reaped_cpu_time, Nanoseconds::zero()) << n;
    EXPECT_GE(entry->resident_bytes, 0) << n;
  }
}

// Goal: JSON is read up to 32 levels and refused below; very deep text takes no stack.
TEST(FoundByFuzzing, DeepJson) {
  EXPECT_EQ(json_depth(R"({"a":[1,{"b":"]}["}]})"), 3U);
  EXPECT_EQ(json_depth(R"("\"[[[")"), 0U);
  EXPECT_EQ(json_depth("]]]["), 1U);
  EXPECT_EQ(parse_tags(R"({"a":)" + nested(kDeepestJson - 1) + "}").size(), 1U);
  EXPECT_TRUE(parse_tags(R"({"a":)" + nested(kDeepestJson) + "}").empty());
  EXPECT_TRUE(parse_tags(R"({"a":)" + nested(1'000'000) + "}").empty());
  const auto parse = [](std::size_t depth) {
    return message_of([&] { (void)PriceBook::parse(book_with(nested(depth)), "a book"); });
  };
  EXPECT_NE(parse(kDeepestJson - 1).find("a whole number"), std::string::npos);
  EXPECT_NE(parse(kDeepestJson).find("nested deeper"), std::string::npos);
  EXPECT_NE(parse(1'000'000).find("nested deeper"), std::string::npos);
}

// Goal: of a key that occurs twice in one object no reader knows which was meant: it is refused.
// The same key in two objects is none of that.
TEST(FoundByFuzzing, AKeyTwiceInAPriceBook) {
  const auto parse = [](const std::string& text) {
    return code_of([&] { (void)PriceBook::parse(text, "a book"); });
  };
  EXPECT_EQ(parse(book_with("1")), "none");
  EXPECT_EQ(parse(book_with(R"(1,"schema_version":1)")), "InvalidArgument");
  EXPECT_EQ(parse(book_with(R"(1,"notes":[{"a":1},{"a":2}])")), "none");
}

// Goal: whatever is wrong with a price book's text, the message says which book. Method: one text
// for each fault that the reader of JSON finds.
TEST(FoundByFuzzing, APriceBookThatIsNoTextIsNamed) {
  for (const std::string& text : {std::string("{"), std::string("\xff"),
                                  book_with(R"(1,"schema_version":1)"), std::string(100, '[')}) {
    const std::string message = message_of([&] { (void)PriceBook::parse(text, "book.json"); });
    EXPECT_TRUE(message.starts_with("book.json cannot be read: ")) << message;
  }
}

// Goal: a rank that is no int is no rank: the process is a run of its own.
TEST(FoundByFuzzing, ARankPastAnInt) {
  const std::pair<const char*, const char*> variables[] = {{"TORCHELASTIC_RUN_ID", "job"},
                                                           {"MASTER_ADDR", "node1"},
                                                           {"MASTER_PORT", "29500"},
                                                           {"RANK", "1"},
                                                           {"WORLD_SIZE", "8"},
                                                           {"LOCAL_WORLD_SIZE", "8"}};
  for (const auto& [name, value] : variables) {
    setenv(name, value, 1);
  }
  const auto local_rank = [](const char* text) {
    setenv("LOCAL_RANK", text, 1);
    return detect::read_environment().job.local_rank;
  };
  EXPECT_EQ(local_rank("2147483647"), 2'147'483'647);
  EXPECT_EQ(local_rank("2147483648"), -1);
  EXPECT_EQ(local_rank("4294967295"), -1);
  EXPECT_EQ(local_rank("99999999999999999999"), -1);
  for (const auto& [name, value] : variables) {
    unsetenv(name);
  }
  unsetenv("LOCAL_RANK");
}

// Goal: every time has a window, at the ends of time too.
TEST(FoundByFuzzing, WindowsAtTheEndsOfTime) {
  for (const char* text : {"day", "week@Europe/Berlin", "month", "quarter@America/St_Johns"}) {
    const Period period = Period::parse(text);
    EXPECT_EQ(period.window_at(UtcTime::max()).end, UtcTime::max()) << text;
    EXPECT_EQ(period.window_at(UtcTime::min()).start, UtcTime::min()) << text;
    EXPECT_LT(period.window_at(UtcTime::min()).end, UtcTime{}) << text;
  }
}

// Goal: a page whose start or pid cannot be is refused, so that nothing is charged by it. Method:
// one number moves, at its limit and past it.
TEST(FoundByFuzzing, AStartThatCannotBe) {
  const auto why = [](const ClockReading& started_at) {
    pulse::PageInfo info = testing::example_page("run1", started_at);
    pulse::StaticPart part{};
    pulse::encode(info, part);
    std::string reason;
    (void)pulse::decode(part, reason);
    return reason;
  };
  const ClockReading good = SystemClock{}.now();
  const auto with = [&](UtcTime utc, BootTime boot, MonotonicTime monotonic) {
    return why({.utc = utc, .boot = boot, .monotonic = monotonic});
  };
  const std::string refusal = "its start is out of range";
  EXPECT_EQ(why(good), "");
  EXPECT_EQ(with(UtcTime{}, BootTime{}, MonotonicTime{}), "");
  EXPECT_EQ(with(UtcTime{Nanoseconds{-1}}, good.boot, good.monotonic), refusal);
  EXPECT_EQ(with(UtcTime::max() - kCentury, good.boot, good.monotonic), "");
  EXPECT_EQ(with(UtcTime::max(), good.boot, good.monotonic), refusal);
  EXPECT_EQ(with(good.utc, BootTime{kCentury}, good.monotonic), "");
  EXPECT_EQ(with(good.utc, BootTime{kCentury + Nanoseconds{1}}, good.monotonic), refusal);
  EXPECT_EQ(with(good.utc, BootTime{Nanoseconds{-1}}, good.monotonic), refusal);
  EXPECT_EQ(with(good.utc, good.boot, MonotonicTime{Nanoseconds{-1}}), refusal);
}

// Goal: a lease is planned for whatever a file says was settled.
TEST(FoundByFuzzing, ALeaseFromTheEndOfTime) {
  const budget::LeasePlan plan = budget::plan_lease(std::nullopt, Nanoseconds::max(), {}, {});
  EXPECT_EQ(plan.renew_at, Nanoseconds::max());
}

// Goal: the ledger takes no time that would overflow a sum, and says so.
TEST(FoundByFuzzing, TimesPastACenturyInTheLedger) {
  const testing::TempDir folder;
  const auto ledger = open_ledger(folder / "ledger.db", {});
  ledger->add_run(testing::example_run("run1"));
  AttemptRecord attempt = testing::example_attempt("run1", "run1-1");
  attempt.started_at.utc = UtcTime::max();
  EXPECT_EQ(code_of([&] { (void)ledger->add_attempt(attempt); }), "InvalidArgument");
  attempt.started_at.utc = UtcTime::max() - kCentury;
  EXPECT_EQ(code_of([&] { (void)ledger->add_attempt(attempt); }), "none");
  SettleRequest request{.attempt_id = attempt.attempt_id,
                        .epoch = 1,
                        .elapsed = kCentury + Nanoseconds{1},
                        .now = testing::example_time(),
                        .wanted_hold = std::nullopt};
  EXPECT_EQ(code_of([&] { (void)ledger->settle(request); }), "InvalidArgument");
  request.elapsed = kCentury;
  EXPECT_EQ(code_of([&] { (void)ledger->settle(request); }), "none");
  EXPECT_TRUE(ledger->verify().is_clean());
}

}  // namespace
}  // namespace finops
