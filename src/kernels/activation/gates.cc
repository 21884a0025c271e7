#include "kernels/activation/gates.h"

#include <algorithm>
#include <cmath>

#include "kernels/blocks.h"
#include "kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/activation/gates.cc"
#include "hwy/foreach_target.h"
#include "kernels/lanes-inl.h"
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

void AddGatedForward(const Matrix& x, const Matrix& branch, float factor, const Matrix& y) {
  const DF d;
  const VF by = hn::Set(d, factor);
  WithElementType(branch.dtype, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    ForRows(x.rows, x.cols, [&](int64_t r) {
      const float* from = x.Row<float>(r);
      const T* added = branch.Row<T>(r);
      float* to = y.Row<float>(r);
      ForLanes(static_cast<size_t>(x.cols), [&](auto lanes, size_t i) {
        lanes.Store(hn::MulAdd(by, lanes.Load(added + i), lanes.Load(from + i)), to + i);
      });
    });
  });
}

// dots[block] = sum of dy * branch over a block of rows.
void AddGatedBackward(const Matrix& branch, float factor, const Matrix& dy, const Matrix& dbranch, float* dots,
                      int64_t block) {
  const DF d;
  const VF by = hn::Set(d, factor);
  WithElementType(branch.dtype, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
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

void RowSums(const Matrix& x, float* sums, int64_t block) {
  ParallelBlocks(x.rows, block, [&](int64_t begin, int64_t end) {
    float* to = sums + begin / block * x.cols;
    std::fill(to, to + x.cols, 0.0f);
    for (int64_t r = begin; r < end; ++r) {
      const float* from = x.Row<float>(r);
      ForLanes(static_cast<size_t>(x.cols),
               [&](auto lanes, size_t i) { lanes.Store(hn::Add(lanes.Load(to + i), lanes.Load(from + i)), to + i); });
    }
  });
}

}  // namespace flashlm::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace flashlm::kernels {
namespace {

constexpr int64_t kGradBlock = 64;  // rows per partial sum

HWY_EXPORT(ReluSquaredForward);
HWY_EXPORT(ReluSquaredBackward);
HWY_EXPORT(GateForward);
HWY_EXPORT(GateBackward);
HWY_EXPORT(AddGatedForward);
HWY_EXPORT(AddGatedBackward);
HWY_EXPORT(RowSums);

float Sigmoid(float x) { return 1 / (1 + std::exp(-x)); }

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

void AddGated(const Matrix& x, const Matrix& branch, const float* gate, const Matrix& y) {
  FLASHLM_DISPATCH(AddGatedForward)(x, branch, Sigmoid(*gate), y);
}

int64_t AddGatedGradScratch(int64_t rows) { return BlockCount(rows, kGradBlock); }

void AddGatedGrad(const Matrix& branch, const float* gate, const Matrix& dy, const Matrix& dbranch, float* dgate,
                  float* scratch) {
  const float open = Sigmoid(*gate);
  FLASHLM_DISPATCH(AddGatedBackward)(branch, open, dy, dbranch, scratch, kGradBlock);
  double dot = 0;
  for (int64_t b = 0; b < BlockCount(dy.rows, kGradBlock); ++b) dot += scratch[b];
  *dgate += static_cast<float>(dot * open * (1 - open));
}

int64_t AddRowsScratch(int64_t rows, int64_t cols) { return BlockCount(rows, kGradBlock) * cols; }

void AddRows(const Matrix& x, float* sums, float* scratch) {
  FLASHLM_DISPATCH(RowSums)(x, scratch, kGradBlock);
  AddBlocks(scratch, BlockCount(x.rows, kGradBlock), x.cols, x.cols, sums);
}

}  // namespace flashlm::kernels
#endif  // HWY_ONCE
