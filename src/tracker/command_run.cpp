// command_run.cpp - the supervisor's side of `finops run`.
#include "finops/tracker/command_run.hpp"

#include <csignal>

#include "finops/base/error.hpp"
#include "tracker/begin.hpp"
#include "tracker/chain.hpp"

namespace finops {

std::unique_ptr<CommandRun> CommandRun::start(const RunOptions& options) {
  return std::unique_ptr<CommandRun>(new CommandRun(tracker::begin(options, true)));
}

CommandRun::CommandRun(tracker::BegunAttempt begun)
    : page_(std::move(begun.page)),
      home_path_(std::move(begun.home_path)),
      attempt_number_(begun.attempt_number),
      warnings_(std::move(begun.warnings)) {}

CommandRun::~CommandRun() = default;

agent::TickReport CommandRun::tick(agent::Agent& agent) {
  if (!is_adopted_ && page_->is_on_disk()) {
    agent.adopt(page_.get());
    is_adopted_ = true;
  }
  return agent.tick();
}

AttemptEnd CommandRun::end_of(Ledger& ledger, int exit_code, UtcTime now) const {
  const std::vector<DecisionRecord> decided = ledger.decisions(info().attempt_id, 1);
  const std::optional<AttemptEnd> stopped =
      decided.empty() ? std::nullopt : agent::end_by_decision(decided.back(), now);
  const pulse::ProcessState state = page_->page().process.state.load(std::memory_order_acquire);
  AttemptEnd end{.status = RunStatus::FINISHED, .reason = {}, .ended_at = now};
  if (state == pulse::ProcessState::Paused || exit_code == kExitPaused) {
    end.status = RunStatus::PAUSED;
    end.reason = decided.empty() ? "the run paused itself" : decided.back().reason;
  } else if (exit_code != 0 && stopped.has_value()) {
    end = *stopped;
  } else if (exit_code == -SIGINT || exit_code == -SIGTERM) {
    end.status = RunStatus::KILLED;  // somebody asked it to end
    end.reason = "ended by signal " + std::to_string(-exit_code);
  } else if (exit_code != 0) {
    end.status = RunStatus::FAILED;
    end.reason = exit_code < 0 ? "ended by signal " + std::to_string(-exit_code)
                               : "exit code " + std::to_string(exit_code);
  }
  return end;
}

// In the page first: if the ledger cannot take the end now, whoever settles the attempt later knows
// when it was, and charges nothing beyond.
void CommandRun::say_goodbye(int exit_code) {
  pulse::PageLayout& page = page_->page();
  page.group.ended_after_ns.store(ended_after_->count(), std::memory_order_relaxed);
  const pulse::ProcessState said = page.process.state.load(std::memory_order_acquire);
  if (said == pulse::ProcessState::Running) {
    page.process.state.store(exit_code == 0             ? pulse::ProcessState::Finished
                             : exit_code == kExitPaused ? pulse::ProcessState::Paused
                                                        : pulse::ProcessState::Failed,
                             std::memory_order_release);
  }
}

RunStatus CommandRun::child_ended(agent::Agent& agent, int exit_code) {
  const ClockReading now = SystemClock{}.now();
  ended_after_ = now.boot - info().started_at.boot;
  RunStatus status = exit_code == 0 ? RunStatus::FINISHED : RunStatus::FAILED;
  say_goodbye(exit_code);
  if (page_->is_on_disk()) {
    try {
      agent::TickReport imported;  // what was decided while the ledger was away explains the end
      agent.import_intents(imported);
      const std::unique_ptr<Ledger> ledger = open_ledger(home_path_ + "/ledger.db", {});
      const AttemptEnd end = end_of(*ledger, exit_code, now.utc);
      status = end.status;
      reason_ = end.reason;
      agent::conclude_attempt(*ledger, info(), page_->page(),
                              {.metered_until = *ended_after_, .gone_at = *ended_after_}, end);
      page_->remove();
    } catch (const Error& error) {
      warnings_.emplace_back(error.what());  // the page stays for the next agent
    }
    if (is_adopted_) {
      agent.drop(page_.get());
    }
  }
  page_->release();
  return status;
}

bool CommandRun::has_budget_again() const {
  const std::optional<Rate> rate = agent::rate_of(info());
  if (!rate.has_value()) {
    return true;
  }
  const std::unique_ptr<Ledger> ledger =
      open_ledger(home_path_ + "/ledger.db", {.read_only = true});
  return tracker::is_worth_a_start(tracker::chain_of(*ledger, info(), SystemClock{}.now().utc),
                                   *rate, agent::lease_terms_of(info()));
}

std::optional<Money> CommandRun::cost() const {
  const std::optional<Rate> rate = agent::rate_of(info());
  if (!rate.has_value()) {
    return std::nullopt;
  }
  const Nanoseconds running = SystemClock{}.now().boot - info().started_at.boot;
  return rate->cost_of(ended_after_.value_or(running));
}

}  // namespace finops
