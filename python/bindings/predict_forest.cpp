// predict_forest.cpp - bins, training and models of trees, under the names of C++.
//
// Owns: arrays in by the buffer protocol (NumPy is not needed), models out. Does not own: scoring
// at speed (the scorer), forecasts. Invariant: a call that takes long lets go of the interpreter.
#include <pybind11/stl.h>

#include <array>
#include <span>

#include "convert.hpp"
#include "finops/base/error.hpp"
#include "finops/predict/model_file.hpp"
#include "finops/predict/train_forest.hpp"
#include "release.hpp"

namespace finops::bindings {

void bind_predict_forest(py::module_& module);

namespace {

using predict::BinnedFeatures;
using predict::Forest;
using predict::ForestModel;
using predict::Loss;
using predict::TrainOptions;

/// The numbers of a C-contiguous float32 array of so many dimensions. The caller keeps `info`.
std::span<const float> floats_of(const py::buffer_info& info, py::ssize_t dimensions,
                                 const char* name) {
  py::ssize_t stride = sizeof(float);
  bool is_contiguous = true;
  for (py::ssize_t i = info.ndim; i-- > 0; stride *= info.shape[static_cast<std::size_t>(i)]) {
    const auto axis = static_cast<std::size_t>(i);
    is_contiguous = is_contiguous && (info.shape[axis] <= 1 || info.strides[axis] == stride);
  }
  FINOPS_REQUIRE(info.item_type_is_equivalent_to<float>() && info.ndim == dimensions &&
                     (info.size == 0 || is_contiguous),
                 ErrorCode::InvalidArgument,
                 std::string(name) + " must be a C-contiguous float32 array of " +
                     std::to_string(dimensions) +
                     " dimension(s), as numpy.ascontiguousarray(x, dtype=numpy.float32) makes it");
  return {static_cast<const float*>(info.ptr), static_cast<std::size_t>(info.size)};
}

BinnedFeatures bin(const py::buffer& features, std::size_t max_border_count) {
  const py::buffer_info info = features.request();
  const std::span<const float> values = floats_of(info, 2, "features");
  const auto feature_count = static_cast<std::size_t>(info.shape[1]);
  const ReleaseGil release;
  return predict::bin_features(values, feature_count, max_border_count);
}

// The options are a copy: another thread may change the caller's meanwhile.
Forest train(const BinnedFeatures& features, const py::buffer& targets,
             const std::optional<py::buffer>& weights, const TrainOptions options,
             const std::string& name) {
  const py::buffer_info target_info = targets.request();
  const std::span<const float> target_values = floats_of(target_info, 1, "targets");
  std::optional<py::buffer_info> weight_info;
  std::span<const float> weight_values;
  if (weights.has_value()) {
    weight_info.emplace(weights->request());
    weight_values = floats_of(*weight_info, 1, "weights");
    FINOPS_REQUIRE(weight_values.size() == features.row_count, ErrorCode::InvalidArgument,
                   std::to_string(weight_values.size()) + " weights for " +
                       std::to_string(features.row_count) + " rows: give one each, or None");
  }
  const ReleaseGil release;
  Forest forest = predict::train_forest(features, target_values, weight_values, options);
  forest.name = name;
  return forest;
}

std::vector<float> score_row(const ForestModel& model, const std::vector<float>& row) {
  std::vector<float> outputs(model.outputs.size());
  predict::score_row(model, row, outputs);
  return outputs;
}

void bind_options(py::module_& module) {
  py::enum_<Loss>(module, "Loss").value("Squared", Loss::Squared).value("Quantile", Loss::Quantile);
  py::class_<TrainOptions>(module, "TrainOptions", py::is_final())
      .def(py::init<>())
      .def_readwrite("loss", &TrainOptions::loss)
      .def_readwrite("quantile", &TrainOptions::quantile)
      .def_readwrite("tree_count", &TrainOptions::tree_count)
      .def_readwrite("depth", &TrainOptions::depth)
      .def_readwrite("learning_rate", &TrainOptions::learning_rate)
      .def_readwrite("leaf_shrinkage", &TrainOptions::leaf_shrinkage)
      .def_readwrite("row_sample_ratio", &TrainOptions::row_sample_ratio)
      .def_readwrite("feature_sample_ratio", &TrainOptions::feature_sample_ratio)
      .def_readwrite("monotone", &TrainOptions::monotone)
      .def_readwrite("seed", &TrainOptions::seed);
}

}  // namespace

void bind_predict_forest(py::module_& module) {
  bind_options(module);
  py::class_<BinnedFeatures> binned(module, "BinnedFeatures", py::is_final());
  binned.def_readonly("row_count", &BinnedFeatures::row_count)
      .def_readonly("borders", &BinnedFeatures::borders);
  forbid_new(binned);
  py::class_<Forest> forest(module, "Forest", py::is_final());
  forest.def_readonly("name", &Forest::name)
      .def_readonly("base", &Forest::base)
      .def_readonly("leaf_scale", &Forest::leaf_scale)
      .def_property_readonly("tree_count", [](const Forest& self) { return self.trees.size(); });
  forbid_new(forest);
  py::class_<ForestModel>(module, "ForestModel", py::is_final())
      .def(py::init([](std::vector<std::string> feature_names, const BinnedFeatures& features,
                       std::vector<Forest> outputs) {
             ForestModel model{std::move(feature_names), features.borders, std::move(outputs)};
             predict::check_model(model);
             return model;
           }),
           py::kw_only(), py::arg("feature_names"), py::arg("features"), py::arg("outputs"))
      .def_readonly("feature_names", &ForestModel::feature_names)
      .def_readonly("borders", &ForestModel::borders)
      .def_readonly("outputs", &ForestModel::outputs)
      .def("score_row", &score_row, py::arg("row"))
      .def("to_json", &predict::model_to_json, Release())
      .def_static("from_json", &predict::model_from_json, py::arg("json_text"), Release());
  module.def("bin_features", &bin, py::arg("features"), py::kw_only(),
             py::arg("max_border_count") = predict::kMaxBorderCount);
  module.def("train_forest", &train, py::arg("features"), py::arg("targets"), py::kw_only(),
             py::arg("weights") = py::none(), py::arg("options") = TrainOptions{},
             py::arg("name") = "");
}

}  // namespace finops::bindings
