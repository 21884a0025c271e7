#include "kernels/isa.h"

#include <cpuid.h>

#include <cstdlib>
#include <cstring>

#include "base/error.h"
#include "kernels/simd.h"
// Highway's headers follow its settings.
#include "hwy/highway.h"
#include "hwy/targets.h"

namespace flashlm::kernels {
namespace {

struct CpuidLeaf {
  unsigned int eax = 0, ebx = 0, ecx = 0, edx = 0;
};

CpuidLeaf Cpuid(unsigned int leaf, unsigned int subleaf = 0) {
  CpuidLeaf r;
  __get_cpuid_count(leaf, subleaf, &r.eax, &r.ebx, &r.ecx, &r.edx);
  return r;
}

struct Decision {
  Isa isa;
  Vnni vnni;
};

// Of a CPU whose best instruction set, which the system lets programs use, is `best`, and of which `isa` is used.
Vnni VnniOf(Isa best, Isa isa, bool forced) {
  const bool avx512_vnni = Cpuid(7, 0).ecx & (1u << 11), avx_vnni = Cpuid(7, 1).eax & (1u << 4);
  if (isa == Isa::kAvx512 && avx512_vnni) return Vnni::kAvx512;
  if (isa == Isa::kAvx2 && avx_vnni) return Vnni::kAvx2;
  if (isa == Isa::kAvx2 && best == Isa::kAvx512 && avx512_vnni && forced) return Vnni::kAvx2InEvex;
  return Vnni::kNone;
}

Decision Decide() {
  constexpr const char* kAvx2Vnni = "avx2vnni";
  const int64_t supported = hwy::SupportedTargets();
  const Isa best = (supported & HWY_AVX3) ? Isa::kAvx512 : (supported & HWY_AVX2) ? Isa::kAvx2 : Isa::kScalar;
  const char* forced = std::getenv("FLASHLM_ISA");
  Decision decision{best, VnniOf(best, best, false)};
  if (forced != nullptr && *forced != '\0') {
    bool known = false;
    for (Isa candidate : {Isa::kScalar, Isa::kAvx2, Isa::kAvx512}) {
      if (std::strcmp(forced, NameOf(candidate)) == 0) {
        decision = {candidate, candidate == Isa::kAvx512 ? VnniOf(best, candidate, true) : Vnni::kNone};
        known = true;
      }
    }
    if (std::strcmp(forced, kAvx2Vnni) == 0) {
      decision = {Isa::kAvx2, VnniOf(best, Isa::kAvx2, true)};
      known = true;
    }
    if (!known)
      throw UsageError(fmt::format("FLASHLM_ISA={}: unknown", forced), "use scalar, avx2, avx2vnni or avx512");
    if (decision.isa > best || (std::strcmp(forced, kAvx2Vnni) == 0 && decision.vnni == Vnni::kNone)) {
      throw UsageError(fmt::format("FLASHLM_ISA={}: this CPU does not have it", forced),
                       fmt::format("its best is {}", NameOf(best)));
    }
  }
  const int64_t wanted = decision.isa == Isa::kAvx512 ? HWY_AVX3 : decision.isa == Isa::kAvx2 ? HWY_AVX2 : 0;
  hwy::SetSupportedTargetsForTest(wanted | HWY_SCALAR);
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  return decision;
}

const Decision& Decided() {
  static const Decision decision = Decide();
  return decision;
}

}  // namespace

Isa ActiveIsa() { return Decided().isa; }
Vnni ActiveVnni() { return Decided().vnni; }

const char* NameOf(Isa isa) { return isa == Isa::kAvx512 ? "avx512" : isa == Isa::kAvx2 ? "avx2" : "scalar"; }

// Asked once: on a virtual machine the instruction leaves it, which takes longer than a product.
bool HasNativeBf16() {
  static const bool has = [] {
    const bool avx512_bf16 = Cpuid(7, 1).eax & (1u << 5);
    const bool amx_bf16 = Cpuid(7, 0).edx & (1u << 22);
    return ActiveIsa() == Isa::kAvx512 && (avx512_bf16 || amx_bf16);
  }();
  return has;
}

std::string CpuName() {
  char name[49] = {};
  for (unsigned int i = 0; i < 3; ++i) {
    const CpuidLeaf part = Cpuid(0x80000002u + i);
    std::memcpy(name + size_t{16} * i, &part, 16);
  }
  const std::string text(name);
  const size_t first = text.find_first_not_of(' ');
  return first == std::string::npos ? "unknown CPU" : text.substr(first, text.find_last_not_of(' ') - first + 1);
}

std::string CpuFeatures() {
  const CpuidLeaf seven = Cpuid(7, 0), seven_one = Cpuid(7, 1);
  std::string list;
  const auto add = [&](bool has, const char* name) {
    if (has) list += (list.empty() ? "" : " ") + std::string(name);
  };
  add(seven.ebx & (1u << 5), "avx2");
  add(seven.ebx & (1u << 16), "avx512f");
  add(seven_one.eax & (1u << 4), "avx_vnni");
  add(seven.ecx & (1u << 11), "avx512_vnni");
  add(seven_one.eax & (1u << 5), "avx512_bf16");
  add(seven.edx & (1u << 22), "amx_bf16");
  add(seven.edx & (1u << 25), "amx_int8");
  return list;
}

}  // namespace flashlm::kernels
