// Turning the vector of one head by a row of the rotary table. Included inside kernel files only.
#if defined(FLASHLM_KERNELS_ROPE_ROPE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FLASHLM_KERNELS_ROPE_ROPE_INL_H_
#undef FLASHLM_KERNELS_ROPE_ROPE_INL_H_
#else
#define FLASHLM_KERNELS_ROPE_ROPE_INL_H_
#endif

#include "kernels/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace flashlm::kernels::HWY_NAMESPACE {

// The pairs (x[2i], x[2i + 1]) of i in [0, kLanes), apart; and their way back.
HWY_INLINE void LoadPairs(WholeVector, const float* x, VF& even, VF& odd) { hn::LoadInterleaved2(DF(), x, even, odd); }
HWY_INLINE void LoadPairs(WholeVector, const BFloat16* x, VF& even, VF& odd) {
  const DF d;
  const DU du;
  const auto pairs = hn::LoadU(du, reinterpret_cast<const uint32_t*>(x));  // little-endian: the first is below
  even = hn::BitCast(d, hn::ShiftLeft<16>(pairs));
  odd = hn::BitCast(d, hn::And(pairs, hn::Set(du, 0xffff0000u)));
}
HWY_INLINE void StorePairs(WholeVector, VF even, VF odd, float* y) { hn::StoreInterleaved2(even, odd, DF(), y); }
HWY_INLINE void StorePairs(WholeVector, VF even, VF odd, BFloat16* y) {
  const DF d;
  HWY_ALIGN float lanes[2 * HWY_MAX_BYTES / 4];
  hn::StoreInterleaved2(even, odd, d, lanes);
  StoreF32(hn::Load(d, lanes), d, y);
  StoreF32(hn::Load(d, lanes + hn::Lanes(d)), d, y + hn::Lanes(d));
}
// The same for the last n pairs.
template <class T>
HWY_INLINE void LoadPairs(PartialVector rest, const T* x, VF& even, VF& odd) {
  const DF d;
  HWY_ALIGN float a[HWY_MAX_BYTES / 4] = {}, b[HWY_MAX_BYTES / 4] = {};
  for (size_t i = 0; i < rest.count; ++i) {
    a[i] = ToFloat(x[2 * i]);
    b[i] = ToFloat(x[2 * i + 1]);
  }
  even = hn::Load(d, a);
  odd = hn::Load(d, b);
}
template <class T>
HWY_INLINE void StorePairs(PartialVector rest, VF even, VF odd, T* y) {
  const DF d;
  HWY_ALIGN float a[HWY_MAX_BYTES / 4] = {}, b[HWY_MAX_BYTES / 4] = {};
  hn::Store(even, d, a);
  hn::Store(odd, d, b);
  for (size_t i = 0; i < rest.count; ++i) {
    y[2 * i] = FromFloat<T>(a[i]);
    y[2 * i + 1] = FromFloat<T>(b[i]);
  }
}

// (a, b) <- scale * (the pair turned by an angle), or by its negative, which is the gradient of turning.
template <bool kBack>
HWY_INLINE void Turn(VF& a, VF& b, VF cosine, VF sine, VF scale) {
  if constexpr (kBack) sine = hn::Neg(sine);
  cosine = hn::Mul(cosine, scale);
  sine = hn::Mul(sine, scale);
  const VF turned = hn::NegMulAdd(b, sine, hn::Mul(a, cosine));
  b = hn::MulAdd(b, cosine, hn::Mul(a, sine));
  a = turned;
}

// y = scale * x, or with `angles` (cosines, then sines; null: no rotation) y = scale * (x turned by them), or
// with kBack turned by their negatives. n: the head width; x and y may be the same.
template <bool kBack, class From, class To>
HWY_INLINE void Rotate(const From* x, const float* angles, float scale, size_t n, To* y) {
  const VF s = hn::Set(DF(), scale);
  if (angles == nullptr)
    return MapRow(
        static_cast<int64_t>(n), [=](VF v) { return hn::Mul(s, v); }, y, x);
  const size_t half = n / 2;
  ForLanes(half, [&](auto lanes, size_t i) {
    VF a = lanes.Load(x + i), b = lanes.Load(x + half + i);
    Turn<kBack>(a, b, lanes.Load(angles + i), lanes.Load(angles + half + i), s);
    lanes.Store(a, y + i);
    lanes.Store(b, y + half + i);
  });
}

// The same for queries and keys of interleaved pairs: turned ones lie in memory as halves (evens, then odds), which
// their scalar products do not notice, and kBack takes halves and gives interleaved. x and y are different.
template <bool kBack, class From, class To>
HWY_INLINE void RotateInterleaved(const From* x, const float* angles, float scale, size_t n, To* y) {
  const VF s = hn::Set(DF(), scale);
  const size_t half = n / 2;
  ForLanes(half, [&](auto lanes, size_t i) {
    VF a, b;
    if constexpr (kBack) {
      a = lanes.Load(x + i), b = lanes.Load(x + half + i);
    } else {
      LoadPairs(lanes, x + 2 * i, a, b);
    }
    Turn<kBack>(a, b, lanes.Load(angles + i), lanes.Load(angles + half + i), s);
    if constexpr (kBack) {
      StorePairs(lanes, a, b, y + 2 * i);
    } else {
      lanes.Store(a, y + i);
      lanes.Store(b, y + half + i);
    }
  });
}

}  // namespace flashlm::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
