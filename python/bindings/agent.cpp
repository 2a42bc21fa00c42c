// agent.cpp - binds the agent and the reading of live pages.
#include "finops/agent/agent.hpp"
#include "convert.hpp"
#include "finops/agent/settle.hpp"
#include "finops/agent/telemetry.hpp"
#include "finops/tracker/command_run.hpp"
#include "options.hpp"
#include "release.hpp"

namespace finops::bindings {
namespace {

/// One live page as it was read.
struct LiveRun {
  pulse::PageInfo info;
  bool is_alive = false;
  bool reports = false;
  std::int64_t step = 0;
  std::uint64_t progress_count = 0;
  Directive directive = Directive::CONTINUE;
  std::string reason;
  std::optional<Money> price_per_hour;
  std::optional<Money> cost_so_far;
  std::string use;  // "idle", "hung", "working"; empty: not known, or no agent looks
  std::optional<Money> overspend_bound;  // past its lease, with the gaps it really leaves
  Nanoseconds elapsed{};
  Nanoseconds since_progress{};
};

LiveRun read_page(pulse::ForeignPage& page, ClockReading now) {
  const pulse::PageInfo& info = page.info();
  const pulse::PageLayout& layout = page.page();
  LiveRun run{.info = info};
  run.is_alive = page.is_locked();
  run.reports = !info.is_command || layout.process.reporter_pid.load() != 0;
  run.step = layout.process.step.load();
  run.progress_count = layout.process.progress_count.load();
  run.directive = static_cast<Directive>(std::min(layout.agent.directive.load(), 3U));
  run.reason = run.directive == Directive::CONTINUE ? "" : pulse::read_reason(layout);
  const agent::LastSigns signs = agent::last_signs(info, layout, now, current_boot_id());
  run.elapsed = run.is_alive ? signs.gone_at : signs.metered_until;
  run.since_progress =
      std::max(run.elapsed - agent::elapsed_at(info, layout.process.last_seen_ns.load()),
               Nanoseconds::zero());
  const auto use = static_cast<guard::Use>(std::min<std::uint64_t>(layout.agent.measured_use, 3));
  const std::int64_t back_by_ns = layout.agent.back_by_boot_ns.load();
  if (use != guard::Use::Unknown && now.boot.time_since_epoch().count() <= back_by_ns) {
    run.use = guard::use_name(use);
  }
  if (const std::optional<Rate> rate = agent::rate_of(info)) {
    run.price_per_hour = rate->hourly();
    run.cost_so_far = rate->cost_of(run.elapsed);
    const budget::LeaseTerms reserved = agent::lease_terms_of(info);
    budget::LeaseTerms actual = reserved;
    if (run.reports) {  // a command that does not report is looked after by its agent
      actual.check_gap = std::max(reserved.check_gap, run.since_progress);
    }
    run.overspend_bound = budget::overspend_bound(*rate, actual, reserved);
  }
  return run;
}

py::tuple live_runs(const std::string& live_path) {
  std::vector<LiveRun> runs;
  py::list rejected;
  pulse::PageScanner scanner(live_path);
  scanner.scan();
  const ClockReading now = SystemClock{}.now();
  for (pulse::ForeignPage* page : scanner.pages()) {
    runs.push_back(read_page(*page, now));
  }
  for (const pulse::RejectedPage& page : scanner.rejected()) {
    rejected.append(py::make_tuple(page.path, page.why));
  }
  return py::make_tuple(runs, rejected);
}

void bind_live_runs(py::module_& module) {
  using Row = LiveRun;
#define FINOPS_FIELD(name, expression) \
  def_property_readonly(name, [](const Row& row) { return expression; })
  py::class_<Row>(module, "LiveRun", py::is_final())
      .FINOPS_FIELD("attempt_id", row.info.attempt_id.str())
      .FINOPS_FIELD("run_id", row.info.run_id.str())
      .FINOPS_FIELD("project", row.info.project)
      .FINOPS_FIELD("experiment", row.info.experiment)
      .FINOPS_FIELD("name", row.info.name)
      .FINOPS_FIELD("user_name", row.info.user_name)
      .FINOPS_FIELD("host", row.info.host)
      .FINOPS_FIELD("resource", row.info.resource)
      .FINOPS_FIELD("pid", row.info.process.pid)
      .FINOPS_FIELD("budget_id", row.info.budget_id)
      .FINOPS_FIELD("is_command", row.info.is_command)
      .FINOPS_FIELD("is_long_running", row.info.is_long_running)
      .def_readonly("is_alive", &Row::is_alive)
      .def_readonly("reports", &Row::reports)
      .def_readonly("step", &Row::step)
      .def_readonly("progress_count", &Row::progress_count)
      .FINOPS_FIELD("directive", directive_name(row.directive))
      .def_readonly("reason", &Row::reason)
      .def_readonly("price_per_hour", &Row::price_per_hour)
      .def_readonly("cost_so_far", &Row::cost_so_far)
      .def_readonly("use", &Row::use)
      .def_readonly("overspend_bound", &Row::overspend_bound)
      .FINOPS_FIELD("elapsed", to_timedelta(row.elapsed))
      .FINOPS_FIELD("since_progress", to_timedelta(row.since_progress))
      .def_property_readonly("silence_limit",
                             [](const Row& row) -> py::object {
                               return row.info.silence_limit == Nanoseconds::zero()
                                          ? py::object(py::none())
                                          : to_timedelta(row.info.silence_limit);
                             })
      .FINOPS_FIELD("started_at", to_datetime(row.info.started_at.utc));
#undef FINOPS_FIELD
  module.def("live_runs", &live_runs, py::arg("live_path"));
}

const SystemClock& system_clock() {
  static const SystemClock kClock;
  return kClock;
}

std::unique_ptr<agent::Agent> make_agent(const std::string& home, const std::string& name,
                                         const py::object& interval,
                                         const guard::PolicyBook& policies, bool overrides_breaker,
                                         bool with_telemetry) {
  agent::AgentOptions options;
  options.home = open_home(home);
  options.name = name;
  options.interval = from_timedelta(interval);
  options.policies = policies;
  options.overrides_breaker = overrides_breaker;
  if (with_telemetry) {
    options.usage = std::make_shared<agent::Telemetry>(agent::TelemetryOptions{});
  }
  return std::make_unique<agent::Agent>(std::move(options), system_clock());
}

agent::Explanation explanation_of(agent::Agent& self, const std::string& attempt_id) {
  const ReleaseGil release;
  return self.explain(AttemptId{attempt_id});
}

py::list explain(agent::Agent& self, const std::string& attempt_id) {
  py::list readings;
  for (const guard::RuleReading& reading : explanation_of(self, attempt_id).readings) {
    readings.append(py::make_tuple(rule_name(reading.rule), reading.text, reading.is_fired));
  }
  return readings;
}

void bind_agent_class(py::module_& module) {
  using Report = agent::TickReport;
  py::class_<Report>(module, "AgentReport", py::is_final())
      .def_readonly("page_count", &Report::page_count)
      .def_readonly("decisions", &Report::decisions)
      .def_property_readonly("concluded",
                             [](const Report& report) {
                               py::list ended;
                               for (const agent::Conclusion& one : report.concluded) {
                                 ended.append(py::make_tuple(one.attempt_id.str(),
                                                             run_status_name(one.status),
                                                             one.reason));
                               }
                               return ended;
                             })
      .def_readonly("warnings", &Report::warnings)
      .def_readonly("breaker_held", &Report::breaker_held);
  py::class_<agent::Agent>(module, "Agent", py::is_final())
      .def(py::init(&make_agent), py::arg("home"), py::kw_only(), py::arg("name"),
           py::arg("interval"), py::arg("policies"), py::arg("overrides_breaker") = false,
           py::arg("with_telemetry") = false)
      .def("try_serve", [](agent::Agent& self) { return self.try_serve(); })
      .def_property_readonly("is_serving",
                             [](const agent::Agent& self) { return self.is_serving(); })
      .def(
          "tick", [](agent::Agent& self) { return self.tick(); }, Release())
      .def("explain", &explain, py::arg("attempt_id"))
      .def(
          "policy_rules",
          [](agent::Agent& self, const std::string& attempt_id) {
            return explanation_of(self, attempt_id).policy_rules;
          },
          py::arg("attempt_id"));
}

void bind_command_run(py::module_& module) {
  py::class_<CommandRun> type(module, "CommandRun", py::is_final());
  forbid_new(type);
  type.def_static("start", &CommandRun::start, py::arg("options"), Release())
      .def(
          "tick", [](CommandRun& run, agent::Agent& agent) { return run.tick(agent); },
          py::arg("agent"), Release())
      .def(
          "child_ended",
          [](CommandRun& run, agent::Agent& agent, int exit_code) {
            return std::string(run_status_name(run.child_ended(agent, exit_code)));
          },
          py::arg("agent"), py::arg("exit_code"), Release())
      .def(
          "has_budget_again", [](const CommandRun& run) { return run.has_budget_again(); },
          Release())
      .def_property_readonly("run_id",
                             [](const CommandRun& run) { return run.info().run_id.str(); })
      .def_property_readonly("attempt_id",
                             [](const CommandRun& run) { return run.info().attempt_id.str(); })
      .def_property_readonly("attempt_number",
                             [](const CommandRun& run) { return run.attempt_number(); })
      .def_property_readonly("budget_id",
                             [](const CommandRun& run) { return run.info().budget_id; })
      .def_property_readonly("home", [](const CommandRun& run) { return run.home_path(); })
      .def_property_readonly("cost", [](const CommandRun& run) { return run.cost(); })
      .def_property_readonly("reason", [](const CommandRun& run) { return run.reason(); })
      .def_property_readonly("warnings", [](const CommandRun& run) { return run.warnings(); });
}

}  // namespace

void bind_agent(py::module_& module) {
  bind_live_runs(module);
  bind_agent_class(module);
  bind_command_run(module);
}

}  // namespace finops::bindings
