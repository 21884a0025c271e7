// Element-wise loops written once for whole vectors and for the rest of a row, and the sigmoid of gates.
// Included inside kernel files only.
#if defined(FLASHLM_KERNELS_LANES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FLASHLM_KERNELS_LANES_INL_H_
#undef FLASHLM_KERNELS_LANES_INL_H_
#else
#define FLASHLM_KERNELS_LANES_INL_H_
#endif

#include <algorithm>

#include "base/parallel.h"
#include "kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace flashlm::kernels::HWY_NAMESPACE {

struct WholeVector {
  template <class T>
  HWY_INLINE VF Load(const T* p) const {
    return LoadF32(DF(), p);
  }
  template <class T>
  HWY_INLINE void Store(VF v, T* p) const {
    StoreF32(v, DF(), p);
  }
  HWY_INLINE VF ZeroBeyond(VF v) const { return v; }
};

struct PartialVector {
  size_t count;
  template <class T>
  HWY_INLINE VF Load(const T* p) const {
    return LoadPartial(DF(), p, count);
  }
  template <class T>
  HWY_INLINE void Store(VF v, T* p) const {
    StorePartial(v, DF(), p, count);
  }
  HWY_INLINE VF ZeroBeyond(VF v) const { return hn::IfThenElseZero(hn::FirstN(DF(), count), v); }
};

// Calls body(lanes, i) along the n elements; the body loads and stores through `lanes` at element i. Lanes
// beyond the end load as zero and are not stored.
template <class Body>
HWY_INLINE void ForLanes(size_t n, const Body& body) {
  ForVectors(
      n, [&](size_t i) { body(WholeVector{}, i); }, [&](size_t i, size_t count) { body(PartialVector{count}, i); });
}

// Rows in blocks of about 16 K elements: a few microseconds of work, against one or two for a parallel
// region.
template <class Body>
void ForRows(int64_t rows, int64_t cols, const Body& body) {
  const int64_t block = std::max<int64_t>(1, 16384 / std::max<int64_t>(1, cols));
  ParallelBlocks(rows, block, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) body(r);
  });
}

// sigmoid(x) = 1 / (1 + 2^u), u = -x log2(e); 2^u = 2^n 2^r with n = round(u). Adding 1.5 * 2^23 rounds, and
// leaves n in the low bits, from where a shift brings it to the exponent. Next to simd-inl.h's Sigmoid (2
// ulp; this one's exponential is off by up to 6e-8 |x|) GateMix takes 2/3 of the time and SwiGlu 3/4. A
// reciprocal estimate, refined once, in place of the division was slower, and on AVX2 sigmoid(large) was no
// longer exactly 1.
HWY_INLINE VF QuickSigmoid(DF d, VF x) {
  const DU du;
  const VF magic = hn::Set(d, 12582912.0f);
  VF u = hn::Mul(x, hn::Set(d, -1.44269504f));
  u = hn::Max(hn::Min(u, hn::Set(d, 100.0f)), hn::Set(d, -100.0f));
  const VF shifted = hn::Add(u, magic);
  const VF r = hn::Sub(u, hn::Sub(shifted, magic));
  VF p = hn::Set(d, 1.326472541e-03f);
  p = hn::MulAdd(p, r, hn::Set(d, 9.671512768e-03f));
  p = hn::MulAdd(p, r, hn::Set(d, 5.550733749e-02f));
  p = hn::MulAdd(p, r, hn::Set(d, 2.402224208e-01f));
  p = hn::MulAdd(p, r, hn::Set(d, 6.931469776e-01f));
  p = hn::MulAdd(p, r, hn::Set(d, 1.0f));
  const auto power = hn::Add(hn::BitCast(du, p), hn::ShiftLeft<23>(hn::BitCast(du, shifted)));
  const VF one = hn::Set(d, 1.0f);
  return hn::Div(one, hn::Add(one, hn::BitCast(d, power)));
}

}  // namespace flashlm::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
