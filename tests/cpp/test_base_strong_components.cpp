// test_base_strong_components.cpp - nodes on a cycle together, against reachability itself.
#include <gtest/gtest.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "finops/base/strong_components.hpp"
#include "support.hpp"

namespace finops {
namespace {

using Edges = std::vector<std::pair<std::uint32_t, std::uint32_t>>;

std::vector<std::uint32_t> components(std::uint32_t node_count, const Edges& edges) {
  std::vector<std::uint32_t> begins(node_count + 1, 0);
  std::vector<std::uint32_t> targets;
  for (std::uint32_t node = 0; node < node_count; ++node) {
    for (const auto& [from, to] : edges) {
      if (from == node) {
        targets.push_back(to);
      }
    }
    begins[node + 1] = static_cast<std::uint32_t>(targets.size());
  }
  return strong_components(begins, targets);
}

// Goal: two nodes have one number exactly if each reaches the other. Method: the closure of a
// reachability matrix, on 3,000 random graphs from edgeless to dense.
TEST(StrongComponents, AreWhatReachesEachOther) {
  testing::Random random(testing::test_seed());
  for (int round = 0; round < 3'000; ++round) {
    const auto count = static_cast<std::uint32_t>(random.between(1, 12));
    Edges edges;
    std::vector<std::vector<bool>> reaches(count, std::vector<bool>(count, false));
    for (std::int64_t left = random.between(0, 2 * std::int64_t{count}); left > 0; --left) {
      const auto from = static_cast<std::uint32_t>(random.between(0, count - 1));
      const auto to = static_cast<std::uint32_t>(random.between(0, count - 1));
      edges.emplace_back(from, to);
      reaches[from][to] = true;
    }
    for (std::uint32_t middle = 0; middle < count; ++middle) {
      for (std::uint32_t from = 0; from < count; ++from) {
        for (std::uint32_t to = 0; to < count; ++to) {
          reaches[from][to] = reaches[from][to] || (reaches[from][middle] && reaches[middle][to]);
        }
      }
    }
    const std::vector<std::uint32_t> found = components(count, edges);
    for (std::uint32_t from = 0; from < count; ++from) {
      for (std::uint32_t to = 0; to < count; ++to) {
        EXPECT_EQ(found[from] == found[to], from == to || (reaches[from][to] && reaches[to][from]))
            << from << " and " << to << " in round " << round << " of seed "
            << testing::test_seed();
      }
    }
  }
}

// Goal: no recursion, however long the way. Method: a ring and a path of a million nodes.
TEST(StrongComponents, LongWays) {
  constexpr std::uint32_t kCount = 1'000'000;
  std::vector<std::uint32_t> begins(kCount + 1);
  std::vector<std::uint32_t> targets(kCount);
  for (std::uint32_t node = 0; node < kCount; ++node) {
    begins[node + 1] = node + 1;
    targets[node] = (node + 1) % kCount;
  }
  const std::vector<std::uint32_t> ring = strong_components(begins, targets);
  EXPECT_EQ(ring.front(), ring.back());
  targets.pop_back();
  begins.back() = kCount - 1;
  const std::vector<std::uint32_t> path = strong_components(begins, targets);
  EXPECT_NE(path.front(), path.back());
}

TEST(StrongComponents, OfNothing) { EXPECT_TRUE(components(0, {}).empty()); }

}  // namespace
}  // namespace finops
