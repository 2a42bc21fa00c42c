// world.hpp - one seed's story: who runs on the host, what they want, and what goes wrong when.
//
// Owns: World, Plan, Result, simulate. Does not own: what must hold (auditor.hpp).
// Invariant: the plan is drawn from the seed before anything runs, so that a change of the code
// does not change the story more than it must.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "auditor.hpp"
#include "finops/agent/agent.hpp"
#include "finops/base/error.hpp"
#include "finops/tracker/command_run.hpp"
#include "finops/tracker/run.hpp"
#include "kernel.hpp"
#include "truth.hpp"

namespace finops::simulation {

/// Safety: faults until the end; nothing wrong may ever be seen. Liveness: faults for a while, then
/// calm with a guard; after that everything is settled, and whoever is silent is stopped.
enum class Mode { Safety, Liveness };

struct Plan {
  Mode mode = Mode::Safety;
  Nanoseconds length{};
  int job_count = 1;
  bool has_commands = false;
  bool has_second_guard = false;
  bool has_project_budget = false;
  bool has_team_budget = false;
  bool has_daily_budget = false;
  Faults faults;
};

struct Result {
  std::vector<std::string> failures;
  Nanoseconds simulated{};
  std::uint64_t call_count = 0;
  std::uint64_t trace_hash = 0;
};

/// One job that a scheduler starts again and again.
struct Job {
  int number = 0;
  RunOptions options;
  Nanoseconds step_time{};
  Nanoseconds save_time{};
  int steps = 0;            ///< until it is done
  bool is_command = false;  ///< under `finops run`
  bool reports = true;
  bool hangs = false;  ///< in the middle, for good: alive and silent
  bool dies_of_term = true;
  std::int64_t step = 0;
  std::uint64_t process = 0;  ///< serial number of the one that runs it now
};

class World {
 public:
  World(std::uint64_t seed, Mode mode, std::string home);
  /// Runs the story to its end or to the first violation.
  Result run(bool prints_trace);

 private:
  void plan(Mode mode);
  Job make_job(int number);
  void plan_troubles();
  void boot();
  void calm_down();
  void ensure_guard();

  // Processes (actors.cpp).
  int set_up();
  int guard();
  int train(Job& job);
  int supervise(Job& job);
  int person();
  int stranger();
  int late_reporter();
  void schedule(Job& job);
  void begin_truth(const pulse::PageInfo& info, bool is_registered, bool is_child);
  void note_report(const agent::TickReport& report);
  bool step_on(Run& run, Job& job, AttemptTruth& truth);
  bool obey(Run& run, Job& job, AttemptTruth& truth, Directive told);
  void ask_for_more(const Job& job, const Error& refusal);
  void extras(Run& run, AttemptTruth& truth);
  void end(Run& run, AttemptTruth& truth, RunStatus status);

  std::string home_;
  Kernel kernel_;
  Random random_;  ///< of the story; the kernel draws its own
  Truth truth_;
  Auditor auditor_;
  Plan plan_;
  std::vector<std::unique_ptr<Job>> jobs_;
  bool is_calm_ = false;
  std::uint64_t guard_serial_ = 0;
};

/// Runs one seed in this process. `home` is an empty folder.
[[nodiscard]] Result simulate(std::uint64_t seed, Mode mode, const std::string& home,
                              bool prints_trace);

}  // namespace finops::simulation
