#include "kernels/activation/gates.h"

#include "kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/activation/gates.cc"
#include "hwy/foreach_target.h"
#include "kernels/activation/lanes-inl.h"
#include "kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace flashlm::kernels::HWY_NAMESPACE {

void ReluSquaredForward(const Matrix& x, const Matrix& y) {
  const DF d;
  WithElementType(x.dtype, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    ForRows(x.rows, x.cols, [&](int64_t r) {
      const T* from = x.Row<T>(r);
      T* to = y.Row<T>(r);
      ForLanes(static_cast<size_t>(x.cols), [&](auto lanes, size_t i) {
        const VF v = hn::Max(lanes.Load(from + i), hn::Zero(d));
        lanes.Store(hn::Mul(v, v), to + i);
      });
    });
  });
}

void ReluSquaredBackward(const Matrix& x, const Matrix& dy, const Matrix& dx) {
  const DF d;
  WithElementType(x.dtype, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    ForRows(x.rows, x.cols, [&](int64_t r) {
      const T *from = x.Row<T>(r), *upstream = dy.Row<T>(r);
      T* to = dx.Row<T>(r);
      ForLanes(static_cast<size_t>(x.cols), [&](auto lanes, size_t i) {
        const VF v = hn::Max(lanes.Load(from + i), hn::Zero(d));
        lanes.Store(hn::Mul(hn::Add(v, v), lanes.Load(upstream + i)), to + i);
      });
    });
  });
}

void GateForward(const Matrix& gate, const Matrix& x, const Matrix& y) {
  const DF d;
  WithElementType(gate.dtype, [&](auto* gate_type) {
    WithElementType(x.dtype, [&](auto* x_type) {
      using TG = std::remove_pointer_t<decltype(gate_type)>;
      using TX = std::remove_pointer_t<decltype(x_type)>;
      ForRows(x.rows, x.cols, [&](int64_t r) {
        const TG* logit = gate.Row<TG>(r);
        const TX* from = x.Row<TX>(r);
        TX* to = y.Row<TX>(r);
        ForLanes(static_cast<size_t>(x.cols), [&](auto lanes, size_t i) {
          lanes.Store(hn::Mul(QuickSigmoid(d, lanes.Load(logit + i)), lanes.Load(from + i)), to + i);
        });
      });
    });
  });
}

void GateBackward(const Matrix& gate, const Matrix& x, const Matrix& dy, const Matrix& dgate, const Matrix& dx,
                  bool accumulate) {
  const DF d;
  WithElementType(gate.dtype, [&](auto* gate_type) {
    WithElementType(x.dtype, [&](auto* x_type) {
      using TG = std::remove_pointer_t<decltype(gate_type)>;
      using TX = std::remove_pointer_t<decltype(x_type)>;
      ForRows(x.rows, x.cols, [&](int64_t r) {
        const TG* logit = gate.Row<TG>(r);
        const TX *from = x.Row<TX>(r), *upstream = dy.Row<TX>(r);
        TG* dlogit = dgate.Row<TG>(r);
        TX* to = dx.Row<TX>(r);
        ForLanes(static_cast<size_t>(x.cols), [&](auto lanes, size_t i) {
          const VF s = QuickSigmoid(d, lanes.Load(logit + i)), g = lanes.Load(upstream + i);
          lanes.Store(hn::Mul(hn::Mul(g, lanes.Load(from + i)), hn::NegMulAdd(s, s, s)), dlogit + i);
          const VF to_x = hn::Mul(g, s);
          lanes.Store(accumulate ? hn::Add(to_x, lanes.Load(to + i)) : to_x, to + i);
        });
      });
    });
  });
}

}  // namespace flashlm::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace flashlm::kernels {
namespace {

HWY_EXPORT(ReluSquaredForward);
HWY_EXPORT(ReluSquaredBackward);
HWY_EXPORT(GateForward);
HWY_EXPORT(GateBackward);

}  // namespace

void ReluSquared(const Matrix& x, const Matrix& y) { FLASHLM_DISPATCH(ReluSquaredForward)(x, y); }

void ReluSquaredGrad(const Matrix& x, const Matrix& dy, const Matrix& dx) {
  FLASHLM_DISPATCH(ReluSquaredBackward)(x, dy, dx);
}

void SigmoidGate(const Matrix& gate, const Matrix& x, const Matrix& y) { FLASHLM_DISPATCH(GateForward)(gate, x, y); }

void SigmoidGateGrad(const Matrix& gate, const Matrix& x, const Matrix& dy, const Matrix& dgate, const Matrix& dx,
                     bool accumulate) {
  FLASHLM_DISPATCH(GateBackward)(gate, x, dy, dgate, dx, accumulate);
}

}  // namespace flashlm::kernels
#endif  // HWY_ONCE
