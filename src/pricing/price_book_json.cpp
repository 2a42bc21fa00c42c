// price_book_json.cpp - reads the JSON form of a price book.
#include <nlohmann/json.hpp>

#include <set>
#include <string>

#include "finops/base/error.hpp"
#include "finops/pricing/price_book.hpp"
#include "finops/record/json_check.hpp"

namespace finops {
namespace {

using Json = nlohmann::json;

constexpr int kSchemaVersion = 1;
constexpr std::int64_t kMaximumGpusPerSku = 100'000;

// nlohmann_json converts 8.5 or true to an integer without a word.
std::int64_t integer_at(const Json& object, const char* key) {
  const Json& value = object.at(key);
  FINOPS_REQUIRE(value.is_number_integer(), ErrorCode::InvalidArgument,
                 std::string(key) + " must be a whole number, not " + value.dump());
  return value.get<std::int64_t>();
}

UtcTime parse_optional_date(const std::string& text) {
  return text.empty() ? UtcTime{} : parse_utc(text);
}

PriceRow parse_sku(const Json& sku) {
  const auto text = [&](const char* key) { return sku.at(key).get<std::string>(); };
  PriceRow row;
  row.sku_id = text("sku_id");
  row.provider = text("provider");
  row.region = text("region");
  row.zone = text("zone");
  row.instance_type = text("instance_type");
  row.gpu = text("gpu");
  row.gpu_count = integer_at(sku, "gpu_count");
  row.pricing_category = parse_pricing_category(text("pricing_category"));
  row.list_unit_price = Money::parse(text("list_unit_price"), Currency(text("currency")));
  row.valid_from = parse_optional_date(text("valid_from"));
  row.valid_to = parse_optional_date(text("valid_to"));
  row.source = text("source");
  row.source_date = text("source_date");
  row.is_default = sku.at("is_default").get<bool>();
  FINOPS_REQUIRE(text("pricing_unit") == "Hours", ErrorCode::InvalidArgument,
                 "the pricing unit must be Hours");
  FINOPS_REQUIRE(row.gpu_count >= 0 && row.gpu_count <= kMaximumGpusPerSku,
                 ErrorCode::InvalidArgument, "gpu_count must be 0 to 100000");
  // Blank or zero means "no price" in every public list; a book that says 0 says it by mistake.
  FINOPS_REQUIRE(!row.list_unit_price.is_negative() && !row.list_unit_price.is_zero(),
                 ErrorCode::InvalidMoney, "a list price must be above zero; leave the SKU out");
  row.price_id = make_price_id(row);
  return row;
}

std::string describe(const Json& sku, std::size_t index) {
  const bool has_id = sku.is_object() && sku.contains("sku_id") && sku.at("sku_id").is_string();
  return "SKU " + std::to_string(index + 1) +
         (has_id ? " (" + sku.at("sku_id").get<std::string>() + ")" : std::string());
}

Json read_text(std::string_view json_text, const std::string& source_name) {
  try {
    require_strict_json(json_text);
    return Json::parse(json_text);
  } catch (const Error& error) {
    throw Error(error.code(), source_name + " cannot be read: " + error.what());
  }
}

}  // namespace

PriceBook PriceBook::parse(std::string_view json_text, const std::string& source_name) {
  PriceBook book;
  std::set<std::string> seen;
  try {
    const Json root = read_text(json_text, source_name);
    FINOPS_REQUIRE(root.at("schema").get<std::string>() == "finops-price-book",
                   ErrorCode::InvalidArgument, source_name + " is not a finops price book");
    const std::int64_t version = integer_at(root, "schema_version");
    FINOPS_REQUIRE(version == kSchemaVersion, ErrorCode::UnsupportedSchema,
                   source_name + " has price book schema " + std::to_string(version) +
                       ", this finops reads 1; install a newer finops");
    const Json& skus = root.at("skus");
    FINOPS_REQUIRE(skus.is_array(), ErrorCode::InvalidArgument,
                   source_name + ": skus must be a list");
    for (std::size_t index = 0; index < skus.size(); ++index) {
      try {
        PriceRow row = parse_sku(skus.at(index));
        FINOPS_REQUIRE(seen.insert(row.sku_id + format_utc(row.valid_from)).second,
                       ErrorCode::InvalidArgument, "the same sku_id and valid_from occur twice");
        book.add(std::move(row));
      } catch (const Error& error) {
        throw Error(error.code(),
                    source_name + ", " + describe(skus.at(index), index) + ": " + error.what());
      } catch (const Json::exception& error) {
        throw Error(ErrorCode::InvalidArgument,
                    source_name + ", " + describe(skus.at(index), index) + ": " + error.what());
      }
    }
  } catch (const Json::exception& error) {
    throw Error(ErrorCode::InvalidArgument, source_name + " cannot be read: " + error.what());
  }
  return book;
}

}  // namespace finops
