// Turning the vector of one head by a row of the rotary table. Included inside kernel files only.
#if defined(FLASHLM_KERNELS_ROPE_ROPE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FLASHLM_KERNELS_ROPE_ROPE_INL_H_
#undef FLASHLM_KERNELS_ROPE_ROPE_INL_H_
#else
#define FLASHLM_KERNELS_ROPE_ROPE_INL_H_
#endif

#include "kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace flashlm::kernels::HWY_NAMESPACE {

// The pairs (x[2i], x[2i + 1]) of i in [0, kLanes), apart; and their way back.
HWY_INLINE void LoadPairs(DF d, const float* x, VF& even, VF& odd) { hn::LoadInterleaved2(d, x, even, odd); }
HWY_INLINE void LoadPairs(DF d, const BFloat16* x, VF& even, VF& odd) {
  const DU du;
  const auto pairs = hn::LoadU(du, reinterpret_cast<const uint32_t*>(x));  // little-endian: the first is below
  even = hn::BitCast(d, hn::ShiftLeft<16>(pairs));
  odd = hn::BitCast(d, hn::And(pairs, hn::Set(du, 0xffff0000u)));
}
HWY_INLINE void StorePairs(VF even, VF odd, DF d, float* y) { hn::StoreInterleaved2(even, odd, d, y); }
HWY_INLINE void StorePairs(VF even, VF odd, DF d, BFloat16* y) {
  HWY_ALIGN float lanes[2 * HWY_MAX_BYTES / 4];
  hn::StoreInterleaved2(even, odd, d, lanes);
  StoreF32(hn::Load(d, lanes), d, y);
  StoreF32(hn::Load(d, lanes + hn::Lanes(d)), d, y + hn::Lanes(d));
}
// The same for the last n pairs.
template <class T>
HWY_INLINE void LoadPairsPartial(DF d, const T* x, size_t n, VF& even, VF& odd) {
  HWY_ALIGN float a[HWY_MAX_BYTES / 4] = {}, b[HWY_MAX_BYTES / 4] = {};
  for (size_t i = 0; i < n; ++i) {
    a[i] = ToFloat(x[2 * i]);
    b[i] = ToFloat(x[2 * i + 1]);
  }
  even = hn::Load(d, a);
  odd = hn::Load(d, b);
}
template <class T>
HWY_INLINE void StorePairsPartial(VF even, VF odd, DF d, T* y, size_t n) {
  HWY_ALIGN float a[HWY_MAX_BYTES / 4] = {}, b[HWY_MAX_BYTES / 4] = {};
  hn::Store(even, d, a);
  hn::Store(odd, d, b);
  for (size_t i = 0; i < n; ++i) {
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
  const DF d;
  const VF s = hn::Set(d, scale);
  if (angles == nullptr) {
    ForVectors(
        n, [&](size_t i) { StoreF32(hn::Mul(s, LoadF32(d, x + i)), d, y + i); },
        [&](size_t i, size_t left) { StorePartial(hn::Mul(s, LoadPartial(d, x + i, left)), d, y + i, left); });
    return;
  }
  const size_t half = n / 2;
  ForVectors(
      half,
      [&](size_t i) {
        VF a = LoadF32(d, x + i), b = LoadF32(d, x + half + i);
        Turn<kBack>(a, b, hn::LoadU(d, angles + i), hn::LoadU(d, angles + half + i), s);
        StoreF32(a, d, y + i);
        StoreF32(b, d, y + half + i);
      },
      [&](size_t i, size_t left) {
        VF a = LoadPartial(d, x + i, left), b = LoadPartial(d, x + half + i, left);
        Turn<kBack>(a, b, LoadPartial(d, angles + i, left), LoadPartial(d, angles + half + i, left), s);
        StorePartial(a, d, y + i, left);
        StorePartial(b, d, y + half + i, left);
      });
}

// The same for queries and keys of interleaved pairs: turned ones lie in memory as halves (evens, then odds), which
// their scalar products do not notice, and kBack takes halves and gives interleaved. x and y are different.
template <bool kBack, class From, class To>
HWY_INLINE void RotateInterleaved(const From* x, const float* angles, float scale, size_t n, To* y) {
  const DF d;
  const VF s = hn::Set(d, scale);
  const size_t half = n / 2;
  VF a, b;
  ForVectors(
      half,
      [&](size_t i) {
        if constexpr (kBack) {
          a = LoadF32(d, x + i), b = LoadF32(d, x + half + i);
        } else {
          LoadPairs(d, x + 2 * i, a, b);
        }
        Turn<kBack>(a, b, hn::LoadU(d, angles + i), hn::LoadU(d, angles + half + i), s);
        if constexpr (kBack) {
          StorePairs(a, b, d, y + 2 * i);
        } else {
          StoreF32(a, d, y + i);
          StoreF32(b, d, y + half + i);
        }
      },
      [&](size_t i, size_t left) {
        if constexpr (kBack) {
          a = LoadPartial(d, x + i, left), b = LoadPartial(d, x + half + i, left);
        } else {
          LoadPairsPartial(d, x + 2 * i, left, a, b);
        }
        Turn<kBack>(a, b, LoadPartial(d, angles + i, left), LoadPartial(d, angles + half + i, left), s);
        if constexpr (kBack) {
          StorePairsPartial(a, b, d, y + 2 * i, left);
        } else {
          StorePartial(a, d, y + i, left);
          StorePartial(b, d, y + half + i, left);
        }
      });
}

}  // namespace flashlm::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
