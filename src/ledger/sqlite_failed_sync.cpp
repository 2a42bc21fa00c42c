// sqlite_failed_sync.cpp - what the ledger does after the disk failed to sync its log.
//
// A kernel calls pages clean whose sync failed: they can be read, but never reach the disk, and a
// later sync does not say so. A commit appended behind such bytes of the log would be lost with
// them at the next power loss, though it was acknowledged.
#include <fcntl.h>
#include <unistd.h>

#include "ledger/sqlite_ledger.hpp"

namespace finops::ledger {

// Whoever writes next is told, in whatever process: the one that saw it may be gone by then.
void SqliteLedger::note_failed_sync() const {
  if (database_->is_sync_failed()) {
    const int descriptor =
        open((path_ + ".unsynced").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (descriptor >= 0) {
      ::close(descriptor);
    }
  }
}

// Under the write lock. What can be read of the log is written into the file, where it is synced
// anew, and the log is begun anew: nothing relies on its old bytes any more.
void SqliteLedger::replace_log_after_failed_sync() {
  const std::string mark = path_ + ".unsynced";
  if (access(mark.c_str(), F_OK) != 0) {
    return;
  }
  try {
    database_->checkpoint_fully();
  } catch (const Error& error) {
    detail::throw_error(error.code(),
                        std::string("the disk failed to sync the ledger's log, and it cannot be "
                                    "begun anew yet: ") +
                            error.what());
  }
  unlink(mark.c_str());
}

}  // namespace finops::ledger
