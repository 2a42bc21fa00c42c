// disk_support.hpp - what tests on the simulated disk share: an observer that a test moves, and
// plain SQLite connections.
//
// Owns: TestObserver, Connection. Does not own: the disk (tests/simulation/disk.hpp).
// Invariant: nothing fails and nothing is torn unless a test asks for it.
#pragma once

#include <gtest/gtest.h>
#include <sqlite3.h>

#include <functional>
#include <string>
#include <string_view>

#include "disk.hpp"

namespace finops::testing {

/// Says who calls, and lets a test come in between.
class TestObserver final : public simulation::DiskObserver {
 public:
  int process() override { return current_process; }
  int before(const simulation::DiskCall& call, std::int64_t& torn_bytes) override {
    return on_call ? on_call(call, torn_bytes) : SQLITE_OK;
  }
  void barrier(std::string_view path) override {
    if (on_barrier) {
      on_barrier(path);
    }
  }
  void sleep(std::chrono::microseconds span) override { slept += span; }
  std::int64_t unix_time_ms() override { return 1'764'000'000'000 + slept.count() / 1'000; }

  int current_process = 1;
  std::chrono::microseconds slept{};
  std::function<int(const simulation::DiskCall&, std::int64_t&)> on_call;
  std::function<void(std::string_view)> on_barrier;
};

/// A plain connection of SQLite's default VFS, with the settings of the ledger's.
class Connection {
 public:
  explicit Connection(const std::string& path, const std::string& synchronous = "FULL",
                      const std::string& journal_mode = "WAL") {
    EXPECT_EQ(sqlite3_open(path.c_str(), &connection_), SQLITE_OK);
    sqlite3_db_config(connection_, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
    execute("PRAGMA journal_mode=" + journal_mode +
            "; PRAGMA wal_autocheckpoint=0; PRAGMA synchronous=" + synchronous);
  }
  ~Connection() { sqlite3_close(connection_); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  /// SQLite's result code.
  int execute(const std::string& sql) {
    return sqlite3_exec(connection_, sql.c_str(), nullptr, nullptr, nullptr);
  }
  /// The first column of the first row; empty if there is none or the statement fails.
  std::string text(const std::string& sql) {
    sqlite3_stmt* statement = nullptr;
    std::string value;
    if (sqlite3_prepare_v2(connection_, sql.c_str(), -1, &statement, nullptr) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW) {
      const auto* bytes = sqlite3_column_text(statement, 0);
      value = bytes == nullptr ? "" : reinterpret_cast<const char*>(bytes);
    }
    sqlite3_finalize(statement);
    return value;
  }
  int checkpoint(int mode = SQLITE_CHECKPOINT_PASSIVE) {
    return sqlite3_wal_checkpoint_v2(connection_, nullptr, mode, nullptr, nullptr);
  }

 private:
  sqlite3* connection_ = nullptr;
};

}  // namespace finops::testing
