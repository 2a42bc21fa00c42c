// bench_scan.cpp - one look of the agent at 10,000 live pages of other processes.
//
// A forked child makes the pages with OwnPage and ends; to the scanner they are pages of others.
// Every measured scan also reads the progress of every page, as the guard does.
// warm_scan: the pages are mapped already. cold_scan: a new scanner opens, maps and checks them
// all. cold_scan_uncached: the same after the kernel was told to forget the pages' data. Names and
// inodes stay in its caches (dropping those takes root and hurts all others on the machine); the
// counter `cached_pages` says how much of the data it kept all the same.
#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "bench_support.hpp"
#include "finops/base/ids.hpp"
#include "finops/pulse/own_page.hpp"
#include "finops/pulse/scanner.hpp"

namespace finops {
namespace {

// The goals are for 10,000 pages; the short mode has a tenth and judges nothing.
const int kPageCount = bench::is_short() ? 1'000 : 10'000;
constexpr double kWarmGoalMs = 20;
constexpr double kColdGoalMs = 500;

void make_pages(const std::string& live_path) {
  const ClockReading now = SystemClock{}.now();
  const ProcessIdentity process = current_process();
  for (int i = 0; i < kPageCount; ++i) {
    pulse::PageInfo info;
    info.run_id = new_run_id();
    info.attempt_id = new_attempt_id(info.run_id);
    info.project = "benchmark";
    info.experiment = "scan";
    info.name = "run " + std::to_string(i);
    info.user_name = "somebody";
    info.host = "localhost";
    info.resource = "8xH100";
    info.process = process;
    info.started_at = now;
    const auto page = pulse::OwnPage::create(live_path, info);  // its end leaves the file
    page->page().process.progress_count.store(1, std::memory_order_relaxed);
  }
}

/// The folder of pages, made once per process by a child.
class LiveFolder {
 public:
  LiveFolder() {
    const pid_t child = fork();
    if (child == 0) {
      int status = 0;
      try {
        make_pages(folder_.path());
      } catch (const std::exception& error) {
        std::fprintf(stderr, "cannot make the pages: %s\n", error.what());
        status = 1;
      }
      _exit(status);
    }
    int status = -1;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if (child < 0 || status != 0) {
      throw std::runtime_error("the child that makes the pages failed");
    }
  }

  [[nodiscard]] const std::string& path() const noexcept { return folder_.path(); }

  /// Writes all pages out and asks the kernel to forget them. Returns how many it kept.
  [[nodiscard]] int drop_cached_pages() const {
    int kept = 0;
    sync();
    for (const auto& entry : std::filesystem::directory_iterator(path())) {
      const int descriptor = open(entry.path().c_str(), O_RDONLY | O_CLOEXEC);
      posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED);
      void* memory = mmap(nullptr, pulse::kPageSize, PROT_READ, MAP_SHARED, descriptor, 0);
      unsigned char resident = 0;
      if (memory != MAP_FAILED && mincore(memory, pulse::kPageSize, &resident) == 0) {
        kept += resident & 1;
        munmap(memory, pulse::kPageSize);
      }
      close(descriptor);
    }
    return kept;
  }

 private:
  bench::TemporaryFolder folder_;
};

const LiveFolder& live_folder() {
  static LiveFolder folder;
  return folder;
}

/// Scans and reads every page's progress. Returns their sum, one a page.
std::uint64_t look(pulse::PageScanner& scanner) {
  scanner.scan();
  std::uint64_t sum = 0;
  for (pulse::ForeignPage* page : scanner.pages()) {
    sum += page->page().process.progress_count.load(std::memory_order_acquire);
  }
  return sum;
}

void check(benchmark::State& state, std::uint64_t sum) {
  if (sum != static_cast<std::uint64_t>(kPageCount)) {
    state.SkipWithError("a scan did not see all pages");
  }
}

void report(benchmark::State& state, double goal_ms) {
  if (!bench::is_short()) {
    state.counters["goal"] = goal_ms;
  }
  state.counters["pages"] = kPageCount;
}

void warm_scan(benchmark::State& state) {
  pulse::PageScanner scanner(live_folder().path());
  check(state, look(scanner));
  for (auto _ : state) {
    check(state, look(scanner));
  }
  report(state, kWarmGoalMs);
}
BENCHMARK(warm_scan)->Unit(benchmark::kMillisecond);

void scan_with_new_scanners(benchmark::State& state, bool drops_cache) {
  int kept = 0;
  for (auto _ : state) {
    if (drops_cache) {
      kept = live_folder().drop_cached_pages();
    }
    auto scanner = std::make_unique<pulse::PageScanner>(live_folder().path());
    const auto start = std::chrono::steady_clock::now();
    const std::uint64_t sum = look(*scanner);
    const auto span = std::chrono::steady_clock::now() - start;
    state.SetIterationTime(std::chrono::duration<double>(span).count());
    check(state, sum);
  }
  report(state, kColdGoalMs);
  if (drops_cache) {
    state.counters["cached_pages"] = kept;
  }
}

void cold_scan(benchmark::State& state) { scan_with_new_scanners(state, false); }
BENCHMARK(cold_scan)->Unit(benchmark::kMillisecond)->UseManualTime();

void cold_scan_uncached(benchmark::State& state) { scan_with_new_scanners(state, true); }
BENCHMARK(cold_scan_uncached)->Unit(benchmark::kMillisecond)->UseManualTime()->Iterations(1);

}  // namespace
}  // namespace finops
