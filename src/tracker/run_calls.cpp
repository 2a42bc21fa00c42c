// run_calls.cpp - what a run answers and asks for beside its hot calls.
#include <algorithm>

#include "finops/agent/settle.hpp"
#include "finops/base/error.hpp"
#include "finops/tracker/run.hpp"
#include "tracker/chain.hpp"
#include "tracker/lineage_backlog.hpp"

namespace finops {
namespace {

constexpr Nanoseconds kLongestSilence = std::chrono::hours{24};

}  // namespace

void Run::commit() {
  if (!is_owner() || !page_->is_keeper()) {
    return;
  }
  const std::lock_guard<std::mutex> guard(mutex_);
  if (!is_owner()) {
    return;  // another thread has finished meanwhile
  }
  FINOPS_REQUIRE(!home_path_.empty(), ErrorCode::LedgerUnavailable,
                 "there is no ledger to commit to; see the run's warnings");
  const ClockReading now = SystemClock{}.now();
  const std::unique_ptr<Ledger> ledger = open_ledger(home_path_ + "/ledger.db", {});
  const AttemptAccount account = agent::account_of(*ledger, info());
  try {
    agent::require_its_budget(info(), account);
  } catch (const Error& error) {
    detail::throw_error(ErrorCode::LedgerUnavailable, error.what());
  }
  account_ =
      agent::settle_and_renew(*ledger, info(), account, now.boot - info().started_at.boot, now.utc);
  agent::import_checkpoint(*ledger, info(), page_->page());
  write_lineage(*ledger, tracker::kLineageTime);
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
  const UtcTime now = SystemClock{}.now().utc;
  const std::unique_ptr<Ledger> ledger = open_ledger(ledger_path_, {});
  const auto found = tracker::tightest(tracker::chain_of(*ledger, info(), now));
  BudgetRequest request;
  request.request_id = RequestId{random_id_text(8)};
  request.budget_id = found.has_value() ? found->budget.budget_id : BudgetId{info().budget_id};
  request.run_id = info().run_id;
  request.amount = amount;
  request.who = info().user_name;
  request.why = reason;
  request.requested_at = now;
  ledger->add_request(request);
  return request.request_id;
}

void Run::expect_silence(Nanoseconds span, const std::string& why) {
  FINOPS_REQUIRE(span >= Nanoseconds::zero() && span <= kLongestSilence, ErrorCode::InvalidArgument,
                 "an expected silence must be 0 to 24 hours; for longer work use long_running");
  FINOPS_REQUIRE(!why.empty(), ErrorCode::InvalidArgument, "an expected silence needs a reason");
  if (!is_owner()) {
    return;
  }
  pulse::write_silence_reason(page_->page(), why);
  const ClockReading now = SystemClock{}.now();
  process_->silent_until_boot_ns.store((now.boot + span).time_since_epoch().count(),
                                       std::memory_order_release);
  heartbeat();
}

std::unique_lock<std::mutex> Run::lock_unless_forked() const {
  // In a forked child the lock may be held by a thread that does not exist there.
  return page_->is_owner() ? std::unique_lock(mutex_) : std::unique_lock(mutex_, std::try_to_lock);
}

Nanoseconds Run::elapsed() const {
  const Nanoseconds running = SystemClock{}.now().boot - info().started_at.boot;
  const std::unique_lock<std::mutex> lock = lock_unless_forked();
  return !lock.owns_lock() || status_.load() == RunStatus::RUNNING ? running : ended_after_;
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
  const bool is_told = agent_->directive.load(std::memory_order_acquire) != 0 ||
                       told_by_ranks() != Directive::CONTINUE;
  return own_reason_.empty() && is_told ? pulse::read_reason(page_->page()) : own_reason_;
}

std::vector<std::string> Run::warnings() const {
  const std::unique_lock<std::mutex> lock = lock_unless_forked();
  std::vector<std::string> all = lock.owns_lock() ? warnings_ : std::vector<std::string>{};
  if (const std::uint32_t failures = slow_path_failures_.load(); failures > 0) {
    all.push_back("settling failed unexpectedly " + std::to_string(failures) + " times");
  }
  if (lock.owns_lock() && untold_refusal_count_ > 0) {
    all.push_back("and " + std::to_string(untold_refusal_count_) +
                  " more sentences were refused: " + untold_refusal_);
  }
  if (lock.owns_lock() && lost_count_ > 0) {
    all.push_back("too much waited for the ledger: " + std::to_string(lost_count_) +
                  " sentences are lost, from " + first_lost_ + " on");
  }
  return all;
}

// Gives back whether it is told: a loop that goes wrong for ever must not fill memory.
bool Run::warn(const std::string& message) {
  constexpr std::size_t kKept = 20;
  if (!warnings_.empty() && warnings_.back() == message) {
    return true;
  }
  if (warnings_.size() >= kKept) {
    return false;
  }
  warnings_.push_back(message);
  return true;
}

}  // namespace finops
