// run.cpp - the slow path of a run, and everything that is not hot.
#include "finops/tracker/run.hpp"

#include <unistd.h>

#include <algorithm>

#include "finops/agent/settle.hpp"
#include "finops/base/error.hpp"
#include "tracker/begin.hpp"

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
constexpr Nanoseconds kLongestSilence = std::chrono::hours{24};

using SlowPathWrapper = void (*)(void (*body)(Run*) noexcept, Run* run);
std::atomic<SlowPathWrapper> slow_path_wrapper{
    [](void (*body)(Run*) noexcept, Run* run) { body(run); }};

std::uint32_t number(Directive directive) { return static_cast<std::uint32_t>(directive); }

}  // namespace

std::unique_ptr<Run> Run::start(const RunOptions& options) {
  std::optional<tracker::BegunAttempt> attached = tracker::attach(options);
  return std::unique_ptr<Run>(new Run(attached.has_value() ? std::move(*attached)
                                                           : tracker::begin(options, false)));
}

Run::Run(tracker::BegunAttempt begun)
    : page_(std::move(begun.page)),
      owner_mark_(&page_->owner_mark()),
      process_(page_->is_reporter() ? &page_->page().process : &ignored_line_),
      agent_(&page_->page().agent),
      home_path_(std::move(begun.home_path)),
      ledger_path_(std::move(begun.ledger_path)),
      is_attached_(begun.is_attached),
      attempt_number_(begun.attempt_number),
      rate_(agent::rate_of(page_->info())),
      earlier_cost_(begun.earlier_cost),
      resume_from_(std::move(begun.resume_from)),
      account_(std::move(begun.account)),
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

void Run::set_slow_path_wrapper(void (*wrapper)(void (*body)(Run*) noexcept, Run* run)) noexcept {
  slow_path_wrapper.store(wrapper, std::memory_order_release);
}

void Run::slow_path() noexcept {
  slow_path_wrapper.load(std::memory_order_acquire)(
      [](Run* run) noexcept { run->enter_slow_path(); }, this);
}

