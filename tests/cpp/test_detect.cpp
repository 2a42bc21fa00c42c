// test_detect.cpp - what the environment tells of host, user and scheduler.
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "finops/detect/environment.hpp"

namespace finops::detect {
namespace {

// Sets or removes variables, and puts them back.
class DetectEnvironment : public testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : kNames) {
      unsetenv(name);
    }
  }
  void TearDown() override { SetUp(); }
  static constexpr const char* kNames[] = {"SLURM_JOB_ID",
                                           "KUBERNETES_SERVICE_HOST",
                                           "FINOPS_ATTEMPT_ID",
                                           "FINOPS_RUN_ID",
                                           "SLURM_STEP_ID",
                                           "SLURM_PROCID",
                                           "SLURM_LOCALID",
                                           "SLURM_NTASKS",
                                           "MASTER_ADDR",
                                           "SLURM_STEP_NUM_TASKS",
                                           "TORCHELASTIC_RUN_ID",
                                           "MASTER_PORT",
                                           "RANK",
                                           "LOCAL_RANK",
                                           "WORLD_SIZE",
                                           "LOCAL_WORLD_SIZE"};
  using Variables = std::vector<std::pair<std::string, std::string>>;
  static Job job_of(const Variables& variables) {
    for (const char* name : kNames) {
      unsetenv(name);
    }
    for (const auto& [name, value] : variables) {
      setenv(name.c_str(), value.c_str(), 1);
    }
    return read_environment().job;
  }
};

// Goal: a plain host is no allocation, and host and user are known. Method: no variables.
TEST_F(DetectEnvironment, KnowsHostAndUserOfAPlainHost) {
  const Environment environment = read_environment();
  EXPECT_FALSE(environment.host.empty());
  EXPECT_FALSE(environment.user_name.empty());
  EXPECT_FALSE(environment.is_in_allocation()) << environment.scheduler;
  EXPECT_EQ(environment.attempt_id, "");
}

// Goal: inside an allocation waiting would hold GPUs. Method: each scheduler's variable alone.
TEST_F(DetectEnvironment, KnowsSlurmAndKubernetes) {
  setenv("SLURM_JOB_ID", "4711", 1);
  EXPECT_EQ(read_environment().scheduler, "slurm");
  EXPECT_EQ(read_environment().scheduler_job_id, "4711");
  EXPECT_TRUE(read_environment().is_in_allocation());
  unsetenv("SLURM_JOB_ID");
  setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1", 1);
  EXPECT_EQ(read_environment().scheduler, "kubernetes");
}

// Goal: an empty variable is no variable. Method: set to the empty text.
TEST_F(DetectEnvironment, TakesEmptyVariablesAsMissing) {
  setenv("SLURM_JOB_ID", "", 1);
  setenv("FINOPS_ATTEMPT_ID", "", 1);
  EXPECT_FALSE(read_environment().is_in_allocation());
  EXPECT_TRUE(read_environment().attempt_id.empty());
}

// Goal: a job of several processes is known by what its launcher sets, and by nothing less. Method:
// all variables; then each missing, and each number that is none.
TEST_F(DetectEnvironment, KnowsAJobOfSeveralProcesses) {
  const Variables torchrun{{"TORCHELASTIC_RUN_ID", "job"},
                           {"MASTER_ADDR", "node1"},
                           {"MASTER_PORT", "29500"},
                           {"RANK", "5"},
                           {"LOCAL_RANK", "1"},
                           {"WORLD_SIZE", "8"}};
  const Variables slurm{{"SLURM_JOB_ID", "4711"},
                        {"SLURM_STEP_ID", "0"},
                        {"SLURM_PROCID", "3"},
                        {"SLURM_LOCALID", "3"},
                        {"SLURM_NTASKS", "4"}};
  EXPECT_EQ(job_of(torchrun).key, "torchrun job node1 29500");
  EXPECT_EQ(job_of(torchrun).local_rank, 1);
  EXPECT_EQ(job_of(slurm).key, "slurm 4711 0");
  EXPECT_EQ(job_of(slurm).local_rank, 3);
  for (const Variables& whole : {torchrun, slurm}) {
    for (std::size_t i = 0; i < whole.size(); ++i) {
      Variables changed = whole;
      changed[i].second = "";
      EXPECT_EQ(job_of(changed).key, "") << "without " << whole[i].first;
      for (const char* number : {"-1", "1x", "99999999999999999999"}) {
        changed[i].second = number;
        const bool is_text = i == 0 || whole[i].first.starts_with("MASTER");
        EXPECT_EQ(job_of(changed).key.empty(), !is_text) << whole[i].first << "=" << number;
      }
    }
  }
}

