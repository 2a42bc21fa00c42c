// agent.cpp - one round of the agent over the live pages.
#include "finops/agent/agent.hpp"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "finops/base/error.hpp"
#include "finops/base/process.hpp"

namespace finops::agent {

// The epoch of an agent that looks after adopted pages only and serves nobody else.
constexpr std::uint64_t kLonely = UINT64_MAX;

/// One page, of another process or of this one.
struct Agent::PageRef {
  const pulse::PageInfo* info = nullptr;
  pulse::PageLayout* page = nullptr;
  const pulse::ForeignPage* foreign = nullptr;  // empty: adopted
};

/// What the agent remembers of an attempt from round to round.
struct Agent::Watched {
  std::uint64_t progress_count = 0;
  std::int64_t last_seen_ns = 0;
  BootTime progress_changed_at{};
  std::int64_t silent_until_ns = 0;
  BootTime silence_announced_at{};
  std::uint64_t checkpoint_count = 0;
  bool is_alive = true;
  std::optional<AttemptAccount> account;
  budget::LeasePlan lease;
  guard::Decision last;  // the last one that was recorded
  BootTime rung_since{};
  bool seen_in_round = false;
  bool has_acted = true;  // false: decided by an agent that may have died before it acted
};

Agent::Agent(AgentOptions options, const Clock& clock)
    : options_(std::move(options)), clock_(clock), scanner_(options_.home.live_path()) {
  guard::check_policy(options_.policy);
}

Agent::~Agent() {
  if (lock_descriptor_ >= 0) {
    close(lock_descriptor_);
  }
}

bool Agent::try_serve() {
  if (is_serving()) {
    return true;
  }
  if (lock_descriptor_ < 0) {
    lock_descriptor_ = open(options_.home.agent_lock_path().c_str(),
                            O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (lock_descriptor_ < 0) {
      return false;
    }
  }
  struct flock lock{};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  // An OFD lock: two agents in one process exclude each other as well.
  if (fcntl(lock_descriptor_, F_OFD_SETLK, &lock) != 0) {
    return false;
  }
  std::uint64_t epoch = 0;
  if (pread(lock_descriptor_, &epoch, sizeof epoch, 0) != sizeof epoch) {
    epoch = 0;
  }
  ++epoch;
  if (pwrite(lock_descriptor_, &epoch, sizeof epoch, 0) != sizeof epoch) {
    return false;  // a full disk: without an epoch of its own it does not serve
  }
  fdatasync(lock_descriptor_);
  epoch_ = epoch;
  return true;
}

void Agent::adopt(pulse::OwnPage* page) { adopted_.push_back(page); }

void Agent::drop(pulse::OwnPage* page) {
  std::erase(adopted_, page);
  watched_.erase(page->info().attempt_id);
}

Ledger& Agent::ledger() {
  if (ledger_ == nullptr) {
    ledger_ = open_ledger(options_.home.ledger_path(), {});
  }
  return *ledger_;
}

void Agent::start_round(ClockReading now) {
  // After a standstill of its own (a suspended host, SIGSTOP) the agent has not watched anybody:
  // all windows start anew.
  const bool stood_still =
      last_round_.has_value() &&
      now.boot - *last_round_ > 3 * options_.interval + std::chrono::seconds{1};
  last_round_ = now.boot;
  for (auto& [attempt_id, watched] : watched_) {
    watched->seen_in_round = false;
    if (stood_still) {
      watched->progress_changed_at = now.boot;
      watched->rung_since = now.boot;
    }
  }
}

TickReport Agent::tick() {
  TickReport report;
  const ClockReading now = clock_.now();
  start_round(now);
  std::vector<PageRef> refs;
  for (pulse::OwnPage* own : adopted_) {
    // The agent line has one writer: the agent that serves, or, if none does, this one.
    const pulse::AgentLine& line = own->page().agent;
    const bool served_by_another =
        !is_serving() && line.agent_epoch.load() != kLonely && line.agent_epoch.load() != 0 &&
        line.back_by_boot_ns.load() >= now.boot.time_since_epoch().count();
    if (served_by_another) {
      continue;
    }
    refs.push_back({&own->info(), &own->page(), nullptr});
  }
  if (is_serving()) {
    try {
      scanner_.scan();
      for (const pulse::RejectedPage& rejected : scanner_.rejected()) {
        report.warnings.push_back("skipped " + rejected.path + ": " + rejected.why);
      }
      for (pulse::ForeignPage* foreign : scanner_.pages()) {
        refs.push_back({&foreign->info(), &foreign->page(), foreign});
      }
    } catch (const std::exception& error) {
      report.warnings.emplace_back(error.what());
    }
  }
  report.page_count = refs.size();
  for (const PageRef& ref : refs) {
    try {
      visit(ref, now, report);
    } catch (const std::exception& error) {
      report.warnings.push_back(ref.info->attempt_id.str() + ": " + error.what());
      ledger_.reset();  // opened anew in the next round
    }
  }
  std::erase_if(watched_, [](const auto& item) { return !item.second->seen_in_round; });
  if (is_serving()) {
    settle_suspects(now, report);
  }
  return report;
}

TickReport Agent::settle_dead(std::size_t page_limit) {
  TickReport report;
  if (!is_serving()) {
    return report;
  }
  const ClockReading now = clock_.now();
  scanner_.scan();
  for (pulse::ForeignPage* foreign : scanner_.pages()) {
    if (report.page_count++ == page_limit) {
      break;
    }
    const PageRef ref{&foreign->info(), &foreign->page(), foreign};
    try {
      if (!foreign->is_locked()) {
        Watched watched;
        watched.is_alive = false;
        conclude(ref, watched, now, report);
      }
    } catch (const std::exception& error) {
      report.warnings.push_back(ref.info->attempt_id.str() + ": " + error.what());
      ledger_.reset();
    }
  }
  settle_suspects(now, report);
  return report;
}

void Agent::visit(const PageRef& ref, ClockReading now, TickReport& report) {
  auto [entry, is_new] = watched_.try_emplace(ref.info->attempt_id);
  if (is_new) {
    entry->second = std::make_unique<Watched>();
    first_look(ref, *entry->second, now);
  }
  Watched& watched = *entry->second;
  watched.seen_in_round = true;
  observe(ref, watched, now);
  const bool has_finished =
      ref.page->process.state.load(std::memory_order_acquire) != pulse::ProcessState::Running;
  // An adopted page is concluded by `finops run`, which sees its child's exit.
  if (ref.foreign != nullptr && (!watched.is_alive || (has_finished && !ref.info->is_command))) {
    conclude(ref, watched, now, report);
    return;
  }
  if (!watched.is_alive) {
    return;
  }
  serve_lease(ref, watched, now);
  judge(ref, watched, now, report);
}

void Agent::first_look(const PageRef& ref, Watched& watched, ClockReading now) {
  const pulse::ProcessLine& line = ref.page->process;
  watched.progress_count = line.progress_count.load(std::memory_order_relaxed);
  watched.last_seen_ns = line.last_seen_ns.load(std::memory_order_relaxed);
  // The process's last call, on the system's own monotonic clock, which no program can set: so a
  // guard that starts late, or runs by cron, still sees who has been silent for long.
  const Nanoseconds ago = now.monotonic.time_since_epoch() - Nanoseconds{watched.last_seen_ns};
  watched.progress_changed_at =
      std::max(now.boot - std::max(ago, Nanoseconds::zero()), ref.info->started_at.boot);
  watched.rung_since = now.boot;
  // Where a ladder was going on when the last agent ended, this one goes on with it.
  const std::vector<DecisionRecord> decided = ledger().decisions(ref.info->attempt_id, 1);
  if (!decided.empty()) {
    watched.last = {.directive = decided.back().directive,
                    .rule = decided.back().rule,
                    .rung = decided.back().rung,
                    .reason = decided.back().reason};
    watched.has_acted = false;
  }
}

void Agent::observe(const PageRef& ref, Watched& watched, ClockReading now) {
  const pulse::ProcessLine& line = ref.page->process;
  const std::uint64_t progress_count = line.progress_count.load(std::memory_order_acquire);
  const std::int64_t last_seen_ns = line.last_seen_ns.load(std::memory_order_relaxed);
  const std::int64_t silent_until_ns = line.silent_until_boot_ns.load(std::memory_order_relaxed);
  if (progress_count != watched.progress_count) {
    watched.progress_count = progress_count;
    watched.progress_changed_at = now.boot;
  }
  if (silent_until_ns != watched.silent_until_ns) {
    watched.silent_until_ns = silent_until_ns;
    watched.silence_announced_at = now.boot;
  }
  const bool has_moved = last_seen_ns != watched.last_seen_ns;
  watched.last_seen_ns = last_seen_ns;
  // A call proves life up to that call. Before money is settled up to now, and where nothing moved,
  // the lock is asked.
  const bool is_due = now.boot - ref.info->started_at.boot >= watched.lease.renew_at;
  BootTime alive_at = now.boot;
  if (ref.foreign != nullptr && has_moved && !is_due) {
    alive_at = std::min(now.boot, ref.info->started_at.boot + elapsed_at(*ref.info, last_seen_ns));
  } else {
    watched.is_alive = ref.foreign == nullptr || ref.foreign->is_locked();
  }
  if (watched.is_alive) {
    ref.page->agent.alive_at_boot_ns.store(alive_at.time_since_epoch().count(),
                                           std::memory_order_relaxed);
  }
}

void Agent::serve_lease(const PageRef& ref, Watched& watched, ClockReading now) {
  const pulse::PageInfo& info = *ref.info;
  const Nanoseconds elapsed = now.boot - info.started_at.boot;
  if (!watched.account.has_value()) {
    watched.account = account_of(ledger(), info);
    watched.lease = budget::plan_lease(watched.account->rate, watched.account->settled,
                                       watched.account->held, lease_terms_of(info));
  }
  if (elapsed >= watched.lease.renew_at) {
    watched.account = settle_and_renew(ledger(), info, *watched.account, elapsed, now.utc);
    watched.lease = budget::plan_lease(watched.account->rate, watched.account->settled,
                                       watched.account->held, lease_terms_of(info));
  }
  const std::uint64_t checkpoint_count =
      ref.page->process.checkpoint_count.load(std::memory_order_acquire);
  if (checkpoint_count != watched.checkpoint_count) {
    import_checkpoint(ledger(), info, *ref.page);
    watched.checkpoint_count = checkpoint_count;
  }
  pulse::AgentLine& line = ref.page->agent;
  const Nanoseconds promise = std::max<Nanoseconds>(3 * options_.interval, std::chrono::seconds{2});
  line.pause_at_ns.store(watched.lease.pause_at.count(), std::memory_order_relaxed);
  line.ends_at_ns.store(watched.lease.ends_at.count(), std::memory_order_relaxed);
  line.agent_epoch.store(is_serving() ? epoch_ : kLonely, std::memory_order_relaxed);
  line.back_by_boot_ns.store((now.boot + promise).time_since_epoch().count(),
                             std::memory_order_release);
}

void Agent::judge(const PageRef& ref, Watched& watched, ClockReading now, TickReport& report) {
  const pulse::PageInfo& info = *ref.info;
  const guard::RunState state{
      .reports =
          !info.is_command || ref.page->process.reporter_pid.load(std::memory_order_relaxed) != 0,
      .is_long_running = info.is_long_running,
      .silence_limit = info.silence_limit,
      .progress_changed_at = watched.progress_changed_at,
      .silent_until = BootTime{Nanoseconds{watched.silent_until_ns}},
      .silence_announced_at = watched.silence_announced_at,
      .started_at = info.started_at.boot,
      .is_hard_budget = !info.budget_id.empty() && info.is_hard_budget,
      .is_exhausted = watched.account->is_exhausted,
      .lease = watched.lease,
      .terms = lease_terms_of(info),
      .rung = watched.last.rung,
      .rule = watched.last.rule,
      .rung_since = watched.rung_since};
  const guard::Decision decision = guard::decide(state, options_.policy, now.boot);
  const bool is_new = decision.directive != watched.last.directive ||
                      decision.rule != watched.last.rule || decision.rung != watched.last.rung;
  if (is_new) {
    // Recorded before it is acted on: what cannot be explained later is not done.
    report.decisions.push_back(ledger().add_decision({.attempt_id = info.attempt_id,
                                                      .sequence = 0,
                                                      .directive = decision.directive,
                                                      .rule = decision.rule,
                                                      .rung = decision.rung,
                                                      .reason = decision.reason,
                                                      .decided_by = options_.name,
                                                      .decided_at = now.utc}));
    watched.rung_since = decision.rung != watched.last.rung ? now.boot : watched.rung_since;
    watched.last = decision;
    act(ref, decision);
  } else if (decision.rung == Rung::Sigkill || !watched.has_acted) {
    act(ref, decision);  // again: until nothing of it is left, or for an agent that died before it
  }
  watched.has_acted = true;
}

void Agent::act(const PageRef& ref, const guard::Decision& decision) {
  pulse::write_directive(*ref.page, static_cast<std::uint32_t>(decision.directive),
                         static_cast<std::uint32_t>(decision.rule), decision.reason);
  if (decision.rung < Rung::Sigterm) {
    return;
  }
  const ProcessIdentity& owner = ref.info->process;
  std::vector<ProcessIdentity> targets;
  // `finops run` is spared: it reports the end. Of a run that called init by itself SIGTERM goes to
  // the process alone, which ends its workers; SIGKILL takes them along.
  if (ref.info->is_command || decision.rung == Rung::Sigkill) {
    targets = descendants_of(owner.pid);
  }
  if (!ref.info->is_command) {
    targets.push_back(owner);
  }
  const int signal_number = decision.rung == Rung::Sigkill ? SIGKILL : SIGTERM;
  for (const ProcessIdentity& target : targets) {
    PidFd(target).send_signal(signal_number);
  }
}

void Agent::conclude(const PageRef& ref, Watched& watched, ClockReading now, TickReport& report) {
  const pulse::PageInfo& info = *ref.info;
  LastSigns signs = last_signs(info, *ref.page, now, current_boot_id());
  AttemptEnd end{.status = RunStatus::FAILED,
                 .reason = "its process ended without a word",
                 .ended_at = now.utc};
  const pulse::ProcessState state = ref.page->process.state.load(std::memory_order_acquire);
  if (watched.last.rung == Rung::Watch) {
    const std::vector<DecisionRecord> decided = ledger().decisions(info.attempt_id, 1);
    watched.last.rule = decided.empty() ? Rule::None : decided.back().rule;
    watched.last.reason = decided.empty() ? "" : decided.back().reason;
  }
  if (state != pulse::ProcessState::Running) {
    // It said goodbye: its last word is also its last sign of life.
    signs.metered_until =
        std::min(elapsed_at(info, ref.page->process.last_seen_ns.load(std::memory_order_relaxed)),
                 signs.gone_at);
    signs.gone_at = signs.metered_until;
    end.status = state == pulse::ProcessState::Paused   ? RunStatus::PAUSED
                 : state == pulse::ProcessState::Failed ? RunStatus::FAILED
                                                        : RunStatus::FINISHED;
    end.reason = end.status == RunStatus::FINISHED ? "" : watched.last.reason;
  } else if (watched.last.rule == Rule::Silence) {
    end = {.status = RunStatus::KILLED, .reason = watched.last.reason, .ended_at = now.utc};
  } else if (watched.last.rule == Rule::Budget) {
    end = {.status = RunStatus::PAUSED,
           .reason = watched.last.reason + "; work since its last checkpoint is lost",
           .ended_at = now.utc};
  }
  conclude_attempt(ledger(), info, *ref.page, signs, end);
  report.concluded.push_back({info.attempt_id, end.status, end.reason});
  unlink(ref.foreign->path().c_str());
}

void Agent::settle_suspects(ClockReading now, TickReport& report) {
  try {
    for (const SuspectAttempt& suspect : ledger().suspects()) {
      if (suspect.uncertain_time <= options_.longest_auto_settle) {
        ledger().settle_suspect(suspect.attempt_id, SuspectOutcome::Spent, options_.name, now.utc);
      }
    }
  } catch (const std::exception& error) {
    report.warnings.push_back(std::string("cannot settle: ") + error.what());
    ledger_.reset();
  }
}

}  // namespace finops::agent
