// test_pulse_lockstep.cpp - tests that ranks in lockstep act at one step whatever their steps take.
//
// Owns: the checks of late agreements (settled steps) in pulse/agreement.hpp. Does not own: words
// and steps that come in time (test_pulse_group.cpp).
// Invariant: ranks end each step at a barrier, as a collective would make them; whoever leaves
// alone would hang the others.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <barrier>
#include <bitset>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "finops/pulse/agreement.hpp"

namespace finops::pulse {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::size_t kRankCount = 4;
constexpr std::uint32_t kCheckpoint = 1;
constexpr std::uint32_t kPause = 2;

MonotonicTime at(Nanoseconds span) { return MonotonicTime{std::chrono::hours{1} + span}; }
std::int64_t ns(MonotonicTime time) { return time.time_since_epoch().count(); }

std::unique_ptr<PageLayout> page_of_ranks(std::int64_t step, Nanoseconds step_time) {
  auto page = std::make_unique<PageLayout>();
  page->group.rank_count.store(kRankCount);
  page->group.step_time_ns.store(step_time.count());
  page->process.step.store(step);
  return page;
}

/// What a rank was told, and where. Equal lists are ranks that act together.
struct Told {
  std::int64_t step;
  std::uint32_t directive;
  bool operator==(const Told&) const = default;
};

std::string text(const std::vector<Told>& all) {
  std::string line;
  for (const Told& told : all) {
    line += " " + std::to_string(told.directive) + "@" + std::to_string(told.step);
  }
  return line;
}

// --- a simulated job -----------------------------------------------------------------------------

/// How long the steps of a job take, and who tells what when.
struct Plan {
  Nanoseconds step_time{};
  Nanoseconds slow_step_time{};
  Nanoseconds slow_from{};
  Nanoseconds longest_stall{};  ///< of one rank, in about one step of twenty while words are late
  Nanoseconds told_at{};
  Nanoseconds pause_told_at{};  ///< by the same teller, whether or not a checkpoint is confirmed
  std::int64_t report_every = 1;
  Teller teller = Teller::Agent;
  bool do_both_tell = false;
  bool does_rank_confirm = false;  ///< a checkpoint; else it is never confirmed
  /// Whether all look several times between a word and its step.
  [[nodiscard]] bool has_short_steps() const {
    return report_every == 1 && std::max(step_time, slow_step_time) <= milliseconds{600};
  }
};

/// Ranks whose looks come in random order; the clock is simulated.
class Job {
 public:
  Job(const Plan& plan, std::uint64_t seed) : plan_(plan), random_(seed) {}

  /// Runs until a rank leaves; gives what each was told.
  const std::array<std::vector<Told>, kRankCount>& run() {
    page_->group.rank_count.store(kRankCount);
    for (std::int64_t step = 1; step < 100'000 && !has_left_; ++step) {
      const Nanoseconds began = now_;
      std::array<std::pair<Nanoseconds, std::size_t>, kRankCount> looks;
      for (std::size_t rank = 0; rank < kRankCount; ++rank) {
        looks.at(rank) = {began + duration(), rank};
      }
      std::ranges::sort(looks);
      for (const auto& [time, rank] : looks) {
        tell_until(time);
        now_ = time;
        if (step % plan_.report_every == 0) {
          look(rank, step);
        }
      }
      if (is_saved_ && plan_.does_rank_confirm) {
        confirm();
      }
    }
    return told_;
  }
  [[nodiscard]] Nanoseconds saved_at() const { return saved_at_; }

