// release.cpp - the guard and its exit hook.
#include "release.hpp"

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <thread>

namespace finops::bindings {
namespace {

std::atomic<bool> is_leaving{false};
std::atomic<int> returning_count{0};  // threads that are asking for the lock right now

// Runs in atexit, in the main thread, before the interpreter finalises. Threads that ask for the
// lock already get it; those that come later wait for the process to end.
void leave() {
  is_leaving.store(true);
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds{500};
  PyThreadState* state = PyEval_SaveThread();
  while (returning_count.load() > 0 && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(std::chrono::milliseconds{1});
  }
  PyEval_RestoreThread(state);
}

}  // namespace

ReleaseGil::ReleaseGil() : state_(is_leaving.load() ? nullptr : PyEval_SaveThread()) {}

ReleaseGil::~ReleaseGil() {
  if (state_ == nullptr) {
    return;
  }
  returning_count.fetch_add(1);
  if (is_leaving.load()) {
    returning_count.fetch_sub(1);
    for (;;) {
      pause();  // a daemon thread: it holds nothing, and the process ends without it
    }
  }
  PyEval_RestoreThread(state_);
  returning_count.fetch_sub(1);
}

void bind_release(pybind11::module_&) {
  pybind11::module_::import("atexit").attr("register")(pybind11::cpp_function(&leave));
}

}  // namespace finops::bindings
