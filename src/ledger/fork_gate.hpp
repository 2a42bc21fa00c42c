// fork_gate.hpp - a fork finds no thread inside SQLite, and no connection open.
//
// Owns: ForkGate. Does not own: the connections (each closes and reopens itself).
// Invariant: in a forked child nothing of the parent's SQLite is in use: its global mutexes are
// free, and it knows of no file, whose locks it would take for its own. (SQLite's documentation,
// "How to corrupt", 2.7: a connection must not be carried across a fork. It keeps one record for
// each file and process, so that a new connection of the child would share the inherited one's.)
#pragma once

namespace finops::ledger {

class ForkGate {
 public:
  /// A connection, closed before the process forks; it opens itself again when it is next used.
  class Connection {
   public:
    virtual void close_before_fork() noexcept = 0;

   protected:
    ~Connection() = default;
  };

  /// The calling thread uses SQLite from here on; may be nested. While another thread forks it
  /// waits. Throws Error(LedgerUnavailable) in a child that was forked by a thread inside SQLite,
  /// or while one was for longer than a fork can wait.
  static void enter();
  static void leave() noexcept;
  /// Whether the calling thread has entered exactly once.
  [[nodiscard]] static bool is_outermost() noexcept;
  /// Whether this process is such a child: what it inherited must be left alone.
  [[nodiscard]] static bool is_closed_for_good() noexcept;

  /// Inside the gate only.
  static void add(Connection* connection);
  static void remove(Connection* connection) noexcept;
};

}  // namespace finops::ledger
