// test_pulse_unfinished.cpp - tests of what a maker leaves that is killed while it makes a page.
//
// Owns: the checks of remove_unfinished_pages. Does not own: pages that are whole (test_pulse.cpp).
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>

#include "finops/agent/agent.hpp"
#include "finops/pulse/scanner.hpp"
#include "support.hpp"

namespace finops::pulse {
namespace {

using std::chrono::seconds;
using testing::Child;

class UnfinishedPages : public ::testing::Test {
 protected:
  std::string make(const std::string& name, seconds age) const {
    const std::string path = home_.live_path() + "/" + name;
    std::ofstream(path) << std::string(kPageSize, '\0');
    std::filesystem::last_write_time(path, std::filesystem::file_time_type::clock::now() - age);
    return path;
  }

  testing::TempDir folder_;
  Home home_ = open_home(folder_ / "home");
};

// Goal: only what nobody will ever finish goes. Method: below and above a minute of age; one that a
// living process holds; a whole page and another hidden file, both old.
TEST_F(UnfinishedPages, GoOnceTheyAreOldAndNobodyHoldsThem) {
  const std::string fresh = make(".a-1.new", seconds{50});
  const std::string old = make(".b-1.new", seconds{70});
  const std::string held = make(".c-1.new", seconds{70});
  const std::string whole = make("d-1.page", seconds{70});
  const std::string group = make(".group-e", seconds{70});
  Child holder([&](const std::function<void()>& say_ready) -> int {
    struct flock lock{};
    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;
    lock.l_len = 1;
    const int descriptor = open(held.c_str(), O_RDWR | O_CLOEXEC);
    if (fcntl(descriptor, F_SETLK, &lock) != 0) {
      return 1;
    }
    say_ready();
    testing::sleep_for_ever();
  });
  ASSERT_TRUE(holder.is_ready());
  remove_unfinished_pages(home_.live_path());
  EXPECT_FALSE(std::filesystem::exists(old));
  for (const std::string& path : {fresh, held, whole, group}) {
    EXPECT_TRUE(std::filesystem::exists(path)) << path;
  }
  holder.send(SIGKILL);
  holder.wait();
  remove_unfinished_pages(home_.live_path());
  EXPECT_FALSE(std::filesystem::exists(held)) << "its maker is gone";
  remove_unfinished_pages(folder_ / "missing");
}

// Goal: a guard's round and the next `init` both look for them. Method: one left behind for each.
TEST_F(UnfinishedPages, AreLookedForByTheGuardAndByTheNextInit) {
  const SystemClock clock;
  for (const bool is_tick : {true, false}) {
    const std::string old = make(".b-1.new", seconds{70});
    agent::Agent agent({.home = home_, .policies = {}}, clock);
    ASSERT_TRUE(agent.try_serve());
    is_tick ? (void)agent.tick() : (void)agent.settle_dead(10);
    EXPECT_FALSE(std::filesystem::exists(old)) << is_tick;
  }
}

}  // namespace
}  // namespace finops::pulse
