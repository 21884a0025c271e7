#include "kernels/activation/silu.h"

#include <algorithm>

#include "base/parallel.h"
#include "kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/activation/silu.cc"
#include "hwy/foreach_target.h"
#include "kernels/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace flashlm::kernels::HWY_NAMESPACE {

// Calls row(r, T*) for all rows, in blocks of about 16 K elements.
template <class Body>
void ForSiluRows(const Matrix& m, const Body& body) {
  WithElementType(m.dtype, [&](auto* type) {
    ParallelBlocks(m.rows, std::max<int64_t>(1, 16384 / std::max<int64_t>(1, m.cols)), [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) body(r, type);
    });
  });
}

void SiluForward(const Matrix& x, const Matrix& y) {
  ForSiluRows(x, [&](int64_t r, auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    const DF d;
    const T* from = x.Row<T>(r);
    T* to = y.Row<T>(r);
    ForLanes(static_cast<size_t>(x.cols), [&](auto lanes, size_t i) {
      const VF v = lanes.Load(from + i);
      lanes.Store(hn::Mul(v, Sigmoid(d, v)), to + i);
    });
  });
}

// With s = sigmoid(x): d silu(x)/dx = s * (1 + x * (1 - s)).
void SiluBackward(const Matrix& x, const Matrix& dy, const Matrix& dx, bool accumulate) {
  ForSiluRows(x, [&](int64_t r, auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    const DF d;
    const VF one = hn::Set(d, 1.0f);
    const T *from = x.Row<T>(r), *upstream = dy.Row<T>(r);
    T* to = dx.Row<T>(r);
    ForLanes(static_cast<size_t>(x.cols), [&](auto lanes, size_t i) {
      const VF v = lanes.Load(from + i), s = Sigmoid(d, v);
      const VF slope = hn::Mul(s, hn::MulAdd(v, hn::Sub(one, s), one));
      const VF product = hn::Mul(lanes.Load(upstream + i), slope);
      lanes.Store(accumulate ? hn::Add(lanes.Load(to + i), product) : product, to + i);
    });
  });
}

}  // namespace flashlm::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace flashlm::kernels {
namespace {

HWY_EXPORT(SiluForward);
HWY_EXPORT(SiluBackward);

}  // namespace

void Silu(const Matrix& x, const Matrix& y) { FLASHLM_DISPATCH(SiluForward)(x, y); }

void SiluGrad(const Matrix& x, const Matrix& dy, const Matrix& dx, bool accumulate) {
  FLASHLM_DISPATCH(SiluBackward)(x, dy, dx, accumulate);
}

}  // namespace flashlm::kernels
#endif  // HWY_ONCE
