#include "kernels/conv/conv.h"

#include <algorithm>

#include "base/parallel.h"
#include "kernels/blocks.h"
#include "kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/conv/conv.cc"
#include "hwy/foreach_target.h"
#include "kernels/lanes-inl.h"
#include "kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace flashlm::kernels::HWY_NAMESPACE {

// Channels i.. of c_t at row `row`. by_tap [K, C]: the kernel with channels side by side. The taps are summed from the
// oldest, wherever it is read from, so that a sequence in pieces gives the same bits.
template <class T, class Lanes>
HWY_INLINE VF Convolved(const ConvShape& shape, const Matrix& x, const float* by_tap, const float* state, int64_t row,
                        Lanes lanes, size_t i) {
  const DF d;
  const int64_t b = row / shape.length, t = row % shape.length, width = shape.width, last = shape.taps - 1;
  const int64_t before = std::max<int64_t>(0, last - t);  // taps that lie before the first position
  VF sum = hn::Zero(d);
  if (state != nullptr) {
    const float* history = state + (b * last + t) * width + i;
    for (int64_t j = 0; j < before; ++j) {
      sum = hn::MulAdd(lanes.Load(by_tap + j * width + i), lanes.Load(history + j * width), sum);
    }
  }
  const T* value = x.Row<T>(row - last) + width + i;
  for (int64_t j = before; j <= last; ++j) {
    sum = hn::MulAdd(lanes.Load(by_tap + j * width + i), lanes.Load(value + j * x.stride), sum);
  }
  return sum;
}

void ConvForward(const ConvShape& shape, const Matrix& x, const float* by_tap, const float* state, const Matrix& y) {
  const DF d;
  Dispatch(x.dtype, [&]<class T>() {
    ForRows(x.rows, x.cols, [&](int64_t r) {
      const T* gate = x.Row<T>(r);
      T* out = y.Row<T>(r);
      ForLanes(static_cast<size_t>(shape.width), [&](auto lanes, size_t i) {
        const VF c = Convolved<T>(shape, x, by_tap, state, r, lanes, i);
        lanes.Store(hn::Mul(QuickSigmoid(d, lanes.Load(gate + i)), c), out + i);
      });
    });
  });
}

// dgate, and dc [B*T, C] = dL/dc_t, which later rows' taps need.
void ConvGateBackward(const ConvShape& shape, const Matrix& x, const float* by_tap, const Matrix& dy, const Matrix& dx,
                      float* dc) {
  const DF d;
  Dispatch(x.dtype, [&]<class T>() {
    ForRows(x.rows, x.cols, [&](int64_t r) {
      const T *gate = x.Row<T>(r), *upstream = dy.Row<T>(r);
      T* dgate = dx.Row<T>(r);
      float* to_c = dc + r * shape.width;
      ForLanes(static_cast<size_t>(shape.width), [&](auto lanes, size_t i) {
        const VF c = Convolved<T>(shape, x, by_tap, nullptr, r, lanes, i);
        const VF s = QuickSigmoid(d, lanes.Load(gate + i)), g = lanes.Load(upstream + i);
        lanes.Store(hn::Mul(hn::Mul(g, c), hn::NegMulAdd(s, s, s)), dgate + i);
        lanes.Store(hn::Mul(g, s), to_c + i);
      });
    });
  });
}

// dw_t = sum_j kernel_j dc_{t+K-1-j}; sums [block, K, C]: dkernel_j = sum_t dc_t w_{t-K+1+j} of a block of rows.
void ConvValueBackward(const ConvShape& shape, const Matrix& x, const float* by_tap, const float* dc, const Matrix& dx,
                       float* sums, int64_t block) {
  const DF d;
  const int64_t width = shape.width, last = shape.taps - 1;
  Dispatch(x.dtype, [&]<class T>() {
    ParallelBlocks(x.rows, block, [&](int64_t begin, int64_t end) {
      float* partial = sums + begin / block * shape.taps * width;
      std::fill(partial, partial + shape.taps * width, 0.0f);
      for (int64_t r = begin; r < end; ++r) {
        const int64_t t = r % shape.length;
        const int64_t ahead = std::min(last, shape.length - 1 - t), behind = std::min(last, t);
        const T* value = x.Row<T>(r) + width;
        T* dvalue = dx.Row<T>(r) + width;
        const float* here = dc + r * width;
        ForLanes(static_cast<size_t>(width), [&](auto lanes, size_t i) {
          VF sum = hn::Zero(d);
          for (int64_t k = 0; k <= ahead; ++k) {
            sum = hn::MulAdd(lanes.Load(by_tap + (last - k) * width + i), lanes.Load(here + k * width + i), sum);
          }
          lanes.Store(sum, dvalue + i);
          const VF g = lanes.Load(here + i);
          for (int64_t k = 0; k <= behind; ++k) {
            float* to = partial + (last - k) * width + i;
            lanes.Store(hn::MulAdd(g, lanes.Load(value - k * x.stride + i), lanes.Load(to)), to);
          }
        });
      }
    });
  });
}

}  // namespace flashlm::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace flashlm::kernels {
namespace {

constexpr int64_t kGradBlock = 128;  // rows per partial sum of the kernel's gradient

HWY_EXPORT(ConvForward);
HWY_EXPORT(ConvGateBackward);
HWY_EXPORT(ConvValueBackward);

int64_t Blocks(const ConvShape& shape) { return BlockCount(shape.batch * shape.length, kGradBlock); }

// [C,K] -> [K,C]: vectors go along the channels.
void ByTap(const ConvShape& shape, const float* kernel, float* by_tap) {
  for (int64_t c = 0; c < shape.width; ++c) {
    for (int64_t j = 0; j < shape.taps; ++j) by_tap[j * shape.width + c] = kernel[c * shape.taps + j];
  }
}

}  // namespace

void GatedConv(const ConvShape& shape, const Matrix& x, const float* kernel, const float* state, const Matrix& y,
               float* scratch) {
  ByTap(shape, kernel, scratch);
  FLASHLM_DISPATCH(ConvForward)(shape, x, scratch, state, y);
}

int64_t GatedConvGradScratch(const ConvShape& shape) {
  return (shape.taps * (1 + Blocks(shape)) + shape.batch * shape.length) * shape.width;
}

void GatedConvGrad(const ConvShape& shape, const Matrix& x, const float* kernel, const Matrix& dy, const Matrix& dx,
                   float* dkernel, float* scratch) {
  float* by_tap = scratch;
  float* sums = by_tap + shape.taps * shape.width;
  float* dc = sums + Blocks(shape) * shape.taps * shape.width;
  ByTap(shape, kernel, by_tap);
  FLASHLM_DISPATCH(ConvGateBackward)(shape, x, by_tap, dy, dx, dc);
  FLASHLM_DISPATCH(ConvValueBackward)(shape, x, by_tap, dc, dx, sums, kGradBlock);
  for (int64_t b = 0; b < Blocks(shape); ++b) {
    const float* partial = sums + b * shape.taps * shape.width;
    for (int64_t c = 0; c < shape.width; ++c) {
      for (int64_t j = 0; j < shape.taps; ++j) dkernel[c * shape.taps + j] += partial[j * shape.width + c];
    }
  }
}

}  // namespace flashlm::kernels
#endif  // HWY_ONCE
