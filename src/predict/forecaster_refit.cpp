// forecaster_refit.cpp - replays the log, weighs its rows, and trains one forest a quantile.
#include "predict/forecaster_refit.hpp"

#include <algorithm>
#include <cmath>
#include <string>

#include "finops/predict/feature_stream.hpp"
#include "finops/predict/history.hpp"
#include "finops/predict/train_forest.hpp"
#include "predict/forecaster_bursts.hpp"
#include "predict/forecaster_calibration.hpp"
#include "predict/forecaster_log.hpp"

namespace finops::predict {
namespace {

// Compared on public traces; the same for all of them (docs/accuracy.md, also for what they
// flatter).
constexpr double kHalfLifeDays = 30;
constexpr std::size_t kBorderCount = 63;
constexpr double kLeafShrinkage = 100;
constexpr double kFeatureSampleRatio = 0.5;

struct TrainingRows {
  std::vector<float> features;
  std::vector<float> targets;
  std::vector<float> weights;
};

TrainingRows training_rows(std::span<const JobRecord> records, UtcTime now) {
  const std::size_t column_count = feature_names().size();
  const FeatureTable table = build_features(records);
  const std::vector<float> by_burst = burst_weights(records);
  TrainingRows rows;
  for (std::size_t index = 0; index < records.size(); ++index) {
    const JobRecord& record = records[index];
    if (!record.end) {
      continue;
    }
    const auto first = table.features.begin() + static_cast<std::ptrdiff_t>(index * column_count);
    rows.features.insert(rows.features.end(), first,
                         first + static_cast<std::ptrdiff_t>(column_count));
    const double log_used = std::log1p(used_gpu_seconds(record.job, *record.end));
    rows.targets.push_back(static_cast<float>(log_used - table.anchors[index].log_gpu_seconds));
    const double age_days =
        std::chrono::duration<double, std::ratio<86'400>>(now - record.end->end_time).count();
    rows.weights.push_back(by_burst[index] *
                           static_cast<float>(std::exp2(-age_days / kHalfLifeDays)));
  }
  double sum = 0;
  for (const float weight : rows.weights) {
    sum += static_cast<double>(weight);
  }
  // Mean 1: leaf shrinkage counts in rows.
  for (float& weight : rows.weights) {
    weight = static_cast<float>(static_cast<double>(weight) *
                                static_cast<double>(rows.weights.size()) / sum);
  }
  return rows;
}

}  // namespace

ForestModel refit(std::vector<JobRecord> records, UtcTime now, const ForecasterOptions& options) {
  std::sort(records.begin(), records.end(), [](const JobRecord& left, const JobRecord& right) {
    return is_earlier(left.job, right.job);
  });
  const TrainingRows rows = training_rows(records, now);
  const std::size_t column_count = feature_names().size();
  const BinnedFeatures binned = bin_features(rows.features, column_count, kBorderCount);
  ForestModel model;
  model.feature_names.assign(feature_names().begin(), feature_names().end());
  model.borders = binned.borders;
  constexpr std::array<const char*, kModelOutputCount> kNames{"p10", "p50", "p90"};
  for (std::size_t output = 0; output < kModelOutputCount; ++output) {
    TrainOptions train;
    train.loss = Loss::Quantile;
    train.quantile = kQuantiles[output];
    train.tree_count = options.tree_count;
    train.learning_rate = options.learning_rate;
    train.leaf_shrinkage = kLeafShrinkage;
    train.feature_sample_ratio = kFeatureSampleRatio;
    train.monotone.assign(feature_monotone().begin(), feature_monotone().end());
    train.seed = options.seed;
    model.outputs.push_back(train_forest(binned, rows.targets, rows.weights, train));
    model.outputs.back().name = kNames[output];
  }
  return model;
}

}  // namespace finops::predict
