// run.cpp - binds Run: the hot calls as bare method descriptors, the rest by pybind11.
#include "finops/tracker/run.hpp"

#include <array>

#include "convert.hpp"
#include "finops/base/error.hpp"
#include "options.hpp"
#include "release.hpp"

namespace finops::bindings {
namespace {

// finops.Directive's members by value; leaked on purpose, the descriptors may outlive the module.
std::array<PyObject*, 4> directive_members{};

// The C++ Run behind a Python object. A pybind11 method costs 170-185 ns a call, a descriptor about
// what an empty function costs, so the three hot calls read the instance themselves. Null if the
// object was never initialised (Run.__new__ alone).
Run* run_of(PyObject* self) noexcept {
  auto* instance = reinterpret_cast<py::detail::instance*>(self);
  void* value = instance->simple_layout ? instance->simple_value_holder[0]
                                        : instance->nonsimple.values_and_holders[0];
  return static_cast<Run*>(value);
}

PyObject* progress(PyObject* self, PyObject* step) {
  const long long value = PyLong_AsLongLong(step);
  if (value == -1 && PyErr_Occurred() != nullptr) {
    if (PyErr_ExceptionMatches(PyExc_OverflowError) == 0) {
      return nullptr;  // a TypeError: the one thing a hot call may raise
    }
    PyErr_Clear();  // a step past 64 bits is progress all the same
  }
  if (Run* run = run_of(self)) {
    run->progress(value);
  }
  Py_RETURN_NONE;
}

PyObject* heartbeat(PyObject* self, PyObject*) {
  if (Run* run = run_of(self)) {
    run->heartbeat();
  }
  Py_RETURN_NONE;
}

PyObject* check_budget(PyObject* self, PyObject*) {
  Run* run = run_of(self);
  const Directive directive = run == nullptr ? Directive::CONTINUE : run->check_budget();
  PyObject* member = directive_members[static_cast<std::size_t>(directive)];
  Py_INCREF(member);
  return member;
}

std::array<PyMethodDef, 3> hot_methods{{
    {"progress", progress, METH_O,
     "progress($self, step, /)\n--\n\nReport that work went on, at `step`. Costs about an empty "
     "function call.\n\nRaises TypeError if `step` is not an int; nothing else."},
    {"heartbeat", heartbeat, METH_NOARGS,
     "heartbeat($self, /)\n--\n\nReport that work went on, without a step."},
    {"check_budget", check_budget, METH_NOARGS,
     "check_budget($self, /)\n--\n\nMay the run go on? A finops.Directive; CONTINUE is falsy.\n\n"
     "CHECKPOINT: save now and call `checkpointed`. PAUSE and STOP: leave the loop. Is no "
     "progress: a loop that only asks is still silent."},
}};

void add_hot_methods(py::class_<Run>& type) {
  auto* python_type = reinterpret_cast<PyTypeObject*>(type.ptr());
  for (PyMethodDef& method : hot_methods) {
    type.attr(method.ml_name) =
        py::reinterpret_steal<py::object>(PyDescr_NewMethod(python_type, &method));
  }
}

void bind_hot_setup(py::module_& module) {
  module.def("set_directives", [](const py::tuple& members) {
    FINOPS_REQUIRE(members.size() == directive_members.size(), ErrorCode::InvalidArgument,
                   "four directives are expected");
    for (std::size_t i = 0; i < directive_members.size(); ++i) {
      Py_XDECREF(directive_members[i]);
      directive_members[i] = py::object(members[i]).release().ptr();
    }
  });
  // A slow path waits for locks and disks: other Python threads go on meanwhile.
  Run::set_slow_path_wrapper([](void (*body)(Run*) noexcept, Run* run) {
    const ReleaseGil release;
    body(run);
  });
  for (std::size_t i = 0; i < directive_members.size(); ++i) {
    directive_members[i] = PyLong_FromSize_t(i);  // until finops.Directive is there
  }
}

void bind_lineage(py::class_<Run>& type) {
  type.def("used", &Run::used, py::arg("what"), py::kw_only(), py::arg("step") = py::none(),
           Release(),
           "Record that the run read `what`: a dataset by its name, \"model:base\" or\n"
           "\"checkpoint:...\". Any rank may say it; the same again is a no-op.\n\n"
           "When this returns, it is in the ledger. Only where the ledger cannot be had (and\n"
           "fail_open is True) it waits in memory, `warnings` says so, and it is written with the\n"
           "next commit, settlement or finish; finish keeps it in a file for the next start. A\n"
           "process that is killed before loses it.\n\n"
           "Raises InvalidArgument for a bad name, for what no run can read, and for a cycle\n"
           "(naming its path); Conflict if it was recorded with another step; with\n"
           "fail_open=False also LedgerUnavailable and the like.")
      .def("produced", &Run::produced, py::arg("what"), py::kw_only(), py::arg("step") = py::none(),
           Release(),
           "Record that the run made `what`: a model by its name, or \"dataset:tokens\".\n\n"
           "Otherwise as `used`.")
      .def("deployed", &Run::deployed, py::arg("model"), py::arg("endpoint"), Release(),
           "Record that `model` is served at `endpoint`, and that this run serves it.\n\n"
           "Otherwise as `used`.");
}

void bind_outlook(py::class_<Run>& type) {
  type.def_property_readonly("step", [](const Run& run) { return run.step(); })
      .def_property_readonly("elapsed", py::cpp_function([](const Run& run) {
                               Nanoseconds span{};
                               {
                                 const ReleaseGil release;
                                 span = run.elapsed();
                               }
                               return to_timedelta(span);
                             }))
      .def_property_readonly("rate", [](const Run& run) { return run.rate(); })
      .def_property_readonly("resource", [](const Run& run) { return run.info().resource; })
      .def_property_readonly("price_id", [](const Run& run) { return run.info().price_id; })
      .def_property_readonly("user_name", [](const Run& run) { return run.info().user_name; })
      .def_property_readonly("home", [](const Run& run) { return run.home_path(); })
      .def_property_readonly("started_at",
                             [](const Run& run) { return to_datetime(run.info().started_at.utc); })
      .def(
          "forecast",
          [](const py::object& self) {
            return py::module_::import("finops.predict.live").attr("forecast_of_run")(self);
          },
          "What the whole run will use and cost, from its progress and from past runs.\n\n"
          "Gives a finops.predict.Forecast that is never below what was used already. Steps\n"
          "left count if init was told planned_steps. A broken or missing model is a warning\n"
          "and a wide forecast; it never raises for the ledger's sake.");
}

void bind_properties(py::class_<Run>& type) {
  type.def_property_readonly("run_id", [](const Run& run) { return run.run_id().str(); })
      .def_property_readonly("attempt_id",
                             [](const Run& run) { return run.info().attempt_id.str(); })
      .def_property_readonly("attempt_number", [](const Run& run) { return run.attempt_number(); })
      .def_property_readonly("project", [](const Run& run) { return run.info().project; })
      .def_property_readonly("experiment", [](const Run& run) { return run.info().experiment; })
      .def_property_readonly("name", [](const Run& run) { return run.info().name; })
      .def_property_readonly("resume_from", [](const Run& run) { return run.resume_from(); })
      .def_property_readonly("cost",
                             py::cpp_function([](const Run& run) { return run.cost(); }, Release()))
      .def_property_readonly("price_per_hour", [](const Run& run) { return run.price_per_hour(); })
      .def_property_readonly("budget", py::cpp_function([](const Run& run) { return run.budget(); },
                                                        Release()))
      .def_property_readonly("status", [](const Run& run) { return run_status_name(run.status()); })
      .def_property_readonly("reason", py::cpp_function([](const Run& run) { return run.reason(); },
                                                        Release()))
      .def_property_readonly("is_owner", [](const Run& run) { return run.is_owner(); })
      .def_property_readonly("is_keeper", [](const Run& run) { return run.is_keeper(); })
      .def_property_readonly("max_duration",
                             [](const Run& run) -> py::object {
                               const Nanoseconds limit = run.info().max_duration;
                               return limit > Nanoseconds::zero() ? to_timedelta(limit)
                                                                  : py::none();
                             })
      .def_property_readonly("warnings",
                             py::cpp_function([](const Run& run) { return run.warnings(); },
                                              Release()))
      .def_property_readonly("slow_path_time",
                             [](const Run& run) { return to_timedelta(run.slow_path_time()); });
}

void bind_end(py::class_<Run>& type) {
  type.def(
          "expect_silence",
          [](Run& run, const py::object& span, const std::string& why) {
            run.expect_silence(from_timedelta(span), why);
          },
          py::arg("span"), py::arg("why"),
          "Announce up to `span` (timedelta or seconds, at most a day) without progress.\n\n"
          "Raises InvalidArgument for a longer span or without a reason.")
      .def(
          "finish",
          [](Run& run, const std::string& status, const std::string& reason) {
            const RunStatus end = parse_run_status(status);
            FINOPS_REQUIRE(end != RunStatus::RUNNING, ErrorCode::InvalidArgument,
                           "RUNNING is no end; write FINISHED, PAUSED, FAILED or KILLED");
            run.finish(end, reason);
          },
          py::arg("status"), py::arg("reason"), Release());
}

}  // namespace

void bind_run(py::module_& module) {
  bind_options(module);
  bind_hot_setup(module);
  py::class_<Run> type(module, "Run", py::is_final(),
                       "One attempt of a training run. Made by finops.init().");
  type.def_static("start", &Run::start, py::arg("options"), Release())
      .def(
          "checkpointed",
          [](Run& run, std::int64_t step, const py::object& path) {
            const auto text =
                py::module_::import("os").attr("fsencode")(path).cast<std::string>();  // bytes
            const ReleaseGil release;
            run.checkpointed(step, text);
          },
          py::arg("step"), py::arg("path"),
          "Confirm that a checkpoint lies whole at `path` (str or PathLike, up to 700 bytes).\n\n"
          "After a CHECKPOINT directive the next one is PAUSE. Of several ranks one is enough; "
          "the\n"
          "same from another one is a no-op.")
      .def(
          "commit", [](Run& run) { run.commit(); }, Release(),
          "Settle up to now: what it returned for survives power loss. Of several ranks only the\n"
          "keeper settles; for the others it does nothing.\n\n"
          "Raises LedgerUnavailable if that cannot be had.")
      .def(
          "request_budget",
          [](Run& run, const Money& amount, const std::string& reason) {
            return run.request_budget(amount, reason).str();
          },
          py::arg("amount"), py::arg("reason"), Release(),
          "Ask for `amount` (Money or \"2 USD\") more, of the hard budget with the least left.\n"
          "Returns the request's id.\n\n"
          "Raises NotFound if the run has no budget.")
      .def(
          "request_budget",
          [](Run& run, const std::string& amount, const std::string& reason) {
            return run.request_budget(Money::parse(amount), reason).str();
          },
          py::arg("amount"), py::arg("reason"), Release());
  bind_end(type);
  bind_lineage(type);
  bind_properties(type);
  bind_outlook(type);
  add_hot_methods(type);
  forbid_new(type);
}

}  // namespace finops::bindings
