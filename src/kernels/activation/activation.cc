#include "kernels/activation/activation.h"

#include <algorithm>
#include <cstring>

#include "base/parallel.h"
#include "kernels/blocks.h"
#include "kernels/random/dropout.h"
#include "kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/activation/activation.cc"
#include "hwy/foreach_target.h"
#include "kernels/lanes-inl.h"
#include "kernels/random/philox-inl.h"
#include "kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace flashlm::kernels::HWY_NAMESPACE {

template <class T>
void SwiGluRow(const T* gate, const T* up, size_t cols, T* y) {
  const DF d;
  ForLanes(cols, [&](auto lanes, size_t i) {
    const VF g = lanes.Load(gate + i);
    lanes.Store(hn::Mul(hn::Mul(g, QuickSigmoid(d, g)), lanes.Load(up + i)), y + i);
  });
}

// With s = sigmoid(g): d silu(g)/dg = s * (1 + g * (1 - s)).
template <class T>
void SwiGluGradRow(const T* gate, const T* up, const T* dy, size_t cols, T* dgate, T* dup) {
  const DF d;
  const VF one = hn::Set(d, 1.0f);
  ForLanes(cols, [&](auto lanes, size_t i) {
    const VF g = lanes.Load(gate + i), u = lanes.Load(up + i), upstream = lanes.Load(dy + i);
    const VF s = QuickSigmoid(d, g);
    const VF weighted = hn::Mul(upstream, s);
    lanes.Store(hn::Mul(weighted, g), dup + i);
    lanes.Store(hn::Mul(hn::Mul(weighted, u), hn::MulAdd(g, hn::Sub(one, s), one)), dgate + i);
  });
}

template <class T>
void GateMixRow(const T* gate, const T* a, const T* b, size_t cols, T* y) {
  const DF d;
  ForLanes(cols, [&](auto lanes, size_t i) {
    const VF va = lanes.Load(a + i), vb = lanes.Load(b + i);
    lanes.Store(hn::MulAdd(QuickSigmoid(d, lanes.Load(gate + i)), hn::Sub(va, vb), vb), y + i);
  });
}

template <class T>
void GateMixGradRow(const T* gate, const T* a, const T* b, const T* dy, size_t cols, T* dgate, T* da, T* db) {
  const DF d;
  ForLanes(cols, [&](auto lanes, size_t i) {
    const VF difference = hn::Sub(lanes.Load(a + i), lanes.Load(b + i)), upstream = lanes.Load(dy + i);
    const VF s = QuickSigmoid(d, lanes.Load(gate + i));
    const VF to_a = hn::Mul(upstream, s);
    lanes.Store(hn::Mul(hn::NegMulAdd(to_a, s, to_a), difference), dgate + i);
    lanes.Store(to_a, da + i);
    lanes.Store(hn::Sub(upstream, to_a), db + i);
  });
}

void SwiGluForward(const Matrix& x, const Matrix& y) {
  WithElementType(x.dtype, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    ForRows(y.rows, y.cols,
            [&](int64_t r) { SwiGluRow(x.Row<T>(r), x.Row<T>(r) + y.cols, static_cast<size_t>(y.cols), y.Row<T>(r)); });
  });
}

void SwiGluBackward(const Matrix& x, const Matrix& dy, const Matrix& dx) {
  WithElementType(x.dtype, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    ForRows(dy.rows, dy.cols, [&](int64_t r) {
      SwiGluGradRow(x.Row<T>(r), x.Row<T>(r) + dy.cols, dy.Row<T>(r), static_cast<size_t>(dy.cols), dx.Row<T>(r),
                    dx.Row<T>(r) + dy.cols);
    });
  });
}

void GateMixForward(const Matrix& gate, const Matrix& a, const Matrix& b, const Matrix& y) {
  WithElementType(y.dtype, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    ForRows(y.rows, y.cols, [&](int64_t r) {
      GateMixRow(gate.Row<T>(r), a.Row<T>(r), b.Row<T>(r), static_cast<size_t>(y.cols), y.Row<T>(r));
    });
  });
}

