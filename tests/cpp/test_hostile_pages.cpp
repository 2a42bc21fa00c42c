// test_hostile_pages.cpp - a live folder full of pages and files that somebody else made: the guard
// never falls over them, harms no stranger, and serves the good runs in the same round.
//
// The pages that are alive are held by a child of their own, so that what the guard does to it
// touches no good run.
#include <fcntl.h>
#include <sys/stat.h>

#include <cstring>
#include <fstream>
#include <limits>

#include "agent_support.hpp"
#include "pulse/page_checksum.hpp"

namespace finops::agent {
namespace {

constexpr std::int64_t kExtremes[] = {std::numeric_limits<std::int64_t>::min(), -1, 0, 1,
                                      std::numeric_limits<std::int64_t>::max()};

void seal(pulse::StaticPart& part) {
  std::uint32_t size = 0;
  std::memcpy(&size, part.bytes.data() + 12, sizeof size);
  const std::uint32_t sum = pulse::crc32(part.bytes.data() + 24, size);
  std::memcpy(part.bytes.data() + 16, &sum, sizeof sum);
}

class HostilePages : public AgentRounds {
 protected:
  void SetUp() override { good_ = hold(page_of("good")); }

  /// One round, in which the good run is served. `report` is told of what the guard said.
  void expect_good_round(Agent& agent, TickReport* report = nullptr) {
    clock_.advance(seconds{1});
    progress("good");
    const TickReport all = agent.tick();
    const pulse::AgentLine& line = page("good").agent;
    EXPECT_GT(line.back_by_boot_ns.load(), clock_.now().boot.time_since_epoch().count());
    EXPECT_EQ(directive_of("good"), "CONTINUE");
    EXPECT_TRUE(ledger()->attempt(AttemptId{"good-1"}).has_value());
    if (report != nullptr) {
      add(all, *report);
    }
  }

  void write_page(const std::string& name, const pulse::PageLayout& page) const {
    std::ofstream file(home_.live_path() + "/" + name, std::ios::binary);
    file.write(reinterpret_cast<const char*>(&page), sizeof page);
  }

  /// The lines of a page with every number at one extreme.
  static void fill_lines(pulse::PageLayout& page, std::int64_t value) {
    page.process.step = value;
    page.process.progress_count = static_cast<std::uint64_t>(value);
    page.process.last_seen_ns = value;
    page.process.silent_until_boot_ns = value;
    page.process.reporter_pid = static_cast<std::uint32_t>(value);
    page.process.checkpoint_count = static_cast<std::uint64_t>(value);
    page.agent.agent_epoch = static_cast<std::uint64_t>(value);
    page.agent.back_by_boot_ns = value;
    page.agent.pause_at_ns = value;
    page.agent.ends_at_ns = value;
    page.agent.alive_at_boot_ns = value;
    page.agent.directive = static_cast<std::uint32_t>(value);
    page.agent.rule = static_cast<std::uint32_t>(value);
    page.group.ended_after_ns = value;
    page.group.agent_told = static_cast<std::uint64_t>(value);
    page.group.ranks_told = static_cast<std::uint64_t>(value);
    page.group.agent_act_by_ns = value;
    page.group.ranks_act_by_ns = value;
    page.group.step_time_ns = value;
    page.group.rank_count = static_cast<std::uint32_t>(value);
    std::fill(page.reason.begin(), page.reason.end(), 'x');  // no end mark
    std::fill(page.silence_reason.begin(), page.silence_reason.end(), 'x');
    for (pulse::CheckpointSlot& slot : page.checkpoints) {
      slot.count = static_cast<std::uint64_t>(value);
      slot.path_size = static_cast<std::uint32_t>(value);
    }
  }

