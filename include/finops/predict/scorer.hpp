// scorer.hpp - scores rows and grids of jobs and placements as fast as the processor can.
//
// Owns: Scorer, InstructionSet. Does not own: what a model is (forest.hpp).
// Invariant: every instruction set gives the bits of score_row.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "finops/predict/forest.hpp"

namespace finops::predict {

/// In growing order; a processor that has one has those before it.
enum class InstructionSet : std::uint8_t { Scalar, Avx2, Avx512, Avx512Vbmi };
[[nodiscard]] std::string_view instruction_set_name(InstructionSet instruction_set) noexcept;
/// What this processor and build have; FINOPS_INSTRUCTION_SET (scalar, avx2, avx512, avx512vbmi)
/// in the environment lowers it.
[[nodiscard]] InstructionSet best_instruction_set() noexcept;

/// A model laid out for speed. Immutable: threads may share it. Copies nothing per call.
class Scorer {
 public:
  /// Checks the model as check_model does. An instruction set that the processor lacks is an
  /// Error(InvalidArgument).
  explicit Scorer(const ForestModel& model,
                  std::optional<InstructionSet> instruction_set = std::nullopt);
  ~Scorer();
  Scorer(const Scorer&) = delete;
  Scorer& operator=(const Scorer&) = delete;
  Scorer(Scorer&&) noexcept;
  Scorer& operator=(Scorer&&) noexcept;

  [[nodiscard]] std::size_t feature_count() const noexcept;
  [[nodiscard]] std::size_t output_count() const noexcept;
  [[nodiscard]] InstructionSet instruction_set() const noexcept;

  /// `rows`: [row_count x feature_count], row-major, NaN is missing.
  /// `outputs`: [row_count x output_count], row-major. `thread_count` 0: as many as there are
  /// cores; 1 (and any batch too small to gain by it) starts no thread.
  /// Throws Error(InvalidArgument) if a size is no multiple of a row's, or the sizes differ.
  void score_batch(std::span<const float> rows, std::span<float> outputs,
                   unsigned thread_count = 1) const;

  /// One row; starts no thread, allocates nothing.
  void score_one(std::span<const float> row, std::span<float> outputs) const;

  /// Every job with every placement. The model's last `placement_feature_count` features are the
  /// placement's, those before are the job's. `jobs`: [job_count x job features], `placements`:
  /// [placement_count x placement_feature_count], `outputs`: [job_count x placement_count x
  /// output_count], row-major: as score_batch of the joined rows.
  void score_grid(std::span<const float> jobs, std::span<const float> placements,
                  std::size_t placement_feature_count, std::span<float> outputs,
                  unsigned thread_count = 1) const;

 private:
  struct Layout;
  std::unique_ptr<const Layout> layout_;
};

}  // namespace finops::predict
