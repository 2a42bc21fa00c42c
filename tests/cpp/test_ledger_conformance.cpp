// test_ledger_conformance.cpp - runs the conformance suite against every backend there is.
//
// Owns: the list of backends. Does not own: what is asked of them (ledger_conformance*.hpp).
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "ledger_conformance.hpp"
#include "ledger_conformance_approvals.hpp"
#include "ledger_conformance_budgets.hpp"
#include "ledger_conformance_forecasts.hpp"
#include "ledger_conformance_hierarchy.hpp"
#include "ledger_conformance_lineage.hpp"
#include "ledger_conformance_money.hpp"
#include "ledger_conformance_own_work.hpp"

namespace finops::testing {
namespace {

class SqliteStore final : public LedgerStore {
 public:
  std::unique_ptr<Ledger> open() override { return open_ledger(folder_ / "ledger.db", {}); }

 private:
  TempDir folder_;
};

const LedgerBackend kBackends[] = {
    {.name = "Sqlite",
     .make_store = [] { return std::unique_ptr<LedgerStore>(std::make_unique<SqliteStore>()); }}};

std::string name_of(const ::testing::TestParamInfo<LedgerBackend>& param) {
  return param.param.name;
}

INSTANTIATE_TEST_SUITE_P(Backends, LedgerConformance, ::testing::ValuesIn(kBackends), name_of);
INSTANTIATE_TEST_SUITE_P(Backends, LedgerApprovals, ::testing::ValuesIn(kBackends), name_of);
INSTANTIATE_TEST_SUITE_P(Backends, LedgerForecasts, ::testing::ValuesIn(kBackends), name_of);
INSTANTIATE_TEST_SUITE_P(Backends, LedgerHierarchy, ::testing::ValuesIn(kBackends), name_of);
INSTANTIATE_TEST_SUITE_P(Backends, LedgerLineage, ::testing::ValuesIn(kBackends), name_of);

}  // namespace
}  // namespace finops::testing
