// main.cpp - runs seeds, each in a process of its own, and proves that planted bugs are found.
//
// Usage: finops_simulation [--seeds N] [--first-seed S] [--mode safety|liveness|both] [--jobs J]
//                          [--bug NAME] [--prove-bugs] [--twice] [--trace]
// Exit code: 0 if all held (with --prove-bugs: if every planted bug was caught), else 1.
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "finops/base/planted.hpp"
#include "world.hpp"

namespace finops::simulation {
namespace {

using planted::Bug;

struct NamedBug {
  const char* name;
  Bug bug;
};

constexpr std::array<NamedBug, 17> kBugs{{
    {"double-settle", Bug::DoubleSettle},
    {"parent-not-debited", Bug::ParentNotDebited},
    {"refund-on-crash", Bug::RefundOnCrash},
    {"silence-by-client-clock", Bug::SilenceByClientClock},
    {"no-fencing", Bug::NoFencing},
    {"missing-sync", Bug::MissingSync},
    {"no-write-lock", Bug::NoWriteLock},
    {"act-before-record", Bug::ActBeforeRecord},
    {"no-standstill", Bug::NoStandstill},
    {"lock-not-asked", Bug::LockNotAsked},
    {"unlink-before-commit", Bug::UnlinkBeforeCommit},
    {"ladder-forgotten", Bug::LadderForgotten},
    {"lease-kept", Bug::LeaseKept},
    {"two-agents", Bug::TwoAgents},
    {"approval-twice", Bug::ApprovalTwice},
    {"intents-forgotten", Bug::IntentsForgotten},
    {"folder-not-synced", Bug::FolderNotSynced},
}};

struct Options {
  std::uint64_t seeds = 100;
  std::uint64_t first_seed = 1;
  std::string mode = "both";
  std::uint64_t jobs = 1;
  bool proves_bugs = false;
  bool runs_twice = false;
  bool prints_trace = false;
};

/// What a seed's process tells its parent: plain bytes through a pipe.
struct Report {
  std::int64_t simulated_ns = 0;
  std::uint64_t call_count = 0;
  std::uint64_t trace_hash = 0;
  std::uint32_t has_failed = 0;
  std::array<char, 2'000> text{};
};

Mode mode_of(const std::string& name, std::uint64_t seed) {
  if (name == "both") {
    return seed % 2 == 0 ? Mode::Safety : Mode::Liveness;
  }
  return name == "safety" ? Mode::Safety : Mode::Liveness;
}

// One seed after another is the same in every process: no state but the seed.
Report run_here(std::uint64_t seed, const Options& options) {
  // A folder in memory where there is one; its name has the same length everywhere, so that what
  // the ledger stores of it has too.
  std::array<char, 64> home{};
  const bool has_memory = access("/dev/shm", W_OK) == 0;
  std::snprintf(home.data(), home.size(), "%s/finops-simulation-%010d",
                has_memory ? "/dev/shm" : "/tmp", static_cast<int>(getpid()));
  std::filesystem::remove_all(home.data());
  std::filesystem::create_directories(home.data());
  Report report;
  const Result result = simulate(seed, mode_of(options.mode, seed),
                                 std::string(home.data()) + "/home", options.prints_trace);
  report.simulated_ns = result.simulated.count();
  report.call_count = result.call_count;
  report.trace_hash = result.trace_hash;
  report.has_failed = result.failures.empty() ? 0 : 1;
  std::string text;
  for (const std::string& failure : result.failures) {
    text += "    " + failure + "\n";
  }
  text.copy(report.text.data(), report.text.size() - 1);
  std::filesystem::remove_all(home.data());
  return report;
}

struct Running {
  std::uint64_t seed = 0;
  int descriptor = -1;
};

class Pool {
 public:
  explicit Pool(const Options& options) : options_(options) {}

  void start(std::uint64_t seed) {
    std::array<int, 2> ends{};
    if (pipe(ends.data()) != 0) {
      std::perror("pipe");
      std::exit(2);
    }
    std::fflush(stdout);
    const pid_t pid = fork();
    if (pid == 0) {
      const Report report = run_here(seed, options_);
      std::fflush(stdout);
      (void)!write(ends[1], &report, sizeof report);
      _exit(0);
    }
    close(ends[1]);
    running_[pid] = {.seed = seed, .descriptor = ends[0]};
  }
  [[nodiscard]] std::size_t size() const { return running_.size(); }

  /// Waits for one to end.
  std::pair<std::uint64_t, Report> wait_for_one() {
    int status = 0;
    const pid_t pid = waitpid(-1, &status, 0);
    const Running done = running_.at(pid);
    running_.erase(pid);
    Report report;
    if (read(done.descriptor, &report, sizeof report) != sizeof report) {
      report.has_failed = 1;
      const std::string text =
          "    the simulation itself ended with status " + std::to_string(status) + "\n";
      text.copy(report.text.data(), report.text.size() - 1);
    }
    close(done.descriptor);
    return {done.seed, report};
  }

