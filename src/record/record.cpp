// record.cpp - names of the enums, deterministic ids, and the arithmetic of budget accounts.
#include "finops/base/error.hpp"
#include "finops/record/budget.hpp"
#include "finops/record/charge.hpp"
#include "finops/record/decision.hpp"
#include "finops/record/notice.hpp"
#include "finops/record/price.hpp"
#include "finops/record/run.hpp"
#include "finops/record/telemetry.hpp"
#include "record/content_suffix.hpp"
#include "record/name_table.hpp"

namespace finops {
namespace {

constexpr NameTable<RunStatus, 5> kRunStatuses{{{RunStatus::RUNNING, "RUNNING"},
                                                {RunStatus::PAUSED, "PAUSED"},
                                                {RunStatus::FINISHED, "FINISHED"},
                                                {RunStatus::FAILED, "FAILED"},
                                                {RunStatus::KILLED, "KILLED"}}};
constexpr NameTable<PricingCategory, 3> kPricingCategories{
    {{PricingCategory::Standard, "Standard"},
     {PricingCategory::Dynamic, "Dynamic"},
     {PricingCategory::Committed, "Committed"}}};
constexpr NameTable<UsageKind, 2> kUsageKinds{
    {{UsageKind::METERED, "METERED"}, {UsageKind::UNCERTAIN, "UNCERTAIN"}}};
constexpr NameTable<Basis, 2> kBases{{{Basis::METERED, "METERED"}, {Basis::BILLED, "BILLED"}}};
constexpr NameTable<ChargeCategory, 5> kChargeCategories{
    {{ChargeCategory::Usage, "Usage"},
     {ChargeCategory::Purchase, "Purchase"},
     {ChargeCategory::Tax, "Tax"},
     {ChargeCategory::Credit, "Credit"},
     {ChargeCategory::Adjustment, "Adjustment"}}};
constexpr NameTable<BudgetScope, 5> kBudgetScopes{{{BudgetScope::Experiment, "experiment"},
                                                   {BudgetScope::Project, "project"},
                                                   {BudgetScope::Team, "team"},
                                                   {BudgetScope::Organisation, "organisation"},
                                                   {BudgetScope::User, "user"}}};
constexpr NameTable<BudgetAccount, 5> kBudgetAccounts{{{BudgetAccount::Limit, "limit"},
                                                       {BudgetAccount::Available, "available"},
                                                       {BudgetAccount::Held, "held"},
                                                       {BudgetAccount::Spent, "spent"},
                                                       {BudgetAccount::Overspent, "overspent"}}};
constexpr NameTable<Directive, 4> kDirectives{{{Directive::CONTINUE, "CONTINUE"},
                                               {Directive::CHECKPOINT, "CHECKPOINT"},
                                               {Directive::PAUSE, "PAUSE"},
                                               {Directive::STOP, "STOP"}}};
constexpr NameTable<Rule, 8> kRules{{{Rule::None, "none"},
                                     {Rule::Silence, "silence"},
                                     {Rule::Budget, "budget"},
                                     {Rule::Lease, "lease"},
                                     {Rule::ProcessGone, "process gone"},
                                     {Rule::Operator, "operator"},
                                     {Rule::Duration, "duration"},
                                     {Rule::Idle, "idle"}}};
constexpr NameTable<RulingOutcome, 3> kOutcomes{{{RulingOutcome::Approved, "APPROVED"},
                                                 {RulingOutcome::Denied, "DENIED"},
                                                 {RulingOutcome::Expired, "EXPIRED"}}};
constexpr NameTable<NoticeKind, 10> kNoticeKinds{{{NoticeKind::Threshold, "threshold"},
                                                  {NoticeKind::Overspent, "overspent"},
                                                  {NoticeKind::Request, "request"},
                                                  {NoticeKind::Approved, "approved"},
                                                  {NoticeKind::Denied, "denied"},
                                                  {NoticeKind::Expired, "expired"},
                                                  {NoticeKind::Paused, "paused"},
                                                  {NoticeKind::Stopped, "stopped"},
                                                  {NoticeKind::Uncertain, "uncertain"},
                                                  {NoticeKind::Breaker, "breaker"}}};
constexpr NameTable<Metric, 5> kMetrics{{{Metric::CpuUse, "cpu_use"},
                                         {Metric::Memory, "memory"},
                                         {Metric::GpuUtilization, "gpu_utilization"},
                                         {Metric::GpuMemory, "gpu_memory"},
                                         {Metric::GpuPower, "gpu_power"}}};
constexpr NameTable<Rung, 4> kRungs{{{Rung::Watch, "watch"},
                                     {Rung::Directive, "directive"},
                                     {Rung::Sigterm, "SIGTERM"},
                                     {Rung::Sigkill, "SIGKILL"}}};

std::string nanoseconds_text(UtcTime time) {
  return std::to_string(time.time_since_epoch().count());
}

}  // namespace

std::string_view run_status_name(RunStatus status) noexcept {
  return name_of(kRunStatuses, status);
}
RunStatus parse_run_status(std::string_view name) {
  return value_of(kRunStatuses, name, "run status");
}
std::string_view pricing_category_name(PricingCategory category) noexcept {
  return name_of(kPricingCategories, category);
}
PricingCategory parse_pricing_category(std::string_view name) {
  return value_of(kPricingCategories, name, "pricing category");
}
std::string_view usage_kind_name(UsageKind kind) noexcept { return name_of(kUsageKinds, kind); }
std::string_view basis_name(Basis basis) noexcept { return name_of(kBases, basis); }
std::string_view charge_category_name(ChargeCategory category) noexcept {
  return name_of(kChargeCategories, category);
}
ChargeCategory parse_charge_category(std::string_view name) {
  return value_of(kChargeCategories, name, "charge category");
}
std::string_view budget_scope_name(BudgetScope scope) noexcept {
  return name_of(kBudgetScopes, scope);
}
BudgetScope parse_budget_scope(std::string_view name) {
  return value_of(kBudgetScopes, name, "scope of a budget");
}
std::string_view budget_account_name(BudgetAccount account) noexcept {
  return name_of(kBudgetAccounts, account);
}
BudgetAccount parse_budget_account(std::string_view name) {
  return value_of(kBudgetAccounts, name, "budget account");
}
std::string_view directive_name(Directive directive) noexcept {
  return name_of(kDirectives, directive);
}
std::string_view rule_name(Rule rule) noexcept { return name_of(kRules, rule); }
Rule parse_rule(std::string_view name) { return value_of(kRules, name, "rule"); }
std::string_view ruling_outcome_name(RulingOutcome outcome) noexcept {
  return name_of(kOutcomes, outcome);
}
std::string_view notice_kind_name(NoticeKind kind) noexcept { return name_of(kNoticeKinds, kind); }
NoticeKind parse_notice_kind(std::string_view name) {
  return value_of(kNoticeKinds, name, "kind of notice");
}
std::string_view metric_name(Metric metric) noexcept { return name_of(kMetrics, metric); }
Metric parse_metric(std::string_view name) { return value_of(kMetrics, name, "metric"); }
std::string_view rung_name(Rung rung) noexcept { return name_of(kRungs, rung); }
Rung parse_rung(std::string_view name) { return value_of(kRungs, name, "rung"); }

EventId make_event_id(const AttemptId& attempt_id, std::string_view kind, std::int64_t sequence) {
  FINOPS_REQUIRE(!attempt_id.empty(), ErrorCode::InvalidArgument,
                 "an event id needs an attempt id");
  return EventId{attempt_id.str() + "/" + std::string(kind) + "/" + std::to_string(sequence)};
}

PriceId make_price_id(const PriceRow& row) {
  const std::string content =
      row.sku_id + '\n' + row.provider + '\n' + row.region + '\n' + row.zone + '\n' +
      row.instance_type + '\n' + row.gpu + '\n' + std::to_string(row.gpu_count) + '\n' +
      std::string(pricing_category_name(row.pricing_category)) + '\n' + row.list_unit_price.str() +
      '\n' + nanoseconds_text(row.valid_from) + '\n' + nanoseconds_text(row.valid_to) + '\n' +
      row.source + '\n' + row.source_date;
  return PriceId{row.sku_id + "+" + content_suffix(content)};
}

BudgetId experiment_budget_id(const std::string& project, const std::string& experiment) {
  return BudgetId{"experiment:" + project + "/" + experiment};
}

BudgetScope parse_budget_id(const BudgetId& budget_id) {
  const std::string& text = budget_id.str();
  const std::size_t colon = text.find(':');
  FINOPS_REQUIRE(colon != std::string::npos && colon + 1 < text.size() && text.size() <= 300,
                 ErrorCode::InvalidArgument,
                 "not a budget's id: '" + text.substr(0, 60) +
                     "'; give its scope and name, such as project:vision or team:research");
  const BudgetScope scope = parse_budget_scope(text.substr(0, colon));
  const bool has_slash = text.find('/', colon) != std::string::npos;
  FINOPS_REQUIRE(has_slash == (scope == BudgetScope::Experiment), ErrorCode::InvalidArgument,
                 "'" + text + "': an experiment is named experiment:PROJECT/EXPERIMENT, and no " +
                     "other name has a '/'");
  return scope;
}

BudgetAccounts BudgetAccounts::zero(Currency currency) {
  const Money nothing = Money::zero(currency);
  return {nothing, nothing, nothing, nothing, nothing};
}

bool BudgetAccounts::balances() const {
  const bool none_negative = !limit.is_negative() && !available.is_negative() &&
                             !held.is_negative() && !spent.is_negative() &&
                             !overspent.is_negative();
  return none_negative && spent + held + available - overspent == limit;
}

void apply(const BudgetLine& line, BudgetAccounts& accounts) {
  FINOPS_ASSERT(!line.amount.is_negative());
  const auto account = [&](BudgetAccount which) -> Money& {
    switch (which) {
      case BudgetAccount::Available: return accounts.available;
      case BudgetAccount::Held: return accounts.held;
      case BudgetAccount::Spent: return accounts.spent;
      case BudgetAccount::Overspent: return accounts.overspent;
      case BudgetAccount::Limit: break;
    }
    return accounts.limit;
  };
  // Limit and Overspent stand on the other side of the invariant: giving makes them grow.
  const auto gives_by_growing = [](BudgetAccount which) {
    return which == BudgetAccount::Limit || which == BudgetAccount::Overspent;
  };
  if (gives_by_growing(line.from)) {
    account(line.from) += line.amount;
  } else {
    account(line.from) -= line.amount;
    FINOPS_ASSERT(!account(line.from).is_negative());
  }
  if (gives_by_growing(line.to)) {
    account(line.to) -= line.amount;
    FINOPS_ASSERT(!account(line.to).is_negative());
  } else {
    account(line.to) += line.amount;
  }
}

}  // namespace finops
