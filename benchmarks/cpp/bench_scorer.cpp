// bench_scorer.cpp - scoring in C++, and how far it is from what its instructions would take.
//
// Trees of chance, depth 6, 32 features with 126 borders each, leaves that shrink as a trained
// forest's do. Each instruction set that the processor has: rows as they come, the trees' part
// alone on bins that lie in the cache, one row, and a grid of jobs and placements.
#include <benchmark/benchmark.h>
#include <time.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "bench_support.hpp"
#include "finops/predict/scorer.hpp"
#include "predict/scorer_batch.hpp"
#include "predict/scorer_dispatch.hpp"
#include "predict/scorer_layout.hpp"
#include "predict/splitmix.hpp"

namespace finops::predict {
namespace {

constexpr std::size_t kFeatures = 32;
constexpr std::size_t kPlacementFeatures = 10;
const std::size_t kRows = bench::is_short() ? 4'096 : 262'144;

// Vector instructions of the inner loop for 64 rows and one tree, counted in the source; loads that
// are operands and copies of registers, which the processor renames away, do not count.
// AVX-512, for four blocks: 6 x (1 broadcast + 4 compares + 4 masked adds), 2 loads of leaves,
// 4 x (1 shift + 2 lookups + 2 adds).
// AVX2, for two registers: 6 + 8 broadcasts, 2 x (6 compares, 4 ands, 3 ors, 8 shuffles, 6 blends,
// 2 unpacks, 2 adds).
constexpr double kAvx512Instructions = (6 * 9 + 2 + 4 * 5) / 4.0;
constexpr double kAvx2Instructions = 14 + 2 * 31;

float random_float(SplitMix64& random) {
  return static_cast<float>(random.next() >> 40U) / 8'388'608.0F - 1;
}

std::vector<float> random_floats(std::uint64_t seed, std::size_t count) {
  SplitMix64 random(seed);
  std::vector<float> numbers(count);
  std::generate(numbers.begin(), numbers.end(), [&] { return random_float(random); });
  return numbers;
}

ForestModel random_model(std::size_t tree_count) {
  ForestModel model;
  for (std::size_t feature = 0; feature < kFeatures; ++feature) {
    model.feature_names.push_back(std::to_string(feature));
    model.borders.push_back(random_floats(feature, kMaxBorderCount));
    std::sort(model.borders.back().begin(), model.borders.back().end());
    const auto same = std::unique(model.borders.back().begin(), model.borders.back().end());
    model.borders.back().erase(same, model.borders.back().end());
  }
  SplitMix64 random(99);
  Forest forest{"p50", 0, 1e-4, {}};
  double limit = 32'767;
  for (std::size_t index = 0; index < tree_count; ++index, limit = std::max(1'000.0, limit * .97)) {
    ObliviousTree tree;
    for (std::size_t level = 0; level < kMaxDepth; ++level) {
      const std::uint64_t feature = random.below(kFeatures);
      const std::uint64_t border = random.below(model.borders[feature].size());
      tree.splits.push_back({static_cast<std::uint8_t>(feature), static_cast<std::uint8_t>(border),
                             false});
    }
    for (std::size_t leaf = 0; leaf < std::size_t{1} << kMaxDepth; ++leaf) {
      tree.leaves.push_back(static_cast<std::int16_t>(double{random_float(random)} * limit));
    }
    forest.trees.push_back(tree);
  }
  model.outputs.push_back(forest);
  return model;
}

double cpu_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

// Processor cycles of a nanosecond, now: a chain of multiplications of three cycles each, which is
// what they take on every x86-64 processor with AVX2.
double cycles_per_ns() {
  constexpr int kCount = 2'000'000;
  const double begin = cpu_seconds();
  std::uint64_t product = 3;
  for (int i = 0; i < kCount; ++i) {
    product *= product;
    benchmark::DoNotOptimize(product);
  }
  return 3.0 * kCount / ((cpu_seconds() - begin) * 1e9);
}

void set_rate(benchmark::State& state, const char* name, double count) {
  state.counters[name] = benchmark::Counter(count, benchmark::Counter::kIsIterationInvariantRate);
}

void score_rows(benchmark::State& state, InstructionSet instruction_set, std::size_t tree_count) {
  const Scorer scorer(random_model(tree_count), instruction_set);
  const std::vector<float> rows = random_floats(1, kRows * kFeatures);
  std::vector<float> outputs(kRows);
  for (auto _ : state) {
    scorer.score_batch(rows, outputs);
    benchmark::DoNotOptimize(outputs.data());
  }
  set_rate(state, "rows_a_second", static_cast<double>(kRows));
}

void sum_trees(benchmark::State& state, InstructionSet instruction_set, std::size_t tree_count) {
  const ForestModel model = random_model(tree_count);
  const PackedModelOwner owner(model);
  const Kernels& kernels = kernels_of(instruction_set);
  const auto bins = std::make_unique<ChunkBins>();
  const std::vector<float> rows = random_floats(1, kChunkRows * kFeatures);
  bins->fill(kernels, owner.packed(), rows.data(), kChunkRows);
  AlignedArray<std::int32_t> sums(kChunkRows);
  double seconds = 0;
  double cycles = 0;
  for (auto _ : state) {
    const double begin = cpu_seconds();
    for (int i = 0; i < 100; ++i) {
      kernels.sum_leaves(owner.packed().outputs[0], bins->planes, 4, sums.data());
      benchmark::DoNotOptimize(sums.data());
    }
    const double taken = cpu_seconds() - begin;
    state.PauseTiming();
    seconds += taken;
    cycles += taken * 1e9 * cycles_per_ns();
    state.ResumeTiming();
  }
  const double block_trees =
      static_cast<double>(state.iterations()) * 100 * 4 * static_cast<double>(tree_count);
  const double instructions =
      instruction_set >= InstructionSet::Avx512 ? kAvx512Instructions : kAvx2Instructions;
  state.counters["ns_a_block_and_tree"] = seconds * 1e9 / block_trees;
  state.counters["cycles"] = cycles / block_trees;
  state.counters["vector_instructions"] = instructions;
  state.counters["instructions_a_cycle"] = instructions * block_trees / cycles;
  state.counters["groups"] = static_cast<double>(owner.packed().outputs[0].group_count);
}

void score_single(benchmark::State& state, InstructionSet instruction_set, std::size_t tree_count) {
  const Scorer scorer(random_model(tree_count), instruction_set);
  const std::vector<float> rows = random_floats(1, 1'024 * kFeatures);
  std::size_t row = 0;
  float output = 0;
  for (auto _ : state) {
    scorer.score_one(std::span(rows).subspan(row * kFeatures, kFeatures), {&output, 1});
    benchmark::DoNotOptimize(output);
    row = (row + 1) % 1'024;
  }
}

void score_grid(benchmark::State& state, InstructionSet instruction_set, std::size_t tree_count) {
  const std::size_t side = bench::is_short() ? 64 : 512;
  const Scorer scorer(random_model(tree_count), instruction_set);
  const std::vector<float> jobs = random_floats(1, side * (kFeatures - kPlacementFeatures));
  const std::vector<float> placements = random_floats(2, side * kPlacementFeatures);
  std::vector<float> outputs(side * side);
  for (auto _ : state) {
    scorer.score_grid(jobs, placements, kPlacementFeatures, outputs);
    benchmark::DoNotOptimize(outputs.data());
  }
  set_rate(state, "pairs_a_second", static_cast<double>(side * side));
}

const bool kAreRegistered = [] {
  const int best = static_cast<int>(processor_instruction_set());
  for (int i = static_cast<int>(InstructionSet::Avx2); i <= best; ++i) {
    const auto instruction_set = static_cast<InstructionSet>(i);
    for (const std::size_t tree_count : {304UL, 1'000UL}) {
      const auto add = [&](const char* what, auto function, benchmark::TimeUnit unit) {
        const std::string name = std::string(what) + "_" + std::to_string(tree_count) + "_" +
                                 std::string(instruction_set_name(instruction_set));
        benchmark::RegisterBenchmark(name.c_str(), function, instruction_set, tree_count)
            ->Unit(unit);
      };
      add("score_rows", score_rows, benchmark::kMillisecond);
      add("sum_trees", sum_trees, benchmark::kMillisecond);
      add("score_one", score_single, benchmark::kMicrosecond);
      add("score_grid", score_grid, benchmark::kMillisecond);
    }
  }
  return true;
}();

}  // namespace
}  // namespace finops::predict
