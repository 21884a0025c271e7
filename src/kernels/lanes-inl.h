// Element-wise loops written once for whole vectors and for the rest of a row, maps of whole matrices on top of them,
// and the sigmoid of gates. Included inside kernel files only.
#if defined(FLASHLM_KERNELS_LANES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FLASHLM_KERNELS_LANES_INL_H_
#undef FLASHLM_KERNELS_LANES_INL_H_
#else
#define FLASHLM_KERNELS_LANES_INL_H_
#endif

#include <algorithm>
#include <array>
#include <limits>

#include "base/parallel.h"
#include "kernels/matrix.h"
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

// y = f(x...) along n elements: f takes vectors of the inputs, whatever their types, and returns that of the result.
// Flattened, because f is called twice, for whole vectors and for the rest, and large ones would not be inlined. What f
// captures by value stays in registers in the copy made here; behind a reference every store could have changed it.
template <class F, class Y, class... X>
HWY_FLATTEN void MapRow(int64_t n, const F& f, Y* y, const X*... x) {
  const F own = f;
  ForLanes(static_cast<size_t>(n), [&](auto lanes, size_t i) { lanes.Store(own(lanes.Load(x + i)...), y + i); });
}
// y = or += f(x...). The sum is not f's business: there the compiler fuses it with a product, and bits would differ.
template <class F, class Y, class... X>
HWY_FLATTEN void MapRowInto(int64_t n, bool accumulate, const F& f, Y* y, const X*... x) {
  const F own = f;
  ForLanes(static_cast<size_t>(n), [&](auto lanes, size_t i) {
    VF v = own(lanes.Load(x + i)...);
    if (accumulate) v = hn::Add(v, lanes.Load(y + i));
    lanes.Store(v, y + i);
  });
}
// The same as MapRow with several results, of which f returns an array.
template <class F, class Y, size_t kResults, class... X>
HWY_FLATTEN void MapRow(int64_t n, const F& f, const std::array<Y*, kResults>& y, const X*... x) {
  const F own = f;
  const std::array<Y*, kResults> to = y;
  ForLanes(static_cast<size_t>(n), [&](auto lanes, size_t i) {
    const std::array<VF, kResults> results = own(lanes.Load(x + i)...);
    for (size_t k = 0; k < kResults; ++k) lanes.Store(results[k], to[k] + i);
  });
}

// y = f(x...) for all elements of matrices of one shape and one type. y may be one of x.
template <class F, class... X>
void Map(const Matrix& y, const F& f, const X&... x) {
  Dispatch(y.dtype, [&]<class T>() {
    ForRows(y.rows, y.cols, [&](int64_t r) { MapRow(y.cols, f, y.Row<T>(r), x.template Row<T>(r)...); });
  });
}
template <class F, class... X>
void MapInto(bool accumulate, const Matrix& y, const F& f, const X&... x) {
  Dispatch(y.dtype, [&]<class T>() {
    ForRows(y.rows, y.cols,
            [&](int64_t r) { MapRowInto(y.cols, accumulate, f, y.Row<T>(r), x.template Row<T>(r)...); });
  });
}
template <size_t kResults, class F, class... X>
void Map(const std::array<Matrix, kResults>& y, const F& f, const X&... x) {
  Dispatch(y[0].dtype, [&]<class T>() {
    ForRows(y[0].rows, y[0].cols, [&](int64_t r) {
      std::array<T*, kResults> rows;
      for (size_t k = 0; k < kResults; ++k) rows[k] = y[k].template Row<T>(r);
      MapRow(y[0].cols, f, rows, x.template Row<T>(r)...);
    });
  });
}

// max |x[i]|. Four maxima side by side: a single one would wait for itself.
template <class T>
HWY_INLINE float LargestMagnitude(const T* x, size_t n) {
  const DF d;
  const size_t lanes = hn::Lanes(d);
  VF a = hn::Zero(d), b = a, c = a, e = a;
  size_t i = 0;
  for (; i + 4 * lanes <= n; i += 4 * lanes) {
    a = hn::Max(a, hn::Abs(LoadF32(d, x + i)));
    b = hn::Max(b, hn::Abs(LoadF32(d, x + i + lanes)));
    c = hn::Max(c, hn::Abs(LoadF32(d, x + i + 2 * lanes)));
    e = hn::Max(e, hn::Abs(LoadF32(d, x + i + 3 * lanes)));
  }
  ForLanes(n - i, [&](auto part, size_t j) { a = hn::Max(a, hn::Abs(part.Load(x + i + j))); });
  return MaxLane(d, hn::Max(hn::Max(a, b), hn::Max(c, e)));
}

// What the numbers of a line are multiplied by to become integers up to 127; where that overflows, the line is zeros.
HWY_INLINE float InverseScale(float largest) {
  const float inverse = 127.0f / largest;
  return inverse <= std::numeric_limits<float>::max() ? inverse : 0.0f;
}

// Numbers rounded to int8, as 32-bit words that hold an integer q (the nearest to v * inverse, half to even) as the
// number 1.5 * 2^23 + q does: as kIntegerZero + q, so the lowest byte is q's. v * inverse is at most 127 but for an
// ulp. (A conversion takes three instructions more, since Highway mends what overflows. The minimum keeps the compiler
// from fusing product and sum, which would round in another way.)
constexpr uint32_t kIntegerZero = 0x4B400000;
HWY_INLINE hn::Vec<DU> NearestInteger(VF v, VF inverse) {
  const DF d;
  const VF scaled = hn::Min(hn::Mul(v, inverse), hn::Set(d, 127.0f));
  return hn::BitCast(DU(), hn::Add(scaled, hn::Set(d, 12582912.0f)));
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
