#include "kernels/gate/gate.h"

#include <cmath>

#include "kernels/blocks.h"
#include "kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/gate/gate.cc"
#include "hwy/foreach_target.h"
#include "kernels/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace flashlm::kernels::HWY_NAMESPACE {

void MixForward(const Matrix& gate, const Matrix& a, const Matrix& b, const Matrix& y) {
  const auto mixed = [](VF g, VF va, VF vb) { return hn::MulAdd(QuickSigmoid(DF(), g), hn::Sub(va, vb), vb); };
  Map(y, mixed, gate, a, b);
}

void MixBackward(const Matrix& gate, const Matrix& a, const Matrix& b, const Matrix& dy, const Matrix& dgate,
                 const Matrix& da, const Matrix& db) {
  const auto gradients = [](VF g, VF va, VF vb, VF upstream) {
    const VF s = QuickSigmoid(DF(), g), to_a = hn::Mul(upstream, s);
    return std::array{hn::Mul(hn::NegMulAdd(to_a, s, to_a), hn::Sub(va, vb)), to_a, hn::Sub(upstream, to_a)};
  };
  Map(std::array{dgate, da, db}, gradients, gate, a, b, dy);
}

void GateForward(const Matrix& gate, const Matrix& x, const Matrix& y) {
  const auto gated = [](VF g, VF v) { return hn::Mul(QuickSigmoid(DF(), g), v); };
  Dispatch(gate.dtype, x.dtype, [&]<class TG, class TX>() {
    ForRows(x.rows, x.cols, [&](int64_t r) { MapRow(x.cols, gated, y.Row<TX>(r), gate.Row<TG>(r), x.Row<TX>(r)); });
  });
}

void GateBackward(const Matrix& gate, const Matrix& x, const Matrix& dy, const Matrix& dgate, const Matrix& dx,
                  bool accumulate) {
  const DF d;
  Dispatch(gate.dtype, x.dtype, [&]<class TG, class TX>() {
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
}

void AddGatedForward(const Matrix& x, const Matrix& branch, float open, const Matrix& y) {
  const VF by = hn::Set(DF(), open);
  const auto sum = [=](VF v, VF added) { return hn::MulAdd(by, added, v); };
  Dispatch(branch.dtype, [&]<class T>() {
    ForRows(x.rows, x.cols,
            [&](int64_t r) { MapRow(x.cols, sum, y.Row<float>(r), x.Row<float>(r), branch.Row<T>(r)); });
  });
}

// dots[block] = sum of dy * branch over a block of rows.
void AddGatedBackward(const Matrix& branch, float open, const Matrix& dy, const Matrix& dbranch, float* dots,
                      int64_t block) {
  const DF d;
  const VF by = hn::Set(d, open);
  Dispatch(branch.dtype, [&]<class T>() {
    ParallelBlocks(dy.rows, block, [&](int64_t begin, int64_t end) {
      VF dot = hn::Zero(d);
      for (int64_t r = begin; r < end; ++r) {
        const float* upstream = dy.Row<float>(r);
        const T* added = branch.Row<T>(r);
        T* to = dbranch.Row<T>(r);
        ForLanes(static_cast<size_t>(dy.cols), [&](auto lanes, size_t i) {
          const VF g = lanes.Load(upstream + i);
          dot = hn::MulAdd(g, lanes.Load(added + i), dot);
          lanes.Store(hn::Mul(by, g), to + i);
        });
      }
      dots[begin / block] = SumLanes(d, dot);
    });
  });
}

}  // namespace flashlm::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace flashlm::kernels {
namespace {

constexpr int64_t kGradBlock = 64;  // rows per partial sum of the gate's gradient

HWY_EXPORT(MixForward);
HWY_EXPORT(MixBackward);
HWY_EXPORT(GateForward);
HWY_EXPORT(GateBackward);
HWY_EXPORT(AddGatedForward);
HWY_EXPORT(AddGatedBackward);

float SigmoidOf(float x) { return 1 / (1 + std::exp(-x)); }

}  // namespace

void GateMix(const Matrix& gate, const Matrix& a, const Matrix& b, const Matrix& y) {
  FLASHLM_DISPATCH(MixForward)(gate, a, b, y);
}

void GateMixGrad(const Matrix& gate, const Matrix& a, const Matrix& b, const Matrix& dy, const Matrix& dgate,
                 const Matrix& da, const Matrix& db) {
  FLASHLM_DISPATCH(MixBackward)(gate, a, b, dy, dgate, da, db);
}

void SigmoidGate(const Matrix& gate, const Matrix& x, const Matrix& y) { FLASHLM_DISPATCH(GateForward)(gate, x, y); }

void SigmoidGateGrad(const Matrix& gate, const Matrix& x, const Matrix& dy, const Matrix& dgate, const Matrix& dx,
                     bool accumulate) {
  FLASHLM_DISPATCH(GateBackward)(gate, x, dy, dgate, dx, accumulate);
}

void AddGated(const Matrix& x, const Matrix& branch, const float* gate, const Matrix& y) {
  FLASHLM_DISPATCH(AddGatedForward)(x, branch, SigmoidOf(*gate), y);
}

int64_t AddGatedGradScratch(int64_t rows) { return BlockCount(rows, kGradBlock); }

void AddGatedGrad(const Matrix& branch, const float* gate, const Matrix& dy, const Matrix& dbranch, float* dgate,
                  float* scratch) {
  const float open = SigmoidOf(*gate);
  FLASHLM_DISPATCH(AddGatedBackward)(branch, open, dy, dbranch, scratch, kGradBlock);
  double dot = 0;
  for (int64_t b = 0; b < BlockCount(dy.rows, kGradBlock); ++b) dot += scratch[b];
  *dgate += static_cast<float>(dot * open * (1 - open));
}

}  // namespace flashlm::kernels
#endif  // HWY_ONCE
