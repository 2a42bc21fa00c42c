// ids.hpp - one strong type per id, so that a run is never taken for an attempt.
//
// Owns: StrongId, the id types, and random ids. Does not own: event ids (record/event_id.hpp).
// Invariant: an id is 1 to 127 characters of [A-Za-z0-9._:/@+-]; it is safe in file names only
// after `is_file_safe` (no '/', no leading '.').
#pragma once

#include <compare>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

namespace finops {

template <class Tag>
class StrongId {
 public:
  StrongId() = default;
  explicit StrongId(std::string value) : value_(std::move(value)) {}
  [[nodiscard]] const std::string& str() const noexcept { return value_; }
  [[nodiscard]] bool empty() const noexcept { return value_.empty(); }
  auto operator<=>(const StrongId&) const = default;

 private:
  std::string value_;
};

using RunId = StrongId<struct RunIdTag>;
using AttemptId = StrongId<struct AttemptIdTag>;
using BudgetId = StrongId<struct BudgetIdTag>;
using RequestId = StrongId<struct RequestIdTag>;
using PriceId = StrongId<struct PriceIdTag>;

/// `length` random characters of Crockford's base32 alphabet (5 bits each), from getrandom(2).
/// Throws Error(SystemFailure) if the kernel gives no randomness.
[[nodiscard]] std::string random_id_text(int length);

/// A new run id: 12 characters, 60 bits.
[[nodiscard]] RunId new_run_id();

/// A new attempt id: the run id, '-', 6 characters. Made without the ledger, so that an attempt
/// has its id even when the ledger is broken.
[[nodiscard]] AttemptId new_attempt_id(const RunId& run_id);

/// Whether `text` may be an id (see the invariant).
[[nodiscard]] bool is_valid_id(std::string_view text) noexcept;

/// Whether `text` may also be a file name.
[[nodiscard]] bool is_file_safe(std::string_view text) noexcept;

}  // namespace finops

template <class Tag>
struct std::hash<finops::StrongId<Tag>> {
  std::size_t operator()(const finops::StrongId<Tag>& id) const noexcept {
    return std::hash<std::string>{}(id.str());
  }
};
