// run.hpp - one attempt of a training run, inside its process.
//
// Owns: Run: the live page, the lease, the hot calls. Does not own: how ranks find each other
// (src/tracker/join.hpp), the step they agree on (pulse/agreement.hpp).
// Invariants: no thread, no signal handler; hot calls make no system call, allocate nothing, lock
// nothing and never throw; in a forked child, and after `finish`, every call is a no-op.
#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "finops/ledger/ledger.hpp"
#include "finops/pulse/agreement.hpp"
#include "finops/pulse/own_page.hpp"
#include "finops/record/decision.hpp"
#include "finops/tracker/options.hpp"

namespace finops {

namespace tracker {
struct BegunAttempt;
}

/// The processes of one job on one host are one attempt, charged once:
/// - below `finops run` (FINOPS_ATTEMPT_ID names a living attempt), each that calls start attaches;
/// - in a job (detect::Job: FINOPS_RUN_ID, torchrun, Slurm), the first begins the attempt and the
///   others attach; local rank 0 is given a second to be the first. On several hosts each host has
///   an attempt of its own, of one run;
/// - a later Run of the same process shares the attempt of the first.
/// A lone torchrun rank, a lone Slurm task and a batch script are runs like any other.
///
/// Progress of any rank is progress of the attempt, and any living rank keeps it alive. One of them
/// is the keeper: it settles money where no agent does. If it dies or leaves, another one takes
/// over within about a second. The last to leave ends the attempt, as FAILED if any rank failed,
/// else as PAUSED if any paused. Below `finops run` that one ends it. Any rank may confirm a
/// checkpoint.
///
/// Where several ranks are attached, a directive counts for all from one step, about a second of
/// steps ahead; if steps become slower meanwhile, from a nearer one (pulse/agreement.hpp).
/// CHECKPOINT counts for that one step. All must number their steps alike and ask at the same ones;
/// these may be far apart. A rank that reports no steps acts at once.
class Run {
 public:
  /// Starts an attempt, or attaches to one as said above.
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
      own_step_.store(step, std::memory_order_relaxed);
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
    const std::uint64_t ranks_told = group_->ranks_told.load(std::memory_order_acquire);
    if ((told | (ranks_told & 3U)) == 0) [[likely]] {
      return Directive::CONTINUE;
    }
    return agreed_directive(now_ns);
  }

  // The others. Each may read or write the ledger.

  /// Confirms that a checkpoint lies whole at `path`. After a CHECKPOINT directive the next
  /// directive is PAUSE. One rank is enough; the same from another one is a no-op. Throws
  /// Error(InvalidArgument) for a path of over 700 bytes.
  void checkpointed(std::int64_t step, const std::string& path);
  /// Settles up to now. What it returned for survives power loss. Only the keeper settles.
  /// Throws Error(LedgerUnavailable) if that cannot be had.
  void commit();
  /// Asks for `amount` more, of the hard budget of the chain with the least left. Returns the
  /// request's id. Throws Error(NotFound) without a budget.
  RequestId request_budget(Money amount, const std::string& reason);
  /// Announces up to `span` without progress (a compilation, an evaluation).
  /// Throws Error(InvalidArgument) unless the span is 0 to 24 hours and `why` is given.
  void expect_silence(Nanoseconds span, const std::string& why);
  /// Records that the run read `what`: a dataset by its name, or "model:base", "checkpoint:...".
  /// Any process of the attempt may say it, and the same again is a no-op. When this returns, it is
  /// in the ledger; only where the ledger cannot be had and fail_open is set, it waits in memory
  /// and `warnings` says so: it is written with the next calls, commits and settlements (about
  /// 0.1 s of each) or by finish, or kept by `finish` in a file of the home for the next start, and
  /// lost if the process dies before. Throws Error(InvalidArgument) for a bad name, what no run can
  /// read, and a cycle (naming its path); Error(Conflict) if it was recorded with another step;
  /// Error(LedgerUnavailable) with fail_open=false.
  void used(const std::string& what, std::optional<std::int64_t> step = std::nullopt);
  /// The same for what the run made: a model by its name, or "dataset:tokens".
  void produced(const std::string& what, std::optional<std::int64_t> step = std::nullopt);
  /// Records that `model` is served at `endpoint`, by this run. Throws as `used`.
  void deployed(const std::string& model, const std::string& endpoint);
  /// Ends this run once; later calls do nothing. The last of an attempt's runs ends the attempt.
  /// Never throws: what the ledger cannot take now stays in the live page for the agent or the next
  /// run.
  void finish(RunStatus status, const std::string& reason) noexcept;

