// lineage_lines_write.cpp - writes the JSON line of a record.
#include "finops/record/lineage_lines.hpp"
#include "record/strict_json.hpp"

namespace finops {
namespace {

using OrderedJson = nlohmann::ordered_json;

constexpr std::size_t kFractionDigits = 9;

// RFC 3339 with up to 9 decimals, in UTC: to what it writes, format_utc adds no fraction.
std::string time_text(UtcTime time) {
  const auto second = std::chrono::floor<std::chrono::seconds>(time);
  const std::int64_t rest = (time - second).count();
  // At the epoch's own second format_utc would write nothing; only a fraction can get here.
  std::string text = second == UtcTime{} ? "1970-01-01T00:00:00Z" : format_utc(second);
  if (rest != 0) {
    const std::string digits = std::to_string(rest);
    std::string fraction = std::string(kFractionDigits - digits.size(), '0') + digits;
    fraction.erase(fraction.find_last_not_of('0') + 1);
    text.insert(text.size() - 1, "." + fraction);
  }
  return text;
}

// Optional fields that say nothing are left out.
void put_text(OrderedJson& object, const char* field, const std::string& text) {
  if (!text.empty()) {
    object[field] = text;
  }
}

void put_time(OrderedJson& object, const char* field, UtcTime time) {
  if (time != UtcTime{}) {
    object[field] = time_text(time);
  }
}

OrderedJson line_of(const LineageNode& node) {
  OrderedJson object{{"node", node.node_id.str()}};
  put_text(object, "label", node.label);
  put_text(object, "user_name", node.user_name);
  put_text(object, "cluster", node.cluster);
  if (node.attributes != "{}") {
    object["attributes"] = OrderedJson::parse(node.attributes);
  }
  put_time(object, "created_at", node.created_at);
  return object;
}

OrderedJson line_of(const LineageEdge& edge) {
  OrderedJson object{{"edge", edge_kind_name(edge.kind)},
                     {"subject", edge.subject.str()},
                     {"object", edge.object.str()}};
  if (edge.step.has_value()) {
    object["step"] = *edge.step;
  }
  put_time(object, "recorded_at", edge.recorded_at);
  return object;
}

OrderedJson line_of(const LineageCost& cost) {
  OrderedJson object{{"cost", cost.billed_cost.str()},
                     {"node_id", cost.node_id.str()},
                     {"event_id", cost.event_id.str()},
                     {"charge_category", charge_category_name(cost.charge_category)}};
  if (cost.is_correction) {
    object["is_correction"] = true;
  }
  put_time(object, "charge_period_start", cost.charge_period_start);
  put_time(object, "charge_period_end", cost.charge_period_end);
  return object;
}

OrderedJson line_of(const NodeStatus& status) {
  OrderedJson object{{"status", status.status}, {"node_id", status.node_id.str()}};
  put_text(object, "who", status.who);
  put_text(object, "why", status.why);
  put_time(object, "recorded_at", status.recorded_at);
  return object;
}

OrderedJson line_of(const NodeUse& use) {
  OrderedJson object{
      {"use", use.quantity}, {"node_id", use.node_id.str()}, {"event_id", use.event_id.str()}};
  put_text(object, "unit", use.unit);
  put_time(object, "recorded_at", use.recorded_at);
  return object;
}

OrderedJson line_of(const BusinessValue& value) {
  OrderedJson object{{"value", value.amount.str()},
                     {"per", value_period_name(value.period)},
                     {"node_id", value.node_id.str()},
                     {"event_id", value.value_id.str()}};
  put_time(object, "valid_from", value.valid_from);
  put_time(object, "valid_to", value.valid_to);
  object["source"] = value.source;
  put_text(object, "who", value.who);
  put_time(object, "recorded_at", value.recorded_at);
  return object;
}

}  // namespace

std::string lineage_line(const LineageLine& record) {
  return std::visit(
      [](const auto& known) {
        require_valid(known);
        return line_of(known).dump();
      },
      record);
}

}  // namespace finops
