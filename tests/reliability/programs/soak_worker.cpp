// soak_worker.cpp - one of many processes on one budget: trains, obeys PAUSE, measures its calls.
//
// Owns: the load, the times of the hot calls, how long this process really takes to see a directive
// and to stop. Does not own: the budget, the kills, what the figures must be
// (tests/reliability/test_soak.py).
// Usage: soak_worker HOME REPORT SECONDS TERM CHECK_GAP STOP_TIME QUANTUM      (spans in seconds)
//        soak_worker bound PRICE ACTUAL_GAP ACTUAL_STOP CHECK_GAP STOP_TIME QUANTUM
// The second form prints the product's bound on the overspend of one such process.
#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "call_times.hpp"
#include "finops/base/error.hpp"
#include "finops/pricing/price_book.hpp"
#include "finops/tracker/run.hpp"

namespace {

using namespace finops;
using Steady = std::chrono::steady_clock;
using reliability::CallTimes;
using reliability::ticks;

constexpr const char* kPrice = "36 USD/h";  // one cent a second
constexpr int kCallsInBurst = 2'000;
constexpr std::chrono::milliseconds kBetweenBursts{50};
constexpr std::chrono::seconds kReportEvery{1};

Nanoseconds seconds_in(const char* text) {
  return std::chrono::duration_cast<Nanoseconds>(std::chrono::duration<double>(std::stod(text)));
}

std::int64_t milliseconds_of(Nanoseconds span) { return span / std::chrono::milliseconds{1}; }

class Worker {
 public:
  Worker(std::string home, const char* report, Nanoseconds length, budget::LeaseTerms terms)
      : home_(std::move(home)),
        report_(open(report, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600)),
        end_(Steady::now() + length),
        terms_(terms) {}
  ~Worker() { close(report_); }
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  void work() {
    while (Steady::now() < end_) {
      if (const std::unique_ptr<Run> run = start(); run != nullptr) {
        train(*run);
      } else {
        std::this_thread::sleep_for(std::chrono::milliseconds{200});
      }
    }
    report();
  }

 private:
  std::unique_ptr<Run> start() {
    RunOptions options;
    options.project = "soak";
    options.experiment = "shared";
    options.price = kPrice;
    options.home = home_;
    options.lease_terms = terms_;
    try {
      return Run::start(options);
    } catch (const Error& error) {
      if (error.code() == ErrorCode::BudgetExhausted) {
        ++refused_count_;
        return nullptr;
      }
      if (error.code() == ErrorCode::LedgerUnavailable) {
        return nullptr;
      }
      throw;
    }
  }

  void train(Run& run) {
    std::optional<Steady::time_point> told_at;
    auto looked_at = Steady::now();
    auto reported_at = looked_at;
    std::int64_t step = 0;
    while (Steady::now() < end_) {
      const Directive directive = burst(run, step);
      const auto now = Steady::now();
      longest_gap_ = std::max<Nanoseconds>(longest_gap_, now - looked_at);
      looked_at = now;
      if (directive != Directive::CONTINUE && !told_at.has_value()) {
        told_at = now;
      }
      if (directive == Directive::CHECKPOINT) {
        run.checkpointed(step, "/checkpoints/" + std::to_string(step));
      } else if (directive != Directive::CONTINUE) {
        run.finish(RunStatus::PAUSED, "");
        ++pause_count_;
        break;
      }
      if (now - reported_at > kReportEvery) {
        reported_at = now;
        note_slow_path(run);
        report();
      }
      std::this_thread::sleep_for(kBetweenBursts);
    }
    run.finish(RunStatus::FINISHED, "");
    if (told_at.has_value()) {
      longest_stop_ = std::max<Nanoseconds>(longest_stop_, Steady::now() - *told_at);
    }
    note_slow_path(run);
    slow_path_before_ = slow_path_time_;
  }

