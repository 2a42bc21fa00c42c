// environment.hpp - what this process runs on and under, as far as the environment tells.
//
// Owns: Environment. Does not own: prices, hardware probes (NVML and metadata services come later).
// Invariant: never fails and never waits; what is not known is empty.
#pragma once

#include <string>

namespace finops::detect {

struct Environment {
  std::string host;              ///< the node's name
  std::string user_name;         ///< the login name; "uid 1000" if it has none
  std::string scheduler;         ///< "slurm", "kubernetes" or empty
  std::string scheduler_job_id;  ///< SLURM_JOB_ID or the pod's name; empty if none
  std::string attempt_id;        ///< FINOPS_ATTEMPT_ID: `finops run` made an attempt for us

  /// Whether waiting would hold somebody's GPU: inside an allocation.
  [[nodiscard]] bool is_in_allocation() const noexcept { return !scheduler.empty(); }
};

[[nodiscard]] Environment read_environment();

}  // namespace finops::detect
