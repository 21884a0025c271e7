#include "kernels/gate/head_gate.h"

#include <cmath>

#include "kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/gate/head_gate.cc"
#include "hwy/foreach_target.h"
#include "kernels/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace flashlm::kernels::HWY_NAMESPACE {

template <class T>
HWY_INLINE float Open(T gate) {
  return 1 / (1 + std::exp(-ToFloat(gate)));
}

void HeadGateForward(const Matrix& gate, const Matrix& x, const Matrix& y) {
  const int64_t width = x.cols / gate.cols;
  Dispatch(x.dtype, [&]<class T>() {
    ForRows(x.rows, x.cols, [&](int64_t r) {
      for (int64_t h = 0; h < gate.cols; ++h) {
        const VF twice = hn::Set(DF(), 2 * Open(gate.Row<T>(r)[h]));
        MapRow(
            width, [=](VF v) { return hn::Mul(twice, v); }, y.Row<T>(r) + h * width, x.Row<T>(r) + h * width);
      }
    });
  });
}

void HeadGateBackward(const Matrix& gate, const Matrix& x, const Matrix& dy, const Matrix& dgate, const Matrix& dx) {
  const DF d;
  const int64_t width = x.cols / gate.cols;
  Dispatch(x.dtype, [&]<class T>() {
    ForRows(x.rows, x.cols, [&](int64_t r) {
      for (int64_t h = 0; h < gate.cols; ++h) {
        const T *from = x.Row<T>(r) + h * width, *upstream = dy.Row<T>(r) + h * width;
        T* to = dx.Row<T>(r) + h * width;
        const float open = Open(gate.Row<T>(r)[h]);
        const VF twice = hn::Set(d, 2 * open);
        VF dot = hn::Zero(d);
        ForLanes(static_cast<size_t>(width), [&](auto lanes, size_t i) {
          const VF g = lanes.Load(upstream + i);
          dot = hn::MulAdd(g, lanes.Load(from + i), dot);
          lanes.Store(hn::Mul(twice, g), to + i);
        });
        dgate.Row<T>(r)[h] = FromFloat<T>(2 * open * (1 - open) * SumLanes(d, dot));
      }
    });
  });
}

}  // namespace flashlm::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace flashlm::kernels {
namespace {

HWY_EXPORT(HeadGateForward);
HWY_EXPORT(HeadGateBackward);

}  // namespace

void HeadGate(const Matrix& gate, const Matrix& x, const Matrix& y) { FLASHLM_DISPATCH(HeadGateForward)(gate, x, y); }

void HeadGateGrad(const Matrix& gate, const Matrix& x, const Matrix& dy, const Matrix& dgate, const Matrix& dx) {
  FLASHLM_DISPATCH(HeadGateBackward)(gate, x, dy, dgate, dx);
}

}  // namespace flashlm::kernels
#endif  // HWY_ONCE
