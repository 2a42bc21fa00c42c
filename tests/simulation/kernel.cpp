// kernel.cpp - who runs next, what time it is, and what goes wrong.
#include "kernel.hpp"

#include <signal.h>
#include <sqlite3.h>

#include <algorithm>
#include <cstdio>
#include <utility>

std::uint64_t finops_simulated_process() {
  using finops::simulation::Kernel;
  return Kernel::instance == nullptr ? 0 : static_cast<std::uint64_t>(Kernel::instance->process());
}

namespace finops::simulation {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

// 2026-01-01, for the labels.
constexpr Nanoseconds kUtcAtStart = seconds{1'767'225'600};
// A call that takes so long lets others run meanwhile.
constexpr Nanoseconds kLongCall = milliseconds{1};
constexpr pid_t kLargestPid = 1'024;  // small, so that pids come again soon

}  // namespace

Kernel* Kernel::instance = nullptr;

Kernel::Kernel(std::uint64_t seed, std::string home)
    : random(seed),
      files(home),
      disk(*this, {.seed = seed, .storage = {}}),
      home_(std::move(home)) {
  instance = this;
  new_boot_id();
}

Kernel::~Kernel() { instance = nullptr; }

void Kernel::new_boot_id() { boot_id_ = "boot-" + std::to_string(random.below(1'000'000'000'000)); }

void Kernel::note(const std::string& line) {
  // The folder's name is the only thing that differs from run to run.
  std::string told = line;
  for (std::size_t at = 0; (at = told.find(home_, at)) != std::string::npos;) {
    told.replace(at, home_.size(), "HOME");
  }
  for (const char c : told) {
    trace_hash_ = (trace_hash_ ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
  }
  trace_hash_ ^= static_cast<std::uint64_t>(now_.time_since_epoch().count());
  if (prints_trace) {
    std::printf("%14.6f %-12s %s\n", std::chrono::duration<double>(simulated()).count(),
                running_ == nullptr ? "host" : running_->name.c_str(), line.c_str());
  }
}

Process& Kernel::spawn(const std::string& name, std::function<int()> body,
                       std::map<std::string, std::string> environment, pid_t parent) {
  auto process = std::make_unique<Process>();
  Process* raw = process.get();
  do {
    last_pid_ = last_pid_ >= kLargestPid ? 1'000 : last_pid_ + 1;
  } while (find(last_pid_) != nullptr);
  raw->pid = last_pid_;
  raw->serial = ++serial_count_;
  raw->start_ticks = static_cast<std::uint64_t>(now_.time_since_epoch() / milliseconds{10}) + 1;
  raw->parent = parent;
  raw->name = name + "#" + std::to_string(raw->serial);
  raw->environment = std::move(environment);
  raw->wake_at = now_;
  raw->fiber = std::make_unique<Fiber>([this, raw, run = std::move(body)] {
    const int code = run();
    bury(*raw, code);
  });
  processes_.push_back(std::move(process));
  note("starts " + raw->name + " as pid " + std::to_string(raw->pid));
  return *raw;
}

Process* Kernel::find(pid_t pid) const {
  const auto found = std::ranges::find_if(processes_, [&](const auto& process) {
    return process->is_alive && process->pid == pid;
  });
  return found == processes_.end() ? nullptr : found->get();
}

Process* Kernel::by_serial(std::uint64_t serial) const {
  const auto found = std::ranges::find_if(processes_, [&](const auto& process) {
    return process->serial == serial;
  });
  return found == processes_.end() ? nullptr : found->get();
}

std::vector<Process*> Kernel::living() const {
  std::vector<Process*> found;
  found.reserve(processes_.size());
  for (const auto& process : processes_) {
    if (process->is_alive) {
      found.push_back(process.get());
    }
  }
  return found;
}

// What the system does when a process is over, however it ended.
void Kernel::bury(Process& process, int exit_code) {
  process.is_alive = false;
  process.exit_code = exit_code;
  process.died_at = simulated();
  for (const OpenFile& file : files.close_all(process.serial)) {
    locks.drop({.is_description = true, .id = file.description}, nullptr);
  }
  locks.drop({.is_description = false, .id = process.serial}, nullptr);
  disk.process_died(static_cast<int>(process.serial));
  for (const auto& other : processes_) {
    if (other->parent == process.pid && other->is_alive) {
      other->parent = 1;
    }
  }
  note("ends " + process.name + " with " + std::to_string(exit_code));
}

void Kernel::kill(Process& process) {
  if (!process.is_alive) {
    return;
  }
  process.was_killed = true;
  bury(process, -SIGKILL);
  if (&process == running_) {
    Fiber::yield();  // never to come back
  }
}

void Kernel::signal(Process& process, int signal_number) {
  note("signal " + std::to_string(signal_number) + " to " + process.name);
  if (Process* sender = std::exchange(running_, nullptr); sender != nullptr) {
    on_signal(*sender, process, signal_number);  // it looks from outside all processes
    running_ = sender;
  }
  if (signal_number == SIGKILL) {
    kill(process);
  } else if (signal_number == SIGTERM) {
    if (process.stopped_until > now_) {
      return;  // delivered when it goes on; whoever stops it for good uses SIGKILL
    }
    if (!process.dies_of_term || process.dies_of_term()) {
      process.was_killed = true;
      bury(process, -SIGTERM);
      if (&process == running_) {
        Fiber::yield();
      }
    } else {
      ++process.term_count;
    }
  }
}

void Kernel::lose_power() {
  note("power loss");
  const auto choose = [this](std::uint64_t count) { return random.below(count); };
  for (Process* process : living()) {
    process->was_killed = true;
    bury(*process, -SIGKILL);
  }
  locks.clear();
  disk.lose_power(choose);
  files.lose_power(choose);
  earlier_boots_ += now_.time_since_epoch();
  utc_offset_ += now_.time_since_epoch();
  now_ = BootTime{seconds{30}};
  utc_offset_ += random.between(seconds{20}, seconds{300}) - now_.time_since_epoch();
  suspended_ = Nanoseconds::zero();
  utc_frozen_at_.reset();
  new_boot_id();
}

void Kernel::suspend_host(Nanoseconds span) {
  note("the host sleeps");
  now_ += span;
  suspended_ += span;
  for (Process* process : living()) {
    process->wake_at += span;
    process->stopped_until += span;
  }
}

ClockReading Kernel::clocks() const {
  const UtcTime running_utc{kUtcAtStart + now_.time_since_epoch() + utc_offset_};
  return {.utc = utc_frozen_at_.value_or(running_utc),
          .boot = now_,
          .monotonic = MonotonicTime{now_.time_since_epoch() - suspended_}};
}

void Kernel::freeze_utc(Nanoseconds span) {
  utc_frozen_at_ = clocks().utc;
  utc_frozen_until_ = simulated() + span;
}

std::int64_t Kernel::unix_time_ms() { return clocks().utc.time_since_epoch() / milliseconds{1}; }

void Kernel::pause() { Fiber::yield(); }

void Kernel::sleep_for(Nanoseconds span) {
  if (running_ == nullptr) {
    return;  // the auditor's time does not count
  }
  running_->wake_at = now_ + std::max(span, Nanoseconds{microseconds{1}});
  pause();
}

bool Kernel::is_another_ready() const {
  return std::ranges::any_of(processes_, [&](const auto& process) {
    return process->is_alive && process.get() != running_ && process->wake_at <= now_ &&
           process->stopped_until <= now_;
  });
}

void Kernel::call(const char* what, Nanoseconds cost) {
  if (running_ == nullptr) {
    return;
  }
  ++call_count_;
  now_ += cost;
  trace_hash_ = (trace_hash_ ^ static_cast<std::uint64_t>(now_.time_since_epoch().count()) ^
                 static_cast<unsigned char>(*what)) *
                0x100000001b3U;
  if (faults.power_loss_at_call != 0 && call_count_ >= faults.power_loss_at_call) {
    faults.power_loss_at_call = 0;
    is_power_failing_ = true;
    pause();  // never to come back: nobody survives it
  }
  if (faults.crash_one_in != 0 && running_->may_crash && random.one_in(faults.crash_one_in)) {
    note(std::string("crashes at ") + what);
    kill(*running_);
  }
  if (cost >= kLongCall || (random.one_in(6) && is_another_ready())) {
    running_->wake_at = now_;
    pause();
  }
}

void Kernel::synced(int descriptor) {
  files.synced(descriptor);
  // The ledger's own content lies on the simulated disk, its name in the real folder.
  if (const OpenFile* folder = files.find(descriptor); folder != nullptr && folder->path == home_) {
    disk.name_is_durable(home_ + "/ledger.db");
  }
}

Nanoseconds Kernel::sync_cost() {
  if (faults.slow_sync_one_in != 0 && random.one_in(faults.slow_sync_one_in)) {
    return random.between(seconds{1}, seconds{6});
  }
  return random.between(microseconds{150}, milliseconds{3});
}

bool Kernel::sync_fails() {
  return running_ != nullptr && faults.sync_error_one_in != 0 &&
         random.one_in(faults.sync_error_one_in);
}

int Kernel::before(const DiskCall& call_made, std::int64_t& torn_bytes) {
  if (running_ == nullptr) {
    return SQLITE_OK;
  }
  const bool writes =
      call_made.operation == DiskOperation::Write || call_made.operation == DiskOperation::Truncate;
  if (writes && on_ledger_write) {
    on_ledger_write(call_made);
  }
  if (call_made.operation == DiskOperation::Sync) {
    call("sync", sync_cost());
    return sync_fails() ? SQLITE_IOERR_FSYNC : SQLITE_OK;
  }
  call("disk", microseconds{call_made.operation == DiskOperation::Read ? 1 : 4});
  if (call_made.operation == DiskOperation::Write && faults.is_disk_full) {
    torn_bytes = faults.torn_write_one_in != 0 && random.one_in(faults.torn_write_one_in)
                     ? random.between(0, call_made.size)
                     : 0;
    return SQLITE_FULL;
  }
  return SQLITE_OK;
}

void Kernel::at(Nanoseconds when, std::function<void()> event) {
  events_.emplace(when, std::move(event));
}

Process* Kernel::next_ready() {
  std::vector<Process*> ready;
  for (const auto& process : processes_) {
    if (process->is_alive && process->wake_at <= now_ && process->stopped_until <= now_) {
      ready.push_back(process.get());
    }
  }
  return ready.empty() ? nullptr : ready[random.below(ready.size())];
}

void Kernel::turn(Process& process) {
  running_ = &process;
  process.fiber->resume();
  running_ = nullptr;
  if (is_power_failing_) {
    is_power_failing_ = false;
    lose_power();
  }
  std::erase_if(processes_, [](const auto& other) {
    if (!other->is_alive) {
      other->fiber.reset();  // its stack; what stood on it is left behind
    }
    return false;
  });
}

void Kernel::run_until(Nanoseconds end, const std::function<bool()>& after_each_turn) {
  while (simulated() < end) {
    if (!events_.empty() && events_.begin()->first <= simulated()) {
      const auto event = std::move(events_.begin()->second);
      events_.erase(events_.begin());
      event();
      continue;
    }
    if (utc_frozen_at_.has_value() && simulated() >= utc_frozen_until_) {
      utc_offset_ +=
          *utc_frozen_at_ - (UtcTime{kUtcAtStart} + now_.time_since_epoch() + utc_offset_);
      utc_frozen_at_.reset();
    }
    if (Process* process = next_ready()) {
      turn(*process);
      if (!after_each_turn()) {
        return;
      }
      continue;
    }
    Nanoseconds next = end;
    for (const auto& process : processes_) {
      if (process->is_alive) {
        const BootTime wake = std::max(process->wake_at, process->stopped_until);
        next = std::min(next, earlier_boots_ + wake.time_since_epoch());
      }
    }
    if (!events_.empty()) {
      next = std::min(next, events_.begin()->first);
    }
    now_ = std::max(now_, BootTime{next - earlier_boots_});
  }
}

}  // namespace finops::simulation
