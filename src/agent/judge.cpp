// judge.cpp - the decisions of a round: the breaker, the record, the act.
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>

#include "agent/intents.hpp"
#include "agent/watched.hpp"
#include "finops/base/error.hpp"
#include "finops/base/planted.hpp"
#include "finops/base/private_file.hpp"
#include "finops/base/process.hpp"
#include "finops/base/process_table.hpp"

namespace finops::agent {
namespace {

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) {
    text += (text.empty() ? "" : ", ") + name;
  }
  return text;
}

bool was_told_to_stop(const guard::Decision& last) {
  return last.directive == Directive::STOP && !last.is_dry_run;
}

// Whether a stop for silence or idleness would begin with this decision.
bool begins_a_stop(const guard::Decision& decision, const guard::Decision& last) {
  const bool is_guess = decision.rule == Rule::Silence || decision.rule == Rule::Idle;
  return is_guess && decision.directive == Directive::STOP && !decision.is_dry_run &&
         decision.rung == Rung::Directive && !was_told_to_stop(last);
}

// The other processes that report into the page: ranks that a launcher started beside the owner.
// The page is another process's, so that opening it drops no lock of ours.
std::vector<ProcessIdentity> holders_of(const std::string& path) {
  std::vector<ProcessIdentity> holders;
  const int descriptor = open_private_file(path, O_RDWR).descriptor;
  const std::string boot_id = current_boot_id();
  for (int byte = 0; descriptor >= 0 && byte < pulse::kLifeByteCount; ++byte) {
    struct flock lock{};
    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;
    lock.l_start = byte;
    lock.l_len = 1;
    // A holder in another PID namespace has no number here.
    if (fcntl(descriptor, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK && lock.l_pid > 0) {
      holders.push_back({boot_id, lock.l_pid, process_start_ticks(lock.l_pid)});
    }
  }
  if (descriptor >= 0) {
    close(descriptor);
  }
  return holders;
}

// What is left to decide where no stop may begin: money.
bool has_said_goodbye(const pulse::PageInfo& info, const pulse::PageLayout& page) {
  return !info.is_command &&
         page.process.state.load(std::memory_order_acquire) != pulse::ProcessState::Running;
}

guard::Decision without_stops(const guard::RunState& state, guard::Policy policy, BootTime now) {
  policy.is_dry_run = true;
  guard::Decision decision = guard::decide(state, policy, now);
  return decision.is_dry_run ? guard::Decision{} : decision;
}

}  // namespace

guard::RunState Agent::state_of(const PageRef& ref, const Watched& watched,
                                ClockReading now) const {
  const pulse::PageInfo& info = *ref.info;
  return {.reports = !info.is_command ||
                     ref.page->process.reporter_pid.load(std::memory_order_relaxed) != 0,
          .is_long_running = info.is_long_running,
          .silence_limit = info.silence_limit,
          .max_duration = info.max_duration,
          .progress_changed_at = watched.progress_changed_at,
          .silent_until = BootTime{Nanoseconds{watched.silent_until_ns}},
          .silence_announced_at = watched.silence_announced_at,
          .usage = watched.usage,
          .started_at = std::min(watched.started_at, now.boot),
          .is_hard_budget = !info.budget_id.empty() && info.is_hard_budget,
          .is_exhausted = watched.account.has_value() && watched.account->is_exhausted,
          .is_ledger_away = watched.is_lease_lost,
          .lease = watched.lease,
          .terms = lease_terms_of(info),
          .look_gap = options_.interval,
          .rung = watched.last.rung,
          .rule = watched.last.rule,
          .is_rung_dry = watched.last.is_dry_run,
          .rung_since = watched.rung_since,
          .policy_rules = joined(watched.rule_names)};
}

// What the measured use says of a run, for those who read its page (`finops ps`).
guard::Use Agent::use_to_show(const guard::RunState& state, const guard::Policy& policy,
                              BootTime now) {
  switch (guard::signal_of(state, policy, now)) {
    case guard::Signal::Idle: return guard::Use::Idle;
    case guard::Signal::Hung: return guard::Use::Hung;
    case guard::Signal::LongRunning:
      return state.usage.has_value() ? guard::use_of(*state.usage, false) : guard::Use::Unknown;
    default: return guard::Use::Unknown;
  }
}

