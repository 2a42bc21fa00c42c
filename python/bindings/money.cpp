// money.cpp - binds Money.
#include <pybind11/operators.h>

#include "convert.hpp"
#include "finops/base/error.hpp"

namespace finops::bindings {
namespace {

// Decimal's own text may carry an exponent ("1E+2"): format(d, "f") never does.
std::string decimal_text(const py::object& amount) {
  if (py::isinstance<py::str>(amount)) {
    return amount.cast<std::string>();
  }
  static auto* decimal = new py::object(py::module_::import("decimal").attr("Decimal"));
  if (PyLong_Check(amount.ptr()) != 0 && PyBool_Check(amount.ptr()) == 0) {
    return py::str(amount).cast<std::string>();
  }
  if (py::isinstance(amount, *decimal)) {
    return amount.attr("__format__")("f").cast<std::string>();
  }
  throw py::type_error("an amount of money is a str, int or decimal.Decimal, never a float: " +
                       py::repr(amount).cast<std::string>());
}

py::object to_decimal(const Money& money) {
  static auto* decimal = new py::object(py::module_::import("decimal").attr("Decimal"));
  return (*decimal)(money.amount_text());
}

Money multiply(const Money& money, const py::int_& factor) {
  int overflow = 0;
  const long long times = PyLong_AsLongLongAndOverflow(factor.ptr(), &overflow);
  Int128 product = 0;
  const bool fits =
      overflow == 0 && !__builtin_mul_overflow(money.picos(), Int128{times}, &product);
  FINOPS_REQUIRE(fits, ErrorCode::Overflow, "product exceeds the range of about 1.7e26 units");
  return Money::from_picos(product, money.currency());
}

}  // namespace

void bind_money(py::module_& module) {
  py::class_<Money>(module, "Money", py::is_final(),
                    "An exact amount of one currency.\n\n"
                    "Made from text, int or Decimal with at most 12 decimals; never from float.\n"
                    "Raises InvalidMoney, CurrencyMismatch (two currencies met), MoneyOverflow.")
      .def(py::init([](const py::object& amount, const std::string& currency) {
             return Money::parse(decimal_text(amount), Currency(currency));
           }),
           py::arg("amount"), py::arg("currency") = "USD")
      .def_static(
          "parse", [](const std::string& text) { return Money::parse(text); }, py::arg("text"),
          "Parses \"24.50 USD\". Raises InvalidMoney with the column of the fault.")
      .def_property_readonly("amount", &to_decimal, "The exact amount as a Decimal.")
      .def_property_readonly("currency", [](const Money& money) { return money.currency().str(); })
      .def(
          "split",
          [](const Money& money, const std::vector<std::int64_t>& weights) {
            return money.split(weights);
          },
          py::arg("weights"), "Whole picos that add up exactly: largest remainder, ties in order.")
      .def(py::self + py::self)
      .def(py::self - py::self)
      .def(-py::self)
      .def(py::self == py::self)
      .def(
          "__lt__", [](const Money& a, const Money& b) { return a < b; }, py::is_operator())
      .def(
          "__le__", [](const Money& a, const Money& b) { return a <= b; }, py::is_operator())
      .def(
          "__gt__", [](const Money& a, const Money& b) { return a > b; }, py::is_operator())
      .def(
          "__ge__", [](const Money& a, const Money& b) { return a >= b; }, py::is_operator())
      .def("__mul__", &multiply, py::is_operator())
      .def("__rmul__", &multiply, py::is_operator())
      .def("__bool__", [](const Money& money) { return !money.is_zero(); })
      .def("__hash__", [](const Money& money) { return py::hash(py::str(money.str())); })
      .def("__str__", [](const Money& money) { return money.str(); })
      .def("__repr__",
           [](const Money& money) {
             return "Money('" + money.amount_text() + "', '" + money.currency().str() + "')";
           })
      .def(py::pickle([](const Money& money) { return py::make_tuple(money.str()); },
                      [](const py::tuple& state) {
                        return Money::parse(state[0].cast<std::string>());
                      }));
}

}  // namespace finops::bindings
