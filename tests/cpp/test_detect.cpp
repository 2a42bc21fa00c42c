// test_detect.cpp - what the environment tells of host, user and scheduler.
#include <gtest/gtest.h>

#include <cstdlib>

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
  static constexpr const char* kNames[] = {"SLURM_JOB_ID", "KUBERNETES_SERVICE_HOST",
                                           "FINOPS_ATTEMPT_ID"};
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

}  // namespace
}  // namespace finops::detect
