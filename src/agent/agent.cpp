// agent.cpp - the agent's ledger, and the order of one round.
#include "finops/agent/agent.hpp"

#include <algorithm>
#include <cerrno>

#include "agent/intents.hpp"
#include "agent/orphans.hpp"
#include "agent/watched.hpp"
#include "finops/base/error.hpp"
#include "finops/base/planted.hpp"
#include "finops/base/private_file.hpp"

namespace finops::agent {
namespace {

// A ledger that was away gets this long to show that it is back; runs wait for the round's end.
constexpr Nanoseconds kQuickTimeout = std::chrono::milliseconds{500};
// The longest that a round may take before it counts as a standstill: two waits for the ledger.
constexpr Nanoseconds kLongestRound = std::chrono::seconds{10};
constexpr Nanoseconds kSweepEvery = std::chrono::minutes{1};

}  // namespace

// What is wrong with one run's records leaves the ledger usable for all others.
bool concerns_one_run(ErrorCode code) {
  switch (code) {
    case ErrorCode::LedgerUnavailable:
    case ErrorCode::LedgerCorrupt:
    case ErrorCode::UnsupportedSchema:
    case ErrorCode::PermissionDenied:
    case ErrorCode::SystemFailure: return false;
    default: return true;
  }
}

Agent::Agent(AgentOptions options, const Clock& clock)
    : options_(std::move(options)),
      clock_(clock),
      scanner_(options_.home.live_path()),
      intents_(std::make_unique<IntentJournal>(options_.home.path + "/intents.journal")),
      orphans_(std::make_unique<Orphans>()) {
  guard::check_policy_book(options_.policies);
}

void Agent::adopt(pulse::OwnPage* page) { adopted_.push_back(page); }

void Agent::drop(pulse::OwnPage* page) {
  std::erase(adopted_, page);
  forget(page->info().attempt_id);
}

void Agent::forget(const AttemptId& attempt_id) {
  watched_.erase(attempt_id);
  if (options_.usage != nullptr) {
    options_.usage->end(attempt_id);
  }
}

Ledger& Agent::ledger() {
  if (ledger_ == nullptr) {
    LedgerOptions options;
    if (is_ledger_quick_) {
      options.busy_timeout = kQuickTimeout;
    }
    ledger_ = open_ledger(options_.home.ledger_path(), options);
    ledger_file_ = std::make_unique<FileIdentity>(FileIdentity::of(options_.home.ledger_path()));
  }
  return *ledger_;
}

Agent::Outcome Agent::try_ledger(const std::string& what, TickReport& report,
                                 const std::function<void(Ledger&)>& move) {
  if (is_ledger_away_) {
    return Outcome::Away;
  }
  try {
    move(ledger());
    return Outcome::Done;
  } catch (const Error& error) {
    report.warnings.push_back(what + ": " + error.what());
    if (concerns_one_run(error.code())) {
      return Outcome::Refused;
    }
  } catch (const std::exception& error) {
    report.warnings.push_back(what + ": " + error.what());
  }
  is_ledger_away_ = true;
  ledger_.reset();  // opened anew in the next round
  return Outcome::Away;
}

// A home that others can write to by now is not believed: no page is read, and money waits as if
// the ledger were away.
bool Agent::is_home_safe(TickReport& report) {
  try {
    check_home(options_.home);
    return true;
  } catch (const Error& error) {
    report.warnings.emplace_back(error.what());
  }
  ledger_.reset();
  is_ledger_away_ = true;
  return false;
}

void Agent::start_round(ClockReading now) {
  if (is_ledger_quick_ != is_ledger_away_) {
    is_ledger_quick_ = is_ledger_away_;
    ledger_.reset();
  }
  is_ledger_away_ = false;
  // After a standstill of its own (a suspended host, SIGSTOP) the agent has not watched anybody:
  // all windows start anew. Waiting for the ledger is no standstill.
  const bool stood_still = last_round_.has_value() &&
                           now.boot - *last_round_ > 3 * options_.interval +
                                                         std::chrono::seconds{1} +
                                                         std::min(last_round_took_, kLongestRound);
  last_round_ = now.boot;
  for (auto& [attempt_id, watched] : watched_) {
    watched->seen_in_round = false;
    if (stood_still && !planted::is_on(planted::Bug::NoStandstill)) {
      watched->progress_changed_at = now.boot;
      watched->rung_since = now.boot;
    }
  }
}

std::vector<Agent::PageRef> Agent::pages_of_round(ClockReading now, bool is_home_safe,
                                                  TickReport& report) {
  std::vector<PageRef> refs;
  for (pulse::OwnPage* own : adopted_) {
    // The agent line has one writer: the agent that serves, or, if none does, this one.
    const pulse::AgentLine& line = own->page().agent;
    const bool is_served_by_another =
        !is_serving() && line.agent_epoch.load() != kLonely && line.agent_epoch.load() != 0 &&
        line.back_by_boot_ns.load() >= now.boot.time_since_epoch().count();
    if (!is_served_by_another) {
      refs.push_back({&own->info(), &own->page(), nullptr, {}});
    }
  }
  if (!is_serving() || !is_home_safe) {
    return refs;
  }
  try {
    if (!swept_at_.has_value() || now.boot - *swept_at_ > kSweepEvery) {
      swept_at_ = now.boot;
      pulse::remove_unfinished_pages(options_.home.live_path());
    }
    scanner_.scan();
    for (const pulse::RejectedPage& rejected : scanner_.rejected()) {
      report.warnings.push_back("skipped " + rejected.path + ": " + rejected.why);
    }
    for (pulse::ForeignPage* foreign : scanner_.pages()) {
      refs.push_back({&foreign->info(), &foreign->page(), foreign, {}});
    }
  } catch (const std::exception& error) {
    report.warnings.emplace_back(error.what());
  }
  return refs;
}

TickReport Agent::tick() {
  TickReport report;
  const ClockReading now = clock_.now();
  start_round(now);
  leave_lost_home(report);
  const bool is_safe = is_home_safe(report);
  const std::vector<PageRef> refs = pages_of_round(now, is_safe, report);
  report.page_count = refs.size();
  if (!refs.empty()) {
    try {
      intents_->prepare();  // while there is room
    } catch (const Error& error) {
      report.warnings.emplace_back(error.what());
    }
  }
  import_intents(report);
  read_waiting();
  std::vector<Live> live;
  ended_.clear();
  for (const PageRef& ref : refs) {
    try {
      visit(ref, now, report, live);
    } catch (const std::exception& error) {
      report.warnings.push_back(ref.info->attempt_id.str() + ": " + error.what());
    }
  }
  conclude_all(ended_, report);
  std::vector<AttemptId> vanished;
  for (const auto& [attempt_id, watched] : watched_) {
    if (!watched->seen_in_round) {
      vanished.push_back(attempt_id);
    }
  }
  for (const AttemptId& attempt_id : vanished) {
    forget(attempt_id);
  }
  measure(live, now, report);
  judge_all(live, now, report);
  if (is_serving()) {
    look_after_orphans(live, now, report);
    conclude_lost(now, report);
    settle_suspects(now, report);
  }
  if (options_.usage != nullptr) {
    try_ledger("cannot keep the measured use", report,
               [&](Ledger& ledger) { options_.usage->flush(ledger, now); });
  }
  last_round_took_ = clock_.now().monotonic - now.monotonic;
  return report;
}

void Agent::read_waiting() {
  waiting_.clear();
  for (DecisionRecord& intent : intents_->pending()) {
    waiting_[intent.attempt_id] = std::move(intent);  // the newest stays
  }
}

void Agent::import_intents(TickReport& report) {
  if (planted::is_on(planted::Bug::IntentsForgotten)) {
    return;
  }
  const auto page_of = [&](const AttemptId& attempt_id) -> const pulse::PageInfo* {
    for (pulse::ForeignPage* foreign : scanner_.pages()) {
      if (foreign->info().attempt_id == attempt_id) {
        return &foreign->info();
      }
    }
    for (const pulse::OwnPage* own : adopted_) {
      if (own->info().attempt_id == attempt_id) {
        return &own->info();
      }
    }
    return nullptr;
  };
  const auto import = [&](const DecisionRecord& intent) {
    bool is_imported = false;
    try_ledger(intent.attempt_id.str() + ": its intent cannot be imported", report,
               [&](Ledger& ledger) {
                 const pulse::PageInfo* page = page_of(intent.attempt_id);
                 if (page != nullptr) {
                   (void)account_of(ledger, *page);
                 }
                 if (page == nullptr && !ledger.attempt(intent.attempt_id).has_value()) {
                   return;  // it waits: nothing in the ledger could carry it
                 }
                 import_intent(ledger, intent);
                 is_imported = true;
               });
    return is_imported;
  };
  try {
    intents_->import_each(import);
  } catch (const Error& error) {
    report.warnings.emplace_back(error.what());
  }
}

}  // namespace finops::agent
