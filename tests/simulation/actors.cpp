// actors.cpp - the processes of the story: each uses the product as its users do.
#include <signal.h>

#include <algorithm>
#include <array>
#include <utility>

#include "finops/base/error.hpp"
#include "finops/detect/environment.hpp"
#include "finops/ledger/home.hpp"
#include "ledger/write_lock.hpp"
#include "world.hpp"

namespace finops::simulation {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

}  // namespace

int World::set_up() {
  kernel_.running()->may_crash = false;
  const Home home = open_home(home_);
  const std::unique_ptr<Ledger> ledger = open_ledger(home.ledger_path(), {});
  const auto add = [&](const char* id, const char* limit, bool is_hard, bool is_daily) {
    BudgetRecord budget;
    budget.budget_id = BudgetId{id};
    budget.scope = parse_budget_id(budget.budget_id);
    budget.is_hard = is_hard;
    if (is_daily) {
      budget.period = Period::parse("day");
    }
    budget.created_by = "root";
    budget.created_at = kernel_.clocks().utc;
    BudgetTerms terms;
    terms.limit = Money::parse(limit);
    ledger->ensure_budget(budget, terms);
    truth_.acknowledged.push_back({std::string("the budget ") + id,
                                   std::string("SELECT count(*) FROM budgets WHERE budget_id='") +
                                       id + "'"});
  };
  if (plan_.has_project_budget) {
    add("project:vision", "30 USD", true, plan_.has_daily_budget);
  }
  if (plan_.has_team_budget) {
    add("team:research", random_.one_in(2) ? "25 USD" : "500 USD", random_.one_in(2), false);
    ledger->set_parent({.child_id = BudgetId{"project:vision"},
                        .parent_id = BudgetId{"team:research"},
                        .who = "root",
                        .recorded_at = kernel_.clocks().utc});
  }
  return 0;
}

int World::guard() {
  kernel_.running()->dies_of_term = [] { return true; };
  agent::AgentOptions options;
  options.home = open_home(home_);
  options.policies.breaker_minimum = 100;
  const SystemClock clock;
  agent::Agent agent(options, clock);
  const std::uint64_t me = kernel_.running()->serial;
  for (;;) {
    if (!agent.is_serving() && agent.try_serve()) {
      std::erase_if(truth_.serving, [this](std::uint64_t serial) {
        const Process* process = kernel_.by_serial(serial);
        return process == nullptr || !process->is_alive;
      });
      truth_.serving.push_back(me);
    }
    note_report(agent.tick());
    if (agent.is_serving()) {
      for (auto& [id, truth] : truth_.attempts) {
        truth.looked_at(kernel_.now());
      }
    }
    kernel_.sleep_for(options.interval);
  }
}

void World::note_report(const agent::TickReport& report) {
  for (const DecisionRecord& decision : report.decisions) {
    const std::string attempt_id = decision.attempt_id.str();
    if (const auto found = truth_.attempts.find(attempt_id); found != truth_.attempts.end()) {
      truth_.worked_when_decided[{attempt_id, decision.decided_at.time_since_epoch().count()}] =
          found->second.works(kernel_.clocks());
    }
    kernel_.note("decides " + attempt_id + " " + std::string(directive_name(decision.directive)) +
                 " " + std::string(rung_name(decision.rung)) + ": " + decision.reason);
  }
  for (const agent::Conclusion& conclusion : report.concluded) {
    const std::string id = conclusion.attempt_id.str();
    kernel_.note("concludes " + id + " as " + std::string(run_status_name(conclusion.status)));
    truth_.acknowledged.push_back(
        {"the end of " + id, "SELECT count(*) FROM attempt_ends WHERE attempt_id='" + id + "'"});
  }
  for (const std::string& warning : report.warnings) {
    kernel_.note("warns: " + warning);
    if (warning.find("ledger") != std::string::npos) {
      truth_.ledger_away_at = kernel_.simulated();
    }
  }
}

