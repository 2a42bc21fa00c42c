// convert.hpp - values that cross the border between C++ and Python.
//
// Owns: Money <-> Decimal text, times <-> aware datetime and timedelta, error translation.
// Does not own: any logic.
#pragma once

#include <pybind11/chrono.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <optional>
#include <string>

#include "finops/base/clock.hpp"
#include "finops/money/money.hpp"

namespace finops::bindings {

namespace py = pybind11;

/// An aware datetime in UTC; None for the epoch, which means "never" or "unknown".
py::object to_datetime(UtcTime time);
/// The opposite, to the microsecond; None is the epoch. Throws Error(InvalidArgument) without a
/// time zone and past +-292 years, a TypeError for what is no datetime.
UtcTime from_datetime(const py::handle& time);
/// A timedelta, in whole microseconds (its finest unit).
py::object to_timedelta(Nanoseconds span);
/// From a timedelta or a number of seconds. Throws Error(InvalidArgument) past +-292 years.
Nanoseconds from_timedelta(const py::handle& span);
std::optional<Nanoseconds> from_optional_timedelta(const py::handle& span);

/// Takes `__new__` from a class that C++ alone makes: pybind11 would hand out an instance without a
/// value, and its members would read memory that nobody wrote.
template <class Type>
void forbid_new(const Type& type) {
  reinterpret_cast<PyTypeObject*>(type.ptr())->tp_new = [](PyTypeObject* python_type, PyObject*,
                                                           PyObject*) -> PyObject* {
    PyErr_Format(PyExc_TypeError, "%s is made by finops, not by calling it", python_type->tp_name);
    return nullptr;
  };
}

void bind_errors(py::module_& module);
void bind_money(py::module_& module);
void bind_records(py::module_& module);
void bind_budget_records(py::module_& module);
void bind_lineage_records(py::module_& module);
void bind_forecast_records(py::module_& module);
void bind_ledger(py::module_& module);
void bind_pricing(py::module_& module);
void bind_genealogy(py::module_& module);
void bind_policy(py::module_& module);
void bind_agent(py::module_& module);
void bind_run(py::module_& module);
void bind_cost_graph(py::module_& module);
void bind_predict_forest(py::module_& module);
void bind_predict_scorer(py::module_& module);
void bind_predict_features(py::module_& module);
void bind_predict_forecaster(py::module_& module);
void bind_predict_chance(py::module_& module);

}  // namespace finops::bindings
