// environment.hpp - what this process runs on and under, as far as the environment tells.
//
// Owns: Environment, Job. Does not own: prices, hardware probes (NVML, metadata services), how
// ranks find each other (tracker). Invariant: never fails and never waits; what is not known is
// empty.
#pragma once

#include <string>

namespace finops::detect {

/// A job whose processes on one host are one attempt. There is one if
/// - FINOPS_RUN_ID is set and FINOPS_ATTEMPT_ID is not: it names the run;
/// - else under torchrun with WORLD_SIZE above 1: TORCHELASTIC_RUN_ID, MASTER_ADDR, MASTER_PORT,
///   RANK and LOCAL_RANK are set;
/// - else in a step of Slurm with more than one task: SLURM_JOB_ID, SLURM_STEP_ID, SLURM_PROCID and
///   SLURM_LOCALID are set. A batch script has no step; an interactive shell's step is none either.
struct Job {
  std::string key;      ///< the same in all its processes on all hosts; empty: there is no such job
  std::string run_id;   ///< FINOPS_RUN_ID; empty: not given
  int local_rank = -1;  ///< within the host; -1: not known
  bool is_on_several_hosts = true;  ///< false only where that is certain
};

struct Environment {
  std::string host;              ///< the node's name
  std::string user_name;         ///< the login name; "uid 1000" if it has none
  std::string scheduler;         ///< "slurm", "kubernetes" or empty
  std::string scheduler_job_id;  ///< SLURM_JOB_ID or the pod's name; empty if none
  std::string attempt_id;        ///< FINOPS_ATTEMPT_ID: `finops run` made an attempt for us
  Job job;

  /// Whether waiting would hold somebody's GPU: inside an allocation.
  [[nodiscard]] bool is_in_allocation() const noexcept { return !scheduler.empty(); }
};

[[nodiscard]] Environment read_environment();

}  // namespace finops::detect
