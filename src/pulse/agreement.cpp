// agreement.cpp - packing, choosing and awaiting an agreed step.
#include "finops/pulse/agreement.hpp"

#include <algorithm>
#include <cstring>

#include "pulse/shared_bytes.hpp"

namespace finops::pulse {
namespace {

constexpr std::uint64_t kDirectiveBits = 3;
constexpr std::uint64_t kFollowsBit = 4;
constexpr std::uint64_t kWrittenBit = 8;  // tells "go on" from "nobody has ever written"
constexpr int kStepShift = 4;
constexpr std::int64_t kLargestStep = (std::int64_t{1} << 59) - 1;
constexpr std::int64_t kLargestMargin = 1'000'000'000;
constexpr std::uint32_t kCheckpoint = 1;  // Directive, whose values are part of the page's layout

template <std::size_t Size>
void copy_text(std::array<char, Size>& target, std::string_view text) noexcept {
  std::array<char, Size> bytes{};
  std::memcpy(bytes.data(), text.data(), std::min(text.size(), Size - 1));
  store_bytes(target.data(), bytes.data(), Size);
}

std::int64_t margin_of(const GroupLine& group) noexcept {
  const std::int64_t step_time_ns = group.step_time_ns.load(std::memory_order_relaxed);
  const std::int64_t steps = step_time_ns <= 0 ? 0 : kAgreementMargin.count() / step_time_ns + 1;
  return std::clamp(steps, kSmallestMargin, kLargestMargin);
}

}  // namespace

std::uint64_t AgreedWord::pack() const noexcept {
  const std::int64_t step = std::clamp(act_at_step, std::int64_t{0}, kLargestStep);
  return (static_cast<std::uint64_t>(step) << kStepShift) | kWrittenBit |
         (follows ? kFollowsBit : 0) | (directive & kDirectiveBits);
}

AgreedWord AgreedWord::unpack(std::uint64_t word) noexcept {
  return {.directive = static_cast<std::uint32_t>(word & kDirectiveBits),
          .act_at_step = static_cast<std::int64_t>(word >> kStepShift),
          .follows = (word & kFollowsBit) != 0};
}

void agree(PageLayout& page, Teller teller, std::uint32_t directive, MonotonicTime now,
           std::optional<std::int64_t> act_at_step) noexcept {
  GroupLine& group = page.group;
  const bool is_agent = teller == Teller::Agent;
  std::atomic<std::uint64_t>& told = is_agent ? group.agent_told : group.ranks_told;
  std::atomic<std::int64_t>& act_by_ns = is_agent ? group.agent_act_by_ns : group.ranks_act_by_ns;
  const AgreedWord other = AgreedWord::unpack(
      (is_agent ? group.ranks_told : group.agent_told).load(std::memory_order_acquire));
  const std::uint64_t before = told.load(std::memory_order_relaxed);
  const AgreedWord old = AgreedWord::unpack(before);
  if (before != 0 && old.directive == directive) {
    return;
  }
  AgreedWord word{.directive = directive, .act_at_step = 0, .follows = old.directive != 0};
  if (directive != 0 && group.rank_count.load(std::memory_order_relaxed) > 1) {
    const std::int64_t step = std::clamp(page.process.step.load(std::memory_order_relaxed),
                                         std::int64_t{0}, kLargestStep / 2);
    word.act_at_step = act_at_step.value_or(step + margin_of(group));
    if (other.directive >= directive && other.act_at_step != 0) {
      word.act_at_step = other.act_at_step;
      act_by_ns.store((is_agent ? group.ranks_act_by_ns : group.agent_act_by_ns).load(),
                      std::memory_order_relaxed);
    } else if (old.directive != 0 && old.act_at_step >= step + kSmallestMargin) {
      word.act_at_step = old.act_at_step;  // agreed, and nobody is there yet
    } else {
      act_by_ns.store((now.time_since_epoch() + kLongestAgreement).count(),
                      std::memory_order_relaxed);
    }
  }
  told.store(word.pack(), std::memory_order_release);
}

bool Agreement::Heard::is_due(std::int64_t own_step, std::int64_t now_ns) const noexcept {
  const std::int64_t step = AgreedWord::unpack(word.load(std::memory_order_relaxed)).act_at_step;
  return step == 0 || own_step == kNoStep || own_step >= step ||
         now_ns >= act_by_ns.load(std::memory_order_relaxed);
}

void Agreement::FromTeller::hear(std::uint64_t word, std::int64_t act_by_ns) noexcept {
  const bool follows = AgreedWord::unpack(word).follows;
  previous.act_by_ns.store(current.act_by_ns.load(std::memory_order_relaxed),
                           std::memory_order_relaxed);
  previous.word.store(follows ? current.word.load(std::memory_order_relaxed) : 0,
                      std::memory_order_relaxed);
  current.act_by_ns.store(act_by_ns, std::memory_order_relaxed);
  current.word.store(word, std::memory_order_relaxed);
}

std::uint32_t Agreement::counting(const Heard& heard, std::int64_t own_step) noexcept {
  const AgreedWord word = AgreedWord::unpack(heard.word.load(std::memory_order_relaxed));
  if (word.directive != kCheckpoint || word.act_at_step == 0) {
    return word.directive;
  }
  if (saved_for_.load(std::memory_order_relaxed) != word.act_at_step) {
    saved_for_.store(word.act_at_step, std::memory_order_relaxed);
    saved_at_.store(own_step, std::memory_order_relaxed);
  }
  return saved_at_.load(std::memory_order_relaxed) == own_step ? kCheckpoint : 0;
}

std::uint32_t Agreement::due(Teller teller, const GroupLine& group, std::int64_t own_step,
                             std::int64_t now_ns) noexcept {
  const bool is_agent = teller == Teller::Agent;
  FromTeller& from = tellers_[is_agent ? 0 : 1];
  const std::uint64_t word =
      (is_agent ? group.agent_told : group.ranks_told).load(std::memory_order_acquire);
  if (word != from.current.word.load(std::memory_order_relaxed)) {
    from.hear(word, (is_agent ? group.agent_act_by_ns : group.ranks_act_by_ns)
                        .load(std::memory_order_relaxed));
  }
  if (from.current.is_due(own_step, now_ns)) {
    return counting(from.current, own_step);
  }
  return from.previous.is_due(own_step, now_ns) ? counting(from.previous, own_step) : 0;
}

void write_reason(PageLayout& page, std::string_view reason) noexcept {
  copy_text(page.reason, reason);
}

void write_silence_reason(PageLayout& page, std::string_view reason) noexcept {
  copy_text(page.silence_reason, reason);
}

void write_directive(PageLayout& page, std::uint32_t directive, std::uint32_t rule,
                     std::string_view reason, std::optional<std::int64_t> act_at_step) {
  write_reason(page, reason);
  page.agent.rule.store(rule, std::memory_order_relaxed);
  agree(page, Teller::Agent, directive, coarse_monotonic_now(), act_at_step);
  page.agent.directive.store(directive, std::memory_order_release);
}

}  // namespace finops::pulse
