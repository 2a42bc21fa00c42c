// power_loss_support.hpp - a workload on the simulated disk, and what may be left of it after a
// power loss at any point.
//
// Owns: Workload (records every change of the disk, and what was acknowledged when), contents_of,
// Losses. Does not own: the disk (tests/simulation), what is written, which losses are tried.
// Invariant: what a ledger holds is compared whole, row by row, with what it held after each
// acknowledged write; in between there is nothing.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "disk_support.hpp"
#include "finops/ledger/ledger.hpp"
#include "support.hpp"

namespace finops::testing {

/// Every row of every table, as text; empty if there is no table.
inline std::string contents_of(const std::string& path) {
  sqlite3* connection = nullptr;
  EXPECT_EQ(sqlite3_open_v2(path.c_str(), &connection, SQLITE_OPEN_READONLY, nullptr), SQLITE_OK);
  std::string all;
  const auto append = [](void* text, int count, char** values, char**) {
    for (int i = 0; i < count; ++i) {
      *static_cast<std::string*>(text) += values[i] == nullptr ? "NULL" : values[i];
      *static_cast<std::string*>(text) += '|';
    }
    *static_cast<std::string*>(text) += '\n';
    return 0;
  };
  std::string tables;
  char* error = nullptr;
  sqlite3_exec(connection, "SELECT name FROM sqlite_schema WHERE type='table' ORDER BY name",
               append, &tables, &error);
  while (error == nullptr && !tables.empty()) {
    const std::string table = tables.substr(0, tables.find('|'));
    tables.erase(0, tables.find('\n') + 1);
    all += "== " + table + "\n";
    sqlite3_exec(connection, ("SELECT * FROM " + table + " ORDER BY 1, 2, 3").c_str(), append, &all,
                 &error);
  }
  EXPECT_EQ(error, nullptr) << error;
  sqlite3_free(error);
  sqlite3_close(connection);
  return all;
}

/// Records writes, each of which is acknowledged when its call returns.
class Workload {
 public:
  /// `path` names a ledger of the simulated disk; its folder is real, the lock file lies there.
  explicit Workload(std::string path) : path_(std::move(path)) {
    using simulation::StorageChange;
    // As the ledger makes it: an empty file, whose folder is synced before SQLite gets it.
    start_.apply({.kind = StorageChange::Kind::Create, .path = path_, .bytes = {}});
    start_.apply({.kind = StorageChange::Kind::NameSync, .path = path_, .bytes = {}});
    disk_ =
        std::make_unique<simulation::Disk>(observer_, simulation::DiskOptions{.seed = test_seed(),
                                                                              .storage = start_});
    disk_->start_recording();
  }

  struct Acknowledged {
    std::size_t change_count = 0;  ///< of the recording, when the call returned
    std::string contents;
  };

  /// Runs one write as that process. What the ledger then holds is acknowledged.
  void acknowledge(int process, const std::function<void()>& write) {
    observer_.current_process = process;
    write();
    acknowledged_.push_back({disk_->recording().size(), contents_of(path_)});
  }

  [[nodiscard]] const simulation::Storage& start() const { return start_; }
  [[nodiscard]] const std::vector<simulation::StorageChange>& changes() const {
    return disk_->recording();
  }
  [[nodiscard]] const std::vector<Acknowledged>& acknowledged() const { return acknowledged_; }
  [[nodiscard]] const std::string& path() const { return path_; }
  /// Takes the disk away from SQLite, so that another one can come; the recording is given back.
  std::vector<simulation::StorageChange> finish() {
    std::vector<simulation::StorageChange> changes = disk_->recording();
    disk_.reset();
    return changes;
  }

 private:
  std::string path_;
  simulation::Storage start_;
  TestObserver observer_;
  std::unique_ptr<simulation::Disk> disk_;
  std::vector<Acknowledged> acknowledged_;
};

/// What a power loss may do with all that is not synced: nothing survives, everything does, each
/// sector does with this chance.
class Losses {
 public:
  explicit Losses(std::uint64_t seed) : random_(seed) {}
  [[nodiscard]] simulation::Choose with_chance(int survival_percent) {
    return [this, survival_percent](std::uint64_t count) -> std::uint64_t {
      return random_.chance(survival_percent) ? count - 1 : 0;
    };
  }

 private:
  Random random_;
};

}  // namespace finops::testing
