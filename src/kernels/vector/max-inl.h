// The largest of a row and where it stands. Included inside kernel files only.
#if defined(FLASHLM_KERNELS_VECTOR_MAX_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FLASHLM_KERNELS_VECTOR_MAX_INL_H_
#undef FLASHLM_KERNELS_VECTOR_MAX_INL_H_
#else
#define FLASHLM_KERNELS_VECTOR_MAX_INL_H_
#endif

#include <algorithm>

#include "kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace flashlm::kernels::HWY_NAMESPACE {

constexpr size_t kUnroll = 4;         // vectors in flight: hides the latency of sums, of maxima and of e^x
constexpr float kPadding = -1.0e38f;  // beyond the end of the row: never the maximum, and as a logit no probability

// Calls step(i, lane, v) with every vector of the row, lane < kUnroll an index for independent partial results. The
// rest of the row comes padded.
template <class Step>
HWY_INLINE void ForRow(const float* z, size_t cols, const Step& step) {
  const DF d;
  const size_t lanes = hn::Lanes(d);
  size_t i = 0;
  for (; i + kUnroll * lanes <= cols; i += kUnroll * lanes) {
#pragma GCC unroll 4
    for (size_t u = 0; u < kUnroll; ++u) step(i + u * lanes, u, hn::LoadU(d, z + i + u * lanes));
  }
  for (; i + lanes <= cols; i += lanes) step(i, 0, hn::LoadU(d, z + i));
  if (i == cols) return;
  HWY_ALIGN float rest[HWY_MAX_BYTES / 4];
  std::fill(rest, rest + lanes, kPadding);
  std::copy(z + i, z + cols, rest);
  step(i, 0, hn::Load(d, rest));
}

HWY_INLINE float MaxOf(const float* z, size_t cols) {
  const DF d;
  VF max[kUnroll];
  for (VF& m : max) m = hn::Set(d, kPadding);
  ForRow(z, cols, [&](size_t, size_t u, VF v) { max[u] = hn::Max(max[u], v); });
  return MaxLane(d, hn::Max(hn::Max(max[0], max[1]), hn::Max(max[2], max[3])));
}

// The first index with this value.
HWY_INLINE int64_t IndexOf(float value, const float* z, size_t cols) {
  const DF d;
  const VF wanted = hn::Set(d, value);
  size_t i = 0;
  for (; i + hn::Lanes(d) <= cols; i += hn::Lanes(d)) {
    if (!hn::AllFalse(d, hn::Eq(hn::LoadU(d, z + i), wanted))) break;
  }
  while (i + 1 < cols && z[i] != value) ++i;
  return static_cast<int64_t>(i);
}

}  // namespace flashlm::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
