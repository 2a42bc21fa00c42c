// test_ledger_audit.cpp - the hash chain over limits, approvals and decisions.
//
// Owns: what the chain shows of a file that somebody changed, and what only a noted head shows.
// Does not own: approvals themselves (ledger_conformance_approvals.hpp).
// Invariant: files are changed behind the ledger's back only through a raw connection, with all
// triggers dropped and made again, as somebody would who knows the file.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "finops/ledger/ledger.hpp"
#include "ledger/audit.hpp"
#include "ledger/database.hpp"
#include "ledger/schema.hpp"
#include "ledger/sha256.hpp"
#include "raw_connection.hpp"
#include "support.hpp"

namespace finops::testing {
namespace {

using std::chrono::seconds;

class LedgerAudit : public ::testing::Test {
 protected:
  void SetUp() override { fill(); }

  std::unique_ptr<Ledger> open() { return open_ledger(path_, {}); }

  void fill() {
    const std::unique_ptr<Ledger> ledger = open();
    ledger->ensure_budget(example_budget("b"), terms_of(usd("10")));
    ledger->set_parent({BudgetId{"project:b"}, BudgetId{"team:c"}, "ada", example_time()});
    ledger->add_run(example_run("run1"));
    ledger->add_attempt(example_attempt("run1", "a1"));
    for (const char* id : {"r1", "r2", "r3"}) {
      ask(*ledger, id);
      ledger->rule_request(RequestId{id}, true, "grace", "fine", example_time());
      decide(*ledger);
    }
  }

  static void ask(Ledger& ledger, const std::string& request_id) {
    BudgetRequest request;
    request.request_id = RequestId{request_id};
    request.budget_id = BudgetId{"b"};
    request.amount = usd("1");
    request.who = "ada";
    request.why = "for " + request_id;
    ledger.add_request(request);
  }

  static void decide(Ledger& ledger, const std::string& reason = "silent") {
    DecisionRecord decision;
    decision.attempt_id = AttemptId{"a1"};
    decision.reason = reason;
    ledger.add_decision(decision);
  }

  /// Runs `sql` past all triggers, which stand again afterwards.
  void tamper(const std::string& sql) {
    RawConnection raw(path_);
    std::vector<std::string> triggers;
    for (std::string trigger = raw.text(kTrigger); !trigger.empty(); trigger = raw.text(kTrigger)) {
      triggers.push_back(trigger);
      ASSERT_EQ(raw.execute("DROP TRIGGER " + trigger.substr(15, trigger.find(' ', 15) - 15)), "");
    }
    ASSERT_EQ(raw.execute(sql), "") << sql;
    EXPECT_GE(raw.changes(), 1) << sql;
    for (const std::string& trigger : triggers) {
      const std::string error = raw.execute(trigger);
      ASSERT_TRUE(error.empty() || error.starts_with("no such table")) << error;
    }
  }

  std::string problems(const std::string& since = "") {
    std::string text;
    const std::unique_ptr<Ledger> ledger = open();
    for (const std::string& problem :
         (since.empty() ? ledger->verify() : ledger->verify_since(since)).problems) {
      text += problem + "\n";
    }
    return text;
  }

  std::string head() { return open()->verify().audit_head; }

  /// Writes all hashes anew, as somebody would who has read docs/ledger.md: no fault is left.
  void write_chain_anew() {
    tamper(kBackToVersion2);
    open();
  }

