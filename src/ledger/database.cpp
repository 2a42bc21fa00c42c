// database.cpp - opening, preparing, binding and error mapping.
#include "ledger/database.hpp"

#include <algorithm>

#include "finops/base/planted.hpp"
#include "ledger/schema.hpp"

namespace finops::ledger {
namespace {

constexpr const char* kDamaged =
    " (the ledger is damaged: nothing more is written to it. Copy it away, look at what can be "
    "read with `finops ledger verify`, then move it aside; a new one starts by itself)";

constexpr int kLongestValue = 16 * 1'024 * 1'024;  // names and reasons are far below a kilobyte
constexpr int kDeepestTrigger = 10;                // ours call none

// The one place where SQL is put together.
std::string sql_on_table(Sql sql, std::string_view table) {
  const auto tables = journal_tables();
  FINOPS_ASSERT(std::ranges::find(tables, table, [](const char* name) {
                  return std::string_view(name);
                }) != tables.end());
  std::string text;
  for (const char* c = sql.text(); *c != '\0'; ++c) {
    *c == '@' ? text += table : text += *c;
  }
  return text;
}

int on_wal_commit(void* wal_frames, sqlite3*, const char*, int frames) {
  *static_cast<int*>(wal_frames) = frames;
  return SQLITE_OK;
}

}  // namespace

void throw_sqlite(int code, const std::string& message) {
  switch (code & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_TOOBIG:
    case SQLITE_NOTADB: detail::throw_error(ErrorCode::LedgerCorrupt, message + kDamaged);
    case SQLITE_CONSTRAINT:
      detail::throw_error(ErrorCode::Conflict, "the ledger refuses the row: " + message);
    case SQLITE_PERM:
    case SQLITE_AUTH:
      detail::throw_error(ErrorCode::PermissionDenied, "the ledger cannot be used: " + message);
    case SQLITE_ERROR:  // our SQL is constant: a table or a value is not as we made it
      detail::throw_error(ErrorCode::LedgerCorrupt, message + kDamaged);
    case SQLITE_MISUSE:
    case SQLITE_RANGE: detail::throw_internal(message.c_str(), "sqlite", code);
    default:
      detail::throw_error(ErrorCode::LedgerUnavailable,
                          "the ledger cannot be used: " + message + " (SQLite code " +
                              std::to_string(code) + "); check space and rights of its folder");
  }
}

void require_whole(bool makes_sense, const char* what, const std::string& id) {
  FINOPS_REQUIRE(makes_sense, ErrorCode::LedgerCorrupt, id + ": " + what + kDamaged);
}

void Statement::check(int code) const {
  if (code != SQLITE_OK) {
    throw_sqlite(sqlite3_extended_errcode(connection_), sqlite3_errmsg(connection_));
  }
}

Statement& Statement::operator<<(std::int64_t value) {
  check(sqlite3_bind_int64(statement_, ++parameter_, value));
  return *this;
}

Statement& Statement::operator<<(double value) {
  check(sqlite3_bind_double(statement_, ++parameter_, value));
  return *this;
}

Statement& Statement::operator<<(std::string_view value) {
  check(sqlite3_bind_text(statement_, ++parameter_, value.data(), static_cast<int>(value.size()),
                          SQLITE_TRANSIENT));
  return *this;
}

Statement& Statement::bind_borrowed(std::string_view value) {
  check(sqlite3_bind_text(statement_, ++parameter_, value.data(), static_cast<int>(value.size()),
                          SQLITE_STATIC));
  return *this;
}

Statement& Statement::operator<<(Money value) {
  const StoredMoney stored = value.to_stored();
  return *this << stored.units << stored.picos;
}

Statement& Statement::operator<<(const std::optional<Money>& value) {
  if (value.has_value()) {
    return *this << *value;
  }
  check(sqlite3_bind_null(statement_, ++parameter_));
  check(sqlite3_bind_null(statement_, ++parameter_));
  return *this;
}

Statement& Statement::bind_text_or_null(std::string_view value) {
  if (!value.empty()) {
    return *this << value;
  }
  check(sqlite3_bind_null(statement_, ++parameter_));
  return *this;
}

bool Statement::step() {
  column_ = 0;
  const int code = sqlite3_step(statement_);
  if (code != SQLITE_ROW && code != SQLITE_DONE) {
    throw_sqlite(sqlite3_extended_errcode(connection_), sqlite3_errmsg(connection_));
  }
  return code == SQLITE_ROW;
}

void Statement::run() {
  const bool has_row = step();
  FINOPS_ASSERT(!has_row);
}

double Statement::real() { return sqlite3_column_double(statement_, column_++); }

std::int64_t Statement::integer() { return sqlite3_column_int64(statement_, column_++); }

std::optional<std::int64_t> Statement::optional_integer() {
  if (next_is_null()) {
    skip(1);
    return std::nullopt;
  }
  return integer();
}

std::string Statement::text() {
  const auto* bytes = sqlite3_column_text(statement_, column_);
  const int size = sqlite3_column_bytes(statement_, column_++);
  if (bytes == nullptr) {
    return {};
  }
  return {reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(size)};
}

Money Statement::money(Currency currency) {
  const std::int64_t units = integer();
  const std::int64_t picos = integer();
  return Money::from_stored({.units = units, .picos = picos}, currency);
}

Database::Database(const std::string& path, bool read_only) {
  const int flags = (read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE) |
                    SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE | SQLITE_OPEN_URI;
  const int code = sqlite3_open_v2(path.c_str(), &connection_, flags, nullptr);
  if (code != SQLITE_OK) {
    const std::string message = path + ": " + sqlite3_errmsg(connection_);
    sqlite3_close_v2(connection_);
    throw_sqlite(code, message);
  }
  sqlite3_busy_timeout(connection_, 2'000);  // for SQLite's own short locks; ours comes first
  // Even a connection that only read would checkpoint on close, outside the write lock.
  sqlite3_db_config(connection_, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
  sqlite3_db_config(connection_, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_db_config(connection_, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  // A file may be of anybody's making: what we never write is not read either.
  sqlite3_limit(connection_, SQLITE_LIMIT_LENGTH, kLongestValue);
  sqlite3_limit(connection_, SQLITE_LIMIT_TRIGGER_DEPTH, kDeepestTrigger);
  sqlite3_wal_hook(connection_, on_wal_commit, &wal_frames_);  // also turns auto-checkpoints off
  try {
    // Without recursive_triggers INSERT OR REPLACE deletes rows past the triggers.
    execute("PRAGMA recursive_triggers=ON; PRAGMA foreign_keys=ON; PRAGMA synchronous=FULL;");
    if (planted::is_on(planted::Bug::MissingSync)) {
      execute("PRAGMA synchronous=NORMAL");
    }
  } catch (...) {
    sqlite3_close_v2(connection_);
    throw;
  }
}

Database::~Database() {
  for (const auto& [sql, statement] : statements_) {
    sqlite3_finalize(statement);
  }
  sqlite3_close_v2(connection_);
}

Statement Database::prepare(Sql sql) {
  sqlite3_stmt*& statement = statements_[sql.text()];
  if (statement == nullptr) {
    const int code = sqlite3_prepare_v3(connection_, sql.text(), -1, SQLITE_PREPARE_PERSISTENT,
                                        &statement, nullptr);
    if (code != SQLITE_OK) {
      throw_sqlite(code, sqlite3_errmsg(connection_));
    }
  }
  sqlite3_reset(statement);
  sqlite3_clear_bindings(statement);
  return {connection_, statement};
}

void Database::execute(Sql sql) { execute_text(sql.text()); }

void Database::execute_on_table(Sql sql, std::string_view table) {
  execute_text(sql_on_table(sql, table).c_str());
}

std::int64_t Database::count(Sql sql) { return count_text(sql.text()); }

std::int64_t Database::count_on_table(Sql sql, std::string_view table) {
  return count_text(sql_on_table(sql, table).c_str());
}

void Database::execute_text(const char* sql) {
  const int code = sqlite3_exec(connection_, sql, nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) {
    throw_sqlite(code, sqlite3_errmsg(connection_));
  }
}

std::int64_t Database::count_text(const char* sql) {
  sqlite3_stmt* raw = nullptr;
  const int code = sqlite3_prepare_v2(connection_, sql, -1, &raw, nullptr);
  if (code != SQLITE_OK) {
    throw_sqlite(code, sqlite3_errmsg(connection_));
  }
  std::int64_t value = 0;
  const int step_code = sqlite3_step(raw);
  if (step_code == SQLITE_ROW) {
    value = sqlite3_column_int64(raw, 0);
  }
  sqlite3_finalize(raw);
  if (step_code != SQLITE_ROW) {
    throw_sqlite(step_code, sqlite3_errmsg(connection_));
  }
  return value;
}

void Database::checkpoint_passive() {
  // Best effort: a reader may hold part of the log; the next commit tries again.
  sqlite3_wal_checkpoint_v2(connection_, nullptr, SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
}

void Database::checkpoint_fully() {
  const int code =
      sqlite3_wal_checkpoint_v2(connection_, nullptr, SQLITE_CHECKPOINT_TRUNCATE, nullptr, nullptr);
  if (code != SQLITE_OK) {
    throw_sqlite(code, sqlite3_errmsg(connection_));
  }
  wal_frames_ = 0;
}

}  // namespace finops::ledger
