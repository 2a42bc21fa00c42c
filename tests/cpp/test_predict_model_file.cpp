// test_predict_model_file.cpp - models as JSON: the same again, or refused with a reason.
#include "finops/predict/model_file.hpp"

#include <gtest/gtest.h>

#include <array>

#include "finops/base/error.hpp"
#include "predict/model_file_checksum.hpp"
#include "predict_forest_support.hpp"

namespace finops::predict {
namespace {

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const std::size_t position = text.find(from);
  EXPECT_NE(position, std::string::npos) << from;
  return position == std::string::npos ? text : text.replace(position, from.size(), to);
}

void expect_refused(const std::string& text, const std::string& word,
                    ErrorCode code = ErrorCode::InvalidArgument) {
  try {
    (void)model_from_json(text);
    ADD_FAILURE() << "read, but should be refused for: " << word;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    EXPECT_NE(std::string(error.what()).find(word), std::string::npos) << error.what();
    EXPECT_LT(std::string(error.what()).size(), 400U);
  }
}

/// A model of random trees of full depth, as large as asked for.
ForestModel random_model(std::uint64_t seed, std::size_t tree_count, std::size_t output_count) {
  SplitMix64 random(seed);
  ForestModel model;
  for (std::size_t feature = 0; feature < 32; ++feature) {
    model.feature_names.push_back("feature_" + std::to_string(feature));
    std::vector<float>& borders = model.borders.emplace_back();
    float border = -uniform(random);
    for (int i = 0; i < 126; ++i) {
      borders.push_back(border += 0.001F + uniform(random));
    }
  }
  for (std::size_t output = 0; output < output_count; ++output) {
    Forest& forest = model.outputs.emplace_back();
    forest.name = "p" + std::to_string(output);
    forest.base = double{uniform(random)};
    forest.leaf_scale = 1e-5 + double{uniform(random)};
    for (std::size_t i = 0; i < tree_count; ++i) {
      ObliviousTree& tree = forest.trees.emplace_back();
      for (int level = 0; level < 6; ++level) {
        tree.splits.push_back({static_cast<std::uint8_t>(random.below(32)),
                               static_cast<std::uint8_t>(random.below(126)), random.below(2) == 1});
      }
      for (int leaf = 0; leaf < 64; ++leaf) {
        tree.leaves.push_back(static_cast<std::int16_t>(random.next() >> 48U));
      }
    }
  }
  return model;
}

// Goal: what was written is read again, to the bit. Method: a trained and a random model; equal
// texts, equal checksums, equal scores.
TEST(PredictModelFile, ReadsWhatItWrote) {
  const Table table = invent(1, 300, 3, [](std::span<const float> x, SplitMix64& random) {
    return x[0] * 1e-20F + x[1] * 1e-3F + 1e-3F * normal(random);
  });
  for (const ForestModel& model : {two_level_model(), train(table, {}), random_model(2, 50, 8)}) {
    const std::string text = model_to_json(model);
    const ForestModel read = model_from_json(text);
    EXPECT_EQ(model_checksum(read), model_checksum(model));
    EXPECT_EQ(model_to_json(read), text);
    EXPECT_EQ(read.feature_names, model.feature_names);
    EXPECT_EQ(read.borders, model.borders);
  }
  const ForestModel model = train(table, {});
  const ForestModel read = model_from_json(model_to_json(model));
  for (std::size_t row = 0; row < table.row_count(); ++row) {
    ASSERT_EQ(score(read, table.row(row)), score(model, table.row(row))) << row;
  }
}

// Goal: spacing and the order of fields do not matter. Method: the same content written otherwise.
TEST(PredictModelFile, ReadsOtherSpacingAndOrder) {
  const ForestModel model = two_level_model();
  const std::string text = " { \"checksum\" : \"" + model_checksum(model) +
                           "\",\n\"outputs\":[{\"trees\":[[[0,1,0,1,0,1],[1,2,30,40]]],"
                           "\"leaf_scale\":5e-1,\"base\":1e2,\"name\":\"p50\"}],\"borders\":"
                           "[[1.50,4.5],[10]],\"feature_names\":[\"\\u0067pus\",\"hours\"],"
                           "\"schema_version\":1,\"schema\":\"finops-forest-model\"}";
  EXPECT_EQ(model_to_json(model_from_json(text)), model_to_json(model));
}

// Goal: any digit that changes is noticed. Method: every character of a file is changed, one at a
// time; no change but one that leaves the content as it was may pass.
TEST(PredictModelFile, NoticesEveryChangedCharacter) {
  const std::string text = model_to_json(two_level_model());
  for (std::size_t i = 0; i + 1 < text.size(); ++i) {
    for (const char change : {'0', '7', '-', ' ', '"', ']', '\xff'}) {
      std::string changed = text;
      changed[i] = change;
      try {
        EXPECT_EQ(model_to_json(model_from_json(changed)), text) << i << change;
      } catch (const Error& error) {
        EXPECT_NE(error.code(), ErrorCode::LedgerCorrupt);
      }
    }
    EXPECT_THROW((void)model_from_json(text.substr(0, i)), Error) << "cut off after " << i;
  }
}

// Goal: each kind of damage has its own words. Method: one change each of a good file.
TEST(PredictModelFile, SaysWhatIsWrong) {
  const std::string good = model_to_json(two_level_model());
  const auto changed = [&](const std::string& from, const std::string& to) {
    return replaced(good, from, to);
  };
  expect_refused("", "byte");
  expect_refused("[]", "a list");
  expect_refused("null", "null");
  expect_refused("{}", "lacks the field 'schema'");
  expect_refused(good + "{}", "no JSON");
  expect_refused(changed("finops-forest-model", "finops-price-book"), "is no finops-forest-model");
  expect_refused(changed("\"schema_version\":1", "\"schema_version\":0"), "never was");
  expect_refused(changed("\"schema_version\":1", "\"schema_version\":1.5"), "a number");
  expect_refused(changed("\"borders\"", "\"boarders\""), "unknown name");
  expect_refused(changed("{\"schema\"", "{\"schema\":\"x\",\"schema\""), "twice");
  expect_refused(changed("\"base\":100.0,", ""), "lacks the field 'base'");
  expect_refused(changed("100.0", "1e999"), "no JSON");
  expect_refused(changed("100.0", "\"100\""), "a text");
  expect_refused(changed("100.0", "null"), "null");
  expect_refused(changed("100.0", "[100]"), "a list");
  expect_refused(changed("100.0", "{}"), "an object");
  expect_refused(changed("100.0", "100.5"), "checksum");
  expect_refused(changed("[1,2,30,40]", "[1,2,30,41]"), "checksum");
  expect_refused(changed("[1,2,30,40]", "[1,2,30]"), "3 leaves");
  expect_refused(changed("[1,2,30,40]", "[1,2,30,32768]"), "16-bit");
  expect_refused(changed("[1,2,30,40]", "[1,2,30,-32769]"), "16-bit");
  expect_refused(changed("[1,2,30,40]", "[1,2,30,4.0]"), "a number");
  expect_refused(changed("[1,2,30,40]", "[1,2,30,18446744073709551615]"), "a number");
  expect_refused(changed(",[1,2,30,40]", ""), "without splits and leaves");
  expect_refused(changed("[1,2,30,40]", "[1,2,30,40],[1]"), "more than 2 lists");
  expect_refused(changed("[0,1,0,1,0,1]", "[0,1,0,1,0]"), "three numbers");
  expect_refused(changed("[0,1,0,1,0,1]", "[64,1,0,1,0,1]"), "0 to 63");
  expect_refused(changed("[0,1,0,1,0,1]", "[0,126,0,1,0,1]"), "0 to 125");
  expect_refused(changed("[0,1,0,1,0,1]", "[0,1,2,1,0,1]"), "0 to 1");
  expect_refused(changed("[0,1,0,1,0,1]", "[0,2,0,1,0,1]"), "border 2");
  expect_refused(changed("[1.5,4.5]", "[4.5,1.5]"), "greater");
  expect_refused(changed("[1.5,4.5]", "[1.5,4e38]"), "finite");
  expect_refused(changed("gpus", std::string(257, 'x')), "257 bytes");
  expect_refused(changed("gpus", "\xc3"), "no JSON");
}

// Goal: a newer file says so, whatever else it holds. Method: another version, with fields and
// forms that this one does not know; and a foreign file that has such a version too.
TEST(PredictModelFile, AsksForANewerFinops) {
  const std::string good = model_to_json(two_level_model());
  const ErrorCode newer = ErrorCode::UnsupportedSchema;
  expect_refused(replaced(good, "\"schema_version\":1", "\"schema_version\":2"), "schema 2", newer);
  expect_refused(
      "{\"a\":{\"schema_version\":1},\"schema_version\":7,"
      "\"schema\":\"finops-forest-model\",\"b\":null}",
      "schema 7", newer);
  expect_refused("{\"schema_version\":7,\"schema\":\"other\"}", "lacks");
}

// Goal: limits hold before lists grow. Method: one more than allowed of each, in a file.
TEST(PredictModelFile, HoldsItsLimits) {
  const std::string good = model_to_json(two_level_model());
  const auto repeated = [](const std::string& text, std::size_t count) {
    std::string all = text;
    for (std::size_t i = 1; i < count; ++i) {
      all += "," + text;
    }
    return all;
  };
  const std::string output = "{\"name\":\"\",\"base\":0,\"leaf_scale\":1,\"trees\":[]}";
  const std::string start = "{\"schema\":\"finops-forest-model\",\"schema_version\":1,";
  expect_refused(start + "\"feature_names\":[" + repeated("\"f\"", 65) + "]}", "64 features");
  expect_refused(start + "\"borders\":[" + repeated("[]", 65) + "]}", "64 lists of borders");
  expect_refused(start + "\"borders\":[[" + repeated("1", 127) + "]]}", "126 borders");
  expect_refused(start + "\"outputs\":[" + repeated(output, 9) + "]}", "8 outputs");
  expect_refused(start + "\"outputs\":[{\"trees\":[" + repeated("[[],[0]]", 10'001) + "]}]}",
                 "10000 trees");
  expect_refused(replaced(good, "[1,2,30,40]", "[" + repeated("1", 65) + "]"), "64 leaves");
  expect_refused(replaced(good, "[0,1,0,1,0,1]", "[" + repeated("0,0,0", 7) + "]"), "6 levels");
  expect_refused(std::string(kMaxModelFileBytes + 1, ' '), "67108865 bytes");
  expect_refused(std::string(kMaxModelFileBytes, ' '), "no JSON");
  expect_refused(std::string(1'000'000, '['), "a list");
  expect_refused("{\"x\":" + std::string(1'000'000, '['), "unknown");
}

// Goal: a model that could not be read is not written. Method: a broken model, and bad names.
TEST(PredictModelFile, WritesOnlyWhatItReads) {
  ForestModel model = two_level_model();
  model.outputs[0].name = std::string(256, 'x');
  model.feature_names[0] = "gr\xc3\xb6\xc3\x9f\x65 \"\\\n";
  EXPECT_EQ(model_from_json(model_to_json(model)).feature_names, model.feature_names);
  model.outputs[0].name = std::string(257, 'x');
  EXPECT_THROW((void)model_to_json(model), Error);
  model.outputs[0].name = "\xff";
  EXPECT_THROW((void)model_to_json(model), Error);
  model = two_level_model();
  model.outputs[0].leaf_scale = 0;
  EXPECT_THROW((void)model_to_json(model), Error);
}

}  // namespace
}  // namespace finops::predict
