// model_file_read.cpp - reads a model from JSON as it comes, token by token.
//
// Invariants: every list's limit is checked before its next entry is kept; nothing recurses; no
// value tree is built, so that a small text cannot make a large one.
#include <nlohmann/json.hpp>

#include <array>
#include <limits>
#include <utility>

#include "finops/base/error.hpp"
#include "finops/predict/model_file.hpp"
#include "predict/model_file_checksum.hpp"

namespace finops::predict {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kSchema = "finops-forest-model";
constexpr std::array<std::string_view, 6> kRootFields{"schema",  "schema_version", "feature_names",
                                                      "borders", "outputs",        "checksum"};
constexpr std::array<std::string_view, 4> kOutputFields{"name", "base", "leaf_scale", "trees"};
constexpr std::size_t kNumbersPerSplit = 3;

[[noreturn]] void refuse(const std::string& what) {
  throw Error(ErrorCode::InvalidArgument, "the model file " + what);
}

/// What both readers of a model file share. Messages quote nothing of the text: it may be anything.
class Events : public nlohmann::json_sax<Json> {
 public:
  bool number_integer(std::int64_t value) override { return integer(value); }
  bool number_unsigned(std::uint64_t value) override {
    const bool is_small = value <= std::uint64_t{std::numeric_limits<std::int64_t>::max()};
    return is_small ? integer(static_cast<std::int64_t>(value)) : real(static_cast<double>(value));
  }
  bool number_float(double value, const std::string& /*text*/) override { return real(value); }
  bool binary(Json::binary_t& /*value*/) override { return false; }  // no text has any
  bool parse_error(std::size_t position, const std::string& /*token*/,
                   const Json::exception& /*error*/) override {
    refuse("is no JSON at byte " + std::to_string(position));
  }

 protected:
  virtual bool integer(std::int64_t value) = 0;
  virtual bool real(double value) = 0;
};

/// Where the next token stands.
enum class Place : std::uint8_t {
  Document,
  Root,
  FeatureNames,
  BorderLists,
  Borders,
  Outputs,
  Output,
  Trees,
  Tree,
  Splits,
  Leaves
};

class ModelEvents : public Events {
 public:
  ForestModel model;
  std::string schema;
  std::string checksum;
  std::int64_t schema_version = 0;

  bool null() override { refuse_here("null"); }
  bool boolean(bool /*value*/) override { refuse_here("true or false"); }

  bool start_object(std::size_t /*count*/) override {
    if (place() == Place::Document) {
      return enter(Place::Root);
    }
    if (place() == Place::Outputs) {
      require_room(model.outputs.size(), kMaxOutputCount, "outputs");
      model.outputs.emplace_back();
      output_fields_ = 0;
      return enter(Place::Output);
    }
    refuse_here("an object");
  }
  bool end_object() override {
    if (place() == Place::Root) {
      require_all(root_fields_, kRootFields);
    } else {
      require_all(output_fields_, kOutputFields);
    }
    return leave();
  }
  bool key(std::string& name) override {
    field_ = place() == Place::Root ? find_field(name, kRootFields, root_fields_)
                                    : find_field(name, kOutputFields, output_fields_);
    return true;
  }

  bool start_array(std::size_t /*count*/) override {
    switch (place()) {
      case Place::Root:
        if (field_ == "feature_names") {
          return enter(Place::FeatureNames);
        }
        if (field_ == "borders") {
          return enter(Place::BorderLists);
        }
        return field_ == "outputs" ? enter(Place::Outputs) : refuse_here("a list");
      case Place::BorderLists:
        require_room(model.borders.size(), kMaxFeatureCount, "lists of borders");
        model.borders.emplace_back();
        return enter(Place::Borders);
      case Place::Output: return field_ == "trees" ? enter(Place::Trees) : refuse_here("a list");
      case Place::Trees:
        require_room(output().trees.size(), kMaxTreeCount, "trees in an output");
        output().trees.emplace_back();
        tree_lists_ = 0;
        return enter(Place::Tree);
      case Place::Tree:
        require_room(tree_lists_, 2, "lists in a tree");
        return enter(tree_lists_++ == 0 ? Place::Splits : Place::Leaves);
      default: refuse_here("a list");
    }
  }
  bool end_array() override {
    if (place() == Place::Splits && split_number_ != 0) {
      refuse("has a split without its three numbers" + where());
    }
    if (place() == Place::Tree && tree_lists_ != 2) {
      refuse("has a tree without splits and leaves" + where());
    }
    return leave();
  }

