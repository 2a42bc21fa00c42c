// test_pulse_group.cpp - tests of what several processes of one attempt share: locks, the keeper,
// the agreed step, checkpoints, and pages of version 1.
//
// Owns: the checks of pulse/agreement.hpp and of the group's part of OwnPage. Does not own: the
// page of a single process (test_pulse.cpp), how ranks find each other (test_tracker_ranks.cpp).
// Invariant: other processes are real forks; none outlives its test.
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "finops/pulse/agreement.hpp"
#include "finops/pulse/own_page.hpp"
#include "finops/pulse/scanner.hpp"
#include "pulse/page_checksum.hpp"
#include "support.hpp"

namespace finops::pulse {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::Child;
using testing::code_of;
using testing::eventually;
using testing::example_page;
using testing::TempDir;

// --- versions ------------------------------------------------------------------------------------

/// The header's fields as a page has them: magic, version, payload size, checksum.
StaticPart with_version(const PageInfo& info, std::uint32_t version, std::uint32_t cut_bytes) {
  StaticPart part{};
  encode(info, part);
  std::uint32_t size = 0;
  std::memcpy(&size, part.bytes.data() + 12, sizeof size);
  size -= cut_bytes;
  const std::uint32_t checksum = crc32(part.bytes.data() + 24, size);
  std::memcpy(part.bytes.data() + 8, &version, sizeof version);
  std::memcpy(part.bytes.data() + 12, &size, sizeof size);
  std::memcpy(part.bytes.data() + 16, &checksum, sizeof checksum);
  return part;
}

// Goal: a page of a running older process is still read, and nothing but versions 1 and 2 is.
// Method: the same page without the field that version 1 lacks, under several version numbers.
TEST(PulseVersion, ReadsVersionOne) {
  PageInfo info = example_page("run1", SystemClock{}.now());
  info.max_duration = seconds{5};
  std::string why;
  const std::optional<PageInfo> first = decode(with_version(info, 1, 8), why);
  ASSERT_TRUE(first.has_value()) << why;
  EXPECT_EQ(first->max_duration, Nanoseconds{0});
  EXPECT_EQ(first->billing_quantum, info.billing_quantum);
  EXPECT_EQ(first->attempt_id, info.attempt_id);
  EXPECT_EQ(decode(with_version(info, 2, 0), why).value().max_duration, seconds{5});
  EXPECT_FALSE(decode(with_version(info, 1, 0), why).has_value()) << "a field too many";
  EXPECT_FALSE(decode(with_version(info, 2, 8), why).has_value()) << "a field too few";
  for (const std::uint32_t version : {0U, 3U}) {
    EXPECT_FALSE(decode(with_version(info, version, 0), why).has_value()) << version;
    EXPECT_NE(why.find("1 to 2"), std::string::npos) << why;
  }
}

// --- the agreed step -----------------------------------------------------------------------------

MonotonicTime at(Nanoseconds span) { return MonotonicTime{std::chrono::hours{1} + span}; }
std::int64_t ns(MonotonicTime time) { return time.time_since_epoch().count(); }

// Goal: what is packed is what is unpacked. Method: each field at its limits.
TEST(PulseAgreement, PacksAWord) {
  for (const std::uint32_t directive : {0U, 1U, 2U, 3U}) {
    for (const std::int64_t step : {std::int64_t{0}, std::int64_t{1}, std::int64_t{1} << 57}) {
      for (const bool follows : {false, true}) {
        const AgreedWord word{.directive = directive,
                              .act_at_step = step,
                              .follows = follows,
                              .is_settled = step == 1,
                              .follows_settled = !follows};
        const AgreedWord read = AgreedWord::unpack(word.pack());
        EXPECT_EQ(read.directive, directive);
        EXPECT_EQ(read.act_at_step, step);
        EXPECT_EQ(read.follows, follows);
        EXPECT_EQ(read.is_settled, step == 1);
        EXPECT_EQ(read.follows_settled, !follows);
        EXPECT_NE(word.pack(), 0U) << "0 is a page that nobody has written";
      }
    }
  }
  EXPECT_EQ(AgreedWord::unpack(AgreedWord{.act_at_step = -5}.pack()).act_at_step, 0);
}

// Goal: one process acts at once; several at a step about a second ahead, and two steps at least.
// Method: only the number of ranks and the time of a step move.
TEST(PulseAgreement, ChoosesAStepAhead) {
  struct Case {
    std::uint32_t rank_count;
    std::int64_t step_time_ns;
    std::int64_t expected;
  };
  for (const Case& c :
       {Case{0, 0, 0}, Case{1, 1'000'000, 0}, Case{2, 0, 102}, Case{2, 1'000'000, 1'101},
        Case{2, 1'000'000'000, 102}, Case{4, 400'000'000, 103}, Case{2, -7, 102}}) {
    auto page = std::make_unique<PageLayout>();
    page->process.step.store(100);
    page->group.rank_count.store(c.rank_count);
    page->group.step_time_ns.store(c.step_time_ns);
    agree(*page, Teller::Agent, 2, at(seconds{0}));
    const AgreedWord word = AgreedWord::unpack(page->group.agent_told.load());
    EXPECT_EQ(word.directive, 2U);
    EXPECT_EQ(word.act_at_step, c.expected) << c.rank_count << " ranks, " << c.step_time_ns;
  }
}

// Goal: a rank acts from the agreed step on, or at once if it has no steps, and never by the clock
// alone. Method: below, at and above each limit; steps that are reported now and then.
TEST(PulseAgreement, ActsAtTheStep) {
  const std::int64_t act_by = ns(at(seconds{3}));
  auto page = std::make_unique<PageLayout>();
  page->group.agent_told.store(AgreedWord{.directive = 2, .act_at_step = 50}.pack());
  page->group.agent_act_by_ns.store(act_by);
  Agreement heard;
  const auto due = [&](std::int64_t step, std::int64_t now_ns) {
    return heard.due(Teller::Agent, *page, step, now_ns);
  };
  const std::int64_t in_time = ns(at(seconds{1}));
  EXPECT_EQ(due(49, in_time), 0U);
  EXPECT_EQ(due(50, in_time), 2U);
  EXPECT_EQ(due(51, in_time), 2U);
  EXPECT_EQ(due(40, in_time), 0U);
  EXPECT_EQ(due(60, in_time), 2U) << "it reports every tenth step";
  EXPECT_EQ(due(kNoStep, in_time), 2U) << "it reports no steps";
  EXPECT_EQ(due(-5, in_time), 0U);
  EXPECT_EQ(due(49, act_by), 0U) << "others may have looked in step 49 before";
  EXPECT_EQ(due(50, act_by), 2U);
}

// Goal: a directive stands until the one after it counts, so that slow and fast ranks agree; a new
// one after a CONTINUE has none before it. Method: CHECKPOINT, PAUSE, CONTINUE, PAUSE.
TEST(PulseAgreement, OneDirectiveFollowsAnother) {
  auto page = std::make_unique<PageLayout>();
  GroupLine& group = page->group;
  group.rank_count.store(2);
  Agreement heard;
  const auto due = [&](std::int64_t step, MonotonicTime now) {
    return heard.due(Teller::Agent, *page, step, ns(now));
  };
  page->process.step.store(10);
  agree(*page, Teller::Agent, 1, at(seconds{0}));  // CHECKPOINT at 12
  EXPECT_EQ(due(11, at(milliseconds{1})), 0U);
  EXPECT_EQ(due(12, at(milliseconds{2})), 1U);
  page->process.step.store(12);
  agree(*page, Teller::Agent, 2, at(milliseconds{3}));  // PAUSE at 14
  EXPECT_EQ(due(11, at(milliseconds{4})), 0U) << "a slow rank comes to step 12 first";
  EXPECT_EQ(due(12, at(milliseconds{4})), 1U) << "and saves there as the others did";
  EXPECT_EQ(due(12, at(milliseconds{4})), 1U) << "whoever asks twice in a step hears it twice";
  EXPECT_EQ(due(13, at(milliseconds{5})), 0U) << "and saves once";
  EXPECT_EQ(due(14, at(milliseconds{5})), 2U);
  EXPECT_EQ(due(15, at(milliseconds{5})), 2U);
  agree(*page, Teller::Agent, 0, at(milliseconds{6}));
  EXPECT_EQ(due(15, at(milliseconds{7})), 0U);
  page->process.step.store(20);
  agree(*page, Teller::Agent, 2, at(milliseconds{8}));
  EXPECT_EQ(due(20, at(milliseconds{9})), 0U) << "the CHECKPOINT of old is over";
  EXPECT_EQ(due(22, at(milliseconds{9})), 2U);
}

// Goal: ranks that leave at a PAUSE are not left alone by the others: a PAUSE of the ranks stands
// while some may act on it, whatever the keeper finds meanwhile, and is taken back afterwards.
// Method: CONTINUE before the agreed step, at it, a second of steps later, and by time alone.
TEST(PulseAgreement, RanksDoNotTakeBackWhatIsActedOn) {
  for (const bool steps_go_on : {true, false}) {
    auto page = std::make_unique<PageLayout>();
    page->group.rank_count.store(2);
    page->group.step_time_ns.store(100'000'000);
    page->process.step.store(10);
    Agreement heard;
    const auto due = [&](std::int64_t step, Nanoseconds now) {
      return heard.due(Teller::Ranks, *page, step, ns(at(now)));
    };
    agree(*page, Teller::Ranks, 2, at(seconds{0}));  // PAUSE at 21
    agree(*page, Teller::Ranks, 0, at(milliseconds{900}));
    EXPECT_EQ(due(21, milliseconds{950}), 2U);
    page->process.step.store(21);
    agree(*page, Teller::Ranks, 0, at(seconds{1}));
    EXPECT_EQ(due(21, milliseconds{1'001}), 2U);
    page->process.step.store(steps_go_on ? 32 : 21);
    const Nanoseconds later = steps_go_on ? Nanoseconds{seconds{2}} : Nanoseconds{seconds{4}};
    agree(*page, Teller::Ranks, 0, at(later));
    EXPECT_EQ(due(32, later), 0U) << "they did not act on it, or wait for more money";
  }
}

// Goal: a CHECKPOINT among ranks counts for one step, also if it is not followed; that of a lone
// process stands. Method: the same steps with one rank and with two, and without steps.
TEST(PulseAgreement, ACheckpointCountsOnceAmongRanks) {
  for (const std::uint32_t rank_count : {1U, 2U}) {
    auto page = std::make_unique<PageLayout>();
    page->group.rank_count.store(rank_count);
    page->process.step.store(10);
    agree(*page, Teller::Ranks, 1, at(seconds{0}));
    Agreement heard;
    Agreement without_steps;
    const auto due = [&](Agreement& one, std::int64_t step) {
      return one.due(Teller::Ranks, *page, step, ns(at(milliseconds{1})));
    };
    EXPECT_EQ(due(heard, 13), 1U);
    EXPECT_EQ(due(heard, 14), rank_count == 1 ? 1U : 0U);
    EXPECT_EQ(due(without_steps, kNoStep), 1U);
    EXPECT_EQ(due(without_steps, kNoStep), 1U);
  }
}

// Goal: agent and ranks that say the same make the ranks save once. Method: the second says it
// before, and after, the step of the first.
TEST(PulseAgreement, TwoTellersAreOneCheckpoint) {
  for (const std::int64_t step_of_second : {10, 15}) {
    auto page = std::make_unique<PageLayout>();
    page->group.rank_count.store(2);
    page->process.step.store(10);
    agree(*page, Teller::Agent, 1, at(seconds{0}));
    Agreement heard;
    int saved_count = 0;
    for (std::int64_t step = 10; step < 30; ++step) {
      page->process.step.store(step);
      if (step == step_of_second) {
        agree(*page, Teller::Ranks, 1, at(milliseconds{1}));
      }
      const std::int64_t now_ns = ns(at(milliseconds{2}));
      saved_count += std::max(heard.due(Teller::Agent, *page, step, now_ns),
                              heard.due(Teller::Ranks, *page, step, now_ns)) == 1
                         ? 1
                         : 0;
    }
    EXPECT_EQ(saved_count, 1) << step_of_second;
  }
}

// Goal: a more urgent directive keeps a step that nobody has reached, and the same one again moves
// nothing. Method: agree again two steps and one step before the agreed one.
TEST(PulseAgreement, KeepsAStepThatIsAhead) {
  for (const auto& [reached, expected] : {std::pair{10, 12}, std::pair{11, 13}}) {
    auto page = std::make_unique<PageLayout>();
    page->group.rank_count.store(2);
    page->process.step.store(10);
    agree(*page, Teller::Ranks, 1, at(seconds{0}));
    const std::uint64_t told = page->group.ranks_told.load();
    agree(*page, Teller::Ranks, 1, at(seconds{1}));
    EXPECT_EQ(page->group.ranks_told.load(), told);
    page->process.step.store(reached);
    agree(*page, Teller::Ranks, 2, at(seconds{1}));
    EXPECT_EQ(AgreedWord::unpack(page->group.ranks_told.load()).act_at_step, expected);
  }
}

// Goal: senseless numbers of another process neither overflow nor hold a directive for ever.
// Method: the largest and smallest steps in the page.
TEST(PulseAgreement, SurvivesSenselessSteps) {
  for (const std::int64_t step : {std::numeric_limits<std::int64_t>::min(), std::int64_t{-1},
                                  std::numeric_limits<std::int64_t>::max()}) {
    auto page = std::make_unique<PageLayout>();
    page->group.rank_count.store(9);
    page->group.step_time_ns.store(step);
    page->process.step.store(step);
    write_directive(*page, 3, 1, "why");
    Agreement heard;
    const std::int64_t act_by = page->group.agent_act_by_ns.load();
    (void)heard.due(Teller::Agent, *page, 0, act_by);
    EXPECT_EQ(heard.due(Teller::Agent, *page, 0, act_by + kSettledWait.count()), 3U) << step;
    EXPECT_LE(act_by, ns(SystemClock{}.now().monotonic + kLongestAgreement)) << step;
  }
}

// --- processes -----------------------------------------------------------------------------------

/// Holds forked children until all are there: they spin, so that they start within microseconds.
class Gate {
 public:
  Gate()
      : is_open_(new (mmap(nullptr, kPageSize, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                           -1, 0)) std::atomic<bool>(false)) {}
  ~Gate() { munmap(is_open_, kPageSize); }
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;
  void open() const { is_open_->store(true); }
  void wait() const {
    while (!is_open_->load()) {
    }
  }

 private:
  std::atomic<bool>* is_open_;
};

class PulseRanks : public ::testing::Test {
 protected:
  [[nodiscard]] static AttemptId attempt_id() { return AttemptId{"run1-1"}; }
  [[nodiscard]] std::unique_ptr<OwnPage> attach() const {
    return OwnPage::attach(folder_.path(), attempt_id());
  }
  std::unique_ptr<Child> creator(bool is_command) {
    return std::make_unique<Child>([=, this](const std::function<void()>& say_ready) -> int {
      PageInfo info = example_page("run1", SystemClock{}.now());
      info.is_command = is_command;
      const std::unique_ptr<OwnPage> own = OwnPage::create(folder_.path(), info);
      say_ready();
      testing::sleep_for_ever();
    });
  }
  std::unique_ptr<Child> rank() {
    return std::make_unique<Child>([this](const std::function<void()>& say_ready) -> int {
      const std::unique_ptr<OwnPage> own = attach();
      say_ready();
      testing::sleep_for_ever();
    });
  }
  ForeignPage& seen() {
    scanner_.scan();
    return *scanner_.pages().at(0);
  }
  [[nodiscard]] std::string file() const { return folder_ / "run1-1.page"; }

  TempDir folder_;
  PageScanner scanner_{folder_.path()};
};

// Goal: the attempt lives as long as any of its ranks, and the page names them. Method: a creator
// and three ranks are killed one by one, the creator first.
TEST_F(PulseRanks, AnyRankIsProofOfLife) {
  std::vector<std::unique_ptr<Child>> all;
  all.push_back(creator(false));
  for (int i = 0; i < 3; ++i) {
    all.push_back(rank());
    ASSERT_TRUE(all.back()->is_ready());
  }
  EXPECT_EQ(seen().page().group.rank_count.load(), 4U);
  for (const std::unique_ptr<Child>& child : all) {
    EXPECT_TRUE(seen().is_locked());
    std::vector<pid_t> holders = seen().holders();
    EXPECT_EQ(holders.size(), static_cast<std::size_t>(&all.back() - &child) + 1);
    EXPECT_NE(std::ranges::find(holders, child->pid()), holders.end());
    child->send(SIGKILL);
    child->wait();
  }
  EXPECT_FALSE(seen().is_locked());
  EXPECT_TRUE(seen().holders().empty());
}

// Goal: there is one keeper, and another rank becomes it only when it is gone. Method: a rank asks
// while the creator lives and after its death.
TEST_F(PulseRanks, ANewKeeperFollowsADeadOne) {
  const std::unique_ptr<Child> first = creator(false);
  ASSERT_TRUE(first->is_ready());
  const std::unique_ptr<OwnPage> own = attach();
  EXPECT_FALSE(own->is_keeper());
  EXPECT_FALSE(own->try_keep());
  EXPECT_TRUE(own->has_other_ranks());
  first->send(SIGKILL);
  first->wait();
  EXPECT_FALSE(own->has_other_ranks());
  EXPECT_TRUE(own->try_keep());
  EXPECT_TRUE(own->is_keeper());
}

// Goal: an attempt that nobody holds is not joined where that is asked for. Method: a dead
// creator's page, with and without the wish.
TEST_F(PulseRanks, JoinsOnlyTheLiving) {
  const std::unique_ptr<Child> first = creator(false);
  ASSERT_TRUE(first->is_ready());
  EXPECT_EQ(code_of([&] { OwnPage::attach(folder_.path(), attempt_id(), true); }), "none");
  first->send(SIGKILL);
  first->wait();
  EXPECT_EQ(code_of([&] { OwnPage::attach(folder_.path(), attempt_id(), true); }), "NotFound");
  EXPECT_FALSE(seen().is_locked()) << "the refused one left no lock";
  EXPECT_EQ(code_of([&] { (void)attach(); }), "none");
}

// Goal: of ranks that leave at the same moment exactly one must end the attempt. Method: a creator
// and two ranks leave together, many times; each tells by its exit code.
TEST_F(PulseRanks, ExactlyOneIsTheLast) {
  for (int round = 0; round < 60; ++round) {
    const Gate gate;
    const auto leave = [&](OwnPage& page, const std::function<void()>& say_ready) {
      say_ready();
      gate.wait();
      const bool is_last = page.is_last_to_leave();
      if (is_last) {  // as a run does before it lets go
        page.page().process.state.store(ProcessState::Finished);
      }
      page.release();
      return is_last ? 1 : 0;
    };
    std::vector<std::unique_ptr<Child>> all;
    all.push_back(std::make_unique<Child>([&](const std::function<void()>& say_ready) {
      const auto page = OwnPage::create(folder_.path(), example_page("run1", SystemClock{}.now()));
      return leave(*page, say_ready);
    }));
    for (int i = 0; i < 2; ++i) {
      all.push_back(std::make_unique<Child>([&](const std::function<void()>& say_ready) {
        const std::unique_ptr<OwnPage> page = attach();
        return leave(*page, say_ready);
      }));
    }
    gate.open();
    int last_count = 0;
    for (const std::unique_ptr<Child>& child : all) {
      const int code = child->wait();
      ASSERT_TRUE(code == 0 || code == 1) << code;
      last_count += code;
    }
    ASSERT_EQ(last_count, 1) << "round " << round;
    std::filesystem::remove(file());
  }
}

// Goal: a keeper that leaves hands over to a rank that stays. Method: the creator leaves first.
TEST_F(PulseRanks, AKeeperHandsOver) {
  Child first([&](const std::function<void()>& say_ready) {
    const auto page = OwnPage::create(folder_.path(), example_page("run1", SystemClock{}.now()));
    say_ready();
    const bool has_company = eventually([&] { return page->has_other_ranks(); }, seconds{10});
    const bool is_last = page->is_last_to_leave();
    page->release();
    return has_company && !is_last ? 0 : 1;
  });
  ASSERT_TRUE(first.is_ready());
  const std::unique_ptr<OwnPage> own = attach();
  EXPECT_EQ(first.wait(), 0);
  EXPECT_TRUE(own->is_last_to_leave());
  EXPECT_EQ(own->page().group.rank_count.load(), 1U);
}

// Goal: checkpoints of several ranks never tear each other. Method: two processes confirm 2,000
// each, all at once; then the same one twice.
TEST_F(PulseRanks, CheckpointsOfRanksAreWhole) {
  const std::unique_ptr<Child> first = creator(false);
  ASSERT_TRUE(first->is_ready());
  constexpr int kEach = 2'000;
  const Gate gate;
  std::vector<std::unique_ptr<Child>> all;
  for (int number = 1; number <= 2; ++number) {
    all.push_back(std::make_unique<Child>([&,
                                           number](const std::function<void()>& say_ready) -> int {
      const std::unique_ptr<OwnPage> own = attach();
      say_ready();
      gate.wait();
      for (int i = 0; i < kEach; ++i) {
        own->confirm_checkpoint(number * 10'000 + i, "/ckpt/" + std::to_string(number), UtcTime{});
      }
      return 0;
    }));
  }
  gate.open();
  for (const std::unique_ptr<Child>& child : all) {
    EXPECT_EQ(child->wait(), 0);
  }
  EXPECT_EQ(seen().page().process.checkpoint_count.load(), 2U * kEach);
  EXPECT_EQ(read_checkpoint(seen().page()).value().count, 2U * kEach);
  const std::unique_ptr<OwnPage> own = attach();
  own->confirm_checkpoint(9, "/ckpt/9", UtcTime{});
  own->confirm_checkpoint(9, "/ckpt/9", UtcTime{});
  EXPECT_EQ(own->page().process.checkpoint_count.load(), 2U * kEach + 1);
}

// Goal: a forked child never takes away its parent's file. Method: a real fork removes its copy,
// before and after the parent let go.
TEST_F(PulseRanks, AForkedChildRemovesNothing) {
  const auto own = OwnPage::create(folder_.path(), example_page("run1", SystemClock{}.now()));
  Child before([&](const std::function<void()>&) {
    own->remove();
    return 0;
  });
  EXPECT_EQ(before.wait(), 0);
  EXPECT_TRUE(std::filesystem::exists(file()));
  own->release();
  Child after([&](const std::function<void()>&) {
    own->remove();
    return 0;
  });
  EXPECT_EQ(after.wait(), 0);
  EXPECT_TRUE(std::filesystem::exists(file()));
  own->remove();
  EXPECT_FALSE(std::filesystem::exists(file()));
}

}  // namespace
}  // namespace finops::pulse
