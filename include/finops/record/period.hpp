// period.hpp - the calendar period over which a budget's limit holds.
//
// Owns: Period, PeriodWindow. Does not own: the accounts of a window (ledger).
// Invariants: windows of one period follow each other without gap or overlap, whatever the time
// zone's clock does; the zone is stated, never the machine's.
#pragma once

#include <string>

#include "finops/base/clock.hpp"

namespace finops {

/// One window of a period: [start, end).
struct PeriodWindow {
  UtcTime start{};                 ///< epoch for a lifetime
  UtcTime end = UtcTime::max();    ///< exclusive; max: it never ends
  std::string label = "lifetime";  ///< "2026-11-24", "2026-W48", "2026-11", "2026-Q4"

  bool operator==(const PeriodWindow&) const = default;
};

/// "lifetime", or a day, week (from Monday, ISO 8601), month or quarter in a time zone.
class Period {
 public:
  enum class Kind { Lifetime, Day, Week, Month, Quarter };

  Period() = default;

  /// Reads "lifetime", "month" (in UTC) or "month@Europe/Berlin". Throws Error(InvalidArgument)
  /// for an unknown word or a time zone that the system's tz database does not have.
  static Period parse(const std::string& text);

  /// "lifetime", "month@UTC": what `parse` reads.
  [[nodiscard]] std::string str() const;
  [[nodiscard]] Kind kind() const noexcept { return kind_; }
  [[nodiscard]] bool is_lifetime() const noexcept { return kind_ == Kind::Lifetime; }
  /// The IANA name; empty for a lifetime.
  [[nodiscard]] const std::string& time_zone() const noexcept { return time_zone_; }

  /// The window that `time` lies in.
  [[nodiscard]] PeriodWindow window_at(UtcTime time) const;

  bool operator==(const Period&) const = default;

 private:
  Kind kind_ = Kind::Lifetime;
  std::string time_zone_;
};

}  // namespace finops
