// charge.hpp - measured use and what it cost, in the words of FOCUS 1.2.
//
// Owns: EventId, UsageSlice, Charge. Does not own: the pricing of one into the other.
// Invariants: event ids are deterministic, so that two writers of the same fact write one row;
// METERED (ours, live) and BILLED (from an invoice) are never added up.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "finops/base/clock.hpp"
#include "finops/base/ids.hpp"
#include "finops/money/money.hpp"

namespace finops {

using EventId = StrongId<struct EventIdTag>;

/// (attempt, kind, sequence) as one id: "k3v9q2d7m1xa-4t8rw2/usage/17".
[[nodiscard]] EventId make_event_id(const AttemptId& attempt_id, std::string_view kind,
                                    std::int64_t sequence);

/// METERED: known from a proof of life. UNCERTAIN: between the last sign of life of a process and
/// the first proof of its death; held, shown, and settled once.
enum class UsageKind { METERED, UNCERTAIN };
[[nodiscard]] std::string_view usage_kind_name(UsageKind kind) noexcept;

/// One slice of an attempt's time. `from` and `to` count from the attempt's start on
/// CLOCK_BOOTTIME; the UTC period is only their label.
struct UsageSlice {
  AttemptId attempt_id;
  std::int64_t sequence = 0;  ///< 1, 2, ... within the attempt, without gaps
  UsageKind kind = UsageKind::METERED;
  Nanoseconds from{};  ///< inclusive
  Nanoseconds to{};    ///< exclusive
  UtcTime charge_period_start{};
  UtcTime charge_period_end{};
};

enum class Basis { METERED, BILLED };
[[nodiscard]] std::string_view basis_name(Basis basis) noexcept;

/// FOCUS 1.2 ChargeCategory.
enum class ChargeCategory { Usage, Purchase, Tax, Credit, Adjustment };
[[nodiscard]] std::string_view charge_category_name(ChargeCategory category) noexcept;
/// Throws Error(InvalidArgument) on an unknown name.
[[nodiscard]] ChargeCategory parse_charge_category(std::string_view name);

struct Charge {
  EventId event_id;
  AttemptId attempt_id;  ///< empty for a bill line that belongs to no run
  Basis basis = Basis::METERED;
  ChargeCategory charge_category = ChargeCategory::Usage;
  bool is_correction = false;     ///< FOCUS ChargeClass "Correction"
  PriceId price_id;               ///< the row it was priced with; empty for a bill line
  Nanoseconds consumed_time{};    ///< ConsumedQuantity in ns of the whole resource
  UtcTime charge_period_start{};  ///< inclusive
  UtcTime charge_period_end{};    ///< exclusive
  Money billed_cost = Money::zero(Currency::usd());     ///< basis of invoicing
  Money effective_cost = Money::zero(Currency::usd());  ///< commitments spread over their use
};

}  // namespace finops
