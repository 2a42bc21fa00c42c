// usage.cpp - reads a window of samples.
#include "finops/guard/usage.hpp"

namespace finops::guard {

std::string_view use_name(Use use) noexcept {
  switch (use) {
    case Use::Unknown: return "unknown";
    case Use::Idle: return "idle";
    case Use::Hung: return "hung";
    case Use::Working: break;
  }
  return "working";
}

Use use_of(const UsageSummary& /*usage*/, bool /*is_silent*/) { return Use::Unknown; }

}  // namespace finops::guard