void GateMixBackward(const Matrix& gate, const Matrix& a, const Matrix& b, const Matrix& dy, const Matrix& dgate,
                     const Matrix& da, const Matrix& db) {
  WithElementType(dy.dtype, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    ForRows(dy.rows, dy.cols, [&](int64_t r) {
      GateMixGradRow(gate.Row<T>(r), a.Row<T>(r), b.Row<T>(r), dy.Row<T>(r), static_cast<size_t>(dy.cols),
                     dgate.Row<T>(r), da.Row<T>(r), db.Row<T>(r));
    });
  });
}

// y = x, or base + x where base is not null.
template <class TX, class TY>
void CopyRow(const TX* x, const TY* base, size_t cols, TY* y) {
  if (base != nullptr) {
    ForLanes(cols, [&](auto lanes, size_t i) { lanes.Store(hn::Add(lanes.Load(base + i), lanes.Load(x + i)), y + i); });
  } else if constexpr (std::is_same_v<TX, TY>) {
    std::memcpy(y, x, cols * sizeof(TX));
  } else {
    ForLanes(cols, [&](auto lanes, size_t i) { lanes.Store(lanes.Load(x + i), y + i); });
  }
}

template <class TX, class TY>
void DropoutRow(const TX* x, const TY* base, const DropoutRule& rule, int64_t row, size_t cols, TY* y) {
  HWY_ALIGN float factors[kDropoutGroup];
  for (size_t start = 0; start < cols; start += kDropoutGroup) {
    DropoutGroup(rule, row, static_cast<int64_t>(start) / kDropoutGroup, factors);
    const size_t count = std::min<size_t>(kDropoutGroup, cols - start);
    if (base != nullptr) {
      ForLanes(count, [&](auto lanes, size_t i) {
        const VF sum = hn::MulAdd(lanes.Load(x + start + i), lanes.Load(factors + i), lanes.Load(base + start + i));
        lanes.Store(sum, y + start + i);
      });
    } else {
      ForLanes(count, [&](auto lanes, size_t i) {
        lanes.Store(hn::Mul(lanes.Load(x + start + i), lanes.Load(factors + i)), y + start + i);
      });
    }
  }
}

// y = (base or 0) + dropout(x); base has y's element type. `rule` null: without dropout.
void CopyScaled(const Matrix& x, const Matrix* base, const DropoutRule* rule, const Matrix& y) {
  WithElementType(x.dtype, [&](auto* x_type) {
    using TX = std::remove_pointer_t<decltype(x_type)>;
    WithElementType(y.dtype, [&](auto* y_type) {
      using TY = std::remove_pointer_t<decltype(y_type)>;
      ForRows(y.rows, y.cols, [&](int64_t r) {
        const TY* base_row = base != nullptr ? base->Row<TY>(r) : nullptr;
        if (rule != nullptr) {
          DropoutRow(x.Row<TX>(r), base_row, *rule, r, static_cast<size_t>(y.cols), y.Row<TY>(r));
        } else {
          CopyRow(x.Row<TX>(r), base_row, static_cast<size_t>(y.cols), y.Row<TY>(r));
        }
      });
    });
  });
}

void DotForward(const Matrix& x, const float* w, float* y) {
  const DF d;
  ForRows(x.rows, x.cols, [&](int64_t r) {
    const float* row = x.Row<float>(r);
    VF sum = hn::Zero(d);
    ForLanes(static_cast<size_t>(x.cols),
             [&](auto lanes, size_t i) { sum = hn::MulAdd(lanes.Load(row + i), lanes.Load(w + i), sum); });
    y[r] = SumLanes(d, sum);
  });
}

