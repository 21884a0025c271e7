#include "kernels/activation/geglu.h"

#include <algorithm>

#include "base/parallel.h"
#include "kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/activation/geglu.cc"
#include "hwy/foreach_target.h"
#include "kernels/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace flashlm::kernels::HWY_NAMESPACE {

// The normal distribution at x: its integral to 1e-7 (Abramowitz and Stegun 7.1.26, which gives the tail of erf as a
// polynomial times the density, so small values stay accurate), and its density.
HWY_INLINE void Gauss(DF d, VF x, VF& integral, VF& density) {
  const VF one = hn::Set(d, 1.0f), half = hn::Set(d, 0.5f);
  const VF bell = Exp(d, hn::Mul(hn::Mul(x, x), hn::Set(d, -0.5f)));
  const VF t = hn::Div(one, hn::MulAdd(hn::Abs(x), hn::Set(d, 0.3275911f * 0.70710678f), one));
  VF p = hn::Set(d, 1.061405429f);
  p = hn::MulAdd(p, t, hn::Set(d, -1.453152027f));
  p = hn::MulAdd(p, t, hn::Set(d, 1.421413741f));
  p = hn::MulAdd(p, t, hn::Set(d, -0.284496736f));
  p = hn::MulAdd(p, t, hn::Set(d, 0.254829592f));
  const VF tail = hn::Mul(hn::Mul(half, hn::Mul(p, t)), bell);  // beyond |x|
  integral = hn::IfThenElse(hn::Lt(x, hn::Zero(d)), tail, hn::Sub(one, tail));
  density = hn::Mul(bell, hn::Set(d, 0.39894228f));
}

template <class T>
void GeGluRow(const T* gate, const T* up, size_t cols, T* y) {
  const DF d;
  ForLanes(cols, [&](auto lanes, size_t i) {
    const VF g = lanes.Load(gate + i);
    VF integral, density;
    Gauss(d, g, integral, density);
    lanes.Store(hn::Mul(hn::Mul(g, integral), lanes.Load(up + i)), y + i);
  });
}

// d gelu(g)/dg = integral + g * density.
template <class T>
void GeGluGradRow(const T* gate, const T* up, const T* dy, size_t cols, T* dgate, T* dup) {
  const DF d;
  ForLanes(cols, [&](auto lanes, size_t i) {
    const VF g = lanes.Load(gate + i), u = lanes.Load(up + i), upstream = lanes.Load(dy + i);
    VF integral, density;
    Gauss(d, g, integral, density);
    lanes.Store(hn::Mul(upstream, hn::Mul(g, integral)), dup + i);
    lanes.Store(hn::Mul(hn::Mul(upstream, u), hn::MulAdd(g, density, integral)), dgate + i);
  });
}

// Blocks of about 16 K elements: a few microseconds of work, against one or two for a parallel region.
int64_t RowsPerBlock(int64_t cols) { return std::max<int64_t>(1, 16384 / std::max<int64_t>(1, cols)); }

void GeGluForward(const Matrix& x, const Matrix& y) {
  WithElementType(x.dtype, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    ParallelBlocks(y.rows, RowsPerBlock(y.cols), [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        GeGluRow(x.Row<T>(r), x.Row<T>(r) + y.cols, static_cast<size_t>(y.cols), y.Row<T>(r));
      }
    });
  });
}

void GeGluBackward(const Matrix& x, const Matrix& dy, const Matrix& dx) {
  WithElementType(x.dtype, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    ParallelBlocks(dy.rows, RowsPerBlock(dy.cols), [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        GeGluGradRow(x.Row<T>(r), x.Row<T>(r) + dy.cols, dy.Row<T>(r), static_cast<size_t>(dy.cols), dx.Row<T>(r),
                     dx.Row<T>(r) + dy.cols);
      }
    });
  });
}

}  // namespace flashlm::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace flashlm::kernels {
namespace {

HWY_EXPORT(GeGluForward);
HWY_EXPORT(GeGluBackward);

}  // namespace

void GeGlu(const Matrix& x, const Matrix& y) { FLASHLM_DISPATCH(GeGluForward)(x, y); }

void GeGluGrad(const Matrix& x, const Matrix& dy, const Matrix& dx) { FLASHLM_DISPATCH(GeGluBackward)(x, dy, dx); }

}  // namespace flashlm::kernels
#endif  // HWY_ONCE
