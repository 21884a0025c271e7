#include "kernels/shift/shift.h"

#include <algorithm>
#include <cstring>

#include "base/parallel.h"
#include "kernels/blocks.h"
#include "kernels/simd.h"
#include "kernels/vector/vector.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/shift/shift.cc"
#include "hwy/foreach_target.h"
#include "kernels/lanes-inl.h"
#include "kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace flashlm::kernels::HWY_NAMESPACE {

// Calls body(row before or null) for the row `lag` positions before `row`: of x, of the state, or none.
template <class T, class Body>
HWY_INLINE void WithPast(const ShiftShape& shape, const Matrix& x, const float* state, int64_t row, const Body& body) {
  const int64_t b = row / shape.length, t = row % shape.length;
  if (t >= shape.lag) {
    body(static_cast<const T*>(x.Row<T>(row - shape.lag)));
  } else if (state != nullptr) {
    body(state + (b * shape.lag + t) * x.cols);
  } else {
    body(static_cast<const T*>(nullptr));
  }
}

template <class T, class P>
void ShiftRow(const T* now, const P* before, const float* mix, size_t cols, T* y) {
  const DF d;
  ForLanes(cols, [&](auto lanes, size_t i) {
    const VF past = before == nullptr ? hn::Zero(d) : lanes.Load(before + i);
    const VF m = QuickSigmoid(d, lanes.Load(mix + i));
    lanes.Store(hn::MulAdd(m, hn::Sub(lanes.Load(now + i), past), past), y + i);
  });
}

void ShiftForward(const ShiftShape& shape, const Matrix& x, const float* mix, const float* state, const Matrix& y) {
  Dispatch(x.dtype, [&]<class T>() {
    ForRows(x.rows, x.cols, [&](int64_t r) {
      WithPast<T>(shape, x, state, r,
                  [&](auto* before) { ShiftRow(x.Row<T>(r), before, mix, static_cast<size_t>(x.cols), y.Row<T>(r)); });
    });
  });
}

// dx_t = m dy_t + (1 - m) dy_{t+1}; dmix += m (1 - m) dy_t (x_t - x_{t-1}).
template <class T>
void ShiftGradRow(const T* now, const T* before, const float* mix, const T* dy, const T* later, size_t cols, T* dx,
                  bool accumulate, float* dmix) {
  const DF d;
  ForLanes(cols, [&](auto lanes, size_t i) {
    const VF past = before == nullptr ? hn::Zero(d) : lanes.Load(before + i);
    const VF m = QuickSigmoid(d, lanes.Load(mix + i)), g = lanes.Load(dy + i);
    const VF next = later == nullptr ? hn::Zero(d) : lanes.Load(later + i);
    VF to_x = hn::MulAdd(m, hn::Sub(g, next), next);
    if (accumulate) to_x = hn::Add(to_x, lanes.Load(dx + i));
    lanes.Store(to_x, dx + i);
    const VF slope = hn::NegMulAdd(m, m, m), change = hn::Sub(lanes.Load(now + i), past);
    lanes.Store(hn::MulAdd(hn::Mul(slope, g), change, lanes.Load(dmix + i)), dmix + i);
  });
}

void ShiftBackward(const ShiftShape& shape, const Matrix& x, const float* mix, const Matrix& dy, const Matrix& dx,
                   bool accumulate, float* scratch, int64_t block) {
  Dispatch(x.dtype, [&]<class T>() {
    ParallelBlocks(x.rows, block, [&](int64_t begin, int64_t end) {
      float* partial = scratch + begin / block * x.cols;
      std::fill(partial, partial + x.cols, 0.0f);
      for (int64_t r = begin; r < end; ++r) {
        const int64_t t = r % shape.length;
        ShiftGradRow<T>(x.Row<T>(r), t == 0 ? nullptr : x.Row<T>(r - 1), mix, dy.Row<T>(r),
                        t + 1 == shape.length ? nullptr : dy.Row<T>(r + 1), static_cast<size_t>(x.cols), dx.Row<T>(r),
                        accumulate, partial);
      }
    });
  });
}

