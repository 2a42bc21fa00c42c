// fuzz_host.cpp - what the kernel and a scheduler say: /proc/PID/stat and the environment.
//
// Invariants: neither fails; a process that was read has a pid; the table of processes can be
// walked whatever parents they name.
#include <array>
#include <vector>

#include "finops/base/process_table.hpp"
#include "finops/detect/environment.hpp"
#include "fuzz.hpp"

namespace {

using namespace finops;  // NOLINT(google-build-using-namespace): a target, not a library

constexpr std::array kVariables{"FINOPS_RUN_ID",
                                "FINOPS_ATTEMPT_ID",
                                "TORCHELASTIC_RUN_ID",
                                "MASTER_ADDR",
                                "MASTER_PORT",
                                "LOCAL_RANK",
                                "RANK",
                                "WORLD_SIZE",
                                "SLURM_JOB_ID",
                                "LOCAL_WORLD_SIZE",
                                "SLURM_STEP_ID",
                                "SLURM_LOCALID",
                                "SLURM_PROCID",
                                "SLURM_STEP_NUM_TASKS",
                                "SLURM_NTASKS",
                                "KUBERNETES_SERVICE_HOST",
                                "HOSTNAME"};

void read_variables(fuzz::Bytes& bytes) {
  for (const char* name : kVariables) {
    const std::string value = bytes.text();
    bytes.chance() ? static_cast<void>(setenv(name, value.c_str(), 1))
                   : static_cast<void>(unsetenv(name));
  }
  const detect::Environment environment = detect::read_environment();
  fuzz::require(environment.job.local_rank >= -1, "a rank is a rank");
  fuzz::require(environment.job.key.empty() || environment.job.key.find(' ') != std::string::npos,
                "a job's key names its kind");
}

void walk_processes(fuzz::Bytes& bytes) {
  std::vector<ProcessEntry> entries;
  while (!bytes.empty() && entries.size() < 64) {
    if (const auto entry = parse_process_stat(bytes.text())) {
      fuzz::require(entry->pid > 0, "a process has a pid");
      entries.push_back(*entry);
    }
  }
  const std::size_t count = entries.size();
  const std::vector<ProcessEntry> known = entries;
  const ProcessTable table(std::move(entries));
  for (const ProcessEntry& entry : known) {
    fuzz::require(table.descendants_of({entry.pid}).size() <= count, "a walk ends");
    fuzz::require(table.ancestors_of(entry.pid).size() <= count, "a walk up ends");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Bytes bytes(data, size);
  switch (bytes.choice(3)) {
    case 0: read_variables(bytes); break;
    case 1: (void)parse_process_stat(bytes.rest()); break;
    default: walk_processes(bytes);
  }
  return 0;
}
