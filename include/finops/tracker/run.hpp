// run.hpp - one attempt of a training run, inside its process.
//
// Owns: Run: the live page, the lease, the hot calls.
// Invariants: no thread, no signal handler; hot calls make no system call, allocate nothing, lock
// nothing and never throw; in a forked child, and after `finish`, every call is a no-op.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "finops/ledger/ledger.hpp"
#include "finops/pulse/own_page.hpp"
#include "finops/record/decision.hpp"
#include "finops/tracker/options.hpp"

namespace finops {

namespace tracker {
struct BegunAttempt;
}

class Run {
 public:
  /// Starts an attempt, or attaches to the one that `finops run` started for this process.
  /// Throws Error(InvalidArgument) and the other caller's faults; Error(BudgetExhausted) if a hard
  /// budget has nothing left; Error(LedgerUnavailable) only for a hard budget or with
  /// fail_open=false: otherwise the run goes on and `warnings` says what is missing.
  static std::unique_ptr<Run> start(const RunOptions& options);
  /// Finishes as FINISHED if nobody has: a run never outlives its object.
  ~Run();
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  // The hot calls.

  /// Reports that work went on, at `step`.
  void progress(std::int64_t step) noexcept {
    if (owner_mark_->load(std::memory_order_relaxed) != 0) {
      process_->step.store(step, std::memory_order_relaxed);
      beat();
    }
  }

  /// Reports that work went on, without a step.
  void heartbeat() noexcept {
    if (owner_mark_->load(std::memory_order_relaxed) != 0) {
      beat();
    }
  }

  /// May the run go on? CONTINUE; CHECKPOINT: save now; PAUSE, STOP: leave. Is no progress.
  [[nodiscard]] Directive check_budget() noexcept {
    if (owner_mark_->load(std::memory_order_relaxed) == 0) {
      return Directive::CONTINUE;
    }
    const std::int64_t now_ns = coarse_monotonic_now().time_since_epoch().count();
    if (now_ns >= deadline_ns_.load(std::memory_order_relaxed)) [[unlikely]] {
      slow_path();
    }
    const std::uint32_t told = agent_->directive.load(std::memory_order_acquire);
    const std::uint32_t own = own_directive_.load(std::memory_order_relaxed);
    const std::uint32_t directive = told > own ? told : own;
    return directive > 3 ? Directive::CONTINUE : static_cast<Directive>(directive);
  }

  // The others. Each may read or write the ledger.

  /// Confirms that a checkpoint lies whole at `path`. After a CHECKPOINT directive the next
  /// directive is PAUSE. Throws Error(InvalidArgument) for a path of over 700 bytes.
  void checkpointed(std::int64_t step, const std::string& path);
  /// Settles up to now. What it returned for survives power loss.
  /// Throws Error(LedgerUnavailable) if that cannot be had.
  void commit();
  /// Asks for `amount` more. Returns the request's id. Throws Error(NotFound) without a budget.
  RequestId request_budget(Money amount, const std::string& reason);
  /// Announces up to `span` without progress (a compilation, an evaluation).
  /// Throws Error(InvalidArgument) unless the span is 0 to 24 hours and `why` is given.
  void expect_silence(Nanoseconds span, const std::string& why);
  /// Ends the attempt once; later calls do nothing. Never throws: what the ledger cannot take now
  /// stays in the live page for the agent or the next run.
  void finish(RunStatus status, const std::string& reason) noexcept;

