// test_security_files.cpp - files that somebody put in the way: links, pipes, devices, folders.
//
// Owns: what the home, the live folder and the ledger do with them. Does not own: what a page holds
// (test_pulse.cpp), the command line (tests/python/test_security.py).
// Invariant: after every attack the victim, a file outside the home, is as it was.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <memory>
#include <string>

#include "finops/agent/agent.hpp"
#include "finops/base/private_file.hpp"
#include "finops/ledger/home.hpp"
#include "finops/pulse/own_page.hpp"
#include "finops/pulse/scanner.hpp"
#include "ledger/write_lock.hpp"
#include "support.hpp"
#include "tracker/group_file.hpp"

namespace finops::testing {
namespace {

using std::chrono::seconds;
namespace fs = std::filesystem;

class Security : public ::testing::Test {
 protected:
  void SetUp() override {
    write(victim_, kPrecious);
    chmod(victim_.c_str(), 0600);
  }
  void TearDown() override {
    std::ifstream file(victim_);
    const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    EXPECT_EQ(text, kPrecious) << "the victim was written to";
    EXPECT_EQ(mode_of(victim_), 0600U);
  }

  static void write(const std::string& path, const std::string& text) {
    std::ofstream(path) << text;
  }
  static unsigned mode_of(const std::string& path) {
    struct stat info{};
    EXPECT_EQ(lstat(path.c_str(), &info), 0) << path;
    return info.st_mode & 0777U;
  }

  /// Puts something in the way at `path`.
  void plant(const std::string& kind, const std::string& path) const {
    fs::remove_all(path);
    if (kind == "symlink") {
      fs::create_symlink(victim_, path);
    } else if (kind == "dangling symlink") {
      fs::create_symlink(outside_ / "made", path);
    } else if (kind == "hard link") {
      fs::create_hard_link(victim_, path);
    } else if (kind == "pipe") {
      ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
    } else if (kind == "folder") {
      ASSERT_EQ(mkdir(path.c_str(), 0700), 0);
    } else if (kind == "device") {
      fs::create_symlink("/dev/zero", path);  // making a device needs more rights than a test has
    } else {
      ASSERT_EQ(kind, "writable");
      write(path, "");
      chmod(path.c_str(), 0666);
    }
  }

