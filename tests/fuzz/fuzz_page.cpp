// fuzz_page.cpp - decodes a live page and computes all that an agent computes from it.
//
// Invariants: a page is read or refused; what follows from one that was read is in range, or is
// refused with an Error; nothing overflows.
#include <memory>

#include "finops/agent/settle.hpp"
#include "finops/guard/decide.hpp"
#include "finops/pulse/agreement.hpp"
#include "pages.hpp"

namespace {

using namespace finops;  // NOLINT(google-build-using-namespace): a target, not a library

// Some moment of some host, about ten days after it was started.
constexpr ClockReading kNow{.utc = UtcTime{std::chrono::seconds{1'764'000'000}},
                            .boot = BootTime{std::chrono::seconds{900'000}},
                            .monotonic = MonotonicTime{std::chrono::seconds{890'000}}};

void look_at_time(const pulse::PageInfo& info, const pulse::PageLayout& page) {
  for (const char* boot_id : {"this boot", info.process.boot_id.c_str()}) {
    const agent::LastSigns signs = agent::last_signs(info, page, kNow, boot_id);
    fuzz::require(signs.metered_until >= Nanoseconds::zero() &&
                      signs.metered_until <= signs.gone_at,
                  "metered up to the last sign of life");
  }
  fuzz::require(agent::goodbye_time(info, page) >= Nanoseconds::zero(), "a goodbye has a time");
  fuzz::require(agent::running_time(info, kNow.boot) >= Nanoseconds::zero(), "a run has a time");
}

void look_at_money(const pulse::PageInfo& info, fuzz::Bytes& bytes) {
  const budget::LeaseTerms terms = agent::lease_terms_of(info);
  const auto rate = agent::rate_of(info);
  const Nanoseconds settled = agent::running_time(info, kNow.boot);
  (void)budget::plan_lease(rate, settled, std::nullopt, terms);
  if (rate.has_value()) {
    const Money lease = budget::full_lease(*rate, terms);
    const budget::LeasePlan plan = budget::plan_lease(rate, settled, lease, terms);
    fuzz::require(plan.pause_at <= plan.ends_at, "a run pauses before its money ends");
    const Money held = Money::from_picos(bytes.raw<std::uint32_t>(), rate->currency());
    (void)budget::plan_lease(rate, settled, held, terms);
  }
}

void judge(const pulse::PageInfo& info, const pulse::PageLayout& page, fuzz::Bytes& bytes) {
  const Nanoseconds ends_at{page.agent.ends_at_ns.load()};
  guard::RunState state;
  state.reports = bytes.chance();
  state.is_long_running = info.is_long_running;
  state.silence_limit = info.silence_limit;
  state.max_duration = info.max_duration;
  state.silent_until = BootTime{Nanoseconds{page.process.silent_until_boot_ns.load()}};
  state.silence_announced_at = kNow.boot;
  state.progress_changed_at = kNow.boot - std::chrono::seconds{bytes.byte()};
  state.started_at = std::clamp(info.started_at.boot, BootTime{}, kNow.boot);
  state.is_hard_budget = info.is_hard_budget;
  state.is_exhausted = bytes.chance();
  state.is_ledger_away = bytes.chance();
  state.lease = {.renew_at = {},
                 .pause_at = std::max(ends_at, Nanoseconds::zero()) / 2,
                 .ends_at = std::max(ends_at, Nanoseconds::zero())};
  state.terms = agent::lease_terms_of(info);
  state.rung_since = kNow.boot;
  (void)guard::decide(state, guard::Policy{}, kNow.boot);
  (void)guard::explain(state, guard::Policy{}, kNow.boot);
}

void agree_on(pulse::PageLayout& page, fuzz::Bytes& bytes) {
  pulse::Agreement agreement;
  const std::int64_t own_step = bytes.integer();
  const std::int64_t now_ns = kNow.monotonic.time_since_epoch().count();
  for (int round = 0; round < 4; ++round) {
    const pulse::Teller teller = bytes.chance() ? pulse::Teller::Agent : pulse::Teller::Ranks;
    pulse::agree(page, teller, bytes.byte() % 4U, kNow.monotonic,
                 bytes.chance() ? std::optional(bytes.integer()) : std::nullopt);
    fuzz::require(agreement.due(teller, page, own_step, now_ns) <= 7, "three bits");
  }
  const pulse::AgreedWord word = pulse::AgreedWord::unpack(bytes.raw<std::uint64_t>());
  fuzz::require(pulse::AgreedWord::unpack(word.pack()).act_at_step <= word.act_at_step, "packs");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Bytes bytes(data, size);
  const auto page = std::make_unique<pulse::PageLayout>();
  fuzz::fill_page(bytes, "run-1", *page);
  fuzz::require(pulse::read_reason(*page).size() <= page->reason.size(), "a reason ends");
  if (const auto checkpoint = pulse::read_checkpoint(*page)) {
    fuzz::require(checkpoint->path.size() <= pulse::kMaximumCheckpointPath, "a path ends");
  }
  agree_on(*page, bytes);
  std::string why;
  const std::optional<pulse::PageInfo> info = pulse::decode(page->fixed, why);
  fuzz::require(info.has_value() == why.empty(), "a refusal has a reason");
  if (info.has_value()) {
    look_at_time(*info, *page);
    fuzz::is_allowed([&] { look_at_money(*info, bytes); });
    judge(*info, *page, bytes);
    fuzz::is_allowed([&] {
      pulse::StaticPart again{};
      pulse::encode(*info, again);
      fuzz::require(pulse::decode(again, why).has_value(), "what was read can be written");
    });
  }
  return 0;
}