void World::begin_truth(const pulse::PageInfo& info, bool is_registered, bool is_child) {
  const std::string id = info.attempt_id.str();
  const bool is_new = !truth_.attempts.contains(id);
  AttemptTruth& truth = truth_.attempts[id];
  if (is_new) {
    truth.info = info;
    truth.process = kernel_.running()->serial;
    truth.boot = truth_.boot;
    truth.last_progress = info.started_at;
    truth.last_call = info.started_at;
  }
  if (is_child) {
    truth.reporter = kernel_.running()->serial;
    truth.last_progress = kernel_.clocks();
  }
  if (is_registered) {
    truth_.acknowledged.push_back({"the start of " + id,
                                   "SELECT count(*) FROM attempts WHERE attempt_id='" + id + "'"});
  }
}

int World::train(Job& job) {
  Process& me = *kernel_.running();
  const bool is_child = me.environment.contains("FINOPS_ATTEMPT_ID");
  // A scheduler tries a refused start again, and starts what died once more.
  for (int attempt = 0; attempt < 30 && job.step < job.steps; ++attempt) {
    std::unique_ptr<Run> run;
    try {
      run = Run::start(job.options);
    } catch (const Error& error) {
      kernel_.note(std::string("is refused: ") + error.what());
      if (is_child) {
        return 1;
      }
      ask_for_more(job, error);
      kernel_.sleep_for(random_.between(seconds{20}, minutes{4}));
      continue;
    }
    begin_truth(run->info(), run->warnings().empty() && !is_child, is_child);
    AttemptTruth& truth = truth_.attempts.at(run->info().attempt_id.str());
    if (const auto& saved = run->resume_from()) {
      job.step = std::min<std::int64_t>(job.step, saved->step);
    }
    while (step_on(*run, job, truth)) {
    }
    if (is_child) {
      return job.step >= job.steps ? 0 : kExitPaused;
    }
    run.reset();
    kernel_.sleep_for(random_.between(seconds{10}, minutes{3}));
  }
  return 0;
}

// `finops budget request`, of every budget above the job.
void World::ask_for_more(const Job& job, const Error& refusal) {
  if (refusal.code() != ErrorCode::BudgetExhausted || kernel_.random.one_in(2)) {
    return;
  }
  try {
    const UtcTime now = kernel_.clocks().utc;
    const std::unique_ptr<Ledger> ledger = open_ledger(home_ + "/ledger.db", {});
    for (const BudgetSummary& found :
         ledger->budget_chain(job.options.project, job.options.experiment, "root", now)) {
      BudgetRequest request;
      request.request_id = RequestId{random_id_text(8)};
      request.budget_id = found.budget.budget_id;
      request.amount = Money::parse("11 USD");
      request.who = "root";
      request.why = "it is not done";
      request.requested_at = now;
      ledger->add_request(request);
    }
  } catch (const Error& error) {
    kernel_.note(std::string("cannot ask: ") + error.what());
  }
}

// One step of training. False: the run has ended.
bool World::step_on(Run& run, Job& job, AttemptTruth& truth) {
  kernel_.sleep_for(kernel_.random.between(job.step_time / 2, job.step_time * 3 / 2));
  if (job.hangs && job.step == job.steps / 2) {
    kernel_.note("hangs");
    job.hangs = false;  // its next attempt does not
    for (;;) {
      kernel_.sleep_for(hours{1});
    }
  }
  if (kernel_.running()->term_count > 0) {
    kernel_.sleep_for(job.save_time);
    end(run, truth, RunStatus::FAILED);
    return false;
  }
  run.progress(++job.step);
  truth.last_progress = kernel_.clocks();  // it hears nothing by that: only check_budget answers
  if (job.step >= job.steps) {
    end(run, truth, RunStatus::FINISHED);
    return false;
  }
  const Directive told = run.check_budget();
  truth.calls(kernel_.clocks());
  if (told != Directive::CONTINUE) {
    return obey(run, job, truth, told);
  }
  if (kernel_.random.one_in(10)) {
    extras(run, truth);
  }
  return true;
}

