// auditor.cpp - the checks, in plain SQL and sums of their own.
#include "auditor.hpp"

#include <signal.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <utility>

#include "agent/intents.hpp"
#include "finops/agent/settle.hpp"
#include "finops/budget/lease.hpp"

namespace finops::simulation {
namespace {

using Wide = Int128;

Wide picos(const std::string& units, const std::string& picos) {
  return Wide{std::stoll(units)} * 1'000'000'000'000 + std::stoll(picos);
}

std::string shown(Wide amount) { return std::to_string(static_cast<double>(amount) / 1e12); }

std::string in_seconds(Nanoseconds span) {
  return std::to_string(span / std::chrono::seconds{1}) + " s";
}

std::int64_t ns(const std::string& text) { return std::stoll(text); }

// What a hot call's coarse clock may be behind.
constexpr std::int64_t kCoarse = 4'000'000;

}  // namespace

Auditor::Auditor(Kernel& kernel, Truth& truth, std::string home)
    : kernel_(kernel), truth_(truth), home_(std::move(home)) {}

Auditor::~Auditor() { close(); }

void Auditor::fail(const std::string& what) {
  if (failures_.size() < 10) {
    failures_.push_back(what);
    kernel_.note("VIOLATION: " + what);
  }
}

bool Auditor::open() {
  if (connection_ != nullptr) {
    return true;
  }
  const std::string path = home_ + "/ledger.db";
  if (!kernel_.disk.exists(path) ||
      sqlite3_open_v2(path.c_str(), &connection_, SQLITE_OPEN_READONLY, nullptr) != SQLITE_OK) {
    close();
    return false;
  }
  sqlite3_busy_timeout(connection_, 0);
  sqlite3_db_config(connection_, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
  if (count("SELECT count(*) FROM sqlite_schema WHERE name='accounts'") != 1) {
    close();
    return false;
  }
  return true;
}

void Auditor::close() {
  sqlite3_close_v2(connection_);
  connection_ = nullptr;
}

std::vector<Auditor::Row> Auditor::rows(const std::string& sql) {
  std::vector<Row> found;
  sqlite3_stmt* statement = nullptr;
  int code = sqlite3_prepare_v2(connection_, sql.c_str(), -1, &statement, nullptr);
  is_blocked_ = code == SQLITE_BUSY || code == SQLITE_PROTOCOL;
  if (is_blocked_) {
    return found;  // somebody stands in the middle of a recovery: looked at later
  }
  if (code != SQLITE_OK) {
    fail("the auditor cannot read: " + std::string(sqlite3_errmsg(connection_)) + ": " + sql);
    return found;
  }
  while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
    Row row;
    for (int column = 0; column < sqlite3_column_count(statement); ++column) {
      const auto* text = sqlite3_column_text(statement, column);
      row.emplace_back(text == nullptr ? "" : reinterpret_cast<const char*>(text));
    }
    found.push_back(std::move(row));
  }
  is_blocked_ = code == SQLITE_BUSY || code == SQLITE_PROTOCOL;
  if (code != SQLITE_DONE && !is_blocked_) {
    fail("the auditor cannot read: " + std::string(sqlite3_errmsg(connection_)) + ": " + sql);
  }
  sqlite3_finalize(statement);
  return found;
}

std::int64_t Auditor::count(const std::string& sql) {
  if (connection_ == nullptr && !open()) {
    return -1;
  }
  const std::vector<Row> found = rows(sql);
  return found.empty() ? -1 : std::stoll(found[0][0]);
}

void Auditor::the_ledger_is_written(const DiskCall& call) {
  is_changed_ = true;
  // One writer or checkpointer at a time: whoever writes holds the ledger's own lock.
  const std::string path(call.path);
  const bool is_the_ledgers = path.ends_with("ledger.db") || path.ends_with("ledger.db-wal");
  if (is_the_ledgers && lock_holder() != kernel_.running()->serial) {
    fail(kernel_.running()->name + " writes " + path + " without the ledger's lock");
  }
}

std::uint64_t Auditor::lock_holder() const {
  struct stat info{};
  const bool has_file = stat((home_ + "/ledger.db.lock").c_str(), &info) == 0;
  return has_file ? kernel_.locks.holder({info.st_dev, info.st_ino}) : 0;
}

void Auditor::after_turn() {
  if (is_changed_ && open() && can_read()) {
    is_changed_ = lock_holder() != 0;  // its commit may become visible without another write
    for (const auto& [attempt_id, condition] : std::exchange(unchecked_signals_, {})) {
      if (!is_recorded(attempt_id, condition)) {
        fail(attempt_id + " got a signal and no decision is recorded");
      }
    }
    check_balances();
    check_limits();
    check_holds();
    check_charges();
    check_new_decisions();
    if (kernel_.random.one_in(60)) {
      check_all();
    }
  }
  if (kernel_.random.one_in(8) && open() && can_read()) {
    check_directives();
  }
  if (calm_since_.has_value() && kernel_.random.one_in(20)) {
    check_silent();
  }
  if (truth_.serving.size() > 1) {
    fail("two agents serve at once");
  }
}

bool Auditor::can_read() {
  (void)rows("SELECT count(*) FROM accounts");
  return !is_blocked_;
}

void Auditor::power_was_lost() {
  close();
  ++truth_.boot;
  truth_.serving.clear();
  for (auto& [id, attempt] : truth_.attempts) {
    attempt.is_page_untouched = false;
  }
  last_decision_ = 0;
  highest_rungs_.clear();
  checked_acknowledged_ = 0;
  check_all();
}

void Auditor::check_all() {
  if (!open()) {
    if (!truth_.acknowledged.empty()) {
      fail("the ledger is gone, and with it: " + truth_.acknowledged.front().what);
    }
    return;
  }
  if (!can_read()) {
    return;
  }
  checked_acknowledged_ = 0;
  check_balances();
  check_holds();
  check_charges();
  check_acknowledged();
  check_attempts();
  check_overspend();
  try {
    const VerifyReport report = open_ledger(home_ + "/ledger.db", {.read_only = true})->verify();
    for (const std::string& problem : report.problems) {
      fail("verify: " + problem);
    }
  } catch (const std::exception& error) {
    fail(std::string("verify: ") + error.what());
  }
}

// spent + held + available - overspent = limit, and none below zero.
void Auditor::check_balances() {
  for (const Row& row : rows("SELECT budget_id, limit_units, limit_picos, available_units, "
                             "available_picos, held_units, held_picos, spent_units, spent_picos, "
                             "overspent_units, overspent_picos FROM budget_balances")) {
    const Wide limit = picos(row[1], row[2]);
    const Wide available = picos(row[3], row[4]);
    const Wide held = picos(row[5], row[6]);
    const Wide spent = picos(row[7], row[8]);
    const Wide overspent = picos(row[9], row[10]);
    if (spent + held + available - overspent != limit) {
      fail(row[0] + " does not balance: spent " + shown(spent) + ", held " + shown(held) +
           ", available " + shown(available) + ", overspent " + shown(overspent) + ", limit " +
           shown(limit));
    }
    if (std::min({available, held, spent, overspent}) < 0) {
      fail(row[0] + " has an account below zero");
    }
  }
}

// A limit is what it was created with and each approval, once.
void Auditor::check_limits() {
  for (const Row& row :
       rows("SELECT b.budget_id, l.limit_units, l.limit_picos, t.limit_units, t.limit_picos FROM "
            "budgets b JOIN budget_balances l USING (budget_id) JOIN budget_terms t USING "
            "(budget_id) WHERE t.sequence = 1 AND b.period = 'lifetime'")) {
    Wide expected = picos(row[3], row[4]);
    for (const Row& approved :
         rows("SELECT amount_units, amount_picos FROM budget_requests JOIN budget_rulings USING "
              "(request_id) WHERE is_approved = 1 AND budget_id = '" +
              row[0] + "'")) {
      expected += picos(approved[0], approved[1]);
    }
    if (picos(row[1], row[2]) != expected) {
      fail(row[0] + " has a limit of " + shown(picos(row[1], row[2])) + ", its approvals make " +
           shown(expected));
    }
  }
}

// What attempts hold is what budgets say is held, in every budget of a chain; nobody who is settled
// holds anything.
void Auditor::check_holds() {
  std::map<std::string, Wide> by_budget;
  std::map<std::pair<std::string, std::string>, Wide> by_link;
  for (const Row& row : rows("SELECT budget_id, attempt_id, held_units, held_picos FROM holds")) {
    by_budget[row[0]] += picos(row[2], row[3]);
    by_link[{row[1], row[0]}] += picos(row[2], row[3]);
  }
  std::map<std::string, Wide> by_balance;
  for (const Row& row : rows("SELECT budget_id, held_units, held_picos FROM budget_balances")) {
    by_balance[row[0]] += picos(row[1], row[2]);
  }
  for (const auto& [budget, held] : by_balance) {
    if (by_budget[budget] != held) {
      fail(budget + " says that " + shown(held) + " is held, its attempts hold " +
           shown(by_budget[budget]));
    }
  }
  for (const Row& row :
       rows("SELECT a.attempt_id, a.state, a.held_units, a.held_picos, l.budget_id, b.is_hard "
            "FROM accounts a JOIN attempt_budgets l USING (attempt_id) JOIN budgets b USING "
            "(budget_id) WHERE a.held_units IS NOT NULL")) {
    const Wide account = picos(row[2], row[3]);
    const Wide link = by_link[{row[0], row[4]}];
    if (row[1] == "SETTLED" && (account != 0 || link != 0)) {
      fail(row[0] + " is settled and holds " + shown(link) + " of " + row[4]);
    }
    if (row[5] == "1" && link != account) {
      fail(row[0] + " holds " + shown(account) + ", but " + shown(link) + " of " + row[4]);
    }
  }
}

// Each nanosecond is charged once.
void Auditor::check_charges() {
  for (const Row& row :
       rows("SELECT a.attempt_id, a.settled_ns, coalesce(sum(c.consumed_time_ns), 0) FROM accounts "
            "a LEFT JOIN charges c USING (attempt_id) WHERE a.charged_units IS NOT NULL GROUP BY "
            "a.attempt_id HAVING a.settled_ns <> coalesce(sum(c.consumed_time_ns), 0)")) {
    fail(row[0] + " is settled up to " + row[1] + " ns and charged for " + row[2] + " ns");
  }
}

// No job that works is stopped for silence.
void Auditor::check_new_decisions() {
  for (const Row& row :
       rows("SELECT rowid, attempt_id, directive, rule, is_dry_run, reason, rung, decided_by "
            "FROM decisions WHERE rowid > " +
            std::to_string(last_decision_) + " ORDER BY rowid")) {
    last_decision_ = ns(row[0]);
    if (const int rung = static_cast<int>(parse_rung(row[6]));
        row[4] == "0" && row[7] != "process") {
      int& highest = highest_rungs_[row[1]];
      if (highest >= static_cast<int>(Rung::Sigterm) && rung < highest) {
        fail(row[1] + " had a signal, and is only told now: its ladder went down");
      }
      highest = std::max(highest, rung);
    }
    const auto found = truth_.attempts.find(row[1]);
    if (found == truth_.attempts.end() || row[2] != "STOP" || row[4] == "1" ||
        row[3] != std::string(rule_name(Rule::Silence)) ||
        row[6] != std::string(rung_name(Rung::Directive))) {
      continue;
    }
    const AttemptTruth& attempt = found->second;
    const bool is_this_boot = attempt.boot == truth_.boot;
    const Nanoseconds silent = kernel_.clocks().monotonic - attempt.last_progress.monotonic;
    const bool is_announced = kernel_.now() <= attempt.silence_allowed_until;
    if (is_this_boot && (silent < attempt.info.silence_limit || is_announced)) {
      fail(row[1] + " works (last progress " + std::to_string(silent / std::chrono::seconds{1}) +
           " s ago) and is stopped: " + row[5]);
    }
  }
}

void Auditor::check_acknowledged() {
  for (; checked_acknowledged_ < truth_.acknowledged.size(); ++checked_acknowledged_) {
    const Acknowledged& fact = truth_.acknowledged[checked_acknowledged_];
    const std::int64_t found = count(fact.count_sql);
    if (found < 0) {
      return;  // it cannot be read now
    }
    if (found == 0) {
      fail("acknowledged and lost: " + fact.what);
    }
  }
}

bool Auditor::is_recorded(const std::string& attempt_id, const std::string& condition) {
  if (open() && count("SELECT count(*) FROM decisions WHERE attempt_id='" + attempt_id +
                      "' AND is_dry_run=0 AND " + condition) > 0) {
    return true;
  }
  agent::IntentJournal journal(home_ + "/intents.journal");
  return std::ranges::any_of(journal.pending(), [&](const DecisionRecord& intent) {
    return intent.attempt_id.str() == attempt_id;
  });
}

// What a page tells its run stands in the ledger or in the journal of intents.
void Auditor::check_directives() {
  for (const auto& [id, attempt] : truth_.attempts) {
    if (attempt.boot != truth_.boot || kernel_.by_serial(attempt.process) == nullptr ||
        !kernel_.by_serial(attempt.process)->is_alive) {
      continue;
    }
    std::ifstream file(home_ + "/live/" + id + ".page", std::ios::binary);
    pulse::PageLayout page;
    if (!file.read(reinterpret_cast<char*>(&page), sizeof page)) {
      continue;
    }
    const std::uint32_t told = page.agent.directive.load();
    if (told != 0 && told <= 3 &&
        !is_recorded(id, "directive='" + std::string(directive_name(static_cast<Directive>(told))) +
                             "'")) {
      fail(id + " is told " + std::string(directive_name(static_cast<Directive>(told))) +
           " and nothing of it is recorded");
    }
  }
}

void Auditor::a_signal_is_sent(Process& sender, Process& target, int signal_number) {
  const AttemptTruth* attempt = truth_.of_process(target.serial);
  if (attempt == nullptr) {
    const auto carried = target.environment.find("FINOPS_ATTEMPT_ID");
    if (carried == target.environment.end() || !truth_.attempts.contains(carried->second)) {
      fail(sender.name + " sends signal " + std::to_string(signal_number) + " to " + target.name +
           ", which is no run");
      return;
    }
    attempt = &truth_.attempts.at(carried->second);
  }
  const std::string rungs =
      signal_number == SIGKILL ? "rung='SIGKILL'" : "rung IN ('SIGTERM','SIGKILL')";
  const std::string& id = attempt->info.attempt_id.str();
  if (!open() || !can_read()) {
    unchecked_signals_.emplace_back(id, rungs);
  } else if (!is_recorded(id, rungs)) {
    fail(target.name + " gets signal " + std::to_string(signal_number) +
         " and no decision is recorded");
  }
}

// The ledger against what really happened.
void Auditor::check_attempts() {
  for (const Row& row : rows("SELECT attempt_id, state, settled_ns FROM accounts")) {
    const auto found = truth_.attempts.find(row[0]);
    if (found == truth_.attempts.end()) {
      continue;  // registered at a start that did not come to its end
    }
    const AttemptTruth& attempt = found->second;
    const std::int64_t settled = ns(row[2]);
    if (settled < attempt.acknowledged.count()) {
      fail(row[0] + " was settled up to " + std::to_string(attempt.acknowledged.count()) +
           " ns, now up to " + row[2]);
    }
    if (row[1] != "SETTLED") {
      continue;
    }
    if (attempt.finished_after_at_most.has_value() && attempt.is_page_untouched &&
        (settled > attempt.finished_after_at_most->count() ||
         settled < attempt.finished_after_at_least->count())) {
      fail(row[0] + " ran for " + std::to_string(attempt.finished_after_at_least->count()) +
           " ns and is charged for " + row[2]);
    }
    const std::int64_t lived =
        (attempt.last_progress.monotonic - attempt.info.started_at.monotonic).count();
    if (attempt.is_page_untouched && settled < lived - kCoarse) {
      fail(row[0] + " lived for at least " + std::to_string(lived) + " ns and is charged for " +
           row[2]);
    }
  }
}

// The check gap and the stop time that an attempt really had, charged up to `end` after its start.
budget::LeaseTerms Auditor::actual_terms(const AttemptTruth& attempt, Nanoseconds end) {
  const auto after_start = [&](BootTime time) { return time - attempt.info.started_at.boot; };
  const budget::LeaseTerms reserved = agent::lease_terms_of(attempt.info);
  budget::LeaseTerms actual = reserved;
  actual.check_gap = std::max(attempt.longest_gap, end - after_start(attempt.last_call.boot));
  actual.stop_time = attempt.told_at.has_value()
                         ? std::max(Nanoseconds::zero(), end - after_start(*attempt.told_at))
                         : Nanoseconds::zero();
  if (attempt.info.is_command) {
    // An agent tells it, and it hears at its next call. One that does not listen is killed a look
    // before its money ends: its stop takes all of the reserve but that look.
    const BootTime last_look = attempt.last_look.value_or(attempt.info.started_at.boot);
    actual.check_gap += std::max(attempt.longest_look_gap, end - after_start(last_look));
    const Nanoseconds look =
        std::min<Nanoseconds>(std::chrono::seconds{10}, reserved.stop_time / 3);
    actual.stop_time = std::max(actual.stop_time, reserved.stop_time + reserved.check_gap - look);
  }
  return actual;
}

// Metered overspend is at most the stated bound, summed over what really ran.
void Auditor::check_overspend() {
  for (const Row& row : rows("SELECT b.budget_id, sum(overspent_units), sum(overspent_picos) FROM "
                             "budgets b JOIN budget_balances USING (budget_id) WHERE is_hard=1 "
                             "GROUP BY b.budget_id HAVING sum(overspent_units) > 0 OR "
                             "sum(overspent_picos) > 0")) {
    Wide bound = 0;
    std::string parts;
    for (const Row& link : rows("SELECT attempt_id, settled_ns FROM attempt_budgets JOIN accounts "
                                "USING (attempt_id) WHERE budget_id='" +
                                row[0] + "'")) {
      const auto found = truth_.attempts.find(link[0]);
      if (found == truth_.attempts.end()) {
        continue;
      }
      const pulse::PageInfo& info = found->second.info;
      const budget::LeaseTerms actual = actual_terms(found->second, Nanoseconds{ns(link[1])});
      const Money own =
          budget::overspend_bound(*agent::rate_of(info), actual, agent::lease_terms_of(info));
      bound += own.picos();
      parts += "; " + link[0] + " gap " + in_seconds(actual.check_gap) + ", stop " +
               in_seconds(actual.stop_time) + ": " + own.str();
    }
    if (const Wide overspent = picos(row[1], row[2]); overspent > bound) {
      fail(row[0] + " is overspent by " + shown(overspent) + ", the bound is " + shown(bound) +
           parts);
    }
  }
}

// Every silent job is stopped within its limit plus 60 s; the limit counts from the calm's begin
// for those who were silent before.
void Auditor::check_silent() {
  for (const auto& [id, attempt] : truth_.attempts) {
    const Process* process =
        kernel_.by_serial(attempt.info.is_command ? attempt.reporter : attempt.process);
    if (attempt.boot != truth_.boot || process == nullptr || !process->is_alive ||
        attempt.finished_after_at_most.has_value()) {
      continue;
    }
    const BootTime since =
        std::max({attempt.last_progress.boot, attempt.silence_allowed_until, *calm_since_});
    if (kernel_.now() - since > attempt.info.silence_limit + std::chrono::seconds{60}) {
      fail(id + " is silent for " +
           std::to_string((kernel_.now() - attempt.last_progress.boot) / std::chrono::seconds{1}) +
           " s, its limit is " +
           std::to_string(attempt.info.silence_limit / std::chrono::seconds{1}) +
           " s, and nobody has stopped it");
    }
  }
}

// An uncertain span of up to five minutes is settled by itself, a longer one by the person.
bool Auditor::is_long_dead(const std::string& attempt_id) const {
  constexpr Nanoseconds kTimeToSettle = std::chrono::minutes{15};
  const auto found = truth_.attempts.find(attempt_id);
  const Process* process =
      found == truth_.attempts.end() ? nullptr : kernel_.by_serial(found->second.process);
  return process == nullptr ||
         (!process->is_alive && kernel_.simulated() - process->died_at > kTimeToSettle);
}

void Auditor::check_settled() {
  check_all();
  if (!open()) {
    return;
  }
  for (const Row& row : rows("SELECT attempt_id, state FROM accounts WHERE state <> 'SETTLED'")) {
    if (is_long_dead(row[0])) {
      fail(row[0] + " is over and still " + row[1]);
    }
  }
  for (const auto& entry : std::filesystem::directory_iterator(home_ + "/live")) {
    const std::string name = entry.path().stem().string();
    if (entry.path().extension() == ".page" && is_long_dead(name)) {
      fail("the page of " + name + " is left");
    }
  }
  if (!agent::IntentJournal(home_ + "/intents.journal").pending().empty()) {
    fail("intents wait that the ledger could have taken");
  }
}

}  // namespace finops::simulation
