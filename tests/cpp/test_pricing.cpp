// test_pricing.cpp - tests of the look-up of prices, and of prices that a user gives.
//
// Owns: the checks of PriceBook's quotes. Does not own: resource strings
// (test_pricing_resource.cpp), the JSON form and the shipped book (test_pricing_book.cpp), rounding
// (test_money_rate.cpp). Invariant: the books here are made row by row, so that a test shows all
// that it depends on.
#include <gtest/gtest.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "finops/base/error.hpp"
#include "finops/pricing/price_book.hpp"
#include "finops/record/resource.hpp"

namespace finops {
namespace {

constexpr Nanoseconds kNanosecond{1};

UtcTime today() { return parse_utc("2026-11-24"); }

// The name of the code that `call` throws and its message, "none" if it throws no Error.
template <class Call>
std::string error_of(Call call) {
  try {
    call();
  } catch (const Error& error) {
    return std::string(error_code_name(error.code())) + ": " + error.what();
  }
  return "none";
}

template <class Call>
std::string code_of(Call call) {
  const std::string error = error_of(call);
  return error.substr(0, error.find(':'));
}

// "PROVIDER:REGION:MACHINE" with its GPUs, at `price` USD an hour for the whole machine.
PriceRow machine(const std::string& place, const char* gpu, std::int64_t gpu_count,
                 const char* price) {
  const std::size_t first = place.find(':');
  const std::size_t second = place.find(':', first + 1);
  PriceRow row;
  row.provider = place.substr(0, first);
  row.region = place.substr(first + 1, second - first - 1);
  row.instance_type = place.substr(second + 1);
  row.sku_id = row.provider + ":" + row.instance_type + ":" + row.region + ":on-demand";
  row.gpu = gpu;
  row.gpu_count = gpu_count;
  row.list_unit_price = Money::parse(price, Currency::usd());
  row.source = "test";
  row.source_date = "2026-01-01";
  return row;
}

PriceRow as_default(PriceRow row) {
  row.is_default = true;
  return row;
}

PriceRow as_spot(PriceRow row, const char* zone) {
  row.pricing_category = PricingCategory::Dynamic;
  row.zone = zone;
  row.sku_id += std::string(":") + zone + ":spot";
  return row;
}

PriceBook sample_book() {
  PriceBook book;
  book.add(machine("aws:us-east-1:p5.48xlarge", "H100-80GB", 8, "56"));
  book.add(as_spot(machine("aws:us-east-1:p5.48xlarge", "H100-80GB", 8, "16"), "use1-az1"));
  book.add(machine("aws:us-west-2:p5.48xlarge", "H100-80GB", 8, "64"));
  book.add(as_default(machine("gcp:us-central1:a3-high", "H100-80GB", 8, "80")));
  book.add(as_default(machine("gcp:us-central1:a2-high", "A100-40GB", 1, "4")));
  book.add(as_default(machine("gcp:us-central1:a2-ultra", "A100-80GB", 1, "5")));
  book.add(machine("azure:westeurope:nd96", "A100-80GB", 8, "32"));
  return book;
}

// "SKU: PRICE/h, HOURLY/h", "no price", or the error's code.
std::string look_up(const PriceBook& book, const char* resource, UtcTime at = today()) {
  std::string found;
  const std::string code = code_of([&] {
    const std::optional<Quote> quote = book.quote(parse_resource(resource), at);
    found = quote.has_value() ? quote->price.sku_id + ": " + quote->rate().hourly().str()
                              : std::string("no price");
  });
  return code == "none" ? found : code;
}

// Goal: a name, place and category lead to one row and its share. Method: one resource a row.
TEST(PriceLookUp, FindsTheRowAndTheShare) {
  struct Case {
    const char* resource;
    const char* expected;
  };
  constexpr Case kCases[] = {
      {"H100", "gcp:a3-high:us-central1:on-demand: 10 USD"},
      {"h100-80gb", "gcp:a3-high:us-central1:on-demand: 10 USD"},
      {"8xH100", "gcp:a3-high:us-central1:on-demand: 80 USD"},
      {"H100:0.25", "gcp:a3-high:us-central1:on-demand: 2.5 USD"},
      {"8xH100@aws:us-east-1", "aws:p5.48xlarge:us-east-1:on-demand: 56 USD"},
      {"8xH100@AWS:US-WEST-2", "aws:p5.48xlarge:us-west-2:on-demand: 64 USD"},
      {"H100@aws:us-east-1:spot", "aws:p5.48xlarge:us-east-1:on-demand:use1-az1:spot: 2 USD"},
      {"H100@aws:use1-az1:spot", "aws:p5.48xlarge:us-east-1:on-demand:use1-az1:spot: 2 USD"},
      {"H100@aws:spot", "aws:p5.48xlarge:us-east-1:on-demand:use1-az1:spot: 2 USD"},
      {"p5.48xlarge@aws:us-east-1", "aws:p5.48xlarge:us-east-1:on-demand: 56 USD"},
      {"2xp5.48xlarge@aws:us-west-2", "aws:p5.48xlarge:us-west-2:on-demand: 128 USD"},
      {"P5.48XLARGE:0.5@aws:us-east-1", "aws:p5.48xlarge:us-east-1:on-demand: 28 USD"},
      {"a3-high", "gcp:a3-high:us-central1:on-demand: 80 USD"},
      {"A100-80GB", "gcp:a2-ultra:us-central1:on-demand: 5 USD"},
      {"A100-80GB@azure", "azure:nd96:westeurope:on-demand: 4 USD"},
      {"H100@gcp:us-central1:spot", "no price"},
      {"H100@aws:eu-west-1", "no price"},
      {"H100@oracle", "no price"},
      {"A100", "AmbiguousResource"},
      {"H100@aws", "AmbiguousResource"},
      {"p5.48xlarge", "AmbiguousResource"},
      {"H10", "UnknownResource"},
      {"H100-96GB", "UnknownResource"},
      {"H1000", "UnknownResource"},
      {"80GB", "UnknownResource"}};
  const PriceBook book = sample_book();
  for (const Case& c : kCases) {
    EXPECT_EQ(look_up(book, c.resource), c.expected) << c.resource;
  }
}

// Goal: an ambiguous name is answered with the choices. Method: two GPUs, two places.
TEST(PriceLookUp, ListsTheChoices) {
  const PriceBook book = sample_book();
  std::string error = error_of([&] { (void)book.quote(parse_resource("A100"), today()); });
  EXPECT_NE(error.find("'A100' fits several prices: A100-40GB, A100-80GB;"), std::string::npos)
      << error;
  error = error_of([&] { (void)book.quote(parse_resource("p5.48xlarge"), today()); });
  EXPECT_NE(error.find("p5.48xlarge@aws:us-east-1, p5.48xlarge@aws:us-west-2;"), std::string::npos)
      << error;
}

// Goal: only what fits the place is a choice. Method: azure has one of the two A100s.
TEST(PriceLookUp, AsksOnlyAboutWhatFitsThePlace) {
  EXPECT_EQ(look_up(sample_book(), "A100@azure"), "azure:nd96:westeurope:on-demand: 4 USD");
}

// Goal: an unknown name is answered with the three nearest. Method: names at known distances; ties
// are in alphabetical order, and less than three names are all named.
TEST(PriceLookUp, NamesTheThreeNearest) {
  const auto nearest = [](const std::vector<const char*>& gpus, const char* name) {
    PriceBook book;
    for (const char* gpu : gpus) {
      book.add(machine("test:here:", gpu, 1, "1"));
    }
    const std::string error = error_of([&] { (void)book.quote(parse_resource(name), today()); });
    EXPECT_TRUE(error.starts_with("UnknownResource:")) << error;
    EXPECT_NE(error.find('\'' + std::string(name) + '\''), std::string::npos) << error;
    const std::size_t begin = error.find("nearest: ") + 9;
    return error.substr(begin, error.find(';', begin) - begin);
  };
  EXPECT_EQ(nearest({"MI300X-192GB", "L4-24GB", "H200-141GB", "B200-180GB", "H100-80GB"}, "H101"),
            "H100-80GB, H200-141GB, B200-180GB");
  EXPECT_EQ(nearest({"Z4", "P4", "L4", "A4"}, "T4"), "A4, L4, P4");
  EXPECT_EQ(nearest({"H100-80GB"}, "h10"), "H100-80GB");
  EXPECT_EQ(nearest({}, "H100"), "");
}

// Goal: a price counts from its start, included, to its end, excluded. Method: only the time moves,
// by a nanosecond around both.
TEST(PriceLookUp, ObeysThePeriodOfValidity) {
  PriceRow row = machine("lab:here:box", "H100-80GB", 1, "3");
  row.valid_from = parse_utc("2026-01-01");
  row.valid_to = parse_utc("2026-07-01");
  PriceBook book;
  book.add(row);
  EXPECT_EQ(look_up(book, "H100", row.valid_from - kNanosecond), "no price");
  EXPECT_EQ(look_up(book, "H100", row.valid_from), "lab:box:here:on-demand: 3 USD");
  EXPECT_EQ(look_up(book, "H100", row.valid_to - kNanosecond), "lab:box:here:on-demand: 3 USD");
  EXPECT_EQ(look_up(book, "H100", row.valid_to), "no price");
  row.valid_to = UtcTime{};
  PriceBook open;
  open.add(row);
  EXPECT_EQ(look_up(open, "H100", parse_utc("2200-01-01")), "lab:box:here:on-demand: 3 USD");
}

// Goal: of several editions of a SKU the latest that is valid counts, whatever their order.
// Method: two editions, added both ways; only the time moves.
TEST(PriceLookUp, TakesTheLatestEdition) {
  PriceRow old_edition = machine("lab:here:box", "H100-80GB", 1, "3");
  PriceRow new_edition = machine("lab:here:box", "H100-80GB", 1, "2");
  new_edition.valid_from = parse_utc("2026-06-01");
  for (const bool new_first : {false, true}) {
    PriceBook book;
    book.add(new_first ? new_edition : old_edition);
    book.add(new_first ? old_edition : new_edition);
    EXPECT_EQ(look_up(book, "H100", parse_utc("2026-06-01") - kNanosecond),
              "lab:box:here:on-demand: 3 USD");
    EXPECT_EQ(look_up(book, "H100", parse_utc("2026-06-01")), "lab:box:here:on-demand: 2 USD");
  }
}

// Goal: four quarters of a GPU for an hour are exactly one GPU for an hour, and half a machine is
// half its price. Method: prices of blocks of 1, 8 and 16 GPUs that divide evenly.
TEST(PriceLookUp, SharesAreExact) {
  for (const std::int64_t gpu_count : {1, 8, 16}) {
    PriceBook book;
    book.add(machine("lab:here:box", "H100-80GB", gpu_count, "55.04"));
    const auto hourly = [&](const char* resource) {
      return book.quote(parse_resource(resource), today())->rate().hourly();
    };
    const Money quarter = hourly("H100:0.25");
    EXPECT_EQ((quarter + quarter + quarter + quarter).str(), hourly("H100").str()) << gpu_count;
    EXPECT_EQ((hourly("box:0.5") + hourly("box:0.5")).str(), "55.04 USD") << gpu_count;
    const std::string all = std::to_string(gpu_count) + "xH100";
    EXPECT_EQ(hourly(all.c_str()).str(), hourly("box").str()) << gpu_count;
  }
}

// Goal: an undated price is used with a warning. Method: only the source's date moves.
TEST(PriceLookUp, WarnsOfAnUnknownDate) {
  for (const char* date : {"2026-01-01", "unknown"}) {
    PriceRow row = machine("lab:here:box", "H100-80GB", 1, "3");
    row.source_date = date;
    PriceBook book;
    book.add(row);
    const std::optional<Quote> quote = book.quote(parse_resource("H100"), today());
    ASSERT_TRUE(quote.has_value());
    EXPECT_EQ(quote->warnings.size(), std::string(date) == "unknown" ? 1U : 0U) << date;
  }
}

// Goal: for one GPU the later default takes the place of the earlier one. Method: two defaults of
// one GPU in both orders, beside a default of another GPU that stays.
TEST(PriceBookAdd, KeepsTheLaterDefault) {
  const PriceRow cheap = as_default(machine("lab:here:small", "H100-80GB", 1, "2"));
  const PriceRow dear = as_default(machine("lab:here:big", "h100-80gb", 1, "9"));
  const PriceRow other = as_default(machine("lab:here:old", "A100-80GB", 1, "1"));
  for (const bool cheap_last : {false, true}) {
    PriceBook book;
    book.add(other);
    book.add(cheap_last ? dear : cheap);
    book.add(cheap_last ? cheap : dear);
    EXPECT_TRUE(book.rows()[0].is_default);
    EXPECT_FALSE(book.rows()[1].is_default);
    EXPECT_TRUE(book.rows()[2].is_default);
    EXPECT_FALSE(book.rows()[2].price_id.empty()) << "a row without an id gets one";
  }
}

// --- prices that a user gives --------------------------------------------------------------------

// Goal: a price argument is for the whole or for each GPU. Method: the same resources, both units.
TEST(QuoteExplicit, PricesTheWholeOrEachGpu) {
  struct Case {
    const char* price;
    const char* resource;
    const char* expected_hourly;
  };
  constexpr Case kCases[] = {
      {"24 USD/h", "8xH100", "24 USD"},         {"24 USD/h", "H100:0.5", "24 USD"},
      {"24 USD/h", "2xp5.48xlarge", "24 USD"},  {"3 USD/gpu/h", "8xH100", "24 USD"},
      {"3 USD/gpu/h", "H100:0.5", "1.5 USD"},   {"3 EUR/gpu/h", "8xNoSuchGpu", "24 EUR"},
      {"3 USD/gpu/h", "p5.48xlarge", "24 USD"}, {"3 USD/gpu/h", "2xp5.48xlarge", "48 USD"}};
  const PriceBook book = sample_book();
  for (const Case& c : kCases) {
    const Quote quote = book.quote_explicit(c.price, parse_resource(c.resource));
    EXPECT_EQ(quote.rate().hourly().str(), c.expected_hourly) << c.price << " for " << c.resource;
    EXPECT_TRUE(quote.warnings.empty()) << c.price;
    EXPECT_FALSE(quote.price.price_id.empty()) << c.price;
  }
  EXPECT_EQ(book.quote_explicit("24 USD/h", std::nullopt).rate().hourly().str(), "24 USD");
  EXPECT_NE(book.quote_explicit("24 USD/h", std::nullopt).price.price_id.str(),
            book.quote_explicit("25 USD/h", std::nullopt).price.price_id.str());
}

// Goal: a price that cannot be understood is refused. Method: malformed; per GPU of nothing.
TEST(QuoteExplicit, RefusesWhatItCannotPrice) {
  const PriceBook book = sample_book();
  for (const char* price : {"24", "24 USD", "-1 USD/h", "24 USD/day"}) {
    EXPECT_EQ(code_of([&] { (void)book.quote_explicit(price, parse_resource("H100")); }),
              "InvalidMoney")
        << price;
  }
  EXPECT_EQ(code_of([&] { (void)book.quote_explicit("3 USD/gpu/h", std::nullopt); }),
            "InvalidArgument");
}

// Goal: a price per GPU needs the number of GPUs. Method: a machine whose row does not know it.
TEST(QuoteExplicit, RefusesAPricePerGpuOfAnUnknownCount) {
  PriceBook book;
  book.add(book.make_user_price("box", "24 USD/h", "ana", today()));
  EXPECT_EQ(code_of([&] { (void)book.quote_explicit("3 USD/gpu/h", parse_resource("box")); }),
            "InvalidArgument");
}

// Goal: a price set by hand says who set it, for what and from when. Method: both units.
TEST(UserPrice, MakesACompleteRow) {
  const PriceBook book = sample_book();
  const PriceRow gpu = book.make_user_price("h100", "3 USD/gpu/h", "ana", today());
  EXPECT_EQ(gpu.gpu, "H100-80GB") << "the book's name";
  EXPECT_EQ(gpu.gpu_count, 1);
  EXPECT_EQ(gpu.instance_type, "");
  EXPECT_EQ(gpu.sku_id, "local:H100-80GB");
  EXPECT_EQ(gpu.list_unit_price.str(), "3 USD");
  EXPECT_EQ(format_utc(gpu.valid_from), "2026-11-24T00:00:00Z");
  EXPECT_EQ(gpu.source, "set by ana");
  EXPECT_EQ(gpu.source_date, "2026-11-24");
  EXPECT_TRUE(gpu.is_default && gpu.is_user_set);
  EXPECT_EQ(gpu.price_id.str(), make_price_id(gpu).str());
  const PriceRow box = book.make_user_price("box", "24 USD/h", "ana", today());
  EXPECT_EQ(box.gpu, "");
  EXPECT_EQ(box.instance_type, "box");
  EXPECT_EQ(box.sku_id, "local:box");
  for (const char* name : {"8xH100", "H100:0.5", ""}) {
    EXPECT_EQ(code_of([&] { (void)book.make_user_price(name, "3 USD/gpu/h", "ana", today()); }),
              "InvalidArgument")
        << name;
  }
  EXPECT_EQ(code_of([&] { (void)book.make_user_price("H100", "3 USD", "ana", today()); }),
            "InvalidMoney");
}

// The sample book with prices that ana set, each "NAME = PRICE", all from `valid_from`.
PriceBook book_with(const std::vector<const char*>& prices, UtcTime valid_from) {
  PriceBook book = sample_book();
  for (const std::string text : prices) {
    const std::size_t equals = text.find(" = ");
    book.add(book.make_user_price(text.substr(0, equals), text.substr(equals + 3), "ana",
                                  valid_from));
  }
  return book;
}

// Goal: a user's price of a GPU takes the place of the default. Method: one GPU's price is set; it,
// its places and another GPU are looked up.
TEST(UserPrice, OverridesTheDefault) {
  const PriceBook book = book_with({"H100 = 3 USD/gpu/h"}, parse_utc("2026-01-01"));
  EXPECT_EQ(look_up(book, "H100"), "local:H100-80GB: 3 USD");
  EXPECT_EQ(look_up(book, "8xH100"), "local:H100-80GB: 24 USD");
  EXPECT_EQ(look_up(book, "8xH100@gcp"), "gcp:a3-high:us-central1:on-demand: 80 USD");
  EXPECT_EQ(look_up(book, "A100-80GB"), "gcp:a2-ultra:us-central1:on-demand: 5 USD");
  const PriceBook own = book_with({"box = 24 USD/h", "TPU = 1 USD/gpu/h"}, parse_utc("2026-01-01"));
  EXPECT_EQ(look_up(own, "2xbox"), "local:box: 48 USD");
  EXPECT_EQ(look_up(own, "4xtpu"), "local:TPU: 4 USD");
}

// Goal: so does a user's price of a machine that the book knows. Method: one and two places.
TEST(UserPrice, OverridesTheBookForAMachine) {
  for (const char* name : {"a3-high", "p5.48xlarge"}) {
    const std::string price = std::string(name) + " = 40 USD/h";
    const PriceBook book = book_with({price.c_str()}, parse_utc("2026-01-01"));
    EXPECT_EQ(look_up(book, name), "local:" + std::string(name) + ": 40 USD");
  }
}

// Goal: and a price for a name that was ambiguous before. Method: "A100" fits two GPUs.
TEST(UserPrice, OverridesAnAmbiguousName) {
  const PriceBook book = book_with({"A100 = 1 USD/gpu/h"}, parse_utc("2026-01-01"));
  EXPECT_EQ(look_up(book, "A100"), "local:A100: 1 USD");
  EXPECT_EQ(look_up(book, "A100-80GB"), "gcp:a2-ultra:us-central1:on-demand: 5 USD");
}

// Goal: but a price of one GPU is no answer for a name that fits two. Method: only the exact name
// of one of the two A100s has a user's price.
TEST(UserPrice, LeavesAmbiguousNamesAmbiguous) {
  const PriceBook book = book_with({"A100-80GB = 1 USD/gpu/h"}, parse_utc("2026-01-01"));
  EXPECT_EQ(look_up(book, "A100-80GB"), "local:A100-80GB: 1 USD");
  EXPECT_EQ(look_up(book, "A100-40GB"), "gcp:a2-high:us-central1:on-demand: 4 USD");
  EXPECT_EQ(look_up(book, "A100"), "AmbiguousResource");
}

// Goal: and a price for one place. Method: a user's price where the book has one.
TEST(UserPrice, OverridesTheBookAtAPlace) {
  const PriceBook book = book_with({"H100@aws:us-east-1 = 3 USD/gpu/h"}, parse_utc("2026-01-01"));
  EXPECT_EQ(look_up(book, "8xH100@aws:us-east-1"), "aws:H100-80GB:us-east-1: 24 USD");
  EXPECT_EQ(look_up(book, "H100"), "gcp:a3-high:us-central1:on-demand: 10 USD");
}

// Goal: the price set last counts. Method: two prices from the same day on, of a GPU and a machine.
TEST(UserPrice, CountsAsItWasSetLast) {
  const PriceBook book =
      book_with({"H100 = 3 USD/gpu/h", "H100 = 2 USD/gpu/h", "box = 30 USD/h", "box = 20 USD/h"},
                parse_utc("2026-01-01"));
  EXPECT_EQ(look_up(book, "H100"), "local:H100-80GB: 2 USD");
  EXPECT_EQ(look_up(book, "box"), "local:box: 20 USD");
}

// Goal: a price does not change what came before it. Method: a price from next year on; the time
// moves over its start.
TEST(UserPrice, LeavesTheTimeBeforeItAlone) {
  const UtcTime start = parse_utc("2027-01-01");
  const PriceBook book = book_with({"H100 = 3 USD/gpu/h"}, start);
  EXPECT_EQ(look_up(book, "H100", start - kNanosecond),
            "gcp:a3-high:us-central1:on-demand: 10 USD");
  EXPECT_EQ(look_up(book, "H100", start), "local:H100-80GB: 3 USD");
}

}  // namespace
}  // namespace finops
