// visit.cpp - one look at one page: what it shows, what the ledger knows of it, its lease.
#include <algorithm>

#include "agent/orphans.hpp"
#include "agent/watched.hpp"
#include "finops/base/error.hpp"
#include "finops/base/planted.hpp"

namespace finops::agent {
namespace {

// Longer than `init` waits for the ledger between its page and its first lease.
constexpr Nanoseconds kBeginning = std::chrono::seconds{6};

// Whether its process is still about to get its first lease, or to be refused. An agent that asked
// in its place would get nothing of a budget that is used up, and stop what was never begun.
bool is_beginning(Ledger& ledger, const pulse::PageInfo& info, Nanoseconds elapsed) {
  return !info.budget_id.empty() && info.is_hard_budget && elapsed < kBeginning &&
         !ledger.attempt(info.attempt_id).has_value();
}

bool names_tags(const guard::PolicyBook& book, const guard::RunFacts& facts) {
  // With the tags that it asks for, would a rule fit that does not fit without?
  return std::any_of(book.rules.begin(), book.rules.end(), [&](const guard::PolicyRule& rule) {
    guard::PolicyRule without = rule;
    without.tags.clear();
    return !rule.tags.empty() && without.fits(facts);
  });
}

guard::RunFacts facts_of(const pulse::PageInfo& info) {
  return {.project = info.project,
          .experiment = info.experiment,
          .user_name = info.user_name,
          .tags = {}};
}

// What is known of a lease without the ledger: what an agent wrote into the page. Nobody but agents
// renews the lease of a command, and its first one was a full one at most. A process that reports
// keeps its own lease, which only it knows.
budget::LeasePlan last_known_lease(const pulse::PageInfo& info, const pulse::AgentLine& line) {
  const Nanoseconds ends_at{line.ends_at_ns.load(std::memory_order_relaxed)};
  const Nanoseconds pause_at{line.pause_at_ns.load(std::memory_order_relaxed)};
  if (ends_at > Nanoseconds::zero()) {
    return {.renew_at = Nanoseconds::zero(),
            .pause_at = std::clamp(pause_at, Nanoseconds::zero(), ends_at),
            .ends_at = ends_at};
  }
  const std::optional<Rate> rate = rate_of(info);
  if (info.is_command && rate.has_value()) {
    const budget::LeaseTerms terms = lease_terms_of(info);
    budget::LeasePlan plan =
        budget::plan_lease(rate, Nanoseconds::zero(), budget::full_lease(*rate, terms), terms);
    plan.renew_at = Nanoseconds::zero();
    return plan;
  }
  return {.renew_at = Nanoseconds::zero(),
          .pause_at = Nanoseconds::max(),
          .ends_at = Nanoseconds::max()};
}

}  // namespace

void Agent::visit(const PageRef& ref, ClockReading now, TickReport& report,
                  std::vector<Live>& live) {
  auto [entry, is_new] = watched_.try_emplace(ref.info->attempt_id);
  if (is_new) {
    entry->second = std::make_unique<Watched>();
    first_look(ref, *entry->second, now);
  }
  Watched& watched = *entry->second;
  watched.seen_in_round = true;
  if (!watched.is_recalled) {
    recall(ref, watched, now, report);
  }
  observe(ref, watched, now);
  const bool has_finished =
      ref.page->process.state.load(std::memory_order_acquire) != pulse::ProcessState::Running;
  if (ref.foreign != nullptr && !watched.is_alive) {
    orphans_->ended(*ref.info, has_finished, watched.policy);
  }
  // An adopted page is concluded by `finops run`, which sees its child's exit.
  if (ref.foreign != nullptr && (!watched.is_alive || (has_finished && !ref.info->is_command))) {
    ended_.push_back(ref);
    // Not the round's begin: what the process did after it, and before it died, is charged too.
    ended_.back().ended_by = clock_.now();
    return;
  }
  if (watched.is_alive) {
    serve_lease(ref, watched, now, report);
    live.push_back({ref, &watched});
  }
}

void Agent::first_look(const PageRef& ref, Watched& watched, ClockReading now) const {
  const pulse::ProcessLine& line = ref.page->process;
  watched.started_at = std::clamp(ref.info->started_at.boot, BootTime{}, now.boot);
  watched.progress_count = line.progress_count.load(std::memory_order_relaxed);
  watched.last_seen_ns = line.last_seen_ns.load(std::memory_order_relaxed);
  // The process's last call, on the system's own monotonic clock, which no program can set: so a
  // guard that starts late, or runs by cron, still sees who has been silent for long.
  const Nanoseconds ago =
      std::clamp(span_between(now.monotonic.time_since_epoch().count(), watched.last_seen_ns),
                 Nanoseconds::zero(), now.boot - watched.started_at);
  watched.progress_changed_at = now.boot - ago;
  watched.rung_since = now.boot;
  watched.lease = last_known_lease(*ref.info, ref.page->agent);
  const guard::RunFacts facts = facts_of(*ref.info);
  watched.policy = options_.policies.policy_for(facts, &watched.rule_names);
  watched.is_policy_certain = !names_tags(options_.policies, facts);
  // Where a ladder was going on when the last agent ended, this one goes on with it.
  if (const auto intent = waiting_.find(ref.info->attempt_id); intent != waiting_.end()) {
    resume_ladder(ref, watched, intent->second, now);
  }
}

void Agent::recall(const PageRef& ref, Watched& watched, ClockReading now, TickReport& report) {
  const AttemptId& attempt_id = ref.info->attempt_id;
  const Outcome outcome = try_ledger(attempt_id.str(), report, [&](Ledger& ledger) {
    const std::vector<DecisionRecord> decided = ledger.decisions(attempt_id, 1);
    // What this agent decided itself meanwhile was imported before: it is the newest.
    if (!decided.empty() && watched.last.rung == Rung::Watch &&
        !planted::is_on(planted::Bug::LadderForgotten)) {
      resume_ladder(ref, watched, decided.back(), now);
    }
    const std::vector<RunSummary> runs = ledger.runs({.run_id = ref.info->run_id});
    guard::RunFacts facts = facts_of(*ref.info);
    if (!runs.empty()) {
      facts.tags = parse_tags(runs.front().run.tags);
    }
    watched.policy = options_.policies.policy_for(facts, &watched.rule_names);
    watched.is_policy_certain = true;
  });
  watched.is_recalled = outcome == Outcome::Done;
}

void Agent::resume_ladder(const PageRef& ref, Watched& watched, const DecisionRecord& last,
                          ClockReading now) const {
  watched.last = {.directive = last.directive,
                  .rule = last.rule,
                  .rung = last.rung,
                  .reason = last.reason,
                  .is_dry_run = last.is_dry_run};
  watched.has_acted = last.is_dry_run;
  // The grace counts from the decision, or a guard that is started again and again (by cron) would
  // never come to its end. Where the page shows that nobody was told, it counts from now.
  const bool was_told = ref.page->agent.directive.load(std::memory_order_relaxed) ==
                        static_cast<std::uint32_t>(last.directive);
  const Nanoseconds ago =
      span_between(now.utc.time_since_epoch().count(), last.decided_at.time_since_epoch().count());
  watched.rung_since =
      was_told ? now.boot - std::clamp(ago, Nanoseconds::zero(), now.boot - watched.started_at)
               : now.boot;
}

void Agent::observe(const PageRef& ref, Watched& watched, ClockReading now) const {
  const pulse::ProcessLine& line = ref.page->process;
  const std::uint64_t progress_count = line.progress_count.load(std::memory_order_acquire);
  const std::int64_t last_seen_ns = line.last_seen_ns.load(std::memory_order_relaxed);
  const std::int64_t silent_until_ns = line.silent_until_boot_ns.load(std::memory_order_relaxed);
  if (progress_count != watched.progress_count) {
    watched.progress_count = progress_count;
    watched.progress_changed_at =
        planted::is_on(planted::Bug::SilenceByClientClock)
            ? ref.info->started_at.boot + (now.utc - ref.info->started_at.utc)
            : now.boot;
  }
  if (silent_until_ns != watched.silent_until_ns) {
    watched.silent_until_ns = silent_until_ns;
    watched.silence_announced_at = now.boot;
  }
  const bool has_moved = last_seen_ns != watched.last_seen_ns;
  watched.last_seen_ns = last_seen_ns;
  // A call proves life up to that call. Before money is settled up to now, and where nothing moved,
  // the lock is asked.
  const Nanoseconds elapsed = running_time(*ref.info, now.boot);
  const bool is_due = elapsed >= watched.lease.renew_at;
  BootTime alive_at = now.boot;
  if (ref.foreign != nullptr && has_moved && !is_due) {
    alive_at = now.boot - (elapsed - std::min(elapsed, elapsed_at(*ref.info, last_seen_ns)));
  } else {
    watched.is_alive = ref.foreign == nullptr ||
                       (ref.foreign->is_locked() && !planted::is_on(planted::Bug::LockNotAsked));
  }
  if (watched.is_alive) {
    ref.page->agent.alive_at_boot_ns.store(alive_at.time_since_epoch().count(),
                                           std::memory_order_relaxed);
  }
}

void Agent::serve_lease(const PageRef& ref, Watched& watched, ClockReading now,
                        TickReport& report) {
  const pulse::PageInfo& info = *ref.info;
  const Nanoseconds elapsed = running_time(info, now.boot);
  const auto plan = [&](AttemptAccount account) {
    require_its_budget(info, account);
    watched.lease =
        budget::plan_lease(account.rate, account.settled, account.held, lease_terms_of(info));
    watched.account = std::move(account);
  };
  bool is_too_early = false;
  if (!watched.account.has_value() || elapsed >= watched.lease.renew_at) {
    const Outcome outcome = try_ledger(info.attempt_id.str(), report, [&](Ledger& ledger) {
      is_too_early = ref.foreign != nullptr && !watched.account.has_value() &&
                     is_beginning(ledger, info, elapsed);
      if (is_too_early) {
        return;
      }
      if (!watched.account.has_value()) {
        plan(account_of(ledger, info));
      }
      if (elapsed >= watched.lease.renew_at) {
        plan(settle_and_renew(ledger, info, *watched.account, elapsed, now.utc));
      }
    });
    watched.is_lease_lost = outcome != Outcome::Done;
  }
  const std::uint64_t checkpoint_count =
      ref.page->process.checkpoint_count.load(std::memory_order_acquire);
  if (checkpoint_count != watched.checkpoint_count && watched.account.has_value() &&
      try_ledger(info.attempt_id.str(), report, [&](Ledger& ledger) {
        import_checkpoint(ledger, info, *ref.page);
      }) == Outcome::Done) {
    watched.checkpoint_count = checkpoint_count;
  }
  if (watched.is_lease_lost || is_too_early) {
    return;  // no promise: a process that reports looks after its own lease
  }
  pulse::AgentLine& line = ref.page->agent;
  const Nanoseconds promise = std::max<Nanoseconds>(3 * options_.interval, std::chrono::seconds{2});
  line.pause_at_ns.store(watched.lease.pause_at.count(), std::memory_order_relaxed);
  line.ends_at_ns.store(watched.lease.ends_at.count(), std::memory_order_relaxed);
  line.agent_epoch.store(is_serving() ? epoch_ : kLonely, std::memory_order_relaxed);
  line.back_by_boot_ns.store((now.boot + promise).time_since_epoch().count(),
                             std::memory_order_release);
}

void Agent::measure(const std::vector<Live>& live, ClockReading now, TickReport& report) {
  if (options_.usage == nullptr) {
    return;
  }
  for (const Live& run : live) {
    try {
      options_.usage->sample(*run.ref.info, now);
      run.watched->usage = options_.usage->summary(run.ref.info->attempt_id,
                                                   run.watched->policy.utilization_window, now);
    } catch (const std::exception& error) {
      run.watched->usage.reset();  // not measured: nobody is idle by an old number
      report.warnings.push_back(run.ref.info->attempt_id.str() +
                                ": its use cannot be measured: " + error.what());
    }
  }
}

Explanation Agent::explain(const AttemptId& attempt_id) {
  const ClockReading now = clock_.now();
  scanner_.scan();
  std::optional<PageRef> found;
  for (pulse::ForeignPage* foreign : scanner_.pages()) {
    if (foreign->info().attempt_id == attempt_id) {
      found = PageRef{&foreign->info(), &foreign->page(), foreign, {}};
    }
  }
  FINOPS_REQUIRE(found.has_value(), ErrorCode::NotFound,
                 "no live run has the attempt " + attempt_id.str() + "; see finops ps");
  Watched unwatched;
  const auto known = watched_.find(attempt_id);
  Watched& watched = known != watched_.end() ? *known->second : unwatched;
  TickReport ignored;
  if (known == watched_.end()) {
    is_ledger_away_ = false;
    read_waiting();
    first_look(*found, watched, now);
    recall(*found, watched, now, ignored);
    const Outcome outcome = try_ledger(attempt_id.str(), ignored, [&](Ledger& ledger) {
      if (ledger.attempt(attempt_id).has_value()) {
        watched.account = ledger.account(attempt_id);
        watched.lease = budget::plan_lease(watched.account->rate, watched.account->settled,
                                           watched.account->held, lease_terms_of(*found->info));
      }
    });
    watched.is_lease_lost = outcome != Outcome::Done;
  }
  return {.readings = guard::explain(state_of(*found, watched, now), watched.policy, now.boot),
          .policy_rules = watched.rule_names};
}

}  // namespace finops::agent
