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
constexpr std::int64_t kLargestStep = (std::int64_t{1} << 58) - 1;
constexpr std::uint64_t kSettledBit = std::uint64_t{1} << 62;
constexpr std::uint64_t kFollowsSettledBit = std::uint64_t{1} << 63;
constexpr int kMostTries = 8;  // ranks that change a word at once; whoever fails looks again later
constexpr std::int64_t kLargestMargin = 1'000'000'000;
constexpr std::uint32_t kCheckpoint = 1;  // Directive, whose values are part of the page's layout
constexpr std::uint32_t kPause = 2;

template <std::size_t Size>
void copy_text(std::array<char, Size>& target, std::string_view text) noexcept {
  std::array<char, Size> bytes{};
  std::memcpy(bytes.data(), text.data(), std::min(text.size(), Size - 1));
  store_bytes(target.data(), bytes.data(), Size);
}

/// Steps in `span`, as they were last measured.
std::int64_t steps_in(Nanoseconds span, const GroupLine& group) noexcept {
  const std::int64_t step_time_ns = group.step_time_ns.load(std::memory_order_relaxed);
  const std::int64_t steps = step_time_ns <= 0 ? 0 : span.count() / step_time_ns;
  return std::clamp(steps, std::int64_t{0}, kLargestMargin);
}

std::int64_t reported_step(const PageLayout& page) noexcept {
  return std::clamp(page.process.step.load(std::memory_order_relaxed), std::int64_t{0},
                    kLargestStep / 2);
}

template <typename Group>
auto& told_by(Teller teller, Group& group) noexcept {
  return teller == Teller::Agent ? group.agent_told : group.ranks_told;
}

template <typename Group>
auto& act_by_of(Teller teller, Group& group) noexcept {
  return teller == Teller::Agent ? group.agent_act_by_ns : group.ranks_act_by_ns;
}

Teller other_than(Teller teller) noexcept {
  return teller == Teller::Agent ? Teller::Ranks : Teller::Agent;
}

AgreedWord other_word(Teller teller, const GroupLine& group) noexcept {
  return AgreedWord::unpack(told_by(other_than(teller), group).load(std::memory_order_acquire));
}

/// Whether `now_ns` is at or past `limit_ns - span`, for any numbers.
bool is_near(std::int64_t limit_ns, Nanoseconds span, std::int64_t now_ns) noexcept {
  return now_ns >= limit_ns ||
         static_cast<std::uint64_t>(limit_ns) - static_cast<std::uint64_t>(now_ns) <=
             static_cast<std::uint64_t>(span.count());
}

bool has_passed(std::int64_t since_ns, Nanoseconds span, std::int64_t now_ns) noexcept {
  return now_ns >= since_ns &&
         static_cast<std::uint64_t>(now_ns) - static_cast<std::uint64_t>(since_ns) >=
             static_cast<std::uint64_t>(span.count());
}

/// The word that says `directive` after `old`; sets when to act by if its step is a new one.
AgreedWord following(PageLayout& page, Teller teller, std::uint32_t directive, AgreedWord old,
                     MonotonicTime now, std::optional<std::int64_t> act_at_step) noexcept {
  GroupLine& group = page.group;
  const std::int64_t step = reported_step(page);
  const std::int64_t ahead = old.act_at_step - step;
  const bool is_ahead = old.directive != 0 && ahead >= (old.is_settled ? 1 : kSmallestMargin);
  AgreedWord word{.directive = directive,
                  .follows = old.directive != 0,
                  .follows_settled = old.is_settled && !is_ahead};
  if (directive == 0 || group.rank_count.load(std::memory_order_relaxed) <= 1) {
    return word;
  }
  std::atomic<std::int64_t>& act_by_ns = act_by_of(teller, group);
  if (const AgreedWord other = other_word(teller, group);
      other.directive >= directive && other.act_at_step != 0) {
    word.act_at_step = other.act_at_step;
    word.is_settled = other.is_settled;
    act_by_ns.store(act_by_of(other_than(teller), group).load(), std::memory_order_relaxed);
  } else if (is_ahead) {
    word.act_at_step = old.act_at_step;  // agreed, and nobody is there yet
    word.is_settled = old.is_settled;
  } else {
    const std::int64_t margin = steps_in(kAgreementMargin, group) + 1;
    word.act_at_step = act_at_step.value_or(step + std::max(margin, kSmallestMargin));
    act_by_ns.store((now.time_since_epoch() + kLongestAgreement).count(),
                    std::memory_order_relaxed);
  }
  return word;
}

