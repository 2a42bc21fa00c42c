// lineage_lines.cpp - reads the JSON line of a record; lineage_lines_write.cpp writes it.
#include "finops/record/lineage_lines.hpp"

#include <algorithm>
#include <array>
#include <initializer_list>
#include <limits>

#include "finops/base/error.hpp"
#include "record/strict_json.hpp"
#include "record/utf8.hpp"

namespace finops {
namespace {

using Json = nlohmann::json;

constexpr std::array<const char*, 6> kFirstFields{"node", "edge", "cost", "status", "use", "value"};
constexpr std::size_t kFractionDigits = 9;
constexpr std::size_t kLongestNumber = 64;  // bytes of an amount of money or a time

[[noreturn]] void refuse(const std::string& field, const std::string& what) {
  detail::throw_error(ErrorCode::InvalidArgument, "the field '" + field + "' " + what);
}

// The nanoseconds of ".25"; -1 if it is none.
std::int64_t fraction_nanoseconds(std::string_view fraction) {
  const std::string_view digits = fraction.substr(1);
  if (digits.empty() || digits.size() > kFractionDigits ||
      digits.find_first_not_of("0123456789") != std::string_view::npos) {
    return -1;
  }
  return std::stoll(std::string(digits) + std::string(kFractionDigits - digits.size(), '0'));
}

UtcTime parse_time(const std::string& text) {
  require_text("a time", text, kLongestNumber);
  const std::size_t point = text.find('.');
  if (point == std::string::npos) {
    return parse_utc(text);
  }
  const bool ends_well = text.back() == 'Z';
  const std::int64_t rest =
      ends_well
          ? fraction_nanoseconds(std::string_view(text).substr(point, text.size() - 1 - point))
          : -1;
  FINOPS_REQUIRE(rest >= 0, ErrorCode::InvalidArgument,
                 "not a UTC time: '" + shown(text) +
                     "'; write 2026-11-24T05:44:26.123Z, with at most 9 decimals");
  const UtcTime second = parse_utc(text.substr(0, point) + "Z");
  FINOPS_REQUIRE(second <= UtcTime::max() - Nanoseconds{rest}, ErrorCode::InvalidArgument,
                 "the time '" + shown(text) + "' is after 2262");
  return second + Nanoseconds{rest};
}

// The fields of one line, each of which must be asked for once.
class Fields {
 public:
  explicit Fields(const Json& object) : object_(object) {}

  [[nodiscard]] std::string required_text(const char* field) {
    const Json* value = find(field);
    FINOPS_REQUIRE(value != nullptr, ErrorCode::InvalidArgument,
                   "the field '" + std::string(field) + "' is missing");
    return text_of(field, *value);
  }
  [[nodiscard]] std::string text(const char* field) {
    const Json* value = find(field);
    return value == nullptr ? std::string() : text_of(field, *value);
  }
  [[nodiscard]] std::optional<std::int64_t> integer(const char* field) {
    const Json* value = find(field);
    if (value == nullptr) {
      return std::nullopt;
    }
    const bool fits = value->is_number_integer() &&
                      (!value->is_number_unsigned() ||
                       value->get<std::uint64_t>() <=
                           static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()));
    if (!fits) {
      refuse(field, "must be a whole number below 2^63, not " + shown(value->dump()));
    }
    return value->get<std::int64_t>();
  }
  [[nodiscard]] bool boolean(const char* field) {
    const Json* value = find(field);
    if (value != nullptr && !value->is_boolean()) {
      refuse(field, "must be true or false, not " + shown(value->dump()));
    }
    return value != nullptr && value->get<bool>();
  }
  [[nodiscard]] UtcTime time(const char* field) {
    const Json* value = find(field);
    return value == nullptr ? UtcTime{}
                            : about(field, [&] { return parse_time(text_of(field, *value)); });
  }
  [[nodiscard]] Money money(const char* field) {
    return about(field, [&] {
      const std::string text = required_text(field);
      require_text("an amount", text, kLongestNumber);
      return Money::parse(text);
    });
  }
  [[nodiscard]] NodeId node_id(const char* field) {
    return about(field, [&] { return parse_node_id(required_text(field)); });
  }
  [[nodiscard]] std::string attributes(const char* field) {
    const Json* value = find(field);
    if (value != nullptr && !value->is_object()) {
      refuse(field, "must be an object, not " + shown(value->dump()));
    }
    return value == nullptr ? "{}" : value->dump();
  }
  /// A name of an enum; `otherwise` if the field is not there.
  template <class Parse>
  [[nodiscard]] auto choice(const char* field, Parse parse, std::string_view otherwise) {
    const Json* value = find(field);
    return about(field, [&] {
      return parse(value == nullptr ? std::string(otherwise) : text_of(field, *value));
    });
  }

  /// What was not asked for is not known.
  void require_no_more() const {
    for (const auto& [key, value] : object_.items()) {
      if (std::ranges::find(taken_, key) == taken_.end()) {
        std::string known;
        for (const std::string& field : taken_) {
          known += (known.empty() ? "" : ", ") + field;
        }
        refuse(shown(key), "is not known here; known are " + known);
      }
    }
  }

