// The settings under which every kernel includes Highway; a kernel file includes this before anything of Highway.
//
// Three targets are compiled: plain C++ (FLASHLM_ISA=scalar), AVX2 and AVX-512. The ones between would double build
// times for CPUs that are ten years old. A kernel file NAME.cc has this frame (see kernels/norm/norm.cc):
//
//   #include "kernels/simd.h"
//   #undef HWY_TARGET_INCLUDE
//   #define HWY_TARGET_INCLUDE "kernels/FAMILY/NAME.cc"
//   #include "hwy/foreach_target.h"   // compiles the rest of this file once per target
//   #include "kernels/simd-inl.h"
//   HWY_BEFORE_NAMESPACE();
//   namespace flashlm::kernels::HWY_NAMESPACE { ... }
//   HWY_AFTER_NAMESPACE();
//   #if HWY_ONCE
//   ... HWY_EXPORT(Function) and the public function, which calls FLASHLM_DISPATCH(Function)(...)
//   #endif
#pragma once

#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4 | HWY_AVX3_DL)
#define HWY_COMPILE_ALL_ATTAINABLE

#include "kernels/isa.h"

// The version of an exported function for the instruction set in use.
#define FLASHLM_DISPATCH(function) (::flashlm::kernels::ActiveIsa(), HWY_DYNAMIC_DISPATCH(function))
