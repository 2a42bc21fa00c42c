// ledger_handle.hpp - the class behind Python's Ledger.
//
// Owns: LedgerHandle. Does not own: its methods (ledger.cpp, ledger_budgets.cpp,
// lineage_records.cpp, forecast_records.cpp).
#pragma once

#include <memory>

#include "convert.hpp"
#include "finops/ledger/ledger.hpp"

namespace finops::bindings {

/// `Ledger` is abstract; this holds one for Python.
struct LedgerHandle {
  std::unique_ptr<Ledger> ledger;
  Ledger* operator->() const { return ledger.get(); }
};

inline UtcTime utc_now() { return SystemClock{}.now().utc; }

void bind_budget_calls(py::class_<LedgerHandle>& type);
void bind_lineage_calls(py::class_<LedgerHandle>& type);
void bind_forecast_calls(py::class_<LedgerHandle>& type);

}  // namespace finops::bindings