  static constexpr std::int64_t kCount = 19;  ///< records that `fill` chains
  static constexpr const char* kBackToVersion2 =
      "DROP VIEW report_forecasts; DROP TABLE forecasts; "
      "DROP TABLE audit_chain; DROP TABLE lineage_nodes; DROP VIEW report_lineage; "
      "DROP TABLE lineage_edges; DROP TABLE lineage_costs; DROP TABLE node_statuses; "
      "DROP TABLE node_uses; DROP TABLE business_values; DROP INDEX runs_by_parent; "
      "DROP INDEX runs_by_fork; UPDATE budget_rulings SET who = who; PRAGMA user_version=2";
  static constexpr const char* kTrigger = "SELECT sql FROM sqlite_schema WHERE type='trigger'";
  TempDir folder_;
  std::string path_ = folder_ / "ledger.db";
};

// Goal: what was noted can be found again as the ledger grows. Method: heads after each step, all
// asked for at the end, by hash and by number; one that was never there, and texts that are none.
TEST_F(LedgerAudit, FindsEveryHeadThatWasNoted) {
  std::vector<std::string> heads;
  std::int64_t count = open()->verify().audit_record_count;
  EXPECT_EQ(count, kCount) << "1 budget, 4 terms, 1 parent, 4 limits, 3 of each other";
  for (int i = 0; i < 3; ++i) {
    decide(*open());
    const VerifyReport report = open()->verify();
    EXPECT_TRUE(report.is_clean()) << report.problems.at(0);
    EXPECT_EQ(report.audit_record_count, ++count);
    heads.push_back(report.audit_head);
  }
  for (const std::string& noted : heads) {
    EXPECT_EQ(noted.size(), 64U);
    EXPECT_EQ(problems(noted), "");
  }
  EXPECT_EQ(std::ranges::count(heads, heads[0]), 1) << "every head is another one";
  EXPECT_EQ(problems("1"), "");
  EXPECT_EQ(problems(std::to_string(count)), "");
  EXPECT_NE(problems(std::to_string(count + 1)), "");
  EXPECT_NE(problems(std::string(64, 'a')).find("noted earlier"), std::string::npos);
  for (const char* text : {"0", "-1", "x", "3fa9", "1 ", "9999999999999999999"}) {
    EXPECT_EQ(code_of([&] { (void)open()->verify_since(text); }), "InvalidArgument") << text;
  }
  EXPECT_EQ(code_of([&] { (void)open()->verify_since(std::string(64, 'A')); }), "InvalidArgument");
}

// Goal: an empty chain has no head, and nothing can have been noted. Method: a new ledger.
TEST_F(LedgerAudit, AnEmptyChainHasNoHead) {
  const std::unique_ptr<Ledger> ledger = open_ledger(folder_ / "new.db", {});
  EXPECT_EQ(ledger->verify().audit_record_count, 0);
  EXPECT_EQ(ledger->verify().audit_head, "");
  EXPECT_TRUE(ledger->verify().is_clean());
  EXPECT_FALSE(ledger->verify_since("1").is_clean());
}

// Goal: verify names the first record that does not fit. Method: one thing at a time is changed,
// deleted, put in or swapped, in the journal and in the chain.
TEST_F(LedgerAudit, NamesTheFirstRecordThatDoesNotFit) {
  struct Case {
    const char* sql;
    const char* found;
  };
  const Case cases[] = {
      {"UPDATE budget_rulings SET who='mallory' WHERE request_id='r2'",
       "(ruling r2) was changed after it was written"},
      {"UPDATE budget_requests SET amount_units=9 WHERE request_id='r3'",
       "(request r3) was changed"},
      {"UPDATE decisions SET reason='' WHERE sequence=1", "(decision a1/1) was changed"},
      {"UPDATE decisions SET is_dry_run=1 WHERE sequence=2", "(decision a1/2) was changed"},
      {"UPDATE budget_terms SET approvers='mallory' WHERE sequence=1", "(terms b/1) was changed"},
      {"UPDATE budget_parents SET parent_id='team:mine'", "(parent project:b/1) was changed"},
      {"UPDATE budgets SET is_hard=0", "(budget b) was changed"},
      {"UPDATE budget_lines SET amount_units=2 WHERE event_id='request/r1/limit'",
       "(limit request/r1/limit) was changed"},
      {"DELETE FROM decisions WHERE sequence=3", "(decision a1/3) was deleted"},
      {"DELETE FROM decisions WHERE sequence=2", "(decision a1/2) was deleted"},
      {"DELETE FROM budget_rulings WHERE request_id='r3'", "(ruling r3) was deleted"},
      {"INSERT INTO decisions SELECT attempt_id, 4, directive, rule, rung, 'forged', decided_by, "
       "decided_at_ns, is_dry_run FROM decisions WHERE sequence=3",
       "decision a1/4 is not in it (1 such)"},
      {"INSERT INTO budget_terms SELECT budget_id, 5, 1000, limit_picos, burn_cap_units, "
       "burn_cap_picos, max_duration_ns, warning_percents, approvers, who, why, recorded_at_ns "
       "FROM budget_terms WHERE sequence=4",
       "terms b/5 is not in it"},
      {"INSERT INTO budget_lines SELECT 'forged', budget_id, attempt_id, from_account, to_account, "
       "amount_units, amount_picos, who, why, recorded_at_ns, period_start_ns FROM budget_lines "
       "WHERE event_id='request/r1/limit'; UPDATE budget_balances SET limit_units=limit_units+1, "
       "available_units=available_units+1",
       "limit forged is not in it"},
      {"UPDATE budget_requests SET "
       "request_id='r0' WHERE request_id='r1'; UPDATE budget_requests SET request_id='r1' WHERE "
       "request_id='r2'; UPDATE budget_requests SET request_id='r2' WHERE request_id='r0'",
       "(request r1) was changed"},
      {"DELETE FROM audit_chain WHERE sequence=19", "is not in it (1 such)"},
      {"DELETE FROM audit_chain WHERE sequence=7", "record 7 is missing"},
      {"DELETE FROM audit_chain WHERE sequence=1", "record 1 is missing"},
      {"UPDATE audit_chain SET hash=previous_hash WHERE sequence=5", "record 5 "},
      {"UPDATE audit_chain SET previous_hash=hash WHERE sequence=5", "record 5 "},
      {"UPDATE audit_chain SET origin='UPGRADED' WHERE sequence=5", "record 5 "},
      {"UPDATE audit_chain SET kind='other' WHERE sequence=5", "kind that finops never wrote"},
      {"UPDATE audit_chain SET record_id='a1' WHERE record_id='a1/1'", "never wrote"},
      {"UPDATE audit_chain SET record_id='a1/01' WHERE record_id='a1/1'", "was changed"},
      {"UPDATE audit_chain SET sequence=20 WHERE sequence=19", "record 19 is missing"},
      {"UPDATE audit_chain SET sequence=100 WHERE sequence=3; UPDATE audit_chain SET sequence=3 "
       "WHERE sequence=4; UPDATE audit_chain SET sequence=4 WHERE sequence=100",
       "record 3 "},
      {"INSERT INTO audit_chain VALUES (20, 'ruling', 'r9', 'WRITTEN', (SELECT hash FROM "
       "audit_chain WHERE sequence=19), '00')",
       "(ruling r9) was deleted"},
  };
  ASSERT_EQ(problems(), "");
  open()->copy_to(folder_ / "whole.db");
  for (const Case& c : cases) {
    for (const char* suffix : {"", "-wal", "-shm"}) {
      std::filesystem::remove(path_ + suffix);
    }
    std::filesystem::copy_file(folder_ / "whole.db", path_);
    std::filesystem::permissions(path_, std::filesystem::perms(0600));
    tamper(std::string("PRAGMA foreign_keys=OFF; ") + c.sql);
    const std::string found = problems();
    EXPECT_NE(found.find(c.found), std::string::npos) << c.sql << " gave:\n" << found;
  }
}

// Goal: only a noted head shows that the end was cut off. Method: the last record and its link go.
TEST_F(LedgerAudit, ANotedHeadShowsThatTheEndIsGone) {
  const std::string noted = head();
  tamper("DELETE FROM decisions WHERE sequence=3; DELETE FROM audit_chain WHERE sequence=19");
  EXPECT_EQ(problems(), "") << "the file alone cannot show it";
  EXPECT_NE(problems(noted).find("noted earlier"), std::string::npos);
  EXPECT_NE(problems("19").find("noted earlier"), std::string::npos);
  decide(*open(), "another");
  EXPECT_EQ(problems("19"), "") << "a number shows length, not content";
  EXPECT_NE(problems(noted), "");
}

// Goal: only a noted head shows a chain that was written anew over changed records. Method: a
// ruling is changed and everything is chained again; the head from before is asked for.
TEST_F(LedgerAudit, ANotedHeadShowsAChainWrittenAnew) {
  const std::string noted = head();
  tamper("UPDATE budget_rulings SET who='mallory' WHERE request_id='r2'");
  EXPECT_NE(problems(), "");
  write_chain_anew();
  EXPECT_EQ(problems(), "") << "whoever owns the file can do that";
  EXPECT_NE(problems(noted).find("noted earlier"), std::string::npos);
}

// Goal: a restored older file is shown. Method: a copy, more decisions, the copy put back.
TEST_F(LedgerAudit, ANotedHeadShowsAnOlderCopy) {
  open()->copy_to(folder_ / "old.db");
  decide(*open());
  const std::string noted = head();
  EXPECT_EQ(problems(noted), "");
  for (const char* suffix : {"", "-wal", "-shm"}) {
    std::filesystem::remove(path_ + suffix);
  }
  std::filesystem::rename(folder_ / "old.db", path_);
  EXPECT_EQ(problems(), "");
  EXPECT_NE(problems(noted), "");
}

// Goal: the hash is what docs/ledger.md says, so that others can recompute it. Method: the first
// link by hand, byte by byte; SHA-256 of "abc" (FIPS 180-4, example 1).
TEST_F(LedgerAudit, HashesTheDocumentedBytes) {
  ledger::Sha256 abc;
  abc.add("abc");
  EXPECT_EQ(abc.hex(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  const auto field = [](char letter, const std::string& value) {
    return std::string(1, letter) + std::string(7, '\0') + static_cast<char>(value.size()) + value;
  };
  const std::string time = std::to_string(example_time().time_since_epoch().count());
  std::string bytes = std::string(64, '0') + field('I', "1") + field('T', "budget") +
                      field('T', "b") + field('T', "WRITTEN");
  bytes += field('T', "b") + field('T', "experiment") + field('N', "") + field('T', "lifetime") +
           field('T', "USD") + field('I', "1") + field('T', "ada") + field('I', time);
  ledger::Sha256 digest;
  digest.add(bytes);
  EXPECT_EQ(RawConnection(path_).text("SELECT hash FROM audit_chain WHERE sequence=1"),
            digest.hex());
}

// Goal: a write that is undone leaves no link, alone and among others. Method: a refused ruling
// inside `together`, beside one that stands; a `together` that throws as a whole.
TEST_F(LedgerAudit, WhatIsUndoneIsNotChained) {
  const std::unique_ptr<Ledger> ledger = open();
  const std::int64_t before = ledger->verify().audit_record_count;
  ledger->together([&] {
    decide(*ledger);
    EXPECT_EQ(code_of([&] {
                ledger->rule_request(RequestId{"r1"}, false, "grace", "", example_time());
              }),
              "Conflict");
    decide(*ledger);
  });
  EXPECT_EQ(ledger->verify().audit_record_count, before + 2);
  EXPECT_THROW(ledger->together([&] {
    decide(*ledger);
    throw std::runtime_error("undone");
  }),
               std::runtime_error);
  EXPECT_EQ(ledger->verify().audit_record_count, before + 2);
  EXPECT_TRUE(ledger->verify().is_clean());
}

// Goal: writers at the same time make one chain. Method: four processes with 25 decisions each.
TEST_F(LedgerAudit, ConcurrentWritersMakeOneChain) {
  const std::int64_t before = open()->verify().audit_record_count;
  constexpr int kWriters = 4;
  std::vector<std::unique_ptr<Child>> children;
  children.reserve(kWriters);
  for (int child = 0; child < kWriters; ++child) {
    children.push_back(std::make_unique<Child>([this](const auto& say_ready) {
      const std::unique_ptr<Ledger> ledger = open();
      say_ready();
      for (int i = 0; i < 25; ++i) {
        decide(*ledger);
      }
      return 0;
    }));
  }
  for (const std::unique_ptr<Child>& child : children) {
    EXPECT_EQ(child->wait(), 0);
  }
  const VerifyReport report = open()->verify();
  EXPECT_EQ(report.audit_record_count, before + 100);
  EXPECT_TRUE(report.is_clean()) << report.problems.at(0);
}

// Goal: what a merge brings enters the chain of its new home as its own records, once; budgets and
// rulings stay where they are. Method: another host's decisions, merged twice; a copy as well.
TEST_F(LedgerAudit, MergedDecisionsEnterTheChainOnce) {
  const std::string other_path = folder_ / "other.db";
  {
    const std::unique_ptr<Ledger> other = open_ledger(other_path, {});
    other->add_run(example_run("run2"));
    other->add_attempt(example_attempt("run2", "b1"));
    DecisionRecord decision;
    decision.attempt_id = AttemptId{"b1"};
    other->add_decision(decision);
    other->ensure_budget(example_budget("elsewhere"), terms_of(usd("1")));
  }
  const std::string noted = head();
  for (int i = 0; i < 2; ++i) {
    open()->merge(other_path, example_time());
    const VerifyReport report = open()->verify_since(noted);
    EXPECT_TRUE(report.is_clean()) << report.problems.at(0);
    EXPECT_EQ(report.audit_record_count, kCount + 1);
  }
  EXPECT_EQ(RawConnection(path_).text("SELECT record_id FROM audit_chain WHERE origin='MERGED'"),
            "b1/1");
  open()->copy_to(folder_ / "copy.db");
  const std::string here = head();
  EXPECT_TRUE(open_ledger(folder_ / "copy.db", {})->verify_since(here).is_clean());
}

// Goal: a file from before the chain is chained as it is found, and says so. Method: a ledger is
// taken back to version 2, then opened.
TEST_F(LedgerAudit, AnUpgradeChainsWhatItFinds) {
  tamper(kBackToVersion2);
  EXPECT_EQ(code_of([&] { (void)open_ledger(path_, {.read_only = true}); }), "UnsupportedSchema");
  const VerifyReport report = open()->verify();
  EXPECT_TRUE(report.is_clean()) << report.problems.at(0);
  EXPECT_EQ(report.audit_record_count, kCount);
  RawConnection raw(path_);
  EXPECT_EQ(raw.text("SELECT count(*) FROM audit_chain WHERE origin='UPGRADED'"),
            std::to_string(kCount));
  decide(*open());
  EXPECT_EQ(raw.text("SELECT origin FROM audit_chain WHERE sequence=20"), "WRITTEN");
  EXPECT_EQ(problems(), "");
}

}  // namespace
}  // namespace finops::testing