void DotBackward(const Matrix& x, const float* w, const float* dy, const Matrix& dx, bool accumulate, float* scratch,
                 int64_t block) {
  const DF d;
  const auto cols = static_cast<size_t>(x.cols);
  ParallelBlocks(x.rows, block, [&](int64_t begin, int64_t end) {
    float* partial = scratch + begin / block * x.cols;
    std::fill(partial, partial + cols, 0.0f);
    for (int64_t r = begin; r < end; ++r) {
      const float* row = x.Row<float>(r);
      float* out = dx.Row<float>(r);
      const VF upstream = hn::Set(d, dy[r]);
      ForLanes(cols, [&](auto lanes, size_t i) {
        lanes.Store(hn::MulAdd(upstream, lanes.Load(row + i), lanes.Load(partial + i)), partial + i);
        const VF old = accumulate ? lanes.Load(out + i) : hn::Zero(d);
        lanes.Store(hn::MulAdd(upstream, lanes.Load(w + i), old), out + i);
      });
    }
  });
}

}  // namespace flashlm::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace flashlm::kernels {
namespace {

constexpr int64_t kGradBlock = 64;  // rows per partial sum of RowDot's weight gradient

HWY_EXPORT(SwiGluForward);
HWY_EXPORT(SwiGluBackward);
HWY_EXPORT(GateMixForward);
HWY_EXPORT(GateMixBackward);
HWY_EXPORT(CopyScaled);
HWY_EXPORT(DotForward);
HWY_EXPORT(DotBackward);

void AddScaled(const Matrix& x, const Matrix* base, const Dropout& dropout, const Matrix& y) {
  const DropoutRule rule = MakeDropoutRule(dropout.p, dropout.key, dropout.step);
  FLASHLM_DISPATCH(CopyScaled)(x, base, dropout.p > 0 ? &rule : nullptr, y);
}

}  // namespace

void SwiGlu(const Matrix& x, const Matrix& y) { FLASHLM_DISPATCH(SwiGluForward)(x, y); }

void SwiGluGrad(const Matrix& x, const Matrix& dy, const Matrix& dx) { FLASHLM_DISPATCH(SwiGluBackward)(x, dy, dx); }

void GateMix(const Matrix& gate, const Matrix& a, const Matrix& b, const Matrix& y) {
  FLASHLM_DISPATCH(GateMixForward)(gate, a, b, y);
}

void GateMixGrad(const Matrix& gate, const Matrix& a, const Matrix& b, const Matrix& dy, const Matrix& dgate,
                 const Matrix& da, const Matrix& db) {
  FLASHLM_DISPATCH(GateMixBackward)(gate, a, b, dy, dgate, da, db);
}

void AddDropout(const Matrix& x, const Matrix& branch, const Dropout& dropout, const Matrix& y) {
  AddScaled(branch, &x, dropout, y);
}

void ApplyDropout(const Matrix& x, const Dropout& dropout, const Matrix& y, bool accumulate) {
  AddScaled(x, accumulate ? &y : nullptr, dropout, y);
}

void CopyMatrix(const Matrix& x, const Matrix& y, bool accumulate) {
  FLASHLM_DISPATCH(CopyScaled)(x, accumulate ? &y : nullptr, nullptr, y);
}

void RowDot(const Matrix& x, const float* w, float* y) { FLASHLM_DISPATCH(DotForward)(x, w, y); }

int64_t RowDotGradScratch(int64_t rows, int64_t cols) { return BlockCount(rows, kGradBlock) * cols; }

void RowDotGrad(const Matrix& x, const float* w, const float* dy, const Matrix& dx, bool accumulate, float* dw,
                float* scratch) {
  FLASHLM_DISPATCH(DotBackward)(x, w, dy, dx, accumulate, scratch, kGradBlock);
  AddBlocks(scratch, BlockCount(x.rows, kGradBlock), x.cols, x.cols, dw);
}

}  // namespace flashlm::kernels
#endif  // HWY_ONCE
