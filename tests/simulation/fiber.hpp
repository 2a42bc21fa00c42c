// fiber.hpp - a call stack that can stop anywhere: one simulated process.
//
// Owns: Fiber. Does not own: who runs when (kernel.hpp).
// Invariant: one thread. A fiber that is dropped in the middle runs no destructor, as a process
// that is killed does not; what its stack owned leaks, which is why every seed has a process of its
// own.
#pragma once

#include <setjmp.h>
#include <ucontext.h>

#include <cstddef>
#include <functional>

namespace finops::simulation {

class Fiber {
 public:
  explicit Fiber(std::function<void()> body);
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  /// Runs the fiber until it yields or ends. Not from inside a fiber.
  void resume();
  /// Goes back to whoever resumed the fiber that runs now.
  static void yield();
  [[nodiscard]] bool has_ended() const noexcept { return has_ended_; }

 private:
  // The C++ runtime keeps the exceptions in flight per thread; each stack has its own.
  struct Exceptions {
    void* caught = nullptr;
    unsigned int uncaught_count = 0;
  };
  static void enter();
  static void swap_exceptions(Exceptions& mine);

  std::function<void()> body_;
  void* stack_ = nullptr;
  ucontext_t context_{};
  jmp_buf here_{};
  jmp_buf resumer_{};
  bool has_begun_ = false;
  Exceptions exceptions_;
  bool has_ended_ = false;
};

}  // namespace finops::simulation
