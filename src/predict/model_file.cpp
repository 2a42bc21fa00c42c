// model_file.cpp - writes a model as JSON.
#include "finops/predict/model_file.hpp"

#include <nlohmann/json.hpp>

#include "finops/base/error.hpp"
#include "predict/model_file_checksum.hpp"

namespace finops::predict {
namespace {

using Json = nlohmann::ordered_json;

void check_name(const std::string& name) {
  FINOPS_REQUIRE(name.size() <= kMaxModelNameBytes, ErrorCode::InvalidArgument,
                 "a name in the model has " + std::to_string(name.size()) +
                     " bytes; shorten it to " + std::to_string(kMaxModelNameBytes));
}

// A split is three numbers in one list with the others: lists of their own would triple the time
// that reading takes.
Json tree_to_json(const ObliviousTree& tree) {
  Json splits = Json::array();
  for (const Split& split : tree.splits) {
    splits.push_back(split.feature_index);
    splits.push_back(split.border_index);
    splits.push_back(split.is_missing_high ? 1 : 0);
  }
  return Json::array({std::move(splits), tree.leaves});
}

}  // namespace

std::string model_to_json(const ForestModel& model) {
  check_model(model);
  Json outputs = Json::array();
  for (const Forest& forest : model.outputs) {
    check_name(forest.name);
    Json trees = Json::array();
    for (const ObliviousTree& tree : forest.trees) {
      trees.push_back(tree_to_json(tree));
    }
    outputs.push_back({{"name", forest.name},
                       {"base", forest.base},
                       {"leaf_scale", forest.leaf_scale},
                       {"trees", std::move(trees)}});
  }
  for (const std::string& name : model.feature_names) {
    check_name(name);
  }
  const Json root = {
      {"schema", "finops-forest-model"},      {"schema_version", kModelSchemaVersion},
      {"feature_names", model.feature_names}, {"borders", model.borders},
      {"outputs", std::move(outputs)},        {"checksum", model_checksum(model)}};
  try {
    return root.dump() + "\n";
  } catch (const Json::exception&) {  // its message would quote the bytes
    throw Error(ErrorCode::InvalidArgument, "a name in the model is no UTF-8; rename it");
  }
}

}  // namespace finops::predict
