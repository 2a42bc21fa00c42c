// test_durable_names.cpp - what must survive a power loss has a name that does: each folder is
// synced before anything in it is relied on.
//
// Owns: the checks of base/durable and of who calls it; this binary's fsync and fdatasync, which
// note what is synced and then do it. Does not own: what files hold (test_power_loss.cpp).
// Invariant: what is noted is what the kernel was asked for, in that order.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <mutex>
#include <string>
#include <vector>

#include "agent/intents.hpp"
#include "finops/base/durable.hpp"
#include "finops/ledger/home.hpp"
#include "finops/ledger/ledger.hpp"
#include "finops/pulse/own_page.hpp"
#include "support.hpp"

namespace finops::testing {
namespace {

class SyncLog {
 public:
  static SyncLog& instance() {
    static SyncLog log;
    return log;
  }
  void start() {
    const std::lock_guard<std::mutex> guard(mutex_);
    is_on_ = true;
    paths_.clear();
  }
  std::vector<std::string> stop() {
    const std::lock_guard<std::mutex> guard(mutex_);
    is_on_ = false;
    return std::move(paths_);
  }
  /// From now on the disk cannot sync this path; empty: it can sync all.
  void fail(const std::string& path) {
    const std::lock_guard<std::mutex> guard(mutex_);
    failing_ = path;
    is_on_ = is_on_ || !path.empty();
  }
  /// Whether the sync shall go on.
  bool note(int descriptor) {
    const std::lock_guard<std::mutex> guard(mutex_);
    if (!is_on_) {
      return true;
    }
    std::array<char, 4'096> path{};
    const std::string link = "/proc/self/fd/" + std::to_string(descriptor);
    const ssize_t size = readlink(link.c_str(), path.data(), path.size());
    paths_.emplace_back(path.data(), size > 0 ? static_cast<std::size_t>(size) : 0);
    return failing_ != paths_.back();
  }

 private:
  std::mutex mutex_;
  bool is_on_ = false;
  std::string failing_;
  std::vector<std::string> paths_;
};

/// What `work` synced, in order.
template <class Work>
std::vector<std::string> synced_by(Work work) {
  SyncLog::instance().start();
  work();
  return SyncLog::instance().stop();
}

/// Where `path` stands; the size if it is not there.
std::size_t place_of(const std::vector<std::string>& synced, const std::string& path) {
  return static_cast<std::size_t>(std::find(synced.begin(), synced.end(), path) - synced.begin());
}

int noted(int descriptor, long number) {
  if (!SyncLog::instance().note(descriptor)) {
    errno = EIO;
    return -1;
  }
  return static_cast<int>(syscall(number, descriptor));
}

bool has(const std::vector<std::string>& synced, const std::string& path) {
  return place_of(synced, path) < synced.size();
}

}  // namespace
}  // namespace finops::testing

// The library and SQLite call these instead of libc's.
// NOLINTBEGIN(readability-inconsistent-declaration-parameter-name): libc's name is reserved.
extern "C" int fsync(int descriptor) { return finops::testing::noted(descriptor, SYS_fsync); }

extern "C" int fdatasync(int descriptor) {
  return finops::testing::noted(descriptor, SYS_fdatasync);
}
// NOLINTEND(readability-inconsistent-declaration-parameter-name)

