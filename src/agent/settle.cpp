// settle.cpp - registration, settlement and conclusion of one attempt.
#include "finops/agent/settle.hpp"

#include <algorithm>

#include "finops/base/error.hpp"

namespace finops::agent {
namespace {

// Calls `move` with the account; again with a fresh one as long as somebody else was first. Each
// time another one got on, so that this ends; an account that is no longer open is a Conflict for
// good.
template <class Move>
AttemptAccount with_fresh_account(Ledger& ledger, const AttemptId& attempt_id,
                                  AttemptAccount account, Move move) {
  constexpr int kMostRetries = 20;
  for (int retry = 0;; ++retry) {
    try {
      return move(account);
    } catch (const Error& error) {
      if (error.code() != ErrorCode::Conflict || retry == kMostRetries) {
        throw;
      }
    }
    const std::int64_t seen = account.epoch;
    account = ledger.account(attempt_id);
    if (account.epoch == seen) {
      return move(account);  // nobody was: it is refused for another reason, which this tells
    }
  }
}

}  // namespace

budget::LeaseTerms lease_terms_of(const pulse::PageInfo& info) {
  return {.term = info.lease_term,
          .check_gap = info.check_gap,
          .stop_time = info.stop_time,
          .billing_quantum = info.billing_quantum};
}

std::optional<Rate> rate_of(const pulse::PageInfo& info) {
  if (info.currency.empty()) {
    return std::nullopt;
  }
  const Money price = Money::from_stored({.units = info.price_units, .picos = info.price_picos},
                                         Currency(info.currency));
  return Rate(price, info.used_micro_gpus, info.block_micro_gpus);
}

void register_from_page(Ledger& ledger, const pulse::PageInfo& info) {
  const std::optional<Rate> rate = rate_of(info);
  if (rate.has_value()) {
    // The ledger may know the row in full; if not, the page's word is all there is.
    PriceRow price;
    price.price_id = PriceId{info.price_id};
    price.sku_id = info.price_id.substr(0, info.price_id.rfind('+'));
    price.provider = "page";
    price.list_unit_price = rate->price_per_hour();
    price.source = "live page of " + info.attempt_id.str();
    price.source_date = "unknown";
    ledger.add_price(price);
  }
  RunRecord run;
  run.run_id = info.run_id;
  run.project = info.project;
  run.experiment = info.experiment;
  run.name = info.name;
  run.user_name = info.user_name;
  run.parent_run_id = RunId{info.parent_run_id};
  run.tags = "{}";
  run.created_at = info.started_at.utc;
  ledger.add_run(run);
  AttemptRecord attempt;
  attempt.attempt_id = info.attempt_id;
  attempt.run_id = info.run_id;
  attempt.host = info.host;
  attempt.process = info.process;
  attempt.entry_point = info.is_command ? EntryPoint::Command : EntryPoint::Init;
  attempt.resource = info.resource;
  attempt.price_id = PriceId{info.price_id};
  attempt.used_micro_gpus = info.used_micro_gpus;
  attempt.block_micro_gpus = info.block_micro_gpus;
  if (!info.budget_id.empty()) {
    for (const BudgetSummary& budget :
         ledger.budget_chain(info.project, info.experiment, info.user_name, info.started_at.utc)) {
      attempt.budget_chain.push_back(budget.budget.budget_id);
    }
  }
  attempt.is_long_running = info.is_long_running;
  attempt.long_running_reason = info.long_running_reason;
  attempt.started_at = info.started_at;
  ledger.add_attempt(attempt);
}

AttemptAccount account_of(Ledger& ledger, const pulse::PageInfo& info) {
  if (!ledger.attempt(info.attempt_id).has_value()) {
    register_from_page(ledger, info);
  }
  return ledger.account(info.attempt_id);
}

void require_its_budget(const pulse::PageInfo& info, const AttemptAccount& account) {
  FINOPS_REQUIRE(
      info.budget_id.empty() || !info.is_hard_budget || account.held.has_value(),
      ErrorCode::NotFound,
      "the ledger does not know " + info.budget_id + ", the hard budget that attempt " +
          info.attempt_id.str() +
          " began with: it is another ledger, and lends nothing. Bring the old one back, "
          "or start the run again");
}

AttemptAccount settle_and_renew(Ledger& ledger, const pulse::PageInfo& info,
                                const AttemptAccount& account, Nanoseconds elapsed, UtcTime now) {
  const auto settle = [&](const AttemptAccount& current) {
    require_its_budget(info, current);
    SettleRequest request{.attempt_id = info.attempt_id,
                          .epoch = current.epoch,
                          .elapsed = elapsed,
                          .now = now,
                          .wanted_hold = std::nullopt};
    if (current.held.has_value()) {
      request.wanted_hold = budget::full_lease(current.rate.value(), lease_terms_of(info));
    }
    return ledger.settle(request);
  };
  return with_fresh_account(ledger, info.attempt_id, account, settle);
}

Nanoseconds span_between(std::int64_t later_ns, std::int64_t earlier_ns) noexcept {
  std::int64_t span = 0;
  if (__builtin_sub_overflow(later_ns, earlier_ns, &span)) {
    return later_ns > earlier_ns ? Nanoseconds::max() : Nanoseconds::min();
  }
  return Nanoseconds{span};
}

Nanoseconds running_time(const pulse::PageInfo& info, BootTime now) noexcept {
  return std::max(span_between(now.time_since_epoch().count(),
                               info.started_at.boot.time_since_epoch().count()),
                  Nanoseconds::zero());
}

Nanoseconds elapsed_at(const pulse::PageInfo& info, std::int64_t monotonic_ns) {
  // The page's time comes from another process: it cannot lie before the attempt's start.
  return std::max(span_between(monotonic_ns, info.started_at.monotonic.time_since_epoch().count()),
                  Nanoseconds::zero());
}

LastSigns last_signs(const pulse::PageInfo& info, const pulse::PageLayout& page, ClockReading now,
                     const std::string& boot_id) {
  const bool is_same_boot = info.process.boot_id == boot_id;
  // Of an earlier boot it is known only that it was over when this one began.
  const UtcTime boot_began = now.utc - now.boot.time_since_epoch();
  const Nanoseconds gone_at = is_same_boot
                                  ? running_time(info, now.boot)
                                  : span_between(boot_began.time_since_epoch().count(),
                                                 info.started_at.utc.time_since_epoch().count());
  const Nanoseconds limit = std::max(gone_at, Nanoseconds::zero());
  const Nanoseconds seen =
      elapsed_at(info, page.process.last_seen_ns.load(std::memory_order_relaxed));
  const std::int64_t alive_at = page.agent.alive_at_boot_ns.load(std::memory_order_relaxed);
  const Nanoseconds proved =
      alive_at == 0 ? Nanoseconds::zero()
                    : span_between(alive_at, info.started_at.boot.time_since_epoch().count());
  return {.metered_until = std::min(std::max(seen, proved), limit), .gone_at = limit};
}

Nanoseconds goodbye_time(const pulse::PageInfo& info, const pulse::PageLayout& page) {
  // In its own words if the page has them. The last call alone is on CLOCK_MONOTONIC, which stands
  // still while the host is suspended.
  const std::int64_t ended_after = page.group.ended_after_ns.load(std::memory_order_relaxed);
  return ended_after > 0
             ? Nanoseconds{ended_after}
             : elapsed_at(info, page.process.last_seen_ns.load(std::memory_order_relaxed));
}

std::optional<AttemptEnd> end_by_decision(const DecisionRecord& decision, UtcTime ended_at) {
  if (decision.is_dry_run || decision.directive == Directive::CONTINUE) {
    return std::nullopt;
  }
  switch (decision.rule) {
    case Rule::Silence:
    case Rule::Duration:
    case Rule::Idle:
    case Rule::Operator:
      return AttemptEnd{
          .status = RunStatus::KILLED, .reason = decision.reason, .ended_at = ended_at};
    case Rule::Budget:
    case Rule::Lease:
      return AttemptEnd{.status = RunStatus::PAUSED,
                        .reason = decision.reason + "; work since its last checkpoint is lost",
                        .ended_at = ended_at};
    case Rule::None:
    case Rule::ProcessGone: break;
  }
  return std::nullopt;
}

void import_checkpoint(Ledger& ledger, const pulse::PageInfo& info, const pulse::PageLayout& page) {
  const std::optional<pulse::PageCheckpoint> confirmed = pulse::read_checkpoint(page);
  if (confirmed.has_value()) {
    ledger.add_checkpoint({.run_id = info.run_id,
                           .attempt_id = info.attempt_id,
                           .sequence = static_cast<std::int64_t>(confirmed->count),
                           .step = confirmed->step,
                           .path = confirmed->path,
                           .confirmed_at = confirmed->confirmed_at});
  }
}

AttemptAccount conclude_attempt(Ledger& ledger, const pulse::PageInfo& info,
                                const pulse::PageLayout& page, const LastSigns& signs,
                                const AttemptEnd& end) {
  const AttemptAccount account = account_of(ledger, info);
  import_checkpoint(ledger, info, page);
  const auto close = [&](const AttemptAccount& current) {
    return ledger.close({.attempt_id = info.attempt_id,
                         .epoch = current.epoch,
                         .metered_until = signs.metered_until,
                         .gone_at = signs.gone_at,
                         .end = end});
  };
  return with_fresh_account(ledger, info.attempt_id, account, close);
}

}  // namespace finops::agent