/// Whether some ranks may have acted on `old`, or be about to, so that the others must too. Not for
/// ever: ranks that wait for more money hear of it.
bool is_being_acted_on(AgreedWord old, Teller teller, const PageLayout& page,
                       MonotonicTime now) noexcept {
  return old.directive >= kPause && old.act_at_step != 0 &&
         reported_step(page) <= old.act_at_step + steps_in(kAgreementMargin, page.group) &&
         !has_passed(act_by_of(teller, page.group).load(std::memory_order_relaxed),
                     kAgreementMargin, now.time_since_epoch().count());
}

bool is_reached(AgreedWord word, std::int64_t own_step) noexcept {
  return word.act_at_step == 0 || own_step == kNoStep || own_step >= word.act_at_step;
}

}  // namespace

std::uint64_t AgreedWord::pack() const noexcept {
  const std::int64_t step = std::clamp(act_at_step, std::int64_t{0}, kLargestStep);
  return (static_cast<std::uint64_t>(step) << kStepShift) | kWrittenBit |
         (follows ? kFollowsBit : 0) | (is_settled ? kSettledBit : 0) |
         (follows_settled ? kFollowsSettledBit : 0) | (directive & kDirectiveBits);
}

AgreedWord AgreedWord::unpack(std::uint64_t word) noexcept {
  return {.directive = static_cast<std::uint32_t>(word & kDirectiveBits),
          .act_at_step = static_cast<std::int64_t>(word >> kStepShift) & kLargestStep,
          .follows = (word & kFollowsBit) != 0,
          .is_settled = (word & kSettledBit) != 0,
          .follows_settled = (word & kFollowsSettledBit) != 0};
}

void agree(PageLayout& page, Teller teller, std::uint32_t directive, MonotonicTime now,
           std::optional<std::int64_t> act_at_step) noexcept {
  std::atomic<std::uint64_t>& told = told_by(teller, page.group);
  std::uint64_t before = told.load(std::memory_order_acquire);
  for (int tries = 1;; ++tries) {
    const AgreedWord old = AgreedWord::unpack(before);
    if (before != 0 && old.directive == directive) {
      return;
    }
    if (teller == Teller::Ranks && directive < old.directive &&
        is_being_acted_on(old, teller, page, now)) {
      return;
    }
    const std::uint64_t word = following(page, teller, directive, old, now, act_at_step).pack();
    if (told.compare_exchange_strong(before, word, std::memory_order_acq_rel)) {
      return;
    }
    if (tries == kMostTries) {
      told.store(word, std::memory_order_release);  // a directive is never lost
      return;
    }
  }
}

bool Agreement::FromTeller::is_late(AgreedWord heard, std::int64_t now_ns) const noexcept {
  return heard.is_settled
             ? has_passed(heard_at_ns.load(std::memory_order_relaxed), kSettledWait, now_ns)
             : is_near(act_by_ns.load(std::memory_order_relaxed), kHurry, now_ns);
}

Agreement::Urgency Agreement::FromTeller::urgency(AgreedWord heard,
                                                  std::int64_t now_ns) const noexcept {
  if (heard.is_settled) {
    return Urgency::NextStep;
  }
  if (now_ns < act_by_ns.load(std::memory_order_relaxed)) {
    return Urgency::Soon;
  }
  return has_long_steps.load(std::memory_order_relaxed) ? Urgency::ThisStep : Urgency::NextStep;
}

// A rank whose steps go on comes to the nearest step with its next look.
bool Agreement::FromTeller::is_stuck(AgreedWord heard, std::int64_t own_step) const noexcept {
  return own_step == heard_at_step.load(std::memory_order_relaxed) ||
         heard.act_at_step - kSmallestMargin > own_step;
}

