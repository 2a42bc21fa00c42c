// bench_genealogy.cpp - closures, builds and cost updates of a CostGraph of ten million nodes.
//
// Shapes: `chains` (each node needs one of the 2,000 before it, a tenth of them two: closures of a
// seventh of the graph), `uniform` (1.5 needs each, anywhere before it), `window` (one need among
// the 100,000 before it; 2 % have two, 2 % none). `late` is `chains` in which a tenth of the nodes
// come up to a million places after those that need them. Nodes are asked for at random; the time
// of a closure is the median over those asked for (p50), of the processor; p99 stands beside it.
#include <benchmark/benchmark.h>
#include <time.h>

#include <algorithm>
#include <cstdint>
#include <random>
#include <vector>

#include "bench_support.hpp"
#include "finops/genealogy/cost_graph.hpp"

namespace finops::genealogy {
namespace {

// The goals are for ten million nodes; the short mode has a hundredth and judges nothing.
const NodeIndex kNodeCount = bench::is_short() ? 100'000 : 10'000'000;
constexpr double kBuildGoalMs = 2'000;

using Random = std::mt19937_64;

/// The same numbers in each run.
Random random_of(std::uint64_t seed) { return Random(seed); }
NodeIndex below(Random& random, NodeIndex limit) {
  return static_cast<NodeIndex>(random() % limit);
}
bool happens(Random& random, double ratio) {
  return std::uniform_real_distribution<double>(0, 1)(random) < ratio;
}

struct Shape {
  NodeIndex window = 0;  ///< how far back a need may lie; 0: anywhere
  double two_needs_ratio = 0;
  double no_need_ratio = 0;
};
constexpr Shape kChains{.window = 2'000, .two_needs_ratio = 0.1};
constexpr Shape kUniform{.two_needs_ratio = 0.5};
constexpr Shape kWindow{.window = 100'000, .two_needs_ratio = 0.02, .no_need_ratio = 0.02};

std::vector<Need> make_needs(const Shape& shape) {
  Random random = random_of(5);
  std::vector<Need> needs;
  for (NodeIndex node = 1; node < kNodeCount; ++node) {
    if (happens(random, shape.no_need_ratio)) {
      continue;
    }
    const NodeIndex reach = shape.window == 0 ? node : std::min(node, shape.window);
    for (int left = happens(random, shape.two_needs_ratio) ? 2 : 1; left > 0; --left) {
      needs.push_back({node, node - 1 - below(random, reach)});
    }
  }
  return needs;
}

/// Gives a tenth of the nodes an id up to a million (a tenth of all) later than their place.
std::vector<Need> make_late(std::vector<Need> needs) {
  Random random = random_of(6);
  std::vector<std::pair<NodeIndex, NodeIndex>> arrivals;
  for (NodeIndex node = 0; node < kNodeCount; ++node) {
    const bool is_late = happens(random, 0.1);
    arrivals.emplace_back(node + (is_late ? below(random, kNodeCount / 10) : 0), node);
  }
  std::sort(arrivals.begin(), arrivals.end());
  std::vector<NodeIndex> id_of(kNodeCount);
  for (NodeIndex id = 0; id < kNodeCount; ++id) {
    id_of[arrivals[id].second] = id;
  }
  for (Need& need : needs) {
    need = {id_of[need.needer], id_of[need.needed]};
  }
  return needs;
}

CostGraph make_graph(const std::vector<Need>& needs) {
  CostGraph graph;
  graph.add_nodes(kNodeCount);
  for (NodeIndex node = 0; node < kNodeCount; ++node) {
    graph.add_cost(node, 1 + node % 1'000);
  }
  if (!graph.add_needs(needs).empty()) {
    throw std::logic_error("the benchmark's graph has a cycle");
  }
  return graph;
}

const CostGraph& chains() {
  static const CostGraph kGraph = make_graph(make_needs(kChains));
  return kGraph;
}
const CostGraph& late() {
  static const CostGraph kGraph = make_graph(make_late(make_needs(kChains)));
  return kGraph;
}
const CostGraph& uniform() {
  static const CostGraph kGraph = make_graph(make_needs(kUniform));
  return kGraph;
}
const CostGraph& window() {
  static const CostGraph kGraph = make_graph(make_needs(kWindow));
  return kGraph;
}

/// Which closures are measured, and by what they are judged.
struct Asked {
  NodeIndex first = 0;
  NodeIndex end = kNodeCount;
  int count = 0;
  double goal = 0;
  double units_per_second = 0;
};
const Asked kSmall{.count = bench::is_short() ? 200 : 2'000, .goal = 50, .units_per_second = 1e6};
// At three quarters of `chains` a closure has 1.3 million nodes.
const Asked kLarge{.first = kNodeCount / 100 * 74,
                   .end = kNodeCount / 100 * 76,
                   .count = bench::is_short() ? 20 : 200,
                   .goal = 15,
                   .units_per_second = 1e3};

/// Of this thread: a closure never waits, and others on the machine shall not count.
double processor_seconds() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

/// Closures of nodes at random. The iteration's time is their median.
void measure_closures(benchmark::State& state, const CostGraph& graph, const Asked& asked) {
  CostGraph::Workspace workspace;
  std::vector<double> seconds;
  std::vector<double> node_counts;
  for (auto _ : state) {
    Random random = random_of(7);
    for (int i = 0; i < asked.count; ++i) {
      const NodeIndex node = asked.first + below(random, asked.end - asked.first);
      const double start = processor_seconds();
      const ClosureSum sum = graph.closure_sum(node, Direction::Upstream, workspace);
      seconds.push_back(processor_seconds() - start);
      node_counts.push_back(static_cast<double>(sum.node_count()));
    }
    state.SetIterationTime(bench::quantile(seconds, 0.5));
  }
  state.counters["p99"] = bench::quantile(seconds, 0.99) * asked.units_per_second;
  state.counters["nodes_p50"] = bench::quantile(node_counts, 0.5);
  if (!bench::is_short()) {
    state.counters["goal"] = asked.goal;
  }
}

void closure_chains(benchmark::State& state) { measure_closures(state, chains(), kLarge); }
BENCHMARK(closure_chains)->Unit(benchmark::kMillisecond)->UseManualTime()->Iterations(1);

void closure_late(benchmark::State& state) { measure_closures(state, late(), kLarge); }
BENCHMARK(closure_late)->Unit(benchmark::kMillisecond)->UseManualTime()->Iterations(1);

void closure_uniform(benchmark::State& state) { measure_closures(state, uniform(), kSmall); }
BENCHMARK(closure_uniform)->Unit(benchmark::kMicrosecond)->UseManualTime()->Iterations(1);

void closure_window(benchmark::State& state) { measure_closures(state, window(), kSmall); }
BENCHMARK(closure_window)->Unit(benchmark::kMicrosecond)->UseManualTime()->Iterations(1);

void measure_build(benchmark::State& state, const std::vector<Need>& needs) {
  CostGraph::Memory memory;
  std::size_t edge_count = 0;
  for (auto _ : state) {
    CostGraph graph;
    graph.add_nodes(kNodeCount);
    graph.add_needs(needs);
    memory = graph.memory();
    edge_count = graph.edge_count();
  }
  const auto per = [](std::size_t bytes, std::size_t count) {
    return static_cast<double>(bytes) / static_cast<double>(count);
  };
  state.counters["node_bytes"] = per(memory.node_bytes, kNodeCount);
  state.counters["edge_bytes"] = per(memory.edge_bytes, edge_count);
  state.counters["edges"] = static_cast<double>(edge_count);
  if (!bench::is_short()) {
    state.counters["goal"] = kBuildGoalMs;
  }
}

void build_uniform(benchmark::State& state) {
  static const std::vector<Need> kNeeds = make_needs(kUniform);
  measure_build(state, kNeeds);
}
BENCHMARK(build_uniform)->Unit(benchmark::kMillisecond);

void build_late(benchmark::State& state) {
  static const std::vector<Need> kNeeds = make_late(make_needs(kChains));
  measure_build(state, kNeeds);
}
BENCHMARK(build_late)->Unit(benchmark::kMillisecond);

// The same updates on few nodes, which lie in the processor's cache, and on all: what differs is
// the wait for memory, not the work.
void measure_updates(benchmark::State& state, NodeIndex node_count) {
  static CostGraph graph = make_graph(make_needs(kUniform));
  Random random = random_of(8);
  std::vector<NodeIndex> nodes(4'096);
  std::generate(nodes.begin(), nodes.end(), [&] { return below(random, node_count); });
  std::size_t next = 0;
  for (auto _ : state) {
    graph.add_cost(nodes[next], 1);
    next = (next + 1) % nodes.size();
  }
}
void cost_update_of_1000(benchmark::State& state) { measure_updates(state, 1'000); }
BENCHMARK(cost_update_of_1000);
void cost_update_of_all(benchmark::State& state) { measure_updates(state, kNodeCount); }
BENCHMARK(cost_update_of_all);

}  // namespace
}  // namespace finops::genealogy
