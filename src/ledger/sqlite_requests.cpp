// sqlite_requests.cpp - requests for more money, and their answers.
#include "finops/base/planted.hpp"
#include "ledger/audit.hpp"
#include "ledger/sqlite_ledger.hpp"

namespace finops::ledger {
namespace {

#define FINOPS_REQUEST_QUERY                                                                 \
  "SELECT b.currency, q.request_id, q.budget_id, q.run_id, q.amount_units, q.amount_picos, " \
  "q.who, q.why, q.requested_at_ns, q.expires_at_ns, r.is_approved, r.outcome, r.who, "      \
  "r.why, r.old_limit_units, r.old_limit_picos, r.new_limit_units, r.new_limit_picos, "      \
  "r.ruled_at_ns FROM budget_requests q JOIN budgets b USING (budget_id) "                   \
  "LEFT JOIN budget_rulings r USING (request_id) "

bool has_expired(const BudgetRequest& request, UtcTime now) {
  return request.expires_at != UtcTime{} && now >= request.expires_at;
}

std::string answer_of(RulingOutcome outcome) {
  switch (outcome) {
    case RulingOutcome::Approved: return "approved";
    case RulingOutcome::Denied: return "denied";
    case RulingOutcome::Expired: break;
  }
  return "closed, since nobody had answered it in time,";
}

}  // namespace

RequestSummary SqliteLedger::read_request(Statement& rows) {
  const Currency currency(rows.text());
  RequestSummary summary;
  BudgetRequest& request = summary.request;
  request.request_id = RequestId{rows.text()};
  request.budget_id = BudgetId{rows.text()};
  request.run_id = RunId{rows.text()};
  request.amount = rows.money(currency);
  request.who = rows.text();
  request.why = rows.text();
  request.requested_at = rows.utc();
  request.expires_at = rows.utc();
  if (!rows.next_is_null()) {
    BudgetRuling ruling;
    ruling.request_id = request.request_id;
    ruling.outcome = rows.boolean() ? RulingOutcome::Approved : RulingOutcome::Denied;
    if (rows.text() == ruling_outcome_name(RulingOutcome::Expired)) {
      ruling.outcome = RulingOutcome::Expired;
    }
    ruling.who = rows.text();
    ruling.why = rows.text();
    ruling.old_limit = rows.money(currency);
    ruling.new_limit = rows.money(currency);
    ruling.ruled_at = rows.utc();
    summary.ruling = std::move(ruling);
  }
  return summary;
}

std::vector<RequestSummary> SqliteLedger::requests() {
  const Use use(*this);
  std::vector<RequestSummary> summaries;
  Statement rows = database_->prepare(FINOPS_REQUEST_QUERY "ORDER BY q.rowid");
  while (rows.step()) {
    summaries.push_back(read_request(rows));
  }
  return summaries;
}

std::optional<RequestSummary> SqliteLedger::request(const RequestId& request_id) {
  Statement rows = database_->prepare(FINOPS_REQUEST_QUERY "WHERE q.request_id=?");
  rows << request_id.str();
  return rows.step() ? std::optional(read_request(rows)) : std::nullopt;
}

void SqliteLedger::add_request(const BudgetRequest& request) {
  FINOPS_REQUIRE(!request.amount.is_negative() && !request.amount.is_zero(),
                 ErrorCode::InvalidMoney,
                 "a request must be for more than zero, not " + request.amount.str());
  FINOPS_REQUIRE(request.expires_at == UtcTime{} || request.expires_at > request.requested_at,
                 ErrorCode::InvalidArgument, "a request must expire after it is made");
  write([&] {
    const Currency currency = budget_currency(request.budget_id);
    FINOPS_REQUIRE(currency == request.amount.currency(), ErrorCode::CurrencyMismatch,
                   "budget " + request.budget_id.str() + " is in " + currency.str() +
                       ", the request in " + request.amount.currency().str());
    const auto bind = [&request](Statement& statement) {
      statement << request.request_id.str() << request.budget_id.str();
      statement.bind_text_or_null(request.run_id.str());
      statement << request.amount << request.who << request.why << request.requested_at
                << request.expires_at;
    };
    Statement insert = database_->prepare(
        "INSERT INTO budget_requests VALUES (?,?,?,?,?,?,?,?,?) ON CONFLICT (request_id) DO "
        "NOTHING");
    bind(insert);
    insert.run();
    if (database_->changes() == 0) {
      Statement same = database_->prepare(
          "SELECT count(*) FROM budget_requests WHERE request_id=? AND budget_id=? AND run_id IS ? "
          "AND amount_units=? AND amount_picos=? AND who=? AND why=? AND requested_at_ns=? AND "
          "expires_at_ns=?");
      bind(same);
      require_known(same, "request " + request.request_id.str());
      return;
    }
    chain_record(*database_, AuditKind::Request, request.request_id.str());
    notify(NoticeKind::Request, "request/" + request.request_id.str(), request.budget_id, {},
           request.who + " asks for " + request.amount.str() + " more for " +
               request.budget_id.str() + ": " + request.why +
               ". Answer with: finops budget approve " + request.request_id.str(),
           request.requested_at);
  });
}

void SqliteLedger::insert_ruling(const BudgetRuling& ruling) {
  Statement insert = database_->prepare("INSERT INTO budget_rulings VALUES (?,?,?,?,?,?,?,?,?,?)");
  insert << ruling.request_id.str() << (ruling.outcome == RulingOutcome::Approved) << ruling.who
         << ruling.why << ruling.old_limit << ruling.new_limit << ruling.ruled_at
         << ruling_outcome_name(ruling.outcome);
  insert.run();
  chain_record(*database_, AuditKind::Ruling, ruling.request_id.str());
}

BudgetRuling SqliteLedger::rule_request(const RequestId& request_id, bool is_approved,
                                        const std::string& who, const std::string& why,
                                        UtcTime now) {
  const RulingOutcome outcome = is_approved ? RulingOutcome::Approved : RulingOutcome::Denied;
  BudgetRuling ruling;
  write([&] {
    const std::optional<RequestSummary> found = request(request_id);
    FINOPS_REQUIRE(found.has_value(), ErrorCode::NotFound,
                   "there is no budget request " + request_id.str() +
                       "; see: finops budget history");
    if (found->ruling.has_value()) {
      FINOPS_REQUIRE(found->ruling->outcome == outcome, ErrorCode::Conflict,
                     "request " + request_id.str() + " was " + answer_of(found->ruling->outcome) +
                         " by " + found->ruling->who +
                         " already; ask anew with: finops budget "
                         "request " +
                         found->request.budget_id.str() + " AMOUNT --why REASON");
      ruling = *found->ruling;
      if (planted::is_on(planted::Bug::ApprovalTwice) && is_approved) {
        const UtcTime again = budget_record(found->request.budget_id).period.window_at(now).start;
        const Money limit = load_balance(found->request.budget_id, again).limit;
        BudgetLine line;
        line.recorded_at = now;
        change_limit(found->request.budget_id, again, limit + found->request.amount,
                     "again/" + request_id.str(), line);
      }
      return;
    }
    const BudgetRequest& asked = found->request;
    FINOPS_REQUIRE(!has_expired(asked, now), ErrorCode::Conflict,
                   "request " + request_id.str() + " expired at " + format_utc(asked.expires_at) +
                       "; ask anew with: finops budget request " + asked.budget_id.str() +
                       " AMOUNT --why REASON");
    require_entitled(asked.budget_id, who);
    const BudgetRecord budget = budget_record(asked.budget_id);
    const UtcTime start = budget.period.window_at(now).start;
    open_window(asked.budget_id, start, now);
    const Money old_limit = load_balance(asked.budget_id, start).limit;
    const Money new_limit = is_approved ? old_limit + asked.amount : old_limit;
    ruling = {request_id, outcome, who, why, old_limit, new_limit, now};
    insert_ruling(ruling);
    BudgetLine line;
    line.who = who;
    line.why = "request " + request_id.str() + (why.empty() ? "" : ": " + why);
    line.recorded_at = now;
    change_limit(asked.budget_id, start, new_limit, "request/" + request_id.str(), line);
    if (is_approved && budget.period.is_lifetime()) {
      BudgetTerms terms = load_terms(asked.budget_id);
      terms.limit = new_limit;
      insert_terms(asked.budget_id, terms, who, line.why, now);
    }
    notify(is_approved ? NoticeKind::Approved : NoticeKind::Denied, "ruling/" + request_id.str(),
           asked.budget_id, {},
           who + " has " + answer_of(outcome) + " " + asked.amount.str() + " more for " +
               asked.budget_id.str() + (why.empty() ? "" : ": " + why) +
               (is_approved ? "; its limit is " + new_limit.str() : ""),
           now);
  });
  return ruling;
}

std::size_t SqliteLedger::expire_requests(UtcTime now) {
  std::vector<BudgetRequest> expired;
  {
    const Use use(*this);
    Statement rows = database_->prepare(
        FINOPS_REQUEST_QUERY
        "WHERE r.request_id IS NULL AND q.expires_at_ns > 0 AND q.expires_at_ns <= ?");
    rows << now;
    while (rows.step()) {
      expired.push_back(read_request(rows).request);
    }
  }
  if (expired.empty()) {
    return 0;  // the usual case asks for no lock
  }
  std::size_t count = 0;
  write([&] {
    for (const BudgetRequest& asked : expired) {
      if (request(asked.request_id)->ruling.has_value()) {
        continue;  // answered meanwhile
      }
      const BudgetRecord budget = budget_record(asked.budget_id);
      const UtcTime start = budget.period.window_at(now).start;
      open_window(asked.budget_id, start, now);
      const Money limit = load_balance(asked.budget_id, start).limit;
      insert_ruling({asked.request_id, RulingOutcome::Expired, "finops", "nobody answered in time",
                     limit, limit, now});
      notify(NoticeKind::Expired, "ruling/" + asked.request_id.str(), asked.budget_id, {},
             "nobody answered " + asked.who + ", who asked for " + asked.amount.str() +
                 " more for " + asked.budget_id.str() + ": " + asked.why,
             now);
      ++count;
    }
  });
  return count;
}

}  // namespace finops::ledger
