// sqlite_queries.cpp - the read queries behind reports, `finops ps` and the agent.
#include "ledger/sqlite_ledger.hpp"

#include <algorithm>

namespace finops::ledger {
namespace {

// The columns of read_attempt, in its order.
#define FINOPS_ATTEMPT_COLUMNS                                                                   \
  "a.attempt_id, a.run_id, a.attempt_number, a.host, a.boot_id, a.pid, a.start_ticks, "          \
  "a.entry_point, a.command, a.resource, coalesce(l.price_id, a.price_id), "                     \
  "coalesce(l.used_micro_gpus, a.used_micro_gpus), "                                             \
  "coalesce(l.block_micro_gpus, a.block_micro_gpus), a.is_long_running, a.long_running_reason, " \
  "a.started_utc_ns, a.started_boot_ns, a.started_monotonic_ns "

template <class Enum>
Enum parse_word(std::string_view name, std::initializer_list<Enum> values,
                std::string_view (*name_of)(Enum) noexcept) {
  for (const Enum value : values) {
    if (name_of(value) == name) {
      return value;
    }
  }
  detail::throw_error(ErrorCode::LedgerCorrupt,
                      "unknown word '" + std::string(name) + "' in the ledger");
}

void add_cost(std::optional<Money>& sum, const std::optional<Money>& part) {
  if (part.has_value()) {
    sum = sum.has_value() ? *sum + *part : *part;
  }
}

}  // namespace

std::vector<BudgetId> SqliteLedger::budget_ids_of(const AttemptId& attempt_id) {
  std::vector<BudgetId> ids;
  Statement rows = database_->prepare(
      "SELECT budget_id FROM attempt_budgets WHERE attempt_id=? ORDER BY position");
  rows << attempt_id.str();
  while (rows.step()) {
    ids.emplace_back(rows.text());
  }
  return ids;
}

std::vector<ChainLink> SqliteLedger::chain_of(const AttemptId& attempt_id) {
  std::vector<ChainLink> chain;
  Statement rows = database_->prepare(
      "SELECT budget_id, period, is_hard, currency FROM attempt_budgets JOIN budgets USING "
      "(budget_id) WHERE attempt_id=? ORDER BY position");
  rows << attempt_id.str();
  while (rows.step()) {
    ChainLink link;
    link.budget_id = BudgetId{rows.text()};
    link.period = Period::parse(rows.text());
    link.is_hard = rows.boolean();
    link.currency = Currency(rows.text());
    chain.push_back(std::move(link));
  }
  return chain;
}

AttemptRecord SqliteLedger::read_attempt(Statement& row) {
  AttemptRecord attempt;
  attempt.attempt_id = AttemptId{row.text()};
  attempt.run_id = RunId{row.text()};
  attempt.attempt_number = static_cast<std::int32_t>(row.integer());
  attempt.host = row.text();
  attempt.process.boot_id = row.text();
  attempt.process.pid = static_cast<pid_t>(row.integer());
  attempt.process.start_ticks = static_cast<std::uint64_t>(row.integer());
  attempt.entry_point = row.text() == "init" ? EntryPoint::Init : EntryPoint::Command;
  attempt.command = row.text();
  attempt.resource = row.text();
  attempt.price_id = PriceId{row.text()};
  attempt.used_micro_gpus = row.integer();
  attempt.block_micro_gpus = row.integer();
  attempt.is_long_running = row.boolean();
  attempt.long_running_reason = row.text();
  attempt.started_at.utc = row.utc();
  attempt.started_at.boot = BootTime{row.nanoseconds()};
  attempt.started_at.monotonic = MonotonicTime{row.nanoseconds()};
  attempt.budget_chain = budget_ids_of(attempt.attempt_id);
  return attempt;
}

std::optional<AttemptRecord> SqliteLedger::attempt(const AttemptId& attempt_id) {
  const Use use(*this);
  Statement row = database_->prepare(
      "SELECT " FINOPS_ATTEMPT_COLUMNS
      "FROM attempts a LEFT JOIN attempt_prices l USING (attempt_id) WHERE a.attempt_id=?");
  row << attempt_id.str();
  return row.step() ? std::optional(read_attempt(row)) : std::nullopt;
}

AttemptSummary SqliteLedger::summarise(AttemptRecord attempt) {
  AttemptSummary summary;
  const AccountRow row = load_account(attempt.attempt_id);
  summary.account_state = account_state_name(row.account.state);
  if (row.account.rate.has_value()) {
    summary.price = row.account.rate->hourly().str() + "/h";
    summary.metered_cost = row.account.charged;
  }
  summary.metered_time = row.account.settled;
  Statement uncertain = database_->prepare(
      "SELECT min(from_ns), max(to_ns) FROM usage WHERE attempt_id=? AND kind='UNCERTAIN'");
  uncertain << attempt.attempt_id.str();
  if (row.account.state == AccountState::SUSPECT && uncertain.step() && !uncertain.next_is_null()) {
    const Nanoseconds from = uncertain.nanoseconds();
    const Nanoseconds to = uncertain.nanoseconds();
    require_whole(from >= Nanoseconds::zero() && from <= to && to <= kCentury,
                  "its uncertain use makes no sense", attempt.attempt_id.str());
    summary.uncertain_time = to - from;
    if (row.account.rate.has_value()) {
      summary.uncertain_cost = row.account.rate->cost_of(to) - row.account.rate->cost_of(from);
    }
  }
  Statement end =
      database_->prepare("SELECT status, reason, ended_at_ns FROM attempt_ends WHERE attempt_id=?");
  end << attempt.attempt_id.str();
  if (end.step()) {
    AttemptEnd value;
    value.status = parse_run_status(end.text());
    value.reason = end.text();
    value.ended_at = end.utc();
    summary.end = value;
  }
  summary.attempt = std::move(attempt);
  return summary;
}

std::vector<AttemptSummary> SqliteLedger::attempts(const RunId& run_id) {
  const Use use(*this);
  std::vector<AttemptRecord> records;
  {
    Statement rows = database_->prepare(
        "SELECT " FINOPS_ATTEMPT_COLUMNS
        "FROM attempts a LEFT JOIN attempt_prices l USING (attempt_id) WHERE a.run_id=? "
        "ORDER BY a.attempt_number");
    rows << run_id.str();
    while (rows.step()) {
      records.push_back(read_attempt(rows));
    }
  }
  std::vector<AttemptSummary> summaries;
  summaries.reserve(records.size());
  for (AttemptRecord& record : records) {
    summaries.push_back(summarise(std::move(record)));
  }
  return summaries;
}

RunSummary SqliteLedger::read_run_summary(Statement& row) {
  RunSummary summary;
  RunRecord& run = summary.run;
  run.run_id = RunId{row.text()};
  run.project = row.text();
  run.experiment = row.text();
  run.name = row.text();
  run.user_name = row.text();
  run.parent_run_id = RunId{row.text()};
  run.fork_of = RunId{row.text()};
  run.tags = row.text();
  run.created_at = row.utc();
  // An attempt on another host, brought in by a merge, may run beside the newest one.
  bool is_running = false;
  for (const AttemptSummary& attempt : attempts(run.run_id)) {
    summary.started_at =
        summary.attempt_count == 0 ? attempt.attempt.started_at.utc : summary.started_at;
    ++summary.attempt_count;
    add_cost(summary.metered_cost, attempt.metered_cost);
    add_cost(summary.uncertain_cost, attempt.uncertain_cost);
    summary.metered_time += attempt.metered_time;
    summary.unpriced_time += attempt.price.empty() ? attempt.metered_time : Nanoseconds{};
    summary.status = attempt.end ? attempt.end->status : RunStatus::RUNNING;
    summary.reason = attempt.end ? attempt.end->reason : "";
    summary.ended_at = attempt.end ? attempt.end->ended_at : UtcTime{};
    is_running = is_running || !attempt.end.has_value();
  }
  if (is_running) {
    summary.status = RunStatus::RUNNING;
    summary.reason.clear();
    summary.ended_at = {};
  }
  return summary;
}

std::vector<RunSummary> SqliteLedger::runs(const RunFilter& filter) {
  const Use use(*this);
  std::vector<RunSummary> summaries;
  Statement rows = database_->prepare(
      "SELECT run_id, project, experiment, name, user_name, parent_run_id, fork_of, tags, "
      "created_at_ns FROM runs WHERE (?1='' OR run_id=?1) AND (?2='' OR project=?2) AND "
      "(?3='' OR experiment=?3) AND (?4='' OR name=?4) ORDER BY rowid DESC");
  rows << filter.run_id.str() << filter.project << filter.experiment << filter.name;
  while (rows.step() && std::ssize(summaries) < filter.limit) {
    RunSummary summary = read_run_summary(rows);
    if (!filter.status.has_value() || summary.status == *filter.status) {
      summaries.push_back(std::move(summary));
    }
  }
  std::reverse(summaries.begin(), summaries.end());
  return summaries;
}

std::vector<SuspectAttempt> SqliteLedger::suspects() {
  const Use use(*this);
  std::vector<SuspectAttempt> suspects;
  Statement rows = database_->prepare(
      "SELECT c.attempt_id, sum(u.to_ns - u.from_ns), e.ended_at_ns FROM accounts c "
      "JOIN usage u USING (attempt_id) JOIN attempt_ends e USING (attempt_id) "
      "WHERE c.state='SUSPECT' AND u.kind='UNCERTAIN' AND c.attempt_id NOT IN "
      "(SELECT attempt_id FROM merged_attempts) GROUP BY c.attempt_id");
  while (rows.step()) {
    SuspectAttempt suspect;
    suspect.attempt_id = AttemptId{rows.text()};
    suspect.uncertain_time = rows.nanoseconds();
    suspect.ended_at = rows.utc();
    suspects.push_back(std::move(suspect));
  }
  return suspects;
}

std::vector<OpenAttempt> SqliteLedger::open_attempts() {
  const Use use(*this);
  std::vector<OpenAttempt> open;
  Statement rows = database_->prepare(
      "SELECT attempt_id, a.host, a.boot_id, a.pid, a.start_ticks, a.started_utc_ns, "
      "a.started_boot_ns, a.started_monotonic_ns, c.settled_ns, c.epoch FROM accounts c JOIN "
      "attempts a USING (attempt_id) WHERE c.state <> 'SETTLED' AND c.state='OPEN' AND attempt_id "
      "NOT IN (SELECT attempt_id FROM merged_attempts)");
  while (rows.step()) {
    OpenAttempt attempt;
    attempt.attempt_id = AttemptId{rows.text()};
    attempt.host = rows.text();
    attempt.process.boot_id = rows.text();
    attempt.process.pid = static_cast<pid_t>(rows.integer());
    attempt.process.start_ticks = static_cast<std::uint64_t>(rows.integer());
    attempt.started_at.utc = rows.utc();
    attempt.started_at.boot = BootTime{rows.nanoseconds()};
    attempt.started_at.monotonic = MonotonicTime{rows.nanoseconds()};
    attempt.settled = rows.nanoseconds();
    attempt.epoch = rows.integer();
    open.push_back(std::move(attempt));
  }
  return open;
}

std::vector<UnpricedAttempt> SqliteLedger::unpriced_attempts() {
  const Use use(*this);
  std::vector<UnpricedAttempt> unpriced;
  Statement rows = database_->prepare(
      "SELECT c.settled_ns, " FINOPS_ATTEMPT_COLUMNS
      "FROM attempts a JOIN accounts c USING (attempt_id) LEFT JOIN attempt_prices l USING "
      "(attempt_id) WHERE a.price_id IS NULL AND l.price_id IS NULL AND a.attempt_id NOT IN "
      "(SELECT attempt_id FROM merged_attempts)");
  while (rows.step()) {
    UnpricedAttempt entry;
    entry.unpriced_time = rows.nanoseconds();
    entry.attempt = read_attempt(rows);
    unpriced.push_back(std::move(entry));
  }
  return unpriced;
}

std::vector<DecisionRecord> SqliteLedger::decisions(const AttemptId& attempt_id,
                                                    std::int64_t limit) {
  const Use use(*this);
  std::vector<DecisionRecord> decisions;
  // In the order of recording: a wall clock may jump.
  Statement rows = database_->prepare(
      "SELECT attempt_id, sequence, directive, rule, rung, reason, decided_by, decided_at_ns, "
      "is_dry_run FROM decisions WHERE ?1='' OR attempt_id=?1 "
      "ORDER BY rowid DESC LIMIT ?2");
  rows << attempt_id.str() << limit;
  while (rows.step()) {
    DecisionRecord decision;
    decision.attempt_id = AttemptId{rows.text()};
    decision.sequence = rows.integer();
    decision.directive = parse_word<Directive>(rows.text(),
                                               {Directive::CONTINUE, Directive::CHECKPOINT,
                                                Directive::PAUSE, Directive::STOP},
                                               &directive_name);
    decision.rule = parse_rule(rows.text());
    decision.rung = parse_rung(rows.text());
    decision.reason = rows.text();
    decision.decided_by = rows.text();
    decision.decided_at = rows.utc();
    decision.is_dry_run = rows.boolean();
    decisions.push_back(std::move(decision));
  }
  std::reverse(decisions.begin(), decisions.end());
  return decisions;
}

std::optional<CheckpointRecord> SqliteLedger::last_checkpoint(const RunId& run_id) {
  const Use use(*this);
  Statement row = database_->prepare(
      "SELECT run_id, attempt_id, sequence, step, path, confirmed_at_ns FROM checkpoints "
      "WHERE run_id=? ORDER BY rowid DESC LIMIT 1");
  row << run_id.str();
  if (!row.step()) {
    return std::nullopt;
  }
  CheckpointRecord checkpoint;
  checkpoint.run_id = RunId{row.text()};
  checkpoint.attempt_id = AttemptId{row.text()};
  checkpoint.sequence = row.integer();
  checkpoint.step = row.integer();
  checkpoint.path = row.text();
  checkpoint.confirmed_at = row.utc();
  return checkpoint;
}

std::vector<PriceRow> SqliteLedger::user_prices() {
  const Use use(*this);
  std::vector<PriceRow> prices;
  Statement rows = database_->prepare(
      "SELECT price_id, sku_id, provider, region, zone, instance_type, gpu, gpu_count, "
      "pricing_category, valid_from_ns, valid_to_ns, source, source_date, currency, "
      "list_unit_price_units, list_unit_price_picos FROM prices WHERE is_user_set=1 "
      "ORDER BY valid_from_ns");
  while (rows.step()) {
    PriceRow row;
    row.price_id = PriceId{rows.text()};
    row.sku_id = rows.text();
    row.provider = rows.text();
    row.region = rows.text();
    row.zone = rows.text();
    row.instance_type = rows.text();
    row.gpu = rows.text();
    row.gpu_count = rows.integer();
    row.pricing_category = parse_pricing_category(rows.text());
    row.valid_from = rows.utc();
    row.valid_to = rows.utc();
    row.source = rows.text();
    row.source_date = rows.text();
    const Currency currency(rows.text());
    row.list_unit_price = rows.money(currency);
    row.is_default = row.provider == "local";
    row.is_user_set = true;
    prices.push_back(std::move(row));
  }
  return prices;
}

}  // namespace finops::ledger
