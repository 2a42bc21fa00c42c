// kernel.hpp - a simulated host: its processes, its clocks, its faults, one thread.
//
// Owns: Kernel, Process, Faults. Does not own: the product's objects, which run inside its
// processes and find it where they would find Linux (system_calls.cpp).
// Invariants: everything that happens is a function of the seed; a process can die at any call that
// it makes into the kernel, and what it did before stays, as with SIGKILL; time moves only here.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "disk.hpp"
#include "fiber.hpp"
#include "files.hpp"
#include "finops/base/clock.hpp"
#include "random.hpp"
#include "record_locks.hpp"

namespace finops::simulation {

/// What may go wrong, as "one in so many"; 0: never.
struct Faults {
  std::uint64_t crash_one_in = 0;       ///< calls: SIGKILL of the process that makes it
  std::uint64_t sync_error_one_in = 0;  ///< fsyncs: EIO
  std::uint64_t slow_sync_one_in = 0;   ///< fsyncs: takes 1 to 6 s
  std::uint64_t torn_write_one_in = 0;  ///< writes of a full disk: written in part
  bool is_disk_full = false;
  std::uint64_t power_loss_at_call = 0;  ///< of the host's calls so far; 0: not planned
};

struct Process {
  pid_t pid = 0;
  std::uint64_t serial = 0;  ///< never used again, unlike the pid
  std::uint64_t start_ticks = 0;
  pid_t parent = 1;
  std::string name;
  std::map<std::string, std::string> environment;
  std::unique_ptr<Fiber> fiber;
  BootTime wake_at{};
  BootTime stopped_until{};  ///< SIGSTOP: it does nothing until then
  bool may_crash = true;
  bool is_alive = true;
  bool was_killed = false;
  int exit_code = 0;
  Nanoseconds died_at{};  ///< Kernel::simulated()
  int term_count = 0;     ///< SIGTERMs that it got and lived through
  /// Whether SIGTERM ends it; asked at each one. Empty: it does.
  std::function<bool()> dies_of_term;
};

class Kernel final : public DiskObserver {
 public:
  Kernel(std::uint64_t seed, std::string home);
  ~Kernel() override;
  Kernel(const Kernel&) = delete;
  Kernel& operator=(const Kernel&) = delete;

  /// The one that runs now; the wrapped calls find it here.
  static Kernel* instance;

  // Processes.

  Process& spawn(const std::string& name, std::function<int()> body,
                 std::map<std::string, std::string> environment = {}, pid_t parent = 1);
  [[nodiscard]] Process* running() const noexcept { return running_; }
  /// Null: nobody alive has this pid.
  [[nodiscard]] Process* find(pid_t pid) const;
  [[nodiscard]] Process* by_serial(std::uint64_t serial) const;
  [[nodiscard]] std::vector<Process*> living() const;
  void kill(Process& process);
  void signal(Process& process, int signal_number);
  /// All die, the clocks begin anew, the disk is what it had kept. Not from inside a process.
  void lose_power();
  /// The host stands still: boot time and UTC go on, CLOCK_MONOTONIC and all processes do not.
  void suspend_host(Nanoseconds span);

  // Time.

  [[nodiscard]] BootTime now() const noexcept { return now_; }
  [[nodiscard]] ClockReading clocks() const;
  void jump_utc(Nanoseconds span) { utc_offset_ += span; }
  /// The wall clock shows the same time for `span`, and is behind from then on.
  void freeze_utc(Nanoseconds span);
  /// Time since the simulation began, over reboots.
  [[nodiscard]] Nanoseconds simulated() const noexcept {
    return earlier_boots_ + now_.time_since_epoch();
  }
  [[nodiscard]] const std::string& boot_id() const noexcept { return boot_id_; }
  void sleep_for(Nanoseconds span);
  /// Runs processes and events until `end`, or until a check has failed.
  void run_until(Nanoseconds end, const std::function<bool()>& after_each_turn);
  void at(Nanoseconds when, std::function<void()> event);

  // For the wrapped calls.

  /// One call of the running process that takes `cost`; it may die here, or others may run.
  void call(const char* what, Nanoseconds cost);
  int process() override { return running_ == nullptr ? 0 : static_cast<int>(running_->serial); }
  int before(const DiskCall& call, std::int64_t& torn_bytes) override;
  void sleep(std::chrono::microseconds span) override { sleep_for(span); }
  std::int64_t unix_time_ms() override;
  /// What an fsync costs now, and whether it fails.
  [[nodiscard]] Nanoseconds sync_cost();
  [[nodiscard]] bool sync_fails();
  /// fsync of a real file or folder has succeeded.
  void synced(int descriptor);

  Random random;
  Faults faults;
  Files files;
  RecordLocks locks;
  Disk disk;
  /// Called before a signal is sent and at each write to the ledger's files, by whom it runs.
  std::function<void(Process& sender, Process& target, int signal_number)> on_signal;
  std::function<void(const DiskCall& call)> on_ledger_write;

  [[nodiscard]] std::uint64_t call_count() const noexcept { return call_count_; }
  /// A number made of everything that happened: equal seeds must give equal ones.
  [[nodiscard]] std::uint64_t trace_hash() const noexcept { return trace_hash_; }
  void note(const std::string& line);
  bool prints_trace = false;

 private:
  void pause();
  void bury(Process& process, int exit_code);
  void turn(Process& process);
  [[nodiscard]] Process* next_ready();
  [[nodiscard]] bool is_another_ready() const;
  void new_boot_id();

  std::string home_;
  std::vector<std::unique_ptr<Process>> processes_;
  Process* running_ = nullptr;
  std::multimap<Nanoseconds, std::function<void()>> events_;
  BootTime now_{std::chrono::seconds{30}};
  Nanoseconds earlier_boots_{};
  Nanoseconds suspended_{};
  Nanoseconds utc_offset_{};
  std::optional<UtcTime> utc_frozen_at_;
  Nanoseconds utc_frozen_until_{};
  std::string boot_id_;
  std::uint64_t serial_count_ = 0;
  pid_t last_pid_ = 1'000;
  std::uint64_t call_count_ = 0;
  std::uint64_t trace_hash_ = 0xcbf29ce484222325U;
  bool is_power_failing_ = false;
};

}  // namespace finops::simulation
