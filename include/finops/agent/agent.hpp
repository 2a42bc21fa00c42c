// agent.hpp - looks at the live pages of a user on a host, judges, records, acts.
//
// Owns: Agent. Shared by `finops guard`, `finops run` and the next `init`.
// Invariants: one agent per user and host at a time (agent.lock), fenced by an epoch; a decision is
// recorded before it is acted on, in the ledger or, while that is away, in a journal of intents; a
// broken ledger stops nobody by itself and makes nobody unstoppable.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "finops/agent/settle.hpp"
#include "finops/agent/usage_source.hpp"
#include "finops/base/clock.hpp"
#include "finops/guard/decide.hpp"
#include "finops/ledger/home.hpp"
#include "finops/ledger/ledger.hpp"
#include "finops/pulse/own_page.hpp"
#include "finops/pulse/scanner.hpp"

namespace finops::agent {

struct FileIdentity;
class IntentJournal;
class Orphans;

struct AgentOptions {
  Home home;
  guard::PolicyBook policies;
  std::string name = "guard";  ///< stands in the decisions: "guard", "finops run"
  Nanoseconds interval{std::chrono::seconds{10}};  ///< how often tick is called
  /// An uncertain span up to this is settled as spent by itself; a longer one waits for a person.
  Nanoseconds longest_auto_settle{std::chrono::minutes{5}};
  /// Measures the runs' use. Null: nothing does, and nobody is idle.
  std::shared_ptr<UsageSource> usage;
  /// A person said that many runs may be stopped at once: the mass-stop breaker does not hold.
  bool overrides_breaker = false;
};

/// What one tick did.
struct TickReport {
  std::size_t page_count = 0;
  std::vector<DecisionRecord> decisions;  ///< new ones, recorded and (unless dry) acted on
  std::vector<Conclusion> concluded;      ///< attempts that ended
  std::vector<std::string> warnings;      ///< damaged pages, an unreachable ledger, the breaker
  std::size_t breaker_held = 0;           ///< runs that the mass-stop breaker spared in this round
};

/// Why a run is or is not stopped.
struct Explanation {
  std::vector<guard::RuleReading> readings;
  std::vector<std::string> policy_rules;  ///< the names of those that fit; empty: the default alone
};

class Agent {
 public:
  /// `clock` must outlive the agent. Throws Error(InvalidArgument) for a book that makes no sense.
  Agent(AgentOptions options, const Clock& clock);
  ~Agent();
  Agent(const Agent&) = delete;
  Agent& operator=(const Agent&) = delete;

  /// Takes the agent's lock if nobody has it. True if this agent serves now. An agent whose home
  /// was removed or replaced serves no more, says so in its next round, and may be asked to again.
  /// Throws Error(PermissionDenied) if the lock file is not ours alone, Error(SystemFailure) if it
  /// cannot be opened.
  bool try_serve();
  [[nodiscard]] bool is_serving() const noexcept { return epoch_ != 0; }

  /// A page of this process (made by `finops run`) that this agent looks after as well, whether or
  /// not it serves others. `page` must outlive the agent or be dropped first.
  void adopt(pulse::OwnPage* page);
  void drop(pulse::OwnPage* page);

  /// One round: scan, settle, renew leases, decide, record, act. Without the agent's lock it looks
  /// only after adopted pages. Never throws for the state of the world: see `warnings`.
  TickReport tick();

  /// Settles what dead processes left and does nothing else: for the next `init`. At most
  /// `page_limit` pages.
  TickReport settle_dead(std::size_t page_limit);

  /// Brings decisions that were made while the ledger was away into it: a tick does so first, and
  /// whoever ends an attempt by itself must. What cannot be imported yet waits.
  void import_intents(TickReport& report);

  /// What every rule says of a live run, now. Needs no lock and changes nothing; an agent that has
  /// not watched the run counts its silence from the run's last call.
  /// Throws Error(NotFound) if there is no live page of the attempt.
  [[nodiscard]] Explanation explain(const AttemptId& attempt_id);

  /// How many attempts the agent remembers: as many as there are live pages.
  [[nodiscard]] std::size_t watched_count() const noexcept { return watched_.size(); }

