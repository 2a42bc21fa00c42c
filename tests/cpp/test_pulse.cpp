// test_pulse.cpp - tests of the live page: its bytes, its lock, and what other processes see of it.
//
// Owns: the checks of include/finops/pulse. Does not own: what is made of a page (test_agent.cpp).
// Invariant: other processes are real forks; none outlives its test.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "finops/pulse/own_page.hpp"
#include "finops/pulse/page.hpp"
#include "finops/pulse/scanner.hpp"
#include "support.hpp"

namespace finops::pulse {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::Child;
using testing::code_of;
using testing::example_page;
using testing::TempDir;

/// Every field set to something that no other field has.
PageInfo full_info() {
  PageInfo info =
      example_page("run1", {UtcTime{seconds{1}}, BootTime{seconds{2}}, MonotonicTime{seconds{3}}});
  info.parent_run_id = "run0";
  info.name = "night, 'ä'";
  info.resource = "8xH100";
  info.price_id = "sku+abc";
  info.budget_id = "experiment:vision/resnet";
  info.long_running_reason = "a server";
  info.currency = "USD";
  info.price_units = 88;
  info.price_picos = 490'000'000'007;
  info.used_micro_gpus = 3;
  info.block_micro_gpus = 7;
  info.silence_limit = seconds{6};
  info.max_duration = hours{7};
  info.is_command = true;
  info.is_long_running = true;
  info.is_hard_budget = false;
  return info;
}

/// All fields as one text, to compare two infos and to see which field differs.
std::string text_of(const PageInfo& info) {
  std::string text;
  for (const std::string& part :
       {info.run_id.str(), info.attempt_id.str(), info.parent_run_id, info.project, info.experiment,
        info.name, info.user_name, info.host, info.resource, info.price_id, info.budget_id,
        info.long_running_reason, info.currency, info.process.boot_id}) {
    text += part + "|";
  }
  for (const std::int64_t part :
       {info.price_units, info.price_picos, info.used_micro_gpus, info.block_micro_gpus,
        std::int64_t{info.process.pid}, static_cast<std::int64_t>(info.process.start_ticks),
        info.started_at.utc.time_since_epoch().count(),
        info.started_at.boot.time_since_epoch().count(),
        info.started_at.monotonic.time_since_epoch().count(), info.silence_limit.count(),
        info.max_duration.count(), info.lease_term.count(), info.check_gap.count(),
        info.stop_time.count(), info.billing_quantum.count(), std::int64_t{info.is_command},
        std::int64_t{info.is_long_running}, std::int64_t{info.is_hard_budget}}) {
    text += std::to_string(part) + "|";
  }
  return text;
}

/// `why` if the part is rejected; empty if it is not.
std::string rejection_of(const StaticPart& part) {
  std::string why;
  return decode(part, why).has_value() ? "" : why;
}

StaticPart encoded(const PageInfo& info) {
  StaticPart part{};
  encode(info, part);
  return part;
}

// --- the static part -----------------------------------------------------------------------------

// Goal: what is written is what is read. Method: every field set; then every text empty that may
// be.
TEST(PulsePage, GivesBackWhatWasWritten) {
  std::string why;
  const PageInfo full = full_info();
  EXPECT_EQ(text_of(decode(encoded(full), why).value()), text_of(full));
  const PageInfo plain = example_page("r", SystemClock{}.now());
  EXPECT_EQ(text_of(decode(encoded(plain), why).value()), text_of(plain));
}

// Goal: no damaged byte goes unnoticed. Method: each bit of each byte of the static part is
// flipped, one at a time; where nothing rests on the byte, what is read is the same.
TEST(PulsePage, NoticesEveryFlippedBit) {
  const PageInfo info = full_info();
  const StaticPart good = encoded(info);
  int rejected = 0;
  for (std::size_t i = 0; i < good.bytes.size(); ++i) {
    StaticPart bad = good;
    bad.bytes[i] = static_cast<char>(bad.bytes[i] ^ (1 << (i % 8)));
    std::string why;
    const std::optional<PageInfo> read = decode(bad, why);
    if (read.has_value()) {
      ASSERT_EQ(text_of(*read), text_of(info)) << "byte " << i;
    } else {
      ASSERT_FALSE(why.empty()) << "byte " << i;
      ++rejected;
    }
  }
  EXPECT_GT(rejected, 290) << "the checksum covers all that is written";
}

// Goal: a whole page with senseless values is rejected with the reason. Method: one value at a
// time, below or above its range, beside the nearest good one.
TEST(PulsePage, RejectsNonsense) {
  struct Case {
    const char* what;
    void (*change)(PageInfo&);
    const char* why;
  };
  const Case cases[] = {
      {"as it is", [](PageInfo&) {}, ""},
      {"pid 1", [](PageInfo& info) { info.process.pid = 1; }, ""},
      {"pid 0", [](PageInfo& info) { info.process.pid = 0; }, "pid"},
      {"pid -1", [](PageInfo& info) { info.process.pid = -1; }, "pid"},
      {"no run", [](PageInfo& info) { info.run_id = RunId{}; }, "ids"},
      {"a path", [](PageInfo& info) { info.attempt_id = AttemptId{"../x"}; }, "ids"},
      {"no project", [](PageInfo& info) { info.project = ""; }, "project"},
      {"no experiment", [](PageInfo& info) { info.experiment = ""; }, "experiment"},
      {"0 GPUs", [](PageInfo& info) { info.used_micro_gpus = 0; }, "share"},
      {"a block of 0", [](PageInfo& info) { info.block_micro_gpus = 0; }, "share"},
      {"a free price", [](PageInfo& info) { info.price_units = info.price_picos = 0; }, ""},
      {"a negative price", [](PageInfo& info) { info.price_units = -1; }, "price"},
      {"negative picos", [](PageInfo& info) { info.price_picos = -1; }, "price"},
      {"no limit", [](PageInfo& info) { info.silence_limit = seconds{0}; }, ""},
      {"a negative duration", [](PageInfo& info) { info.max_duration = Nanoseconds{-1}; },
       "limits"},
      {"a negative limit", [](PageInfo& info) { info.silence_limit = Nanoseconds{-1}; }, "limits"},
      {"a year", [](PageInfo& info) { info.lease_term = hours{24 * 366}; }, ""},
      {"over a year", [](PageInfo& info) { info.lease_term = hours{24 * 366} + Nanoseconds{1}; },
       "limits"},
  };
  for (const Case& c : cases) {
    PageInfo info = full_info();
    c.change(info);
    const std::string why = rejection_of(encoded(info));
    EXPECT_EQ(why.empty(), std::string(c.why).empty()) << c.what << ": " << why;
    EXPECT_NE(why.find(c.why), std::string::npos) << c.what << ": " << why;
  }
}

// Goal: a price that money cannot hold is no price. Method: picos at and past their range, and a
// currency that is none.
TEST(PulsePage, RejectsAPriceThatIsNoMoney) {
  PageInfo info = full_info();
  info.price_picos = 999'999'999'999;
  EXPECT_EQ(rejection_of(encoded(info)), "");
  info.price_picos = 1'000'000'000'000;
  EXPECT_NE(rejection_of(encoded(info)), "");
  info = full_info();
  info.currency = "usd";
  EXPECT_NE(rejection_of(encoded(info)), "");
}

// Goal: texts that do not fit are refused, not cut. Method: one text around its limit; all texts
// together past the page.
TEST(PulsePage, RefusesTextsThatDoNotFit) {
  PageInfo info = full_info();
  info.resource = std::string(300, 'x');
  EXPECT_EQ(code_of([&] { encoded(info); }), "none");
  info.resource = std::string(301, 'x');
  EXPECT_EQ(code_of([&] { encoded(info); }), "InvalidArgument");
  info.resource = info.name = info.host = info.price_id = info.budget_id = std::string(300, 'x');
  info.long_running_reason = info.user_name = std::string(300, 'x');
  EXPECT_EQ(code_of([&] { encoded(info); }), "InvalidArgument");
}

// --- checkpoints and directives ------------------------------------------------------------------

PageCheckpoint checkpoint(std::uint64_t count) {
  return {.count = count,
          .step = static_cast<std::int64_t>(count) * 100,
          .confirmed_at = UtcTime{seconds{count}},
          .path = "/ckpt/" + std::to_string(count)};
}

// Goal: a kill in the middle of writing leaves the older checkpoint. Method: three are written,
// then each byte of the newest is damaged in turn, as a torn write would.
TEST(PulseCheckpoint, ATornWriteLeavesTheOlder) {
  auto page = std::make_unique<PageLayout>();
  EXPECT_FALSE(read_checkpoint(*page).has_value());
  for (std::uint64_t count = 1; count <= 3; ++count) {
    write_checkpoint(*page, checkpoint(count));
    const PageCheckpoint read = read_checkpoint(*page).value();
    EXPECT_EQ(read.count, count);
    EXPECT_EQ(read.step, static_cast<std::int64_t>(count) * 100);
    EXPECT_EQ(read.confirmed_at, UtcTime{seconds{count}});
    EXPECT_EQ(read.path, "/ckpt/" + std::to_string(count));
  }
  CheckpointSlot& newest = page->checkpoints[3 % 2];
  const CheckpointSlot whole = newest;
  for (std::size_t i = 0; i < newest.path.size(); i += 7) {
    newest.path[i] = static_cast<char>(newest.path[i] ^ 1);
    ASSERT_EQ(read_checkpoint(*page).value().count, 2U) << "byte " << i;
    newest = whole;
  }
  newest.step += 1;
  EXPECT_EQ(read_checkpoint(*page).value().count, 2U);
  newest = whole;
  newest.path_size = 701;
  EXPECT_EQ(read_checkpoint(*page).value().count, 2U) << "longer than the slot";
  newest = whole;
  EXPECT_EQ(read_checkpoint(*page).value().count, 3U);
}

// Goal: a path fits up to 700 bytes, and one too long leaves what was there. Method: 700 and 701.
TEST(PulseCheckpoint, TakesPathsThatFit) {
  auto page = std::make_unique<PageLayout>();
  PageCheckpoint long_path = checkpoint(1);
  long_path.path = std::string(kMaximumCheckpointPath, 'p');
  write_checkpoint(*page, long_path);
  EXPECT_EQ(read_checkpoint(*page).value().path, long_path.path);
  long_path.count = 2;
  long_path.path += 'p';
  EXPECT_EQ(code_of([&] { write_checkpoint(*page, long_path); }), "InvalidArgument");
  EXPECT_EQ(read_checkpoint(*page).value().count, 1U);
}

// Goal: a reason is cut to its place and never runs over. Method: lengths around the place's size.
TEST(PulseDirective, CutsAReasonToItsPlace) {
  auto page = std::make_unique<PageLayout>();
  const std::size_t room = page->reason.size() - 1;
  for (const std::size_t size : {std::size_t{0}, room - 1, room, room + 1, room * 3}) {
    write_directive(*page, 3, 1, std::string(size, 'r'));
    EXPECT_EQ(read_reason(*page), std::string(std::min(size, room), 'r')) << size;
    EXPECT_EQ(page->agent.directive.load(), 3U);
    EXPECT_EQ(page->agent.rule.load(), 1U);
  }
}

// --- own pages -----------------------------------------------------------------------------------

class PulseFiles : public ::testing::Test {
 protected:
  [[nodiscard]] PageInfo info_of(const std::string& run_id) const {
    return example_page(run_id, SystemClock{}.now());
  }
  [[nodiscard]] std::string file_of(const std::string& run_id) const {
    return folder_ / (run_id + "-1.page");
  }
  /// A child that makes a page and holds it until it is killed.
  std::unique_ptr<Child> holder(const std::string& run_id, bool is_command = false) {
    return std::make_unique<Child>([=, this](const std::function<void()>& say_ready) -> int {
      PageInfo info = info_of(run_id);
      info.is_command = is_command;
      const std::unique_ptr<OwnPage> own = OwnPage::create(folder_.path(), info);
      own->page().process.step.store(7);
      say_ready();
      testing::sleep_for_ever();
    });
  }
  std::string found(PageScanner& scanner) {
    scanner.scan();
    std::string ids;
    for (const ForeignPage* page : scanner.pages()) {
      ids += page->info().run_id.str() + " ";
    }
    return ids;
  }

