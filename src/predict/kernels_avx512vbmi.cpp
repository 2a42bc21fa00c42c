// kernels_avx512vbmi.cpp - scoring with AVX-512, and its VBMI and VNNI.
//
// Owns: these Kernels. Does not own: their code (kernels_avx512_body.hpp).
// Invariant: nothing here runs before the processor was asked.
#include "predict/scorer_kernels.hpp"

#if defined(__AVX512VBMI__)
#include "predict/kernels_avx512_body.hpp"
#endif

namespace finops::predict {

#if defined(__AVX512VBMI__)
const Kernels* avx512vbmi_kernels() noexcept { return &kKernels; }
#else
const Kernels* avx512vbmi_kernels() noexcept { return nullptr; }
#endif

}  // namespace finops::predict