  // Calls in a row, each with its own time. Those that entered the slow path are counted apart.
  Directive burst(Run& run, std::int64_t& step) {
    Directive directive = Directive::CONTINUE;
    for (int i = 0; i < kCallsInBurst && directive == Directive::CONTINUE; ++i) {
      ++step;
      measure(run, [&] { run.progress(step); });
      measure(run, [&] { run.heartbeat(); });
      measure(run, [&] { directive = run.check_budget(); });
    }
    return directive;
  }

  template <class Call>
  void measure(const Run& run, Call call) {
    const Nanoseconds slow_before = run.slow_path_time();
    const std::uint64_t before = ticks();
    call();
    const std::uint64_t span = ticks() - before;
    if (run.slow_path_time() == slow_before) {
      times_.add(span);
    } else {
      ++slow_call_count_;
    }
  }

  void note_slow_path(const Run& run) {
    slow_path_time_ = slow_path_before_ + run.slow_path_time();
  }

  // One line of JSON: the last one counts, since this process may be killed at any time.
  void report() const {
    const auto number = [](double value) { return std::to_string(value); };
    const std::string line =
        "{\"pid\": " + std::to_string(getpid()) + ", \"calls\": " + std::to_string(times_.count()) +
        ", \"p50_ns\": " + number(times_.percentile_ns(0.5)) +
        ", \"p99_ns\": " + number(times_.percentile_ns(0.99)) +
        ", \"p999_ns\": " + number(times_.percentile_ns(0.999)) +
        ", \"longest_ns\": " + number(times_.longest_ns()) +
        ", \"slow_calls\": " + std::to_string(slow_call_count_) +
        ", \"slow_path_ms\": " + std::to_string(milliseconds_of(slow_path_time_)) +
        ", \"pauses\": " + std::to_string(pause_count_) +
        ", \"refused\": " + std::to_string(refused_count_) +
        ", \"longest_gap_ms\": " + std::to_string(milliseconds_of(longest_gap_)) +
        ", \"longest_stop_ms\": " + std::to_string(milliseconds_of(longest_stop_)) +
        ", \"histogram\": \"" + times_.histogram() + "\"}\n";
    if (write(report_, line.data(), line.size()) != static_cast<ssize_t>(line.size())) {
      std::exit(3);
    }
  }

  std::string home_;
  int report_;
  Steady::time_point end_;
  budget::LeaseTerms terms_;
  CallTimes times_;
  std::uint64_t slow_call_count_ = 0;
  std::uint64_t pause_count_ = 0;
  std::uint64_t refused_count_ = 0;
  Nanoseconds slow_path_before_{};
  Nanoseconds slow_path_time_{};
  Nanoseconds longest_gap_{};
  Nanoseconds longest_stop_{};
};

void print_bound(char** arguments) {
  const Rate rate = PriceBook{}.quote_explicit(arguments[0], {}).rate();
  const budget::LeaseTerms actual{.term = std::chrono::seconds{1},
                                  .check_gap = seconds_in(arguments[1]),
                                  .stop_time = seconds_in(arguments[2]),
                                  .billing_quantum = seconds_in(arguments[5])};
  const budget::LeaseTerms reserved{.term = std::chrono::seconds{1},
                                    .check_gap = seconds_in(arguments[3]),
                                    .stop_time = seconds_in(arguments[4]),
                                    .billing_quantum = seconds_in(arguments[5])};
  std::cout << budget::overspend_bound(rate, actual, reserved).str() << "\n";
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 8) {
    std::cerr << "usage: soak_worker HOME REPORT SECONDS TERM CHECK_GAP STOP_TIME QUANTUM\n";
    return 2;
  }
  try {
    if (std::string(arguments[1]) == "bound") {
      print_bound(arguments + 2);
      return 0;
    }
    Worker(arguments[1], arguments[2], seconds_in(arguments[3]),
           {.term = seconds_in(arguments[4]),
            .check_gap = seconds_in(arguments[5]),
            .stop_time = seconds_in(arguments[6]),
            .billing_quantum = seconds_in(arguments[7])})
        .work();
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "soak_worker: " << error.what() << "\n";
    return 1;
  }
}
