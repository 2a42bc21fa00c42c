// kernels_avx512.cpp - scoring with AVX-512 F, BW, DQ and VL.
//
// Owns: these Kernels. Does not own: their code (kernels_avx512_body.hpp).
// Invariant: nothing here runs before the processor was asked.
#include "predict/scorer_kernels.hpp"

#if defined(__AVX512BW__)
#include "predict/kernels_avx512_body.hpp"
#endif

namespace finops::predict {

#if defined(__AVX512BW__)
const Kernels* avx512_kernels() noexcept { return &kKernels; }
#else
const Kernels* avx512_kernels() noexcept { return nullptr; }
#endif

}  // namespace finops::predict
