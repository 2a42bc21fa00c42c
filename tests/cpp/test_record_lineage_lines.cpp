// test_record_lineage_lines.cpp - tests of the JSON lines that lineage records come in.
//
// Owns: the checks of lineage_lines.hpp. Does not own: what the records mean
// (test_record_lineage.cpp).
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "finops/record/lineage_lines.hpp"
#include "support.hpp"

namespace finops {
namespace {

using testing::code_of;
using testing::message_of;
using Json = nlohmann::json;

// One line of each kind with every field that it may have.
const std::vector<std::string>& full_lines() {
  static const std::vector<std::string> kLines{
      R"({"node": "model:x", "label": "X", "user_name": "ada", "cluster": "a",
          "attributes": {"seed": 7}, "created_at": "2026-05-12T08:00:00Z"})",
      R"({"edge": "forked_from", "subject": "run:b", "object": "run:a", "step": 100,
          "recorded_at": "2026-05-12T08:00:00.25Z"})",
      R"({"cost": "-24.50 USD", "node_id": "job:prep", "event_id": "i-1",
          "charge_category": "Adjustment", "is_correction": true,
          "charge_period_start": "2026-05-12", "charge_period_end": "2026-05-13"})",
      R"({"status": "FAILED", "node_id": "run:a", "why": "out of memory", "who": "ada",
          "recorded_at": "2026-05-12T08:00:00.000000001Z"})",
      R"({"use": 12000, "unit": "requests", "node_id": "endpoint:chat", "event_id": "u-1",
          "recorded_at": "2026-05-12"})",
      R"({"value": "50000 USD", "per": "month", "node_id": "model:x", "source": "A/B test",
          "event_id": "v-1", "valid_from": "2026-05-12", "valid_to": "2027-05-12", "who": "ada",
          "recorded_at": "2026-05-12"})"};
  return kLines;
}

// The fields of each kind that must be there.
const std::vector<std::vector<std::string>>& required_fields() {
  static const std::vector<std::vector<std::string>> kFields{
      {"node"},
      {"edge", "subject", "object"},
      {"cost", "node_id", "event_id"},
      {"status", "node_id"},
      {"use", "node_id", "event_id"},
      {"value", "node_id", "event_id", "valid_from", "source"}};
  return kFields;
}

