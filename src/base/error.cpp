// error.cpp - names and construction of the error types.
#include "finops/base/error.hpp"

#include <cstring>

namespace finops {

std::string_view error_code_name(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::InvalidArgument: return "InvalidArgument";
    case ErrorCode::InvalidMoney: return "InvalidMoney";
    case ErrorCode::CurrencyMismatch: return "CurrencyMismatch";
    case ErrorCode::Overflow: return "Overflow";
    case ErrorCode::UnknownResource: return "UnknownResource";
    case ErrorCode::AmbiguousResource: return "AmbiguousResource";
    case ErrorCode::UnpricedResource: return "UnpricedResource";
    case ErrorCode::NotFound: return "NotFound";
    case ErrorCode::Conflict: return "Conflict";
    case ErrorCode::BudgetMismatch: return "BudgetMismatch";
    case ErrorCode::BudgetExhausted: return "BudgetExhausted";
    case ErrorCode::BurnCapExceeded: return "BurnCapExceeded";
    case ErrorCode::NotEntitled: return "NotEntitled";
    case ErrorCode::PermissionDenied: return "PermissionDenied";
    case ErrorCode::UnsupportedSchema: return "UnsupportedSchema";
    case ErrorCode::LedgerCorrupt: return "LedgerCorrupt";
    case ErrorCode::LedgerUnavailable: return "LedgerUnavailable";
    case ErrorCode::SystemFailure: return "SystemFailure";
  }
  return "Unknown";
}

Error::Error(ErrorCode code, const std::string& message)
    : std::runtime_error(message), code_(code) {}

InternalError::InternalError(const std::string& condition, const char* file, int line)
    : std::logic_error("internal error, please report: " + condition + " at " + file + ":" +
                       std::to_string(line)) {}

namespace detail {

void throw_error(ErrorCode code, const std::string& message) { throw Error(code, message); }

void throw_internal(const char* condition, const char* file, int line) {
  throw InternalError(condition, file, line);
}

}  // namespace detail

std::string errno_text(int error_number) {
  char buffer[128] = {};
  // The GNU form returns a pointer that need not be the buffer.
  const char* text = strerror_r(error_number, buffer, sizeof buffer);
  return std::string(text) + " (errno " + std::to_string(error_number) + ")";
}

}  // namespace finops
