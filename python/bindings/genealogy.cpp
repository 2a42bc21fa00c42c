// genealogy.cpp - binds the named graph, its questions, credit and value. Node ids are plain text.
//
// Each call lets go of the interpreter's lock and takes the graph's own: two threads may ask one
// graph, and one may add to it.
#include "finops/genealogy/genealogy.hpp"

#include <array>
#include <mutex>
#include <string_view>

#include "convert.hpp"
#include "finops/genealogy/credit.hpp"
#include "finops/genealogy/value.hpp"
#include "ledger_handle.hpp"
#include "release.hpp"

namespace finops::bindings {
namespace {

using genealogy::Allocation;
using genealogy::ClaimantShare;
using genealogy::Contributor;
using genealogy::CostSum;
using genealogy::Difference;
using genealogy::Direction;
using genealogy::Genealogy;
using genealogy::Group;
using genealogy::NodeValue;
using genealogy::NodeView;
using genealogy::Outcome;
using genealogy::Problem;
using genealogy::Refusal;
using genealogy::TreeLimits;
using genealogy::TreeNode;
using genealogy::ValueAmount;

#define FINOPS_FIELD(name, expression) \
  def_property_readonly(name, [](const Row& row) { return expression; })

struct GenealogyHandle {
  explicit GenealogyHandle(const std::string& currency) : graph(Currency(currency)) {}
  Genealogy graph;
  std::mutex mutex;
};

// Calls `ask` with the graph, alone with it.
template <class Ask>
auto with_graph(GenealogyHandle& self, const Ask& ask) {
  const ReleaseGil release;
  const std::lock_guard<std::mutex> lock(self.mutex);
  return ask(self.graph);
}

// The list of LineageRecords that a record is in.
std::string_view list_name(genealogy::RecordKind kind) {
  constexpr std::array<std::string_view, 7> kNames{"nodes", "edges",  "costs",   "statuses",
                                                   "uses",  "values", "unpriced"};
  return kNames.at(static_cast<std::size_t>(kind));
}

Direction direction_of(bool is_downstream) {
  return is_downstream ? Direction::Downstream : Direction::Upstream;
}

std::vector<std::string> texts_of(const std::vector<NodeId>& node_ids) {
  std::vector<std::string> texts;
  texts.reserve(node_ids.size());
  for (const NodeId& node_id : node_ids) {
    texts.push_back(node_id.str());
  }
  return texts;
}

void bind_sums(py::module_& module) {
  {
    using Row = CostSum;
    py::class_<Row> type(module, "CostSum", py::is_final());
    forbid_new(type);
    type.FINOPS_FIELD("total", row.total())
        .FINOPS_FIELD("good", row.of(Outcome::Good))
        .FINOPS_FIELD("failed", row.of(Outcome::Failed))
        .FINOPS_FIELD("preempted", row.of(Outcome::Preempted))
        .FINOPS_FIELD("running", row.of(Outcome::Running))
        .def_readonly("node_count", &Row::node_count)
        .def_readonly("unpriced_count", &Row::unpriced_count)
        .def_readonly("other_currency_count", &Row::other_currency_count);
  }
  {
    using Row = Group;
    py::class_<Row> type(module, "Group", py::is_final());
    forbid_new(type);
    type.def_readonly("name", &Row::name).def_readonly("cost", &Row::cost);
  }
  {
    using Row = Contributor;
    py::class_<Row> type(module, "Contributor", py::is_final());
    forbid_new(type);
    type.FINOPS_FIELD("node_id", row.node_id.str())
        .def_readonly("cost", &Row::cost)
        .FINOPS_FIELD("path", texts_of(row.path))
        .def_readonly("hidden_path_count", &Row::hidden_path_count);
  }
  {
    using Row = Difference;
    py::class_<Row> type(module, "Difference", py::is_final());
    forbid_new(type);
    type.def_readonly("only_first", &Row::only_first)
        .def_readonly("only_second", &Row::only_second)
        .def_readonly("both", &Row::both)
        .def_readonly("first_contributors", &Row::first_contributors)
        .def_readonly("second_contributors", &Row::second_contributors);
  }
}

void bind_nodes(py::module_& module) {
  {
    using Row = NodeView;
    py::class_<Row> type(module, "NodeView", py::is_final());
    forbid_new(type);
    type.FINOPS_FIELD("node_id", row.node_id.str())
        .FINOPS_FIELD("kind", node_kind_name(row.kind))
        .def_readonly("label", &Row::label)
        .def_readonly("status", &Row::status)
        .FINOPS_FIELD("outcome", genealogy::outcome_name(row.outcome))
        .def_readonly("user_name", &Row::user_name)
        .def_readonly("cluster", &Row::cluster)
        .FINOPS_FIELD("created_at", to_datetime(row.created_at))
        .def_readonly("is_pending", &Row::is_pending)
        .def_readonly("is_unpriced", &Row::is_unpriced)
        .def_readonly("has_other_currency", &Row::has_other_currency)
        .def_readonly("own_cost", &Row::own_cost);
  }
  {
    using Row = TreeNode;
    py::class_<Row> type(module, "TreeNode", py::is_final());
    forbid_new(type);
    type.def_readonly("view", &Row::view)
        .def_readonly("depth", &Row::depth)
        .def_readonly("parent", &Row::parent)
        .def_readonly("relation", &Row::relation)
        .def_readonly("step", &Row::step)
        .def_readonly("is_repetition", &Row::is_repetition)
        .def_readonly("hidden_child_count", &Row::hidden_child_count)
        .def_readonly("subtree_cost", &Row::subtree_cost);
  }
  {
    using Row = Problem;
    py::class_<Row> type(module, "Problem", py::is_final());
    forbid_new(type);
    type.FINOPS_FIELD("node_id", row.node_id.str()).def_readonly("text", &Row::text);
  }
  {
    using Row = Refusal;
    py::class_<Row> type(module, "Refusal", py::is_final());
    forbid_new(type);
    type.FINOPS_FIELD("record_kind", list_name(row.record_kind))
        .def_readonly("position", &Row::position)
        .def_readonly("record", &Row::record)
        .def_readonly("reason", &Row::reason);
  }
}

void bind_credit(py::module_& module) {
  {
    using Row = ClaimantShare;
    py::class_<Row> type(module, "ClaimantShare", py::is_final());
    forbid_new(type);
    type.FINOPS_FIELD("node_id", row.node_id.str())
        .def_readonly("equal", &Row::equal)
        .def_readonly("usage", &Row::usage)
        .def_readonly("last_pays", &Row::last_pays)
        .FINOPS_FIELD("lowest", row.lowest())
        .FINOPS_FIELD("highest", row.highest())
        .def_readonly("exclusive", &Row::exclusive)
        .def_readonly("full_cost", &Row::full_cost)
        .def_readonly("is_usage_known", &Row::is_usage_known);
  }
  {
    using Row = Allocation;
    py::class_<Row> type(module, "Allocation", py::is_final());
    forbid_new(type);
    type.def_readonly("claimants", &Row::claimants)
        .def_readonly("no_outcome", &Row::no_outcome)
        .def_readonly("total", &Row::total);
  }
  {
    using Row = ValueAmount;
    py::class_<Row> type(module, "ValueAmount", py::is_final());
    forbid_new(type);
    type.def_readonly("per_month", &Row::per_month).def_readonly("to_date", &Row::to_date);
  }
  {
    using Row = NodeValue;
    py::class_<Row> type(module, "NodeValue", py::is_final());
    forbid_new(type);
    type.FINOPS_FIELD("node_id", row.node_id.str())
        .def_readonly("full_cost", &Row::full_cost)
        .def_readonly("led_to", &Row::led_to)
        .FINOPS_FIELD("credit_lowest", row.credit.lowest)
        .FINOPS_FIELD("credit_highest", row.credit.highest)
        .FINOPS_FIELD("results", texts_of(row.results));
  }
}

// A question about one node: a method that takes its id.
template <auto Method>
auto ask_about(GenealogyHandle& self, const std::string& node_id) {
  return with_graph(self, [&](const Genealogy& graph) { return (graph.*Method)(NodeId{node_id}); });
}

void bind_questions(py::class_<GenealogyHandle>& type) {
  type.def("node", ask_about<&Genealogy::node>, py::arg("node_id"))
      .def("own_cost", ask_about<&Genealogy::own_cost>, py::arg("node_id"))
      .def("full_cost", ask_about<&Genealogy::full_cost>, py::arg("node_id"))
      .def("cost_from", ask_about<&Genealogy::cost_from>, py::arg("node_id"))
      .def(
          "contributors",
          [](GenealogyHandle& self, const std::string& node_id, bool is_downstream) {
            return with_graph(self, [&](const Genealogy& graph) {
              return graph.contributors(NodeId{node_id}, direction_of(is_downstream));
            });
          },
          py::arg("node_id"), py::kw_only(), py::arg("downstream") = false)
      .def(
          "difference",
          [](GenealogyHandle& self, const std::string& first, const std::string& second) {
            return with_graph(self, [&](const Genealogy& graph) {
              return graph.difference(NodeId{first}, NodeId{second});
            });
          },
          py::arg("first"), py::arg("second"))
      .def(
          "grouped",
          [](GenealogyHandle& self, const std::string& node_id, const std::string& by) {
            return with_graph(self, [&](const Genealogy& graph) {
              return graph.grouped(NodeId{node_id}, genealogy::parse_group_by(by));
            });
          },
          py::arg("node_id"), py::arg("by"))
      .def(
          "tree",
          [](GenealogyHandle& self, const std::string& node_id, bool is_downstream,
             const std::optional<std::int64_t>& longest_depth,
             const std::optional<std::int64_t>& most_nodes) {
            TreeLimits limits;
            limits.longest_depth = longest_depth.value_or(limits.longest_depth);
            limits.most_nodes = most_nodes.value_or(limits.most_nodes);
            return with_graph(self, [&](const Genealogy& graph) {
              return graph.tree(NodeId{node_id}, direction_of(is_downstream), limits);
            });
          },
          py::arg("node_id"), py::kw_only(), py::arg("downstream") = false,
          py::arg("longest_depth") = py::none(), py::arg("most_nodes") = py::none());
}

void bind_graph(py::module_& module) {
  py::class_<GenealogyHandle> type(module, "Genealogy", py::is_final());
  type.def(py::init<const std::string&>(), py::arg("currency"))
      .def(
          "add",
          [](GenealogyHandle& self, const LineageRecords& records) {
            return with_graph(self, [&](Genealogy& graph) { return graph.add(records); });
          },
          py::arg("records"))
      .def_property_readonly("currency",
                             [](const GenealogyHandle& self) {
                               return self.graph.currency().str();
                             })
      .def_property_readonly("node_count",
                             [](GenealogyHandle& self) {
                               return with_graph(self, [](const Genealogy& graph) {
                                 return graph.node_count();
                               });
                             })
      .def_property_readonly("edge_count",
                             [](GenealogyHandle& self) {
                               return with_graph(self, [](const Genealogy& graph) {
                                 return graph.edge_count();
                               });
                             })
      .def("node_ids",
           [](GenealogyHandle& self) {
             return texts_of(with_graph(self,
                                        [](const Genealogy& graph) { return graph.node_ids(); }));
           })
      .def("contains", ask_about<&Genealogy::contains>, py::arg("node_id"))
      .def("__contains__", ask_about<&Genealogy::contains>, py::arg("node_id"))
      .def("pending",
           [](GenealogyHandle& self) {
             return texts_of(with_graph(self,
                                        [](const Genealogy& graph) { return graph.pending(); }));
           })
      .def("problems",
           [](GenealogyHandle& self) {
             return with_graph(self, [](const Genealogy& graph) { return graph.problems(); });
           })
      .def("total_cost", [](GenealogyHandle& self) {
        return with_graph(self, [](const Genealogy& graph) { return graph.total_cost(); });
      });
  bind_questions(type);
}

std::vector<NodeId> node_ids_of(const std::vector<std::string>& texts) {
  std::vector<NodeId> node_ids;
  node_ids.reserve(texts.size());
  for (const std::string& text : texts) {
    node_ids.emplace_back(text);
  }
  return node_ids;
}

// None: now.
UtcTime time_or_now(const py::object& time) {
  return time.is_none() ? utc_now() : from_datetime(time);
}

void bind_reports(py::module_& module) {
  module.def(
      "allocate",
      [](GenealogyHandle& handle, const std::vector<std::string>& claimants) {
        return with_graph(handle, [&](const Genealogy& graph) {
          return genealogy::allocate(graph, node_ids_of(claimants));
        });
      },
      py::arg("genealogy"), py::arg("claimants") = std::vector<std::string>{});
  module.def(
      "value_of",
      [](GenealogyHandle& handle, const std::string& node_id, const py::object& as_of) {
        const UtcTime time = time_or_now(as_of);
        return with_graph(handle, [&](const Genealogy& graph) {
          return genealogy::value_of(graph, NodeId{node_id}, time);
        });
      },
      py::arg("genealogy"), py::arg("node_id"), py::arg("as_of") = py::none());
  module.def(
      "value_report",
      [](GenealogyHandle& handle, const py::object& as_of) {
        const UtcTime time = time_or_now(as_of);
        return with_graph(handle, [&](const Genealogy& graph) {
          return genealogy::value_report(graph, time);
        });
      },
      py::arg("genealogy"), py::arg("as_of") = py::none());
  module.def(
      "value_amount",
      [](const BusinessValue& value, const py::object& as_of) {
        return genealogy::value_amount(value, time_or_now(as_of));
      },
      py::arg("value"), py::arg("as_of") = py::none());
}

}  // namespace

void bind_genealogy(py::module_& module) {
  bind_sums(module);
  bind_nodes(module);
  bind_credit(module);
  bind_graph(module);
  bind_reports(module);
}

}  // namespace finops::bindings
