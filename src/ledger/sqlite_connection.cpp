// sqlite_connection.cpp - one connection: who uses it, and how it comes through a fork.
#include <sys/stat.h>

#include "ledger/sqlite_ledger.hpp"

namespace finops::ledger {

SqliteLedger::Use::Use(SqliteLedger& ledger) : ledger_(ledger), lock_(ledger.mutex_) {
  ForkGate::enter();
  try {
    ledger_.reopen_if_closed();
  } catch (...) {
    ForkGate::leave();
    throw;
  }
}

SqliteLedger::Use::~Use() {
  if (is_inside_) {
    ForkGate::leave();
  }
}

void SqliteLedger::Use::step_out() noexcept {
  // Further in, statements may be under way that a closed connection would leave dangling.
  if (ForkGate::is_outermost()) {
    ForkGate::leave();
    is_inside_ = false;
  }
}

void SqliteLedger::Use::step_in() {
  if (!is_inside_) {
    ForkGate::enter();
    is_inside_ = true;
    ledger_.reopen_if_closed();
  }
}

SqliteLedger::~SqliteLedger() {
  try {
    ForkGate::enter();
  } catch (const std::exception&) {
    // The parent's: to close it would be to use it.
    [[maybe_unused]] const Database* left_alone = database_.release();
    return;
  }
  ForkGate::remove(this);
  database_.reset();
  ForkGate::leave();
}

void SqliteLedger::open_connection() {
  ForkGate::enter();
  try {
    database_ = std::make_unique<Database>(path_, options_.read_only);
    struct stat info{};
    FINOPS_REQUIRE(stat(path_.c_str(), &info) == 0, ErrorCode::LedgerUnavailable,
                   "the ledger " + path_ + " was removed while it was opened");
    file_device_ = info.st_dev;
    file_inode_ = info.st_ino;
    open_schema();
    ForkGate::add(this);
  } catch (...) {
    database_.reset();
    ForkGate::leave();
    throw;
  }
  ForkGate::leave();
}

void SqliteLedger::reopen_if_closed() {
  if (database_ != nullptr) {
    return;
  }
  struct stat info{};
  FINOPS_REQUIRE(stat(path_.c_str(), &info) == 0 && info.st_dev == file_device_ &&
                     info.st_ino == file_inode_,
                 ErrorCode::LedgerUnavailable,
                 "the ledger " + path_ +
                     " was removed or replaced since it was opened; open it anew");
  database_ = std::make_unique<Database>(path_, options_.read_only);
}

void SqliteLedger::close_before_fork() noexcept { database_.reset(); }

}  // namespace finops::ledger
