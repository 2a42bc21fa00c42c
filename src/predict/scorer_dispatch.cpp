// scorer_dispatch.cpp - asks the processor, the build and the environment.
//
// Owns: best_instruction_set and the choice of kernels. Does not own: the kernels.
#include "predict/scorer_dispatch.hpp"

#include <array>
#include <cstdlib>
#include <string>
#include <string_view>

#include "finops/base/error.hpp"

// The highest set that this build uses, by its name; empty: the processor's (CMakeLists.txt).
#ifndef FINOPS_INSTRUCTION_SET
#define FINOPS_INSTRUCTION_SET ""
#endif

namespace finops::predict {
namespace {

constexpr std::string_view kHighestOfBuild = FINOPS_INSTRUCTION_SET;

constexpr std::array kAll{InstructionSet::Scalar, InstructionSet::Avx2, InstructionSet::Avx512,
                          InstructionSet::Avx512Vbmi};

const Kernels* built_kernels(InstructionSet instruction_set) noexcept {
  switch (instruction_set) {
    case InstructionSet::Avx2: return avx2_kernels();
    case InstructionSet::Avx512: return avx512_kernels();
    case InstructionSet::Avx512Vbmi: return avx512vbmi_kernels();
    case InstructionSet::Scalar: break;
  }
  return scalar_kernels();
}

// The builtin asks the operating system too (XGETBV): registers that it does not save are no use.
bool has_processor([[maybe_unused]] InstructionSet instruction_set) noexcept {
  if (instruction_set == InstructionSet::Scalar) {
    return true;
  }
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool has_avx2 = __builtin_cpu_supports("avx2") != 0;
  const bool has_avx512 = has_avx2 && __builtin_cpu_supports("avx512f") != 0 &&
                          __builtin_cpu_supports("avx512bw") != 0 &&
                          __builtin_cpu_supports("avx512dq") != 0 &&
                          __builtin_cpu_supports("avx512vl") != 0;
  const bool has_vbmi = has_avx512 && __builtin_cpu_supports("avx512vbmi") != 0;
  switch (instruction_set) {
    case InstructionSet::Avx2: return has_avx2;
    case InstructionSet::Avx512: return has_avx512;
    case InstructionSet::Avx512Vbmi: return has_vbmi;
    case InstructionSet::Scalar: break;
  }
#endif
  return false;
}

}  // namespace

std::string_view instruction_set_name(InstructionSet instruction_set) noexcept {
  constexpr std::array<std::string_view, kAll.size()> kNames{"scalar", "avx2", "avx512",
                                                             "avx512vbmi"};
  const auto index = static_cast<std::size_t>(instruction_set);
  return index < kNames.size() ? kNames[index] : "unknown";
}

InstructionSet processor_instruction_set() noexcept {
  InstructionSet best = InstructionSet::Scalar;
  for (const InstructionSet instruction_set : kAll) {
    if (built_kernels(instruction_set) != nullptr && has_processor(instruction_set)) {
      best = instruction_set;
    }
    if (instruction_set_name(instruction_set) == kHighestOfBuild) {
      break;
    }
  }
  return best;
}

InstructionSet best_instruction_set() noexcept {
  const InstructionSet best = processor_instruction_set();
  const char* wanted = std::getenv("FINOPS_INSTRUCTION_SET");
  if (wanted == nullptr) {
    return best;
  }
  for (const InstructionSet instruction_set : kAll) {
    if (instruction_set < best && instruction_set_name(instruction_set) == wanted) {
      return instruction_set;
    }
  }
  return best;  // a name that we do not know, or more than there is: what there is
}

const Kernels& kernels_of(InstructionSet instruction_set) {
  const InstructionSet best = processor_instruction_set();
  FINOPS_REQUIRE(instruction_set <= best, ErrorCode::InvalidArgument,
                 "instruction set " + std::string(instruction_set_name(instruction_set)) +
                     " is not there; this processor and build have up to " +
                     std::string(instruction_set_name(best)));
  return *built_kernels(instruction_set);
}

}  // namespace finops::predict
