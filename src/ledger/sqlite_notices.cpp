// sqlite_notices.cpp - what people are told, the state of its delivery, and telemetry.
#include <cmath>

#include "ledger/sqlite_ledger.hpp"

namespace finops::ledger {
namespace {

// For people: two decimals, more below one unit. The exact amount stands in the ledger.
std::string brief(const Money& amount) {
  std::string text = amount.amount_text();
  const std::size_t dot = text.find('.');
  const bool is_small = text.starts_with("0.") || text.starts_with("-0.");
  const std::size_t decimals = is_small ? 4 : 2;
  if (dot != std::string::npos && text.size() > dot + 1 + decimals) {
    text.resize(dot + 1 + decimals);  // cut, not rounded: nothing here rounds money up
  }
  return text + " " + amount.currency().str();
}

std::string budget_label(const BudgetId& budget_id, const PeriodWindow& window) {
  return budget_id.str() + (window.end == UtcTime::max() ? "" : " in " + window.label);
}

// Whether `amount` is at least `percent` of `limit`.
bool reaches(const Money& amount, const Money& limit, int percent) {
  return amount.picos() * 100 >= limit.picos() * percent;
}

}  // namespace

void SqliteLedger::notify(NoticeKind kind, const std::string& notice_id, const BudgetId& budget_id,
                          const AttemptId& attempt_id, const std::string& text, UtcTime now) {
  Statement insert = database_->prepare(
      "INSERT INTO notices (notice_id, kind, budget_id, attempt_id, text, recorded_at_ns) VALUES "
      "(?,?,?,?,?,?) ON CONFLICT (notice_id) DO NOTHING");
  insert << notice_id << notice_kind_name(kind);
  insert.bind_text_or_null(budget_id.str()).bind_text_or_null(attempt_id.str());
  insert << text << now;
  insert.run();
}

void SqliteLedger::notify_spent(const AccountRow& row, const ChainLink& link,
                                const PeriodWindow& window, Money before, UtcTime now) {
  const BudgetAccounts accounts = load_balance(link.budget_id, window.start);
  const Money& limit = accounts.limit;
  if (accounts.spent == before) {
    return;
  }
  const std::string where =
      link.budget_id.str() + "/" + std::to_string(window.start.time_since_epoch().count());
  // The terms are read only where some whole percent was passed.
  if (!limit.is_zero() &&
      accounts.spent.picos() * 100 / limit.picos() != before.picos() * 100 / limit.picos()) {
    for (const int percent : load_terms(link.budget_id).warning_percents) {
      if (!reaches(before, limit, percent) && reaches(accounts.spent, limit, percent)) {
        // Once for each limit: after it was raised the same share is news again.
        notify(NoticeKind::Threshold,
               "threshold/" + where + "/" + std::to_string(percent) + "@" + limit.str(),
               link.budget_id, row.attempt_id,
               budget_label(link.budget_id, window) + " is used up to " + std::to_string(percent) +
                   " %: " + brief(accounts.spent) + " of " + brief(limit),
               now);
      }
    }
  }
  if (accounts.spent > limit) {
    notify(NoticeKind::Overspent, "overspent/" + where + "/" + row.attempt_id.str(), link.budget_id,
           row.attempt_id,
           budget_label(link.budget_id, window) + " is overspent by " +
               brief(accounts.spent - limit) + ", last by " + label_of(row.attempt_id),
           now);
  }
}

void SqliteLedger::notify_end(const AccountRow& row, const AttemptEnd& end,
                              std::optional<Money> uncertain) {
  const bool is_suspect = row.account.state == AccountState::SUSPECT;
  const bool is_told = end.status == RunStatus::PAUSED || end.status == RunStatus::KILLED;
  const BudgetId budget_id = row.chain.empty() ? BudgetId{} : row.chain.front().budget_id;
  const std::string& id = row.attempt_id.str();
  const std::string reason = end.reason.empty() ? "" : ": " + end.reason;
  if (is_told) {
    const bool is_paused = end.status == RunStatus::PAUSED;
    notify(is_paused ? NoticeKind::Paused : NoticeKind::Stopped, "end/" + id, budget_id,
           row.attempt_id,
           label_of(row.attempt_id) + (is_paused ? " was paused" : " was stopped") + reason,
           end.ended_at);
  }
  if (is_suspect) {
    notify(NoticeKind::Uncertain, "uncertain/" + id, budget_id, row.attempt_id,
           label_of(row.attempt_id) + " ended without a word; " +
               (uncertain.has_value() ? brief(*uncertain) + " of its cost is uncertain"
                                      : std::string("some of its time is uncertain")) +
               ". Settle it with: finops budget settle " + id + " --spent or --released",
           end.ended_at);
  }
}

void SqliteLedger::notify_dry_run(const DecisionRecord& decision) {
  if (decision.is_dry_run && decision.directive != Directive::CONTINUE) {
    notify(NoticeKind::Stopped,
           "dry-run/" + decision.attempt_id.str() + "/" + std::to_string(decision.sequence), {},
           decision.attempt_id,
           "dry run: " + label_of(decision.attempt_id) + " would be told to " +
               std::string(directive_name(decision.directive)) + ": " + decision.reason,
           decision.decided_at);
  }
}

std::string SqliteLedger::label_of(const AttemptId& attempt_id) {
  Statement row = database_->prepare(
      "SELECT project || '/' || experiment || CASE name WHEN '' THEN '' ELSE '/' || name END || "
      "' (run ' || run_id || ')' FROM attempts JOIN runs USING (run_id) WHERE attempt_id=?");
  row << attempt_id.str();
  return row.step() ? row.text() : "attempt " + attempt_id.str();
}

void SqliteLedger::add_notice(const Notice& notice) {
  FINOPS_REQUIRE(!notice.notice_id.empty() && !notice.text.empty(), ErrorCode::InvalidArgument,
                 "a notice needs an id and a text");
  write([&] {
    notify(notice.kind, notice.notice_id, notice.budget_id, notice.attempt_id, notice.text,
           notice.recorded_at);
  });
}

std::vector<Notice> SqliteLedger::notices(std::int64_t after, std::int64_t limit) {
  const Use use(*this);
  std::vector<Notice> notices;
  Statement rows = database_->prepare(
      "SELECT number, notice_id, kind, budget_id, attempt_id, text, recorded_at_ns FROM notices "
      "WHERE number > ? ORDER BY number LIMIT ?");
  rows << after << limit;
  while (rows.step()) {
    Notice notice;
    notice.number = rows.integer();
    notice.notice_id = rows.text();
    notice.kind = parse_notice_kind(rows.text());
    notice.budget_id = BudgetId{rows.text()};
    notice.attempt_id = AttemptId{rows.text()};
    notice.text = rows.text();
    notice.recorded_at = rows.utc();
    notices.push_back(std::move(notice));
  }
  return notices;
}

Delivery SqliteLedger::add_delivery(const Delivery& delivery) {
  Delivery stored = delivery;
  write([&] {
    if (stored.sequence == 0) {
      Statement last = database_->prepare(
          "SELECT coalesce(max(sequence), 0) FROM notice_deliveries WHERE channel=?");
      last << stored.channel;
      last.step();
      stored.sequence = last.integer() + 1;
    }
    Statement insert = database_->prepare("INSERT INTO notice_deliveries VALUES (?,?,?,?,?,?,?)");
    insert << stored.channel << stored.sequence << stored.first_number << stored.last_number
           << stored.state << stored.detail << stored.recorded_at;
    insert.run();
  });
  return stored;
}

std::optional<Delivery> SqliteLedger::last_delivery(const std::string& channel) {
  const Use use(*this);
  Statement row = database_->prepare(
      "SELECT sequence, first_number, last_number, state, detail, recorded_at_ns FROM "
      "notice_deliveries WHERE channel=? ORDER BY sequence DESC LIMIT 1");
  row << channel;
  if (!row.step()) {
    return std::nullopt;
  }
  Delivery delivery;
  delivery.channel = channel;
  delivery.sequence = row.integer();
  delivery.first_number = row.integer();
  delivery.last_number = row.integer();
  delivery.state = row.text();
  delivery.detail = row.text();
  delivery.recorded_at = row.utc();
  return delivery;
}

void SqliteLedger::add_telemetry(std::span<const TelemetryWindow> windows) {
  if (windows.empty()) {
    return;
  }
  write([&] {
    for (const TelemetryWindow& window : windows) {
      FINOPS_REQUIRE(window.sample_count > 0 && std::isfinite(window.minimum) &&
                         std::isfinite(window.mean) && std::isfinite(window.maximum),
                     ErrorCode::InvalidArgument,
                     "a telemetry window needs samples and finite values: " +
                         window.attempt_id.str() + " " + std::string(metric_name(window.metric)));
      Statement insert = database_->prepare(
          "INSERT INTO telemetry VALUES (?,?,?,?,?,?,?,?) ON CONFLICT (attempt_id, "
          "window_start_ns, metric, device) DO NOTHING");
      insert << window.attempt_id.str() << window.window_start << metric_name(window.metric)
             << window.device << window.sample_count << window.minimum << window.mean
             << window.maximum;
      insert.run();
    }
  });
}

std::vector<TelemetryWindow> SqliteLedger::telemetry(const AttemptId& attempt_id) {
  const Use use(*this);
  std::vector<TelemetryWindow> windows;
  Statement rows = database_->prepare(
      "SELECT window_start_ns, metric, device, sample_count, minimum, mean, maximum FROM telemetry "
      "WHERE attempt_id=? ORDER BY window_start_ns, metric, device");
  rows << attempt_id.str();
  while (rows.step()) {
    TelemetryWindow window;
    window.attempt_id = attempt_id;
    window.window_start = rows.utc();
    window.metric = parse_metric(rows.text());
    window.device = rows.text();
    window.sample_count = rows.integer();
    window.minimum = rows.real();
    window.mean = rows.real();
    window.maximum = rows.real();
    windows.push_back(std::move(window));
  }
  return windows;
}

}  // namespace finops::ledger
