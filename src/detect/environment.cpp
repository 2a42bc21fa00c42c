// environment.cpp - reads host, user and scheduler.
#include "finops/detect/environment.hpp"

#include <pwd.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <limits>

namespace finops::detect {
namespace {

constexpr long long kLargestRank = std::numeric_limits<int>::max();

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::string login_name() {
  passwd entry{};
  passwd* found = nullptr;
  std::array<char, 4096> buffer{};
  if (getpwuid_r(geteuid(), &entry, buffer.data(), buffer.size(), &found) == 0 &&
      found != nullptr) {
    return found->pw_name;
  }
  return "uid " + std::to_string(geteuid());
}

/// A count or rank; `otherwise` for anything that is no number of 0 to 2^32 - 1.
long long number(const char* name, long long otherwise) {
  const std::string text = variable(name);
  long long value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool is_number = code == std::errc{} && end == text.data() + text.size() && value >= 0 &&
                         value <= std::numeric_limits<std::uint32_t>::max();
  return is_number ? value : otherwise;
}

// Names: torchrun of PyTorch 2, torch/distributed/run.py, "Environment Variables".
Job torchrun_job() {
  const std::string run_id = variable("TORCHELASTIC_RUN_ID");
  const std::string address = variable("MASTER_ADDR");
  const std::string port = variable("MASTER_PORT");
  const long long local_rank = number("LOCAL_RANK", -1);
  const long long world_size = number("WORLD_SIZE", 0);
  if (run_id.empty() || address.empty() || port.empty() || number("RANK", -1) < 0 ||
      local_rank < 0 || local_rank > kLargestRank || world_size < 2) {
    return {};
  }
  return {.key = "torchrun " + run_id + " " + address + " " + port,
          .run_id = {},
          .local_rank = static_cast<int>(local_rank),
          .is_on_several_hosts = number("LOCAL_WORLD_SIZE", 0) < world_size};
}

// Names: srun(1) of Slurm 22.05, "OUTPUT ENVIRONMENT VARIABLES". Steps from 0xfffffff0 on are not a
// user's: slurm.h, SLURM_INTERACTIVE_STEP and its neighbours.
Job slurm_job() {
  constexpr long long kFirstSpecialStep = 0xfffffff0;
  const std::string job_id = variable("SLURM_JOB_ID");
  const long long step = number("SLURM_STEP_ID", kFirstSpecialStep);
  const long long local_rank = number("SLURM_LOCALID", -1);
  const long long tasks = number("SLURM_STEP_NUM_TASKS", number("SLURM_NTASKS", 1));
  if (job_id.empty() || step >= kFirstSpecialStep || local_rank < 0 || local_rank > kLargestRank ||
      number("SLURM_PROCID", -1) < 0 || tasks < 2) {
    return {};
  }
  return {.key = "slurm " + job_id + " " + std::to_string(step),
          .run_id = {},
          .local_rank = static_cast<int>(local_rank),
          .is_on_several_hosts = true};
}

Job read_job(bool is_below_finops_run) {
  const std::string run_id = variable("FINOPS_RUN_ID");
  if (!run_id.empty() && !is_below_finops_run) {
    return {
        .key = "finops " + run_id, .run_id = run_id, .local_rank = -1, .is_on_several_hosts = true};
  }
  // torchrun may itself be the one task that Slurm starts on each host.
  Job job = torchrun_job();
  return job.key.empty() ? slurm_job() : job;
}

}  // namespace

Environment read_environment() {
  Environment environment;
  std::array<char, 256> host{};
  if (gethostname(host.data(), host.size() - 1) == 0) {
    environment.host = host.data();
  }
  environment.user_name = login_name();
  // Names: sbatch(1) of Slurm 22.05; the kubelet sets KUBERNETES_SERVICE_HOST in every container.
  if (const std::string job_id = variable("SLURM_JOB_ID"); !job_id.empty()) {
    environment.scheduler = "slurm";
    environment.scheduler_job_id = job_id;
  } else if (!variable("KUBERNETES_SERVICE_HOST").empty()) {
    environment.scheduler = "kubernetes";
    environment.scheduler_job_id = variable("HOSTNAME");
  }
  environment.attempt_id = variable("FINOPS_ATTEMPT_ID");
  environment.job = read_job(!environment.attempt_id.empty());
  return environment;
}

}  // namespace finops::detect
