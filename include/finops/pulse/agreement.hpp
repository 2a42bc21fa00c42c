// agreement.hpp - the step at which all ranks of one host act on a directive together.
//
// Owns: AgreedWord, agree, Agreement. Does not own: which directive it is (guard, tracker).
// Invariants: a rank that leaves a collective alone hangs the others, so a directive to several
// ranks counts from a step that none of them has reached; no step holds it for longer than
// kLongestAgreement, which is less than the guard's shortest usual grace before SIGTERM (5 s).
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
/// A step that is not reached by then (it takes too long, or the ranks are silent) is waited for no
/// further: all act from that moment on.
inline constexpr Nanoseconds kLongestAgreement = std::chrono::seconds{3};
/// A rank that has reported no step acts at once.
inline constexpr std::int64_t kNoStep = std::numeric_limits<std::int64_t>::min();

/// A directive and the step from which it counts, in one word, so that nobody reads half of it.
struct AgreedWord {
  std::uint32_t directive = 0;
  std::int64_t act_at_step = 0;  ///< 0: at once
  bool follows = false;          ///< the directive before it stands until this one counts

  [[nodiscard]] std::uint64_t pack() const noexcept;
  static AgreedWord unpack(std::uint64_t word) noexcept;
};

/// Who tells: the agent, or the ranks themselves where no agent looks.
enum class Teller { Agent, Ranks };

/// Puts `directive` into the page's group line. Where one process is attached it counts at once,
/// else from `act_at_step`, or from a step that is kAgreementMargin ahead. The same directive again
/// changes nothing; a more urgent one keeps a step that is still ahead of all. What the other
/// teller has said already is said from the same step.
void agree(PageLayout& page, Teller teller, std::uint32_t directive, MonotonicTime now,
           std::optional<std::int64_t> act_at_step = std::nullopt) noexcept;

/// What one process has heard. Any thread may ask.
class Agreement {
 public:
  /// The directive of `teller` that counts for a process at `own_step`; 0: go on.
  /// Among several ranks a CHECKPOINT counts for one step, the first at or past the agreed one: all
  /// save once and together, however soon one of them confirms. Others stand until they are
  /// replaced.
  [[nodiscard]] std::uint32_t due(Teller teller, const GroupLine& group, std::int64_t own_step,
                                  std::int64_t now_ns) noexcept;

 private:
  /// One word as it was heard.
  struct Heard {
    std::atomic<std::uint64_t> word{0};
    std::atomic<std::int64_t> act_by_ns{0};
    [[nodiscard]] bool is_due(std::int64_t own_step, std::int64_t now_ns) const noexcept;
  };
  struct FromTeller {
    Heard current;
    Heard previous;
    void hear(std::uint64_t word, std::int64_t act_by_ns) noexcept;
  };
  std::uint32_t counting(const Heard& heard, std::int64_t own_step) noexcept;

  std::array<FromTeller, 2> tellers_;
  std::atomic<std::int64_t> saved_for_{-1};  // the agreed step of the CHECKPOINT that counted last
  std::atomic<std::int64_t> saved_at_{kNoStep};  // this process's step then
};

}  // namespace finops::pulse