 private:
  Nanoseconds between(Nanoseconds low, Nanoseconds high) {
    return Nanoseconds{
        std::uniform_int_distribution<std::int64_t>(low.count(), high.count())(random_)};
  }
  Nanoseconds duration() {
    const Nanoseconds mean = now_ < plan_.slow_from ? plan_.step_time : plan_.slow_step_time;
    const Nanoseconds spread = std::min<Nanoseconds>(mean / 2, milliseconds{200});
    const bool does_stall = plan_.longest_stall > Nanoseconds{0} &&
                            now_ > plan_.told_at + seconds{1} && random_() % 20 == 0;
    return between(mean - spread, mean + spread) +
           (does_stall ? between(Nanoseconds{0}, plan_.longest_stall) : Nanoseconds{0});
  }
  void tell_until(Nanoseconds time) {
    if (!is_told_ && time >= plan_.told_at) {
      is_told_ = true;
      agree(*page_, plan_.teller, kCheckpoint, at(plan_.told_at));
    }
    if (is_told_ && plan_.do_both_tell && time >= plan_.told_at + milliseconds{300}) {
      agree(*page_, Teller::Ranks, kCheckpoint, at(plan_.told_at + milliseconds{300}));
      plan_.do_both_tell = false;
    }
    if (!is_pause_told_ && time >= plan_.pause_told_at && has_heard_.all()) {
      is_pause_told_ = true;
      agree(*page_, plan_.teller, kPause, at(time));
    }
  }
  void look(std::size_t rank, std::int64_t step) {
    page_->process.step.store(step);
    if (now_ - sampled_at_ >= seconds{1}) {  // as Run::sample_step_time
      page_->group.step_time_ns.store((now_ - sampled_at_).count() / (step - sampled_step_ + 1));
      sampled_at_ = now_;
      sampled_step_ = step;
    }
    const std::int64_t now_ns = ns(at(now_));
    const std::uint32_t directive = std::max(heard_[rank].due(Teller::Agent, *page_, step, now_ns),
                                             heard_[rank].due(Teller::Ranks, *page_, step, now_ns));
    has_heard_[rank] = is_told_;
    if (directive != 0) {
      told_[rank].push_back({.step = step, .directive = directive});
    }
    has_left_ = has_left_ || directive >= kPause;
    if (directive == kCheckpoint) {
      saved_at_ = is_saved_ ? saved_at_ : now_;
      is_saved_ = true;
      if (plan_.does_rank_confirm && has_heard_.all()) {
        confirm();  // while others may not have looked
      }
    }
  }
  void confirm() {
    agree(*page_, Teller::Ranks, kPause, at(now_));
    is_pause_told_ = true;
  }

