// serve.cpp - the agent's right to serve a home: its lock, its epoch, and whether the home is still
// the one that it began with.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "agent/intents.hpp"
#include "agent/orphans.hpp"
#include "agent/watched.hpp"
#include "finops/base/description_lock.hpp"
#include "finops/base/error.hpp"
#include "finops/base/planted.hpp"
#include "finops/base/private_file.hpp"

namespace finops::agent {

Agent::~Agent() { release_lock(); }

bool Agent::try_serve() {
  if (is_serving()) {
    return true;
  }
  if (lock_descriptor_ >= 0 && !is_lock_in_home()) {
    release_lock();  // the home was removed or replaced while another agent served it
  }
  if (lock_descriptor_ < 0) {
    const PrivateFile file = open_private_file(options_.home.agent_lock_path(), O_RDWR | O_CREAT);
    FINOPS_REQUIRE(file.is_open(),
                   file.error_number == EPERM ? ErrorCode::PermissionDenied
                                              : ErrorCode::SystemFailure,
                   "the agent's lock cannot be taken: " + file.why);
    lock_descriptor_ = file.descriptor;
  }
  if (!try_lock_description(lock_descriptor_) && !planted::is_on(planted::Bug::TwoAgents)) {
    return false;
  }
  std::uint64_t epoch = 0;
  if (pread(lock_descriptor_, &epoch, sizeof epoch, 0) != sizeof epoch) {
    epoch = 0;
  }
  ++epoch;
  if (pwrite(lock_descriptor_, &epoch, sizeof epoch, 0) != sizeof epoch) {
    return false;  // a full disk: without an epoch of its own it does not serve
  }
  fdatasync(lock_descriptor_);
  epoch_ = epoch;
  return true;
}

void Agent::release_lock() noexcept {
  if (lock_descriptor_ < 0) {
    return;
  }
  unlock_description(lock_descriptor_);
  close(lock_descriptor_);
  lock_descriptor_ = -1;
}

bool Agent::is_lock_in_home() const noexcept {
  return FileIdentity::of(lock_descriptor_) == FileIdentity::of(options_.home.agent_lock_path());
}

// A home that was removed or replaced while it was served: what is still open of it leads to files
// that nobody else will ever read.
void Agent::leave_lost_home(TickReport& report) {
  if (is_serving() && !is_lock_in_home()) {
    report.warnings.push_back("the home folder " + options_.home.path +
                              " was removed or replaced: the runs of the old one are not looked "
                              "after any more; the new one is, once it can be used");
    release_lock();
    epoch_ = 0;
    scanner_ = pulse::PageScanner(options_.home.live_path());
    intents_ = std::make_unique<IntentJournal>(options_.home.path + "/intents.journal");
    ledger_.reset();
  }
  if (ledger_ != nullptr && FileIdentity::of(options_.home.ledger_path()) != *ledger_file_) {
    report.warnings.push_back("the ledger " + options_.home.ledger_path() +
                              " was removed or replaced while it was open; what is at its place "
                              "now is used from here on");
    ledger_.reset();
  }
}

}  // namespace finops::agent