  std::unique_ptr<Child> good_;
};

// Goal: no number in a page breaks a round, of a living run or a dead one, priced and budgeted or
// not. Method: all numbers of the lines at one extreme after the other, under a good static part.
TEST_F(HostilePages, ExtremeNumbersInTheLines) {
  const auto agent = make_guard(agent_options());
  expect_good_round(*agent);
  int count = 0;
  for (const std::int64_t value : kExtremes) {
    for (const bool is_command : {false, true}) {
      const std::string name = "h" + std::to_string(++count);
      pulse::PageInfo info = page_of(name);
      info.is_command = is_command;
      const auto child = hold(info);
      fill_lines(page(name), value);
      for (const auto state : {pulse::ProcessState::Running, pulse::ProcessState{77}}) {
        page(name).process.state = state;
        TickReport report;
        expect_good_round(*agent, &report);
        if (!has_page(name)) {
          break;  // concluded: it said that it had ended
        }
        EXPECT_EQ(page(name).process.step.load(), value) << "the agent writes its own line alone";
      }
      child->send(SIGKILL);
      (void)child->wait();
      expect_good_round(*agent);
      EXPECT_FALSE(has_page(name)) << "a dead run is settled, whatever its page says: " << value;
    }
  }
  EXPECT_TRUE(ledger()->verify().is_clean());
}

// Goal: no number in a static part under a right checksum breaks a round or charges what cannot
// be. Method: each integer of the payload at each extreme; all of these pages at once.
TEST_F(HostilePages, ExtremeNumbersInTheStaticPart) {
  const auto agent = make_guard(agent_options());
  const auto base = std::make_unique<pulse::PageLayout>();
  pulse::encode(page_of("hN"), base->fixed);
  std::uint32_t size = 0;
  std::memcpy(&size, base->fixed.bytes.data() + 12, sizeof size);
  int count = 0;
  for (std::size_t at = 24; at + 8 <= 24 + size; at += 4) {
    for (const std::int64_t value : kExtremes) {
      const auto page = std::make_unique<pulse::PageLayout>();
      page->fixed = base->fixed;
      std::memcpy(page->fixed.bytes.data() + at, &value, sizeof value);
      seal(page->fixed);
      page->process.state = pulse::ProcessState::Running;
      page->process.last_seen_ns = value;
      // Most of them name the attempt of the base, so that they are looked at further.
      write_page(++count % 2 == 0 ? "hN-1.page" : "h" + std::to_string(count) + "-1.page", *page);
      if (count % 2 == 0) {
        expect_good_round(*agent);
      }
    }
  }
  EXPECT_GT(count, 250);
  const VerifyReport report = ledger()->verify();
  EXPECT_TRUE(report.is_clean()) << report.problems.front();
  for (const RunSummary& run : ledger()->runs({})) {
    EXPECT_LE(run.metered_time, clock_.now().boot.time_since_epoch()) << run.run.run_id.str();
  }
}

// Goal: what is inside a page under a right checksum may be anything. Method: random payloads, some
// of a whole page with a few bytes changed.
TEST_F(HostilePages, RandomBytesUnderARightChecksum) {
  const auto agent = make_guard(agent_options());
  testing::Random random(testing::test_seed());
  for (int round = 0; round < 6; ++round) {
    for (int index = 0; index < 50; ++index) {
      const std::string name = "h" + std::to_string(index);
      const auto page = std::make_unique<pulse::PageLayout>();
      auto* bytes = reinterpret_cast<char*>(page.get());
      for (std::size_t at = sizeof page->fixed; at < sizeof *page; ++at) {
        bytes[at] = static_cast<char>(random.between(0, 255));
      }
      pulse::encode(page_of(name), page->fixed);
      for (int changes = static_cast<int>(random.between(0, 5)); changes > 0; --changes) {
        bytes[random.between(24, 500)] = static_cast<char>(random.between(0, 255));
      }
      seal(page->fixed);
      write_page(name + "-1.page", *page);
    }
    expect_good_round(*agent);
  }
  EXPECT_TRUE(ledger()->verify().is_clean()) << "seed " << testing::test_seed();
}

// Goal: thousands of damaged files cost neither a round nor memory for ever, and what is said of
// them has an end. Method: more than are named; then they go; then one comes back.
TEST_F(HostilePages, ThousandsOfDamagedFiles) {
  constexpr int kFiles = 3'000;
  const auto agent = make_guard(agent_options());
  const std::string live = home_.live_path() + "/bad";
  for (int index = 0; index < kFiles; ++index) {
    std::ofstream(live + std::to_string(index) + ".page") << "damaged";
  }
  TickReport first;
  expect_good_round(*agent, &first);
  EXPECT_EQ(first.warnings.size(), pulse::PageScanner::kNamedAtOnce + 1);
  TickReport second;
  expect_good_round(*agent, &second);
  EXPECT_TRUE(second.warnings.empty()) << second.warnings.front();
  for (int index = 0; index < kFiles; ++index) {
    unlink((live + std::to_string(index) + ".page").c_str());
  }
  expect_good_round(*agent);
  std::ofstream(live + "0.page") << "damaged";
  TickReport again;
  expect_good_round(*agent, &again);
  EXPECT_EQ(again.warnings.size(), 1U) << "what was forgotten is told of anew";
}

// Goal: files of other kinds and with any name are passed by, and are told of in plain characters.
TEST_F(HostilePages, OddNamesAndKindsOfFiles) {
  const auto agent = make_guard(agent_options());
  const std::string live = home_.live_path() + "/";
  for (const std::string& name :
       {std::string("line\nbreak"), std::string("\x1b[2J"), std::string("\xff\xfe"),
        std::string("sp ace"), std::string("-rf"), std::string(250, 'a'), std::string("..."),
        std::string("\xe2\x80\xae")}) {
    std::ofstream(live + name + ".page") << "damaged";
  }
  std::filesystem::create_directory(live + "folder.page");
  ASSERT_EQ(mkfifo((live + "pipe.page").c_str(), 0600), 0);
  std::filesystem::create_symlink("/dev/zero", live + "zero.page");
  std::filesystem::create_symlink("loop.page", live + "loop.page");
  std::filesystem::copy_file(live + "good-1.page", live + "copy-1.page");
  TickReport report;
  expect_good_round(*agent, &report);
  EXPECT_GE(report.warnings.size(), 10U);
  for (const std::string& warning : report.warnings) {
    EXPECT_TRUE(std::all_of(warning.begin(), warning.end(), [](char c) {
      return c >= ' ' && c <= '~';
    })) << warning;
  }
}

// Goal: a page that is cut short while the guard has it mapped does not end the guard: reading past
// the end of a mapped file is SIGBUS. One that is put in its place is looked at anew.
TEST_F(HostilePages, APageThatIsCutShort) {
  const auto agent = make_guard(agent_options());
  const auto child = hold(page_of("cut"));
  const auto other = hold(page_of("other"));
  expect_good_round(*agent);
  ASSERT_EQ(truncate((home_.live_path() + "/cut-1.page").c_str(), 0), 0);
  const auto forged = std::make_unique<pulse::PageLayout>();
  write_page("forged", *forged);
  std::filesystem::rename(home_.live_path() + "/forged", home_.live_path() + "/other-1.page");
  TickReport report;
  expect_good_round(*agent, &report);
  ASSERT_EQ(report.warnings.size(), 2U);
  EXPECT_EQ(report.page_count, 1U);
}

// Goal: among hostile pages a silent run is still stopped, and in time.
TEST_F(HostilePages, ASilentRunIsStoppedAllTheSame) {
  const auto agent = make_guard(agent_options());
  const auto silent = hold(page_of("silent"));
  for (int index = 0; index < 30; ++index) {
    const auto page = std::make_unique<pulse::PageLayout>();
    pulse::encode(page_of("h" + std::to_string(index)), page->fixed);
    fill_lines(*page, kExtremes[index % 5]);
    write_page("h" + std::to_string(index) + "-1.page", *page);
  }
  for (int second = 0; second < 12; ++second) {
    expect_good_round(*agent);
  }
  EXPECT_EQ(silent->wait(), -SIGTERM);
}

/// A process of somebody else with a child of its own. It has nothing to do with any run.
class Stranger {
 public:
  explicit Stranger(const std::string& path)
      : process_([&](const std::function<void()>& say_ready) -> int {
          const pid_t child = fork();
          if (child == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            testing::sleep_for_ever();
          }
          std::ofstream(path) << child;
          say_ready();
          testing::sleep_for_ever();
        }) {
    std::ifstream(path) >> child_;
  }
  [[nodiscard]] pid_t pid() const { return process_.pid(); }
  [[nodiscard]] pid_t child() const { return child_; }
  [[nodiscard]] bool has_living_child() const { return process_start_ticks(child_) != 0; }

