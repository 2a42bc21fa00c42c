// auditor.cpp - when what is checked, and the auditor's own reading of the ledger.
#include "auditor.hpp"

#include <sqlite3.h>
#include <sys/stat.h>

#include <filesystem>
#include <utility>

#include "agent/intents.hpp"

namespace finops::simulation {
namespace {

constexpr std::size_t kKeptStatements = 60;

}  // namespace

Auditor::Auditor(Kernel& kernel, Truth& truth, std::string home)
    : kernel_(kernel), truth_(truth), home_(std::move(home)) {}

Auditor::~Auditor() { close(); }

void Auditor::fail(const std::string& what) {
  if (failures_.size() < 10) {
    failures_.push_back(what);
    kernel_.note("VIOLATION: " + what);
  }
}

bool Auditor::open() {
  if (connection_ != nullptr) {
    return true;
  }
  const std::string path = home_ + "/ledger.db";
  if (!kernel_.disk.exists(path) ||
      sqlite3_open_v2(path.c_str(), &connection_, SQLITE_OPEN_READONLY, nullptr) != SQLITE_OK) {
    close();
    return false;
  }
  sqlite3_busy_timeout(connection_, 0);
  sqlite3_db_config(connection_, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
  if (count("SELECT count(*) FROM sqlite_schema WHERE name='accounts'") != 1) {
    close();
    return false;
  }
  return true;
}

void Auditor::close() {
  finalize_statements();
  sqlite3_close_v2(connection_);
  connection_ = nullptr;
}

std::vector<Auditor::Row> Auditor::rows(const std::string& sql) {
  std::vector<Row> found;
  sqlite3_stmt*& statement = statements_[sql];  // most are asked again after every commit
  int code = statement != nullptr
                 ? SQLITE_OK
                 : sqlite3_prepare_v2(connection_, sql.c_str(), -1, &statement, nullptr);
  is_blocked_ = code == SQLITE_BUSY || code == SQLITE_PROTOCOL;
  if (is_blocked_) {
    return found;  // somebody stands in the middle of a recovery: looked at later
  }
  if (code != SQLITE_OK) {
    fail("the auditor cannot read: " + std::string(sqlite3_errmsg(connection_)) + ": " + sql);
    return found;
  }
  while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
    Row row;
    for (int column = 0; column < sqlite3_column_count(statement); ++column) {
      const auto* text = sqlite3_column_text(statement, column);
      row.emplace_back(text == nullptr ? "" : reinterpret_cast<const char*>(text));
    }
    found.push_back(std::move(row));
  }
  is_blocked_ = code == SQLITE_BUSY || code == SQLITE_PROTOCOL;
  if (code != SQLITE_DONE && !is_blocked_) {
    fail("the auditor cannot read: " + std::string(sqlite3_errmsg(connection_)) + ": " + sql);
  }
  sqlite3_reset(statement);
  if (statements_.size() > kKeptStatements) {
    finalize_statements();
  }
  return found;
}

void Auditor::finalize_statements() {
  for (const auto& [sql, statement] : statements_) {
    sqlite3_finalize(statement);
  }
  statements_.clear();
}

std::int64_t Auditor::count(const std::string& sql) {
  if (connection_ == nullptr && !open()) {
    return -1;
  }
  const std::vector<Row> found = rows(sql);
  return found.empty() ? -1 : std::stoll(found[0][0]);
}

void Auditor::the_ledger_is_written(const DiskCall& call) {
  is_changed_ = true;
  // One writer or checkpointer at a time: whoever writes holds the ledger's own lock.
  const std::string path(call.path);
  const bool is_the_ledgers = path.ends_with("ledger.db") || path.ends_with("ledger.db-wal");
  if (is_the_ledgers && lock_holder() != kernel_.running()->serial) {
    fail(kernel_.running()->name + " writes " + path + " without the ledger's lock");
  }
}

std::uint64_t Auditor::lock_holder() const {
  struct stat info{};
  const bool has_file = stat((home_ + "/ledger.db.lock").c_str(), &info) == 0;
  return has_file ? kernel_.locks.holder({info.st_dev, info.st_ino}) : 0;
}

void Auditor::after_turn() {
  if (is_changed_ && open() && can_read()) {
    is_changed_ = lock_holder() != 0;  // its commit may become visible without another write
    for (const Wanted& wanted : std::exchange(unchecked_signals_, {})) {
      if (!is_recorded(wanted)) {
        fail(wanted.attempt_id + " got a signal and no decision is recorded");
      }
    }
    check_balances();
    check_limits();
    check_holds();
    check_charges();
    check_new_decisions();
    if (kernel_.random.one_in(60)) {
      check_all();
    }
  }
  if (kernel_.random.one_in(8) && open() && can_read()) {
    check_directives();
  }
  if (calm_since_.has_value() && kernel_.random.one_in(20)) {
    check_silent();
  }
  if (truth_.serving.size() > 1) {
    fail("two agents serve at once");
  }
}

bool Auditor::can_read() {
  (void)rows("SELECT count(*) FROM accounts");
  return !is_blocked_;
}

void Auditor::power_was_lost() {
  close();
  ++truth_.boot;
  truth_.serving.clear();
  for (auto& [id, attempt] : truth_.attempts) {
    attempt.is_page_untouched = false;
  }
  last_decision_ = 0;
  highest_rungs_.clear();
  checked_acknowledged_ = 0;
  check_all();
}

void Auditor::check_all() {
  if (!open()) {
    if (!truth_.acknowledged.empty()) {
      fail("the ledger is gone, and with it: " + truth_.acknowledged.front().what);
    }
    return;
  }
  if (!can_read()) {
    return;
  }
  checked_acknowledged_ = 0;
  check_balances();
  check_holds();
  check_charges();
  check_acknowledged();
  check_attempts();
  check_overspend();
  try {
    const VerifyReport report = open_ledger(home_ + "/ledger.db", {.read_only = true})->verify();
    for (const std::string& problem : report.problems) {
      fail("verify: " + problem);
    }
  } catch (const std::exception& error) {
    fail(std::string("verify: ") + error.what());
  }
}

void Auditor::check_acknowledged() {
  for (; checked_acknowledged_ < truth_.acknowledged.size(); ++checked_acknowledged_) {
    const Acknowledged& fact = truth_.acknowledged[checked_acknowledged_];
    const std::int64_t found = count(fact.count_sql);
    if (found < 0) {
      return;  // it cannot be read now
    }
    if (found == 0) {
      fail("acknowledged and lost: " + fact.what);
    }
  }
}

void Auditor::check_settled() {
  check_all();
  if (!open()) {
    return;
  }
  for (const Row& row : rows("SELECT attempt_id, state FROM accounts WHERE state <> 'SETTLED'")) {
    if (is_long_dead(row[0])) {
      fail(row[0] + " is over and still " + row[1]);
    }
  }
  for (const auto& entry : std::filesystem::directory_iterator(home_ + "/live")) {
    const std::string name = entry.path().stem().string();
    if (entry.path().extension() == ".page" && is_long_dead(name)) {
      fail("the page of " + name + " is left");
    }
  }
  if (!agent::IntentJournal(home_ + "/intents.journal").pending().empty()) {
    fail("intents wait that the ledger could have taken");
  }
}

}  // namespace finops::simulation
