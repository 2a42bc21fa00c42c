// notice.hpp - what somebody should be told, and whether they were.
//
// Owns: Notice, NoticeKind, Delivery. Does not own: channels and sending (Python: finops.notify).
// Invariants: a notice is written in the transaction that makes it true, under a deterministic id,
// so none is lost in a crash and none comes twice; notices have one order (`number`).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "finops/base/clock.hpp"
#include "finops/base/ids.hpp"

namespace finops {

enum class NoticeKind {
  Threshold,  ///< a budget is used up to a warning threshold
  Overspent,  ///< something was metered past a limit
  Request,    ///< somebody asks for more
  Approved,
  Denied,
  Expired,    ///< a request that nobody answered in time
  Paused,     ///< a run ended to be resumed
  Stopped,    ///< a run was stopped by a rule
  Uncertain,  ///< a process ended without a word; some of its cost is not certain
  Breaker,    ///< the guard refused to stop too many runs at once
};
[[nodiscard]] std::string_view notice_kind_name(NoticeKind kind) noexcept;
[[nodiscard]] NoticeKind parse_notice_kind(std::string_view name);

struct Notice {
  std::int64_t number = 0;  ///< 1, 2, ... given by the ledger in the order of recording
  std::string notice_id;  ///< "threshold/team:nlp/2026-11/80@500 USD": the same event, the same id
  NoticeKind kind = NoticeKind::Threshold;
  BudgetId budget_id;    ///< empty if it concerns none
  AttemptId attempt_id;  ///< empty if it concerns none
  std::string text;      ///< one line in plain words with the numbers
  UtcTime recorded_at{};
};

/// One try to deliver a group of notices through one channel. A group that is SENDING when the
/// sender dies may or may not have arrived: it is sent again, marked as a possible repeat.
struct Delivery {
  std::string channel;  ///< its name in the settings; never its address, which may hold a secret
  std::int64_t sequence = 0;  ///< 1, 2, ... within the channel; 0: the ledger gives the next one
  std::int64_t first_number = 0;  ///< of the notices, inclusive
  std::int64_t last_number = 0;   ///< inclusive
  std::string state;              ///< "SENDING", "SENT", "FAILED"
  std::string detail;             ///< why it failed
  UtcTime recorded_at{};
};

}  // namespace finops
