// per_process.hpp - state that belongs to a process, and not to the memory that a fork copies.
//
// Owns: per_process. Does not own: what is kept in it (each module's registry).
// Invariant: a forked child never reads what its parent kept, nor waits for the parent's mutexes,
// which threads may hold that the child does not have.
#pragma once

#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>

#ifdef FINOPS_SIMULATION
/// Which of the simulated processes runs now; given by the simulation, where many share one
/// address space.
extern std::uint64_t finops_simulated_process();
#endif

namespace finops {

/// The calling process's own T, made on first use. After a fork the child gets a new one, and the
/// parent's is left alone in the child's memory.
template <class T>
T& per_process() {
#ifdef FINOPS_SIMULATION
  static std::map<std::uint64_t, std::unique_ptr<T>> all;
  std::unique_ptr<T>& mine = all[finops_simulated_process()];
  if (mine == nullptr) {
    mine = std::make_unique<T>();
  }
  return *mine;
#else
  struct Slot {
    pid_t owner = getpid();
    T value;
  };
  static std::atomic<Slot*> current{new Slot};
  Slot* known = current.load(std::memory_order_acquire);
  if (known->owner != getpid()) {
    auto* fresh = new Slot;
    if (current.compare_exchange_strong(known, fresh)) {
      known = fresh;
    } else {
      delete fresh;
    }
  }
  return known->value;
#endif
}

}  // namespace finops
