// agent.hpp - looks at the live pages of a user on a host, judges, records, acts.
//
// Owns: Agent. Shared by `finops guard`, `finops run` and the next `init`.
// Invariants: one agent per user and host at a time (agent.lock), fenced by an epoch; a decision is
// in the ledger before it is acted on; a broken ledger stops nobody by itself.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "finops/agent/settle.hpp"
#include "finops/base/clock.hpp"
#include "finops/guard/decide.hpp"
#include "finops/ledger/home.hpp"
#include "finops/ledger/ledger.hpp"
#include "finops/pulse/own_page.hpp"
#include "finops/pulse/scanner.hpp"

namespace finops::agent {

struct AgentOptions {
  Home home;
  guard::Policy policy;
  std::string name = "guard";  ///< stands in the decisions: "guard", "finops run"
  Nanoseconds interval{std::chrono::seconds{10}};  ///< how often tick is called
  /// An uncertain span up to this is settled as spent by itself; a longer one waits for a person.
  Nanoseconds longest_auto_settle{std::chrono::minutes{5}};
};

/// What one tick did.
struct TickReport {
  std::size_t page_count = 0;
  std::vector<DecisionRecord> decisions;  ///< new ones, recorded and acted on
  std::vector<Conclusion> concluded;      ///< attempts that ended
  std::vector<std::string> warnings;      ///< damaged pages, an unreachable ledger
};

class Agent {
 public:
  /// `clock` must outlive the agent.
  Agent(AgentOptions options, const Clock& clock);
  ~Agent();
  Agent(const Agent&) = delete;
  Agent& operator=(const Agent&) = delete;

  /// Takes the agent's lock if nobody has it. True if this agent serves now.
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

 private:
  struct Watched;
  struct PageRef;

  Ledger& ledger();
  void start_round(ClockReading now);
  void visit(const PageRef& ref, ClockReading now, TickReport& report);
  void observe(const PageRef& ref, Watched& watched, ClockReading now);
  void first_look(const PageRef& ref, Watched& watched, ClockReading now);
  void serve_lease(const PageRef& ref, Watched& watched, ClockReading now);
  void judge(const PageRef& ref, Watched& watched, ClockReading now, TickReport& report);
  void act(const PageRef& ref, const guard::Decision& decision);
  void conclude(const PageRef& ref, Watched& watched, ClockReading now, TickReport& report);
  void settle_suspects(ClockReading now, TickReport& report);

  AgentOptions options_;
  const Clock& clock_;
  pulse::PageScanner scanner_;
  std::unique_ptr<Ledger> ledger_;
  std::vector<pulse::OwnPage*> adopted_;
  std::unordered_map<AttemptId, std::unique_ptr<Watched>> watched_;
  std::optional<BootTime> last_round_;
  int lock_descriptor_ = -1;
  std::uint64_t epoch_ = 0;
};

}  // namespace finops::agent