  bool string(std::string& value) override {
    if (place() == Place::FeatureNames) {
      require_room(model.feature_names.size(), kMaxFeatureCount, "features");
      model.feature_names.push_back(checked_name(value));
    } else if (place() == Place::Output && field_ == "name") {
      output().name = checked_name(value);
    } else if (place() == Place::Root && field_ == "schema") {
      schema = checked_name(value);
    } else if (place() == Place::Root && field_ == "checksum") {
      checksum = checked_name(value);
    } else {
      refuse_here("a text");
    }
    return true;
  }

 protected:
  bool integer(std::int64_t value) override {
    if (place() == Place::Leaves) {
      add_leaf(value);
    } else if (place() == Place::Splits) {
      add_split_number(value);
    } else if (place() == Place::Root && field_ == "schema_version") {
      schema_version = value;
    } else {
      return real(static_cast<double>(value));
    }
    return true;
  }
  bool real(double value) override {
    if (place() == Place::Borders) {
      std::vector<float>& borders = model.borders.back();
      require_room(borders.size(), kMaxBorderCount, "borders of a feature");
      // Outside of float's range the conversion would be undefined; check_model refuses infinity.
      const bool is_float = value <= static_cast<double>(std::numeric_limits<float>::max()) &&
                            value >= static_cast<double>(std::numeric_limits<float>::lowest());
      borders.push_back(is_float ? static_cast<float>(value)
                                 : std::numeric_limits<float>::infinity());
    } else if (place() == Place::Output && field_ == "base") {
      output().base = value;
    } else if (place() == Place::Output && field_ == "leaf_scale") {
      output().leaf_scale = value;
    } else {
      refuse_here("a number");
    }
    return true;
  }

 private:
  [[nodiscard]] Place place() const noexcept { return places_[depth_]; }
  [[nodiscard]] Forest& output() { return model.outputs.back(); }
  [[nodiscard]] ObliviousTree& tree() { return output().trees.back(); }
  bool enter(Place inner) {
    places_[++depth_] = inner;
    return true;
  }
  bool leave() {
    --depth_;
    return true;
  }

  [[nodiscard]] std::string where() const {
    if (model.outputs.empty()) {
      return "";
    }
    const std::size_t tree_count = model.outputs.back().trees.size();
    return " (output " + std::to_string(model.outputs.size() - 1) +
           (tree_count > 0 ? ", tree " + std::to_string(tree_count - 1) : "") + ")";
  }
  [[noreturn]] bool refuse_here(const std::string& kind) const {
    refuse("has " + kind + " where something else belongs, at or after the field '" +
           std::string(field_) + "'" + where());
  }
  void require_room(std::size_t count, std::size_t most, const char* what) const {
    if (count >= most) {
      refuse("has more than " + std::to_string(most) + " " + what + where());
    }
  }
  [[nodiscard]] static std::string checked_name(std::string& name) {
    if (name.size() > kMaxModelNameBytes) {
      refuse("has a text of " + std::to_string(name.size()) + " bytes; at most " +
             std::to_string(kMaxModelNameBytes) + " are read");
    }
    return std::move(name);
  }

  template <std::size_t Count>
  std::string_view find_field(const std::string& name,
                              const std::array<std::string_view, Count>& fields, unsigned& seen) {
    for (std::size_t i = 0; i < Count; ++i) {
      if (fields[i] == name) {
        if ((seen >> i & 1U) != 0) {
          refuse("has the field '" + name + "' twice in one object");
        }
        seen |= 1U << i;
        return fields[i];
      }
    }
    refuse("has a field of unknown name after the field '" + std::string(field_) + "'" + where());
  }
  template <std::size_t Count>
  void require_all(unsigned seen, const std::array<std::string_view, Count>& fields) const {
    for (std::size_t i = 0; i < Count; ++i) {
      if ((seen >> i & 1U) == 0) {
        refuse("lacks the field '" + std::string(fields[i]) + "'" + where());
      }
    }
  }