  TempDir folder_;
};

// Goal: a page is private, allocated in full and complete when it can be seen. Method: the file of
// a new page.
TEST_F(PulseFiles, MakesAWholePrivateFile) {
  const std::unique_ptr<OwnPage> own = OwnPage::create(folder_.path(), info_of("run1"));
  struct stat info{};
  ASSERT_EQ(stat(file_of("run1").c_str(), &info), 0);
  EXPECT_EQ(info.st_size, 4'096);
  EXPECT_GE(info.st_blocks * 512, 4'096) << "a full disk must not be a SIGBUS later";
  EXPECT_EQ(info.st_mode & 0777U, 0600U);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_.path()), {}), 1);
  EXPECT_TRUE(own->is_owner());
  EXPECT_TRUE(own->is_keeper());
  EXPECT_TRUE(own->is_on_disk());
  EXPECT_TRUE(is_own_page(file_of("run1")));
  EXPECT_EQ(own->page().process.state.load(), ProcessState::Running);
}

// Goal: a failure leaves nothing behind. Method: a folder that is missing; an id that is a path;
// texts that do not fit; the same again with a good page.
TEST_F(PulseFiles, AFailedStartLeavesNothing) {
  PageInfo info = info_of("run1");
  EXPECT_EQ(code_of([&] { OwnPage::create(folder_ / "missing", info); }), "SystemFailure");
  info.attempt_id = AttemptId{"../run1"};
  EXPECT_EQ(code_of([&] { OwnPage::create(folder_.path(), info); }), "InvalidArgument");
  info = info_of("run1");
  info.name = std::string(301, 'x');
  EXPECT_EQ(code_of([&] { OwnPage::create(folder_.path(), info); }), "InvalidArgument");
  EXPECT_TRUE(std::filesystem::is_empty(folder_.path()));
  EXPECT_EQ(code_of([&] { OwnPage::create(folder_.path(), info_of("run1")); }), "none");
}

