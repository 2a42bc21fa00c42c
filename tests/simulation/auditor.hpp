// auditor.hpp - the invariants: what must hold of the ledger, the pages and the signals at every
// step of a simulation.
//
// Owns: Auditor. Does not own: the product's own verify(), which it calls beside its own sums.
// Invariant: it only reads, on a connection of its own, outside all simulated processes.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "finops/ledger/ledger.hpp"
#include "kernel.hpp"
#include "truth.hpp"

struct sqlite3;
struct sqlite3_stmt;

namespace finops::simulation {

class Auditor {
 public:
  Auditor(Kernel& kernel, Truth& truth, std::string home);
  ~Auditor();
  Auditor(const Auditor&) = delete;
  Auditor& operator=(const Auditor&) = delete;

  /// After each turn of a process: cheap checks if the ledger was written, others now and then.
  void after_turn();
  /// Everything, and the product's verify().
  void check_all();
  /// From here on nothing goes wrong: whoever is silent must be stopped in time.
  void is_calm_now() { calm_since_ = kernel_.now(); }
  /// When everybody had time: nothing is left open or held of those who died a while ago.
  void check_settled();
  void power_was_lost();
  void a_signal_is_sent(Process& sender, Process& target, int signal_number);
  void the_ledger_is_written(const DiskCall& call);

  [[nodiscard]] bool has_failed() const noexcept { return !failures_.empty(); }
  [[nodiscard]] const std::vector<std::string>& failures() const noexcept { return failures_; }
  void fail(const std::string& what);
  /// The number that `sql` gives, as the ledger is now; -1 without a ledger.
  std::int64_t count(const std::string& sql);

 private:
  using Row = std::vector<std::string>;
  /// A decision that must be there, in the ledger or in the journal: this much, or more.
  struct Wanted {
    std::string attempt_id;
    Directive directive = Directive::CONTINUE;
    Rung rung = Rung::Watch;
    [[nodiscard]] std::string condition() const;
  };
  std::vector<Row> rows(const std::string& sql);
  bool open();
  void close();
  void finalize_statements();
  void check_balances();
  void check_limits();
  void check_holds();
  void check_charges();
  void check_new_decisions();
  void check_acknowledged();
  void check_directives();
  void check_attempts();
  void check_overspend();
  bool is_recorded(const Wanted& wanted);
  static budget::LeaseTerms actual_terms(const AttemptTruth& attempt, Nanoseconds end);
  Int128 charged_to(const std::string& attempt_id);
  bool can_read();
  void check_silent();
  [[nodiscard]] bool is_long_dead(const std::string& attempt_id) const;
  [[nodiscard]] std::uint64_t lock_holder() const;

  Kernel& kernel_;
  Truth& truth_;
  std::string home_;
  sqlite3* connection_ = nullptr;
  std::map<std::string, sqlite3_stmt*> statements_;
  bool is_changed_ = false;
  bool is_blocked_ = false;  ///< the last query could not be answered now
  std::vector<Wanted> unchecked_signals_;
  std::int64_t last_decision_ = 0;
  std::map<std::string, int> highest_rungs_;  ///< that each attempt's decisions have reached
  std::size_t checked_acknowledged_ = 0;
  std::optional<BootTime> calm_since_;
  std::vector<std::string> failures_;
};

}  // namespace finops::simulation
