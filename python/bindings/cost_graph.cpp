// cost_graph.cpp - the dense graph of the genealogy, for benchmarks and for who needs millions.
//
// Owns: arrays in, integers out, one lock. Does not own: names, kinds and money (the genealogy).
#include <mutex>
#include <vector>

#include "convert.hpp"
#include "finops/base/error.hpp"
#include "finops/genealogy/cost_graph.hpp"
#include "release.hpp"

namespace finops::bindings {
namespace {

using genealogy::CostGraph;
using genealogy::Direction;
using genealogy::NodeIndex;

/// A graph whose calls let go of the interpreter's lock, and so need one of their own.
struct LockedGraph {
  CostGraph graph;
  CostGraph::Workspace workspace;
  std::mutex mutex;
};

/// Lets go of the interpreter and takes the graph; in the other order two threads could wait for
/// each other.
class Alone {
 public:
  explicit Alone(LockedGraph& locked) : lock_(locked.mutex) {}

 private:
  ReleaseGil release_;
  std::scoped_lock<std::mutex> lock_;
};

Direction direction_of(bool downstream) {
  return downstream ? Direction::Downstream : Direction::Upstream;
}

py::int_ to_int(Int128 picos) {
  const py::int_ high(static_cast<std::int64_t>(picos >> 64));
  const py::int_ low(static_cast<std::uint64_t>(picos));
  return py::reinterpret_borrow<py::int_>((high << py::int_(64)) | low);
}

/// The numbers in a one-dimensional array of `Number`.
template <typename Number>
std::span<const Number> numbers_of(const py::buffer_info& info, const char* name) {
  FINOPS_REQUIRE(info.ndim == 1 && info.item_type_is_equivalent_to<Number>() &&
                     (info.size == 0 || info.strides[0] == sizeof(Number)),
                 ErrorCode::InvalidArgument,
                 std::string(name) + " must be a one-dimensional contiguous array of " +
                     (sizeof(Number) == 4 ? "uint32" : "int64") + ", as array.array or NumPy make");
  return {static_cast<const Number*>(info.ptr), static_cast<std::size_t>(info.size)};
}

py::list add_needs(LockedGraph& self, const py::buffer& needers, const py::buffer& needed) {
  const py::buffer_info needers_info = needers.request();
  const py::buffer_info needed_info = needed.request();
  const auto from = numbers_of<std::uint32_t>(needers_info, "needers");
  const auto to = numbers_of<std::uint32_t>(needed_info, "needed");
  FINOPS_REQUIRE(from.size() == to.size(), ErrorCode::InvalidArgument,
                 std::to_string(from.size()) + " needers and " + std::to_string(to.size()) +
                     " needed: give one of each for an edge");
  std::vector<genealogy::RefusedNeed> refused;
  {
    const Alone alone(self);
    std::vector<genealogy::Need> needs(from.size());
    for (std::size_t i = 0; i < from.size(); ++i) {
      needs[i] = {from[i], to[i]};
    }
    refused = self.graph.add_needs(needs);
  }
  py::list answer;
  for (const genealogy::RefusedNeed& need : refused) {
    answer.append(py::make_tuple(need.position, need.path));
  }
  return answer;
}

void add_costs(LockedGraph& self, const py::buffer& costs_picos) {
  const py::buffer_info info = costs_picos.request();
  const auto picos = numbers_of<std::int64_t>(info, "costs_picos");
  const Alone alone(self);
  FINOPS_REQUIRE(picos.size() == self.graph.node_count(), ErrorCode::InvalidArgument,
                 std::to_string(picos.size()) + " costs for " +
                     std::to_string(self.graph.node_count()) + " nodes: give one for each");
  for (std::size_t node = 0; node < picos.size(); ++node) {
    self.graph.add_cost(static_cast<NodeIndex>(node), picos[node]);
  }
}

py::tuple closure_sum(LockedGraph& self, NodeIndex node, bool downstream) {
  genealogy::ClosureSum sum;
  Int128 total_picos = 0;
  {
    const Alone alone(self);
    sum = self.graph.closure_sum(node, direction_of(downstream), self.workspace);
    total_picos = sum.total_picos();
  }
  return py::make_tuple(to_int(total_picos), sum.node_count());
}

std::vector<NodeIndex> closure(LockedGraph& self, NodeIndex node, bool downstream) {
  std::vector<NodeIndex> nodes;
  const Alone alone(self);
  self.graph.closure(node, direction_of(downstream), self.workspace, nodes);
  return nodes;
}

}  // namespace

void bind_cost_graph(py::module_& module) {
  py::class_<LockedGraph>(module, "CostGraph", py::is_final())
      .def(py::init<>())
      .def(
          "add_nodes",
          [](LockedGraph& self, std::size_t count) {
            const Alone alone(self);
            return self.graph.add_nodes(count);
          },
          py::arg("count"))
      .def("add_needs", &add_needs, py::arg("needers"), py::arg("needed"))
      .def("add_costs", &add_costs, py::arg("costs_picos"))
      .def("closure_sum", &closure_sum, py::arg("node"), py::kw_only(),
           py::arg("downstream") = false)
      .def("closure", &closure, py::arg("node"), py::kw_only(), py::arg("downstream") = false)
      .def_property_readonly("node_count",
                             [](LockedGraph& self) {
                               const Alone alone(self);
                               return self.graph.node_count();
                             })
      .def_property_readonly("edge_count", [](LockedGraph& self) {
        const Alone alone(self);
        return self.graph.edge_count();
      });
}

}  // namespace finops::bindings
