// fuzz_price_book.cpp - a price book's JSON, and quotes out of what was read.
//
// Invariants: a book is read in full or refused with an Error; each of its rows can be asked for.
#include "finops/pricing/price_book.hpp"
#include "fuzz.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace finops;  // NOLINT(google-build-using-namespace): a target, not a library
  fuzz::Bytes bytes(data, size);
  const std::string text = bytes.rest();
  fuzz::is_allowed([&] {
    const PriceBook book = PriceBook::parse(text, "fuzz");
    for (const PriceRow& row : book.rows()) {
      fuzz::require(!row.list_unit_price.is_zero() && !row.list_unit_price.is_negative(),
                    "a list price is above zero");
      for (const std::string& name : {row.gpu, row.instance_type, "2x" + row.gpu}) {
        fuzz::is_allowed([&] {
          const Resource resource = parse_resource(name);
          if (const auto quote = book.quote(resource, row.valid_from)) {
            (void)quote->rate().hourly();
          }
          (void)book.quote_explicit("3 USD/gpu/h", resource).rate().hourly();
        });
      }
      fuzz::is_allowed([&] { (void)book.make_user_price(row.gpu, "3 USD/gpu/h", "ada", {}); });
    }
  });
  return 0;
}