  [[nodiscard]] const RunId& run_id() const noexcept { return page_->info().run_id; }
  [[nodiscard]] const pulse::PageInfo& info() const noexcept { return page_->info(); }
  [[nodiscard]] int attempt_number() const noexcept { return attempt_number_; }
  /// The last confirmed checkpoint of an earlier attempt; empty on a first one.
  [[nodiscard]] const std::optional<CheckpointRecord>& resume_from() const noexcept {
    return resume_from_;
  }
  /// Since the attempt's start, on CLOCK_BOOTTIME; stands still after `finish`.
  [[nodiscard]] Nanoseconds elapsed() const;
  /// The last step that this process reported; empty before the first.
  [[nodiscard]] std::optional<std::int64_t> step() const noexcept {
    const std::int64_t step = own_step_.load(std::memory_order_relaxed);
    return step == pulse::kNoStep ? std::nullopt : std::optional{step};
  }
  /// What an hour costs, exactly; empty if the attempt is unpriced.
  [[nodiscard]] const std::optional<Rate>& rate() const noexcept { return rate_; }
  /// The folder of the ledger.
  [[nodiscard]] const std::string& home_path() const noexcept { return home_path_; }
  /// All attempts of the run up to now; empty if unpriced, which is not zero.
  [[nodiscard]] std::optional<Money> cost() const;
  [[nodiscard]] std::optional<Money> price_per_hour() const;
  /// The smallest of the chain; empty if the run has none. Throws Error(LedgerUnavailable).
  [[nodiscard]] std::optional<BudgetSummary> budget() const;
  /// RUNNING until `finish`.
  [[nodiscard]] RunStatus status() const noexcept { return status_.load(); }
  /// Why the last directive above CONTINUE was given, in plain words.
  [[nodiscard]] std::string reason() const;
  /// False in a forked child and after `finish`.
  [[nodiscard]] bool is_owner() const noexcept { return mark_.is_set(); }
  /// Whether this process settles the attempt where no agent does.
  [[nodiscard]] bool is_keeper() const noexcept { return page_->is_keeper(); }
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
  Run(tracker::BegunAttempt begun, bool fail_open);

  void beat() noexcept {
    // A plain load and store are enough, and a locked instruction would cost four times as much:
    // threads and other ranks write here too, and of two increments one may be lost, but what
    // counts is that the number changes.
    const std::uint64_t count = process_->progress_count.load(std::memory_order_relaxed);
    process_->progress_count.store(count + 1, std::memory_order_release);
    const std::int64_t now_ns = coarse_monotonic_now().time_since_epoch().count();
    process_->last_seen_ns.store(now_ns, std::memory_order_relaxed);
    if (now_ns >= deadline_ns_.load(std::memory_order_relaxed)) [[unlikely]] {
      slow_path();
    }
  }

  [[nodiscard]] Directive agreed_directive(std::int64_t now_ns) noexcept;
  void slow_path() noexcept;
  void enter_slow_path() noexcept;
  void look(ClockReading now);
  bool keeps();
  void sample_step_time(MonotonicTime now) noexcept;
  void renew(ClockReading now, Nanoseconds elapsed);
  void direct(ClockReading now, Nanoseconds elapsed, Ledger* ledger);
  bool stop_if_overdue(ClockReading now, Nanoseconds elapsed, Ledger* ledger);
  void set_deadline(ClockReading now, Nanoseconds elapsed, Nanoseconds target) noexcept;
  void conclude(RunStatus status, const std::string& reason);
  void conclude_in_ledger(RunStatus status, const std::string& reason, UtcTime now);
  void decide(Directive directive, Rule rule, UtcTime now);
  void tell(Directive directive, MonotonicTime now) noexcept;
  [[nodiscard]] Directive told_by_ranks() const noexcept;
  void record_decisions(Ledger& ledger);
  void record_lineage(std::vector<LineageEdge> edges);
  void write_lineage(Ledger& ledger, Nanoseconds most_time);
  void leave_lineage();
  [[nodiscard]] std::unique_lock<std::mutex> lock_unless_forked() const;
  [[nodiscard]] bool is_served(ClockReading now) const noexcept;
  [[nodiscard]] bool has_hard_budget() const noexcept;
  [[nodiscard]] bool is_overdue(Nanoseconds elapsed) const noexcept;
  [[nodiscard]] std::string describe_exhausted(Ledger* ledger, UtcTime now) const;
  bool warn(const std::string& message);

  std::shared_ptr<pulse::OwnPage> page_;
  pulse::OwnerMark mark_;  // of this run: the page's stays while another run of the process goes on
  const std::atomic<std::uint32_t>* owner_mark_;
  pulse::ProcessLine* process_;
  pulse::AgentLine* agent_;
  pulse::GroupLine* group_;
  std::atomic<std::int64_t> deadline_ns_{0};
  std::atomic<std::int64_t> own_step_{pulse::kNoStep};
  pulse::Agreement agreement_;
  std::atomic<std::int64_t> slow_path_ns_{0};
  std::atomic<std::uint32_t> slow_path_failures_{0};
  std::atomic<RunStatus> status_{RunStatus::RUNNING};

  mutable std::mutex mutex_;  // of everything below
  std::string home_path_;
  std::string ledger_path_;  // empty: no ledger could be had at the start
  bool fail_open_ = true;
  bool is_attached_ = false;
  bool is_group_ = false;
  std::string group_name_;
  std::int64_t sampled_step_ = pulse::kNoStep;
  MonotonicTime sampled_at_{};
  int attempt_number_ = 1;
  std::optional<Rate> rate_;
  std::optional<Money> earlier_cost_;
  std::optional<CheckpointRecord> resume_from_;
  std::optional<AttemptAccount> account_;
  budget::LeasePlan lease_;
  int ledger_failure_count_ = 0;               // in a row
  std::vector<DecisionRecord> unrecorded_;     // own directives that the ledger does not know yet
  std::deque<LineageEdge> unwritten_lineage_;  // what the ledger could not take
  std::int64_t untold_refusal_count_ = 0;      // of sentences, past the warnings that are kept
  std::string untold_refusal_;                 // the first of them
  std::int64_t lost_count_ = 0;                // sentences, for too much waited
  std::string first_lost_;
  Nanoseconds ended_after_{};
  std::string own_reason_;
  std::vector<std::string> warnings_;
};

}  // namespace finops
