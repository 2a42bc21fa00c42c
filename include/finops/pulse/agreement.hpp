// agreement.hpp - the step at which all ranks of one host act on a directive together.
//
// Owns: AgreedWord, agree, Agreement. Does not own: which directive it is (guard, tracker).
// Invariants: a rank that leaves a collective alone hangs the others, so a directive to several
// ranks counts from a step that none of them has reached, and no clock decides that for a rank by
// itself: a step that is late gets settled, which is a nearer one in the page that all hear. Ranks
// that look several times a second act within 4 s of the directive, those with longer steps at
// their second look after kLongestAgreement at the latest; the guard's usual grace before SIGTERM
// is 5 s.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <limits>
#include <optional>

#include "finops/base/clock.hpp"
#include "finops/pulse/page.hpp"

namespace finops::pulse {

/// The agreed step lies about this far ahead: longer than a rank is descheduled on a busy host, so
/// that none is past the step when it hears of it.
inline constexpr Nanoseconds kAgreementMargin = std::chrono::seconds{1};
inline constexpr std::int64_t kSmallestMargin = 2;  ///< steps, where one takes long
/// By then the agreed step should have been reached. If steps take longer than they did, or the
/// ranks are silent, whoever looks next settles the nearest step: the one after its own, since
/// others may have looked in this one already and go on. Where a step takes as long as this, none
/// of them has since the directive was given, and it is the rank's own one.
inline constexpr Nanoseconds kLongestAgreement = std::chrono::seconds{3};
/// So long before, whoever looks settles a nearer step, kSettledMargin ahead.
inline constexpr Nanoseconds kHurry = std::chrono::seconds{1};
inline constexpr Nanoseconds kSettledMargin = std::chrono::milliseconds{250};
/// A rank that has heard of a settled step and is not there after this time settles the nearest one
/// there is. If it cannot, and is not about to come there, its steps stand still or are not counted
/// as those of the others: it acts.
inline constexpr Nanoseconds kSettledWait = std::chrono::milliseconds{500};
/// A rank that has reported no step acts at once.
inline constexpr std::int64_t kNoStep = std::numeric_limits<std::int64_t>::min();

/// A directive and the step from which it counts, in one word, so that nobody reads half of it.
struct AgreedWord {
  std::uint32_t directive = 0;
  std::int64_t act_at_step = 0;  ///< 0: at once
  bool follows = false;          ///< the directive before it stands until this one counts
  bool is_settled = false;       ///< the step was late and is a nearer one now
  bool follows_settled = false;  ///< so was that of the one before it, which counts by now

  [[nodiscard]] std::uint64_t pack() const noexcept;
  static AgreedWord unpack(std::uint64_t word) noexcept;
};

/// Who tells: the agent, or the ranks themselves where no agent looks.
enum class Teller { Agent, Ranks };

/// Puts `directive` into the page's group line. Where one process is attached it counts at once,
/// else from `act_at_step`, or from a step that is kAgreementMargin ahead. The same directive again
/// changes nothing; a more urgent one keeps a step that is still ahead of all. What the other
/// teller has said already is said from the same step. A PAUSE or STOP of the ranks to several of
/// them is not taken back while some may act on it: until about a second of steps after the agreed
/// one, at the latest kAgreementMargin after kLongestAgreement. Whoever wants that says it again.
void agree(PageLayout& page, Teller teller, std::uint32_t directive, MonotonicTime now,
           std::optional<std::int64_t> act_at_step = std::nullopt) noexcept;

/// What one process has heard. Any thread may ask.
class Agreement {
 public:
  /// The directive of `teller` that counts for a process at `own_step`; 0: go on. Where steps are
  /// reported or asked about now and then only, it counts from the first one at or past the agreed.
  /// Settles a step that is late, see above; until then it only reads the page.
  /// Among several ranks a CHECKPOINT counts for one step, the first at or past the agreed one: all
  /// save once and together, however soon one of them confirms. Others stand until they are
  /// replaced.
  [[nodiscard]] std::uint32_t due(Teller teller, PageLayout& page, std::int64_t own_step,
                                  std::int64_t now_ns) noexcept;

 private:
  /// How near a settled step must be: the later, the nearer.
  enum class Urgency { Soon, NextStep, ThisStep };
  /// When one asks, and from where.
  struct Look {
    std::int64_t step;
    std::int64_t now_ns;
  };
  /// The last word of a teller as it was heard, and the one before it, while that may still stand.
  struct FromTeller {
    std::atomic<std::uint64_t> word{0};
    std::atomic<std::uint64_t> previous{0};
    std::atomic<std::int64_t> act_by_ns{0};
    std::atomic<std::int64_t> heard_at_ns{0};
    std::atomic<std::int64_t> heard_at_step{kNoStep};
    std::atomic<bool> has_long_steps{false};  // when it was heard
    std::atomic<std::int64_t> saved_for{-1};  // the agreed step of the last CHECKPOINT that counted
    std::atomic<std::int64_t> saved_at{kNoStep};  // this process's step then
    [[nodiscard]] bool is_late(AgreedWord heard, std::int64_t now_ns) const noexcept;
    [[nodiscard]] Urgency urgency(AgreedWord heard, std::int64_t now_ns) const noexcept;
    [[nodiscard]] bool is_stuck(AgreedWord heard, std::int64_t own_step) const noexcept;
  };
  void hear(FromTeller& from, std::uint64_t word, const PageLayout& page, Teller teller,
            Look look) noexcept;
  /// `word`, which is late, with a nearer step for a rank at `own_step` to settle.
  static AgreedWord settled(const PageLayout& page, Teller teller, AgreedWord word,
                            std::int64_t own_step, Urgency urgency) noexcept;
  std::uint32_t counting(Teller teller, AgreedWord word, std::int64_t own_step) noexcept;

  FromTeller& heard_from(Teller teller) noexcept {
    return tellers_[teller == Teller::Agent ? 0 : 1];
  }

  std::array<FromTeller, 2> tellers_;
};

}  // namespace finops::pulse
