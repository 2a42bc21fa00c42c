// test_record_resource.cpp - tests of the grammar of resource strings.
//
// Owns: the checks of resource.hpp. Does not own: what a resource costs (test_pricing.cpp).
#include <gtest/gtest.h>

#include <cstdint>
#include <string>

#include "finops/base/error.hpp"
#include "finops/record/resource.hpp"

namespace finops {
namespace {

// The name of the code that reading `text` throws and its message, "none" if it is read.
std::string error_of(const std::string& text) {
  try {
    (void)parse_resource(text);
  } catch (const Error& error) {
    return std::string(error_code_name(error.code())) + ": " + error.what();
  }
  return "none";
}

std::string code_of(const std::string& text) {
  const std::string error = error_of(text);
  return error.substr(0, error.find(':'));
}

// Goal: every form of the grammar is read. Method: one form a row.
TEST(ParseResource, ReadsTheWholeGrammar) {
  using enum PricingCategory;
  struct Case {
    const char* text;
    const char* name;
    std::int64_t micro_count;
    const char* provider;
    const char* region;
    PricingCategory category;
  };
  constexpr Case kCases[] = {
      {"H100", "H100", 1'000'000, "", "", Standard},
      {"8xH100", "H100", 8'000'000, "", "", Standard},
      {"8Xh100", "h100", 8'000'000, "", "", Standard},
      {"1xH100", "H100", 1'000'000, "", "", Standard},
      {"1000000xH100", "H100", 1'000'000'000'000, "", "", Standard},
      {"08xH100", "H100", 8'000'000, "", "", Standard},
      {"a100-80gb:0.25", "a100-80gb", 250'000, "", "", Standard},
      {"a100:0.000001", "a100", 1, "", "", Standard},
      {"a100:0.999999", "a100", 999'999, "", "", Standard},
      {"a100:1", "a100", 1'000'000, "", "", Standard},
      {"a100:1.000000", "a100", 1'000'000, "", "", Standard},
      {"x1.large", "x1.large", 1'000'000, "", "", Standard},
      {"x", "x", 1'000'000, "", "", Standard},
      {"3090", "3090", 1'000'000, "", "", Standard},
      {"H100@aws", "H100", 1'000'000, "aws", "", Standard},
      {"H100@aws:us-east-1", "H100", 1'000'000, "aws", "us-east-1", Standard},
      {"H100@aws:spot", "H100", 1'000'000, "aws", "", Dynamic},
      {"H100@aws:on-demand", "H100", 1'000'000, "aws", "", Standard},
      {"2xp5.48xlarge@aws:us-east-1:spot", "p5.48xlarge", 2'000'000, "aws", "us-east-1", Dynamic},
      {"p5.48xlarge@aws:us-east-1:on-demand", "p5.48xlarge", 1'000'000, "aws", "us-east-1",
       Standard},
      {"a100:0.5@gcp:us-central1", "a100", 500'000, "gcp", "us-central1", Standard}};
  for (const Case& c : kCases) {
    const Resource resource = parse_resource(c.text);
    EXPECT_EQ(resource.text, c.text);
    EXPECT_EQ(resource.name, c.name) << c.text;
    EXPECT_EQ(resource.micro_count, c.micro_count) << c.text;
    EXPECT_EQ(resource.provider, c.provider) << c.text;
    EXPECT_EQ(resource.region, c.region) << c.text;
    EXPECT_EQ(pricing_category_name(resource.pricing_category), pricing_category_name(c.category))
        << c.text;
  }
}

// Goal: what is no resource is refused with the grammar. Method: one fault a row.
TEST(ParseResource, RefusesOtherTexts) {
  for (const char* text : {"",
                           "8x",
                           "8 x H100",
                           " H100",
                           "H100 ",
                           "H-\xc3\xa9",
                           "8*H100",
                           "H100,A100",

                           "0xH100",
                           "1000001xH100",
                           "99999999999999999999xH100",

                           "a100:",
                           "a100:0",
                           "a100:0.0",
                           "a100:-0.5",
                           "a100:.5",
                           "a100:00.5",
                           "a100:1.000001",
                           "a100:2",
                           "a100:0.0000001",
                           "a100:0.2.5",
                           "a100:1e-1",
                           "a100:half",
                           "a100:0.5:0.5",
                           "2xa100:0.5",
                           "@aws",
                           "H100@",
                           "H100@:us-east-1",
                           "H100@aws:us-east-1:spot:spot",
                           "H100@aws:us-east-1:cheap"}) {
    const std::string error = error_of(text);
    EXPECT_TRUE(error.starts_with("InvalidArgument:")) << '\'' << text << "': " << error;
    EXPECT_NE(error.find("[COUNTx]NAME[:FRACTION]"), std::string::npos) << error;
  }
}

// Goal: places have names like those of resources. Method: one odd character or empty part a row.
TEST(ParseResource, RefusesMalformedPlaces) {
  for (const char* text : {"H100@aws@gcp", "H100@a b", "H100@aws:us east", "H100@aws\n",
                           "H100@aws:us\teast", "H100@aws:", "H100@aws::spot"}) {
    EXPECT_EQ(code_of(text), "InvalidArgument") << text;
  }
}

// Goal: a resource fits into a live page. Method: 94, 95 and 96 characters.
TEST(ParseResource, LimitsTheLength) {
  EXPECT_EQ(parse_resource(std::string(94, 'a')).name.size(), 94U);
  EXPECT_EQ(parse_resource(std::string(95, 'a')).name.size(), 95U);
  EXPECT_EQ(code_of(std::string(96, 'a')), "InvalidArgument");
}

}  // namespace
}  // namespace finops