  static constexpr const char* kPrecious = "precious";
  static constexpr const char* kKinds[] = {"symlink", "dangling symlink", "hard link", "pipe",
                                           "folder",  "device",           "writable"};
  TempDir outside_;
  std::string victim_ = outside_ / "victim";
  TempDir folder_;
  std::string home_path_ = folder_ / "home";
  Home home_ = open_home(home_path_);
};

std::unique_ptr<pulse::OwnPage> make_page(const Home& home, const std::string& run_id) {
  return pulse::OwnPage::create(home.live_path(), example_page(run_id, SystemClock{}.now()));
}

// --- opening -------------------------------------------------------------------------------------

// Goal: only a plain file of ours with one name is opened, and nothing is made elsewhere. Method:
// each kind of thing at the path, with and without O_CREAT; then a plain file.
TEST_F(Security, OpensPlainFilesOfOursOnly) {
  const std::string path = folder_ / "file";
  for (const char* kind : kKinds) {
    plant(kind, path);
    for (const int flags : {O_RDWR, O_RDWR | O_CREAT, O_RDWR | O_CREAT | O_EXCL}) {
      const PrivateFile file = open_private_file(path, flags);
      EXPECT_FALSE(file.is_open()) << kind;
      EXPECT_EQ(file.error_number, (flags & O_EXCL) != 0 ? EEXIST : EPERM) << kind;
      EXPECT_NE(file.why.find(path), std::string::npos) << file.why;
    }
  }
  EXPECT_FALSE(fs::exists(outside_ / "made"));
  fs::remove_all(path);
  EXPECT_EQ(open_private_file(path, O_RDWR).error_number, ENOENT);
  const PrivateFile made = open_private_file(path, O_RDWR | O_CREAT);
  ASSERT_TRUE(made.is_open()) << made.why;
  close(made.descriptor);
  const PrivateFile again = open_private_file(path, O_RDWR | O_CREAT);
  ASSERT_TRUE(again.is_open()) << again.why;
  close(again.descriptor);
}

// Goal: whatever the umask, files are 0600 and folders 0700, the folders above as well. Method: a
// home with everything in it, made under four umasks.
TEST_F(Security, MakesPrivateFilesUnderAnyUmask) {
  for (const mode_t mask : {0U, 022U, 077U, 0777U}) {
    const std::string above = folder_ / ("above" + std::to_string(mask));
    const mode_t before = umask(mask);
    const Home home = open_home(above + "/state/finops");
    open_ledger(home.ledger_path(), {})->copy_to(home.path + "/copy.db");
    const auto page = make_page(home, "run1");
    tracker::GroupFile group(home.live_path(), "g");
    EXPECT_TRUE(group.try_lock());
    const SystemClock clock;
    agent::Agent agent({.home = home, .policies = {}, .name = "test"}, clock);
    EXPECT_TRUE(agent.try_serve());
    agent.adopt(page.get());
    (void)agent.tick();
    umask(before);
    int files = 0;
    for (const auto& entry : fs::recursive_directory_iterator(above)) {
      const unsigned expected = entry.is_directory() ? 0700U : 0600U;
      EXPECT_EQ(mode_of(entry.path()), expected) << entry.path() << " under umask " << mask;
      files += entry.is_directory() ? 0 : 1;
    }
    EXPECT_EQ(mode_of(above), 0700U);
    EXPECT_GE(files, 7) << "ledger, its log and lock, a copy, a page, a group, the agent's lock";
  }
}

// --- the home ------------------------------------------------------------------------------------

// Goal: a home that others can write to, or that is no folder, is refused with what to type, at the
// start and while a guard runs. Method: rights around the limit on home and live folder.
TEST_F(Security, RefusesAHomeThatOthersCanWrite) {
  struct Case {
    unsigned mode;
    bool is_safe;
  };
  const SystemClock clock;
  agent::Agent agent({.home = home_, .policies = {}, .name = "test"}, clock);
  ASSERT_TRUE(agent.try_serve());
  const auto page = make_page(home_, "run1");
  for (const std::string& path : {home_.path, home_.live_path()}) {
    for (const Case& c : {Case{0700, true}, Case{0755, true}, Case{0770, false}, Case{0720, false},
                          Case{0702, false}, Case{01777, false}}) {
      chmod(path.c_str(), c.mode);
      const std::string message = message_of([&] { (void)open_home(home_.path); });
      EXPECT_EQ(message.empty(), c.is_safe) << path << " " << c.mode << message;
      EXPECT_EQ(message.find("chmod 700 " + path) != std::string::npos, !c.is_safe) << message;
      const agent::TickReport report = agent.tick();
      const std::string warning = report.warnings.empty() ? "" : report.warnings[0];
      EXPECT_EQ(warning.find("chmod 700 " + path) != std::string::npos, !c.is_safe) << warning;
      if (path == home_.path) {
        const std::string code = code_of([&] { (void)open_ledger(home_.ledger_path(), {}); });
        EXPECT_EQ(code, c.is_safe ? "none" : "PermissionDenied") << c.mode;
      }
    }
    chmod(path.c_str(), 0700);
  }
  EXPECT_TRUE(agent.tick().warnings.empty()) << "it goes on once the rights are right";
}

// Goal: a link in the place of the home is refused, wherever it leads and however it is written;
// links above it are followed, and the home has one path then. Method: one link, pointed at each.
TEST_F(Security, RefusesALinkInThePlaceOfTheHome) {
  const std::string link = folder_ / "link";
  for (const std::string& target : {home_.path, victim_, outside_ / "nothing"}) {
    fs::create_symlink(target, link);
    for (const std::string& path : {link, link + "/", link + "/.", folder_ / "./x/../link"}) {
      EXPECT_EQ(code_of([&] { (void)open_home(path); }), "PermissionDenied") << path;
      EXPECT_EQ(code_of([&] { (void)check_readable_home(path); }), "PermissionDenied") << path;
    }
    fs::remove(link);
  }
  EXPECT_FALSE(fs::exists(outside_ / "nothing"));
  fs::create_symlink(folder_.path(), outside_ / "above");
  EXPECT_EQ(open_home(outside_ / "above/home").path, home_.path);
  EXPECT_EQ(check_readable_home(outside_ / "above/home"), home_.path);
}

// Goal: a live folder that is a link is refused, at the start and when it becomes one while a guard
// runs; nothing in the other folder is touched. Method: another folder with a page of a dead run.
TEST_F(Security, RefusesALiveFolderThatIsALink) {
  const Home other = open_home(outside_ / "other");
  {
    const auto dead = make_page(other, "dead");
  }
  const std::string page = other.live_path() + "/dead-1.page";
  const SystemClock clock;
  agent::Agent agent({.home = home_, .policies = {}, .name = "test"}, clock);
  ASSERT_TRUE(agent.try_serve());
  ASSERT_TRUE(agent.tick().warnings.empty());
  fs::remove_all(home_.live_path());
  fs::create_symlink(other.live_path(), home_.live_path());
  const agent::TickReport report = agent.tick();
  EXPECT_EQ(report.page_count, 0U);
  ASSERT_FALSE(report.warnings.empty());
  EXPECT_NE(report.warnings[0].find("is not a folder"), std::string::npos) << report.warnings[0];
  pulse::PageScanner scanner(home_.live_path());
  EXPECT_EQ(code_of([&] { scanner.scan(); }), "PermissionDenied");
  EXPECT_TRUE(fs::exists(page));
  EXPECT_EQ(code_of([&] { (void)open_home(home_.path); }), "PermissionDenied");
}

// Goal: where everybody can rename the home, people are told. Method: rights of the folder above.
TEST_F(Security, WarnsOfAFolderAboveThatAllCanWrite) {
  for (const unsigned mode : {0700U, 0775U, 01777U, 0777U}) {
    chmod(folder_.path().c_str(), mode);
    std::string warnings;
    for (const std::string& warning : open_home(home_.path).warnings) {
      warnings += warning;
    }
    EXPECT_EQ(warnings.find("can rename") != std::string::npos, mode == 0777U) << warnings;
  }
  chmod(folder_.path().c_str(), 0700);
}

// --- the live folder -----------------------------------------------------------------------------

// Goal: what is no page is skipped, told of once, and never touched or waited for. Method: each
// kind of thing as a page, beside a real one of another process.
TEST_F(Security, SkipsWhatIsNoPage) {
  Child child([&](const auto& say_ready) -> int {
    const auto page = make_page(home_, "real");
    say_ready();
    sleep_for_ever();
  });
  ASSERT_TRUE(child.is_ready());
  std::size_t count = 0;
  for (const char* kind : kKinds) {
    plant(kind, home_.live_path() + "/fake" + std::to_string(++count) + ".page");
  }
  pulse::PageScanner scanner(home_.live_path());
  scanner.scan();
  EXPECT_EQ(scanner.pages().size(), 1U);
  EXPECT_EQ(scanner.rejected().size(), count);
  scanner.scan();
  EXPECT_EQ(scanner.pages().size(), 1U);
  EXPECT_TRUE(scanner.rejected().empty());
  EXPECT_TRUE(scanner.pages()[0]->is_locked());
}

// Goal: another name of a live page does not make us drop the lock that proves its life. Method: a
// hard link to our own page is scanned by us; another process asks for the lock.
TEST_F(Security, KeepsItsLockWhenItsPageGetsAnotherName) {
  const auto page = make_page(home_, "run1");
  const std::string path = pulse::page_path(home_.live_path(), page->info().attempt_id);
  fs::create_hard_link(path, home_.live_path() + "/other-1.page");
  pulse::PageScanner scanner(home_.live_path());
  scanner.scan();
  EXPECT_EQ(scanner.rejected().size(), 1U) << "the other name; its own is not opened";
  fs::remove(home_.live_path() + "/other-1.page");
  Child observer([&](const auto&) {
    pulse::PageScanner other(home_.live_path());
    other.scan();
    return other.pages().size() == 1 && other.pages()[0]->is_locked() ? 0 : 1;
  });
  EXPECT_EQ(observer.wait(), 0);
}

// Goal: another name of the ledger in the live folder does not make us drop its locks. Method: a
// hard link to ledger.db as a page; an open transaction of ours while another process wants one.
TEST_F(Security, KeepsTheLedgersLocksWhenItGetsAnotherName) {
  const std::unique_ptr<Ledger> ledger = open_ledger(home_.ledger_path(), {});
  ledger->add_run(example_run("run1"));
  fs::create_hard_link(home_.ledger_path() + ".lock", home_.live_path() + "/lock-1.page");
  pulse::PageScanner scanner(home_.live_path());
  const ledger::WriteLock lock(home_.ledger_path() + ".lock", seconds{1});
  scanner.scan();
  fs::remove(home_.live_path() + "/lock-1.page");
  Child other([&](const auto&) {
    const std::string code = code_of([&] {
      const ledger::WriteLock second(home_.ledger_path() + ".lock", std::chrono::milliseconds{50});
    });
    return code == "LedgerUnavailable" ? 0 : 1;
  });
  EXPECT_EQ(other.wait(), 0);
}

// Goal: a page that another file has replaced between two scans is not taken for the old one: its
// lock says nothing of the run that is mapped. Method: the page of a live child is swapped for a
// copy, for a pipe, and for nothing.
TEST_F(Security, SeesThatAPageWasReplaced) {
  Child child([&](const auto& say_ready) -> int {
    const auto page = make_page(home_, "real");
    say_ready();
    sleep_for_ever();
  });
  ASSERT_TRUE(child.is_ready());
  const std::string path = home_.live_path() + "/real-1.page";
  pulse::PageScanner scanner(home_.live_path());
  scanner.scan();
  ASSERT_EQ(scanner.pages().size(), 1U);
  pulse::ForeignPage* mapped = scanner.pages()[0];
  fs::rename(path, home_.live_path() + "/away");
  fs::copy_file(home_.live_path() + "/away", path);
  EXPECT_TRUE(mapped->is_locked()) << "unknown, which is no proof of death";
  EXPECT_TRUE(mapped->holders().empty());
  mapped->page().process.step.store(7);
  scanner.scan();
  ASSERT_EQ(scanner.pages().size(), 1U);
  EXPECT_NE(scanner.pages()[0]->page().process.step.load(), 7) << "mapped anew";
  EXPECT_FALSE(scanner.pages()[0]->is_locked());
  plant("pipe", path);
  scanner.scan();
  EXPECT_TRUE(scanner.pages().empty());
  EXPECT_EQ(scanner.rejected().size(), 1U);
  fs::remove(path);
  scanner.scan();
  EXPECT_TRUE(scanner.pages().empty());
}

// Goal: what lies where a page is about to be made is neither written to nor removed. Method: each
// kind of thing as the unfinished page, then as the page itself.
TEST_F(Security, MakesNoPageThroughWhatIsThere) {
  const std::string unfinished = home_.live_path() + "/.run1-1.new";
  for (const char* kind : kKinds) {
    plant(kind, unfinished);
    const fs::file_type before = fs::symlink_status(unfinished).type();
    EXPECT_EQ(code_of([&] { make_page(home_, "run1"); }), "SystemFailure") << kind;
    EXPECT_EQ(fs::symlink_status(unfinished).type(), before) << kind;
    fs::remove_all(unfinished);
    const std::string path = home_.live_path() + "/run1-1.page";
    plant(kind, path);
    const std::string code = code_of([&] { make_page(home_, "run1"); });
    EXPECT_EQ(code, std::string(kind) == "folder" ? "SystemFailure" : "none") << kind;
    EXPECT_EQ(code_of([&] {
                plant(kind, path);
                pulse::OwnPage::attach(home_.live_path(), AttemptId{"run1-1"}, false);
              }),
              "NotFound")
        << kind;
    fs::remove_all(path);
  }
  EXPECT_FALSE(fs::exists(outside_ / "made"));
}

// --- locks and journals --------------------------------------------------------------------------

// Goal: locks, group files, journal and ledger are not what somebody put there, and say so. Method:
// each kind of thing in the place of each file.
TEST_F(Security, OpensNoLockThroughWhatIsThere) {
  const SystemClock clock;
  const auto take = [&](const std::string& name) {
    if (name == "agent.lock") {
      agent::Agent agent({.home = home_, .policies = {}, .name = "test"}, clock);
      agent.try_serve();
    } else if (name == "live/.group-g") {
      tracker::GroupFile(home_.live_path(), "g").try_lock();
    } else {
      open_ledger(home_.ledger_path(), {})->add_run(example_run("run1"));
    }
  };
  for (const char* name : {"agent.lock", "live/.group-g", "ledger.db", "ledger.db-wal",
                           "ledger.db-shm", "ledger.db-journal", "ledger.db.lock"}) {
    for (const char* kind : kKinds) {
      const std::string path = home_.path + "/" + name;
      plant(kind, path);
      const std::string message = message_of([&] { take(name); });
      EXPECT_NE(message.find(path), std::string::npos) << kind << " as " << name << ": " << message;
      EXPECT_NE(code_of([&] { take(name); }), "InternalError") << kind << " as " << name;
      fs::remove_all(path);
    }
    for (const char* suffix : {"", "-wal", "-shm", "-journal", ".lock"}) {
      fs::remove_all(home_.ledger_path() + suffix);
    }
  }
  EXPECT_FALSE(fs::exists(outside_ / "made"));
}

// Goal: a copy is not written through a link. Method: each kind of thing as the copy's name.
TEST_F(Security, CopiesThroughNothing) {
  const std::unique_ptr<Ledger> ledger = open_ledger(home_.ledger_path(), {});
  for (const char* kind : kKinds) {
    plant(kind, folder_ / "copy.db");
    EXPECT_EQ(code_of([&] { ledger->copy_to(folder_ / "copy.db"); }), "InvalidArgument") << kind;
  }
  EXPECT_FALSE(fs::exists(outside_ / "made"));
}

// --- other users ---------------------------------------------------------------------------------

// Goal: what belongs to another user is refused. Method: home, ledger, lock and page of user 65534,
// seen by root; needs root to give files away.
TEST_F(Security, RefusesWhatBelongsToAnotherUser) {
  if (geteuid() != 0) {
    GTEST_SKIP() << "only root can give a file to another user";
  }
  constexpr uid_t kNobody = 65'534;
  open_ledger(home_.ledger_path(), {})->add_run(example_run("run1"));
  const auto refusal = [&](const std::string& path, const auto& call) {
    EXPECT_EQ(lchown(path.c_str(), kNobody, kNobody), 0);
    const std::string message = message_of(call);
    EXPECT_EQ(lchown(path.c_str(), 0, 0), 0);
    EXPECT_NE(message.find("65534"), std::string::npos) << path << ": " << message;
  };
  const auto open = [&] { (void)open_ledger(home_.ledger_path(), {}); };
  refusal(home_.path, [&] { (void)open_home(home_.path); });
  refusal(home_.live_path(), [&] { (void)open_home(home_.path); });
  refusal(home_.path, open);
  for (const char* suffix : {"", "-wal", "-shm"}) {
    refusal(home_.ledger_path() + suffix, open);
  }
  refusal(home_.ledger_path(),
          [&] { (void)open_ledger(home_.ledger_path(), {.read_only = true}); });
  refusal(home_.path, [&] { (void)check_readable_home(home_.path); });
}

// Goal: another user cannot read or write a home. Method: a child that becomes user 65534 and tries
// each file; needs root to become another user.
TEST_F(Security, OthersReachNothing) {
  if (geteuid() != 0) {
    GTEST_SKIP() << "only root can become another user";
  }
  const auto page = make_page(home_, "run1");
  open_ledger(home_.ledger_path(), {})->add_run(example_run("run1"));
  chmod(folder_.path().c_str(), 0755);
  Child child([&](const auto&) {
    if (setgid(65'534) != 0 || setuid(65'534) != 0) {
      return 2;
    }
    int reached = 0;
    for (const std::string& path : {home_.path, home_.ledger_path(), home_.live_path(),
                                    home_.live_path() + "/run1-1.page", home_.path + "/new"}) {
      reached +=
          open(path.c_str(), O_RDONLY) >= 0 || open(path.c_str(), O_RDWR | O_CREAT, 0600) >= 0 ? 1
                                                                                               : 0;
    }
    return reached == 0 && code_of([&] { (void)open_home(home_.path); }) == "PermissionDenied" ? 0
                                                                                               : 1;
  });
  EXPECT_EQ(child.wait(), 0);
}

}  // namespace
}  // namespace finops::testing