 private:
  const Json* find(const char* field) {
    taken_.emplace_back(field);
    const auto found = object_.find(field);
    return found == object_.end() ? nullptr : &*found;
  }
  static std::string text_of(const char* field, const Json& value) {
    if (!value.is_string()) {
      refuse(field, "must be text, not " + shown(value.dump()));
    }
    return value.get<std::string>();
  }
  // Runs `read`, and puts the field's name before what it says is wrong.
  template <class Read>
  static auto about(const char* field, Read read) -> decltype(read()) {
    try {
      return read();
    } catch (const Error& error) {
      const std::string message = error.what();
      if (message.starts_with("the field")) {
        throw;
      }
      throw Error(error.code(), "the field '" + std::string(field) + "': " + message);
    }
  }

  const Json& object_;
  std::vector<std::string> taken_;
};

LineageNode read_node(Fields& fields) {
  LineageNode node;
  node.node_id = fields.node_id("node");
  node.label = fields.text("label");
  node.user_name = fields.text("user_name");
  node.cluster = fields.text("cluster");
  node.attributes = fields.attributes("attributes");
  node.created_at = fields.time("created_at");
  return node;
}

LineageEdge read_edge(Fields& fields) {
  LineageEdge edge;
  edge.kind = fields.choice("edge", parse_edge_kind, "");
  edge.subject = fields.node_id("subject");
  edge.object = fields.node_id("object");
  edge.step = fields.integer("step");
  edge.recorded_at = fields.time("recorded_at");
  return edge;
}

LineageCost read_cost(Fields& fields) {
  LineageCost cost;
  cost.billed_cost = fields.money("cost");
  cost.node_id = fields.node_id("node_id");
  cost.event_id = EventId{fields.required_text("event_id")};
  cost.charge_category = fields.choice("charge_category", parse_charge_category, "Usage");
  cost.is_correction = fields.boolean("is_correction");
  cost.charge_period_start = fields.time("charge_period_start");
  cost.charge_period_end = fields.time("charge_period_end");
  return cost;
}

NodeStatus read_status(Fields& fields) {
  NodeStatus status;
  status.status = fields.required_text("status");
  status.node_id = fields.node_id("node_id");
  status.who = fields.text("who");
  status.why = fields.text("why");
  status.recorded_at = fields.time("recorded_at");
  return status;
}

NodeUse read_use(Fields& fields) {
  NodeUse use;
  use.quantity = fields.integer("use").value_or(0);
  use.node_id = fields.node_id("node_id");
  use.event_id = EventId{fields.required_text("event_id")};
  use.unit = fields.text("unit");
  use.recorded_at = fields.time("recorded_at");
  return use;
}

BusinessValue read_value(Fields& fields) {
  BusinessValue value;
  value.amount = fields.money("value");
  value.period = fields.choice("per", parse_value_period, "once");
  value.node_id = fields.node_id("node_id");
  value.value_id = EventId{fields.required_text("event_id")};
  value.valid_from = fields.time("valid_from");
  value.valid_to = fields.time("valid_to");
  value.source = fields.required_text("source");
  value.who = fields.text("who");
  value.recorded_at = fields.time("recorded_at");
  return value;
}

// Which record the line is: exactly one of the first fields is there.
std::string_view first_field(const Json& object) {
  std::string_view first;
  for (const char* field : kFirstFields) {
    if (object.contains(field)) {
      FINOPS_REQUIRE(first.empty(), ErrorCode::InvalidArgument,
                     "a line is one record: it has both '" + std::string(first) + "' and '" +
                         field + "'");
      first = field;
    }
  }
  FINOPS_REQUIRE(!first.empty(), ErrorCode::InvalidArgument,
                 "not a record: it needs one of the fields node, edge, cost, status, use, value");
  return first;
}

LineageLine read_record(std::string_view first, Fields& fields) {
  if (first == "node") {
    return read_node(fields);
  }
  if (first == "edge") {
    return read_edge(fields);
  }
  if (first == "cost") {
    return read_cost(fields);
  }
  if (first == "status") {
    return read_status(fields);
  }
  return first == "use" ? LineageLine(read_use(fields)) : LineageLine(read_value(fields));
}

}  // namespace

LineageLine parse_lineage_line(std::string_view json_text) {
  FINOPS_REQUIRE(json_text.size() <= kLongestLineageLine, ErrorCode::InvalidArgument,
                 "the line has " + std::to_string(json_text.size()) + " bytes, at most " +
                     std::to_string(kLongestLineageLine) + " are read");
  const Json object = parse_strict(json_text);
  FINOPS_REQUIRE(object.is_object(), ErrorCode::InvalidArgument,
                 "a line must be a JSON object, not '" + shown(json_text) + "'");
  Fields fields(object);
  LineageLine record = read_record(first_field(object), fields);
  fields.require_no_more();
  std::visit([](const auto& known) { require_valid(known); }, record);
  return record;
}

}  // namespace finops
