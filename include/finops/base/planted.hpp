// planted.hpp - bugs that the simulation can switch on, to prove that it would find them.
//
// Owns: planted::Bug, planted::is_on. Does not own: who switches them (tests/simulation).
// Invariant: only the simulation's build has the switches; in every other one `is_on` is false at
// compile time and nothing of a bug is left.
#pragma once

namespace finops::planted {

enum class Bug {
  None,
  DoubleSettle,          ///< a slice of use is charged and the account does not move on
  ParentNotDebited,      ///< a lease debits the lowest budget of the chain alone
  RefundOnCrash,         ///< a run that died is charged up to its last settlement only
  SilenceByClientClock,  ///< silence is judged by the wall clock
  NoFencing,             ///< a mover with a stale epoch is let through, after the end as well
  MissingSync,           ///< commits do not wait for the disk
  NoWriteLock,           ///< the ledger's own lock is not taken
  ActBeforeRecord,       ///< a signal is sent before its decision is recorded
  NoStandstill,          ///< a guard that stood still goes on with its old windows
  LockNotAsked,          ///< a page that did not change is taken for dead
  UnlinkBeforeCommit,    ///< a dead run's page goes before its end is in the ledger
  LadderForgotten,       ///< a guard that starts again does not know what was decided
  LeaseKept,             ///< a run that ends keeps what it holds
  TwoAgents,             ///< the agent's lock is not taken
  ApprovalTwice,         ///< an approval that is said twice raises the limit twice
  IntentsForgotten,      ///< what was decided while the ledger was away is never imported
  FolderNotSynced,       ///< the new ledger's name is not made durable
};

#ifdef FINOPS_SIMULATION
inline Bug bug = Bug::None;
[[nodiscard]] inline bool is_on(Bug which) noexcept { return bug == which; }
#else
[[nodiscard]] constexpr bool is_on(Bug /*which*/) noexcept { return false; }
#endif

}  // namespace finops::planted
