// pricing.cpp - binds rates: what a span of use costs, and how long an amount lasts.
//
// Owns: Rate, RateQuote, rates of a resource. Does not own: the look-up (pricing), the rounding
// (money/rate.hpp).
#include "convert.hpp"
#include "finops/base/error.hpp"
#include "finops/pricing/price_book.hpp"

namespace finops::bindings {
namespace {

/// A quote as a forecast needs it: the rate of the whole resource, and how many GPUs that is.
struct RateQuote {
  PriceRow row;
  Rate rate;
  std::int64_t gpu_count = 0;  // 0: nobody knows; a part of a GPU counts as one
  std::vector<std::string> warnings;
};

std::int64_t whole_gpus(std::int64_t micro_count, std::int64_t gpus_of_each) {
  const Int128 micros = Int128{micro_count} * gpus_of_each;
  return static_cast<std::int64_t>((micros + kMicrosPerUnit - 1) / kMicrosPerUnit);
}

RateQuote rate_quote(const Quote& quote, std::int64_t micro_count) {
  // A block of one unit is a machine, whose row says how many GPUs it has, or a single GPU.
  const bool is_whole = quote.block_micro_gpus == kMicrosPerUnit;
  const std::int64_t gpus_of_each = is_whole ? quote.price.gpu_count : 1;
  return {quote.price, quote.rate(), whole_gpus(micro_count, gpus_of_each), quote.warnings};
}

std::optional<RateQuote> quote_rate(const PriceBook& book, const std::string& text) {
  const Resource resource = parse_resource(text);
  const std::optional<Quote> quote = book.quote(resource, SystemClock{}.now().utc);
  return quote.has_value() ? std::optional{rate_quote(*quote, resource.micro_count)} : std::nullopt;
}

Rate explicit_rate(const PriceBook& book, const std::string& price, const std::string& text) {
  std::optional<Resource> resource;
  if (!text.empty()) {
    resource = parse_resource(text);
  }
  return book.quote_explicit(price, resource).rate();
}

}  // namespace

void bind_pricing(py::module_& module) {
  py::class_<Rate>(module, "Rate", py::is_final(), "What time costs; the one place that rounds.")
      .def_static("whole", &Rate::whole, py::arg("price_per_hour"))
      .def_property_readonly("hourly", &Rate::hourly)
      .def(
          "cost_of",
          [](const Rate& rate, std::int64_t nanoseconds) {
            return rate.cost_of(Nanoseconds{nanoseconds});
          },
          py::arg("nanoseconds"), "Rounded once, half to even. Raises InvalidArgument below 0.")
      .def(
          "affordable",
          [](const Rate& rate, const Money& amount) { return rate.affordable(amount).count(); },
          py::arg("amount"), "The longest span, in nanoseconds, that costs at most `amount`.");
  py::class_<RateQuote>(module, "RateQuote", py::is_final())
      .def_readonly("row", &RateQuote::row)
      .def_readonly("rate", &RateQuote::rate)
      .def_readonly("gpu_count", &RateQuote::gpu_count)
      .def_readonly("warnings", &RateQuote::warnings);
  module.def("quote_rate", &quote_rate, py::arg("book"), py::arg("resource"),
             "The rate of a whole resource; None: known, but without a price.");
  module.def("explicit_rate", &explicit_rate, py::arg("book"), py::arg("price"),
             py::arg("resource") = "");
  module.def(
      "parse_resource",
      [](const std::string& text) {
        const Resource resource = parse_resource(text);
        return py::make_tuple(resource.name, whole_gpus(resource.micro_count, 1));
      },
      py::arg("text"), "Its name, and how many of it; a part counts as one.");
}

}  // namespace finops::bindings