// Goal: release ends the process's part, remove ends the file; both may be repeated. Method: each
// in turn, twice.
TEST_F(PulseFiles, ReleasesAndRemoves) {
  const std::unique_ptr<OwnPage> own = OwnPage::create(folder_.path(), info_of("run1"));
  own->release();
  own->release();
  EXPECT_FALSE(own->is_owner());
  EXPECT_FALSE(is_own_page(file_of("run1")));
  own->page().process.step.store(1);  // the mapping stays for hot calls of other threads
  EXPECT_TRUE(std::filesystem::exists(file_of("run1")));
  own->remove();
  own->remove();
  EXPECT_FALSE(std::filesystem::exists(file_of("run1")));
}

// Goal: a page in memory works without a folder. Method: write and read; nothing is on disk.
TEST_F(PulseFiles, WorksInMemory) {
  const std::unique_ptr<OwnPage> own = OwnPage::in_memory(info_of("run1"));
  own->page().process.step.store(5);
  write_checkpoint(own->page(), checkpoint(1));
  EXPECT_EQ(read_checkpoint(own->page()).value().step, 100);
  EXPECT_FALSE(own->is_on_disk());
  EXPECT_TRUE(own->is_owner());
  own->remove();
  own->release();
  EXPECT_FALSE(own->is_owner());
}

