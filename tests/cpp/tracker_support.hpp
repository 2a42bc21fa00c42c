// tracker_support.hpp - the fixture of the tracker's tests: a home of its own, and no prices but
// those that a test gives.
//
// Owns: TrackerRuns. Does not own: the tests (test_tracker.cpp, test_tracker_budget.cpp).
// Invariant: times are real here, so limits are tested for order and never for a moment.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "finops/ledger/home.hpp"
#include "finops/tracker/run.hpp"
#include "support.hpp"

namespace finops {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::Child;
using testing::code_of;
using testing::eventually;
using testing::message_of;
using testing::usd;

using TrackedRun = Run;  // a test's own Run() is a member of its base class

class TrackerRuns : public ::testing::Test {
 protected:
  void SetUp() override {
    unsetenv("FINOPS_ATTEMPT_ID");
    setenv("FINOPS_PRICE_BOOK", "/dev/null", 1);  // no prices but those that a test gives
  }
  void TearDown() override {
    unsetenv("FINOPS_ATTEMPT_ID");
    unsetenv("FINOPS_PRICE_BOOK");
  }

  [[nodiscard]] RunOptions options() const {
    RunOptions options;
    options.project = "vision";
    options.experiment = "resnet";
    options.price = "24 USD/h";
    options.home = home_path();
    return options;
  }
  [[nodiscard]] std::string home_path() const { return folder_ / "home"; }
  [[nodiscard]] std::unique_ptr<Ledger> ledger() const {
    return open_ledger(home_path() + "/ledger.db", {});
  }
  [[nodiscard]] AttemptSummary attempt_of(const RunId& run_id, std::size_t index = 0) const {
    return ledger()->attempts(run_id).at(index);
  }
  [[nodiscard]] std::size_t page_count() const {
    const std::filesystem::directory_iterator pages(home_path() + "/live");
    return static_cast<std::size_t>(std::distance(begin(pages), end(pages)));
  }
  static std::string all_warnings(const TrackedRun& run) {
    std::string text;
    for (const std::string& warning : run.warnings()) {
      text += warning + "\n";
    }
    return text;
  }

  testing::TempDir folder_;
};

}  // namespace finops