void Agent::judge_all(const std::vector<Live>& live, ClockReading now, TickReport& report) {
  states_.clear();
  std::vector<const guard::Policy*> policies;
  for (const Live& run : live) {
    states_.push_back(state_of(run.ref, *run.watched, now));
    policies.push_back(&run.watched->policy);
    const guard::Use use = use_to_show(states_.back(), run.watched->policy, now.boot);
    run.ref.page->agent.measured_use.store(static_cast<std::uint64_t>(use),
                                           std::memory_order_relaxed);
  }
  guard::decide_all(states_, policies, now.boot, decisions_);
  for (std::size_t index = 0; index < live.size(); ++index) {
    const Watched& watched = *live[index].watched;
    const bool is_open = !watched.is_policy_certain && !was_told_to_stop(watched.last);
    if (is_open && decisions_[index].directive == Directive::STOP) {
      decisions_[index] = without_stops(states_[index], watched.policy, now.boot);
    }
  }
  hold_mass_stop(live, now, report);
  for (std::size_t index = 0; index < live.size(); ++index) {
    try {
      carry_out(live[index], decisions_[index], now, report);
    } catch (const std::exception& error) {
      report.warnings.push_back(live[index].ref.info->attempt_id.str() + ": " + error.what());
    }
  }
}

void Agent::hold_mass_stop(const std::vector<Live>& live, ClockReading now, TickReport& report) {
  std::vector<std::size_t> beginning;
  for (std::size_t index = 0; index < live.size(); ++index) {
    if (begins_a_stop(decisions_[index], live[index].watched->last)) {
      beginning.push_back(index);
    }
  }
  const guard::PolicyBook& book = options_.policies;
  const auto count = static_cast<double>(beginning.size());
  const bool is_over = count > book.breaker_share * static_cast<double>(live.size()) &&
                       count > static_cast<double>(book.breaker_minimum);
  if (!is_over || options_.overrides_breaker) {
    is_breaker_tripped_ = false;
    return;
  }
  report.breaker_held = beginning.size();
  for (const std::size_t index : beginning) {
    decisions_[index] = without_stops(states_[index], live[index].watched->policy, now.boot);
  }
  tell_of_breaker(std::to_string(beginning.size()) + " of " + std::to_string(live.size()) +
                      " runs would be stopped at once for silence or idleness: none of them is, "
                      "since it is more likely that something is wrong with what the guard sees. "
                      "If they are to be stopped: finops guard --allow-mass-stop",
                  now, report);
}

void Agent::tell_of_breaker(const std::string& text, ClockReading now, TickReport& report) {
  if (!is_breaker_tripped_) {
    is_breaker_tripped_ = true;
    report.warnings.push_back(text);
    untold_notice_ = Notice{.notice_id = "breaker/" + std::to_string(epoch_) + "/" +
                                         std::to_string(now.utc.time_since_epoch().count()),
                            .kind = NoticeKind::Breaker,
                            .budget_id = {},
                            .attempt_id = {},
                            .text = text,
                            .recorded_at = now.utc};
  }
  if (untold_notice_.has_value() &&
      try_ledger("nobody can be told of the breaker", report,
                 [&](Ledger& ledger) { ledger.add_notice(*untold_notice_); }) == Outcome::Done) {
    untold_notice_.reset();
  }
}

