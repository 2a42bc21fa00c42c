// command_run.hpp - one attempt of a command under `finops run`, seen by its supervisor.
//
// Owns: CommandRun. Does not own: the child process (the caller starts and reaps it).
// Invariant: the attempt is settled exactly, since the supervisor sees its child's end.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "finops/agent/agent.hpp"
#include "finops/tracker/options.hpp"

namespace finops {

namespace tracker {
struct BegunAttempt;
}

class CommandRun {
 public:
  /// Begins an attempt; throws as Run::start does.
  static std::unique_ptr<CommandRun> start(const RunOptions& options);
  ~CommandRun();

  /// Looks after this attempt, and after all others if the agent serves.
  agent::TickReport tick(agent::Agent& agent);
  /// Ends the attempt: `exit_code` as a shell sees it, or minus the signal's number.
  RunStatus child_ended(agent::Agent& agent, int exit_code);
  /// Whether every hard budget of the chain pays for another start, after a pause.
  [[nodiscard]] bool has_budget_again() const;

  [[nodiscard]] const pulse::PageInfo& info() const noexcept { return page_->info(); }
  [[nodiscard]] int attempt_number() const noexcept { return attempt_number_; }
  [[nodiscard]] const std::string& home_path() const noexcept { return home_path_; }
  [[nodiscard]] const std::string& reason() const noexcept { return reason_; }
  [[nodiscard]] const std::vector<std::string>& warnings() const noexcept { return warnings_; }
  /// Of this attempt, up to now or to its end; empty if unpriced.
  [[nodiscard]] std::optional<Money> cost() const;

 private:
  explicit CommandRun(tracker::BegunAttempt begun);
  void say_goodbye(int exit_code);
  [[nodiscard]] AttemptEnd end_of(Ledger& ledger, int exit_code, UtcTime now) const;

  std::shared_ptr<pulse::OwnPage> page_;
  std::string home_path_;
  int attempt_number_ = 1;
  bool is_adopted_ = false;
  std::optional<Nanoseconds> ended_after_;
  std::string reason_;
  std::vector<std::string> warnings_;
};

}  // namespace finops
