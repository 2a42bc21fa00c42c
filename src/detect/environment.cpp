// environment.cpp - reads host, user and scheduler.
#include "finops/detect/environment.hpp"

#include <pwd.h>
#include <unistd.h>

#include <array>
#include <cstdlib>

namespace finops::detect {
namespace {

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
  return environment;
}

}  // namespace finops::detect
