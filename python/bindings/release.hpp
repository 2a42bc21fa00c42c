// release.hpp - letting go of the interpreter's lock, also while the interpreter ends.
//
// Owns: ReleaseGil. Why not py::gil_scoped_release: a daemon thread that wants the lock back while
// the interpreter finalises is ended by pthread_exit inside CPython (before 3.14); the unwinding
// meets noexcept frames and std::terminate aborts a training job that had ended well. Invariant:
// from the exit hook on, no thread asks for the lock any more: it waits for the end.
#pragma once

#include <pybind11/pybind11.h>

namespace finops::bindings {

/// Lets go of the lock while it lives; does nothing once the interpreter is leaving.
class ReleaseGil {
 public:
  ReleaseGil();
  ~ReleaseGil();
  ReleaseGil(const ReleaseGil&) = delete;
  ReleaseGil& operator=(const ReleaseGil&) = delete;

 private:
  PyThreadState* state_;
};

using Release = pybind11::call_guard<ReleaseGil>;

/// Registers the exit hook with Python's atexit.
void bind_release(pybind11::module_& module);

}  // namespace finops::bindings
