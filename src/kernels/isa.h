// The instruction set in use: the best this CPU has, or what FLASHLM_ISA=scalar|avx2|avx512 forces.
#pragma once

#include <string>

namespace flashlm::kernels {

enum class Isa { kScalar, kAvx2, kAvx512 };

// Decided once, at the first call. Throws UsageError if FLASHLM_ISA names an unknown or unavailable set.
Isa ActiveIsa();
const char* NameOf(Isa isa);

// True if the CPU multiplies bf16 itself (AVX-512 BF16 or AMX); whether it gains by it: kernels/gemm/precision.h.
bool HasNativeBf16();
// True if the CPU multiplies int8 vectors itself (AVX-512 VNNI).
bool HasVnni();
// The CPU's marketing name, and what of AVX2, AVX-512, BF16, VNNI, AMX it has.
std::string CpuName();
std::string CpuFeatures();

}  // namespace flashlm::kernels
