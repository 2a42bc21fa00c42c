// options.hpp - binds RunOptions, the arguments of a start.
#pragma once

#include "convert.hpp"
#include "finops/tracker/options.hpp"

namespace finops::bindings {

void bind_options(py::module_& module);

}  // namespace finops::bindings
