// auditor_conduct.cpp - conduct: decisions before acts, nobody stopped who works, nobody left who
// is silent.
#include <signal.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "agent/intents.hpp"
#include "auditor.hpp"

namespace finops::simulation {

// No job that works is stopped for silence.
void Auditor::check_new_decisions() {
  for (const Row& row :
       rows("SELECT rowid, attempt_id, directive, rule, is_dry_run, reason, rung, decided_by, "
            "decided_at_ns "
            "FROM decisions WHERE rowid > " +
            std::to_string(last_decision_) + " ORDER BY rowid")) {
    last_decision_ = std::stoll(row[0]);
    // What a dead run left running has a ladder of its own.
    if (const int rung = static_cast<int>(parse_rung(row[6]));
        row[4] == "0" && row[7] != "process" &&
        row[3] != std::string(rule_name(Rule::ProcessGone))) {
      int& highest = highest_rungs_[row[1]];
      // An agent that began while the ledger was away could not know of the ladder, whose rest
      // takes a minute.
      const bool is_excused =
          truth_.ledger_away_at.has_value() &&
          kernel_.simulated() - *truth_.ledger_away_at < std::chrono::minutes{2};
      if (!is_excused && highest >= static_cast<int>(Rung::Sigterm) && rung < highest) {
        fail(row[1] + " had a signal, and is only told now: its ladder went down");
      }
      highest = std::max(highest, rung);
    }
    const auto found = truth_.attempts.find(row[1]);
    if (found == truth_.attempts.end() || row[2] != "STOP" || row[4] == "1" ||
        row[3] != std::string(rule_name(Rule::Silence)) ||
        row[6] != std::string(rung_name(Rung::Directive))) {
      continue;
    }
    const AttemptTruth& attempt = found->second;
    const bool is_this_boot = attempt.boot == truth_.boot;
    const Nanoseconds silent = kernel_.clocks().monotonic - attempt.last_progress.monotonic;
    const auto reported = truth_.worked_when_decided.find({row[1], std::stoll(row[8])});
    const bool has_worked = reported != truth_.worked_when_decided.end()
                                ? reported->second
                                : attempt.works(kernel_.clocks());
    if (is_this_boot && has_worked) {
      fail(row[1] + " works (last progress " + std::to_string(silent / std::chrono::seconds{1}) +
           " s ago) and is stopped: " + row[5]);
    }
  }
}

bool Auditor::is_recorded(const Wanted& wanted) {
  if (open() && count("SELECT count(*) FROM decisions WHERE attempt_id='" + wanted.attempt_id +
                      "' AND is_dry_run=0 AND " + wanted.condition()) > 0) {
    return true;
  }
  agent::IntentJournal journal(home_ + "/intents.journal");
  return std::ranges::any_of(journal.pending(), [&](const DecisionRecord& intent) {
    return intent.attempt_id.str() == wanted.attempt_id && !intent.is_dry_run &&
           intent.directive >= wanted.directive && intent.rung >= wanted.rung;
  });
}

// At least this much, in the ledger's words.
std::string Auditor::Wanted::condition() const {
  std::string directives = "''";
  for (int number = static_cast<int>(directive); number <= 3; ++number) {
    directives += ",'" + std::string(directive_name(static_cast<Directive>(number))) + "'";
  }
  std::string rungs = "''";
  for (int number = static_cast<int>(rung); number <= 3; ++number) {
    rungs += ",'" + std::string(rung_name(static_cast<Rung>(number))) + "'";
  }
  return "directive IN (" + directives + ") AND rung IN (" + rungs + ")";
}

// What a page tells its run stands in the ledger or in the journal of intents.
void Auditor::check_directives() {
  for (const auto& [id, attempt] : truth_.attempts) {
    if (attempt.boot != truth_.boot || kernel_.by_serial(attempt.process) == nullptr ||
        !kernel_.by_serial(attempt.process)->is_alive) {
      continue;
    }
    std::ifstream file(home_ + "/live/" + id + ".page", std::ios::binary);
    pulse::PageLayout page;
    if (!file.read(reinterpret_cast<char*>(&page), sizeof page)) {
      continue;
    }
    const std::uint32_t told = page.agent.directive.load();
    const auto directive = static_cast<Directive>(told);
    if (told != 0 && told <= 3 &&
        !is_recorded({.attempt_id = id, .directive = directive, .rung = Rung::Directive})) {
      fail(id + " is told " + std::string(directive_name(static_cast<Directive>(told))) +
           " and nothing of it is recorded");
    }
  }
}

void Auditor::a_signal_is_sent(Process& sender, Process& target, int signal_number) {
  const AttemptTruth* attempt = truth_.of_process(target.serial);
  if (attempt == nullptr) {
    const auto carried = target.environment.find("FINOPS_ATTEMPT_ID");
    if (carried == target.environment.end() || !truth_.attempts.contains(carried->second)) {
      fail(sender.name + " sends signal " + std::to_string(signal_number) + " to " + target.name +
           ", which is no run");
      return;
    }
    attempt = &truth_.attempts.at(carried->second);
  }
  const Wanted wanted{.attempt_id = attempt->info.attempt_id.str(),
                      .directive = Directive::CHECKPOINT,
                      .rung = signal_number == SIGKILL ? Rung::Sigkill : Rung::Sigterm};
  if (!open() || !can_read()) {
    unchecked_signals_.push_back(wanted);
  } else if (!is_recorded(wanted)) {
    fail(target.name + " gets signal " + std::to_string(signal_number) +
         " and no decision is recorded");
  }
}

// Every silent job is stopped within its limit plus 60 s; the limit counts from the calm's begin
// for those who were silent before.
void Auditor::check_silent() {
  for (const auto& [id, attempt] : truth_.attempts) {
    const Process* process =
        kernel_.by_serial(attempt.info.is_command ? attempt.reporter : attempt.process);
    if (attempt.boot != truth_.boot || process == nullptr || !process->is_alive ||
        attempt.finished_after_at_most.has_value() ||
        !std::filesystem::exists(home_ + "/live/" + id + ".page")) {  // a full disk: it is unseen
      continue;
    }
    const BootTime since =
        std::max({attempt.last_progress.boot, attempt.silence_allowed_until, *calm_since_});
    if (kernel_.now() - since > attempt.info.silence_limit + std::chrono::seconds{60}) {
      fail(id + " is silent for " +
           std::to_string((kernel_.now() - attempt.last_progress.boot) / std::chrono::seconds{1}) +
           " s, its limit is " +
           std::to_string(attempt.info.silence_limit / std::chrono::seconds{1}) +
           " s, and nobody has stopped it");
    }
  }
}

// An uncertain span of up to five minutes is settled by itself, a longer one by the person.
bool Auditor::is_long_dead(const std::string& attempt_id) const {
  constexpr Nanoseconds kTimeToSettle = std::chrono::minutes{15};
  const auto found = truth_.attempts.find(attempt_id);
  const Process* process =
      found == truth_.attempts.end() ? nullptr : kernel_.by_serial(found->second.process);
  return process == nullptr ||
         (!process->is_alive && kernel_.simulated() - process->died_at > kTimeToSettle);
}

}  // namespace finops::simulation
