// options.cpp - RunOptions as Python attributes.
#include "options.hpp"

namespace finops::bindings {
namespace {

// A span of RunOptions as a timedelta attribute; None keeps the default.
template <class Access>
void bind_span(py::class_<RunOptions>& type, const char* name, Access access) {
  type.def_property(
      name, [access](RunOptions& options) -> py::object { return to_timedelta(access(options)); },
      [access](RunOptions& options, const py::object& span) {
        if (!span.is_none()) {
          access(options) = from_timedelta(span);
        }
      });
}

}  // namespace

void bind_options(py::module_& module) {
  py::class_<RunOptions> type(module, "RunOptions", py::is_final());
  type.def(py::init<>())
      .def_readwrite("project", &RunOptions::project)
      .def_readwrite("experiment", &RunOptions::experiment)
      .def_readwrite("name", &RunOptions::name)
      .def_readwrite("budget", &RunOptions::budget)
      .def_readwrite("is_hard_budget", &RunOptions::is_hard_budget)
      .def_readwrite("resources", &RunOptions::resources)
      .def_readwrite("price", &RunOptions::price)
      .def_readwrite("parent", &RunOptions::parent)
      .def_readwrite("fork_of", &RunOptions::fork_of)
      .def_readwrite("fork_step", &RunOptions::fork_step)
      .def_readwrite("resume", &RunOptions::resume)
      .def_readwrite("is_long_running", &RunOptions::is_long_running)
      .def_readwrite("long_running_reason", &RunOptions::long_running_reason)
      .def_readwrite("fail_open", &RunOptions::fail_open)
      .def_readwrite("tags", &RunOptions::tags)
      .def_readwrite("home", &RunOptions::home)
      .def_readwrite("price_book", &RunOptions::price_book)
      .def_readwrite("command", &RunOptions::command)
      .def_property(
          "silence_limit",
          [](const RunOptions& options) -> py::object {
            return options.silence_limit ? to_timedelta(*options.silence_limit) : py::none();
          },
          [](RunOptions& options, const py::object& span) {
            options.silence_limit = from_optional_timedelta(span);
          })
      .def_property(
          "max_duration",
          [](const RunOptions& options) -> py::object {
            return options.max_duration ? to_timedelta(*options.max_duration) : py::none();
          },
          [](RunOptions& options, const py::object& span) {
            options.max_duration = from_optional_timedelta(span);
          });
  bind_span(type, "longest_rank_wait",
            [](RunOptions& options) -> Nanoseconds& { return options.longest_rank_wait; });
  bind_span(type, "lease_term",
            [](RunOptions& options) -> Nanoseconds& { return options.lease_terms.term; });
  bind_span(type, "check_gap",
            [](RunOptions& options) -> Nanoseconds& { return options.lease_terms.check_gap; });
  bind_span(type, "stop_time",
            [](RunOptions& options) -> Nanoseconds& { return options.lease_terms.stop_time; });
  bind_span(type, "billing_quantum", [](RunOptions& options) -> Nanoseconds& {
    return options.lease_terms.billing_quantum;
  });
}

}  // namespace finops::bindings