void Agent::carry_out(const Live& run, const guard::Decision& decision, ClockReading now,
                      TickReport& report) {
  if (has_said_goodbye(*run.ref.info, *run.ref.page)) {
    return;  // since it was looked at: the next round settles it
  }
  Watched& watched = *run.watched;
  const guard::Decision last = watched.last;
  const bool is_new = decision.directive != last.directive || decision.rule != last.rule ||
                      decision.rung != last.rung ||
                      (decision.is_dry_run != last.is_dry_run && decision.rule != Rule::None);
  if (!is_new) {
    if (!decision.is_dry_run && (decision.rung == Rung::Sigkill || !watched.has_acted)) {
      act(run.ref, decision);  // again: until nothing of it is left, or for one that died before it
    }
    watched.has_acted = true;
    return;
  }
  // Taking back what was only said is only said as well.
  const bool ends_dry_run = decision.rule == Rule::None && last.is_dry_run;
  DecisionRecord recorded{.attempt_id = run.ref.info->attempt_id,
                          .sequence = 0,
                          .directive = decision.directive,
                          .rule = decision.rule,
                          .rung = decision.rung,
                          .reason = decision.reason,
                          .decided_by = options_.name,
                          .decided_at = now.utc,
                          .is_dry_run = decision.is_dry_run || ends_dry_run};
  if (planted::is_on(planted::Bug::ActBeforeRecord) && !decision.is_dry_run) {
    act(run.ref, decision);
  }
  // Recorded before it is acted on: what cannot be explained later is not done.
  if (!record(recorded, report)) {
    return;
  }
  report.decisions.push_back(recorded);
  const bool is_a_step = decision.rung != last.rung || decision.directive != last.directive ||
                         decision.is_dry_run != last.is_dry_run;
  watched.rung_since = is_a_step ? now.boot : watched.rung_since;
  watched.last = decision;
  watched.has_acted = true;
  if (!decision.is_dry_run) {
    act(run.ref, decision);
  } else if (!last.is_dry_run && last.directive != Directive::CONTINUE) {
    act(run.ref, {});  // what it was told in earnest is taken back
  }
}

bool Agent::record(DecisionRecord& decision, TickReport& report) {
  const Outcome outcome = try_ledger(decision.attempt_id.str(), report, [&](Ledger& ledger) {
    decision = ledger.add_decision(decision);
  });
  if (outcome == Outcome::Done) {
    return true;
  }
  try {
    intents_->append(decision);
    return true;
  } catch (const Error& error) {
    report.warnings.push_back(decision.attempt_id.str() +
                              ": a decision can be recorded nowhere and is not acted on: " +
                              error.what());
    return false;
  }
}

void Agent::act(const PageRef& ref, const guard::Decision& decision) {
  pulse::write_directive(*ref.page, static_cast<std::uint32_t>(decision.directive),
                         static_cast<std::uint32_t>(decision.rule), decision.reason);
  // Asked again, since recording may have waited for the ledger: whoever has ended its run, as it
  // was told to, is a process like any other, and may have begun another run.
  if (decision.rung < Rung::Sigterm || has_said_goodbye(*ref.info, *ref.page)) {
    return;
  }
  const ProcessIdentity& owner = ref.info->process;
  std::vector<ProcessIdentity> targets;
  // `finops run` is spared: it reports the end; where it is gone, what it ran and reports is not.
  // Of a run that called init by itself SIGTERM goes to the processes that report alone, which end
  // their workers; SIGKILL takes the owner's along.
  if (ref.info->is_command || decision.rung == Rung::Sigkill) {
    // Of the owner alone: its pid may be a stranger's by now, and the ranks go on without it.
    const ProcessTable table = ProcessTable::read();
    targets = table.has(owner) ? table.descendants_of({owner.pid}) : targets;
  }
  if (!ref.info->is_command) {
    targets.push_back(owner);
  }
  if (ref.foreign != nullptr) {
    const std::vector<ProcessIdentity> ranks = holders_of(ref.foreign->path());
    std::ranges::copy_if(ranks, std::back_inserter(targets), [&](const ProcessIdentity& rank) {
      return rank.pid != owner.pid && std::ranges::find(targets, rank) == targets.end();
    });
  }
  const int signal_number = decision.rung == Rung::Sigkill ? SIGKILL : SIGTERM;
  for (const ProcessIdentity& target : targets) {
    PidFd(target).send_signal(signal_number);
  }
}

}  // namespace finops::agent