namespace finops::testing {
namespace {

// Goal: a folder is synced, and what cannot be synced is told. Method: one that is there, one that
// is not, and one that is a file; the parent of each form of path.
TEST(DurableNames, SyncAFolder) {
  const TempDir folder;
  EXPECT_EQ(synced_by([&] { EXPECT_TRUE(sync_folder(folder.path())); }),
            std::vector<std::string>{folder.path()});
  EXPECT_FALSE(sync_folder(folder / "missing"));
  EXPECT_EQ(errno, ENOENT);
  EXPECT_EQ(folder_of("/a/b"), "/a");
  EXPECT_EQ(folder_of("/a"), "/");
  EXPECT_EQ(folder_of("/"), "/");
  EXPECT_EQ(folder_of("a"), ".");
}

// Goal: a new home and its live folder have durable names. Method: a home two levels below what is
// there; a second opening has nothing to do.
TEST(DurableNames, OfTheHome) {
  const TempDir folder;
  const std::string home = folder / "state/finops";
  const std::vector<std::string> synced = synced_by([&] { (void)open_home(home); });
  EXPECT_TRUE(has(synced, folder / "state")) << "holds the name of the home";
  EXPECT_TRUE(has(synced, home)) << "holds the name of the live folder";
  EXPECT_TRUE(synced_by([&] { (void)open_home(home); }).empty());
}

// Goal: nothing is acknowledged in a ledger whose name may be lost. Method: the folder is synced
// before the log takes the first commit; the folders above are as well; a ledger that exists has
// nothing to do; one that was made by a process that then died, before any commit, is made durable.
TEST(DurableNames, OfTheLedgerBeforeItsFirstCommit) {
  const TempDir folder;
  const std::string home = folder / "state";
  std::filesystem::create_directory(home);
  const std::string path = home + "/ledger.db";
  for (const bool somebody_died : {false, true}) {
    std::filesystem::remove(path);
    std::filesystem::remove(path + "-wal");
    std::filesystem::remove(path + "-shm");
    if (somebody_died) {
      const int descriptor = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
      close(descriptor);
    }
    const std::vector<std::string> synced = synced_by([&] { (void)open_ledger(path, {}); });
    EXPECT_LT(place_of(synced, home), place_of(synced, path + "-wal"));
    EXPECT_LT(place_of(synced, folder.path()), place_of(synced, path + "-wal"));
    EXPECT_TRUE(has(synced, path + "-wal")) << "the schema's commit";
  }
  EXPECT_TRUE(synced_by([&] { (void)open_ledger(path, {}); }).empty());
}

// Goal: what cannot be made durable is refused, and leaves nothing behind that others would rely
// on. Method: the disk fails the sync of the folder of a ledger, of a page, of a journal; then it
// works again.
TEST(DurableNames, RefuseAFolderThatCannotBeSynced) {
  const TempDir folder;
  const ClockReading now = SystemClock().now();
  const auto open_new = [&] { (void)open_ledger(folder / "ledger.db", {}); };
  const auto create_page = [&] {
    (void)pulse::OwnPage::create(folder.path(), example_page("r", now));
  };
  agent::IntentJournal journal(folder / "intents.journal");
  const auto append = [&] { journal.append({.attempt_id = AttemptId{"a1"}}); };
  SyncLog::instance().fail(folder.path());
  EXPECT_EQ(code_of(open_new), "LedgerUnavailable");
  EXPECT_EQ(code_of(create_page), "SystemFailure");
  EXPECT_FALSE(std::filesystem::exists(folder / "r-1.page"));
  EXPECT_EQ(code_of(append), "SystemFailure");
  EXPECT_TRUE(journal.pending().empty());
  SyncLog::instance().fail("");
  EXPECT_EQ(code_of(open_new), "none");
  EXPECT_EQ(code_of(create_page), "none");
  EXPECT_EQ(code_of(append), "none");
  EXPECT_EQ(journal.pending().size(), 1U);
}

// Goal: an attempt that survives a power loss in the ledger can be settled: its page survives too.
// Method: the page's bytes, then its name, and both when `create` is back.
TEST(DurableNames, OfALivePage) {
  const TempDir live;
  const ClockReading now = SystemClock().now();
  const std::vector<std::string> synced = synced_by([&] {
    const auto page = pulse::OwnPage::create(live.path(), example_page("run1", now));
    page->remove();
  });
  ASSERT_EQ(synced.size(), 2U);
  EXPECT_EQ(synced[0], live / ".run1-1.new");
  EXPECT_EQ(synced[1], live.path());
}

// Goal: an intent that was acted on is found after a power loss. Method: file, folder, record, in
// this order; another agent that finds the file syncs the folder again, but once only.
TEST(DurableNames, OfTheJournalOfIntents) {
  const TempDir folder;
  const std::string path = folder / "intents.journal";
  DecisionRecord intent;
  intent.attempt_id = AttemptId{"a1"};
  agent::IntentJournal first(path);
  EXPECT_EQ(synced_by([&] { first.append(intent); }),
            (std::vector<std::string>{path, folder.path(), path}));
  EXPECT_EQ(synced_by([&] { first.append(intent); }), std::vector<std::string>{path});
  agent::IntentJournal second(path);
  EXPECT_EQ(synced_by([&] { second.append(intent); }),
            (std::vector<std::string>{folder.path(), path}));
}

}  // namespace
}  // namespace finops::testing
