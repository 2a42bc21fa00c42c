// module.cpp - finops._core, the Python module of the C++ core.
#include "convert.hpp"
#include "finops/guard/decide.hpp"
#include "finops/tracker/options.hpp"
#include "release.hpp"

PYBIND11_MODULE(_core, module) {
  using namespace finops::bindings;
  module.doc() = "The C++ core of finops. Private: use the names of the package.";
  module.attr("__version__") = FINOPS_VERSION;
  module.attr("EXIT_PAUSED") = finops::kExitPaused;
  module.attr("DEFAULT_SILENCE_LIMIT") = to_timedelta(finops::guard::Policy{}.silence_limit);
  bind_release(module);
  bind_errors(module);
  bind_money(module);
  bind_records(module);
  bind_ledger(module);
  bind_pricing(module);
  bind_genealogy(module);
  bind_run(module);
  bind_policy(module);
  bind_agent(module);
  bind_cost_graph(module);
  bind_predict_forest(module);
  bind_predict_scorer(module);
  bind_predict_features(module);
  bind_predict_forecaster(module);
  bind_predict_chance(module);
}
