#include "kernels/norm/layer_norm.h"

#include <algorithm>
#include <cmath>

#include "base/parallel.h"
#include "kernels/blocks.h"
#include "kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/norm/layer_norm.cc"
#include "hwy/foreach_target.h"
#include "kernels/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace flashlm::kernels::HWY_NAMESPACE {

template <class TX, class TY>
void NormGroup(const TX* x, const float* gain, const float* bias, float eps, size_t cols, TY* y, float* moments) {
  const DF d;
  VF sum = hn::Zero(d);
  ForLanes(cols, [&](auto lanes, size_t i) { sum = hn::Add(sum, lanes.Load(x + i)); });
  const float mean = SumLanes(d, sum) / static_cast<float>(cols);
  const VF center = hn::Set(d, mean);
  VF squares = hn::Zero(d);
  ForLanes(cols, [&](auto lanes, size_t i) {
    const VF v = lanes.ZeroBeyond(hn::Sub(lanes.Load(x + i), center));
    squares = hn::MulAdd(v, v, squares);
  });
  const float inverse = 1.0f / std::sqrt(SumLanes(d, squares) / static_cast<float>(cols) + eps);
  if (moments != nullptr) {
    moments[0] = mean;
    moments[1] = inverse;
  }
  const VF by = hn::Set(d, inverse);
  ForLanes(cols, [&](auto lanes, size_t i) {
    const VF v = hn::Mul(hn::Sub(lanes.Load(x + i), center), by);
    lanes.Store(hn::MulAdd(v, lanes.Load(gain + i), lanes.Load(bias + i)), y + i);
  });
}

void LayerForward(const Matrix& x, const float* gain, const float* bias, int groups, float eps, const Matrix& y,
                  float* moments) {
  const int64_t width = x.cols / groups;
  Dispatch(x.dtype, y.dtype, [&]<class TX, class TY>() {
    ParallelBlocks(x.rows, 16, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        for (int64_t g = 0; g < groups; ++g) {
          NormGroup(x.Row<TX>(r) + g * width, gain + g * width, bias + g * width, eps, static_cast<size_t>(width),
                    y.Row<TY>(r) + g * width, moments == nullptr ? nullptr : moments + (r * groups + g) * 2);
        }
      }
    });
  });
}

// With n = (x - mean) * s and g = dy * gain: dx = s * (g - mean(g) - n * mean(g * n)); dgain += dy * n; dbias += dy.
template <class TX, class TY>
void GradGroup(const TX* x, const float* gain, const float* moments, size_t cols, const TY* dy, TX* dx, bool accumulate,
               float* dgain, float* dbias) {
  const DF d;
  const VF center = hn::Set(d, moments[0]), s = hn::Set(d, moments[1]);
  VF sum = hn::Zero(d), dot = hn::Zero(d);
  ForLanes(cols, [&](auto lanes, size_t i) {
    // Beyond the last column dy is zero, and with it every product.
    const VF n = hn::Mul(hn::Sub(lanes.Load(x + i), center), s), upstream = lanes.Load(dy + i);
    const VF g = hn::Mul(upstream, lanes.Load(gain + i));
    sum = hn::Add(sum, g);
    dot = hn::MulAdd(g, n, dot);
    lanes.Store(hn::MulAdd(upstream, n, lanes.Load(dgain + i)), dgain + i);
    lanes.Store(hn::Add(upstream, lanes.Load(dbias + i)), dbias + i);
  });
  const VF mean_g = hn::Set(d, SumLanes(d, sum) / static_cast<float>(cols));
  const VF mean_gn = hn::Set(d, SumLanes(d, dot) / static_cast<float>(cols));
  ForLanes(cols, [&](auto lanes, size_t i) {
    const VF n = hn::Mul(hn::Sub(lanes.Load(x + i), center), s);
    const VF g = hn::Mul(lanes.Load(dy + i), lanes.Load(gain + i));
    VF v = hn::Mul(s, hn::NegMulAdd(n, mean_gn, hn::Sub(g, mean_g)));
    if (accumulate) v = hn::Add(v, lanes.Load(dx + i));
    lanes.Store(v, dx + i);
  });
}

void LayerBackward(const Matrix& x, const float* gain, int groups, const float* moments, const Matrix& dy,
                   const Matrix& dx, bool accumulate, float* scratch, int64_t block) {
  const int64_t width = x.cols / groups;
  Dispatch(x.dtype, dy.dtype, [&]<class TX, class TY>() {
    ParallelBlocks(x.rows, block, [&](int64_t begin, int64_t end) {
      float* partial = scratch + begin / block * 2 * x.cols;  // dgain | dbias
      std::fill(partial, partial + 2 * x.cols, 0.0f);
      for (int64_t r = begin; r < end; ++r) {
        for (int64_t g = 0; g < groups; ++g) {
          const int64_t at = g * width;
          GradGroup(x.Row<TX>(r) + at, gain + at, moments + (r * groups + g) * 2, static_cast<size_t>(width),
                    dy.Row<TY>(r) + at, dx.Row<TX>(r) + at, accumulate, partial + at, partial + x.cols + at);
        }
      }
    });
  });
}

}  // namespace flashlm::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace flashlm::kernels {
namespace {

constexpr int64_t kGradBlock = 64;  // rows per partial sum of the gain's and the bias's gradient

HWY_EXPORT(LayerForward);
HWY_EXPORT(LayerBackward);

}  // namespace

void LayerNorm(const Matrix& x, const float* gain, const float* bias, int groups, float eps, const Matrix& y,
               float* moments) {
  FLASHLM_DISPATCH(LayerForward)(x, gain, bias, groups, eps, y, moments);
}

int64_t LayerNormGradScratch(int64_t rows, int64_t cols) { return BlockCount(rows, kGradBlock) * 2 * cols; }

void LayerNormGrad(const Matrix& x, const float* gain, int groups, const float* moments, const Matrix& dy,
                   const Matrix& dx, bool accumulate, float* dgain, float* dbias, float* scratch) {
  FLASHLM_DISPATCH(LayerBackward)(x, gain, groups, moments, dy, dx, accumulate, scratch, kGradBlock);
  const int64_t blocks = BlockCount(x.rows, kGradBlock);
  AddBlocks(scratch, blocks, 2 * x.cols, x.cols, dgain);
  AddBlocks(scratch + x.cols, blocks, 2 * x.cols, x.cols, dbias);
}

}  // namespace flashlm::kernels
#endif  // HWY_ONCE