 private:
  struct Watched;
  struct PageRef;
  struct Live;
  enum class Outcome { Done, Refused, Away };

  Ledger& ledger();
  Outcome try_ledger(const std::string& what, TickReport& report,
                     const std::function<void(Ledger&)>& move);
  [[nodiscard]] bool is_lock_in_home() const noexcept;
  void release_lock() noexcept;
  void leave_lost_home(TickReport& report);
  void start_round(ClockReading now);
  void read_waiting();
  bool is_home_safe(TickReport& report);
  [[nodiscard]] std::vector<PageRef> pages_of_round(ClockReading now, bool is_home_safe,
                                                    TickReport& report);
  void visit(const PageRef& ref, ClockReading now, TickReport& report, std::vector<Live>& live);
  void first_look(const PageRef& ref, Watched& watched, ClockReading now) const;
  void recall(const PageRef& ref, Watched& watched, ClockReading now, TickReport& report);
  void resume_ladder(const PageRef& ref, Watched& watched, const DecisionRecord& last,
                     ClockReading now) const;
  void observe(const PageRef& ref, Watched& watched, ClockReading now) const;
  void serve_lease(const PageRef& ref, Watched& watched, ClockReading now, TickReport& report);
  void measure(const std::vector<Live>& live, ClockReading now, TickReport& report);
  [[nodiscard]] guard::RunState state_of(const PageRef& ref, const Watched& watched,
                                         ClockReading now) const;
  [[nodiscard]] static guard::Use use_to_show(const guard::RunState& state,
                                              const guard::Policy& policy, BootTime now);
  void judge_all(const std::vector<Live>& live, ClockReading now, TickReport& report);
  void hold_mass_stop(const std::vector<Live>& live, ClockReading now, TickReport& report);
  void tell_of_breaker(const std::string& text, ClockReading now, TickReport& report);
  void carry_out(const Live& run, const guard::Decision& decision, ClockReading now,
                 TickReport& report);
  bool record(DecisionRecord& decision, TickReport& report);
  static void act(const PageRef& ref, const guard::Decision& decision);
  static Conclusion conclude(Ledger& ledger, const PageRef& ref);
  std::vector<std::pair<const PageRef*, Conclusion>> conclude_group(std::span<const PageRef> group,
                                                                    TickReport& report);
  void conclude_all(const std::vector<PageRef>& ended, TickReport& report);
  void conclude_lost(ClockReading now, TickReport& report);
  void forget(const AttemptId& attempt_id);
  void look_after_orphans(const std::vector<Live>& live, ClockReading now, TickReport& report);
  void settle_suspects(ClockReading now, TickReport& report);

  AgentOptions options_;
  const Clock& clock_;
  pulse::PageScanner scanner_;
  std::unique_ptr<Ledger> ledger_;
  std::unique_ptr<FileIdentity> ledger_file_;  // what was opened, to see that it was replaced
  bool is_ledger_away_ = false;                // in this round: nobody waits for it twice
  bool is_ledger_quick_ = false;  // opened with the short timeout of a ledger that was away
  std::unique_ptr<IntentJournal> intents_;
  std::unordered_map<AttemptId, DecisionRecord> waiting_;  // the newest intent of each, this round
  std::unique_ptr<Orphans> orphans_;
  std::vector<PageRef> ended_;  // of the round: their attempts are over
  std::vector<pulse::OwnPage*> adopted_;
  std::unordered_map<AttemptId, std::unique_ptr<Watched>> watched_;
  std::vector<guard::RunState> states_;  // of the round, in the order of its live runs
  std::vector<guard::Decision> decisions_;
  bool is_breaker_tripped_ = false;
  std::optional<Notice> untold_notice_;
  int rounds_until_lost_ = 0;
  std::optional<BootTime> last_round_;
  std::optional<BootTime> swept_at_;  // when half-made pages were looked for
  Nanoseconds last_round_took_{};
  int lock_descriptor_ = -1;
  std::uint64_t epoch_ = 0;
};

}  // namespace finops::agent
