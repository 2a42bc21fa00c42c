// database.hpp - a thin, checked layer over SQLite's C interface.
//
// Owns: Database (one connection), Statement (one prepared statement), Sql, the mapping of SQLite's
// codes to ErrorCode. Private to ledger: nothing else sees sqlite3.h.
// Invariants: every call is checked; every connection has the settings that `Database` sets; no SQL
// is built from a value: it is a constant of the compiler, and values are bound.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "finops/base/clock.hpp"
#include "finops/base/error.hpp"
#include "finops/money/money.hpp"

namespace finops::ledger {

/// SQL that stands in the source. Text that is put together at run time does not compile here.
class Sql {
 public:
  // NOLINTNEXTLINE(google-explicit-constructor): a literal is meant to be one by itself.
  consteval Sql(const char* literal) noexcept : text_(literal) {}
  [[nodiscard]] constexpr const char* text() const noexcept { return text_; }

 private:
  const char* text_;
};

/// A prepared statement: bind in order with `<<`, then step, then read columns in order.
class Statement {
 public:
  Statement(sqlite3* connection, sqlite3_stmt* statement) noexcept
      : connection_(connection), statement_(statement) {}
  ~Statement() { sqlite3_reset(statement_); }
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  Statement& operator<<(std::int64_t value);
  Statement& operator<<(std::string_view value);
  Statement& operator<<(const char* value) { return *this << std::string_view(value); }
  Statement& operator<<(const std::string& value) { return *this << std::string_view(value); }
  Statement& operator<<(bool value) { return *this << std::int64_t{value}; }
  Statement& operator<<(double value);
  Statement& operator<<(int value) { return *this << std::int64_t{value}; }
  Statement& operator<<(Nanoseconds value) { return *this << std::int64_t{value.count()}; }
  Statement& operator<<(UtcTime value) { return *this << value.time_since_epoch(); }
  /// Binds two columns: units and picos.
  Statement& operator<<(Money value);
  /// Binds two columns, NULL if empty.
  Statement& operator<<(const std::optional<Money>& value);
  /// Binds the text, or NULL if it is empty.
  Statement& bind_text_or_null(std::string_view value);

  /// Binds text that outlives the step, without a copy.
  Statement& bind_borrowed(std::string_view value);
  /// Ready for the next row of a batch: every parameter is bound anew.
  void rewind() noexcept {
    sqlite3_reset(statement_);
    parameter_ = 0;
  }

  /// Moves to the next row; false at the end.
  bool step();
  /// Runs a statement that gives no rows.
  void run();

  [[nodiscard]] std::int64_t integer();
  [[nodiscard]] std::optional<std::int64_t> optional_integer();
  [[nodiscard]] double real();
  [[nodiscard]] std::string text();
  [[nodiscard]] bool boolean() { return integer() != 0; }
  [[nodiscard]] Nanoseconds nanoseconds() { return Nanoseconds{integer()}; }
  [[nodiscard]] UtcTime utc() { return UtcTime{Nanoseconds{integer()}}; }
  /// Reads two columns.
  [[nodiscard]] Money money(Currency currency);
  [[nodiscard]] bool next_is_null() const { return next_type() == SQLITE_NULL; }
  /// SQLite's storage class of the next column.
  [[nodiscard]] int next_type() const { return sqlite3_column_type(statement_, column_); }
  [[nodiscard]] int column_count() const { return sqlite3_column_count(statement_); }
  void skip(int columns) { column_ += columns; }

 private:
  void check(int code) const;
  sqlite3* connection_;
  sqlite3_stmt* statement_;
  int parameter_ = 0;
  int column_ = 0;
};

/// One connection. Never used across fork; never shared between threads without a lock.
class Database {
 public:
  Database(const std::string& path, bool read_only);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  /// A statement of `sql`, prepared once per connection.
  [[nodiscard]] Statement prepare(Sql sql);
  /// Runs statements that take no parameters.
  void execute(Sql sql);
  /// The one integer that `sql` gives.
  [[nodiscard]] std::int64_t count(Sql sql);
  /// The two above with each '@' in `sql` replaced by the name of a journal table: names cannot be
  /// bound. Any other name is an InternalError.
  void execute_on_table(Sql sql, std::string_view table);
  [[nodiscard]] std::int64_t count_on_table(Sql sql, std::string_view table);
  /// Rows changed by the last statement.
  [[nodiscard]] int changes() const noexcept { return sqlite3_changes(connection_); }
  /// Frames in the write-ahead log after the last commit of this connection.
  [[nodiscard]] int wal_frames() const noexcept { return wal_frames_; }
  [[nodiscard]] bool is_in_transaction() const noexcept {
    return sqlite3_get_autocommit(connection_) == 0;
  }
  /// Undoes the open transaction. After some errors (a full disk) SQLite has done so by itself.
  void roll_back() noexcept { sqlite3_exec(connection_, "ROLLBACK", nullptr, nullptr, nullptr); }
  /// Whether the last call failed because the disk could not sync.
  [[nodiscard]] bool is_sync_failed() const noexcept {
    return sqlite3_extended_errcode(connection_) == SQLITE_IOERR_FSYNC;
  }
  /// Copies what it can from the log into the file. The caller holds the write lock.
  void checkpoint_passive();
  /// Copies the whole log into the file and empties it. Throws if a reader is in the way for longer
  /// than the busy timeout, or the disk fails. The caller holds the write lock.
  void checkpoint_fully();

 private:
  void execute_text(const char* sql);
  std::int64_t count_text(const char* sql);

  sqlite3* connection_ = nullptr;
  std::unordered_map<const char*, sqlite3_stmt*> statements_;
  int wal_frames_ = 0;
};

/// Throws the Error that fits SQLite's result code.
[[noreturn]] void throw_sqlite(int code, const std::string& message);

/// Throws Error(LedgerCorrupt) unless what was read from the file makes sense: our own writes keep
/// it so, and whoever changed it passed the triggers.
void require_whole(bool makes_sense, const char* what, const std::string& id);

}  // namespace finops::ledger
