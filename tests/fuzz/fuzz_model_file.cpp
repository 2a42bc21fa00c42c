// fuzz_model_file.cpp - a model file's JSON, and models put together from bytes.
//
// Invariants: a text is read in full or refused with an Error; what is read can be written, read
// again to the same text, and scores every row with a finite number; a model that check_model lets
// pass does the same.
#include "finops/predict/model_file.hpp"

#include <cmath>
#include <limits>
#include <vector>

#include "fuzz.hpp"

namespace {

using namespace finops;           // NOLINT(google-build-using-namespace): a target, not a library
using namespace finops::predict;  // NOLINT(google-build-using-namespace)

float any_float(fuzz::Bytes& bytes) {
  switch (bytes.choice(6)) {
    case 0: return std::numeric_limits<float>::quiet_NaN();
    case 1: return std::numeric_limits<float>::infinity();
    case 2: return -std::numeric_limits<float>::max();
    case 3: return bytes.raw<float>();
    default: return static_cast<float>(bytes.byte());
  }
}

// Sizes go one past their limits.
ForestModel any_model(fuzz::Bytes& bytes) {
  ForestModel model;
  model.feature_names.resize(bytes.choice(4));
  model.borders.resize(bytes.chance() ? model.feature_names.size() : bytes.choice(4));
  for (std::vector<float>& borders : model.borders) {
    float border = any_float(bytes);
    for (std::size_t left = bytes.choice(4); left > 0; --left) {
      borders.push_back(border);
      border += any_float(bytes);
    }
  }
  model.outputs.resize(bytes.choice(3));
  for (Forest& forest : model.outputs) {
    forest.name = bytes.text(8);
    forest.base = static_cast<double>(any_float(bytes));
    forest.leaf_scale = static_cast<double>(any_float(bytes));
    forest.trees.resize(bytes.choice(3));
    for (ObliviousTree& tree : forest.trees) {
      for (std::size_t left = bytes.choice(kMaxDepth + 2); left > 0; --left) {
        tree.splits.push_back({bytes.byte(), bytes.byte(), bytes.chance()});
      }
      tree.leaves.resize(bytes.chance() ? bytes.byte() : std::size_t{1} << tree.splits.size());
      for (std::int16_t& leaf : tree.leaves) {
        leaf = bytes.raw<std::int16_t>();
      }
    }
  }
  return model;
}

void require_sound(const ForestModel& model) {
  const std::string text = model_to_json(model);
  fuzz::require(model_to_json(model_from_json(text)) == text, "a model is read as it was written");
  std::vector<float> outputs(model.outputs.size());
  const float values[] = {0, -1, std::numeric_limits<float>::max(),
                          -std::numeric_limits<float>::infinity(),
                          std::numeric_limits<float>::quiet_NaN()};
  for (const float value : values) {
    score_row(model, std::vector<float>(model.feature_names.size(), value), outputs);
    for (const float output : outputs) {
      fuzz::require(std::isfinite(output), "a score is finite");
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  fuzz::is_allowed([&] { require_sound(model_from_json(text)); });
  fuzz::Bytes bytes(data, size);
  const ForestModel model = any_model(bytes);
  fuzz::is_allowed([&] { require_sound(model); });
  return 0;
}