  [[nodiscard]] const RunId& run_id() const noexcept { return page_->info().run_id; }
  [[nodiscard]] const pulse::PageInfo& info() const noexcept { return page_->info(); }
  [[nodiscard]] int attempt_number() const noexcept { return attempt_number_; }
  /// The last confirmed checkpoint of an earlier attempt; empty on a first one.
  [[nodiscard]] const std::optional<CheckpointRecord>& resume_from() const noexcept {
    return resume_from_;
  }
  /// All attempts of the run up to now; empty if unpriced, which is not zero.
  [[nodiscard]] std::optional<Money> cost() const;
  [[nodiscard]] std::optional<Money> price_per_hour() const;
  /// Empty if the run has no budget. Throws Error(LedgerUnavailable).
  [[nodiscard]] std::optional<BudgetSummary> budget() const;
  /// RUNNING until `finish`.
  [[nodiscard]] RunStatus status() const noexcept { return status_.load(); }
  /// Why the last directive above CONTINUE was given, in plain words.
  [[nodiscard]] std::string reason() const;
  [[nodiscard]] bool is_owner() const noexcept { return page_->is_owner(); }
  [[nodiscard]] std::vector<std::string> warnings() const;
  /// Sets what runs around every slow path of the process: the Python module lets go of the
  /// interpreter's lock there. `wrapper` must call `body(run)` once.
  static void set_slow_path_wrapper(void (*wrapper)(void (*body)(Run*) noexcept,
                                                    Run* run)) noexcept;
  /// Time spent in the slow path so far: apart from the hot calls.
  [[nodiscard]] Nanoseconds slow_path_time() const noexcept {
    return Nanoseconds{slow_path_ns_.load(std::memory_order_relaxed)};
  }

 private:
  explicit Run(tracker::BegunAttempt begun);

  void beat() noexcept {
    // One writer: a plain load and store are enough, and a lost increment among threads is still
    // a change.
    const std::uint64_t count = process_->progress_count.load(std::memory_order_relaxed);
    process_->progress_count.store(count + 1, std::memory_order_release);
    const std::int64_t now_ns = coarse_monotonic_now().time_since_epoch().count();
    process_->last_seen_ns.store(now_ns, std::memory_order_relaxed);
    if (now_ns >= deadline_ns_.load(std::memory_order_relaxed)) [[unlikely]] {
      slow_path();
    }
  }

  void slow_path() noexcept;
  void enter_slow_path() noexcept;
  void look(ClockReading now);
  void renew(ClockReading now, Nanoseconds elapsed);
  void direct(ClockReading now, Nanoseconds elapsed, Ledger* ledger);
  void set_deadline(ClockReading now, Nanoseconds elapsed, Nanoseconds target) noexcept;
  void conclude(RunStatus status, const std::string& reason);
  void decide(Directive directive, Rule rule, UtcTime now);
  void record_decisions(Ledger& ledger);
  [[nodiscard]] std::unique_lock<std::mutex> lock_unless_forked() const;
  [[nodiscard]] bool is_served(ClockReading now) const noexcept;
  [[nodiscard]] bool has_hard_budget() const noexcept;
  void warn(const std::string& message);

  std::unique_ptr<pulse::OwnPage> page_;
  const std::atomic<std::uint32_t>* owner_mark_;
  pulse::ProcessLine* process_;
  pulse::AgentLine* agent_;
  std::atomic<std::int64_t> deadline_ns_{0};
  std::atomic<std::uint32_t> own_directive_{0};
  std::atomic<std::int64_t> slow_path_ns_{0};
  std::atomic<std::uint32_t> slow_path_failures_{0};
  std::atomic<RunStatus> status_{RunStatus::RUNNING};

  pulse::ProcessLine ignored_line_{};  // where a process that is not the reporter writes
  mutable std::mutex mutex_;           // of everything below
  std::string home_path_;
  std::string ledger_path_;  // empty: no ledger could be had at the start
  bool is_attached_ = false;
  int attempt_number_ = 1;
  std::optional<Rate> rate_;
  std::optional<Money> earlier_cost_;
  std::optional<CheckpointRecord> resume_from_;
  std::optional<AttemptAccount> account_;
  budget::LeasePlan lease_;
  std::uint64_t checkpoint_count_ = 0;
  int ledger_failure_count_ = 0;            // in a row
  std::vector<DecisionRecord> unrecorded_;  // own directives that the ledger does not know yet
  Nanoseconds ended_after_{};
  std::string own_reason_;
  std::vector<std::string> warnings_;
};

}  // namespace finops
