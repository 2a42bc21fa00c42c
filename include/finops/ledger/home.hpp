// home.hpp - the folder that holds a user's ledger and live pages on one host.
//
// Owns: where it is, and whether it is safe to use.
// Invariants: mode 0700 and ours; never on a network file system, where locks and mmap lie.
#pragma once

#include <string>
#include <vector>

namespace finops {

struct Home {
  std::string path;
  std::vector<std::string> warnings;  ///< an overlay file system, for example

  [[nodiscard]] std::string ledger_path() const { return path + "/ledger.db"; }
  [[nodiscard]] std::string live_path() const { return path + "/live"; }
  [[nodiscard]] std::string agent_lock_path() const { return path + "/agent.lock"; }
};

/// `path` if not empty, else $FINOPS_HOME, else $XDG_STATE_HOME/finops, else ~/.local/state/finops.
[[nodiscard]] std::string default_home_path(const std::string& path);

/// Creates the folder and its `live` folder if needed and checks both.
/// Throws Error(PermissionDenied) if it is not ours, writable by others, or not writable by us,
/// and Error(SystemFailure) on a network file system; each names FINOPS_HOME as the way out.
[[nodiscard]] Home open_home(const std::string& path);

}  // namespace finops
