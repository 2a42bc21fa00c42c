// home.hpp - the folder that holds a user's ledger and live pages on one host.
//
// Owns: where it is, and whether it is safe to use.
// Invariants: ours, and nobody else can write to it; never on a network file system, where locks
// and mmap lie; `path` is real, without links.
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

/// Creates the folder and its `live` folder if needed and checks both. The folder may be a link to
/// one of ours; `live` may not.
/// Throws Error(PermissionDenied) if it is not ours, writable by others, or not writable by us,
/// and Error(SystemFailure) on a network file system; each names FINOPS_HOME as the way out.
[[nodiscard]] Home open_home(const std::string& path);

/// The same checks once more, for whoever runs long. Creates and follows nothing.
void check_home(const Home& home);

/// Where the home at `path` really lies, for readers: nothing is created, `live` is not looked at,
/// and a home that is not there is `path` itself. Throws as open_home does.
[[nodiscard]] std::string check_readable_home(const std::string& path);

}  // namespace finops