// Goal: every field arrives where it belongs. Method: the full line of each kind.
TEST(LineageLines, ReadsEveryField) {
  const UtcTime day = parse_utc("2026-05-12");
  EXPECT_EQ(std::get<LineageNode>(parse_lineage_line(full_lines()[0])),
            (LineageNode{NodeId{"model:x"}, "X", "ada", "a", "{\"seed\":7}",
                         day + std::chrono::hours{8}}));
  EXPECT_EQ(std::get<LineageEdge>(parse_lineage_line(full_lines()[1])),
            (LineageEdge{NodeId{"run:b"}, EdgeKind::ForkedFrom, NodeId{"run:a"}, 100,
                         day + std::chrono::hours{8} + std::chrono::milliseconds{250}}));
  EXPECT_EQ(std::get<LineageCost>(parse_lineage_line(full_lines()[2])),
            (LineageCost{EventId{"i-1"}, NodeId{"job:prep"}, ChargeCategory::Adjustment, true,
                         Money::parse("-24.5 USD"), day, day + std::chrono::hours{24}}));
  EXPECT_EQ(std::get<NodeStatus>(parse_lineage_line(full_lines()[3])),
            (NodeStatus{NodeId{"run:a"}, "FAILED", "ada", "out of memory",
                        day + std::chrono::hours{8} + Nanoseconds{1}}));
  EXPECT_EQ(std::get<NodeUse>(parse_lineage_line(full_lines()[4])),
            (NodeUse{EventId{"u-1"}, NodeId{"endpoint:chat"}, 12'000, "requests", day}));
  EXPECT_EQ(std::get<BusinessValue>(parse_lineage_line(full_lines()[5])),
            (BusinessValue{EventId{"v-1"}, NodeId{"model:x"}, Money::parse("50000 USD"),
                           ValuePeriod::Month, day, parse_utc("2027-05-12"), "A/B test", "ada",
                           day}));
}

// Goal: what is written is read back as the same record. Method: full and bare records, a fraction
// of a second at and before 1970, the largest money, text with every trouble.
TEST(LineageLines, GoesThereAndBack) {
  std::vector<LineageLine> records;
  for (const std::string& line : full_lines()) {
    records.push_back(parse_lineage_line(line));
  }
  records.push_back(LineageNode{.node_id = NodeId{"dataset:\u05d3 \"\\ \U0001F469\u200d\U0001F680"},
                                .label = "\"quoted\"",
                                .created_at = UtcTime{Nanoseconds{1}}});
  records.push_back(NodeStatus{
      .node_id = NodeId{"run:a"}, .status = "RUNNING", .recorded_at = UtcTime{Nanoseconds{-1}}});
  records.push_back(NodeUse{.event_id = EventId{"u"},
                            .node_id = NodeId{"endpoint:e"},
                            .quantity = INT64_MAX,
                            .recorded_at = UtcTime::max()});
  records.push_back(LineageCost{
      .event_id = EventId{"c"},
      .node_id = NodeId{"job:j"},
      .billed_cost =
          Money::from_picos(static_cast<Int128>(INT64_MAX) * kPicosPerUnit + (kPicosPerUnit - 1),
                            Currency("KRW"))});
  for (const LineageLine& record : records) {
    const std::string line = lineage_line(record);
    EXPECT_TRUE(parse_lineage_line(line) == record) << line;
  }
}

// Goal: optional fields may be left out, required ones not (valid_from: of a value that recurs).
// Method: each field of each kind alone.
TEST(LineageLines, TellsWhichFieldsAreRequired) {
  for (std::size_t i = 0; i < full_lines().size(); ++i) {
    const Json full = Json::parse(full_lines()[i]);
    for (const auto& [field, value] : full.items()) {
      Json without = full;
      without.erase(field);
      const bool is_required =
          std::ranges::find(required_fields()[i], field) != required_fields()[i].end();
      const auto parse = [&] { (void)parse_lineage_line(without.dump()); };
      if (is_required) {
        EXPECT_EQ(code_of(parse), "InvalidArgument") << without.dump();
      } else {
        EXPECT_NO_THROW(parse()) << without.dump();
      }
    }
  }
}

// Goal: a field of another type is refused by its name, never converted. Method: each field of
// each kind as every other type; money as a number among them.
TEST(LineageLines, RefusesOtherTypes) {
  const std::vector<Json> values{Json("\n"), Json("no such thing\t"), Json(2.5),      Json(true),
                                 Json(),     Json::array({1}),        Json::object(), Json(-1)};
  for (const std::string& line : full_lines()) {
    const Json full = Json::parse(line);
    for (const auto& [field, value] : full.items()) {
      for (const Json& other : values) {
        if (other.type() == value.type() && !other.is_string()) {
          continue;
        }
        Json changed = full;
        changed[field] = other;
        const auto parse = [&] { (void)parse_lineage_line(changed.dump()); };
        const std::string expected = code_of(parse);
        EXPECT_TRUE(expected == "InvalidArgument" || expected == "InvalidMoney") << changed.dump();
        EXPECT_NE(message_of(parse).find(field), std::string::npos)
            << changed.dump() << ": " << message_of(parse);
      }
    }
  }
  EXPECT_EQ(code_of([] {
              (void)parse_lineage_line(R"({"cost": "24.5", "node_id": "job:a", "event_id": "e"})");
            }),
            "InvalidMoney");
}

// Goal: nothing is skipped in silence. Method: a field too much, one twice, two records in one.
TEST(LineageLines, RefusesWhatItDoesNotKnow) {
  for (const char* line :
       {R"({"node": "model:x", "lable": "X"})", R"({"node": "model:x", "node": "model:x"})",
        R"({"node": "model:x", "attributes": {"a": 1, "a": 2}})",
        R"({"node": "model:x", "edge": "read"})", R"({"node": "model:x", "step": 1})",
        R"({"node": "model:x"} {})", R"({})", R"([])", R"("node")", R"(null)", "", "{", "\xff",
        R"({"node": "model:\ud800"})", R"({"node": "model:a\u0000"})",
        R"({"use": 9223372036854775808, "node_id": "model:x", "event_id": "e"})",
        R"({"use": 1e3, "node_id": "model:x", "event_id": "e"})",
        R"({"edge": "read", "subject": "run:a", "object": "dataset:d", "step": -1})"}) {
    EXPECT_EQ(code_of([&] { (void)parse_lineage_line(line); }), "InvalidArgument") << line;
  }
}

// Goal: a line from outside chooses neither how much is read nor how deep. Method: at the limits
// and above.
TEST(LineageLines, HasLimits) {
  const std::string head = R"({"node": "model:x")";
  const auto padded = [&](std::size_t size) {
    return head + std::string(size - head.size() - 1, ' ') + "}";
  };
  EXPECT_NO_THROW((void)parse_lineage_line(padded(kLongestLineageLine)));
  EXPECT_EQ(code_of([&] { (void)parse_lineage_line(padded(kLongestLineageLine + 1)); }),
            "InvalidArgument");
  const auto nested = [&](std::size_t depth) {
    return head + R"(, "attributes": {"a": )" + std::string(depth, '[') + std::string(depth, ']') +
           "}}";
  };
  EXPECT_NO_THROW((void)parse_lineage_line(nested(30)));
  EXPECT_EQ(code_of([&] { (void)parse_lineage_line(nested(31)); }), "InvalidArgument");
  EXPECT_EQ(code_of([&] { (void)parse_lineage_line(nested(100'000)); }), "InvalidArgument");
}

// Goal: times are exact and UTC. Method: forms that a lenient reader would take for something else.
TEST(LineageLines, ReadsOnlyExactTimes) {
  const auto time_of = [](const std::string& text) {
    return std::get<LineageNode>(parse_lineage_line(R"({"node": "model:x", "created_at": ")" +
                                                    text + "\"}"))
        .created_at;
  };
  EXPECT_EQ(time_of("2026-05-12T08:00:00.123456789Z").time_since_epoch().count() % 1'000'000'000,
            123'456'789);
  for (const char* text :
       {"2026-05-12T08:00:00", "2026-05-12T08:00:00.Z", "2026-05-12T08:00:00.1234567890Z",
        "2026-05-12T08:00:00.5", "2026-05-12T08:00:00.-5Z", "2026-05-12.5Z", "2026-02-30", "",
        "2026-05-12T08:00:00+02:00", "2262-04-11T23:47:16.9Z", "now", "1e9"}) {
    EXPECT_EQ(code_of([&] { (void)time_of(text); }), "InvalidArgument") << text;
  }
}

// Goal: a record that could not be read back is not written. Method: one bad field.
TEST(LineageLines, WritesNoBadRecord) {
  EXPECT_EQ(code_of([] { (void)lineage_line(LineageNode{.node_id = NodeId{"x"}}); }),
            "InvalidArgument");
  EXPECT_EQ(code_of([] {
              (void)lineage_line(LineageNode{.node_id = NodeId{"model:x"}, .label = "\xff"});
            }),
            "InvalidArgument");
}

}  // namespace
}  // namespace finops
