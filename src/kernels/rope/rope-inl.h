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

// y = scale * x, or with `angles` (cosines, then sines; null: no rotation) y = scale * (x turned by them), or
// with kBack turned by their negatives, which is the gradient of turning. n: the head width; x and y may be
// the same.
template <bool kBack, class From, class To>
HWY_INLINE void Rotate(const From* x, const float* angles, float scale, size_t n, To* y) {
  const DF d;
  const VF s = hn::Set(d, scale);
  if (angles == nullptr) {
    ForVectors(
        n, [&](size_t i) { StoreF32(hn::Mul(s, LoadF32(d, x + i)), d, y + i); },
        [&](size_t i, size_t left) {
          StorePartial(hn::Mul(s, LoadPartial(d, x + i, left)), d, y + i, left);
        });
    return;
  }
  const size_t half = n / 2;
  const auto turn = [&](VF& a, VF& b, VF cosine, VF sine) {
    if constexpr (kBack) sine = hn::Neg(sine);
    cosine = hn::Mul(cosine, s);
    sine = hn::Mul(sine, s);
    const VF turned = hn::NegMulAdd(b, sine, hn::Mul(a, cosine));
    b = hn::MulAdd(b, cosine, hn::Mul(a, sine));
    a = turned;
  };
  ForVectors(
      half,
      [&](size_t i) {
        VF a = LoadF32(d, x + i), b = LoadF32(d, x + half + i);
        turn(a, b, hn::LoadU(d, angles + i), hn::LoadU(d, angles + half + i));
        StoreF32(a, d, y + i);
        StoreF32(b, d, y + half + i);
      },
      [&](size_t i, size_t left) {
        VF a = LoadPartial(d, x + i, left), b = LoadPartial(d, x + half + i, left);
        turn(a, b, LoadPartial(d, angles + i, left), LoadPartial(d, angles + half + i, left));
        StorePartial(a, d, y + i, left);
        StorePartial(b, d, y + half + i, left);
      });
}

}  // namespace flashlm::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
