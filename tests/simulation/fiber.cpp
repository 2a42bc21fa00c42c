// fiber.cpp - switching stacks, with the exceptions that belong to each.
#include "fiber.hpp"

#include <cxxabi.h>
#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <utility>

namespace finops::simulation {
namespace {

// SQLite's parser and our own frames fit many times; untouched pages cost nothing.
constexpr std::size_t kStackSize = 1U << 20U;

Fiber* running = nullptr;

}  // namespace

Fiber::Fiber(std::function<void()> body) : body_(std::move(body)) {
  stack_ = mmap(nullptr, kStackSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (stack_ == MAP_FAILED) {
    std::abort();  // a test program without memory
  }
  getcontext(&context_);
  context_.uc_stack.ss_sp = stack_;
  context_.uc_stack.ss_size = kStackSize;
  context_.uc_link = &resumer_;
  makecontext(&context_, &Fiber::enter, 0);
}

Fiber::~Fiber() { munmap(stack_, kStackSize); }

void Fiber::enter() {
  Fiber* self = running;
  self->body_();
  self->has_ended_ = true;
  yield();
}

void Fiber::swap_exceptions(Exceptions& mine) {
  Exceptions others;
  void* globals = abi::__cxa_get_globals();
  std::memcpy(&others, globals, sizeof others);
  std::memcpy(globals, &mine, sizeof mine);
  mine = others;
}

void Fiber::resume() {
  running = this;
  swap_exceptions(exceptions_);
  swapcontext(&resumer_, &context_);
  swap_exceptions(exceptions_);
  running = nullptr;
}

void Fiber::yield() {
  Fiber* self = running;
  swapcontext(&self->context_, &self->resumer_);
}

}  // namespace finops::simulation
