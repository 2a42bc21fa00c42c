// sqlite_money.cpp - the atomic moves of an attempt's money: usage, charges, its end.
//
// Every function here runs inside one `write`: usage, charge, budget lines and caches change
// together or not at all.
#include "ledger/sqlite_ledger.hpp"

#include <algorithm>

#include "finops/base/planted.hpp"
#include "ledger/windows.hpp"

namespace finops::ledger {
namespace {

AccountState parse_state(const std::string& name) {
  if (name == "OPEN") {
    return AccountState::OPEN;
  }
  return name == "SUSPECT" ? AccountState::SUSPECT : AccountState::SETTLED;
}

bool is_possible_span(Nanoseconds span) { return span >= Nanoseconds::zero() && span <= kCentury; }

/// The ends of a slice of use, from a row that names them next.
std::pair<Nanoseconds, Nanoseconds> read_slice(Statement& row, const AttemptId& attempt_id) {
  const Nanoseconds from = row.nanoseconds();
  const Nanoseconds to = row.nanoseconds();
  require_whole(is_possible_span(from) && is_possible_span(to) && from <= to,
                "a slice of its use makes no sense", attempt_id.str());
  return {from, to};
}

}  // namespace

AccountRow SqliteLedger::load_account(const AttemptId& attempt_id) {
  Statement row = database_->prepare(
      "SELECT c.state, c.epoch, c.settled_ns, c.usage_count, c.is_exhausted, a.started_utc_ns, "
      "p.price_id, coalesce(l.used_micro_gpus, a.used_micro_gpus), "
      "coalesce(l.block_micro_gpus, a.block_micro_gpus), p.currency, p.list_unit_price_units, "
      "p.list_unit_price_picos, c.held_units, c.held_picos, c.charged_units, c.charged_picos "
      "FROM accounts c JOIN attempts a USING (attempt_id) "
      "LEFT JOIN attempt_prices l USING (attempt_id) "
      "LEFT JOIN prices p ON p.price_id = coalesce(l.price_id, a.price_id) WHERE attempt_id=?");
  row << attempt_id.str();
  FINOPS_REQUIRE(row.step(), ErrorCode::NotFound,
                 "attempt " + attempt_id.str() + " is not in the ledger");
  AccountRow result;
  result.attempt_id = attempt_id;
  AttemptAccount& account = result.account;
  account.state = parse_state(row.text());
  account.epoch = row.integer();
  account.settled = row.nanoseconds();
  result.usage_count = row.integer();
  account.is_exhausted = row.boolean();
  result.started_at = row.utc();
  result.price_id = PriceId{row.text()};
  const std::int64_t used = row.integer();
  const std::int64_t block = row.integer();
  if (!result.price_id.empty()) {
    const Currency currency(row.text());
    account.rate = Rate(row.money(currency), used, block);
    if (row.next_is_null()) {
      row.skip(2);
    } else {
      account.held = row.money(currency);
    }
    account.charged = row.money(currency);
  }
  result.chain = chain_of(attempt_id);
  require_whole(is_possible_start(result.started_at) && is_possible_span(account.settled) &&
                    (result.chain.empty() || account.held.has_value()),
                "its account makes no sense", attempt_id.str());
  return result;
}

void SqliteLedger::store_account(AccountRow& row) {
  AttemptAccount& account = row.account;
  ++account.epoch;
  Statement update = database_->prepare(
      "UPDATE accounts SET state=?, epoch=?, settled_ns=?, usage_count=?, held_units=?, "
      "held_picos=?, charged_units=?, charged_picos=?, is_exhausted=? WHERE attempt_id=?");
  update << account_state_name(account.state) << account.epoch << account.settled << row.usage_count
         << account.held << account.charged << account.is_exhausted << row.attempt_id.str();
  update.run();
  FINOPS_ASSERT(database_->changes() == 1);
}

void SqliteLedger::require_epoch(const AccountRow& row, std::int64_t epoch) const {
  FINOPS_REQUIRE(row.account.epoch == epoch || planted::is_on(planted::Bug::NoFencing),
                 ErrorCode::Conflict,
                 "attempt " + row.attempt_id.str() +
                     " was settled by somebody else meanwhile "
                     "(epoch " +
                     std::to_string(row.account.epoch) + ", expected " + std::to_string(epoch) +
                     "); read the account again");
}

void SqliteLedger::insert_usage(AccountRow& row, Nanoseconds from, Nanoseconds to, UsageKind kind) {
  ++row.usage_count;
  Statement insert = database_->prepare("INSERT INTO usage VALUES (?,?,?,?,?,?,?)");
  insert << row.attempt_id.str() << row.usage_count << usage_kind_name(kind) << from << to
         << row.started_at + from << row.started_at + to;
  insert.run();
}

void SqliteLedger::charge_slice(AccountRow& row, std::int64_t sequence, Nanoseconds from,
                                Nanoseconds to, UtcTime now) {
  const Rate& rate = row.account.rate.value();
  // The slices of a run add up to the price of the whole run: both ends are rounded, not the slice.
  const Money cost = rate.cost_of(to) - rate.cost_of(from);
  Statement insert =
      database_->prepare("INSERT INTO charges VALUES (?,?,?,?,NULL,?,?,?,?,?,?,?,?,?)");
  insert << make_event_id(row.attempt_id, "charge", sequence).str() << row.attempt_id.str()
         << basis_name(Basis::METERED) << charge_category_name(ChargeCategory::Usage)
         << row.price_id.str() << to - from << row.started_at + from << row.started_at + to
         << cost.currency().str() << cost << cost;
  insert.run();
  row.account.charged = row.account.charged.value() + cost;
  spend(row, cost, from, now);
}

void SqliteLedger::advance(AccountRow& row, Nanoseconds elapsed, UsageKind kind, UtcTime now) {
  FINOPS_REQUIRE(elapsed <= kCentury, ErrorCode::InvalidArgument,
                 "attempt " + row.attempt_id.str() + " cannot have run for " +
                     std::to_string(elapsed.count()) + " ns: a century is the longest");
  // A slice lies in one window of every budget, so that each of them is charged where it was used.
  Nanoseconds from = row.account.settled;
  while (from < elapsed) {
    const Nanoseconds to = std::min(elapsed, next_boundary(row.chain, row.started_at, from));
    insert_usage(row, from, to, kind);
    if (kind == UsageKind::METERED) {
      if (row.account.rate.has_value()) {
        charge_slice(row, row.usage_count, from, to, now);
      }
      if (!planted::is_on(planted::Bug::DoubleSettle)) {
        row.account.settled = to;
      }
    }
    from = to;
  }
}

void SqliteLedger::insert_settlement(AccountRow& row, const char* outcome, const std::string& who,
                                     UtcTime now) {
  Statement insert = database_->prepare("INSERT INTO settlements VALUES (?,?,?,?)");
  insert << row.attempt_id.str() << outcome << who << now;
  insert.run();  // the primary key makes a second settlement impossible
  if (!planted::is_on(planted::Bug::LeaseKept)) {
    release_all(row, now);
  }
  row.account.state = AccountState::SETTLED;
}

AttemptAccount SqliteLedger::account(const AttemptId& attempt_id) {
  const Use use(*this);
  return load_account(attempt_id).account;
}

AttemptAccount SqliteLedger::settle(const SettleRequest& request) {
  AttemptAccount result;
  write([&] {
    AccountRow row = load_account(request.attempt_id);
    require_epoch(row, request.epoch);
    FINOPS_REQUIRE(row.account.state == AccountState::OPEN ||
                       planted::is_on(planted::Bug::NoFencing),
                   ErrorCode::Conflict,
                   "attempt " + request.attempt_id.str() + " has ended and is " +
                       std::string(account_state_name(row.account.state)));
    advance(row, request.elapsed, UsageKind::METERED, request.now);
    if (request.wanted_hold.has_value()) {
      top_up(row, *request.wanted_hold, request.now);
    }
    store_account(row);
    result = row.account;
  });
  return result;
}

AttemptAccount SqliteLedger::close(const CloseRequest& request) {
  AttemptAccount result;
  write([&] {
    AccountRow row = load_account(request.attempt_id);
    if (row.account.state != AccountState::OPEN) {
      result = row.account;  // it has ended already, exactly once
      return;
    }
    require_epoch(row, request.epoch);
    const UtcTime now = request.end.ended_at;
    advance(row, request.metered_until, UsageKind::METERED, now);
    Statement end = database_->prepare("INSERT INTO attempt_ends VALUES (?,?,?,?)");
    end << row.attempt_id.str() << run_status_name(request.end.status) << request.end.reason << now;
    end.run();
    const Nanoseconds certain = row.account.settled;
    std::optional<Money> uncertain;
    advance(row, request.gone_at, UsageKind::UNCERTAIN, now);
    if (request.gone_at <= certain) {
      insert_settlement(row, "EXACT", "finops", now);
    } else {
      row.account.state = AccountState::SUSPECT;
      if (row.account.rate.has_value()) {
        uncertain = row.account.rate->cost_of(request.gone_at) - row.account.rate->cost_of(certain);
        release_all(row, now);
        top_up(row, *uncertain, now);
      }
    }
    notify_end(row, request.end, uncertain);
    store_account(row);
    result = row.account;
  });
  return result;
}

AttemptAccount SqliteLedger::settle_suspect(const AttemptId& attempt_id, SuspectOutcome outcome,
                                            const std::string& who, UtcTime now) {
  AttemptAccount result;
  write([&] {
    AccountRow row = load_account(attempt_id);
    FINOPS_REQUIRE(row.account.state != AccountState::OPEN, ErrorCode::Conflict,
                   "attempt " + attempt_id.str() + " has not ended: there is nothing uncertain");
    if (row.account.state == AccountState::SUSPECT) {
      if (outcome == SuspectOutcome::Spent) {
        Statement uncertain = database_->prepare(
            "SELECT sequence, from_ns, to_ns FROM usage WHERE attempt_id=? AND kind='UNCERTAIN' "
            "ORDER BY sequence");
        uncertain << attempt_id.str();
        while (uncertain.step()) {
          const std::int64_t sequence = uncertain.integer();
          const auto [from, to] = read_slice(uncertain, attempt_id);
          if (row.account.rate.has_value()) {
            charge_slice(row, sequence, from, to, now);
          }
          row.account.settled = to;
        }
      }
      insert_settlement(row, outcome == SuspectOutcome::Spent ? "SPENT" : "RELEASED", who, now);
      store_account(row);
    }
    result = row.account;
  });
  return result;
}

AttemptAccount SqliteLedger::price_attempt(const AttemptId& attempt_id, const PriceRow& price,
                                           std::int64_t used_micro_gpus,
                                           std::int64_t block_micro_gpus) {
  add_price(price);
  AttemptAccount result;
  write([&] {
    AccountRow row = load_account(attempt_id);
    FINOPS_REQUIRE(!row.account.rate.has_value(), ErrorCode::Conflict,
                   "attempt " + attempt_id.str() + " is priced already with " + row.price_id.str());
    Statement link = database_->prepare("INSERT INTO attempt_prices VALUES (?,?,?,?)");
    link << attempt_id.str() << price.price_id.str() << used_micro_gpus << block_micro_gpus;
    link.run();
    row.price_id = price.price_id;
    row.account.rate = Rate(price.list_unit_price, used_micro_gpus, block_micro_gpus);
    row.account.charged = Money::zero(price.list_unit_price.currency());
    Statement slices = database_->prepare(
        "SELECT u.sequence, u.from_ns, u.to_ns FROM usage u LEFT JOIN settlements s USING "
        "(attempt_id) WHERE u.attempt_id=? AND (u.kind='METERED' OR s.outcome='SPENT') "
        "ORDER BY u.sequence");
    slices << attempt_id.str();
    while (slices.step()) {
      const std::int64_t sequence = slices.integer();
      const auto [from, to] = read_slice(slices, attempt_id);
      charge_slice(row, sequence, from, to, row.started_at + to);
    }
    store_account(row);
    result = row.account;
  });
  return result;
}

}  // namespace finops::ledger