// Goal: a job is on one host only where that is certain. Method: the local size missing, smaller,
// and equal.
TEST_F(DetectEnvironment, KnowsWhetherOneHostIsAll) {
  Variables variables{{"TORCHELASTIC_RUN_ID", "job"},
                      {"MASTER_ADDR", "node1"},
                      {"MASTER_PORT", "29500"},
                      {"RANK", "0"},
                      {"LOCAL_RANK", "0"},
                      {"WORLD_SIZE", "8"}};
  EXPECT_TRUE(job_of(variables).is_on_several_hosts);
  for (const auto& [size, is_on_several_hosts] : {std::pair{"4", true}, std::pair{"8", false}}) {
    variables.emplace_back("LOCAL_WORLD_SIZE", size);
    EXPECT_EQ(job_of(variables).is_on_several_hosts, is_on_several_hosts) << size;
  }
}

// Goal: what is one process alone is no job. Method: each launcher with a size of one, a batch
// script, an interactive shell, and the step's own size before the job's.
TEST_F(DetectEnvironment, OneProcessIsNoJob) {
  const auto slurm = [](const char* step, const char* tasks, const char* step_tasks) {
    return job_of({{"SLURM_JOB_ID", "1"},
                   {"SLURM_PROCID", "0"},
                   {"SLURM_LOCALID", "0"},
                   {"SLURM_STEP_ID", step},
                   {"SLURM_NTASKS", tasks},
                   {"SLURM_STEP_NUM_TASKS", step_tasks}})
        .key;
  };
  EXPECT_EQ(slurm("0", "1", ""), "");
  EXPECT_EQ(slurm("0", "2", ""), "slurm 1 0");
  EXPECT_EQ(slurm("0", "8", "1"), "") << "one task of a job that may have eight";
  EXPECT_EQ(slurm("", "8", ""), "") << "a batch script";
  EXPECT_EQ(slurm("batch", "8", ""), "");
  EXPECT_EQ(slurm("4294967290", "8", ""), "") << "an interactive shell";
  EXPECT_EQ(slurm("4294967279", "8", ""), "slurm 1 4294967279");
  EXPECT_EQ(job_of({{"TORCHELASTIC_RUN_ID", "job"},
                    {"MASTER_ADDR", "node1"},
                    {"MASTER_PORT", "29500"},
                    {"RANK", "0"},
                    {"LOCAL_RANK", "0"},
                    {"WORLD_SIZE", "1"}})
                .key,
            "");
}

// Goal: FINOPS_RUN_ID comes before the launcher, and below `finops run` it names no job. Method:
// with and without FINOPS_ATTEMPT_ID.
TEST_F(DetectEnvironment, ARunIdNamesAJob) {
  const Job named = job_of({{"FINOPS_RUN_ID", "night-7"}, {"TORCHELASTIC_RUN_ID", "x"}});
  EXPECT_EQ(named.key, "finops night-7");
  EXPECT_EQ(named.run_id, "night-7");
  EXPECT_EQ(named.local_rank, -1);
  EXPECT_EQ(job_of({{"FINOPS_RUN_ID", "night-7"}, {"FINOPS_ATTEMPT_ID", "a-1"}}).key, "");
  EXPECT_EQ(job_of({{"FINOPS_RUN_ID", ""}}).key, "");
}

}  // namespace
}  // namespace finops::detect
