// scorer_dispatch.hpp - which kernels this processor can run.
//
// Owns: the choice. Does not own: the kernels.
#pragma once

#include "finops/predict/scorer.hpp"
#include "predict/scorer_kernels.hpp"

namespace finops::predict {

/// What processor, operating system and build have together, whatever the environment says.
[[nodiscard]] InstructionSet processor_instruction_set() noexcept;
/// Throws Error(InvalidArgument) for one that this processor or build lacks.
[[nodiscard]] const Kernels& kernels_of(InstructionSet instruction_set);

}  // namespace finops::predict
