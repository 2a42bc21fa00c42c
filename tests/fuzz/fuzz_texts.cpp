// fuzz_texts.cpp - the texts that people type: resources, prices, money, times, periods, ids.
//
// Invariants: a text is read or refused with an Error; what was read is written back in a form that
// reads as the same.
#include "finops/base/ids.hpp"
#include "finops/money/rate.hpp"
#include "finops/record/budget.hpp"
#include "finops/record/charge.hpp"
#include "finops/record/period.hpp"
#include "finops/record/resource.hpp"
#include "fuzz.hpp"

namespace {

using namespace finops;  // NOLINT(google-build-using-namespace): a target, not a library

void read_money(const std::string& text) {
  fuzz::is_allowed([&] {
    const Money money = Money::parse(text);
    fuzz::require(Money::parse(money.str()) == money, "money reads back: " + money.str());
    fuzz::is_allowed([&] {
      fuzz::require(Money::from_stored(money.to_stored(), money.currency()) == money, "stored");
    });
  });
  fuzz::is_allowed([&] { (void)Money::parse(text, Currency::usd()); });
  fuzz::is_allowed([&] { fuzz::require(Currency(text).str() == text, "currency reads back"); });
}

void read_price(const std::string& text) {
  fuzz::is_allowed([&] {
    const PriceText price = parse_price(text);
    const Rate rate = Rate::whole(price.amount);
    const Money hour = rate.hourly();
    const Nanoseconds span = rate.affordable(hour);
    fuzz::require(span >= std::chrono::hours{1}, "an hour's price pays for an hour");
    fuzz::require(rate.is_free() || rate.cost_of(span) <= hour, "and for no more than it costs");
  });
}

void read_resource(const std::string& text) {
  fuzz::is_allowed([&] {
    const Resource resource = parse_resource(text);
    fuzz::require(resource.micro_count >= 1 && resource.micro_count <= 1'000'000'000'000,
                  "a count within its limits");
    fuzz::require(!resource.name.empty(), "a resource has a name");
  });
}

void read_times(const std::string& text) {
  fuzz::is_allowed([&] {
    const UtcTime time = parse_utc(text);
    const std::string written = format_utc(time);
    fuzz::require(time == UtcTime{} || parse_utc(written) == time, "a time reads back: " + written);
  });
  fuzz::is_allowed([&] {
    const Period period = Period::parse(text);
    fuzz::require(Period::parse(period.str()) == period, "a period reads back: " + period.str());
  });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Bytes bytes(data, size);
  const std::size_t kind = bytes.choice(7);
  const std::int64_t number = kind == 4 ? bytes.integer() : 0;
  const std::string text = bytes.rest();
  switch (kind) {
    case 0: read_money(text); break;
    case 1: read_price(text); break;
    case 2: read_resource(text); break;
    case 3: read_times(text); break;
    case 4:
      fuzz::is_allowed([&] {  // any time has its window, within the range of a time
        const UtcTime time{Nanoseconds{number}};
        const Period period = Period::parse(text);
        const PeriodWindow window = period.window_at(time);
        fuzz::require((period.is_lifetime() || window.start <= time) &&
                          (time < window.end || window.end == UtcTime::max()),
                      "a window holds its time");
      });
      break;
    case 5: fuzz::is_allowed([&] { (void)parse_budget_id(BudgetId{text}); }); break;
    default:
      fuzz::require(!is_file_safe(text) || is_valid_id(text), "file-safe ids are ids");
      fuzz::is_allowed([&] { (void)make_event_id(AttemptId{text}, "usage", number); });
  }
  return 0;
}
