// scorer_grid.cpp - tiles of jobs and placements: indexes once for each, then lookups for pairs.
//
// Owns: score_pairs. Does not own: which trees look at what (scorer_grid_plan).
#include "predict/scorer_grid.hpp"

#include <algorithm>
#include <cstring>
#include <vector>

#include "predict/scorer_batch.hpp"
#include "predict/scorer_grid_plan.hpp"

namespace finops::predict {
namespace {

// Parting the trees takes about as long as scoring so many rows.
constexpr std::size_t kFewPairs = 1'024;
constexpr std::size_t kFewPlacements = 16;
constexpr std::size_t kJoinedRows = 4 * kChunkRows;
constexpr std::size_t kMaxFeatures = 64;

// Rows of the whole model with one side's features and zeros for the other's.
struct SideRows {
  float rows[kChunkRows * kMaxFeatures];

  void fill(const PackedModel& model, const float* source, std::size_t row_count,
            std::size_t first_feature, std::size_t feature_count) {
    std::fill_n(rows, row_count * model.feature_count, 0.0F);
    for (std::size_t row = 0; row < row_count; ++row) {
      std::memcpy(rows + row * model.feature_count + first_feature, source + row * feature_count,
                  feature_count * sizeof(float));
    }
  }
};

// What a worker knows of the tile that it is at, for each output. Memory is had before any thread
// starts: a thread must not throw.
struct TileOfOutput {
  explicit TileOfOutput(std::size_t tree_count)
      : job_starts(tree_count * kGridJobs),
        leaf_indexes(tree_count * kChunkRows),
        job_sums(kChunkRows),
        placement_sums(kChunkRows) {}
  AlignedArray<std::uint8_t> job_starts;
  AlignedArray<std::uint8_t> leaf_indexes;
  AlignedArray<std::int32_t> job_sums;
  AlignedArray<std::int32_t> placement_sums;
};

struct Worker {
  explicit Worker(const std::vector<GridForest>& forests) {
    for (const GridForest& forest : forests) {
      tiles.emplace_back(forest.pair_trees.tree_count);
    }
  }
  std::vector<TileOfOutput> tiles;
  std::unique_ptr<SideRows> side = std::make_unique<SideRows>();
  std::unique_ptr<ChunkBins> bins = std::make_unique<ChunkBins>();
};

class Grid {
 public:
  Grid(const Kernels& kernels, const PackedModel& model, const GridRequest& request,
       unsigned worker_count)
      : kernels_(kernels), model_(model), request_(request) {
    const PlaneSides sides(model, request.job_feature_count);
    for (std::size_t output = 0; output < model.output_count; ++output) {
      forests_.emplace_back(model.outputs[output], sides);
    }
    for (unsigned i = 0; i < worker_count; ++i) {
      workers_.emplace_back(forests_);
    }
  }

  // Tiles in the order that keeps a worker at the same placements.
  [[nodiscard]] std::size_t tile_count() const noexcept {
    return job_tile_count() * ((request_.placement_count + kChunkRows - 1) / kChunkRows);
  }

  void score_tiles(std::size_t worker_index, std::size_t begin, std::size_t end) {
    Worker& worker = workers_[worker_index];
    std::size_t last_placement = request_.placement_count;
    for (std::size_t tile = begin; tile < end; ++tile) {
      const std::size_t placement = tile / job_tile_count() * kChunkRows;
      const std::size_t job = tile % job_tile_count() * kGridJobs;
      if (placement != last_placement) {
        look_at_placements(worker, placement);
        last_placement = placement;
      }
      look_at_jobs(worker, job);
      for (std::size_t output = 0; output < model_.output_count; ++output) {
        score_tile(worker, output, job, placement);
      }
    }
  }

 private:
  [[nodiscard]] std::size_t job_tile_count() const noexcept {
    return (request_.job_count + kGridJobs - 1) / kGridJobs;
  }
  [[nodiscard]] std::size_t placements_from(std::size_t placement) const noexcept {
    return std::min(kChunkRows, request_.placement_count - placement);
  }
  [[nodiscard]] std::size_t jobs_from(std::size_t job) const noexcept {
    return std::min(kGridJobs, request_.job_count - job);
  }

  void look_at_placements(Worker& worker, std::size_t placement) const {
    const std::size_t count = placements_from(placement);
    const std::size_t feature_count = model_.feature_count - request_.job_feature_count;
    worker.side->fill(model_, request_.placements + placement * feature_count, count,
                      request_.job_feature_count, feature_count);
    const std::size_t block_count = worker.bins->fill(kernels_, model_, worker.side->rows, count);
    for (std::size_t output = 0; output < model_.output_count; ++output) {
      TileOfOutput& tile = worker.tiles[output];
      const TwoSidedTrees& trees = forests_[output].pair_trees;
      kernels_.sum_leaves(forests_[output].placement_trees.packed(), worker.bins->planes,
                          block_count, tile.placement_sums.data());
      for (std::size_t tree = 0; tree < trees.tree_count; ++tree) {
        kernels_.index_leaves(trees.placement.planes.data() + tree * kLevelStride,
                              trees.placement.thresholds.data() + tree * kLevelStride,
                              trees.placement.counts.data()[tree], 0, worker.bins->planes,
                              block_count, tile.leaf_indexes.data() + tree * kChunkRows);
      }
    }
  }

