// The instruction set in use: the best this CPU has, or what FLASHLM_ISA=scalar|avx2|avx2vnni|avx512 forces.
#pragma once

#include <string>

namespace flashlm::kernels {

enum class Isa { kScalar, kAvx2, kAvx512 };

// Decided once, at the first call. Throws UsageError if FLASHLM_ISA names an unknown or unavailable set.
Isa ActiveIsa();
const char* NameOf(Isa isa);

// True if the CPU multiplies bf16 itself (AVX-512 BF16 or AMX); whether it gains by it: kernels/gemm/precision.h.
bool HasNativeBf16();
// How the CPU multiplies vectors of int8 itself.
enum class Vnni {
  kNone,
  kAvx512,      // AVX-512 VNNI
  kAvx2,        // AVX-VNNI, in 256 bits: where there is no AVX-512
  kAvx2InEvex,  // FLASHLM_ISA=avx2vnni on a CPU with AVX-512 VNNI: the same loops with the instructions of that
};
// kNone with FLASHLM_ISA=avx2, which stands for CPUs that have no more.
Vnni ActiveVnni();
inline bool HasVnni() { return ActiveVnni() != Vnni::kNone; }
// Of its vectors; 0 without.
inline int VnniBits() { return !HasVnni() ? 0 : ActiveVnni() == Vnni::kAvx512 ? 512 : 256; }
// The CPU's marketing name, and what of AVX2, AVX-512, BF16, VNNI, AMX it has.
std::string CpuName();
std::string CpuFeatures();

}  // namespace flashlm::kernels
