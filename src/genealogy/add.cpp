// add.cpp - taking records in: each is checked, known ones are skipped, wrong ones are told.
#include <algorithm>
#include <optional>
#include <utility>

#include "finops/base/error.hpp"
#include "genealogy/parts.hpp"

namespace finops::genealogy {
namespace {

constexpr std::size_t kMostShownBytes = 80;

// Of a text that is valid UTF-8.
std::string brief(const std::string& text) {
  if (text.size() <= kMostShownBytes) {
    return "'" + text + "'";
  }
  std::size_t end = kMostShownBytes;
  while ((static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80) {
    --end;  // not in the middle of a character
  }
  return "'" + text.substr(0, end) + "...'";
}

// Of a text that may be anything.
std::string printable(std::string_view text) {
  std::string result(text.substr(0, kMostShownBytes));
  std::ranges::replace_if(result, [](char c) { return c < ' ' || c > '~'; }, '?');
  return result;
}

std::string shown_time(UtcTime time) { return time == UtcTime{} ? "unknown" : format_utc(time); }

std::string record_words(const LineageNode& node) { return node.node_id.str(); }
std::string record_words(const LineageEdge& edge) { return sentence(edge); }
std::string record_words(const LineageCost& cost) {
  return "cost " + cost.event_id.str() + " of " + cost.node_id.str();
}
std::string record_words(const NodeStatus& status) {
  return "status " + status.status + " of " + status.node_id.str();
}
std::string record_words(const NodeUse& use) {
  return "use " + use.event_id.str() + " of " + use.node_id.str();
}
std::string record_words(const BusinessValue& value) {
  return "value " + value.value_id.str() + " of " + value.node_id.str();
}
std::string record_words(const NodeId& unpriced) { return "unpriced " + unpriced.str(); }

void check(const NodeId& unpriced) { (void)parse_node_id(unpriced.str()); }
template <class Record>
void check(const Record& record) {
  require_valid(record);
}

const EventId& event_of(const NodeUse& use) { return use.event_id; }
const EventId& event_of(const BusinessValue& value) { return value.value_id; }

// What the checks of a record say; empty: nothing.
template <class Check>
std::string fault_of(Check check) {
  try {
    check();
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

std::string conflict(std::string_view what) {
  return "known with other content (" + std::string(what) +
         "); a record never changes, give a new one an id of its own";
}

// Takes the records of one call in. `take` gives back why a valid record is refused; empty: it is
// not.
class Taker {
 public:
  explicit Taker(GenealogyParts& parts) : parts_(parts) {}

  std::vector<Refusal> take_all(const LineageRecords& records) {
    take_each(RecordKind::Node, records.nodes);
    const std::size_t known_count = parts_.sentences.size();
    take_each(RecordKind::Edge, records.edges);
    extend();
    const bool has_new_needs = parts_.sentences.size() > known_count || has_changed_sentence_;
    if (has_new_needs) {
      rebuild(records, known_count);
    }
    take_each(RecordKind::Cost, records.costs);
    take_each(RecordKind::Status, records.statuses);
    take_each(RecordKind::Use, records.uses);
    take_each(RecordKind::Value, records.values);
    take_each(RecordKind::Unpriced, records.unpriced);
    if (has_new_needs || !records.statuses.empty() || !records.unpriced.empty()) {
      parts_.find_outcomes();
    }
    return std::move(refusals_);
  }

 private:
  template <class Record>
  void take_each(RecordKind kind, const std::vector<Record>& records) {
    for (std::size_t i = 0; i < records.size(); ++i) {
      std::string fault = fault_of([&] { check(records[i]); });
      if (!fault.empty()) {
        refusals_.push_back({kind, i, printable(record_words(records[i])), std::move(fault)});
        continue;
      }
      std::string reason = take(records[i], i);
      if (!reason.empty()) {
        refusals_.push_back({kind, i, record_words(records[i]), std::move(reason)});
      }
    }
  }

  NodeIndex intern(const NodeId& node_id) {
    const NodeIndex node = parts_.names.intern(node_id);
    if (node == parts_.facts.size()) {
      parts_.facts.emplace_back();
    }
    return node;
  }

  // Gives the graph what nodes the names have more.
  void extend() {
    const std::size_t node_count = parts_.names.size();
    if (parts_.graph.node_count() < node_count) {
      parts_.graph.add_nodes(node_count - parts_.graph.node_count());
      parts_.nesting.extend(node_count);
    }
  }
  NodeIndex intern_in_graph(const NodeId& node_id) {
    const NodeIndex node = intern(node_id);
    extend();
    return node;
  }

  std::string take(const LineageNode& node, std::size_t /*position*/) {
    const std::string attributes = canonical_attributes(node.attributes);
    const NodeIndex index = intern(node.node_id);
    NodeFacts& facts = parts_.facts[index];
    if (facts.is_known) {
      return difference(facts, node, attributes);
    }
    facts.is_known = true;
    facts.label = parts_.texts.number(node.label);
    facts.user_name = parts_.texts.number(node.user_name);
    facts.cluster = parts_.texts.number(node.cluster);
    facts.attributes = parts_.texts.number(attributes);
    facts.created_at = node.created_at;
    return {};
  }

  [[nodiscard]] std::string difference(const NodeFacts& known, const LineageNode& given,
                                       const std::string& attributes) const {
    const auto differing = [&](const char* field, std::uint32_t known_text,
                               const std::string& given_text) -> std::string {
      const std::string& text = parts_.texts.text(known_text);
      return text == given_text ? ""
                                : conflict(std::string(field) + ": known " + brief(text) +
                                           ", given " + brief(given_text));
    };
    std::string reason = differing("label", known.label, given.label);
    if (reason.empty()) {
      reason = differing("user_name", known.user_name, given.user_name);
    }
    if (reason.empty()) {
      reason = differing("cluster", known.cluster, given.cluster);
    }
    if (reason.empty()) {
      reason = differing("attributes", known.attributes, attributes);
    }
    if (reason.empty() && known.created_at != given.created_at) {
      reason = conflict("created_at: known " + shown_time(known.created_at) + ", given " +
                        shown_time(given.created_at));
    }
    return reason;
  }

  std::string take(const LineageEdge& edge, std::size_t position) {
    std::string fault = fault_of([&] { require_sensible(edge); });
    if (!fault.empty()) {
      return fault;
    }
    const Sentence sentence{.subject = intern(edge.subject),
                            .object = intern(edge.object),
                            .kind = edge.kind,
                            .step = edge.step.value_or(kNoStep),
                            .recorded_at = edge.recorded_at};
    const auto [known, is_new] = parts_.sentence_positions.try_emplace(
        SentenceKey{sentence.subject, sentence.object, sentence.kind}, parts_.sentences.size());
    if (is_new) {
      parts_.sentences.push_back(sentence);
      edge_positions_.push_back(position);
      return {};
    }
    return take_again(parts_.sentences[known->second], sentence);
  }

  // What the known sentence leaves open is filled in; of two times the earlier one counts.
  std::string take_again(Sentence& known, const Sentence& given) {
    const Sentence before = known;
    if (known.step != kNoStep && given.step != kNoStep && known.step != given.step) {
      return conflict("step: known " + std::to_string(known.step) + ", given " +
                      std::to_string(given.step));
    }
    known.step = std::max(known.step, given.step);
    if (known.recorded_at == UtcTime{} || given.recorded_at == UtcTime{}) {
      known.recorded_at = std::max(known.recorded_at, given.recorded_at);
    } else {
      known.recorded_at = std::min(known.recorded_at, given.recorded_at);
    }
    has_changed_sentence_ = has_changed_sentence_ || before.step != known.step ||
                            before.recorded_at != known.recorded_at;
    return {};
  }

  // The graph anew from all sentences: a new one can change which wholes the takers of old ones
  // paid for.
  void rebuild(const LineageRecords& records, std::size_t known_count) {
    Needs needs = build_needs(parts_.names, parts_.sentences);
    for (NodeIndex node = 0; node < parts_.names.size(); ++node) {
      needs.graph.add_cost(node, parts_.graph.cost_picos(node));
    }
    parts_.graph = std::move(needs.graph);
    parts_.links = std::move(needs.links);
    parts_.nesting = std::move(needs.nesting);
    drop_refused(records, known_count, needs.refused);
    note_makings();
  }

  void note_makings() {
    for (const Sentence& sentence : parts_.sentences) {
      const bool is_making =
          sentence.kind == EdgeKind::Produced || sentence.kind == EdgeKind::DeployedAs;
      UtcTime& made_at = parts_.facts[sentence.object].made_at;
      if (is_making && sentence.recorded_at != UtcTime{} &&
          (made_at == UtcTime{} || sentence.recorded_at < made_at)) {
        made_at = sentence.recorded_at;
      }
    }
  }

  void drop_refused(const LineageRecords& records, std::size_t known_count,
                    const std::vector<RefusedSentence>& refused) {
    std::size_t next_refused = 0;
    std::size_t kept_count = known_count;
    std::vector<Sentence>& sentences = parts_.sentences;
    for (std::size_t i = known_count; i < sentences.size(); ++i) {
      const Sentence sentence = sentences[i];
      const SentenceKey key{sentence.subject, sentence.object, sentence.kind};
      if (next_refused == refused.size() || refused[next_refused].position != i) {
        parts_.sentence_positions.at(key) = kept_count;
        sentences[kept_count++] = sentence;
        continue;
      }
      const std::size_t position = edge_positions_[i - known_count];
      refusals_.push_back({RecordKind::Edge, position, record_words(records.edges[position]),
                           refused[next_refused++].reason});
      parts_.sentence_positions.erase(key);
    }
    FINOPS_ASSERT(next_refused == refused.size());  // what counted before goes on counting
    sentences.resize(kept_count);
  }

  std::string take(const LineageCost& cost, std::size_t /*position*/) {
    const auto known = parts_.costs.find(cost.event_id.str());
    if (known != parts_.costs.end()) {
      return is_same(known->second, cost) ? ""
                                          : conflict(known->second.billed_cost.str() + " of " +
                                                     parts_.names.id(known->second.node).str());
    }
    const NodeIndex node = intern_in_graph(cost.node_id);
    std::string fault = fault_of([&] { add_amount(node, cost.billed_cost); });
    if (fault.empty()) {
      parts_.costs.emplace(cost.event_id.str(),
                           KnownCost{node, cost.charge_category, cost.is_correction,
                                     cost.billed_cost, cost.charge_period_start,
                                     cost.charge_period_end});
    }
    return fault;
  }

  [[nodiscard]] bool is_same(const KnownCost& known, const LineageCost& given) const {
    return parts_.names.id(known.node) == given.node_id &&
           known.charge_category == given.charge_category &&
           known.is_correction == given.is_correction && known.billed_cost == given.billed_cost &&
           known.charge_period_start == given.charge_period_start &&
           known.charge_period_end == given.charge_period_end;
  }

  // Throws Error(Overflow), and then nothing was added.
  void add_amount(NodeIndex node, Money amount) {
    if (amount.currency() == parts_.currency) {
      parts_.graph.add_cost(node, amount.picos());
      return;
    }
    const auto sum =
        parts_.other_costs[node].try_emplace(amount.currency(), Money::zero(amount.currency()));
    sum.first->second += amount;
  }

  std::string take(const NodeStatus& status, std::size_t /*position*/) {
    const NodeIndex node = intern_in_graph(status.node_id);
    NodeFacts& facts = parts_.facts[node];
    if (facts.status == 0 || facts.status_recorded_at <= status.recorded_at) {
      facts.status = parts_.texts.number(status.status);
      facts.status_recorded_at = status.recorded_at;
    }
    return {};
  }

  std::string take(const NodeUse& use, std::size_t /*position*/) {
    return take_by_id(use, parts_.uses);
  }
  std::string take(const BusinessValue& value, std::size_t /*position*/) {
    return take_by_id(value, parts_.values);
  }
  template <class Record>
  std::string take_by_id(const Record& record, RecordsById<Record>& known) {
    const auto [position, is_new] =
        known.positions.try_emplace(event_of(record).str(), known.records.size());
    if (!is_new) {
      const Record& first = known.records[position->second];
      return first == record ? "" : conflict(record_words(first));
    }
    intern_in_graph(record.node_id);
    known.records.push_back(record);
    return {};
  }

  std::string take(const NodeId& unpriced, std::size_t /*position*/) {
    const NodeIndex node = intern_in_graph(unpriced);
    parts_.facts[node].is_unpriced = true;
    return {};
  }

  GenealogyParts& parts_;
  std::vector<Refusal> refusals_;
  bool has_changed_sentence_ = false;
  std::vector<std::size_t> edge_positions_;  // of the new sentences, in records.edges
};

}  // namespace

std::vector<Refusal> Genealogy::add(const LineageRecords& records) {
  return Taker(*parts_).take_all(records);
}

}  // namespace finops::genealogy
