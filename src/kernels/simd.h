// The settings under which every kernel includes Highway; a kernel file includes this before anything of Highway.
//
// Three targets are compiled: plain C++ (FLASHLM_ISA=scalar), AVX2 and AVX-512. The ones between would double build
// times for CPUs that are ten years old, the ones above (lower numbers; later Highways have more of them) have nothing
// that we use. A kernel file NAME.cc has this frame (see kernels/norm/norm.cc):
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

// SSE2 by its number: Debian 12's Highway does not have it.
#define HWY_DISABLED_TARGETS (HWY_SSE4 | HWY_SSSE3 | (HWY_SSSE3 << 2) | (HWY_AVX3 - 1))
#define HWY_COMPILE_ALL_ATTAINABLE
// Plain C++ is one lane with every compiler; Highway would emulate four with GCC from 12.3 on.
#define HWY_BROKEN_EMU128 1

#include "kernels/isa.h"

// The version of an exported function for the instruction set in use.
#define FLASHLM_DISPATCH(function) (::flashlm::kernels::ActiveIsa(), HWY_DYNAMIC_DISPATCH(function))