void Run::enter_slow_path() noexcept {
  std::unique_lock<std::mutex> lock(mutex_, std::try_to_lock);
  if (!lock.owns_lock() || !page_->is_owner()) {
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
  const Nanoseconds wait =
      target <= elapsed ? Nanoseconds::zero() : std::min(target - elapsed, kLongestLook);
  deadline_ns_.store((now.monotonic.time_since_epoch() + wait).count(), std::memory_order_relaxed);
}

void Run::look(ClockReading now) {
  const Nanoseconds elapsed = now.boot - info().started_at.boot;
  set_deadline(now, elapsed, elapsed + kRetry);
  if (is_served(now)) {
    const Nanoseconds pause_at{agent_->pause_at_ns.load(std::memory_order_relaxed)};
    const Nanoseconds latest =
        std::max(pause_at, has_hard_budget() ? lease_.pause_at : Nanoseconds::max());
    if (elapsed < latest) {
      own_directive_.store(0, std::memory_order_relaxed);
      const Nanoseconds promised{agent_->back_by_boot_ns.load(std::memory_order_relaxed) -
                                 info().started_at.boot.time_since_epoch().count()};
      set_deadline(now, elapsed, std::min(latest, promised));
      return;
    }
  }
  if (page_->is_reporter()) {
    renew(now, elapsed);
  }
}

void Run::renew(ClockReading now, Nanoseconds elapsed) {
  std::unique_ptr<Ledger> ledger;
  try {
    FINOPS_REQUIRE(!home_path_.empty(), ErrorCode::LedgerUnavailable, "there is no home folder");
    const Nanoseconds timeout =
        ledger_failure_count_ == 0 ? kSlowPathTimeout : kTimeoutAfterFailure;
    ledger = open_ledger(home_path_ + "/ledger.db", {.busy_timeout = timeout});
    if (!account_.has_value()) {
      account_ = agent::account_of(*ledger, info());
    }
    account_ = agent::settle_and_renew(*ledger, info(), *account_, elapsed, now.utc);
    agent::import_checkpoint(*ledger, info(), page_->page());
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

void Run::direct(ClockReading now, Nanoseconds elapsed, Ledger* ledger) {
  const Rule rule = ledger != nullptr ? Rule::Budget : Rule::Lease;
  const budget::LeaseTerms terms = agent::lease_terms_of(info());
  if (!has_hard_budget() || elapsed < lease_.pause_at) {
    own_directive_.store(0, std::memory_order_relaxed);
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
  const bool is_saved = own_directive_.load(std::memory_order_relaxed) >= number(Directive::PAUSE);
  const Directive directive =
      is_saved || elapsed >= half_way ? Directive::PAUSE : Directive::CHECKPOINT;
  own_reason_ = rule == Rule::Lease
                    ? "the ledger cannot be reached and the lease ends: " +
                          (warnings_.empty() ? std::string() : warnings_.back())
                    : "the budget " + info().budget_id +
                          " is used up: what is left pays for the checkpoint and the stop";
  decide(directive, rule, now.utc);
  if (ledger != nullptr) {
    record_decisions(*ledger);
  }
  own_directive_.store(number(directive), std::memory_order_relaxed);
  set_deadline(now, elapsed, std::min(elapsed + kRetry, std::max(half_way, elapsed)));
}

void Run::decide(Directive directive, Rule rule, UtcTime now) {
  if (own_directive_.load(std::memory_order_relaxed) == number(directive)) {
    return;  // decided already
  }
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
  if (!page_->is_owner() || !page_->is_reporter()) {
    return;
  }
  const std::lock_guard<std::mutex> guard(mutex_);
  const ClockReading now = SystemClock{}.now();
  pulse::write_checkpoint(page_->page(), {.count = checkpoint_count_ + 1,
                                          .step = step,
                                          .confirmed_at = now.utc,
                                          .path = path});
  ++checkpoint_count_;
  const std::uint32_t told = agent_->directive.load(std::memory_order_acquire);
  if (std::max(told, own_directive_.load()) == number(Directive::CHECKPOINT)) {
    if (own_reason_.empty()) {
      own_reason_ = pulse::read_reason(page_->page());
    }
    decide(Directive::PAUSE, Rule::Budget, now.utc);
    own_directive_.store(number(Directive::PAUSE), std::memory_order_relaxed);
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

void Run::commit() {
  if (!page_->is_owner() || !page_->is_reporter()) {
    return;
  }
  const std::lock_guard<std::mutex> guard(mutex_);
  FINOPS_REQUIRE(!home_path_.empty(), ErrorCode::LedgerUnavailable,
                 "there is no ledger to commit to; see the run's warnings");
  const ClockReading now = SystemClock{}.now();
  const std::unique_ptr<Ledger> ledger = open_ledger(home_path_ + "/ledger.db", {});
  const AttemptAccount account = agent::account_of(*ledger, info());
  account_ =
      agent::settle_and_renew(*ledger, info(), account, now.boot - info().started_at.boot, now.utc);
  agent::import_checkpoint(*ledger, info(), page_->page());
  lease_ = budget::plan_lease(account_->rate, account_->settled, account_->held,
                              agent::lease_terms_of(info()));
}

RequestId Run::request_budget(Money amount, const std::string& reason) {
  FINOPS_REQUIRE(!info().budget_id.empty(), ErrorCode::NotFound,
                 "this run has no budget to ask for more of");
  FINOPS_REQUIRE(!ledger_path_.empty(), ErrorCode::LedgerUnavailable,
                 "there is no ledger to put the request in");
  FINOPS_REQUIRE(!reason.empty(), ErrorCode::InvalidArgument,
                 "a request for more money needs a reason");
  BudgetRequest request;
  request.request_id = RequestId{random_id_text(8)};
  request.budget_id = BudgetId{info().budget_id};
  request.run_id = info().run_id;
  request.amount = amount;
  request.who = info().user_name;
  request.why = reason;
  request.requested_at = SystemClock{}.now().utc;
  open_ledger(ledger_path_, {})->add_request(request);
  return request.request_id;
}

void Run::expect_silence(Nanoseconds span, const std::string& why) {
  FINOPS_REQUIRE(span >= Nanoseconds::zero() && span <= kLongestSilence, ErrorCode::InvalidArgument,
                 "an expected silence must be 0 to 24 hours; for longer work use long_running");
  FINOPS_REQUIRE(!why.empty(), ErrorCode::InvalidArgument, "an expected silence needs a reason");
  if (!page_->is_owner()) {
    return;
  }
  auto& text = page_->page().silence_reason;
  const std::size_t size = std::min(why.size(), text.size() - 1);
  std::copy_n(why.begin(), size, text.begin());
  text[size] = '\0';
  const ClockReading now = SystemClock{}.now();
  process_->silent_until_boot_ns.store((now.boot + span).time_since_epoch().count(),
                                       std::memory_order_release);
  heartbeat();
}

std::unique_lock<std::mutex> Run::lock_unless_forked() const {
  // In a forked child the lock may be held by a thread that does not exist there.
  return page_->is_owner() ? std::unique_lock(mutex_) : std::unique_lock(mutex_, std::try_to_lock);
}

std::optional<Money> Run::cost() const {
  if (!rate_.has_value()) {
    return std::nullopt;
  }
  const Nanoseconds running = SystemClock{}.now().boot - info().started_at.boot;
  const std::unique_lock<std::mutex> lock = lock_unless_forked();
  if (!lock.owns_lock()) {
    return rate_->cost_of(running);
  }
  const Money own = rate_->cost_of(status_.load() == RunStatus::RUNNING ? running : ended_after_);
  return earlier_cost_.has_value() ? own + *earlier_cost_ : own;
}

std::optional<Money> Run::price_per_hour() const {
  return rate_.has_value() ? std::optional(rate_->hourly()) : std::nullopt;
}

std::optional<BudgetSummary> Run::budget() const {
  if (info().budget_id.empty() || ledger_path_.empty()) {
    return std::nullopt;
  }
  return open_ledger(ledger_path_, {.read_only = true})
      ->budget(BudgetId{info().budget_id}, SystemClock{}.now().utc);
}

std::string Run::reason() const {
  const std::unique_lock<std::mutex> lock = lock_unless_forked();
  if (!lock.owns_lock()) {
    return {};
  }
  const bool is_told = agent_->directive.load(std::memory_order_acquire) != 0;
  return own_reason_.empty() && is_told ? pulse::read_reason(page_->page()) : own_reason_;
}

std::vector<std::string> Run::warnings() const {
  const std::unique_lock<std::mutex> lock = lock_unless_forked();
  std::vector<std::string> all = lock.owns_lock() ? warnings_ : std::vector<std::string>{};
  if (const std::uint32_t failures = slow_path_failures_.load(); failures > 0) {
    all.push_back("settling failed unexpectedly " + std::to_string(failures) + " times");
  }
  return all;
}

void Run::warn(const std::string& message) {
  constexpr std::size_t kKept = 20;
  const bool is_new = warnings_.empty() || warnings_.back() != message;
  if (is_new && warnings_.size() < kKept) {
    warnings_.push_back(message);
  }
}

void Run::finish(RunStatus status, const std::string& reason) noexcept {
  if (!page_->is_owner() || status_.exchange(status) != RunStatus::RUNNING) {
    return;
  }
  const std::lock_guard<std::mutex> guard(mutex_);
  try {
    conclude(status, reason);
  } catch (const std::exception& error) {
    warn(error.what());  // the page stays: the agent or the next run settles it
  }
  page_->release();
}

void Run::conclude(RunStatus status, const std::string& reason) {
  const ClockReading now = SystemClock{}.now();
  ended_after_ = now.boot - info().started_at.boot;
  if (!page_->is_reporter()) {
    return;
  }
  process_->last_seen_ns.store(now.monotonic.time_since_epoch().count(), std::memory_order_relaxed);
  process_->state.store(status == RunStatus::FINISHED ? pulse::ProcessState::Finished
                        : status == RunStatus::PAUSED ? pulse::ProcessState::Paused
                                                      : pulse::ProcessState::Failed,
                        std::memory_order_release);
  if (is_attached_ || home_path_.empty() || !page_->is_on_disk()) {
    return;  // `finops run` sees the end of its child and settles
  }
  const std::unique_ptr<Ledger> ledger =
      open_ledger(home_path_ + "/ledger.db", {.busy_timeout = kExitTimeout});
  (void)agent::account_of(*ledger, info());  // the ledger may have been away at the start
  record_decisions(*ledger);
  agent::conclude_attempt(*ledger, info(), page_->page(),
                          {.metered_until = ended_after_, .gone_at = ended_after_},
                          {.status = status, .reason = reason, .ended_at = now.utc});
  page_->remove();
}

}  // namespace finops
