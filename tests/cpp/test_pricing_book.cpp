// test_pricing_book.cpp - tests of the JSON form of price books, and of the book that is shipped.
//
// Owns: the checks of PriceBook::parse and of python/finops/data/price_book.json. Does not own:
// look-up (test_pricing.cpp).
// Invariant: every malformed book is the good one of `sample_json` with one thing changed.
#include <gtest/gtest.h>

#include <cstdint>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "finops/base/error.hpp"
#include "finops/pricing/price_book.hpp"

namespace finops {
namespace {

using Json = nlohmann::json;

Json sample_sku() {
  return {{"sku_id", "lab:box:here:on-demand"},
          {"provider", "lab"},
          {"region", "here"},
          {"zone", "here-1"},
          {"instance_type", "box"},
          {"gpu", "H100-80GB"},
          {"gpu_count", 8},
          {"pricing_category", "Standard"},
          {"list_unit_price", "55.040000000001"},
          {"currency", "EUR"},
          {"pricing_unit", "Hours"},
          {"is_default", true},
          {"valid_from", "2026-01-01"},
          {"valid_to", "2026-07-01"},
          {"source", "a test"},
          {"source_date", "2025-12-24"}};
}

Json sample_json() {
  Json other = sample_sku();
  other["sku_id"] = "lab:box:here:spot";
  other["pricing_category"] = "Dynamic";
  other["is_default"] = false;
  return {{"schema", "finops-price-book"},
          {"schema_version", 1},
          {"book_version", "2026-11-24"},
          {"skus", {sample_sku(), other}}};
}

// "none", or the code and the message.
std::string error_of(const std::string& text) {
  try {
    (void)PriceBook::parse(text, "prices.json");
  } catch (const Error& error) {
    return std::string(error_code_name(error.code())) + ": " + error.what();
  }
  return "none";
}

// The same for the sample book with one key of its second SKU changed.
std::string error_with(const char* key, const Json& value) {
  Json book = sample_json();
  book["skus"][1][key] = value;
  return error_of(book.dump());
}

std::string code_with(const char* key, const Json& value) {
  const std::string error = error_with(key, value);
  return error.substr(0, error.find(':'));
}

// Goal: every key is read into its field. Method: a SKU in which each value is told from the
// others.
TEST(PriceBookParse, ReadsEveryKey) {
  const PriceBook book = PriceBook::parse(sample_json().dump(), "prices.json");
  ASSERT_EQ(book.rows().size(), 2U);
  const PriceRow& row = book.rows()[0];
  EXPECT_EQ(row.sku_id, "lab:box:here:on-demand");
  EXPECT_EQ(row.provider, "lab");
  EXPECT_EQ(row.region, "here");
  EXPECT_EQ(row.zone, "here-1");
  EXPECT_EQ(row.instance_type, "box");
  EXPECT_EQ(row.gpu, "H100-80GB");
  EXPECT_EQ(row.gpu_count, 8);
  EXPECT_EQ(pricing_category_name(row.pricing_category), "Standard");
  EXPECT_EQ(pricing_category_name(book.rows()[1].pricing_category), "Dynamic");
  EXPECT_EQ(row.list_unit_price.str(), "55.040000000001 EUR");
  EXPECT_TRUE(row.is_default && !book.rows()[1].is_default);
  EXPECT_EQ(format_utc(row.valid_from), "2026-01-01T00:00:00Z");
  EXPECT_EQ(format_utc(row.valid_to), "2026-07-01T00:00:00Z");
  EXPECT_EQ(row.source, "a test");
  EXPECT_EQ(row.source_date, "2025-12-24");
  EXPECT_FALSE(row.is_user_set);
  EXPECT_EQ(row.price_id.str(), make_price_id(row).str());
}

// Goal: empty dates mean unknown and open; a book may be empty. Method: the two valid corners.
TEST(PriceBookParse, ReadsEmptyDatesAndEmptyBooks) {
  Json book = sample_json();
  book["skus"][0]["valid_from"] = "";
  book["skus"][0]["valid_to"] = "";
  const PriceBook parsed = PriceBook::parse(book.dump(), "prices.json");
  EXPECT_EQ(format_utc(parsed.rows()[0].valid_from), "");
  EXPECT_EQ(format_utc(parsed.rows()[0].valid_to), "");
  book["skus"] = Json::array();
  EXPECT_TRUE(PriceBook::parse(book.dump(), "prices.json").rows().empty());
}

// Goal: no key is optional, and the SKU at fault is named. Method: each key is left out, then null.
TEST(PriceBookParse, RefusesEachMissingKey) {
  const Json good = sample_sku();
  for (const auto& item : good.items()) {
    const std::string& key = item.key();
    for (const bool is_null : {false, true}) {
      Json book = sample_json();
      book["skus"][1].erase(key);
      if (is_null) {
        book["skus"][1][key] = nullptr;
      }
      const std::string error = error_of(book.dump());
      EXPECT_TRUE(error.starts_with("InvalidArgument: prices.json, SKU 2")) << key << ": " << error;
      EXPECT_TRUE(key == "sku_id" || error.find("(lab:box:here:spot)") != std::string::npos)
          << key << ": " << error;
    }
  }
  for (const char* key : {"schema", "schema_version", "skus"}) {
    Json book = sample_json();
    book.erase(key);
    const std::string error = error_of(book.dump());
    EXPECT_TRUE(error.starts_with("InvalidArgument: prices.json")) << key << ": " << error;
    EXPECT_NE(error.find(key), std::string::npos) << error;
  }
}

// Goal: a price is above zero, written as text with at most 12 decimals. Method: only it moves.
TEST(PriceBookParse, RefusesBadPrices) {
  EXPECT_EQ(code_with("list_unit_price", "0.000000000001"), "none");
  for (const char* price : {"0", "0.00", "-0.000000000001", "-1", "", "0.0000000000001",
                            "1.0000000000000", "1e3", "1,5", "free", "NaN", " 1"}) {
    EXPECT_EQ(code_with("list_unit_price", price), "InvalidMoney") << '\'' << price << '\'';
  }
  EXPECT_EQ(code_with("list_unit_price", 55.04), "InvalidArgument") << "a number is a double";
  EXPECT_EQ(code_with("list_unit_price", std::string(40, '9')), "Overflow");
  for (const char* currency : {"", "eur", "EURO", "$"}) {
    EXPECT_EQ(code_with("currency", currency), "InvalidMoney") << currency;
  }
}

// Goal: the other values have their ranges. Method: each key, a good value beside bad ones.
TEST(PriceBookParse, RefusesBadValues) {
  EXPECT_EQ(code_with("gpu_count", -1), "InvalidArgument");
  EXPECT_EQ(code_with("gpu_count", 0), "none");
  EXPECT_EQ(code_with("gpu_count", 100'000), "none");
  EXPECT_EQ(code_with("gpu_count", 100'001), "InvalidArgument");
  EXPECT_EQ(code_with("gpu_count", INT64_MAX), "InvalidArgument");
  EXPECT_EQ(code_with("gpu_count", "8"), "InvalidArgument");
  EXPECT_EQ(code_with("pricing_category", "Committed"), "none");
  EXPECT_EQ(code_with("pricing_category", "Spot"), "InvalidArgument");
  EXPECT_EQ(code_with("pricing_unit", "Seconds"), "InvalidArgument");
  EXPECT_EQ(code_with("is_default", "yes"), "InvalidArgument");
  EXPECT_EQ(code_with("valid_from", "soon"), "InvalidArgument");
  EXPECT_EQ(code_with("valid_to", "2026-13-01"), "InvalidArgument");
  EXPECT_EQ(code_with("provider", 7), "InvalidArgument");
}

// Goal: half a GPU is not silently rounded away. Method: whole numbers written as such, and others.
TEST(PriceBookParse, RefusesFractionalCounts) {
  EXPECT_EQ(code_with("gpu_count", 8), "none");
  EXPECT_EQ(code_with("gpu_count", 8.5), "InvalidArgument");
  EXPECT_EQ(code_with("gpu_count", 0.5), "InvalidArgument");
}

// Goal: one SKU and start of validity is one price. Method: the sku_id and the date move.
TEST(PriceBookParse, RefusesTheSamePriceTwice) {
  Json book = sample_json();
  book["skus"][1]["sku_id"] = book["skus"][0]["sku_id"];
  const std::string error = error_of(book.dump());
  EXPECT_TRUE(error.starts_with("InvalidArgument: prices.json, SKU 2 (lab:box:here:on-demand)"))
      << error;
  book["skus"][1]["valid_from"] = "2026-02-01";
  EXPECT_EQ(error_of(book.dump()), "none") << "a new edition";
}

// Goal: only our own schema is read, and a newer one says what to do. Method: schema and version
// move.
TEST(PriceBookParse, RefusesOtherSchemas) {
  Json book = sample_json();
  book["schema"] = "another-price-book";
  EXPECT_TRUE(error_of(book.dump()).starts_with("InvalidArgument:")) << error_of(book.dump());
  book = sample_json();
  for (const int version : {0, 2, 1000}) {
    book["schema_version"] = version;
    EXPECT_TRUE(error_of(book.dump()).starts_with("UnsupportedSchema:")) << version;
  }
  book["schema_version"] = "1";
  EXPECT_TRUE(error_of(book.dump()).starts_with("InvalidArgument:")) << error_of(book.dump());
}

// Goal: a version that is not the number 1 is not taken for it. Method: values that convert to 1.
TEST(PriceBookParse, RefusesVersionsThatOnlyConvertToOne) {
  for (const Json& version : {Json(true), Json(1.5), Json(4'294'967'297)}) {
    Json book = sample_json();
    book["schema_version"] = version;
    EXPECT_NE(error_of(book.dump()), "none") << version.dump();
  }
}

// Goal: what is no book is refused as such. Method: texts that are no JSON, or another JSON.
TEST(PriceBookParse, RefusesWhatIsNoBook) {
  for (const char* text : {"", "{", "not json", "null", "[]", "7", "\"skus\"", "{}", "\xff\xfe",
                           "sku_id,provider\n"}) {
    EXPECT_TRUE(error_of(text).starts_with("InvalidArgument: prices.json")) << text;
  }
  EXPECT_NE(error_of(sample_json().dump() + "}"), "none") << "text after the book";
  for (const Json& skus : {Json("text"), Json(7), Json::array({7}), Json::array({Json::array()})}) {
    Json book = sample_json();
    book["skus"] = skus;
    EXPECT_TRUE(error_of(book.dump()).starts_with("InvalidArgument:")) << skus.dump();
  }
}

// Goal: an empty book is written as an empty list. Method: other things without elements.
TEST(PriceBookParse, RefusesSkusThatAreNoList) {
  for (const Json& skus : {Json(nullptr), Json::object()}) {
    Json book = sample_json();
    book["skus"] = skus;
    EXPECT_TRUE(error_of(book.dump()).starts_with("InvalidArgument:")) << skus.dump();
  }
}

// --- the book that is shipped --------------------------------------------------------------------

PriceBook shipped_book() {
  const std::string path = std::string(FINOPS_PROJECT_DIR) + "/python/finops/data/price_book.json";
  std::ifstream file(path);
  EXPECT_TRUE(file.is_open()) << path;
  std::ostringstream text;
  text << file.rdbuf();
  return PriceBook::parse(text.str(), path);
}

UtcTime release_day() { return parse_utc("2026-11-24"); }

// Goal: the shipped book can be read, says where each price comes from, and every GPU in it has
// exactly one default on-demand price. Method: all its rows.
TEST(ShippedBook, HasOneDefaultForEveryGpu) {
  const PriceBook book = shipped_book();
  EXPECT_GE(book.rows().size(), 40U);
  std::set<std::string> price_ids;
  std::map<std::string, int> default_count_by_gpu;
  for (const PriceRow& row : book.rows()) {
    EXPECT_TRUE(price_ids.insert(row.price_id.str()).second) << row.price_id.str();
    EXPECT_FALSE(row.source.empty()) << row.sku_id;
    EXPECT_TRUE(row.source_date == "unknown" || parse_utc(row.source_date) <= release_day())
        << row.sku_id;
    EXPECT_GT(row.gpu_count, 0) << row.sku_id;
    EXPECT_TRUE(!row.is_default || row.pricing_category == PricingCategory::Standard) << row.sku_id;
    default_count_by_gpu[row.gpu] += row.is_default ? 1 : 0;
  }
  for (const auto& [gpu, default_count] : default_count_by_gpu) {
    EXPECT_EQ(default_count, 1) << gpu;
    const std::optional<Quote> quote = book.quote(parse_resource(gpu), release_day());
    ASSERT_TRUE(quote.has_value()) << gpu;
    EXPECT_TRUE(quote->price.is_default) << gpu;
    EXPECT_FALSE(quote->rate().hourly().is_zero()) << gpu;
  }
}

// Goal: every row can be asked for. Method: each machine at its provider, place and category.
TEST(ShippedBook, FindsEveryRow) {
  const PriceBook book = shipped_book();
  for (const PriceRow& row : book.rows()) {
    const bool is_spot = row.pricing_category == PricingCategory::Dynamic;
    const std::string resource = row.instance_type + "@" + row.provider + ":" +
                                 (row.zone.empty() ? row.region : row.zone) +
                                 (is_spot ? ":spot" : "");
    const std::optional<Quote> quote = book.quote(parse_resource(resource), release_day());
    ASSERT_TRUE(quote.has_value()) << resource;
    EXPECT_EQ(quote->price.sku_id, row.sku_id) << resource;
    EXPECT_EQ(quote->rate().hourly().str(), row.list_unit_price.str()) << resource;
  }
}

// Goal: the prices are those of their sources. Method: a few, worked out by hand; "A100" fits two.
TEST(ShippedBook, GivesTheKnownPrices) {
  struct Case {
    const char* resource;
    const char* expected_hourly;
  };
  constexpr Case kCases[] = {{"8xH100", "88.489999902575 USD"},
                             {"p5.48xlarge@aws:us-east-1", "55.04 USD"},
                             {"8xH100@aws:us-east-1:spot", "10.2397 USD"},
                             {"A100-40GB", "3.673385 USD"},
                             {"4xV100-16GB", "12.24 USD"},
                             {"H200", "3.5 USD"}};
  const PriceBook book = shipped_book();
  for (const Case& c : kCases) {
    const std::optional<Quote> quote = book.quote(parse_resource(c.resource), release_day());
    ASSERT_TRUE(quote.has_value()) << c.resource;
    EXPECT_EQ(quote->rate().hourly().str(), c.expected_hourly) << c.resource;
  }
  EXPECT_THROW((void)book.quote(parse_resource("A100"), release_day()), Error);
}

}  // namespace
}  // namespace finops
