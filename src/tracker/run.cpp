// run.cpp - the slow path of a run, its directives and its end.
#include "finops/tracker/run.hpp"

#include <unistd.h>

#include <algorithm>

#include "finops/agent/settle.hpp"
#include "finops/base/error.hpp"
#include "tracker/begin.hpp"
#include "tracker/chain.hpp"
#include "tracker/group_file.hpp"
#include "tracker/join.hpp"
#include "tracker/lineage_backlog.hpp"

namespace finops {
namespace {

// While money is short, or the ledger is away, the slow path is entered about this often.
constexpr Nanoseconds kRetry = std::chrono::seconds{1};
constexpr Nanoseconds kLongestLook = std::chrono::hours{1};
// A step must not wait longer than this for the ledger's lock; a commit itself cannot be cut short.
// While the ledger is away, hardly at all.
constexpr Nanoseconds kSlowPathTimeout = std::chrono::seconds{1};
constexpr Nanoseconds kTimeoutAfterFailure = std::chrono::milliseconds{50};
constexpr Nanoseconds kExitTimeout = std::chrono::milliseconds{500};
// Between the end of one slow path and the begin of the next, whatever the plan says.
constexpr Nanoseconds kShortestLook = std::chrono::milliseconds{20};
// Ranks look this often: whether their keeper is gone, and how long a step takes.
constexpr Nanoseconds kGroupLook = std::chrono::seconds{1};

using SlowPathWrapper = void (*)(void (*body)(Run*) noexcept, Run* run);
std::atomic<SlowPathWrapper> slow_path_wrapper{
    [](void (*body)(Run*) noexcept, Run* run) { body(run); }};

std::uint32_t number(Directive directive) { return static_cast<std::uint32_t>(directive); }

std::string in_seconds(Nanoseconds span) {
  return std::to_string(std::chrono::duration_cast<std::chrono::seconds>(span).count()) + " s";
}

pulse::ProcessState page_state(RunStatus status) {
  return status == RunStatus::FINISHED ? pulse::ProcessState::Finished
         : status == RunStatus::PAUSED ? pulse::ProcessState::Paused
                                       : pulse::ProcessState::Failed;
}

tracker::BegunAttempt begin_or_attach(const RunOptions& options) {
  const detect::Environment environment = detect::read_environment();
  std::optional<tracker::BegunAttempt> attached = tracker::attach(options, environment);
  if (attached.has_value()) {
    return std::move(*attached);
  }
  return environment.job.key.empty() ? tracker::begin(options, false)
                                     : tracker::join(options, environment);
}

}  // namespace

std::unique_ptr<Run> Run::start(const RunOptions& options) {
  tracker::BegunAttempt begun = begin_or_attach(options);
  tracker::share_page(begun.page);
  return std::unique_ptr<Run>(new Run(std::move(begun), options.fail_open));
}

Run::Run(tracker::BegunAttempt begun, bool fail_open)
    : page_(std::move(begun.page)),
      owner_mark_(&mark_.value()),
      process_(&page_->page().process),
      agent_(&page_->page().agent),
      group_(&page_->page().group),
      home_path_(std::move(begun.home_path)),
      ledger_path_(std::move(begun.ledger_path)),
      fail_open_(fail_open),
      is_attached_(begun.is_attached),
      is_group_(begun.is_group),
      group_name_(std::move(begun.group_name)),
      attempt_number_(begun.attempt_number),
      rate_(agent::rate_of(page_->info())),
      earlier_cost_(begun.earlier_cost),
      resume_from_(std::move(begun.resume_from)),
      account_(std::move(begun.account)),
      unwritten_lineage_(begun.lineage.begin(), begun.lineage.end()),
      warnings_(std::move(begun.warnings)) {
  const budget::LeaseTerms terms = agent::lease_terms_of(page_->info());
  lease_ = account_.has_value()
               ? budget::plan_lease(account_->rate, account_->settled, account_->held, terms)
               : budget::plan_lease(rate_, Nanoseconds::zero(), {}, terms);
  const ClockReading now = SystemClock{}.now();
  const Nanoseconds elapsed = now.boot - info().started_at.boot;
  set_deadline(now, elapsed, is_attached_ ? elapsed : lease_.renew_at);
}

Run::~Run() { finish(RunStatus::FINISHED, ""); }

bool Run::is_served(ClockReading now) const noexcept {
  return agent_->agent_epoch.load(std::memory_order_relaxed) != 0 &&
         agent_->back_by_boot_ns.load(std::memory_order_acquire) >=
             now.boot.time_since_epoch().count();
}

bool Run::has_hard_budget() const noexcept {
  return !info().budget_id.empty() && info().is_hard_budget;
}

bool Run::is_overdue(Nanoseconds elapsed) const noexcept {
  return info().max_duration > Nanoseconds::zero() && elapsed >= info().max_duration;
}

Directive Run::told_by_ranks() const noexcept {
  return static_cast<Directive>(
      pulse::AgreedWord::unpack(group_->ranks_told.load(std::memory_order_acquire)).directive);
}

void Run::tell(Directive directive, MonotonicTime now) noexcept {
  if (directive != Directive::CONTINUE && agent_->directive.load(std::memory_order_acquire) == 0) {
    pulse::write_reason(page_->page(), own_reason_);  // for the other ranks
  }
  pulse::agree(page_->page(), pulse::Teller::Ranks, number(directive), now);
}

Directive Run::agreed_directive(std::int64_t now_ns) noexcept {
  const std::int64_t step = own_step_.load(std::memory_order_relaxed);
  // A page whose word nobody has written: what the directive says counts at once.
  const bool is_agreed = group_->agent_told.load(std::memory_order_acquire) != 0;
  const std::uint32_t told = is_agreed
                                 ? agreement_.due(pulse::Teller::Agent, page_->page(), step, now_ns)
                                 : agent_->directive.load(std::memory_order_acquire);
  const std::uint32_t own = agreement_.due(pulse::Teller::Ranks, page_->page(), step, now_ns);
  const std::uint32_t directive = std::max(told, own);
  return directive > number(Directive::STOP) ? Directive::CONTINUE
                                             : static_cast<Directive>(directive);
}

void Run::set_slow_path_wrapper(void (*wrapper)(void (*body)(Run*) noexcept, Run* run)) noexcept {
  slow_path_wrapper.store(wrapper, std::memory_order_release);
}

void Run::slow_path() noexcept {
  slow_path_wrapper.load(std::memory_order_acquire)(
      [](Run* run) noexcept { run->enter_slow_path(); }, this);
}

void Run::enter_slow_path() noexcept {
  std::unique_lock<std::mutex> lock(mutex_, std::try_to_lock);
  if (!lock.owns_lock() || !is_owner()) {
    return;  // one thread does it; the others go on at once
  }
  const ClockReading before = SystemClock{}.now();
  try {
    look(before);
  } catch (...) {
    // Never into the training step; look() has set a deadline before anything could fail. Even
    // building a message might throw here, so it is only counted.
    slow_path_failures_.fetch_add(1, std::memory_order_relaxed);
  }
  // The wait for the ledger may have outlasted the deadline that was set before it.
  const MonotonicTime after = SystemClock{}.now().monotonic;
  const Nanoseconds pause = ledger_failure_count_ > 0 ? kRetry : kShortestLook;
  const std::int64_t soonest = (after + pause).time_since_epoch().count();
  if (deadline_ns_.load(std::memory_order_relaxed) < soonest) {
    deadline_ns_.store(soonest, std::memory_order_relaxed);
  }
  slow_path_ns_.fetch_add((after - before.monotonic).count(), std::memory_order_relaxed);
}

void Run::set_deadline(ClockReading now, Nanoseconds elapsed, Nanoseconds target) noexcept {
  Nanoseconds next = target;
  if (is_group_ || group_->rank_count.load(std::memory_order_relaxed) > 1) {
    next = std::min(next, elapsed + kGroupLook);
  }
  if (info().max_duration > elapsed) {
    next = std::min(next, info().max_duration);
  }
  const Nanoseconds wait =
      next <= elapsed ? Nanoseconds::zero() : std::min(next - elapsed, kLongestLook);
  deadline_ns_.store((now.monotonic.time_since_epoch() + wait).count(), std::memory_order_relaxed);
}

void Run::sample_step_time(MonotonicTime now) noexcept {
  const std::int64_t step = own_step_.load(std::memory_order_relaxed);
  if (step == sampled_step_ || step < 0) {
    return;
  }
  if (sampled_step_ >= 0 && step > sampled_step_) {
    const std::int64_t step_time_ns = (now - sampled_at_).count() / (step - sampled_step_);
    group_->step_time_ns.store(std::max<std::int64_t>(step_time_ns, 1), std::memory_order_relaxed);
  }
  sampled_step_ = step;
  sampled_at_ = now;
}

// Whether this process settles the attempt. A keeper that died or left is followed by whoever asks
// first.
bool Run::keeps() {
  if (page_->is_keeper()) {
    return true;
  }
  const bool is_open = info().is_command || process_->state.load(std::memory_order_acquire) ==
                                                pulse::ProcessState::Running;
  if (is_open && page_->try_keep()) {
    warn("the process that kept this attempt is gone; this one settles it from now on");
  }
  return page_->is_keeper();
}

void Run::look(ClockReading now) {
  const Nanoseconds elapsed = now.boot - info().started_at.boot;
  set_deadline(now, elapsed, elapsed + kRetry);
  sample_step_time(now.monotonic);
  const bool is_keeper = keeps();
  if (is_served(now)) {
    const Nanoseconds pause_at{agent_->pause_at_ns.load(std::memory_order_relaxed)};
    const Nanoseconds latest =
        std::max(pause_at, has_hard_budget() ? lease_.pause_at : Nanoseconds::max());
    if (elapsed < latest) {
      // The agent judges now. What this process has told of its own duration still holds.
      if (is_keeper && !is_overdue(elapsed)) {
        tell(Directive::CONTINUE, now.monotonic);
      }
      const Nanoseconds promised =
          agent::span_between(agent_->back_by_boot_ns.load(std::memory_order_relaxed),
                              info().started_at.boot.time_since_epoch().count());
      set_deadline(now, elapsed, std::min(latest, promised));
      return;
    }
  }
  if (is_keeper) {
    renew(now, elapsed);
  }
}

void Run::renew(ClockReading now, Nanoseconds elapsed) {
  std::unique_ptr<Ledger> ledger;
  if (home_path_.empty()) {
    direct(now, elapsed, nullptr);  // the start has said so
    return;
  }
  try {
    const Nanoseconds timeout =
        ledger_failure_count_ == 0 ? kSlowPathTimeout : kTimeoutAfterFailure;
    ledger = open_ledger(home_path_ + "/ledger.db", {.busy_timeout = timeout});
    if (!account_.has_value()) {
      account_ = agent::account_of(*ledger, info());
    }
    account_ = agent::settle_and_renew(*ledger, info(), *account_, elapsed, now.utc);
    agent::import_checkpoint(*ledger, info(), page_->page());
    write_lineage(*ledger, tracker::kLineageTime);
    lease_ = budget::plan_lease(account_->rate, account_->settled, account_->held,
                                agent::lease_terms_of(info()));
    ledger_failure_count_ = 0;
  } catch (const std::exception& error) {
    warn(error.what());
    ++ledger_failure_count_;
    ledger.reset();
  }
  direct(now, elapsed, ledger.get());
}

bool Run::stop_if_overdue(ClockReading now, Nanoseconds elapsed, Ledger* ledger) {
  if (!is_overdue(elapsed)) {
    return false;
  }
  if (told_by_ranks() != Directive::STOP) {
    own_reason_ = "it has run for " + in_seconds(elapsed) + ", and its max_duration is " +
                  in_seconds(info().max_duration);
    decide(Directive::STOP, Rule::Duration, now.utc);
  }
  if (ledger != nullptr) {
    record_decisions(*ledger);
  }
  tell(Directive::STOP, now.monotonic);
  set_deadline(now, elapsed,
               ledger == nullptr ? elapsed + kRetry : std::max(lease_.renew_at, elapsed + kRetry));
  return true;
}

std::string Run::describe_exhausted(Ledger* ledger, UtcTime now) const {
  std::string name = info().budget_id;
  if (ledger != nullptr) {
    if (const auto found = tracker::tightest(tracker::chain_of(*ledger, info(), now))) {
      name = found->budget.budget_id.str();
    }
  }
  return "the budget " + name + " is used up: what is left pays for the checkpoint and the stop";
}

void Run::direct(ClockReading now, Nanoseconds elapsed, Ledger* ledger) {
  if (stop_if_overdue(now, elapsed, ledger)) {
    return;
  }
  const Rule rule = ledger != nullptr ? Rule::Budget : Rule::Lease;
  const budget::LeaseTerms terms = agent::lease_terms_of(info());
  if (!has_hard_budget() || elapsed < lease_.pause_at) {
    tell(Directive::CONTINUE, now.monotonic);
    const Nanoseconds soonest = elapsed + std::max<Nanoseconds>(terms.term / 4, kRetry);
    const bool is_soft = !has_hard_budget();
    set_deadline(now, elapsed,
                 is_soft || rule == Rule::Lease
                     ? std::min(soonest, is_soft ? soonest : lease_.pause_at)
                     : lease_.renew_at);
    return;
  }
  // Counted back from the end of the money, which no settlement moves.
  const Nanoseconds half_way = lease_.ends_at - terms.billing_quantum - terms.stop_time / 2;
  const bool is_saved = told_by_ranks() >= Directive::PAUSE;
  const Directive directive =
      is_saved || elapsed >= half_way ? Directive::PAUSE : Directive::CHECKPOINT;
  if (told_by_ranks() != directive) {
    own_reason_ = rule == Rule::Lease ? "the ledger cannot be reached and the lease ends: " +
                                            (warnings_.empty() ? std::string() : warnings_.back())
                                      : describe_exhausted(ledger, now.utc);
    decide(directive, rule, now.utc);
  }
  if (ledger != nullptr) {
    record_decisions(*ledger);
  }
  tell(directive, now.monotonic);
  set_deadline(now, elapsed, std::min(elapsed + kRetry, std::max(half_way, elapsed)));
}

void Run::decide(Directive directive, Rule rule, UtcTime now) {
  unrecorded_.push_back({.attempt_id = info().attempt_id,
                         .sequence = 0,
                         .directive = directive,
                         .rule = rule,
                         .rung = Rung::Directive,
                         .reason = own_reason_,
                         .decided_by = "process",
                         .decided_at = now});
}

// Before they are acted on, where the ledger can be reached. Where it cannot, the directive stands
// all the same (spending fails closed), and the ledger is told later.
void Run::record_decisions(Ledger& ledger) {
  while (!unrecorded_.empty()) {
    try {
      ledger.add_decision(unrecorded_.front());
    } catch (const std::exception& error) {
      warn(error.what());
      return;
    }
    unrecorded_.erase(unrecorded_.begin());
  }
}

void Run::checkpointed(std::int64_t step, const std::string& path) {
  if (!is_owner()) {
    return;
  }
  const std::lock_guard<std::mutex> guard(mutex_);
  if (!is_owner()) {
    return;  // another thread has finished meanwhile
  }
  const ClockReading now = SystemClock{}.now();
  page_->confirm_checkpoint(step, path, now.utc);
  const std::uint32_t told = agent_->directive.load(std::memory_order_acquire);
  if (std::max(told, number(told_by_ranks())) == number(Directive::CHECKPOINT)) {
    if (own_reason_.empty()) {
      own_reason_ = pulse::read_reason(page_->page());
    }
    decide(Directive::PAUSE, Rule::Budget, now.utc);
    tell(Directive::PAUSE, now.monotonic);
  }
  if (!is_served(now) && !ledger_path_.empty()) {
    try {
      agent::import_checkpoint(*open_ledger(ledger_path_, {.busy_timeout = kSlowPathTimeout}),
                               info(), page_->page());
    } catch (const std::exception& error) {
      warn(error.what());  // the page holds it: whoever settles the attempt carries it over
    }
  }
}

void Run::finish(RunStatus status, const std::string& reason) noexcept {
  if (!is_owner() || status_.exchange(status) != RunStatus::RUNNING) {
    return;
  }
  const std::lock_guard<std::mutex> guard(mutex_);
  ended_after_ = SystemClock{}.now().boot - info().started_at.boot;
  const bool is_last = page_->drop_user();
  try {
    leave_lineage();
    if (is_last) {
      conclude(status, reason);
    }
  } catch (const std::exception& error) {
    warn(error.what());  // the page stays: the agent or the next run settles it
  }
  mark_.clear();
  if (is_last) {
    page_->release();
  }
}

// Ends this process's part, and the attempt if it is the last.
void Run::conclude(RunStatus status, const std::string& reason) {
  const ClockReading now = SystemClock{}.now();
  ended_after_ = now.boot - info().started_at.boot;
  pulse::ProcessState worst = page_state(status);
  for (pulse::ProcessState known = group_->worst_state.load();
       known < worst && !group_->worst_state.compare_exchange_weak(known, worst);) {
  }
  const bool ends_it = info().is_command ? page_->is_keeper() : page_->is_last_to_leave();
  if (!ends_it) {
    return;
  }
  RunStatus end = status;
  std::string why = reason;
  if (const pulse::ProcessState known = group_->worst_state.load();
      known > worst && !info().is_command) {
    worst = known;
    end = known == pulse::ProcessState::Failed ? RunStatus::FAILED : RunStatus::PAUSED;
    why = std::string("another rank ended as ") + std::string(run_status_name(end));
  }
  process_->last_seen_ns.store(now.monotonic.time_since_epoch().count(), std::memory_order_relaxed);
  // CLOCK_MONOTONIC stands still while the host is suspended: the end needs a clock that does not.
  group_->ended_after_ns.store(ended_after_.count(), std::memory_order_relaxed);
  process_->state.store(worst, std::memory_order_release);
  if (info().is_command || home_path_.empty()) {
    return;  // `finops run` sees the end of its child and settles
  }
  conclude_in_ledger(end, why, now.utc);
}

void Run::conclude_in_ledger(RunStatus status, const std::string& reason, UtcTime now) {
  const std::unique_ptr<Ledger> ledger =
      open_ledger(home_path_ + "/ledger.db", {.busy_timeout = kExitTimeout});
  (void)agent::account_of(*ledger, info());  // the ledger may have been away at the start
  record_decisions(*ledger);
  agent::conclude_attempt(*ledger, info(), page_->page(),
                          {.metered_until = ended_after_, .gone_at = ended_after_},
                          {.status = status, .reason = reason, .ended_at = now});
  page_->remove();
  if (!group_name_.empty()) {
    tracker::GroupFile file(home_path_ + "/live", group_name_);
    if (file.try_lock() && file.read() == info().attempt_id) {
      file.remove();
    }
  }
}

}  // namespace finops