 private:
  Child process_;
  pid_t child_ = 0;
};

class ReusedPid : public HostilePages {
 protected:
  /// A living page whose owner is gone: its pid is a stranger's now, and a rank holds the page.
  [[nodiscard]] std::unique_ptr<Child> hold_for(const Stranger& stranger, const std::string& name,
                                                bool is_command) {
    pulse::PageInfo info = page_of(name);
    info.is_command = is_command;
    info.process = {current_boot_id(), stranger.pid(), 1};
    return std::make_unique<Child>([&](const std::function<void()>& say_ready) -> int {
      signal(SIGTERM, SIG_IGN);
      const auto page = pulse::OwnPage::create(home_.live_path(), info);
      page->page().process.reporter_pid = static_cast<std::uint32_t>(getpid());
      say_ready();
      testing::sleep_for_ever();
    });
  }
};

// Goal: a stop goes to the run's own processes alone. Method: a silent run whose owner's pid has
// become a stranger's, up to SIGKILL.
TEST_F(ReusedPid, ItsNewOwnersChildrenAreNotSignalled) {
  const Stranger stranger(folder_ / "pid");
  const auto agent = make_guard(agent_options());
  for (const bool is_command : {false, true}) {
    const auto rank = hold_for(stranger, is_command ? "command" : "script", is_command);
    const TickReport report = rounds(*agent, seconds{16});
    EXPECT_NE(rungs_of(report.decisions).find("SIGKILL"), std::string::npos);
    EXPECT_TRUE(stranger.has_living_child()) << "command: " << is_command;
    EXPECT_EQ(rank->wait(), -SIGKILL) << "the rank that is silent is stopped all the same";
  }
}

// Goal: what a stranger starts is no orphan of the run whose pid it has got, GPU or not.
TEST_F(ReusedPid, ItsNewOwnersChildrenAreNoOrphans) {
  const Stranger stranger(folder_ / "pid");
  AgentOptions options = agent_options();
  options.policies.base.silence_limit = hours{1};
  const auto use = std::make_shared<MeasuredUse>();
  use->holders = std::vector<GpuHolder>{{.pid = stranger.child(), .uuid = "GPU-1"}};
  options.usage = use;
  const auto agent = make_guard(options);
  const auto rank = hold_for(stranger, "old", false);
  (void)rounds(*agent, seconds{2});
  rank->send(SIGKILL);
  (void)rank->wait();
  (void)rounds(*agent, seconds{10});
  EXPECT_TRUE(stranger.has_living_child());
}

}  // namespace
}  // namespace finops::agent
