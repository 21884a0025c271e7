// Vector helpers that several kernels share, compiled once per target. Included inside kernel files only.
#if defined(FLASHLM_KERNELS_SIMD_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FLASHLM_KERNELS_SIMD_INL_H_
#undef FLASHLM_KERNELS_SIMD_INL_H_
#else
#define FLASHLM_KERNELS_SIMD_INL_H_
#endif

#include "base/dtype.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace flashlm::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using DF = hn::ScalableTag<float>;
using VF = hn::Vec<DF>;
using DI = hn::RebindToSigned<DF>;
using DU = hn::RebindToUnsigned<DF>;

// Loads consecutive elements as f32, stores f32 as the element type (bf16: round to nearest even; int8: integers that
// it holds).
HWY_INLINE VF LoadF32(DF d, const float* p) { return hn::LoadU(d, p); }
HWY_INLINE VF LoadF32(DF d, const BFloat16* p) {
  const hn::Rebind<uint16_t, DF> d16;
  const DU du;
  const auto half = hn::LoadU(d16, reinterpret_cast<const uint16_t*>(p));
  return hn::BitCast(d, hn::ShiftLeft<16>(hn::PromoteTo(du, half)));
}
HWY_INLINE VF LoadF32(DF d, const int8_t* p) {
  const hn::Rebind<int8_t, DF> d8;
  return hn::ConvertTo(d, hn::PromoteTo(DI(), hn::LoadU(d8, p)));
}
HWY_INLINE void StoreF32(VF v, DF d, float* p) { hn::StoreU(v, d, p); }
HWY_INLINE void StoreF32(VF v, DF /*d*/, BFloat16* p) {
  const hn::Rebind<uint16_t, DF> d16;
  const DU du;
  // NaN is not kept apart here: a NaN activation ends the step before it could be stored (train/step.cc).
  const auto bits = hn::BitCast(du, v);
  const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(du, 1));
  const auto rounded = hn::Add(bits, hn::Add(odd, hn::Set(du, 0x7fff)));
  hn::StoreU(hn::TruncateTo(d16, hn::ShiftRight<16>(rounded)), d16, reinterpret_cast<uint16_t*>(p));
}
HWY_INLINE void StoreF32(VF v, DF /*d*/, int8_t* p) {
  const hn::Rebind<int8_t, DF> d8;
  hn::StoreU(hn::DemoteTo(d8, hn::ConvertTo(DI(), v)), d8, p);
}

// Partial vectors at the end of a row: `n` valid lanes.
template <class T>
HWY_INLINE VF LoadPartial(DF d, const T* p, size_t n) {
  HWY_ALIGN float lanes[HWY_MAX_BYTES / 4] = {};
  for (size_t i = 0; i < n; ++i) lanes[i] = ToFloat(p[i]);
  return hn::Load(d, lanes);
}
template <class T>
HWY_INLINE void StorePartial(VF v, DF d, T* p, size_t n) {
  HWY_ALIGN float lanes[HWY_MAX_BYTES / 4] = {};
  hn::Store(v, d, lanes);
  for (size_t i = 0; i < n; ++i) p[i] = FromFloat<T>(lanes[i]);
}

// Calls full(i) for every whole vector of the n elements and rest(i, count) for what remains.
template <class Full, class Rest>
HWY_INLINE void ForVectors(size_t n, const Full& full, const Rest& rest) {
  const size_t lanes = hn::Lanes(DF());
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) full(i);
  if (i < n) rest(i, n - i);
}