bool World::obey(Run& run, Job& job, AttemptTruth& truth, Directive told) {
  kernel_.note("is told " + std::string(directive_name(told)) + ": " + run.reason());
  if (!truth.told_at.has_value()) {
    truth.told_at = kernel_.now();
  }
  if (told == Directive::STOP) {
    end(run, truth, RunStatus::FAILED);
    return false;
  }
  if (told == Directive::CHECKPOINT) {
    kernel_.sleep_for(job.save_time);
    run.checkpointed(job.step, "/checkpoints/" + std::to_string(job.step));
    truth.calls(kernel_.clocks());
    return true;
  }
  if (kernel_.random.one_in(2)) {
    try {
      const RequestId request = run.request_budget(Money::parse("7 USD"), "nearly done");
      truth_.acknowledged.push_back({"request " + request.str(),
                                     "SELECT count(*) FROM budget_requests WHERE request_id='" +
                                         request.str() + "'"});
    } catch (const Error& error) {
      kernel_.note(std::string("cannot ask: ") + error.what());
    }
  }
  end(run, truth, RunStatus::PAUSED);
  return false;
}

// What a run does beside its steps.
void World::extras(Run& run, AttemptTruth& truth) {
  try {
    switch (kernel_.random.below(4)) {
      case 0: {
        const Nanoseconds before = kernel_.now() - run.info().started_at.boot;
        run.commit();
        // A keeper that is served or not: the account stands at least where it was asked to.
        if (run.is_keeper()) {
          truth.acknowledged = std::max(truth.acknowledged, before);
        }
        break;
      }
      case 1: {
        const std::int64_t step = truth.last_progress.boot.time_since_epoch().count();
        run.checkpointed(step, "/extra/" + std::to_string(step));
        run.commit();
        if (run.is_keeper()) {
          truth_.acknowledged.push_back({"checkpoint " + std::to_string(step),
                                         "SELECT count(*) FROM checkpoints WHERE step=" +
                                             std::to_string(step)});
        }
        break;
      }
      case 2: {
        const Nanoseconds span = kernel_.random.between(seconds{10}, minutes{10});
        truth.silence_allowed_until = kernel_.now() + span;
        run.expect_silence(span, "evaluation");
        truth.last_progress = kernel_.clocks();
        truth.calls(kernel_.clocks());
        // Half of it; while it lasts the run still asks.
        const BootTime until = kernel_.now() + span / 2;
        while (kernel_.now() < until && run.check_budget() == Directive::CONTINUE) {
          truth.calls(kernel_.clocks());
          kernel_.sleep_for(seconds{4});
        }
        truth.calls(kernel_.clocks());
        break;
      }
      default:
        (void)run.cost();
        (void)run.budget();
        break;
    }
  } catch (const Error& error) {
    kernel_.note(std::string("extra fails: ") + error.what());
  }
}

void World::end(Run& run, AttemptTruth& truth, RunStatus status) {
  kernel_.note("finishes as " + std::string(run_status_name(status)));
  const Nanoseconds before = kernel_.now() - run.info().started_at.boot;
  run.finish(status, "");
  const bool is_child = kernel_.running()->environment.contains("FINOPS_ATTEMPT_ID");
  if (!is_child) {
    truth.finished_after_at_least = before;
    truth.finished_after_at_most = kernel_.now() - run.info().started_at.boot;
  }
}

// `finops run`: starts the command, looks after it, reports its end, waits for money.
int World::supervise(Job& job) {
  const Home home = open_home(home_);
  const SystemClock clock;
  agent::AgentOptions options;
  options.home = home;
  options.name = "finops run";
  options.interval = seconds{2};
  options.policies.breaker_minimum = 100;
  agent::Agent agent(options, clock);
  for (int attempt = 0; attempt < 10 && job.step < job.steps; ++attempt) {
    std::unique_ptr<CommandRun> command;
    try {
      command = CommandRun::start(job.options);
    } catch (const Error& error) {
      kernel_.note(std::string("is refused: ") + error.what());
      ask_for_more(job, error);
      kernel_.sleep_for(minutes{1});
      continue;
    }
    begin_truth(command->info(), command->warnings().empty(), false);
    AttemptTruth& truth = truth_.attempts.at(command->info().attempt_id.str());
    Process& child = kernel_.spawn(
        job.options.name + "-child",
        [this, &job] {
          if (job.reports) {
            return train(job);
          }
          kernel_.sleep_for(job.step_time * job.steps);
          job.step = job.steps;
          return 0;
        },
        {{"FINOPS_ATTEMPT_ID", command->info().attempt_id.str()},
         {"FINOPS_RUN_ID", command->info().run_id.str()}},
        kernel_.running()->pid);
    child.dies_of_term = [&job] { return job.dies_of_term; };
    while (child.is_alive) {
      const agent::TickReport report = command->tick(agent);
      note_report(report);
      if (report.page_count > 0) {
        truth.looked_at(kernel_.now());
      }
      if (!job.reports) {
        truth.calls(kernel_.clocks());
      }
      kernel_.sleep_for(options.interval);
    }
    const Nanoseconds before = kernel_.now() - command->info().started_at.boot;
    const RunStatus status = command->child_ended(agent, child.exit_code);
    kernel_.note("reports its command as " + std::string(run_status_name(status)));
    for (const std::string& warning : command->warnings()) {
      kernel_.note("warns: " + warning);
    }
    truth.finished_after_at_least = before;
    truth.finished_after_at_most = kernel_.now() - command->info().started_at.boot;
    kernel_.sleep_for(seconds{30});
  }
  return 0;
}

