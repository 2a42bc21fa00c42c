// sqlite_merge.cpp - brings the runs of another ledger file in.
#include "ledger/sqlite_ledger.hpp"

namespace finops::ledger {
MergeReport SqliteLedger::merge(const std::string& /*other_path*/, UtcTime /*now*/) {
  throw InternalError("not yet", __FILE__, __LINE__);
}
}  // namespace finops::ledger