// e^x to about 2 ulp for x in [-87, 88], clamped outside (Cephes' expf with a degree-5 polynomial after reducing x to
// [-ln2/2, ln2/2]). Own code because Highway's contrib version ships in a header that pulls in much more than this.
HWY_INLINE VF Exp(DF d, VF x) {
  const DI di;
  x = hn::Min(hn::Max(x, hn::Set(d, -87.33654f)), hn::Set(d, 88.0f));
  const VF n = hn::Round(hn::Mul(x, hn::Set(d, 1.44269504f)));
  VF r = hn::NegMulAdd(n, hn::Set(d, 0.693359375f), x);
  r = hn::NegMulAdd(n, hn::Set(d, -2.12194440e-4f), r);
  VF p = hn::Set(d, 1.9875691500e-4f);
  p = hn::MulAdd(p, r, hn::Set(d, 1.3981999507e-3f));
  p = hn::MulAdd(p, r, hn::Set(d, 8.3334519073e-3f));
  p = hn::MulAdd(p, r, hn::Set(d, 4.1665795894e-2f));
  p = hn::MulAdd(p, r, hn::Set(d, 1.6666665459e-1f));
  p = hn::MulAdd(p, r, hn::Set(d, 5.0000001201e-1f));
  p = hn::Add(hn::MulAdd(p, hn::Mul(r, r), r), hn::Set(d, 1.0f));
  const auto scale = hn::ShiftLeft<23>(hn::Add(hn::ConvertTo(di, n), hn::Set(di, 127)));
  return hn::Mul(p, hn::BitCast(d, scale));
}

// 2^y for y up to about 0, to about 2e-7; 0 where y <= -126, -infinity included. Half the operations of Exp: nothing to
// clamp, y is reduced to [-1/2, 1/2] exactly, and adding 1.5 * 2^23 rounds and leaves the exponent in the low bits. The
// polynomial is the minimax one (relative) with 2^0 = 1.
HWY_INLINE VF Exp2(DF d, VF y) {
  const DI di;
  const VF magic = hn::Set(d, 12582912.0f);
  const VF shifted = hn::Add(y, magic);
  const VF f = hn::Sub(y, hn::Sub(shifted, magic));
  VF p = hn::Set(d, 1.326472731e-3f);
  p = hn::MulAdd(p, f, hn::Set(d, 9.671512991e-3f));
  p = hn::MulAdd(p, f, hn::Set(d, 5.550733581e-2f));
  p = hn::MulAdd(p, f, hn::Set(d, 2.402224243e-1f));
  p = hn::MulAdd(p, f, hn::Set(d, 6.931470037e-1f));
  p = hn::MulAdd(p, f, hn::Set(d, 1.0f));
  const auto exponent = hn::ShiftLeft<23>(hn::BitCast(di, shifted));
  const VF power = hn::BitCast(d, hn::Add(hn::BitCast(di, p), exponent));
  return hn::IfThenElseZero(hn::Gt(y, hn::Set(d, -126.0f)), power);
}

HWY_INLINE VF Sigmoid(DF d, VF x) {
  const VF one = hn::Set(d, 1.0f);
  return hn::Div(one, hn::Add(one, Exp(d, hn::Neg(x))));
}

HWY_INLINE float SumLanes(DF d, VF v) { return hn::GetLane(hn::SumOfLanes(d, v)); }
HWY_INLINE float MaxLane(DF d, VF v) { return hn::GetLane(hn::MaxOfLanes(d, v)); }

// The sums of four vectors' lanes, the order of the additions being the same for each of the four.
#if HWY_TARGET == HWY_SCALAR
HWY_INLINE void StoreSums(VF a, VF b, VF c, VF e, float* out) {
  out[0] = hn::GetLane(a);
  out[1] = hn::GetLane(b);
  out[2] = hn::GetLane(c);
  out[3] = hn::GetLane(e);
}
#else
template <class D, class V>
HWY_INLINE auto FoldTo128([[maybe_unused]] D d, V v) {  // unused at 128 bits
  if constexpr (hn::MaxLanes(D()) == 4) {
    return v;
  } else {
    const hn::Half<D> half;
    return FoldTo128(half, hn::Add(hn::LowerHalf(half, v), hn::UpperHalf(half, v)));
  }
}
HWY_INLINE void StoreSums(VF a, VF b, VF c, VF e, float* out) {
  const DF d;
  const hn::CappedTag<float, 4> d4;
  const auto pair = [&](auto u, auto v) {  // u0+u2, v0+v2, u1+u3, v1+v3
    return hn::Add(hn::InterleaveLower(d4, u, v), hn::InterleaveUpper(d4, u, v));
  };
  const auto ab = pair(FoldTo128(d, a), FoldTo128(d, b)), ce = pair(FoldTo128(d, c), FoldTo128(d, e));
  hn::StoreU(hn::Add(hn::ConcatLowerLower(d4, ce, ab), hn::ConcatUpperUpper(d4, ce, ab)), d4, out);
}
#endif

}  // namespace flashlm::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
