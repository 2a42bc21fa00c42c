// test_power_loss_intents.cpp - intents and live pages over a power loss: what was promised is
// there, and what is half-written counts as not written.
//
// Owns: torn and stale records of the journal of intents, torn live pages. Does not own: names of
// files (test_durable_names.cpp), what the agent does with intents (test_agent_ledger_away.cpp).
// Invariant: files are changed as a disk with sectors of 512 bytes may leave them.
#include <gtest/gtest.h>

#include <cstddef>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "agent/intents.hpp"
#include "finops/pulse/own_page.hpp"
#include "finops/pulse/scanner.hpp"
#include "support.hpp"

namespace finops::testing {
namespace {

using agent::IntentJournal;

constexpr std::size_t kSector = 512;

std::string bytes_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void write_bytes(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

/// For each sector in which the two differ, the bytes of one or of the other: every combination.
std::vector<std::string> torn_between(const std::string& before, const std::string& after) {
  std::vector<std::size_t> differing;
  for (std::size_t at = 0; at < before.size(); at += kSector) {
    if (before.compare(at, kSector, after, at, kSector) != 0) {
      differing.push_back(at);
    }
  }
  EXPECT_LE(differing.size(), 8U);
  std::vector<std::string> all;
  for (std::size_t mask = 0; mask < (std::size_t{1} << differing.size()); ++mask) {
    std::string& mixed = all.emplace_back(before);
    for (std::size_t i = 0; i < differing.size(); ++i) {
      if ((mask >> i & 1U) != 0) {
        mixed.replace(differing[i], kSector, after, differing[i], kSector);
      }
    }
  }
  return all;
}

/// A decision whose record fills both sectors.
DecisionRecord intent_of(const std::string& attempt_id, char reason) {
  DecisionRecord intent;
  intent.attempt_id = AttemptId{attempt_id};
  intent.directive = Directive::STOP;
  intent.rule = Rule::Silence;
  intent.reason = std::string(700, reason);
  intent.decided_by = "guard";
  intent.decided_at = example_time();
  return intent;
}

std::string waiting_in(const std::string& path) {
  std::string ids;
  for (const DecisionRecord& intent : IntentJournal(path).pending()) {
    ids += intent.attempt_id.str() + ":" + intent.reason.substr(0, 1) + " ";
  }
  return ids;
}

class IntentPowerLoss : public ::testing::Test {
 protected:
  void append(const std::string& attempt_id, char reason) {
    IntentJournal(path_).append(intent_of(attempt_id, reason));
  }
  void mark_all_imported() {
    IntentJournal(path_).import_each([](const DecisionRecord&) { return true; });
  }

  TempDir folder_;
  std::string path_ = folder_ / "intents.journal";
};

// Goal: a record that was being written is there whole or not at all, and those beside it stay.
// Method: every mixture of the sectors before and after; on a free place, and over an imported
// record, whose old half must not come to life with a new one.
TEST_F(IntentPowerLoss, ATornRecordCountsAsNotWritten) {
  append("kept", 'k');
  const std::string with_free_place = bytes_of(path_);
  for (std::size_t i = 1; i < IntentJournal::kRecordCount; ++i) {
    append("old", 'o');
  }
  IntentJournal(path_).import_each([](const DecisionRecord& intent) {
    return intent.attempt_id.str() == "old";
  });
  const std::string with_imported = bytes_of(path_);
  for (const std::string& before : {with_free_place, with_imported}) {
    write_bytes(path_, before);
    append("new", 'n');
    const std::string after = bytes_of(path_);
    const std::vector<std::string> mixtures = torn_between(before, after);
    ASSERT_EQ(mixtures.size(), 4U) << "both sectors of the record differ";
    for (const std::string& mixed : mixtures) {
      write_bytes(path_, mixed);
      EXPECT_EQ(waiting_in(path_), mixed == after ? "kept:k new:n " : "kept:k ");
      append("later", 'l');
      EXPECT_EQ(waiting_in(path_), mixed == after ? "kept:k new:n later:l " : "kept:k later:l ");
    }
  }
}

// Goal: the mark of an import is there or not; never is the intent itself lost, and what is
// imported a second time is in the ledger once. Method: every mixture of the sectors before and
// after the mark, then the import into a ledger that has it already.
TEST_F(IntentPowerLoss, ALostMarkDoublesNothing) {
  const std::unique_ptr<Ledger> ledger = open_ledger(folder_ / "ledger.db", {});
  ledger->add_run(example_run("run1"));
  ledger->add_attempt(example_attempt("run1", "a1"));
  append("a1", 'r');
  const std::string before = bytes_of(path_);
  const auto import = [&](const DecisionRecord& intent) {
    agent::import_intent(*ledger, intent);
    return true;
  };
  IntentJournal(path_).import_each(import);
  const std::string after = bytes_of(path_);
  for (const std::string& mixed : torn_between(before, after)) {
    write_bytes(path_, mixed);
    EXPECT_EQ(waiting_in(path_), mixed == after ? "" : "a1:r ");
    IntentJournal(path_).import_each(import);
    EXPECT_EQ(ledger->decisions(AttemptId{"a1"}, 10).size(), 1U);
    EXPECT_EQ(waiting_in(path_), "");
  }
}

// Goal: stale sectors of an earlier life of the same place are not taken for a record. Method: two
// records of one attempt that differ in one letter, written to one place one after the other.
TEST_F(IntentPowerLoss, AStaleHalfIsNotTakenForAWholeRecord) {
  append("a1", 'x');
  mark_all_imported();
  const std::string stale = bytes_of(path_);
  std::string fresh = stale;
  append("a1", 'y');  // goes to a free place
  const std::string record =
      bytes_of(path_).substr(IntentJournal::kRecordSize, IntentJournal::kRecordSize);
  fresh.replace(0, record.size(), record);
  for (const std::string& mixed : torn_between(stale, fresh)) {
    write_bytes(path_, mixed);
    EXPECT_EQ(waiting_in(path_), mixed == fresh ? "a1:y " : "");
  }
}

// Goal: a live page of which not all came to the disk is refused with a reason; it is never read as
// another run's. What `create` gave back is whole: it was synced. Method: every mixture of a
// page's sectors with zeros, which is what a file holds that was allocated and not written.
TEST(LivePagePowerLoss, ATornPageIsRefused) {
  const TempDir live;
  auto page = pulse::OwnPage::create(live.path(), example_page("run1", SystemClock().now()));
  const std::string whole = bytes_of(live / "run1-1.page");
  page.reset();  // a process does not look at its own pages
  int read_count = 0;
  int refused_count = 0;
  for (const std::string& mixed : torn_between(std::string(whole.size(), '\0'), whole)) {
    write_bytes(live / "run1-1.page", mixed);
    pulse::PageScanner scanner(live.path());
    scanner.scan();
    EXPECT_EQ(scanner.pages().size() + scanner.rejected().size(), 1U);
    for (const pulse::ForeignPage* found : scanner.pages()) {
      EXPECT_EQ(found->info().run_id.str(), "run1");
      ++read_count;
    }
    refused_count += scanner.rejected().empty() ? 0 : 1;
  }
  EXPECT_GE(read_count, 1);
  EXPECT_GE(refused_count, 1);
}

}  // namespace
}  // namespace finops::testing
