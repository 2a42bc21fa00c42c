// predict_scorer.cpp - binds Scorer: one row as a bare method descriptor, the rest by pybind11.
//
// Owns: shapes and types of arrays. Does not own: scoring.
#include <array>
#include <bit>

#include "convert.hpp"
#include "finops/base/error.hpp"
#include "finops/predict/scorer.hpp"
#include "release.hpp"

namespace finops::bindings {
namespace {

using predict::ForestModel;
using predict::InstructionSet;
using predict::kMaxFeatureCount;
using predict::kMaxOutputCount;
using predict::Scorer;

// --- one row -------------------------------------------------------------------------------------

// The C++ object behind a Python one, or null if it was never initialised; as in run.cpp, a bare
// descriptor spares the 170 ns of a pybind11 method.
const Scorer* scorer_of(PyObject* self) noexcept {
  auto* instance = reinterpret_cast<py::detail::instance*>(self);
  void* value = instance->simple_layout ? instance->simple_value_holder[0]
                                        : instance->nonsimple.values_and_holders[0];
  return static_cast<const Scorer*>(value);
}

struct Row {
  std::array<float, kMaxFeatureCount> values;
  std::size_t count = 0;
};

bool is_float32(const Py_buffer& view) noexcept {
  const char* format = view.format == nullptr ? "B" : view.format;
  format += (*format == '=' || *format == '@' || *format == '<') ? 1 : 0;
  return view.itemsize == sizeof(float) && format[0] == 'f' && format[1] == '\0';
}

// False with a Python error set.
bool read_buffer(PyObject* object, Row& row) noexcept {
  Py_buffer view;
  if (PyObject_GetBuffer(object, &view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT) != 0) {
    return false;
  }
  const auto size_bytes = static_cast<std::size_t>(view.len);
  row.count = size_bytes / sizeof(float);
  const bool is_right = is_float32(view) && row.count <= row.values.size();
  if (is_right) {
    std::copy_n(static_cast<const char*>(view.buf), size_bytes,
                reinterpret_cast<char*>(row.values.data()));
  } else if (!is_float32(view)) {
    PyErr_SetString(PyExc_TypeError, "a row is an array of float32, or a list of numbers");
  }
  PyBuffer_Release(&view);
  if (!is_right && PyErr_Occurred() == nullptr) {
    PyErr_Format(PyExc_ValueError, "the row has %zu features; no model has so many", row.count);
  }
  return is_right;
}

bool read_sequence(PyObject* object, Row& row) noexcept {
  PyObject* items = PySequence_Fast(object, "a row is an array of float32, or a list of numbers");
  if (items == nullptr) {
    return false;
  }
  row.count = static_cast<std::size_t>(PySequence_Fast_GET_SIZE(items));
  if (row.count > row.values.size()) {
    PyErr_Format(PyExc_ValueError, "the row has %zu features; no model has so many", row.count);
  }
  for (std::size_t i = 0; i < row.count && PyErr_Occurred() == nullptr; ++i) {
    PyObject* item = PySequence_Fast_GET_ITEM(items, static_cast<Py_ssize_t>(i));
    row.values[i] = static_cast<float>(PyFloat_AsDouble(item));
  }
  Py_DECREF(items);
  return PyErr_Occurred() == nullptr;
}

PyObject* answer_of(std::span<const float> outputs) noexcept {
  if (outputs.size() == 1) {
    return PyFloat_FromDouble(double{outputs[0]});
  }
  PyObject* tuple = PyTuple_New(static_cast<Py_ssize_t>(outputs.size()));
  for (std::size_t i = 0; tuple != nullptr && i < outputs.size(); ++i) {
    PyObject* number = PyFloat_FromDouble(double{outputs[i]});
    if (number == nullptr) {
      Py_CLEAR(tuple);
    } else {
      PyTuple_SET_ITEM(tuple, static_cast<Py_ssize_t>(i), number);
    }
  }
  return tuple;
}

PyObject* score_one(PyObject* self, PyObject* object) {
  const Scorer* scorer = scorer_of(self);
  if (scorer == nullptr) {
    PyErr_SetString(PyExc_TypeError, "Scorer.__init__ was not called");
    return nullptr;
  }
  Row row;
  const bool is_array = PyObject_CheckBuffer(object) != 0;
  if (!(is_array ? read_buffer(object, row) : read_sequence(object, row))) {
    return nullptr;
  }
  if (row.count != scorer->feature_count()) {
    PyErr_Format(PyExc_ValueError, "the row has %zu features; the model has %zu", row.count,
                 scorer->feature_count());
    return nullptr;
  }
  std::array<float, kMaxOutputCount> outputs;
  const std::span<float> used(outputs.data(), scorer->output_count());
  scorer->score_one({row.values.data(), row.count}, used);
  return answer_of(used);
}

PyMethodDef score_one_method{
    "score_one", score_one, METH_O,
    "score_one($self, row, /)\n--\n\nScore one row: an array of float32 (fastest) or a list of "
    "numbers, NaN where missing.\n\nA float, or a tuple of them if the model has several outputs."};

// --- many ----------------------------------------------------------------------------------------

template <class Number>
std::span<Number> floats_of(const py::buffer_info& info, const char* name) {
  bool is_contiguous = info.item_type_is_equivalent_to<float>();
  py::ssize_t stride = sizeof(float);
  for (py::ssize_t axis = info.ndim - 1; axis >= 0; --axis) {
    const auto at = static_cast<std::size_t>(axis);
    is_contiguous = is_contiguous && (info.shape[at] <= 1 || info.strides[at] == stride);
    stride *= info.shape[at];
  }
  FINOPS_REQUIRE(is_contiguous || (info.size == 0 && info.item_type_is_equivalent_to<float>()),
                 ErrorCode::InvalidArgument,
                 std::string(name) +
                     " must be an array of float32 that lies row after row; "
                     "numpy.ascontiguousarray(x, dtype=numpy.float32) makes one");
  return {static_cast<Number*>(info.ptr), static_cast<std::size_t>(info.size)};
}

std::size_t columns_of(const py::buffer_info& info, const char* name) {
  FINOPS_REQUIRE(info.ndim == 2, ErrorCode::InvalidArgument,
                 std::string(name) + " must have two axes, of rows and of features; it has " +
                     std::to_string(info.ndim));
  return static_cast<std::size_t>(info.shape[1]);
}

void require_columns(std::size_t actual, std::size_t expected, const char* name) {
  FINOPS_REQUIRE(actual == expected, ErrorCode::InvalidArgument,
                 std::string(name) + " has " + std::to_string(actual) +
                     " features in a row; the model has " + std::to_string(expected));
}

void score_batch(const Scorer& scorer, const py::buffer& rows, const py::buffer& outputs,
                 unsigned thread_count) {
  const py::buffer_info row_info = rows.request();
  const py::buffer_info output_info = outputs.request(true);
  require_columns(columns_of(row_info, "rows"), scorer.feature_count(), "rows");
  const auto source = floats_of<const float>(row_info, "rows");
  const auto target = floats_of<float>(output_info, "outputs");
  const ReleaseGil release;
  scorer.score_batch(source, target, thread_count);
}

void score_grid(const Scorer& scorer, const py::buffer& jobs, const py::buffer& placements,
                const py::buffer& outputs, unsigned thread_count) {
  const py::buffer_info job_info = jobs.request();
  const py::buffer_info placement_info = placements.request();
  const py::buffer_info output_info = outputs.request(true);
  const std::size_t placement_features = columns_of(placement_info, "placements");
  require_columns(columns_of(job_info, "jobs") + placement_features, scorer.feature_count(),
                  "a job with a placement");
  const auto job_rows = floats_of<const float>(job_info, "jobs");
  const auto placement_rows = floats_of<const float>(placement_info, "placements");
  const auto target = floats_of<float>(output_info, "outputs");
  const ReleaseGil release;
  scorer.score_grid(job_rows, placement_rows, placement_features, target, thread_count);
}

// --- a model from Python -------------------------------------------------------------------------

using SplitTuple = std::tuple<std::uint8_t, std::uint8_t, bool>;
using TreeTuple = std::pair<std::vector<SplitTuple>, std::vector<std::int16_t>>;
using OutputTuple = std::tuple<std::string, double, double, std::vector<TreeTuple>>;

std::optional<InstructionSet> parse_instruction_set(const std::optional<std::string>& name) {
  if (!name.has_value()) {
    return std::nullopt;
  }
  for (int i = 0; i <= static_cast<int>(InstructionSet::Avx512Vbmi); ++i) {
    const auto instruction_set = static_cast<InstructionSet>(i);
    if (predict::instruction_set_name(instruction_set) == *name) {
      return instruction_set;
    }
  }
  FINOPS_REQUIRE(false, ErrorCode::InvalidArgument,
                 "no instruction set is called " + *name +
                     "; write scalar, avx2, avx512 or avx512vbmi");
  return std::nullopt;
}

Scorer make_scorer(std::vector<std::string> feature_names, std::vector<std::vector<float>> borders,
                   const std::vector<OutputTuple>& outputs,
                   const std::optional<std::string>& instruction_set) {
  ForestModel model{std::move(feature_names), std::move(borders), {}};
  for (const auto& [name, base, leaf_scale, trees] : outputs) {
    predict::Forest forest{name, base, leaf_scale, {}};
    for (const auto& [splits, leaves] : trees) {
      predict::ObliviousTree tree{{}, leaves};
      for (const auto& [feature_index, border_index, is_missing_high] : splits) {
        tree.splits.push_back({feature_index, border_index, is_missing_high});
      }
      forest.trees.push_back(std::move(tree));
    }
    model.outputs.push_back(std::move(forest));
  }
  return Scorer(model, parse_instruction_set(instruction_set));
}

}  // namespace

void bind_predict_scorer(py::module_& module) {
  py::class_<Scorer> type(module, "Scorer", py::is_final(),
                          "Oblivious trees, laid out to score rows fast. Immutable; threads may "
                          "share one.");
  type.def(py::init(&make_scorer), py::kw_only(), py::arg("feature_names"), py::arg("borders"),
           py::arg("outputs"), py::arg("instruction_set") = py::none(),
           "outputs: (name, base, leaf_scale, trees); a tree: (splits, leaves); a split:\n"
           "(feature_index, border_index, is_missing_high). See finops/predict/forest.hpp.")
      .def("score_batch", &score_batch, py::arg("rows"), py::arg("outputs"), py::kw_only(),
           py::arg("thread_count") = 1,
           "Score `rows` [rows, features] of float32 into `outputs` [rows, outputs] of float32.\n\n"
           "thread_count 0: as many as there are cores. Small batches start no thread.")
      .def("score_grid", &score_grid, py::arg("jobs"), py::arg("placements"), py::arg("outputs"),
           py::kw_only(), py::arg("thread_count") = 1,
           "Score every row of `jobs` joined with every row of `placements` into `outputs`\n"
           "[jobs, placements, outputs]: the model's last features are the placement's.")
      .def_property_readonly("feature_count", &Scorer::feature_count)
      .def_property_readonly("output_count", &Scorer::output_count)
      .def_property_readonly("instruction_set", [](const Scorer& scorer) {
        return std::string(predict::instruction_set_name(scorer.instruction_set()));
      });
  type.attr("score_one") = py::reinterpret_steal<py::object>(
      PyDescr_NewMethod(reinterpret_cast<PyTypeObject*>(type.ptr()), &score_one_method));
  module.def("best_instruction_set", [] {
    return std::string(predict::instruction_set_name(predict::best_instruction_set()));
  });
}

}  // namespace finops::bindings
