// kill_writer.cpp - a process that does all a run can do, until somebody kills it.
//
// Owns: what is done, in which order, and what is acknowledged: a line in a file that survives the
// kill, written only after the call has returned. Does not own: who kills it and what is checked
// afterwards (tests/reliability/kill_loop.py).
// Usage: kill_writer HOME ACKNOWLEDGED SEED [silent]
#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "finops/base/error.hpp"
#include "finops/ledger/ledger.hpp"
#include "finops/tracker/run.hpp"

namespace {

using namespace finops;
using std::chrono::milliseconds;

constexpr int kBatchSize = 5;
constexpr const char* kPrice = "36 USD/h";  // one cent a second
constexpr const char* kScarce = "0.3 USD";  // runs out: pauses, refused starts
constexpr const char* kRoomy = "100 USD";
constexpr const char* kMore = "0.05 USD";

// One write(2) a line: what is in the file was acknowledged, whatever happens to this process.
class Acknowledged {
 public:
  explicit Acknowledged(const char* path)
      : descriptor_(open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600)) {}
  ~Acknowledged() { close(descriptor_); }
  Acknowledged(const Acknowledged&) = delete;
  Acknowledged& operator=(const Acknowledged&) = delete;

  void say(const std::string& line) const {
    const std::string whole = line + "\n";
    if (write(descriptor_, whole.data(), whole.size()) != static_cast<ssize_t>(whole.size())) {
      std::exit(3);
    }
  }

 private:
  int descriptor_;
};

class Writer {
 public:
  Writer(std::string home, const char* acknowledged, unsigned seed)
      : home_(std::move(home)), acknowledged_(acknowledged), random_(seed) {}

  // Returns false where the budget had no room for a start.
  bool live_once() {
    const std::unique_ptr<Run> run = start();
    if (run == nullptr) {
      return false;
    }
    const std::string id = run->info().attempt_id.str();
    acknowledged_.say("start " + run->run_id().str() + " " + id);
    const int step_count = 5 + static_cast<int>(below(40));
    for (int step = 1; step <= step_count; ++step) {
      work(*run, id, step);
      if (run->check_budget() == Directive::PAUSE || run->check_budget() == Directive::STOP) {
        end(*run, id, RunStatus::PAUSED);
        return true;
      }
    }
    end(*run, id, RunStatus::FINISHED);
    return true;
  }

  // Begins, reports once and then says nothing more: the guard has to end this process.
  [[noreturn]] void fall_silent() {
    RunOptions plain = options();
    plain.experiment = "free";
    const std::unique_ptr<Run> run = Run::start(plain);
    run->progress(1);
    acknowledged_.say("silent " + run->run_id().str() + " " + run->info().attempt_id.str());
    for (;;) {
      std::this_thread::sleep_for(milliseconds{100});
    }
  }

 private:
  unsigned below(unsigned end) {
    return std::uniform_int_distribution<unsigned>(0, end - 1)(random_);
  }

  // Null where the budget has no room for a start, or the ledger is busy.
  std::unique_ptr<Run> start() {
    RunOptions wanted = options();
    const unsigned kind = below(4);
    wanted.experiment = kind == 0 ? "free" : kind == 1 ? "scarce" : "roomy";
    if (kind > 0) {
      wanted.budget = Money::parse(kind == 1 ? kScarce : kRoomy);
    }
    for (;;) {
      try {
        return Run::start(wanted);
      } catch (const Error& error) {
        if (error.code() == ErrorCode::BudgetMismatch && wanted.budget.has_value()) {
          wanted.budget
              .reset();  // a request was approved meanwhile: the budget stands all the same
        } else if (error.code() == ErrorCode::BudgetExhausted ||
                   error.code() == ErrorCode::LedgerUnavailable) {
          return nullptr;
        } else {
          throw;
        }
      }
    }
  }

  [[nodiscard]] RunOptions options() const {
    RunOptions options;
    options.project = "kill";
    options.price = kPrice;
    options.home = home_;
    options.lease_terms = {.term = milliseconds{600},
                           .check_gap = milliseconds{100},
                           .stop_time = milliseconds{200},
                           .billing_quantum = milliseconds{50}};
    return options;
  }

  void end(Run& run, const std::string& id, RunStatus status) {
    run.finish(status, "");
    acknowledged_.say("finish " + id + " " + std::string(run_status_name(status)));
  }

  void work(Run& run, const std::string& id, int step) {
    std::this_thread::sleep_for(milliseconds{below(8)});
    // Read before the call: what the page holds afterwards is at least that.
    const auto reported = coarse_monotonic_now() - run.info().started_at.monotonic;
    run.progress(step);
    acknowledged_.say("progress " + id + " " + std::to_string(reported.count()));
    try {
      switch (below(12)) {
        case 0: commit(run, id); break;
        case 1: checkpoint(run, id, step); break;
        case 2: ask_and_rule(run); break;
        case 3: write_batch(); break;
        default: run.heartbeat();
      }
    } catch (const Error& error) {
      // Busy, or an honest no: nothing is acknowledged then.
      if (error.code() != ErrorCode::LedgerUnavailable) {
        throw;
      }
    }
  }

  void commit(Run& run, const std::string& id) {
    const auto before = SystemClock{}.now().boot - run.info().started_at.boot;
    run.commit();
    acknowledged_.say("commit " + id + " " + std::to_string(before.count()));
  }

  void checkpoint(Run& run, const std::string& id, int step) {
    run.checkpointed(step, "/checkpoints/" + id + "/" + std::to_string(step));
    acknowledged_.say("checkpoint " + run.run_id().str() + " " + std::to_string(step));
  }

  void ask_and_rule(Run& run) {
    if (run.info().budget_id.empty()) {
      return;
    }
    const RequestId id = run.request_budget(Money::parse(kMore), "more, with a seed");
    acknowledged_.say("request " + id.str());
    const bool is_approved = below(3) != 0;
    open_ledger(home_ + "/ledger.db", {})
        ->rule_request(id, is_approved, "the owner", "as asked", SystemClock{}.now().utc);
    acknowledged_.say("ruling " + id.str() + (is_approved ? " Approved" : " Denied"));
  }

  void write_batch() {
    const std::string name = "batch-" + random_id_text(8);
    const std::unique_ptr<Ledger> ledger = open_ledger(home_ + "/ledger.db", {});
    std::vector<RunRecord> records(kBatchSize);
    for (RunRecord& record : records) {
      record.run_id = new_run_id();
      record.project = "kill";
      record.experiment = "batches";
      record.name = name;
      record.tags = "{}";
      record.created_at = SystemClock{}.now().utc;
    }
    ledger->together([&] {
      for (const RunRecord& record : records) {
        ledger->add_run(record);
      }
    });
    acknowledged_.say("together " + name);
  }

  std::string home_;
  Acknowledged acknowledged_;
  std::mt19937 random_;
};

}  // namespace

int main(int count, char** arguments) {
  if (count < 4) {
    std::cerr << "usage: kill_writer HOME ACKNOWLEDGED SEED [silent]\n";
    return 2;
  }
  try {
    Writer writer(arguments[1], arguments[2], static_cast<unsigned>(std::stoul(arguments[3])));
    if (count > 4) {
      writer.fall_silent();
    }
    for (;;) {
      if (!writer.live_once()) {
        std::this_thread::sleep_for(milliseconds{50});
      }
    }
  } catch (const std::exception& error) {
    std::cerr << "kill_writer: " << error.what() << "\n";
    return 1;
  }
}