// --- other processes -----------------------------------------------------------------------------

// Goal: a page of another process is found and read, and shows whether that process lives. Method:
// a child holds one; it is killed with SIGKILL; its page goes.
TEST_F(PulseFiles, ShowsWhetherAnotherProcessLives) {
  const std::unique_ptr<Child> child = holder("run1");
  ASSERT_TRUE(child->is_ready());
  PageScanner scanner(folder_.path());
  ASSERT_EQ(found(scanner), "run1 ");
  ForeignPage& page = *scanner.pages()[0];
  EXPECT_EQ(page.page().process.step.load(), 7);
  EXPECT_EQ(page.info().process.pid, child->pid());
  EXPECT_TRUE(page.is_locked());
  EXPECT_EQ(found(scanner), "run1 ") << "a second scan keeps it";
  EXPECT_EQ(scanner.pages()[0], &page) << "and maps it once";
  child->send(SIGKILL);
  child->wait();
  EXPECT_FALSE(page.is_locked());
  EXPECT_EQ(found(scanner), "run1 ") << "it waits to be settled";
  std::filesystem::remove(file_of("run1"));
  EXPECT_FALSE(page.is_locked());
  EXPECT_EQ(found(scanner), "");
}

// Goal: a scan never opens a page of its own process, which would drop its lock. Method: scans
// here, then a child asks whether the page is still locked.
TEST_F(PulseFiles, ScansLeaveOwnPagesAlone) {
  const std::unique_ptr<OwnPage> own = OwnPage::create(folder_.path(), info_of("run1"));
  const std::unique_ptr<Child> other = holder("run2");
  PageScanner scanner(folder_.path());
  EXPECT_EQ(found(scanner), "run2 ");
  EXPECT_EQ(found(scanner), "run2 ");
  EXPECT_TRUE(scanner.rejected().empty());
  EXPECT_EQ(code_of([&] { OwnPage::attach(folder_.path(), own->info().attempt_id); }), "Conflict");
  Child asker([&](const std::function<void()>&) {
    PageScanner theirs(folder_.path());
    theirs.scan();
    const auto mine =
        std::find_if(theirs.pages().begin(), theirs.pages().end(),
                     [](const ForeignPage* page) { return page->info().run_id == RunId{"run1"}; });
    return mine != theirs.pages().end() && (*mine)->is_locked() ? 0 : 1;
  });
  EXPECT_EQ(asker.wait(), 0);
}

