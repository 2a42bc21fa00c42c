// main.cpp - a C++ service that accounts for its work, asks whether it may go on, and reports what
// came of it and what that cost.
//
// Uses a ledger below the working folder unless FINOPS_HOME says otherwise.
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <iostream>
#include <memory>
#include <thread>

#include <finops/base/error.hpp>
#include <finops/genealogy/genealogy.hpp>
#include <finops/ledger/home.hpp>
#include <finops/ledger/ledger.hpp>
#include <finops/tracker/run.hpp>

namespace {

constexpr std::int64_t kStepCount = 50;

void work() { std::this_thread::sleep_for(std::chrono::milliseconds{10}); }

finops::RunOptions describe_run() {
  finops::RunOptions options;
  options.project = "search";
  options.experiment = "reindex";
  options.name = "nightly";
  options.budget = finops::Money::parse("5 USD");
  options.resources = "2xH100";  // priced by the installed price book
  if (std::getenv("FINOPS_HOME") == nullptr) {
    options.home = std::filesystem::absolute("finops-home").string();
  }
  return options;
}

// The index with all that it needed: this run, and those that made what it read.
void report_index(const finops::RunOptions& options) {
  const finops::Home home = finops::open_home(options.home);
  finops::genealogy::Genealogy graph(finops::Currency::usd());
  for (const auto& refusal :
       graph.add(finops::open_ledger(home.ledger_path(), {})->lineage(finops::UtcTime::max()))) {
    std::cerr << refusal.record << ": " << refusal.reason << "\n";
  }
  const finops::NodeId index{"dataset:search-index"};
  std::cout << index.str() << " cost " << graph.full_cost(index).total().str() << "\n";
}

int serve() {
  const finops::RunOptions options = describe_run();
  const std::unique_ptr<finops::Run> run = finops::Run::start(options);
  run->used("documents");
  for (std::int64_t step = 0; step < kStepCount; ++step) {
    work();
    run->progress(step);
    if (run->check_budget() >= finops::Directive::PAUSE) {
      run->finish(finops::RunStatus::PAUSED, run->reason());
      return finops::kExitPaused;
    }
  }
  run->produced("dataset:search-index");
  run->finish(finops::RunStatus::FINISHED, "");
  std::cout << "run " << run->run_id().str() << " cost " << run->cost().value().str() << " at "
            << run->price_per_hour().value().str() << "/h\n";
  report_index(options);
  return 0;
}

}  // namespace

int main() {
  try {
    return serve();
  } catch (const finops::Error& error) {
    std::cerr << finops::error_code_name(error.code()) << ": " << error.what() << "\n";
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
  }
  return 1;
}
