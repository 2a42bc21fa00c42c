// power_loss.hpp - tries a power loss after every change of a recorded workload.
//
// Owns: PowerLoss. Does not own: the recording (power_loss_support.hpp), which losses are tried.
// Invariant: a ledger that comes back holds either all that was acknowledged, or that and the one
// write that was under way, whole; all else is reported.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "power_loss_support.hpp"

namespace finops::testing {

class PowerLoss {
 public:
  PowerLoss(const Workload& workload, std::vector<simulation::StorageChange> changes)
      : workload_(workload), changes_(std::move(changes)) {}

  /// Each change is followed by a power loss of which every unsynced sector survives with this
  /// chance.
  void try_everywhere(int chance) {
    simulation::Storage storage = workload_.start();
    Losses losses(test_seed());
    for (std::size_t count = 0; count <= changes_.size(); ++count) {
      simulation::Storage left = storage;
      left.lose_power(losses.with_chance(chance));
      if (is_new(left, count)) {
        check(std::move(left), count, chance);
      }
      if (count < changes_.size()) {
        storage.apply(changes_[count]);
      }
    }
  }

  [[nodiscard]] int tried_count() const { return tried_count_; }
  /// Of acknowledged writes: a ledger that came back without one.
  [[nodiscard]] int lost_count() const { return lost_count_; }
  /// Anything else that is wrong with it.
  [[nodiscard]] const std::vector<std::string>& problems() const { return problems_; }

 private:
  /// How many writes were acknowledged after `count` changes.
  [[nodiscard]] std::size_t acknowledged_at(std::size_t count) const {
    const auto& all = workload_.acknowledged();
    const auto later = std::partition_point(all.begin(), all.end(), [count](const auto& write) {
      return write.change_count <= count;
    });
    return static_cast<std::size_t>(later - all.begin());
  }

  /// Equal files with equal promises need not be opened twice.
  bool is_new(const simulation::Storage& left, std::size_t count) {
    std::string bytes = std::to_string(acknowledged_at(count));
    for (const char* suffix : {"", "-wal", "-journal"}) {
      const simulation::Bytes& content = left.content(workload_.path() + suffix);
      bytes += suffix;
      bytes.append(content.begin(), content.end());
    }
    return seen_.insert(std::hash<std::string>{}(bytes)).second;
  }

  void report(std::size_t count, int chance, const std::string& what) {
    problems_.push_back("after " + std::to_string(count) + " of " +
                        std::to_string(changes_.size()) + " changes, " + std::to_string(chance) +
                        " % survive: " + what);
  }

  void check(simulation::Storage left, std::size_t count, int chance) {
    ++tried_count_;
    TestObserver observer;
    simulation::Disk disk(observer, {.seed = test_seed(), .storage = std::move(left)});
    try {
      const std::unique_ptr<Ledger> ledger = open_ledger(workload_.path(), {});
      for (const std::string& problem : ledger->verify().problems) {
        report(count, chance, problem);
      }
      check_contents(contents_of(workload_.path()), count, chance);
      ledger->add_run(example_run("after"));
      disk.lose_power([](std::uint64_t) { return 0; });
      if (open_ledger(workload_.path(), {})->runs({.run_id = RunId{"after"}}).size() != 1) {
        report(count, chance, "what was written after it is lost with the next one");
      }
    } catch (const std::exception& error) {
      report(count, chance, error.what());
    }
  }

  void check_contents(const std::string& contents, std::size_t count, int chance) {
    const auto& all = workload_.acknowledged();
    const std::size_t promised = acknowledged_at(count);
    // The one that was under way is in or out, whole: nothing else can be.
    const bool is_promised = promised > 0 && contents == all[promised - 1].contents;
    const bool is_next = promised < all.size() && contents == all[promised].contents;
    if (is_promised || is_next) {
      return;
    }
    const auto known = std::find_if(all.begin(), all.end(),
                                    [&](const auto& write) { return write.contents == contents; });
    if (known != all.end() && known < all.begin() + static_cast<std::ptrdiff_t>(promised)) {
      ++lost_count_;
    } else {
      report(count, chance, "it holds what it never held");
    }
  }

  const Workload& workload_;
  std::vector<simulation::StorageChange> changes_;
  std::unordered_set<std::size_t> seen_;
  int tried_count_ = 0;
  int lost_count_ = 0;
  std::vector<std::string> problems_;
};

}  // namespace finops::testing