// Goal: a forked child is no owner, and its end takes nothing from the parent. Method: the child
// releases and destroys its copy and exits; a second child asks for the lock.
TEST_F(PulseFiles, AForkedChildOwnsNothing) {
  std::unique_ptr<OwnPage> own = OwnPage::create(folder_.path(), info_of("run1"));
  Child copy([&](const std::function<void()>&) {
    const bool is_clean =
        !own->is_owner() && own->owner_mark().load() == 0 && !is_own_page(file_of("run1"));
    own->release();
    own.reset();
    return is_clean ? 0 : 1;
  });
  EXPECT_EQ(copy.wait(), 0);
  EXPECT_TRUE(own->is_owner());
  EXPECT_TRUE(is_own_page(file_of("run1")));
  Child asker([&](const std::function<void()>&) {
    PageScanner theirs(folder_.path());
    theirs.scan();
    return theirs.pages().size() == 1 && theirs.pages()[0]->is_locked() ? 0 : 1;
  });
  EXPECT_EQ(asker.wait(), 0);
}

// Goal: below `finops run` the first process is the keeper and others are not; any of them keeps
// the page alive. Method: two processes attach to the page of a third, which then dies.
TEST_F(PulseFiles, TheFirstToAttachKeeps) {
  const std::unique_ptr<Child> owner = holder("run1", true);
  ASSERT_TRUE(owner->is_ready());
  const AttemptId attempt_id = info_of("run1").attempt_id;
  Child reporter([&](const std::function<void()>& say_ready) -> int {
    const std::unique_ptr<OwnPage> page = OwnPage::attach(folder_.path(), attempt_id);
    if (!page->is_keeper()) {
      return 1;
    }
    say_ready();
    testing::sleep_for_ever();
  });
  ASSERT_TRUE(reporter.is_ready());
  Child listener([&](const std::function<void()>&) {
    return OwnPage::attach(folder_.path(), attempt_id)->is_keeper() ? 1 : 0;
  });
  EXPECT_EQ(listener.wait(), 0);
  PageScanner scanner(folder_.path());
  ASSERT_EQ(found(scanner), "run1 ");
  EXPECT_EQ(scanner.pages()[0]->page().process.reporter_pid.load(),
            static_cast<std::uint32_t>(reporter.pid()));
  owner->send(SIGKILL);
  owner->wait();
  EXPECT_TRUE(scanner.pages()[0]->is_locked()) << "its reporter lives";
  reporter.send(SIGKILL);
  reporter.wait();
  EXPECT_FALSE(scanner.pages()[0]->is_locked());
  EXPECT_EQ(code_of([&] { OwnPage::attach(folder_.path(), AttemptId{"no-1"}); }), "NotFound");
}

// Goal: what is no page of ours is told of once, with the reason, and hides no other page. Method:
// one good page among files that are each wrong in one way.
TEST_F(PulseFiles, RejectsWhatIsNoPage) {
  const std::unique_ptr<Child> good = holder("run1");
  ASSERT_TRUE(good->is_ready());
  std::filesystem::copy_file(file_of("run1"), file_of("other"));
  std::filesystem::copy_file(file_of("run1"), file_of("short"));
  std::filesystem::resize_file(file_of("short"), 4'095);
  std::filesystem::copy_file(file_of("run1"), file_of("flipped"));
  std::fstream(file_of("flipped"), std::ios::in | std::ios::out | std::ios::binary).seekp(40)
      << 'X';
  std::ofstream(file_of("empty")).close();
  std::ofstream(file_of("text")) << std::string(4'096, 'x');
  std::filesystem::create_directory(file_of("folder"));
  std::filesystem::create_symlink(file_of("run1"), file_of("link"));
  std::ofstream(folder_ / "notes.txt") << "not a page";
  PageScanner scanner(folder_.path());
  EXPECT_EQ(found(scanner), "run1 ");
  std::string reasons;
  for (const RejectedPage& rejected : scanner.rejected()) {
    EXPECT_FALSE(rejected.why.empty()) << rejected.path;
    reasons +=
        std::filesystem::path(rejected.path).filename().string() + ": " + rejected.why + "\n";
  }
  EXPECT_EQ(scanner.rejected().size(), 7U) << reasons;
  for (const char* part :
       {"other-1.page: it names another", "short-1.page: it is not a file of ours",
        "flipped-1.page: its checksum", "text-1.page: it is not a live page"}) {
    EXPECT_NE(reasons.find(part), std::string::npos) << part << " in\n" << reasons;
  }
  EXPECT_EQ(found(scanner), "run1 ");
  EXPECT_TRUE(scanner.rejected().empty()) << "told once";
  PageScanner missing(folder_ / "missing");
  EXPECT_EQ(code_of([&] { missing.scan(); }), "SystemFailure");
}

}  // namespace
}  // namespace finops::pulse