 private:
  const Options& options_;
  std::map<pid_t, Running> running_;
};

struct Totals {
  std::uint64_t seeds = 0;
  std::uint64_t failed = 0;
  std::uint64_t first_failed = UINT64_MAX;
  std::uint64_t calls = 0;
  Nanoseconds simulated{};
};

// Runs the seeds, several at once. `stops_at_first`: for planted bugs.
Totals run_seeds(const Options& options, bool stops_at_first) {
  Totals totals;
  Pool pool(options);
  std::uint64_t next = options.first_seed;
  const std::uint64_t end = options.first_seed + options.seeds;
  std::map<std::uint64_t, std::uint64_t> hashes;
  while (pool.size() > 0 || (next < end && !(stops_at_first && totals.failed > 0))) {
    const bool may_start = next < end && !(stops_at_first && totals.failed > 0);
    if (may_start && pool.size() < options.jobs) {
      pool.start(next++);
      continue;
    }
    auto [seed, report] = pool.wait_for_one();
    if (options.runs_twice && !hashes.contains(seed)) {
      hashes[seed] = report.trace_hash;
      pool.start(seed);
      continue;
    }
    if (options.runs_twice && hashes[seed] != report.trace_hash) {
      report.has_failed = 1;
      std::strcpy(report.text.data(), "    two runs of it differ\n");
    }
    ++totals.seeds;
    totals.calls += report.call_count;
    totals.simulated += Nanoseconds{report.simulated_ns};
    if (report.has_failed != 0) {
      ++totals.failed;
      totals.first_failed = std::min(totals.first_failed, seed);
      if (!stops_at_first) {
        std::printf("seed %llu (%s) FAILED; again with: --first-seed %llu --seeds 1 --trace\n%s",
                    static_cast<unsigned long long>(seed),
                    mode_of(options.mode, seed) == Mode::Safety ? "safety" : "liveness",
                    static_cast<unsigned long long>(seed), report.text.data());
      } else if (options.prints_trace || totals.failed == 1) {
        std::printf("  seed %llu: %s", static_cast<unsigned long long>(seed),
                    report.text.data() + 4);
      }
      std::fflush(stdout);
    }
  }
  return totals;
}

int prove_bugs(const Options& options) {
  int missed = 0;
  for (const NamedBug& known : kBugs) {
    planted::bug = known.bug;
    std::printf("%-24s", known.name);
    std::fflush(stdout);
    const Totals totals = run_seeds(options, true);
    if (totals.failed == 0) {
      std::printf("  NOT caught within %llu seeds\n",
                  static_cast<unsigned long long>(totals.seeds));
      ++missed;
    }
  }
  std::printf("%zu of %zu planted bugs caught\n", kBugs.size() - static_cast<std::size_t>(missed),
              kBugs.size());
  return missed == 0 ? 0 : 1;
}

int run(const Options& options) {
  const auto before = std::chrono::steady_clock::now();
  const Totals totals = run_seeds(options, false);
  const double took =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - before).count();
  std::printf(
      "%llu seeds from %llu: %llu failed; %.0f simulated hours, %llu million calls, %.0f s\n",
      static_cast<unsigned long long>(totals.seeds),
      static_cast<unsigned long long>(options.first_seed),
      static_cast<unsigned long long>(totals.failed),
      std::chrono::duration<double>(totals.simulated).count() / 3'600,
      static_cast<unsigned long long>(totals.calls / 1'000'000), took);
  return totals.failed == 0 ? 0 : 1;
}

bool set_bug(const std::string& name) {
  for (const NamedBug& known : kBugs) {
    if (name == known.name) {
      planted::bug = known.bug;
      return true;
    }
  }
  return false;
}

int main_of(const std::vector<std::string>& arguments) {
  Options options;
  for (std::size_t at = 0; at < arguments.size(); ++at) {
    const std::string& argument = arguments[at];
    const auto value = [&] { return ++at < arguments.size() ? arguments[at] : std::string(); };
    if (argument == "--seeds") {
      options.seeds = std::strtoull(value().c_str(), nullptr, 10);
    } else if (argument == "--first-seed") {
      options.first_seed = std::strtoull(value().c_str(), nullptr, 10);
    } else if (argument == "--jobs") {
      options.jobs = std::strtoull(value().c_str(), nullptr, 10);
    } else if (argument == "--mode") {
      options.mode = value();
    } else if (argument == "--prove-bugs") {
      options.proves_bugs = true;
    } else if (argument == "--twice") {
      options.runs_twice = true;
    } else if (argument == "--trace") {
      options.prints_trace = true;
    } else if (argument != "--bug" || !set_bug(value())) {
      std::fprintf(stderr, "unknown: %s; see the head of tests/simulation/main.cpp\n",
                   argument.c_str());
      return 2;
    }
  }
  return options.proves_bugs ? prove_bugs(options) : run(options);
}

}  // namespace
}  // namespace finops::simulation

int main(int argument_count, char** arguments) {
  return finops::simulation::main_of({arguments + 1, arguments + argument_count});
}
