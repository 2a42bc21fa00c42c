// lineage_records.cpp - binds the records of lineage, their lines, and the ledger's calls on them.
#include "finops/record/lineage_lines.hpp"
#include "ledger_handle.hpp"
#include "release.hpp"

namespace finops::bindings {
namespace {

// A read-only property of `Class` computed by `read`.
#define FINOPS_FIELD(name, expression) \
  def_property_readonly(name, [](const Row& row) { return expression; })

// A record that was made is one that can be kept: what is wrong with it is told where it is made.
template <class Record>
Record checked(Record record) {
  require_valid(record);
  return record;
}

void bind_node(py::module_& module) {
  using Row = LineageNode;
  py::class_<Row>(module, "LineageNode", py::is_final())
      .def(py::init([](const std::string& node_id, std::string label, std::string user_name,
                       std::string cluster, const std::string& attributes,
                       const py::object& created_at) {
             return checked(Row{parse_node_id(node_id), std::move(label), std::move(user_name),
                                std::move(cluster), canonical_attributes(attributes),
                                from_datetime(created_at)});
           }),
           py::kw_only(), py::arg("node_id"), py::arg("label") = "", py::arg("user_name") = "",
           py::arg("cluster") = "", py::arg("attributes") = "{}",
           py::arg("created_at") = py::none())
      .FINOPS_FIELD("node_id", row.node_id.str())
      .def_readonly("label", &Row::label)
      .def_readonly("user_name", &Row::user_name)
      .def_readonly("cluster", &Row::cluster)
      .def_readonly("attributes", &Row::attributes)
      .FINOPS_FIELD("created_at", to_datetime(row.created_at))
      .def("__eq__", [](const Row& self, const Row& other) { return self == other; });
}

void bind_edge(py::module_& module) {
  using Row = LineageEdge;
  py::class_<Row>(module, "LineageEdge", py::is_final())
      .def(py::init([](const std::string& subject, const std::string& kind,
                       const std::string& object, std::optional<std::int64_t> step,
                       const py::object& recorded_at) {
             Row edge = checked(Row{parse_node_id(subject), parse_edge_kind(kind),
                                    parse_node_id(object), step, from_datetime(recorded_at)});
             require_sensible(edge);
             return edge;
           }),
           py::kw_only(), py::arg("subject"), py::arg("kind"), py::arg("object"),
           py::arg("step") = py::none(), py::arg("recorded_at") = py::none())
      .FINOPS_FIELD("subject", row.subject.str())
      .FINOPS_FIELD("kind", edge_kind_name(row.kind))
      .FINOPS_FIELD("object", row.object.str())
      .def_readonly("step", &Row::step)
      .FINOPS_FIELD("recorded_at", to_datetime(row.recorded_at))
      .def("__str__", &sentence)
      .def("__eq__", [](const Row& self, const Row& other) { return self == other; });
}

void bind_cost(py::module_& module) {
  using Row = LineageCost;
  py::class_<Row>(module, "LineageCost", py::is_final())
      .def(py::init([](std::string event_id, const std::string& node_id, const Money& billed_cost,
                       const std::string& charge_category, bool is_correction,
                       const py::object& charge_period_start, const py::object& charge_period_end) {
             return checked(Row{EventId{std::move(event_id)}, parse_node_id(node_id),
                                parse_charge_category(charge_category), is_correction, billed_cost,
                                from_datetime(charge_period_start),
                                from_datetime(charge_period_end)});
           }),
           py::kw_only(), py::arg("event_id"), py::arg("node_id"), py::arg("billed_cost"),
           py::arg("charge_category") = "Usage", py::arg("is_correction") = false,
           py::arg("charge_period_start") = py::none(), py::arg("charge_period_end") = py::none())
      .FINOPS_FIELD("event_id", row.event_id.str())
      .FINOPS_FIELD("node_id", row.node_id.str())
      .def_readonly("billed_cost", &Row::billed_cost)
      .FINOPS_FIELD("charge_category", charge_category_name(row.charge_category))
      .def_readonly("is_correction", &Row::is_correction)
      .FINOPS_FIELD("is_growing", is_growing_cost(row.event_id))
      .FINOPS_FIELD("charge_period_start", to_datetime(row.charge_period_start))
      .FINOPS_FIELD("charge_period_end", to_datetime(row.charge_period_end))
      .def("__eq__", [](const Row& self, const Row& other) { return self == other; });
}

void bind_status(py::module_& module) {
  using Row = NodeStatus;
  py::class_<Row>(module, "NodeStatus", py::is_final())
      .def(py::init([](const std::string& node_id, std::string status, std::string who,
                       std::string why, const py::object& recorded_at) {
             return checked(Row{parse_node_id(node_id), std::move(status), std::move(who),
                                std::move(why), from_datetime(recorded_at)});
           }),
           py::kw_only(), py::arg("node_id"), py::arg("status"), py::arg("who") = "",
           py::arg("why") = "", py::arg("recorded_at") = py::none())
      .FINOPS_FIELD("node_id", row.node_id.str())
      .def_readonly("status", &Row::status)
      .def_readonly("who", &Row::who)
      .def_readonly("why", &Row::why)
      .FINOPS_FIELD("recorded_at", to_datetime(row.recorded_at))
      .def("__eq__", [](const Row& self, const Row& other) { return self == other; });
}

void bind_use(py::module_& module) {
  using Row = NodeUse;
  py::class_<Row>(module, "NodeUse", py::is_final())
      .def(py::init([](std::string event_id, const std::string& node_id, std::int64_t quantity,
                       std::string unit, const py::object& recorded_at) {
             return checked(Row{EventId{std::move(event_id)}, parse_node_id(node_id), quantity,
                                std::move(unit), from_datetime(recorded_at)});
           }),
           py::kw_only(), py::arg("event_id"), py::arg("node_id"), py::arg("quantity"),
           py::arg("unit") = "", py::arg("recorded_at") = py::none())
      .FINOPS_FIELD("event_id", row.event_id.str())
      .FINOPS_FIELD("node_id", row.node_id.str())
      .def_readonly("quantity", &Row::quantity)
      .def_readonly("unit", &Row::unit)
      .FINOPS_FIELD("recorded_at", to_datetime(row.recorded_at))
      .def("__eq__", [](const Row& self, const Row& other) { return self == other; });
}

void bind_value(py::module_& module) {
  using Row = BusinessValue;
  py::class_<Row>(module, "BusinessValue", py::is_final())
      .def(py::init([](std::string value_id, const std::string& node_id, const Money& amount,
                       std::string source, const std::string& per, const py::object& valid_from,
                       const py::object& valid_to, std::string who, const py::object& recorded_at) {
             return checked(Row{EventId{std::move(value_id)}, parse_node_id(node_id), amount,
                                parse_value_period(per), from_datetime(valid_from),
                                from_datetime(valid_to), std::move(source), std::move(who),
                                from_datetime(recorded_at)});
           }),
           py::kw_only(), py::arg("value_id"), py::arg("node_id"), py::arg("amount"),
           py::arg("source"), py::arg("per") = "once", py::arg("valid_from") = py::none(),
           py::arg("valid_to") = py::none(), py::arg("who") = "",
           py::arg("recorded_at") = py::none())
      .FINOPS_FIELD("value_id", row.value_id.str())
      .FINOPS_FIELD("node_id", row.node_id.str())
      .def_readonly("amount", &Row::amount)
      .FINOPS_FIELD("per", value_period_name(row.period))
      .FINOPS_FIELD("valid_from", to_datetime(row.valid_from))
      .FINOPS_FIELD("valid_to", to_datetime(row.valid_to))
      .def_readonly("source", &Row::source)
      .def_readonly("who", &Row::who)
      .FINOPS_FIELD("recorded_at", to_datetime(row.recorded_at))
      .def("__eq__", [](const Row& self, const Row& other) { return self == other; });
}

// Lists go out and come in as copies: assign a whole list, `records.edges.append` changes nothing.
void bind_lists(py::module_& module) {
  using Row = LineageRecords;
  py::class_<Row>(module, "LineageRecords", py::is_final())
      .def(py::init([](std::vector<LineageNode> nodes, std::vector<LineageEdge> edges,
                       std::vector<LineageCost> costs, std::vector<NodeStatus> statuses,
                       std::vector<NodeUse> uses, std::vector<BusinessValue> values) {
             return Row{std::move(nodes),
                        std::move(edges),
                        std::move(costs),
                        std::move(statuses),
                        std::move(uses),
                        std::move(values),
                        {}};
           }),
           py::kw_only(), py::arg("nodes") = py::tuple(), py::arg("edges") = py::tuple(),
           py::arg("costs") = py::tuple(), py::arg("statuses") = py::tuple(),
           py::arg("uses") = py::tuple(), py::arg("values") = py::tuple())
      .def_readonly("nodes", &Row::nodes)
      .def_readonly("edges", &Row::edges)
      .def_readonly("costs", &Row::costs)
      .def_readonly("statuses", &Row::statuses)
      .def_readonly("uses", &Row::uses)
      .def_readonly("values", &Row::values)
      .def_property_readonly("unpriced", [](const Row& row) {
        std::vector<std::string> ids;
        ids.reserve(row.unpriced.size());
        for (const NodeId& node_id : row.unpriced) {
          ids.push_back(node_id.str());
        }
        return ids;
      });
}

#undef FINOPS_FIELD

}  // namespace

void bind_lineage_records(py::module_& module) {
  bind_node(module);
  bind_edge(module);
  bind_cost(module);
  bind_status(module);
  bind_use(module);
  bind_value(module);
  bind_lists(module);
  module.def("parse_lineage_line", &parse_lineage_line, py::arg("json_text"));
  module.def("lineage_line", &lineage_line, py::arg("record"));
  module.def(
      "parse_node_id", [](const std::string& text) { return parse_node_id(text).str(); },
      py::arg("text"));
}

void bind_lineage_calls(py::class_<LedgerHandle>& type) {
  type.def(
          "add_lineage",
          [](const LedgerHandle& self, const LineageRecords& records) {
            self->add_lineage(records);
          },
          py::arg("records"), Release())
      .def(
          "lineage",
          [](const LedgerHandle& self, const py::object& as_of) {
            const UtcTime until = as_of.is_none() ? UtcTime::max() : from_datetime(as_of);
            const ReleaseGil release;
            return self->lineage(until);
          },
          py::arg("as_of") = py::none());
}

}  // namespace finops::bindings
