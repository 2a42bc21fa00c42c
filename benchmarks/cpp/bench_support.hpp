// bench_support.hpp - what the C++ benchmarks share.
//
// Owns: TemporaryFolder, medians, the short mode, example prices and budgets. Does not own: what is
// measured. Invariant: a benchmark leaves nothing behind and touches no ledger but its own.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <vector>

#include "finops/ledger/ledger.hpp"

namespace finops::bench {

/// Whether the run only has to show that the benchmark works.
inline bool is_short() {
  const char* value = std::getenv("FINOPS_BENCH_SHORT");
  return value != nullptr && *value != '\0' && std::string(value) != "0";
}

/// A folder of our own (0700) below $TMPDIR, gone with the object.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "finops-bench-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) {
      throw std::runtime_error("cannot make a folder like " + name);
    }
    path_ = name;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  [[nodiscard]] const std::string& path() const noexcept { return path_; }

 private:
  std::string path_;
};

/// The value below which `ratio` (0..1) of the samples lie; 0.5 is the median. 0 without samples.
inline double quantile(std::vector<double> samples, double ratio) {
  if (samples.empty()) {
    return 0;
  }
  std::sort(samples.begin(), samples.end());
  const double last = static_cast<double>(samples.size() - 1);
  return samples[static_cast<std::size_t>(std::lround(last * ratio))];
}

/// 24 USD/h, as it stands in a ledger.
inline PriceRow example_price() {
  PriceRow row;
  row.sku_id = "bench";
  row.provider = "test";
  row.list_unit_price = Money::parse("24 USD");
  row.source = "bench";
  row.price_id = make_price_id(row);
  return row;
}

/// Makes a hard budget that nothing here can use up.
inline BudgetId make_budget(Ledger& ledger, const std::string& budget_id) {
  BudgetRecord budget;
  budget.budget_id = BudgetId{budget_id};
  budget.created_by = "bench";
  BudgetTerms terms;
  terms.limit = Money::parse("1000000 USD");
  ledger.ensure_budget(budget, terms);
  return budget.budget_id;
}

}  // namespace finops::bench