void PairForward(const ShiftShape& shape, const Matrix& x, const float* state, const Matrix& y) {
  const DF d;
  const auto cols = static_cast<size_t>(x.cols);
  Dispatch(x.dtype, [&]<class T>() {
    ForRows(x.rows, y.cols, [&](int64_t r) {
      T* out = y.Row<T>(r);
      std::memcpy(out, x.Row<T>(r), cols * sizeof(T));
      WithPast<T>(shape, x, state, r, [&](auto* before) {
        ForLanes(cols, [&](auto lanes, size_t i) {
          lanes.Store(before == nullptr ? hn::Zero(d) : lanes.Load(before + i), out + cols + i);
        });
      });
    });
  });
}

// dx_t = dy_t's first half + dy_{t+lag}'s second.
void PairBackward(const ShiftShape& shape, const Matrix& dy, const Matrix& dx, bool accumulate) {
  const auto cols = static_cast<size_t>(dx.cols);
  Dispatch(dx.dtype, [&]<class T>() {
    ForRows(dx.rows, dy.cols, [&](int64_t r) {
      const T* here = dy.Row<T>(r);
      const T* later = r % shape.length + shape.lag < shape.length ? dy.Row<T>(r + shape.lag) + cols : nullptr;
      T* to = dx.Row<T>(r);
      ForLanes(cols, [&](auto lanes, size_t i) {
        VF sum = lanes.Load(here + i);
        if (later != nullptr) sum = hn::Add(sum, lanes.Load(later + i));
        if (accumulate) sum = hn::Add(sum, lanes.Load(to + i));
        lanes.Store(sum, to + i);
      });
    });
  });
}

}  // namespace flashlm::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace flashlm::kernels {
namespace {

constexpr int64_t kGradBlock = 64;  // rows per partial sum of the mix's gradient

HWY_EXPORT(ShiftForward);
HWY_EXPORT(ShiftBackward);
HWY_EXPORT(PairForward);
HWY_EXPORT(PairBackward);

}  // namespace

void TokenShift(const ShiftShape& shape, const Matrix& x, const float* mix, const float* state, const Matrix& y) {
  FLASHLM_DISPATCH(ShiftForward)(shape, x, mix, state, y);
}

int64_t TokenShiftGradScratch(int64_t rows, int64_t cols) { return BlockCount(rows, kGradBlock) * cols; }

void TokenShiftGrad(const ShiftShape& shape, const Matrix& x, const float* mix, const Matrix& dy, const Matrix& dx,
                    bool accumulate, float* dmix, float* scratch) {
  FLASHLM_DISPATCH(ShiftBackward)(shape, x, mix, dy, dx, accumulate, scratch, kGradBlock);
  AddBlocks(scratch, BlockCount(x.rows, kGradBlock), x.cols, x.cols, dmix);
}

void PairWithPast(const ShiftShape& shape, const Matrix& x, const float* state, const Matrix& y) {
  FLASHLM_DISPATCH(PairForward)(shape, x, state, y);
}

void PairWithPastGrad(const ShiftShape& shape, const Matrix& dy, const Matrix& dx, bool accumulate) {
  FLASHLM_DISPATCH(PairBackward)(shape, dy, dx, accumulate);
}

void UpdateHistory(const ShiftShape& shape, const Matrix& x, float* state) {
  const int64_t fresh = std::min(shape.lag, shape.length), old = shape.lag - fresh;
  for (int64_t b = 0; b < shape.batch; ++b) {
    float* rows = state + b * shape.lag * x.cols;
    std::memmove(rows, rows + fresh * x.cols, static_cast<size_t>(old * x.cols) * sizeof(float));
    for (int64_t i = 0; i < fresh; ++i) {
      Copy(x.Rows((b + 1) * shape.length - fresh + i, 1), {rows + (old + i) * x.cols, DType::kF32, 1, x.cols, x.cols},
           false);
    }
  }
}

}  // namespace flashlm::kernels
#endif  // HWY_ONCE
