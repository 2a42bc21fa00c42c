// world.cpp - the story: jobs, budgets, and the troubles of the host.
#include "world.hpp"

#include <signal.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <utility>

namespace finops::simulation {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

// How long a host needs after the last fault until all is settled: a silence limit, its ladder,
// five minutes of uncertain time, and the person's rounds.
constexpr Nanoseconds kCalm = minutes{40};

}  // namespace

World::World(std::uint64_t seed, Mode mode, std::string home)
    : home_(std::move(home)),
      kernel_(seed ^ 0x5851f42d4c957f2dU, home_),
      random_(seed),
      auditor_(kernel_, truth_, home_) {
  plan(mode);
}

void World::plan(Mode mode) {
  plan_.mode = mode;
  plan_.length = random_.between(minutes{30}, minutes{100});
  plan_.job_count = static_cast<int>(random_.between(1, 4));
  plan_.has_commands = random_.one_in(3);
  plan_.has_second_guard = random_.one_in(3);
  plan_.has_project_budget = random_.one_in(2);
  plan_.has_team_budget = plan_.has_project_budget && random_.one_in(2);
  plan_.has_daily_budget = random_.one_in(4);
  // Quiet seeds find logic, loud ones recovery: most have some of the faults and none has all.
  Faults& faults = plan_.faults;
  faults.crash_one_in =
      random_.one_in(2) ? 0 : static_cast<std::uint64_t>(random_.between(300, 20'000));
  faults.sync_error_one_in = random_.one_in(4) ? 200 : 0;
  faults.slow_sync_one_in = random_.one_in(4) ? 150 : 0;
  faults.torn_write_one_in = 2;
  for (int number = 0; number < plan_.job_count; ++number) {
    jobs_.push_back(std::make_unique<Job>(make_job(number)));
  }
  kernel_.on_signal = [this](Process& sender, Process& target, int signal_number) {
    auditor_.a_signal_is_sent(sender, target, signal_number);
  };
  kernel_.on_ledger_write = [this](const DiskCall& call) { auditor_.the_ledger_is_written(call); };
}

Job World::make_job(int number) {
  static constexpr std::array<const char*, 4> kPrices{"24 USD/h", "7.77 USD/h", "98.320001 USD/h",
                                                      "1.000000000001 USD/h"};
  Job job;
  job.number = number;
  RunOptions& options = job.options;
  options.home = home_;
  options.project = "vision";
  options.experiment = "e" + std::to_string(random_.between(0, 1));
  options.name = "job" + std::to_string(number);
  options.resources = "8xH100";
  options.price = kPrices.at(random_.below(kPrices.size()));
  options.resume = "auto";
  options.silence_limit = random_.between(minutes{2}, minutes{8});
  if (options.experiment == "e0") {
    options.budget = Money::parse("9.5 USD");
  }
  options.lease_terms.term = random_.one_in(3) ? seconds{20} : seconds{60};
  job.step_time = random_.between(milliseconds{500}, seconds{20});
  job.save_time = random_.between(milliseconds{100}, seconds{8});
  job.steps = static_cast<int>(random_.between(20, 400));
  job.is_command = plan_.has_commands && random_.one_in(2);
  job.reports = !job.is_command || random_.one_in(2);
  job.hangs = random_.one_in(4);
  job.dies_of_term = !random_.one_in(3);
  return job;
}

// What goes wrong, and when: drawn once, before anything runs.
void World::plan_troubles() {
  const auto sometime = [&] { return random_.between(minutes{1}, plan_.length - minutes{1}); };
  const auto some = [&](std::uint64_t one_in, const std::function<void()>& what) {
    if (random_.one_in(one_in)) {
      kernel_.at(sometime(), [this, what] {
        if (!is_calm_) {  // the host may have slept past it
          what();
        }
      });
    }
  };
  const auto victim = [this]() -> Process* {
    const std::vector<Process*> all = kernel_.living();
    return all.empty() ? nullptr : all[kernel_.random.below(all.size())];
  };
  for (int round = 0; round < 3; ++round) {
    some(2, [this, victim] {
      if (Process* process = victim()) {
        kernel_.kill(*process);
      }
    });
    some(3, [this] { kernel_.jump_utc(kernel_.random.one_in(2) ? hours{1} : -hours{1}); });
    some(3, [this, victim] {
      if (Process* process = victim()) {
        kernel_.note("stops " + process->name);
        process->stopped_until = kernel_.now() + kernel_.random.between(seconds{5}, minutes{15});
      }
    });
    some(4, [this] { kernel_.spawn("stranger", [this] { return stranger(); }); });
  }
  some(4, [this] { kernel_.freeze_utc(kernel_.random.between(minutes{1}, minutes{30})); });
  some(4, [this] { kernel_.suspend_host(kernel_.random.between(seconds{20}, hours{2})); });
  some(3, [this] {
    kernel_.note("the disk is full");
    kernel_.faults.is_disk_full = true;
    kernel_.at(kernel_.simulated() + kernel_.random.between(seconds{5}, minutes{12}),
               [this] { kernel_.faults.is_disk_full = false; });
  });
  for (int round = 0; round < 2; ++round) {
    some(3, [this] {
      kernel_.faults.power_loss_at_call = kernel_.call_count() + kernel_.random.below(2'000) + 1;
    });
  }
}

void World::schedule(Job& job) {
  Process& process = kernel_.spawn(job.options.name, [this, &job] {
    return job.is_command ? supervise(job) : train(job);
  });
  process.dies_of_term = [&job] { return job.dies_of_term || job.is_command; };
  job.process = process.serial;
}

// What a host starts after it comes up, once and after every power loss.
void World::boot() {
  ensure_guard();
  kernel_.by_serial(guard_serial_)->stopped_until = kernel_.now();
  kernel_.spawn("person", [this] { return person(); });
  kernel_.spawn("late", [this] { return late_reporter(); });
  for (const auto& job : jobs_) {
    schedule(*job);
  }
}

void World::ensure_guard() {
  Process* known = kernel_.by_serial(guard_serial_);
  if (known == nullptr || !known->is_alive) {
    guard_serial_ = kernel_.spawn("guard", [this] { return guard(); }).serial;
  }
}

void World::calm_down() {
  is_calm_ = true;
  kernel_.note("from here on nothing goes wrong");
  kernel_.faults = {};
  ensure_guard();
  kernel_.by_serial(guard_serial_)->stopped_until = kernel_.now();
  kernel_.spawn("person", [this] { return person(); });
  auditor_.is_calm_now();
}

Result World::run(bool prints_trace) {
  kernel_.prints_trace = prints_trace;
  kernel_.spawn("setup", [this] { return set_up(); });
  kernel_.run_until(seconds{40}, [] { return true; });
  if (random_.one_in(10)) {  // right after the ledger was made, and nobody has used it yet
    kernel_.lose_power();
    auditor_.power_was_lost();
  }
  kernel_.faults = plan_.faults;
  plan_troubles();
  boot();
  std::string boot_id = kernel_.boot_id();
  // A service manager starts the guard again; a scheduler its jobs; a person comes back.
  std::function<void()> look = [&] {
    ensure_guard();
    const auto guards = std::ranges::count_if(kernel_.living(), [](const Process* process) {
      return process->name.starts_with("guard");
    });
    if (plan_.has_second_guard && guards < 3 && kernel_.random.one_in(4)) {
      kernel_.spawn("guard", [this] { return guard(); });
    }
    for (const auto& job : jobs_) {
      const Process* known = kernel_.by_serial(job->process);
      if ((known == nullptr || !known->is_alive) && job->step < job->steps &&
          kernel_.random.one_in(3)) {
        schedule(*job);
      }
    }
    kernel_.at(kernel_.simulated() + seconds{30}, look);
  };
  kernel_.at(seconds{60}, look);
  const auto check = [&] {
    if (kernel_.boot_id() != boot_id) {
      boot_id = kernel_.boot_id();
      auditor_.power_was_lost();
      boot();
    }
    auditor_.after_turn();
    return !auditor_.has_failed();
  };
  kernel_.run_until(plan_.length, check);
  if (plan_.mode == Mode::Liveness && !auditor_.has_failed()) {
    calm_down();
    kernel_.run_until(kernel_.simulated() + kCalm, check);
    if (!auditor_.has_failed()) {
      auditor_.check_settled();
    }
  } else if (!auditor_.has_failed()) {
    auditor_.check_all();
  }
  return {.failures = auditor_.failures(),
          .simulated = kernel_.simulated(),
          .call_count = kernel_.call_count(),
          .trace_hash = kernel_.trace_hash()};
}

Result simulate(std::uint64_t seed, Mode mode, const std::string& home, bool prints_trace) {
  // Not on the stack of its caller, which may be small; and never destroyed: abandoned processes
  // still point into it.
  auto* world = new World(seed, mode, home);
  return world->run(prints_trace);
}

}  // namespace finops::simulation
