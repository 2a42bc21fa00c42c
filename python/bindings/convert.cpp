// convert.cpp - times, spans and errors.
#include "convert.hpp"

#include <array>
#include <cmath>

#include "finops/base/error.hpp"

namespace finops::bindings {
namespace {

// Name of an ErrorCode -> Python class. Leaked on purpose: it must outlive the interpreter's end.
py::dict& error_classes() {
  static auto* classes = new py::dict;
  return *classes;
}

void raise(const char* name, const char* message) {
  const py::dict& classes = error_classes();
  if (classes.contains(name)) {
    PyErr_SetString(classes[name].ptr(), message);
  } else {
    PyErr_SetString(PyExc_RuntimeError, message);
  }
}

}  // namespace

py::object to_datetime(UtcTime time) {
  if (time == UtcTime{}) {
    return py::none();
  }
  static auto* from_timestamp =
      new py::object(py::module_::import("datetime").attr("datetime").attr("fromtimestamp"));
  static auto* utc = new py::object(py::module_::import("datetime").attr("timezone").attr("utc"));
  const auto seconds = std::chrono::floor<std::chrono::seconds>(time);
  const auto microseconds =
      std::chrono::duration_cast<std::chrono::microseconds>(time - seconds).count();
  const py::object whole = (*from_timestamp)(seconds.time_since_epoch().count(), *utc);
  return whole.attr("replace")(py::arg("microsecond") = microseconds);
}

UtcTime from_datetime(const py::handle& time) {
  if (time.is_none()) {
    return {};
  }
  static auto* module = new py::object(py::module_::import("datetime"));
  if (!py::isinstance(time, module->attr("datetime"))) {
    throw py::type_error("a time is a datetime.datetime with a time zone, not " +
                         py::repr(time).cast<std::string>());
  }
  FINOPS_REQUIRE(!time.attr("utcoffset")().is_none(), ErrorCode::InvalidArgument,
                 "the time " + py::str(time).cast<std::string>() +
                     " has no time zone; add tzinfo=datetime.timezone.utc");
  static auto* epoch = new py::object(module->attr("datetime")(
      1970, 1, 1, py::arg("tzinfo") = module->attr("timezone").attr("utc")));
  return UtcTime{from_timedelta(time.attr("__sub__")(*epoch))};
}

py::object to_timedelta(Nanoseconds span) {
  return py::cast(std::chrono::duration_cast<std::chrono::microseconds>(span));
}

Nanoseconds from_timedelta(const py::handle& span) {
  if (PyLong_Check(span.ptr()) != 0) {  // a whole number of seconds; floats are taken as well
    const double seconds = PyLong_AsDouble(span.ptr());
    PyErr_Clear();  // an int past a float's range reads as -1 with an error: refused below
    const bool fits =
        std::abs(seconds) < 9e9 &&
        PyObject_RichCompareBool(span.ptr(), py::int_(static_cast<long long>(seconds)).ptr(),
                                 Py_EQ) == 1;
    FINOPS_REQUIRE(fits, ErrorCode::InvalidArgument, "a span of more than 292 years");
    return from_timedelta(py::float_(seconds));
  }
  static auto* timedelta = new py::object(py::module_::import("datetime").attr("timedelta"));
  if (PyFloat_Check(span.ptr()) == 0 && !py::isinstance(span, *timedelta)) {
    throw py::type_error("a span is a datetime.timedelta or a number of seconds, not " +
                         py::repr(span).cast<std::string>());
  }
  const double seconds = PyFloat_Check(span.ptr()) != 0 ? PyFloat_AsDouble(span.ptr()) : 0;
  FINOPS_REQUIRE(std::abs(seconds) < 9e9, ErrorCode::InvalidArgument,  // also refuses nan
                 "a span must be a number of seconds below 292 years");
  const auto microseconds = span.cast<std::chrono::microseconds>();
  constexpr std::chrono::microseconds kLimit{INT64_MAX / 1'000};
  FINOPS_REQUIRE(microseconds <= kLimit && microseconds >= -kLimit, ErrorCode::InvalidArgument,
                 "a span of more than 292 years");
  return microseconds;
}

std::optional<Nanoseconds> from_optional_timedelta(const py::handle& span) {
  return span.is_none() ? std::nullopt : std::optional(from_timedelta(span));
}

void bind_errors(py::module_& module) {
  module.def("set_error_classes", [](const py::dict& classes) {
    for (const auto& item : classes) {
      error_classes()[item.first] = item.second;
    }
  });
  // pybind11 fixes the signature.
  // NOLINTNEXTLINE(performance-unnecessary-value-param)
  py::register_exception_translator([](std::exception_ptr pointer) {
    try {
      if (pointer) {
        std::rethrow_exception(pointer);
      }
    } catch (const Error& error) {
      raise(std::string(error_code_name(error.code())).c_str(), error.what());
    } catch (const InternalError& error) {
      raise("InternalError", error.what());
    }
  });
}

}  // namespace finops::bindings
