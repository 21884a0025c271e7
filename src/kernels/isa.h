// The instruction set in use: the best this CPU has, or what FLASHLM_ISA=scalar|avx2|avx512 forces.
#pragma once

#include <string>

namespace flashlm::kernels {

enum class Isa { kScalar, kAvx2, kAvx512 };

// Decided once, at the first call. Throws UsageError if FLASHLM_ISA names an unknown or unavailable set.
Isa ActiveIsa();
const char* NameOf(Isa isa);

// True if matrix products in bf16 run on the CPU's own instructions (AVX-512 BF16 or AMX).
bool HasNativeBf16();
// True if the CPU multiplies int8 vectors itself (AVX-512 VNNI).
bool HasVnni();
// The CPU's marketing name, and what of AVX2, AVX-512, BF16, VNNI, AMX it has.
std::string CpuName();
std::string CpuFeatures();

}  // namespace flashlm::kernels