void Agreement::hear(FromTeller& from, std::uint64_t word, const PageLayout& page, Teller teller,
                     Look look) noexcept {
  const AgreedWord heard = AgreedWord::unpack(word);
  const std::uint64_t last = from.word.load(std::memory_order_relaxed);
  const AgreedWord before = AgreedWord::unpack(last);
  if (heard.is_settled && heard.directive == before.directive) {
    // The same with a nearer step: whoever has saved for it has done so.
    std::int64_t saved_for = before.act_at_step;
    if (heard.directive == kCheckpoint) {
      from.saved_for.compare_exchange_strong(saved_for, heard.act_at_step,
                                             std::memory_order_relaxed);
    }
  } else {
    from.previous.store(heard.follows ? last : 0, std::memory_order_relaxed);
    from.has_long_steps.store(page.group.step_time_ns.load(std::memory_order_relaxed) >=
                                  kLongestAgreement.count(),
                              std::memory_order_relaxed);
  }
  from.act_by_ns.store(act_by_of(teller, page.group).load(std::memory_order_relaxed),
                       std::memory_order_relaxed);
  from.heard_at_ns.store(look.now_ns, std::memory_order_relaxed);
  from.heard_at_step.store(look.step, std::memory_order_relaxed);
  from.word.store(word, std::memory_order_relaxed);
}

AgreedWord Agreement::settled(const PageLayout& page, Teller teller, AgreedWord word,
                              std::int64_t own_step, Urgency urgency) noexcept {
  const std::int64_t reported = reported_step(page);
  // Ranks in lockstep are at this step or have not come to it: whoever settles has not left it.
  const std::int64_t highest = std::max(own_step, reported);
  std::int64_t nearest = highest + 1;
  if (urgency == Urgency::ThisStep && reported <= own_step) {
    nearest = std::max(own_step, std::int64_t{0});
  } else if (urgency == Urgency::Soon) {
    nearest = highest + std::max<std::int64_t>(steps_in(kSettledMargin, page.group), 1);
  }
  const AgreedWord other = other_word(teller, page.group);
  if (other.is_settled && other.directive >= word.directive && other.act_at_step != 0) {
    // Said already: one CHECKPOINT has one step.
    nearest = word.is_settled ? std::min(nearest, other.act_at_step) : other.act_at_step;
  }
  word.act_at_step = std::min(word.act_at_step, nearest);
  word.is_settled = true;
  return word;
}

std::uint32_t Agreement::counting(Teller teller, AgreedWord word, std::int64_t own_step) noexcept {
  if (word.directive != kCheckpoint || word.act_at_step == 0) {
    return word.directive;
  }
  FromTeller& from = heard_from(teller);
  if (from.saved_for.load(std::memory_order_relaxed) != word.act_at_step) {
    const FromTeller& other = heard_from(other_than(teller));
    const bool is_saved = other.saved_for.load(std::memory_order_relaxed) == word.act_at_step;
    from.saved_for.store(word.act_at_step, std::memory_order_relaxed);
    from.saved_at.store(is_saved ? other.saved_at.load(std::memory_order_relaxed) : own_step,
                        std::memory_order_relaxed);
  }
  return from.saved_at.load(std::memory_order_relaxed) == own_step ? kCheckpoint : 0;
}

std::uint32_t Agreement::due(Teller teller, PageLayout& page, std::int64_t own_step,
                             std::int64_t now_ns) noexcept {
  FromTeller& from = heard_from(teller);
  std::atomic<std::uint64_t>& told = told_by(teller, page.group);
  std::uint64_t word = told.load(std::memory_order_acquire);
  AgreedWord heard;
  for (int tries = 0; tries < kMostTries; ++tries) {
    if (word != from.word.load(std::memory_order_relaxed)) {
      hear(from, word, page, teller, {.step = own_step, .now_ns = now_ns});
    }
    heard = AgreedWord::unpack(word);
    if (is_reached(heard, own_step)) {
      return counting(teller, heard, own_step);
    }
    if (!from.is_late(heard, now_ns)) {
      break;
    }
    const std::uint64_t nearer =
        settled(page, teller, heard, own_step, from.urgency(heard, now_ns)).pack();
    if (nearer == word) {
      if (from.is_stuck(heard, own_step)) {
        return counting(teller, heard, own_step);
      }
      break;
    }
    if (told.compare_exchange_strong(word, nearer, std::memory_order_acq_rel)) {
      word = nearer;
    }
  }
  const AgreedWord previous = AgreedWord::unpack(from.previous.load(std::memory_order_relaxed));
  // A settled step of the one before may have come unheard; all are there by now.
  return heard.follows_settled || is_reached(previous, own_step)
             ? counting(teller, previous, own_step)
             : 0;
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
