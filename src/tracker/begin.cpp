// begin.cpp - begins an attempt step by step.
#include "tracker/begin.hpp"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "finops/agent/agent.hpp"
#include "finops/agent/settle.hpp"
#include "finops/base/error.hpp"
#include "finops/detect/environment.hpp"
#include "tracker/chain.hpp"
#include "tracker/lineage_backlog.hpp"

namespace finops::tracker {
namespace {

constexpr std::size_t kPagesSettledAtStart = 200;  // keeps `init` quick whatever others left
constexpr Nanoseconds kInitTimeout = std::chrono::seconds{5};
constexpr Nanoseconds kLongestDuration = std::chrono::hours{24 * 366};  // what a page can hold

void check_name(const char* what, const std::string& text, bool is_required) {
  FINOPS_REQUIRE(!is_required || !text.empty(), ErrorCode::InvalidArgument,
                 std::string(what) + " is missing: no experiment, no GPU. Give " + what +
                     "=, so that somebody can say what this run was for");
  FINOPS_REQUIRE(text.size() <= pulse::kLongText, ErrorCode::InvalidArgument,
                 std::string(what) + " is longer than 127 bytes: '" + text.substr(0, 20) + "...'");
  for (const char c : text) {
    FINOPS_REQUIRE(static_cast<unsigned char>(c) >= 32, ErrorCode::InvalidArgument,
                   std::string(what) + " has a control character");
  }
}

std::string installed_price_book() {
  const char* named = std::getenv("FINOPS_PRICE_BOOK");
  std::ifstream file(named != nullptr ? named : FINOPS_PRICE_BOOK_PATH);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// The state of a start, carried from step to step.
struct Start {
  const RunOptions& options;
  bool is_command = false;
  detect::Environment environment = detect::read_environment();
  ClockReading now = SystemClock{}.now();
  std::optional<Home> home;
  std::unique_ptr<Ledger> ledger;
  std::optional<Quote> quote;
  std::vector<BudgetSummary> chain;
  bool is_hard_budget = true;  // whether any of the chain is
  RunId wanted_run_id;         // empty: a new one
  RunRecord run;
  BegunAttempt begun;

  void warn(const std::string& message) { begun.warnings.push_back(message); }
  [[nodiscard]] bool needs_money() const { return !chain.empty() && is_hard_budget; }
};

// Opens home and ledger. A failure is a warning where only observation is lost.
void open_store(Start& start) {
  const bool needs_ledger =
      !start.options.fail_open || (start.options.budget && start.options.is_hard_budget);
  try {
    start.home = open_home(start.options.home);
    for (const std::string& warning : start.home->warnings) {
      start.warn(warning);
    }
    start.ledger = open_ledger(start.home->ledger_path(), {.busy_timeout = kInitTimeout});
  } catch (const Error& error) {
    if (needs_ledger || error.code() == ErrorCode::InvalidArgument) {
      throw;
    }
    start.warn(std::string("the run goes on without a ledger: ") + error.what());
  }
}

void settle_what_others_left(Start& start) {
  const SystemClock clock;
  agent::Agent agent({.home = *start.home, .policies = {}, .name = "init"}, clock);
  try {
    if (agent.try_serve()) {
      for (const std::string& warning : agent.settle_dead(kPagesSettledAtStart).warnings) {
        start.warn(warning);
      }
    }
  } catch (const Error& error) {
    start.warn(error.what());  // others' money waits; it is no reason not to train
  }
}

void find_price(Start& start) {
  const RunOptions& options = start.options;
  std::optional<Resource> resource;
  if (!options.resources.empty()) {
    resource = parse_resource(options.resources);
  }
  PriceBook book;
  const std::string text = options.price_book.empty() ? installed_price_book() : options.price_book;
  if (!text.empty()) {
    book = PriceBook::parse(text, "the price book");
  }
  if (start.ledger != nullptr) {
    for (const PriceRow& row : start.ledger->user_prices()) {
      book.add(row);
    }
  }
  if (!options.price.empty()) {
    start.quote = book.quote_explicit(options.price, resource);
  } else if (resource.has_value() && !book.rows().empty()) {
    start.quote = book.quote(*resource, start.now.utc);
  }
  if (start.quote.has_value()) {
    (void)start.quote->rate();  // an amount that could overflow is refused here
    for (const std::string& warning : start.quote->warnings) {
      start.warn(warning);
    }
  } else if (resource.has_value()) {
    const std::string place =
        resource->provider.empty()
            ? std::string()
            : "@" + resource->provider + (resource->region.empty() ? "" : ":" + resource->region);
    start.warn("'" + options.resources +
               "' has no price: its use is recorded and its cost is unknown until one is set with: "
               "finops prices set " +
               resource->name + place + " \"PRICE USD/gpu/h\"");
  }
}

void find_budget(Start& start) {
  const RunOptions& options = start.options;
  const BudgetId budget_id = experiment_budget_id(options.project, options.experiment);
  if (options.budget.has_value()) {
    FINOPS_REQUIRE(
        start.quote.has_value(), ErrorCode::UnpricedResource,
        "a budget needs a price, and " +
            (options.resources.empty() ? std::string("no resource is given")
                                       : "'" + options.resources + "' has none") +
            "; give resources= or price=\"24 USD/h\", or set one with: finops prices set");
    FINOPS_REQUIRE(start.quote->price.list_unit_price.currency() == options.budget->currency(),
                   ErrorCode::CurrencyMismatch,
                   "the budget is " + options.budget->str() + ", the price is " +
                       start.quote->price.list_unit_price.str() + " per hour");
  }
  if (start.ledger == nullptr) {
    return;
  }
  if (options.budget.has_value()) {
    BudgetRecord budget;
    budget.budget_id = budget_id;
    budget.currency = options.budget->currency();
    budget.is_hard = options.is_hard_budget;
    budget.created_by = start.environment.user_name;
    budget.created_at = start.now.utc;
    BudgetTerms terms;
    terms.limit = *options.budget;
    start.ledger->ensure_budget(budget, terms);
  }
  // A budget holds for all runs in its scope, also for those that do not mention it.
  start.chain = start.ledger->budget_chain(options.project, options.experiment,
                                           start.environment.user_name, start.now.utc);
  if (start.chain.empty()) {
    return;
  }
  start.is_hard_budget = std::ranges::any_of(start.chain, [](const BudgetSummary& found) {
    return found.budget.is_hard;
  });
  FINOPS_REQUIRE(start.quote.has_value(), ErrorCode::UnpricedResource,
                 "budget " + start.chain.front().budget.budget_id.str() +
                     " needs a price, and this run has none; give "
                     "resources= or price=\"24 USD/h\", or set one with: finops prices set");
  check_chain(start.chain, start.quote->rate(), options.lease_terms, start.begun.warnings);
}

// A run that the ledger knows goes on as its next attempt.
void continue_run(Start& start, const RunSummary& found) {
  const RunId& run_id = found.run.run_id;
  FINOPS_REQUIRE(!found.metered_cost || !start.quote ||
                     found.metered_cost->currency() == start.quote->rate().currency(),
                 ErrorCode::CurrencyMismatch,
                 "run " + run_id.str() + " has cost " +
                     (found.metered_cost ? found.metered_cost->str() : std::string()) +
                     " so far; resume it with a price in the same currency");
  start.run = found.run;
  start.begun.earlier_cost = found.metered_cost;
  start.begun.resume_from = start.ledger->last_checkpoint(run_id);
}

// What FINOPS_RUN_ID or the job's scheduler names may be there already: a restart, a requeue.
void find_wanted_run(Start& start) {
  RunFilter filter;
  filter.run_id = start.wanted_run_id;
  const std::vector<RunSummary> found = start.ledger->runs(filter);
  if (found.empty()) {
    return;
  }
  const RunRecord& run = found[0].run;
  // Not a Conflict, which a start waits for: this one does not pass.
  FINOPS_REQUIRE(run.project == start.options.project && run.experiment == start.options.experiment,
                 ErrorCode::InvalidArgument,
                 "run " + run.run_id.str() + " belongs to " + run.project + "/" + run.experiment +
                     ", not to " + start.options.project + "/" + start.options.experiment +
                     "; choose another run id");
  continue_run(start, found[0]);
}

// A fork's step is a sentence of its own, and so is a fork whose run the ledger cannot take now:
// whoever registers the run later from its page does not know of it.
void note_fork(Start& start) {
  const RunRecord& run = start.run;
  // That a part forked from its whole is kept with the run, and is no need: the whole needs it.
  const bool is_need = !run.fork_of.empty() && run.fork_of != run.parent_run_id;
  if (is_need && (start.options.fork_step.has_value() || start.ledger == nullptr)) {
    start.begun.lineage.push_back({run_node_id(run.run_id), EdgeKind::ForkedFrom,
                                   run_node_id(run.fork_of), start.options.fork_step,
                                   start.now.utc});
  }
}

void write_lineage(Start& start) {
  LineageRecords records;
  records.edges = start.begun.lineage;
  try {
    start.ledger->add_lineage(records);
    start.begun.lineage.clear();
  } catch (const Error& error) {
    start.warn(std::string("the fork's step is not in the ledger yet: ") + error.what());
  }
}

void find_run(Start& start) {
  const RunOptions& options = start.options;
  RunRecord& run = start.run;
  if (!options.resume.empty() && start.ledger != nullptr) {
    RunFilter filter;
    if (options.resume == "auto") {
      filter = {.run_id = {},
                .project = options.project,
                .experiment = options.experiment,
                .name = options.name,
                .status = RunStatus::PAUSED,
                .limit = 1};
    } else {
      filter.run_id = RunId{options.resume};
    }
    const std::vector<RunSummary> found = start.ledger->runs(filter);
    FINOPS_REQUIRE(!found.empty() || options.resume == "auto", ErrorCode::NotFound,
                   "there is no run '" + options.resume + "' to resume; see: finops ps --all");
    if (!found.empty()) {
      FINOPS_REQUIRE(found[0].status != RunStatus::RUNNING, ErrorCode::Conflict,
                     "run " + options.resume + " is still running; it cannot be resumed");
      continue_run(start, found[0]);
    }
  }
  if (run.run_id.empty() && !start.wanted_run_id.empty() && start.ledger != nullptr) {
    find_wanted_run(start);
  }
  if (run.run_id.empty()) {
    run.run_id = start.wanted_run_id.empty() ? new_run_id() : start.wanted_run_id;
    run.name = options.name;
    run.user_name = start.environment.user_name;
    run.parent_run_id = RunId{options.parent};
    run.fork_of = RunId{options.fork_of};
    run.tags = options.tags;
    run.created_at = start.now.utc;
    note_fork(start);
  }
  run.project = options.project;
  run.experiment = options.experiment;
}

pulse::PageInfo make_page_info(const Start& start) {
  const RunOptions& options = start.options;
  pulse::PageInfo info;
  info.run_id = start.run.run_id;
  info.attempt_id = new_attempt_id(start.run.run_id);
  info.parent_run_id = start.run.parent_run_id.str();
  info.project = start.run.project;
  info.experiment = start.run.experiment;
  info.name = start.run.name;
  info.user_name = start.environment.user_name;
  info.host = start.environment.host;
  info.resource = options.resources;
  info.budget_id = start.chain.empty() ? "" : start.chain.front().budget.budget_id.str();
  info.long_running_reason = options.long_running_reason;
  if (start.quote.has_value()) {
    const StoredMoney price = start.quote->price.list_unit_price.to_stored();
    info.price_id = start.quote->price.price_id.str();
    info.currency = start.quote->price.list_unit_price.currency().str();
    info.price_units = price.units;
    info.price_picos = price.picos;
    info.used_micro_gpus = start.quote->used_micro_gpus;
    info.block_micro_gpus = start.quote->block_micro_gpus;
  }
  info.process = current_process();
  info.started_at = start.now;
  info.silence_limit = options.silence_limit.value_or(Nanoseconds::zero());
  info.max_duration = max_duration_of(start.chain, options.max_duration);
  info.lease_term = options.lease_terms.term;
  info.check_gap = options.lease_terms.check_gap;
  info.stop_time = options.lease_terms.stop_time;
  info.billing_quantum = options.lease_terms.billing_quantum;
  info.is_command = start.is_command;
  info.is_long_running = options.is_long_running;
  info.is_hard_budget = start.is_hard_budget;
  return info;
}

void make_page(Start& start) {
  const pulse::PageInfo info = make_page_info(start);
  if (start.home.has_value()) {
    try {
      start.begun.page = pulse::OwnPage::create(start.home->live_path(), info);
      return;
    } catch (const Error& error) {
      if (error.code() == ErrorCode::InvalidArgument || start.needs_money() ||
          !start.options.fail_open) {
        throw;
      }
      start.warn(std::string("the run goes on unseen by the guard: ") + error.what());
    }
  }
  start.begun.page = pulse::OwnPage::in_memory(info);
}

void register_attempt(Start& start) {
  const pulse::PageInfo& info = start.begun.page->info();
  Ledger& ledger = *start.ledger;
  AttemptRecord attempt;
  attempt.attempt_id = info.attempt_id;
  attempt.run_id = info.run_id;
  attempt.host = info.host;
  attempt.process = info.process;
  attempt.entry_point = start.is_command ? EntryPoint::Command : EntryPoint::Init;
  attempt.command = start.options.command;
  attempt.resource = info.resource;
  attempt.price_id = PriceId{info.price_id};
  attempt.used_micro_gpus = info.used_micro_gpus;
  attempt.block_micro_gpus = info.block_micro_gpus;
  for (const BudgetSummary& found : start.chain) {
    attempt.budget_chain.push_back(found.budget.budget_id);
  }
  attempt.is_long_running = info.is_long_running;
  attempt.long_running_reason = info.long_running_reason;
  attempt.started_at = info.started_at;
  // One commit: a start that is refused leaves no run without an attempt, and waits once.
  ledger.together([&] {
    if (start.quote.has_value()) {
      ledger.add_price(start.quote->price);
    }
    ledger.add_run(start.run);
    start.begun.attempt_number = ledger.add_attempt(attempt).attempt_number;
    start.begun.account = ledger.account(info.attempt_id);
    if (!start.chain.empty()) {
      start.begun.account = agent::settle_and_renew(ledger, info, *start.begun.account,
                                                    Nanoseconds::zero(), start.now.utc);
    }
    if (start.needs_money()) {
      // Checked before, and again here, where the lock is held: others may have been quicker.
      require_start_paid(start.chain.front().budget.budget_id, start.begun.account->held,
                         *start.begun.account->rate, start.options.lease_terms);
    }
  });
  start.begun.ledger_path = start.home->ledger_path();
}

// Ends an attempt whose start was refused. An agent may have seen its page and registered it
// meanwhile: then it is in the ledger, holds money, and has to be closed.
void give_up(Start& start) {
  pulse::OwnPage& page = *start.begun.page;
  page.page().process.state.store(pulse::ProcessState::Failed, std::memory_order_release);
  try {
    if (start.ledger->attempt(page.info().attempt_id).has_value()) {
      agent::conclude_attempt(*start.ledger, page.info(), page.page(), {},
                              {.status = RunStatus::FAILED,
                               .reason = "its start was refused",
                               .ended_at = start.now.utc});
    }
  } catch (const std::exception&) {
    return;  // the page says that it is over: the agent closes the account
  }
  page.remove();
}

// Whether the caller must hear of it whatever fail_open says.
bool is_for_the_caller(const Start& start, const std::exception& error) {
  const auto* known = dynamic_cast<const Error*>(&error);
  // A Conflict: somebody else resumed this run. A burn cap is a budget's word.
  const bool is_refusal = known != nullptr && (known->code() == ErrorCode::Conflict ||
                                               known->code() == ErrorCode::BurnCapExceeded);
  return is_refusal || start.needs_money() || !start.options.fail_open;
}

}  // namespace

void check_options(const RunOptions& options) {
  check_name("project", options.project, true);
  check_name("experiment", options.experiment, true);
  check_name("name", options.name, false);
  FINOPS_REQUIRE(options.project.find('/') == std::string::npos, ErrorCode::InvalidArgument,
                 "project must not have a '/': '" + options.project + "'");
  FINOPS_REQUIRE(!options.budget || !options.budget->is_negative(), ErrorCode::InvalidMoney,
                 "a budget cannot be negative: " +
                     (options.budget ? options.budget->str() : std::string()));
  FINOPS_REQUIRE(!options.is_long_running || !options.long_running_reason.empty(),
                 ErrorCode::InvalidArgument,
                 "long_running needs a reason, which every report shows");
  FINOPS_REQUIRE(!options.silence_limit || *options.silence_limit > Nanoseconds::zero(),
                 ErrorCode::InvalidArgument, "silence_limit must be above zero");
  FINOPS_REQUIRE(!options.max_duration || (*options.max_duration > Nanoseconds::zero() &&
                                           *options.max_duration <= kLongestDuration),
                 ErrorCode::InvalidArgument,
                 "max_duration must be above zero and at most 366 days; leave it out for no limit");
  FINOPS_REQUIRE(!options.fork_step || !options.fork_of.empty(), ErrorCode::InvalidArgument,
                 "fork_step is a step of another run; give it as fork_of=");
  FINOPS_REQUIRE(options.fork_step.value_or(0) >= 0, ErrorCode::InvalidArgument,
                 "fork_step must be 0 or more, not " +
                     std::to_string(options.fork_step.value_or(0)));
  budget::check_terms(options.lease_terms);
}

BegunAttempt begin(const RunOptions& options, bool is_command, const RunId& wanted_run_id) {
  check_options(options);
  Start start{.options = options};
  start.is_command = is_command;
  start.wanted_run_id = wanted_run_id;
  open_store(start);
  if (start.ledger != nullptr) {
    settle_what_others_left(start);
    take_in_lineage(start.home->path, *start.ledger, start.begun.warnings);
  }
  find_price(start);
  find_budget(start);
  find_run(start);
  make_page(start);
  start.begun.page->add_user();
  start.begun.home_path = start.home.has_value() ? start.home->path : "";
  if (start.ledger != nullptr) {
    try {
      register_attempt(start);
    } catch (const std::exception& error) {
      if (is_for_the_caller(start, error)) {
        give_up(start);
        throw;
      }
      start.warn(std::string("the run goes on without a ledger: ") + error.what());
    }
  }
  if (start.ledger != nullptr && !start.begun.lineage.empty()) {
    write_lineage(start);
  }
  return std::move(start.begun);
}

}  // namespace finops::tracker