  Plan plan_;
  std::mt19937_64 random_;
  std::unique_ptr<PageLayout> page_ = std::make_unique<PageLayout>();
  std::array<Agreement, kRankCount> heard_;
  std::array<std::vector<Told>, kRankCount> told_;
  Nanoseconds now_{};
  Nanoseconds sampled_at_{};
  std::int64_t sampled_step_ = 0;
  std::bitset<kRankCount> has_heard_;  // whoever has looked since the first word
  Nanoseconds saved_at_{};
  bool is_saved_ = false;
  bool is_told_ = false;
  bool is_pause_told_ = false;
  bool has_left_ = false;
};

Plan random_plan(std::uint64_t seed) {
  std::mt19937_64 random(seed);
  const auto pick = [&](std::initializer_list<int> choices) {
    return milliseconds{*(choices.begin() + random() % choices.size())};
  };
  Plan plan;
  plan.step_time = pick({5, 20, 100, 400, 1'500, 4'000});
  plan.told_at = seconds{5} + milliseconds{random() % 3'000};
  plan.slow_from = plan.told_at + milliseconds{random() % 3'000} - milliseconds{500};
  plan.slow_step_time = plan.step_time * static_cast<int>(1 + random() % 12);
  plan.longest_stall = pick({0, 50, plan.step_time < kHurry ? 2'500 : 500});
  plan.does_rank_confirm = random() % 2 == 0;
  plan.pause_told_at =
      plan.told_at + (plan.does_rank_confirm ? seconds{3'600} : seconds{6}) + pick({0, 700, 4'000});
  plan.report_every = random() % 4 == 0 ? 7 : 1;
  plan.teller = random() % 2 == 0 ? Teller::Agent : Teller::Ranks;
  plan.do_both_tell = plan.teller == Teller::Agent && random() % 3 == 0;
  return plan;
}

// Goal: no rank is told anything at a step at which another is not, and all save once. Method:
// simulated jobs whose steps take 5 ms to 4 s and become up to twelve times as slow about when a
// word is told, with ranks that stall, confirm at once, or report every seventh step only.
TEST(PulseLockstep, RanksAreToldTheSameAtTheSameStep) {
  for (std::uint64_t seed = 1; seed <= 4'000; ++seed) {
    const Plan plan = random_plan(seed);
    Job job(plan, seed);
    const auto& told = job.run();
    const bool is_equal =
        std::ranges::all_of(told, [&](const auto& one) { return one == told[0]; });
    const auto saved_count = std::ranges::count(told[0], kCheckpoint, &Told::directive);
    const bool is_calm = plan.has_short_steps() && plan.longest_stall == Nanoseconds{0};
    const bool must_save = plan.does_rank_confirm || is_calm;
    const bool is_in_time = !is_calm || job.saved_at() - plan.told_at <= seconds{4};
    ASSERT_TRUE(is_equal && saved_count <= 1 && (saved_count == 1 || !must_save) && is_in_time)
        << "seed " << seed << ": steps of " << plan.step_time / milliseconds{1} << " ms, then "
        << plan.slow_step_time / milliseconds{1} << "; stall "
        << plan.longest_stall / milliseconds{1} << "; confirms " << plan.does_rank_confirm
        << "; both " << plan.do_both_tell << "; every " << plan.report_every
        << "; 0:" << text(told[0]) << "; 1:" << text(told[1]) << "; 2:" << text(told[2])
        << "; 3:" << text(told[3]);
  }
}

// Goal: a rank that reports another step each time acts within a second of the longest agreement,
// also where its step is far from those of the others and its steps stand still. Method: senseless
// steps in the page, and one rank that asks every 10 ms.
TEST(PulseLockstep, NoStepHoldsADirectiveForLong) {
  struct Case {
    std::int64_t reported;
    bool does_own_step_go_on;
  };
  for (const Case& c :
       {Case{.reported = 100, .does_own_step_go_on = true},
        Case{.reported = 100, .does_own_step_go_on = false},
        Case{.reported = 1'000'000'000, .does_own_step_go_on = true},
        Case{.reported = std::numeric_limits<std::int64_t>::max(), .does_own_step_go_on = false}}) {
    const std::unique_ptr<PageLayout> page = page_of_ranks(c.reported, milliseconds{1});
    agree(*page, Teller::Agent, kPause, at(seconds{0}));
    Agreement heard;
    std::int64_t step = 50;
    Nanoseconds now{0};
    while (heard.due(Teller::Agent, *page, step, ns(at(now))) == 0 && now < seconds{60}) {
      now += milliseconds{10};
      step += c.does_own_step_go_on ? 1 : 0;
    }
    EXPECT_LE(now, kLongestAgreement + seconds{1}) << c.reported << ", " << c.does_own_step_go_on;
  }
}

// --- settled steps -------------------------------------------------------------------------------

AgreedWord word_of(const PageLayout& page) {
  return AgreedWord::unpack(page.group.agent_told.load());
}

// Goal: nothing changes before a word is late; then whoever looks first settles a step: a quarter
// of a second ahead, the next one when time is up, its own one where no other can have looked in
// it. Method: one look, at several times, with steps of several lengths.
TEST(PulseSettled, TheLaterTheNearer) {
  struct Case {
    Nanoseconds step_time;
    Nanoseconds looks_at;
    std::int64_t expected_step;
    bool is_settled;
  };
  for (const Case& c :
       {Case{milliseconds{10}, milliseconds{1'990}, 1'000, false},
        Case{milliseconds{10}, seconds{2}, 200 + 25, true},
        Case{milliseconds{700}, seconds{2}, 201, true},
        Case{milliseconds{10}, seconds{3}, 201, true}, Case{seconds{2}, seconds{3}, 201, true},
        Case{seconds{3}, milliseconds{2'990}, 201, true},
        Case{seconds{3}, seconds{3}, 200, true}}) {
    const std::unique_ptr<PageLayout> page = page_of_ranks(100, c.step_time);
    agree(*page, Teller::Agent, kPause, at(seconds{0}), 1'000);
    page->process.step.store(200);
    Agreement heard;
    const std::uint32_t told = heard.due(Teller::Agent, *page, 200, ns(at(c.looks_at)));
    EXPECT_EQ(told, c.expected_step == 200 ? kPause : 0U) << c.looks_at.count();
    EXPECT_EQ(word_of(*page).act_at_step, c.expected_step) << c.looks_at.count();
    EXPECT_EQ(word_of(*page).is_settled, c.is_settled) << c.looks_at.count();
    EXPECT_EQ(word_of(*page).directive, kPause);
  }
}

// Goal: a settled step counts for ranks that have heard the first one, and is made nearer once more
// if it is not reached in half a second. Method: two ranks; steps become slower after the first.
TEST(PulseSettled, AllHearTheNearerStep) {
  const std::unique_ptr<PageLayout> page = page_of_ranks(100, milliseconds{10});
  agree(*page, Teller::Agent, kPause, at(seconds{0}));  // at 201
  std::array<Agreement, 2> ranks;
  const auto due = [&](std::size_t rank, std::int64_t step, Nanoseconds now) {
    page->process.step.store(step);
    return ranks.at(rank).due(Teller::Agent, *page, step, ns(at(now)));
  };
  EXPECT_EQ(due(1, 110, milliseconds{1'900}), 0U);
  EXPECT_EQ(due(0, 120, milliseconds{2'000}), 0U);
  EXPECT_EQ(word_of(*page).act_at_step, 145);
  EXPECT_EQ(due(1, 120, milliseconds{2'100}), 0U);
  EXPECT_EQ(due(1, 121, milliseconds{2'450}), 0U);
  EXPECT_EQ(due(0, 121, milliseconds{2'500}), 0U);
  EXPECT_EQ(word_of(*page).act_at_step, 122);
  EXPECT_EQ(due(1, 122, milliseconds{2'700}), kPause);
  EXPECT_EQ(due(0, 122, milliseconds{2'701}), kPause);
}

// Goal: a CHECKPOINT whose step is settled anew makes nobody save twice, and a rank that has not
// heard of it when the next directive comes saves all the same. Method: one rank is past the step;
// another hears the PAUSE that follows without having seen the settled step.
TEST(PulseSettled, ACheckpointStillCountsOnce) {
  const std::unique_ptr<PageLayout> page = page_of_ranks(100, milliseconds{400});
  agree(*page, Teller::Agent, kCheckpoint, at(seconds{0}));  // at 103
  std::array<Agreement, 3> ranks;
  const auto due = [&](std::size_t rank, std::int64_t step, Nanoseconds now) {
    return ranks.at(rank).due(Teller::Agent, *page, step, ns(at(now)));
  };
  EXPECT_EQ(due(0, 103, milliseconds{1'900}), kCheckpoint);
  EXPECT_EQ(due(2, 101, milliseconds{1'900}), 0U);
  EXPECT_EQ(due(1, 101, milliseconds{2'000}), 0U);
  EXPECT_EQ(word_of(*page).act_at_step, 102);
  EXPECT_EQ(due(1, 102, milliseconds{2'100}), kCheckpoint);
  EXPECT_EQ(due(0, 104, milliseconds{2'200}), 0U) << "it has saved";
  page->process.step.store(104);
  agree(*page, Teller::Agent, kPause, at(milliseconds{2'300}));
  EXPECT_EQ(due(1, 103, milliseconds{2'400}), 0U) << "it has saved";
  EXPECT_EQ(due(2, 102, milliseconds{2'400}), kCheckpoint);
  EXPECT_EQ(due(2, 103, milliseconds{2'500}), 0U) << "once";
  EXPECT_EQ(due(2, 107, milliseconds{2'600}), kPause);
}

// Goal: a more urgent directive keeps a settled step that is still ahead. Method: the step before.
TEST(PulseSettled, AMoreUrgentOneKeepsTheStep) {
  const std::unique_ptr<PageLayout> page = page_of_ranks(100, milliseconds{10});
  agree(*page, Teller::Agent, kCheckpoint, at(seconds{0}), 1'000);
  Agreement heard;
  EXPECT_EQ(heard.due(Teller::Agent, *page, 100, ns(at(seconds{3}))), 0U);
  agree(*page, Teller::Agent, kPause, at(seconds{3}));
  EXPECT_EQ(word_of(*page).act_at_step, 101);
  EXPECT_EQ(heard.due(Teller::Agent, *page, 101, ns(at(seconds{3}))), kPause);
}

// Goal: what agent and ranks say of one step stays one step, or a CHECKPOINT would count twice.
// Method: between the two looks another rank measures another step time.
TEST(PulseSettled, BothTellersSettleOneStep) {
  const std::unique_ptr<PageLayout> page = page_of_ranks(100, milliseconds{10});
  agree(*page, Teller::Agent, kCheckpoint, at(seconds{0}));
  agree(*page, Teller::Ranks, kCheckpoint, at(milliseconds{1}));
  Agreement heard;
  EXPECT_EQ(heard.due(Teller::Agent, *page, 100, ns(at(seconds{2}))), 0U);
  page->group.step_time_ns.store(milliseconds{50} / Nanoseconds{1});
  EXPECT_EQ(heard.due(Teller::Ranks, *page, 100, ns(at(seconds{2}))), 0U);
  EXPECT_EQ(word_of(*page).act_at_step, 125);
  EXPECT_EQ(AgreedWord::unpack(page->group.ranks_told.load()).act_at_step, 125);
}

// Goal: a rank that settles a step never takes back what is told meanwhile. Method: two ranks
// settle whatever is told, without a pause, while PAUSE is told and withdrawn.
TEST(PulseSettled, NoDirectiveIsLostToARace) {
  const std::unique_ptr<PageLayout> page = page_of_ranks(1, milliseconds{10});
  std::atomic<bool> is_over{false};
  std::array<std::thread, 2> ranks;
  for (std::thread& rank : ranks) {
    rank = std::thread([&] {
      while (!is_over.load()) {
        Agreement heard;
        (void)heard.due(Teller::Agent, *page, 1, ns(at(seconds{2})));
      }
    });
  }
  int lost_count = 0;
  for (std::int64_t count = 0; count < 200'000; ++count) {
    const std::uint32_t directive = count % 2 == 0 ? kPause : 0;
    agree(*page, Teller::Agent, directive, at(seconds{0}), 1'000'000);
    lost_count += word_of(*page).directive == directive ? 0 : 1;
  }
  is_over.store(true);
  for (std::thread& rank : ranks) {
    rank.join();
  }
  EXPECT_EQ(lost_count, 0);
}

// Goal: the same with real threads that race for the word. Method: each step ends at a barrier; the
// clock jumps so that words become late while all look; the looks of a step come in any order.
TEST(PulseSettled, ThreadsInLockstepActTogether) {
  for (int round = 0; round < 300; ++round) {
    const std::unique_ptr<PageLayout> page = page_of_ranks(0, milliseconds{1});
    agree(*page, Teller::Agent, kPause, at(seconds{0}), 1'000'000);
    agree(*page, Teller::Ranks, kPause, at(seconds{0}));
    std::array<std::int64_t, kRankCount> acted_at{};
    std::barrier all(static_cast<std::ptrdiff_t>(kRankCount));
    std::atomic<std::int64_t> now_ns{ns(at(milliseconds{1'990}))};
    std::array<std::thread, kRankCount> threads;
    for (std::size_t rank = 0; rank < kRankCount; ++rank) {
      threads.at(rank) = std::thread([&, rank] {
        Agreement heard;
        for (std::int64_t step = 1; step < 200; ++step) {
          page->process.step.store(step);
          const std::int64_t now = now_ns.fetch_add(std::int64_t{1'000'000} * (1 + round % 7));
          if (std::max(heard.due(Teller::Agent, *page, step, now),
                       heard.due(Teller::Ranks, *page, step, now)) != 0) {
            acted_at.at(rank) = step;
            all.arrive_and_drop();
            return;
          }
          all.arrive_and_wait();
        }
        all.arrive_and_drop();
      });
    }
    for (std::thread& thread : threads) {
      thread.join();
    }
    EXPECT_GT(acted_at[0], 0);
    for (const std::int64_t step : acted_at) {
      ASSERT_EQ(step, acted_at[0]) << "round " << round;
    }
  }
}

}  // namespace
}  // namespace finops::pulse
