// test_record_tags.cpp - tests of how a run's tags are read from the ledger's text.
//
// Owns: the checks of parse_tags. Does not own: the rest of the records (test_record.cpp).
#include <gtest/gtest.h>

#include "finops/record/run.hpp"

namespace finops {
namespace {

using Tags = std::map<std::string, std::string>;

// Goal: texts come as they are, other values as JSON writes them. Method: one tag of each kind.
TEST(RecordTags, ReadsAnObject) {
  EXPECT_EQ(parse_tags(R"({"team": "nlp", "level": 3, "deep": {"a": [1, null]}, "empty": ""})"),
            (Tags{{"team", "nlp"}, {"level", "3"}, {"deep", R"({"a":[1,null]})"}, {"empty", ""}}));
  EXPECT_EQ(parse_tags("{}"), Tags{});
}

// Goal: bad tags stop nobody. Method: texts that are no JSON object, among them hostile ones.
TEST(RecordTags, TakesAnythingElseForNone) {
  for (const std::string& text :
       {std::string(), std::string("{"), std::string("[1]"), std::string("\"team\""),
        std::string("null"), std::string("{\"a\": \"\xff\"}"), std::string("{'a': 1}"),
        std::string("{\"a\": 1} {}"), std::string(100'000, '[')}) {
    EXPECT_EQ(parse_tags(text), Tags{}) << text.substr(0, 20);
  }
}

}  // namespace
}  // namespace finops