// Somebody who answers requests, settles what is uncertain, and sometimes says it twice.
int World::person() {
  for (;;) {
    kernel_.sleep_for(kernel_.random.between(seconds{40}, minutes{4}));
    try {
      const std::unique_ptr<Ledger> ledger = open_ledger(open_home(home_).ledger_path(), {});
      for (const RequestSummary& request : ledger->requests()) {
        if (request.ruling.has_value() || kernel_.random.one_in(3)) {
          continue;
        }
        const bool is_approved = kernel_.random.one_in(2);
        const std::string id = request.request.request_id.str();
        const int times = kernel_.random.one_in(3) ? 2 : 1;  // a reply was lost: said again
        for (int time = 0; time < times; ++time) {
          ledger->rule_request(request.request.request_id, is_approved, "ada", "reviewed",
                               kernel_.clocks().utc);
        }
        truth_.acknowledged.push_back({"the ruling of " + id,
                                       "SELECT count(*) FROM budget_rulings WHERE request_id='" +
                                           id + "'"});
      }
      for (const SuspectAttempt& suspect : ledger->suspects()) {
        if (suspect.uncertain_time > minutes{5}) {
          const bool is_spent = kernel_.random.one_in(2);
          ledger->settle_suspect(suspect.attempt_id,
                                 is_spent ? SuspectOutcome::Spent : SuspectOutcome::Released, "ada",
                                 kernel_.clocks().utc);
          truth_.acknowledged.push_back({"the settlement of " + suspect.attempt_id.str(),
                                         "SELECT count(*) FROM settlements WHERE attempt_id='" +
                                             suspect.attempt_id.str() + "'"});
        }
      }
    } catch (const Error& error) {
      kernel_.note(std::string("fails: ") + error.what());
    }
  }
}

// A report that comes late: what was read of an account is used when others have moved it, or ended
// it. It asks for no time that was not settled, and is refused by its epoch.
int World::late_reporter() {
  for (;;) {
    kernel_.sleep_for(kernel_.random.between(seconds{20}, minutes{2}));
    try {
      const std::unique_ptr<Ledger> ledger = open_ledger(home_ + "/ledger.db", {});
      std::vector<OpenAttempt> seen = ledger->open_attempts();
      kernel_.sleep_for(kernel_.random.between(seconds{5}, minutes{4}));
      for (const OpenAttempt& attempt : seen) {
        ledger->settle({.attempt_id = attempt.attempt_id,
                        .epoch = attempt.epoch,
                        .elapsed = attempt.settled,
                        .now = kernel_.clocks().utc,
                        .wanted_hold = Money::parse("0.2 USD")});
      }
    } catch (const std::exception& error) {
      kernel_.note(std::string("is too late: ") + error.what());
    }
  }
}

// Somebody who holds the ledger's lock for too long, as a stopped process does.
int World::stranger() {
  try {
    const ledger::WriteLock lock(home_ + "/ledger.db.lock", minutes{1});
    kernel_.note("holds the ledger's lock");
    kernel_.sleep_for(kernel_.random.between(seconds{1}, seconds{90}));
  } catch (const Error& error) {
    kernel_.note(std::string("fails: ") + error.what());
  }
  return 0;
}

}  // namespace finops::simulation