  void add_leaf(std::int64_t value) {
    require_room(tree().leaves.size(), std::size_t{1} << kMaxDepth, "leaves of a tree");
    if (value != static_cast<std::int16_t>(value)) {
      refuse("has the leaf " + std::to_string(value) + ", which is no 16-bit integer" + where());
    }
    tree().leaves.push_back(static_cast<std::int16_t>(value));
  }
  void add_split_number(std::int64_t value) {
    constexpr std::array<std::int64_t, kNumbersPerSplit> kMost{kMaxFeatureCount - 1,
                                                               kMaxBorderCount - 1, 1};
    if (split_number_ == 0) {
      require_room(tree().splits.size(), kMaxDepth, "levels in a tree");
      tree().splits.emplace_back();
    }
    if (value < 0 || value > kMost[split_number_]) {
      refuse("has " + std::to_string(value) + " in a split, where 0 to " +
             std::to_string(kMost[split_number_]) + " belongs" + where());
    }
    Split& split = tree().splits.back();
    switch (split_number_) {
      case 0: split.feature_index = static_cast<std::uint8_t>(value); break;
      case 1: split.border_index = static_cast<std::uint8_t>(value); break;
      default: split.is_missing_high = value == 1; break;
    }
    split_number_ = (split_number_ + 1) % kNumbersPerSplit;
  }

  // Root, outputs, output, trees, tree, leaves: no place is deeper.
  std::array<Place, 8> places_{Place::Document};
  std::size_t depth_ = 0;
  std::string_view field_ = "(start)";
  unsigned root_fields_ = 0;
  unsigned output_fields_ = 0;
  std::size_t tree_lists_ = 0;
  std::size_t split_number_ = 0;
};

/// Finds the schema version of any JSON object, and cares for nothing else.
class VersionEvents : public Events {
 public:
  bool is_ours = false;
  std::int64_t schema_version = 0;

  bool parse_error(std::size_t /*position*/, const std::string& /*token*/,
                   const Json::exception& /*error*/) override {
    return false;
  }
  bool null() override { return true; }
  bool boolean(bool /*value*/) override { return true; }
  bool start_object(std::size_t /*count*/) override { return ++depth_ > 0; }
  bool end_object() override { return depth_-- > 0; }
  bool start_array(std::size_t /*count*/) override { return ++depth_ > 0; }
  bool end_array() override { return depth_-- > 0; }
  bool key(std::string& name) override {
    is_schema_ = depth_ == 1 && name == "schema";
    is_version_ = depth_ == 1 && name == "schema_version";
    return true;
  }
  bool string(std::string& value) override {
    is_ours = is_ours || (is_schema_ && depth_ == 1 && value == kSchema);
    return true;
  }

 protected:
  bool integer(std::int64_t value) override {
    schema_version = is_version_ && depth_ == 1 ? value : schema_version;
    return true;
  }
  bool real(double /*value*/) override { return true; }

 private:
  std::size_t depth_ = 0;
  bool is_schema_ = false;
  bool is_version_ = false;
};

void require_known_version(std::int64_t version) {
  FINOPS_REQUIRE(version <= kModelSchemaVersion, ErrorCode::UnsupportedSchema,
                 "the model file has schema " + std::to_string(version) + ", this finops reads " +
                     std::to_string(kModelSchemaVersion) + "; install a newer finops");
}

ForestModel read_model(std::string_view json_text) {
  ModelEvents events;
  (void)Json::sax_parse(json_text, &events);
  if (events.schema != kSchema) {
    refuse("is no " + std::string(kSchema));
  }
  require_known_version(events.schema_version);
  if (events.schema_version != kModelSchemaVersion) {
    refuse("has schema " + std::to_string(events.schema_version) + ", which never was");
  }
  check_model(events.model);
  if (events.checksum != model_checksum(events.model)) {
    refuse("is damaged: its checksum is not that of its content; take another copy, or train anew");
  }
  return std::move(events.model);
}

}  // namespace

ForestModel model_from_json(std::string_view json_text) {
  if (json_text.size() > kMaxModelFileBytes) {
    refuse("has " + std::to_string(json_text.size()) + " bytes; at most " +
           std::to_string(kMaxModelFileBytes) + " are read");
  }
  try {
    return read_model(json_text);
  } catch (const Error& error) {
    // A newer form may differ anywhere: what it is comes before what is wrong with it.
    VersionEvents events;
    if (error.code() == ErrorCode::InvalidArgument) {
      (void)Json::sax_parse(json_text, &events);
    }
    if (events.is_ours) {
      require_known_version(events.schema_version);
    }
    throw;
  }
}

}  // namespace finops::predict
