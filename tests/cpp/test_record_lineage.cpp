// test_record_lineage.cpp - tests of node ids, sentences and the checks on lineage records.
//
// Owns: the checks of lineage.hpp. Does not own: lines of text (test_record_lineage_lines.cpp).
#include <gtest/gtest.h>

#include <set>

#include "finops/record/lineage.hpp"
#include "support.hpp"

namespace finops {
namespace {

using testing::code_of;
using testing::message_of;

LineageEdge edge_of(const std::string& subject, EdgeKind kind, const std::string& object) {
  return {.subject = NodeId{subject}, .kind = kind, .object = NodeId{object}};
}

// Goal: every name of an enum is read back as its value, and nothing else. Method: all values.
TEST(RecordLineage, NamesGoBothWays) {
  for (int i = 0; i < kNodeKindCount; ++i) {
    const auto kind = static_cast<NodeKind>(i);
    EXPECT_EQ(parse_node_kind(node_kind_name(kind)), kind);
  }
  for (const EdgeKind kind : {EdgeKind::NestedIn, EdgeKind::ForkedFrom, EdgeKind::RetriedAs,
                              EdgeKind::Read, EdgeKind::Produced, EdgeKind::DeployedAs}) {
    EXPECT_EQ(parse_edge_kind(edge_kind_name(kind)), kind);
  }
  for (const ValuePeriod period :
       {ValuePeriod::Once, ValuePeriod::Month, ValuePeriod::Quarter, ValuePeriod::Year}) {
    EXPECT_EQ(parse_value_period(value_period_name(period)), period);
  }
  EXPECT_EQ(code_of([] { (void)parse_node_kind("Model"); }), "InvalidArgument");
  EXPECT_EQ(code_of([] { (void)parse_edge_kind("made"); }), "InvalidArgument");
  EXPECT_EQ(code_of([] { (void)parse_value_period("week"); }), "InvalidArgument");
  EXPECT_TRUE(is_node_status("PREEMPTED"));
  EXPECT_FALSE(is_node_status("preempted"));
}

// Goal: a name may be any text that can be told apart on a screen, and stays as it is, byte for
// byte. Method: names with colons and slashes, right-to-left, combining marks, emoji with joiners.
TEST(RecordLineage, KeepsEveryPrintableName) {
  for (const char* name :
       {"resnet-v2", "s3://bucket/my data", "a:b:c", "\u05d3\u05d2\u05dd",
        "\u202b\u0645\u0631\u062d\u0628\u0627\u202c", "e\u0301\u0327", "\u00e9",
        "\U0001F469\u200d\U0001F680", "\U0010FFFF", "%41", "\u0800\uD7FF\uE000"}) {
    const NodeId id = make_node_id(NodeKind::Model, name);
    EXPECT_EQ(id.str(), std::string("model:") + name);
    EXPECT_EQ(node_name(id), name);
    EXPECT_EQ(node_kind(id), NodeKind::Model);
    EXPECT_EQ(parse_node_id(id.str()), id);
  }
}

// Goal: names that cannot be told apart are refused. Method: one fault each.
TEST(RecordLineage, RefusesNamesThatCannotBeToldApart) {
  for (const std::string& name :
       {std::string(), std::string(" a"), std::string("a "), std::string("\u00a0a"),
        std::string("a\u3000"), std::string("a\nb"), std::string("a\0b", 3), std::string("a\x7f"),
        std::string("a\u0085"), std::string("a\u2028"),
        std::string("a\u2029"
                    "b"),
        std::string("\xff"), std::string("a\xc3"), std::string("\xc0\xaf"),
        std::string("\xe0\x80\x80"), std::string("\xed\xa0\x80"), std::string("\xf4\x90\x80\x80"),
        std::string("\xf8\x88\x80\x80\x80"), std::string("\x80")}) {
    EXPECT_EQ(code_of([&] { (void)make_node_id(NodeKind::Run, name); }), "InvalidArgument")
        << ::testing::PrintToString(name);
  }
}

// Goal: the length limit is of the whole id, inclusive. Method: at it and above it.
TEST(RecordLineage, LimitsTheLengthOfAnId) {
  const std::string longest(kLongestNodeId - std::string("run:").size(), 'x');
  EXPECT_EQ(make_node_id(NodeKind::Run, longest).str().size(), kLongestNodeId);
  EXPECT_EQ(code_of([&] { (void)make_node_id(NodeKind::Run, longest + "x"); }), "InvalidArgument");
}

// Goal: an id without a kind that we know is refused. Method: forms people might write.
TEST(RecordLineage, RefusesIdsWithoutAKind) {
  for (const char* text : {"", "model", "model:", ":x", "Model:x", " model:x", "modell:x"}) {
    EXPECT_EQ(code_of([&] { (void)parse_node_id(text); }), "InvalidArgument") << text;
  }
}

// Goal: where one kind is usual its prefix may be left out. Method: with, without, and a colon of
// the name's own.
TEST(RecordLineage, TakesTheUsualKindWithoutAPrefix) {
  EXPECT_EQ(parse_node_id_or(NodeKind::Dataset, "imagenet").str(), "dataset:imagenet");
  EXPECT_EQ(parse_node_id_or(NodeKind::Dataset, "model:base").str(), "model:base");
  EXPECT_EQ(parse_node_id_or(NodeKind::Dataset, "s3://bucket/x").str(), "dataset:s3://bucket/x");
  EXPECT_EQ(code_of([] { (void)parse_node_id_or(NodeKind::Dataset, "model:"); }),
            "InvalidArgument");
  EXPECT_EQ(code_of([] { (void)parse_node_id_or(NodeKind::Dataset, ""); }), "InvalidArgument");
}

// Goal: whatever a project or experiment is called, it has an id, and no two share one. Method:
// names with every trouble, and pairs that a careless escape would put together.
TEST(RecordLineage, GivesEveryExperimentAnIdOfItsOwn) {
  EXPECT_EQ(experiment_node_id("vision", "resnet/50").str(), "experiment:vision/resnet/50");
  EXPECT_EQ(project_node_id("100% data").str(), "project:100% data");
  const std::string long_name(2'000, 'x');
  const std::vector<std::pair<std::string, std::string>> names{
      {"a", "b/c"},  {"a/b", "c"},     {"a%2Fb", "c"},         {"a", "b\n"},
      {"a", "b%0A"}, {"a", "b%250A"},  {"a", "\xff"},          {"a", "%FF"},
      {" a", "b"},   {"%20a", "b"},    {"a", "b\u2028"},       {"a", "%\x01"},
      {"a", "%%01"}, {"a", long_name}, {"a", long_name + "y"}, {"a", long_name + "\u00e9"}};
  std::set<NodeId> seen;
  for (const auto& [project, experiment] : names) {
    const NodeId id = experiment_node_id(project, experiment);
    EXPECT_TRUE(seen.insert(id).second) << id.str();
    EXPECT_EQ(parse_node_id(id.str()), id);
    EXPECT_LE(id.str().size(), kLongestNodeId);
  }
}

// Goal: sentences of the documentation are sensible, others are refused with what is possible.
TEST(RecordLineage, KnowsWhichSentencesMakeSense) {
  const std::vector<LineageEdge> sensible{
      edge_of("run:a", EdgeKind::NestedIn, "run:sweep"),
      edge_of("attempt:a-1", EdgeKind::NestedIn, "run:a"),
      edge_of("run:a", EdgeKind::NestedIn, "experiment:p/e"),
      edge_of("job:prep", EdgeKind::NestedIn, "experiment:p/e"),
      edge_of("experiment:p/e", EdgeKind::NestedIn, "project:p"),
      edge_of("run:b", EdgeKind::ForkedFrom, "run:a"),
      edge_of("run:b", EdgeKind::ForkedFrom, "checkpoint:a-1/3"),
      edge_of("attempt:a-1", EdgeKind::RetriedAs, "attempt:a-2"),
      edge_of("run:a", EdgeKind::RetriedAs, "run:b"),
      edge_of("run:a", EdgeKind::Read, "dataset:d"),
      edge_of("attempt:a-2", EdgeKind::Read, "checkpoint:a-1/3"),
      edge_of("job:eval", EdgeKind::Read, "model:m"),
      edge_of("run:a", EdgeKind::Produced, "endpoint:e"),
      edge_of("model:m", EdgeKind::DeployedAs, "endpoint:e")};
  for (const LineageEdge& edge : sensible) {
    EXPECT_NO_THROW(require_sensible(edge)) << sentence(edge);
  }
  for (const LineageEdge& edge : {edge_of("dataset:d", EdgeKind::Read, "run:a"),
                                  edge_of("attempt:a-1", EdgeKind::DeployedAs, "endpoint:e"),
                                  edge_of("run:sweep", EdgeKind::NestedIn, "attempt:a-1"),
                                  edge_of("model:m", EdgeKind::Produced, "run:a"),
                                  edge_of("run:a", EdgeKind::RetriedAs, "attempt:a-2"),
                                  edge_of("project:p", EdgeKind::NestedIn, "experiment:p/e"),
                                  edge_of("run:a", EdgeKind::NestedIn, "run:a")}) {
    EXPECT_EQ(code_of([&] { require_sensible(edge); }), "InvalidArgument") << sentence(edge);
  }
  EXPECT_EQ(message_of([] {
              require_sensible(edge_of("dataset:d", EdgeKind::Read, "run:a"));
            }).rfind("'dataset:d read run:a' makes no sense; possible are: ", 0),
            0U);
}

// Goal: attributes that are equal are equal texts. Method: other orders and blanks.
TEST(RecordLineage, GivesAttributesOneForm) {
  EXPECT_EQ(canonical_attributes(R"( { "b" : 1, "a": [ 1.50, "\u00e9\n"] } )"),
            "{\"a\":[1.5,\"\u00e9\\n\"],\"b\":1}");
  EXPECT_EQ(canonical_attributes(canonical_attributes(R"({"z":1e300})")),
            canonical_attributes(R"({"z":1e300})"));
  for (const std::string& text : {std::string(), std::string("[]"), std::string("{"),
                                  std::string("{\"a\":1,\"a\":1}"), std::string("{\"a\":\"\xff\"}"),
                                  "{\"a\":" + std::string(40, '[') + std::string(40, ']') + "}",
                                  "{\"a\":\"" + std::string(kLongestAttributes, 'x') + "\"}"}) {
    EXPECT_EQ(code_of([&] { (void)canonical_attributes(text); }), "InvalidArgument")
        << text.substr(0, 30);
  }
}

// Goal: each field of each record is looked at. Method: one good record each, then one fault each.
TEST(RecordLineage, RefusesRecordsThatCannotBeKept) {
  const UtcTime day = parse_utc("2026-05-12");
  const auto refused = [](auto record, auto spoil) {
    EXPECT_NO_THROW(require_valid(record));
    spoil(record);
    return code_of([&] { require_valid(record); }) == "InvalidArgument";
  };
  const LineageNode node{.node_id = NodeId{"model:m"}};
  EXPECT_TRUE(refused(node, [](LineageNode& it) { it.node_id = NodeId{"m"}; }));
  EXPECT_TRUE(refused(node, [](LineageNode& it) { it.label = "a\nb"; }));
  EXPECT_TRUE(refused(node,
                      [](LineageNode& it) { it.label.assign(kLongestLineageText + 1, 'x'); }));
  EXPECT_TRUE(refused(node, [](LineageNode& it) { it.user_name = "\xff"; }));
  EXPECT_TRUE(refused(node, [](LineageNode& it) { it.cluster = "\x1b[31m"; }));
  EXPECT_TRUE(refused(node, [](LineageNode& it) { it.attributes = "1"; }));
  const LineageEdge edge = edge_of("run:a", EdgeKind::Read, "dataset:d");
  EXPECT_TRUE(refused(edge, [](LineageEdge& it) { it.subject = NodeId{}; }));
  EXPECT_TRUE(refused(edge, [](LineageEdge& it) { it.object = NodeId{"d"}; }));
  EXPECT_TRUE(refused(edge, [](LineageEdge& it) { it.step = -1; }));
  const LineageCost cost{.event_id = EventId{"e"}, .node_id = NodeId{"job:prep"}};
  EXPECT_TRUE(refused(cost, [](LineageCost& it) { it.event_id = EventId{}; }));
  EXPECT_TRUE(refused(cost, [](LineageCost& it) { it.node_id = NodeId{}; }));
  EXPECT_TRUE(refused(cost, [&](LineageCost& it) {
    it.charge_period_start = it.charge_period_end = day;
  }));
  EXPECT_TRUE(refused(cost, [](LineageCost& it) { it.billed_cost = testing::usd("-1"); }));
  const NodeStatus status{.node_id = NodeId{"run:a"}, .status = "FAILED"};
  EXPECT_TRUE(refused(status, [](NodeStatus& it) { it.node_id = NodeId{}; }));
  EXPECT_TRUE(refused(status, [](NodeStatus& it) { it.status = "failed"; }));
  EXPECT_TRUE(refused(status, [](NodeStatus& it) { it.who = "\r"; }));
  EXPECT_TRUE(refused(status, [](NodeStatus& it) { it.why = "\u2028"; }));
  const NodeUse use{.event_id = EventId{"e"}, .node_id = NodeId{"endpoint:e"}};
  EXPECT_TRUE(refused(use, [](NodeUse& it) { it.quantity = -1; }));
  EXPECT_TRUE(refused(use, [](NodeUse& it) { it.event_id = EventId{" e"}; }));
  EXPECT_TRUE(refused(use, [](NodeUse& it) { it.node_id = NodeId{}; }));
  EXPECT_TRUE(refused(use, [](NodeUse& it) { it.unit = "\t"; }));
  const BusinessValue value{
      .value_id = EventId{"v"}, .node_id = NodeId{"model:m"}, .source = "A/B test"};
  EXPECT_TRUE(refused(value, [](BusinessValue& it) { it.value_id = EventId{}; }));
  EXPECT_TRUE(refused(value, [](BusinessValue& it) { it.node_id = NodeId{"run:a"}; }));
  EXPECT_TRUE(refused(value, [](BusinessValue& it) { it.source.clear(); }));
  EXPECT_TRUE(refused(value, [](BusinessValue& it) { it.source = "\v"; }));
  EXPECT_TRUE(refused(value, [](BusinessValue& it) { it.who = "\xc3"; }));
  EXPECT_TRUE(refused(value, [&](BusinessValue& it) { it.valid_from = it.valid_to = day; }));
  for (const ValuePeriod period : {ValuePeriod::Month, ValuePeriod::Quarter, ValuePeriod::Year}) {
    EXPECT_TRUE(refused(value, [&](BusinessValue& it) { it.period = period; }));
  }
}

// Goal: a faulty sign or a missing start is not kept for an amount, and the message says what to
// write. Method: costs below zero that take something back; values that recur, with a start.
TEST(RecordLineage, SaysHowToTakeCostBackAndFromWhenAValueCounts) {
  LineageCost cost{.event_id = EventId{"e"}, .node_id = NodeId{"job:prep"}};
  cost.billed_cost = testing::usd("-1");
  EXPECT_NE(message_of([&] { require_valid(cost); }).find("is_correction"), std::string::npos);
  cost.is_correction = true;
  EXPECT_NO_THROW(require_valid(cost));
  cost.is_correction = false;
  for (const ChargeCategory category : {ChargeCategory::Credit, ChargeCategory::Adjustment}) {
    cost.charge_category = category;
    EXPECT_NO_THROW(require_valid(cost));
  }
  for (const ChargeCategory category : {ChargeCategory::Purchase, ChargeCategory::Tax}) {
    cost.charge_category = category;
    EXPECT_EQ(code_of([&] { require_valid(cost); }), "InvalidArgument");
  }
  BusinessValue value{.value_id = EventId{"v"}, .node_id = NodeId{"model:m"}, .source = "A/B"};
  value.period = ValuePeriod::Month;
  EXPECT_NE(message_of([&] { require_valid(value); }).find("valid_from"), std::string::npos);
  value.valid_from = parse_utc("2026-05-12");
  EXPECT_NO_THROW(require_valid(value));
}

}  // namespace
}  // namespace finops
