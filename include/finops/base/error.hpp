// error.hpp - the error types of finops and the two checks that throw them.
//
// Owns: ErrorCode, Error, InternalError, FINOPS_REQUIRE, FINOPS_ASSERT.
// Does not own: expected outcomes (those are return values, see each module).
// Invariant: nothing in finops calls abort or exit; one bad input always gives the same code.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

namespace finops {

/// What went wrong, in order of precedence: when several hold, the first is reported.
/// Each code is one Python class of `finops.errors`, named in the comment.
enum class ErrorCode {
  InvalidArgument,    ///< the caller's value is wrong (InvalidArgument, a ValueError)
  InvalidMoney,       ///< a money or price text is malformed or too fine (InvalidMoney)
  CurrencyMismatch,   ///< two currencies met without a rate (CurrencyMismatch)
  Overflow,           ///< an amount left its range (MoneyOverflow, an OverflowError)
  UnknownResource,    ///< no such GPU, instance type or SKU (UnknownResource, a LookupError)
  AmbiguousResource,  ///< several SKUs fit; the message lists them (AmbiguousResource)
  UnpricedResource,   ///< a budget needs a price and there is none (UnpricedResource)
  NotFound,           ///< no such run, attempt, budget or request (NotFound, a LookupError)
  Conflict,           ///< same id with other content, or a stale epoch (Conflict)
  BudgetMismatch,     ///< a budget exists with another limit (BudgetMismatch, a ValueError)
  BudgetExhausted,    ///< nothing is left to lease (BudgetExhausted)
  BurnCapExceeded,    ///< together too much in an hour (BurnCapExceeded, a BudgetExhausted)
  NotEntitled,        ///< only an approver may do this (NotEntitled, a PermissionError)
  PermissionDenied,   ///< a file is not ours, or open to others (HomeNotSafe, a PermissionError)
  UnsupportedSchema,  ///< written by a newer finops (UnsupportedSchema)
  LedgerCorrupt,      ///< the store is damaged; it is open read-only (LedgerCorrupt)
  LedgerUnavailable,  ///< the store cannot be reached in time (LedgerUnavailable)
  SystemFailure,      ///< the operating system refused a call (SystemFailure, an OSError)
};

/// The name of `code`, the same as the enumerator.
[[nodiscard]] std::string_view error_code_name(ErrorCode code) noexcept;

/// The caller or the world is at fault. The message names the value, the limit and the next step.
class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message);
  [[nodiscard]] ErrorCode code() const noexcept { return code_; }

 private:
  ErrorCode code_;
};

/// Our own code is wrong. The ledger refuses to write after one.
class InternalError : public std::logic_error {
 public:
  InternalError(const std::string& condition, const char* file, int line);
};

namespace detail {
[[noreturn]] void throw_error(ErrorCode code, const std::string& message);
[[noreturn]] void throw_internal(const char* condition, const char* file, int line);
}  // namespace detail

/// `errno` as text, for messages: "No space left on device (errno 28)".
[[nodiscard]] std::string errno_text(int error_number);

}  // namespace finops

// The message is built only on failure.
#define FINOPS_REQUIRE(condition, error_code, message)        \
  do {                                                        \
    if (!(condition)) [[unlikely]] {                          \
      ::finops::detail::throw_error((error_code), (message)); \
    }                                                         \
  } while (false)

#define FINOPS_ASSERT(condition)                                        \
  do {                                                                  \
    if (!(condition)) [[unlikely]] {                                    \
      ::finops::detail::throw_internal(#condition, __FILE__, __LINE__); \
    }                                                                   \
  } while (false)
