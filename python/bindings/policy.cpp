// policy.cpp - the guard's policy as Python attributes.
#include <pybind11/stl.h>

#include "convert.hpp"
#include "finops/guard/policy.hpp"

namespace finops::bindings {
namespace {

template <class Type>
void bind_span(py::class_<Type>& type, const char* name, Nanoseconds Type::* field) {
  type.def_property(
      name, [field](const Type& self) { return to_timedelta(self.*field); },
      [field](Type& self, const py::object& span) { self.*field = from_timedelta(span); });
}

template <class Type>
void bind_span(py::class_<Type>& type, const char* name, std::optional<Nanoseconds> Type::* field) {
  type.def_property(
      name,
      [field](const Type& self) -> py::object {
        return (self.*field).has_value() ? to_timedelta(*(self.*field)) : py::none();
      },
      [field](Type& self, const py::object& span) { self.*field = from_optional_timedelta(span); });
}

// What a policy states and a rule may override, under the same names.
template <class Type>
void bind_limits(py::class_<Type>& type) {
  bind_span(type, "silence_limit", &Type::silence_limit);
  bind_span(type, "directive_grace", &Type::directive_grace);
  bind_span(type, "term_grace", &Type::term_grace);
  bind_span(type, "max_duration", &Type::max_duration);
  bind_span(type, "utilization_window", &Type::utilization_window);
  type.def_readwrite("min_gpu_utilization", &Type::min_gpu_utilization)
      .def_readwrite("allows_long_running", &Type::allows_long_running)
      .def_readwrite("is_dry_run", &Type::is_dry_run)
      .def_readwrite("is_enforced", &Type::is_enforced);
}

void bind_book(py::module_& module) {
  using guard::PolicyBook;
  py::class_<PolicyBook>(module, "PolicyBook", py::is_final())
      .def(py::init([](const guard::Policy& base, std::vector<guard::PolicyRule> rules,
                       double breaker_share, std::int64_t breaker_minimum) {
             return PolicyBook{.base = base,
                               .rules = std::move(rules),
                               .breaker_share = breaker_share,
                               .breaker_minimum = breaker_minimum};
           }),
           py::arg("base") = guard::Policy{}, py::arg("rules") = std::vector<guard::PolicyRule>{},
           py::arg("breaker_share") = PolicyBook{}.breaker_share,
           py::arg("breaker_minimum") = PolicyBook{}.breaker_minimum)
      .def_readwrite("base", &PolicyBook::base)
      .def_readwrite("rules", &PolicyBook::rules)
      .def_readwrite("breaker_share", &PolicyBook::breaker_share)
      .def_readwrite("breaker_minimum", &PolicyBook::breaker_minimum)
      .def("check", &guard::check_policy_book)
      .def(
          "policy_for",
          [](const PolicyBook& book, const std::string& project, const std::string& experiment,
             const std::string& user_name, const std::map<std::string, std::string>& tags) {
            std::vector<std::string> rule_names;
            const guard::Policy policy = book.policy_for({.project = project,
                                                          .experiment = experiment,
                                                          .user_name = user_name,
                                                          .tags = tags},
                                                         &rule_names);
            return py::make_tuple(policy, rule_names);
          },
          py::kw_only(), py::arg("project"), py::arg("experiment"), py::arg("user_name"),
          py::arg("tags"));
}

}  // namespace

void bind_policy(py::module_& module) {
  py::class_<guard::Policy> policy(module, "GuardPolicy", py::is_final());
  policy.def(py::init<>());
  bind_limits(policy);
  bind_span(policy, "longest_expected_silence", &guard::Policy::longest_expected_silence);
  py::class_<guard::PolicyRule> rule(module, "PolicyRule", py::is_final());
  rule.def(py::init<>())
      .def_readwrite("name", &guard::PolicyRule::name)
      .def_readwrite("project", &guard::PolicyRule::project)
      .def_readwrite("experiment", &guard::PolicyRule::experiment)
      .def_readwrite("user_name", &guard::PolicyRule::user_name)
      .def_readwrite("tags", &guard::PolicyRule::tags);
  bind_limits(rule);
  bind_book(module);
}

}  // namespace finops::bindings
