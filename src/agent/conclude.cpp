// conclude.cpp - how attempts end: their last word, their account, what is left of them.
#include <unistd.h>

#include <algorithm>
#include <span>

#include "agent/orphans.hpp"
#include "agent/watched.hpp"
#include "finops/base/error.hpp"
#include "finops/base/planted.hpp"
#include "finops/base/process.hpp"

namespace finops::agent {

// Writes the attempt's end into the ledger. Returns how it ended.
Conclusion Agent::conclude(Ledger& ledger, const PageRef& ref) {
  const ClockReading now = ref.ended_by;
  const pulse::PageInfo& info = *ref.info;
  LastSigns signs = last_signs(info, *ref.page, now, current_boot_id());
  AttemptEnd end{.status = RunStatus::FAILED,
                 .reason = "its process ended without a word",
                 .ended_at = now.utc};
  const pulse::ProcessState state = ref.page->process.state.load(std::memory_order_acquire);
  const std::vector<DecisionRecord> decided = ledger.decisions(info.attempt_id, 1);
  const DecisionRecord last = decided.empty() ? DecisionRecord{} : decided.back();
  const std::optional<AttemptEnd> stopped = end_by_decision(last, now.utc);
  if (state != pulse::ProcessState::Running) {
    // It said goodbye: its last word is also its last sign of life.
    signs.metered_until = std::min(goodbye_time(info, *ref.page), signs.gone_at);
    signs.gone_at = signs.metered_until;
    end.status = state == pulse::ProcessState::Paused   ? RunStatus::PAUSED
                 : state == pulse::ProcessState::Failed ? RunStatus::FAILED
                                                        : RunStatus::FINISHED;
    end.reason = end.status == RunStatus::FINISHED || !stopped.has_value() ? "" : last.reason;
  } else if (stopped.has_value()) {
    end = *stopped;
  }
  if (planted::is_on(planted::Bug::RefundOnCrash) && state == pulse::ProcessState::Running) {
    signs.metered_until = signs.gone_at = account_of(ledger, info).settled;
  }
  conclude_attempt(ledger, info, *ref.page, signs, end);
  return {info.attempt_id, end.status, end.reason};
}

// Those of the group whose end the ledger took, in one commit; empty if it took none.
std::vector<std::pair<const Agent::PageRef*, Conclusion>> Agent::conclude_group(
    std::span<const PageRef> group, TickReport& report) {
  std::vector<std::pair<const PageRef*, Conclusion>> done;
  const auto conclude_each = [&](Ledger& ledger) {
    for (const PageRef& ref : group) {
      try {
        done.emplace_back(&ref, conclude(ledger, ref));
      } catch (const Error& error) {
        if (!concerns_one_run(error.code())) {
          throw;
        }
        report.warnings.push_back(ref.info->attempt_id.str() + ": " + error.what());
      }
    }
  };
  const Outcome outcome = try_ledger("cannot settle what has ended", report, [&](Ledger& ledger) {
    ledger.together([&] { conclude_each(ledger); });
  });
  if (outcome != Outcome::Done) {
    done.clear();
  }
  return done;
}

// Many in one commit, since each commit waits for the disk. A page goes only after the commit, and
// a dead run's page waits until the ledger can take its end.
void Agent::conclude_all(const std::vector<PageRef>& ended, TickReport& report) {
  constexpr std::size_t kTogether = 200;  // the write lock is held meanwhile: tens of milliseconds
  for (std::size_t first = 0; first < ended.size(); first += kTogether) {
    const auto group = std::span(ended).subspan(first, std::min(kTogether, ended.size() - first));
    if (planted::is_on(planted::Bug::UnlinkBeforeCommit)) {
      for (const PageRef& ref : group) {
        unlink(ref.foreign->path().c_str());
      }
    }
    for (auto& [ref, conclusion] : conclude_group(group, report)) {
      report.concluded.push_back(std::move(conclusion));
      if (options_.usage != nullptr) {
        options_.usage->end(ref->info->attempt_id);
      }
      unlink(ref->foreign->path().c_str());
    }
  }
}

TickReport Agent::settle_dead(std::size_t page_limit) {
  TickReport report;
  leave_lost_home(report);
  if (!is_serving()) {
    return report;
  }
  const ClockReading now = clock_.now();
  is_ledger_away_ = false;
  pulse::remove_unfinished_pages(options_.home.live_path());
  scanner_.scan();
  import_intents(report);
  std::vector<PageRef> ended;
  for (pulse::ForeignPage* foreign : scanner_.pages()) {
    if (report.page_count++ == page_limit) {
      break;
    }
    if (!foreign->is_locked()) {
      ended.push_back({&foreign->info(), &foreign->page(), foreign, clock_.now()});
    }
  }
  conclude_all(ended, report);
  settle_suspects(now, report);
  return report;
}

void Agent::settle_suspects(ClockReading now, TickReport& report) {
  try_ledger("cannot settle", report, [&](Ledger& ledger) {
    std::vector<SuspectAttempt> suspects = ledger.suspects();
    std::erase_if(suspects, [&](const SuspectAttempt& suspect) {
      return suspect.uncertain_time > options_.longest_auto_settle;
    });
    if (!suspects.empty()) {
      ledger.together([&] {
        for (const SuspectAttempt& suspect : suspects) {
          ledger.settle_suspect(suspect.attempt_id, SuspectOutcome::Spent, options_.name, now.utc);
        }
      });
    }
    ledger.expire_requests(now.utc);
  });
}

void Agent::look_after_orphans(const std::vector<Live>& live, ClockReading now,
                               TickReport& report) {
  std::vector<const pulse::PageInfo*> living;
  living.reserve(live.size());
  for (const Live& run : live) {
    living.push_back(run.ref.info);
  }
  orphans_->observe(living);
  if (orphans_->is_idle()) {
    return;
  }
  const std::optional<std::vector<GpuHolder>> holders =
      options_.usage != nullptr ? options_.usage->gpu_holders() : std::nullopt;
  for (const OrphanStop& stop : orphans_->due(holders, now.boot)) {
    DecisionRecord decision{.attempt_id = stop.attempt_id,
                            .sequence = 0,
                            .directive = Directive::STOP,
                            .rule = Rule::ProcessGone,
                            .rung = stop.rung,
                            .reason = stop.reason,
                            .decided_by = options_.name,
                            .decided_at = now.utc,
                            .is_dry_run = stop.is_dry_run};
    if (stop.is_repeat || record(decision, report)) {
      orphans_->signal(stop, now.boot);
      if (!stop.is_repeat) {
        report.decisions.push_back(decision);
      }
    }
  }
}

}  // namespace finops::agent