  void look_at_jobs(Worker& worker, std::size_t job) const {
    const std::size_t count = jobs_from(job);
    worker.side->fill(model_, request_.jobs + job * request_.job_feature_count, count, 0,
                      request_.job_feature_count);
    worker.bins->fill(kernels_, model_, worker.side->rows, count);
    for (std::size_t output = 0; output < model_.output_count; ++output) {
      TileOfOutput& tile = worker.tiles[output];
      const TwoSidedTrees& trees = forests_[output].pair_trees;
      kernels_.sum_leaves(forests_[output].job_trees.packed(), worker.bins->planes, 1,
                          tile.job_sums.data());
      for (std::size_t tree = 0; tree < trees.tree_count; ++tree) {
        kernels_.index_leaves(trees.job.planes.data() + tree * kLevelStride,
                              trees.job.thresholds.data() + tree * kLevelStride,
                              trees.job.counts.data()[tree], trees.placement.counts.data()[tree],
                              worker.bins->planes, 1, tile.job_starts.data() + tree * kGridJobs);
      }
    }
  }

  void score_tile(Worker& worker, std::size_t output, std::size_t first_job,
                  std::size_t placement) const {
    TileOfOutput& tile = worker.tiles[output];
    const TwoSidedTrees& trees = forests_[output].pair_trees;
    const std::size_t count = placements_from(placement);
    const std::size_t job_count = jobs_from(first_job);
    GridTile pairs;
    pairs.tree_count = trees.tree_count;
    pairs.leaves = trees.leaves.data();
    pairs.leaf_bytes = trees.leaf_bytes.data();
    pairs.group_ends = trees.groups.ends().data();
    pairs.group_count = trees.groups.ends().size();
    pairs.job_starts = tile.job_starts.data();
    pairs.leaf_indexes = tile.leaf_indexes.data();
    pairs.block_count = (count + kBlockRows - 1) / kBlockRows;
    alignas(64) std::int32_t sums[2 * kChunkRows];
    for (std::size_t job = 0; job < job_count; job += 2) {
      const std::size_t second = std::min(job + 1, job_count - 1);
      kernels_.sum_pairs(pairs, job, second, sums);
      for (std::size_t half = 0; half < std::min<std::size_t>(2, job_count - job); ++half) {
        std::int32_t* job_sums = sums + half * kChunkRows;
        add_one_sided(tile, job + half, count, job_sums);
        const std::size_t pair = (first_job + job + half) * request_.placement_count + placement;
        kernels_.finish(model_.outputs[output], job_sums, count,
                        request_.outputs + pair * model_.output_count + output,
                        model_.output_count);
      }
    }
  }

  // Sums wrap as in the kernels, hence unsigned.
  static void add_one_sided(const TileOfOutput& tile, std::size_t job, std::size_t count,
                            std::int32_t* sums) {
    const auto job_sum = static_cast<std::uint32_t>(tile.job_sums.data()[job]);
    for (std::size_t i = 0; i < count; ++i) {
      const auto placement_sum = static_cast<std::uint32_t>(tile.placement_sums.data()[i]);
      sums[i] =
          static_cast<std::int32_t>(static_cast<std::uint32_t>(sums[i]) + job_sum + placement_sum);
    }
  }

  const Kernels& kernels_;
  const PackedModel& model_;
  const GridRequest& request_;
  std::vector<GridForest> forests_;
  std::vector<Worker> workers_;
};

// A few pairs are cheaper as rows, and so are any with few placements: those fill no block.
// `rows` has room for kJoinedRows of the model's.
void score_joined(const Kernels& kernels, const PackedModel& model, const GridRequest& request,
                  std::size_t begin, std::size_t end, float* rows) {
  const std::size_t placement_feature_count = model.feature_count - request.job_feature_count;
  for (std::size_t pair = begin; pair < end; ++pair) {
    const std::size_t job = pair / request.placement_count;
    const std::size_t placement = pair % request.placement_count;
    float* row = rows + (pair - begin) * model.feature_count;
    std::memcpy(row, request.jobs + job * request.job_feature_count,
                request.job_feature_count * sizeof(float));
    std::memcpy(row + request.job_feature_count,
                request.placements + placement * placement_feature_count,
                placement_feature_count * sizeof(float));
  }
  score_rows(kernels, model, rows, end - begin, request.outputs + begin * model.output_count);
}

}  // namespace

void score_pairs(const Kernels& kernels, const PackedModel& model, const GridRequest& request,
                 unsigned thread_count) {
  const std::size_t pair_count = request.job_count * request.placement_count;
  if (pair_count < kFewPairs || request.placement_count < kFewPlacements) {
    std::vector<float> rows(thread_count * kJoinedRows * model.feature_count);
    share_work(pair_count, kJoinedRows, thread_count,
               [&](std::size_t worker, std::size_t begin, std::size_t end) {
                 score_joined(kernels, model, request, begin, end,
                              rows.data() + worker * kJoinedRows * model.feature_count);
               });
    return;
  }
  Grid grid(kernels, model, request, thread_count);
  const std::size_t tile_count = grid.tile_count();
  const std::size_t step = std::max<std::size_t>(1, tile_count / (std::size_t{thread_count} * 16));
  share_work(tile_count, step, thread_count,
             [&](std::size_t worker, std::size_t begin, std::size_t end) {
               grid.score_tiles(worker, begin, end);
             });
}

}  // namespace finops::predict
