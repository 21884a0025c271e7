#include "kernels/norm/layer_norm.h"

#include <algorithm>
#include <cmath>

#include "base/parallel.h"
#include "kernels/blocks.h"
#include "kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/norm/layer_norm.cc"
#include "hwy/foreach_target.h"
#include "kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace flashlm::kernels::HWY_NAMESPACE {

// Loads and stores at i, whole vectors or the last n columns of a group, so that each formula below is
// written once.
template <class T>
HWY_INLINE VF LoadAt(const T* p, size_t i, size_t n) {
  const DF d;
  return n == hn::Lanes(d) ? LoadF32(d, p + i) : LoadPartial(d, p + i, n);
}
template <class T>
HWY_INLINE void StoreAt(VF v, T* p, size_t i, size_t n) {
  const DF d;
  if (n == hn::Lanes(d)) {
    StoreF32(v, d, p + i);
  } else {
    StorePartial(v, d, p + i, n);
  }
}
template <class F>
HWY_INLINE void ForGroup(size_t cols, const F& f) {
  const size_t lanes = hn::Lanes(DF());
  for (size_t i = 0; i < cols; i += lanes) f(i, std::min(lanes, cols - i));
}

// Lanes beyond n are zero in a partial load, so a mean is taken off only where there is a column.
HWY_INLINE VF Centered(VF v, float mean, size_t n) {
  const DF d;
  return hn::IfThenElseZero(hn::FirstN(d, n), hn::Sub(v, hn::Set(d, mean)));
}

template <class TX, class TY>
void NormGroup(const TX* x, const float* gain, const float* bias, float eps, size_t cols, TY* y,
               float* moments) {
  const DF d;
  VF sum = hn::Zero(d);
  ForGroup(cols, [&](size_t i, size_t n) { sum = hn::Add(sum, LoadAt(x, i, n)); });
  const float mean = SumLanes(d, sum) / static_cast<float>(cols);
  VF squares = hn::Zero(d);
  ForGroup(cols, [&](size_t i, size_t n) {
    const VF v = Centered(LoadAt(x, i, n), mean, n);
    squares = hn::MulAdd(v, v, squares);
  });
  const float inverse = 1.0f / std::sqrt(SumLanes(d, squares) / static_cast<float>(cols) + eps);
  if (moments != nullptr) {
    moments[0] = mean;
    moments[1] = inverse;
  }
  const VF by = hn::Set(d, inverse);
  ForGroup(cols, [&](size_t i, size_t n) {
    const VF v = hn::Mul(Centered(LoadAt(x, i, n), mean, n), by);
    StoreAt(hn::MulAdd(v, LoadAt(gain, i, n), LoadAt(bias, i, n)), y, i, n);
  });
}

void LayerForward(const Matrix& x, const float* gain, const float* bias, int groups, float eps,
                  const Matrix& y, float* moments) {
  const int64_t width = x.cols / groups;
  WithElementType(x.dtype, [&](auto* x_type) {
    WithElementType(y.dtype, [&](auto* y_type) {
      using TX = std::remove_pointer_t<decltype(x_type)>;
      using TY = std::remove_pointer_t<decltype(y_type)>;
      ParallelBlocks(x.rows, 16, [&](int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; ++r) {
          for (int64_t g = 0; g < groups; ++g) {
            NormGroup(x.Row<TX>(r) + g * width, gain + g * width, bias + g * width, eps,
                      static_cast<size_t>(width), y.Row<TY>(r) + g * width,
                      moments == nullptr ? nullptr : moments + (r * groups + g) * 2);
          }
        }
      });
    });
  });
}

// With n = (x - mean) * s and g = dy * gain: dx = s * (g - mean(g) - n * mean(g * n)); dgain += dy * n; dbias
// += dy.
template <class TX, class TY>
void GradGroup(const TX* x, const float* gain, const float* moments, size_t cols, const TY* dy, TX* dx,
               bool accumulate, float* dgain, float* dbias) {
  const DF d;
  const float mean = moments[0];
  const VF s = hn::Set(d, moments[1]);
  VF sum = hn::Zero(d), dot = hn::Zero(d);
  ForGroup(cols, [&](size_t i, size_t count) {
    const VF n = hn::Mul(Centered(LoadAt(x, i, count), mean, count), s), upstream = LoadAt(dy, i, count);
    const VF g = hn::Mul(upstream, LoadAt(gain, i, count));
    sum = hn::Add(sum, g);
    dot = hn::MulAdd(g, n, dot);
    StoreAt(hn::MulAdd(upstream, n, LoadAt(dgain, i, count)), dgain, i, count);
    StoreAt(hn::Add(upstream, LoadAt(dbias, i, count)), dbias, i, count);
  });
  const VF mean_g = hn::Set(d, SumLanes(d, sum) / static_cast<float>(cols));
  const VF mean_gn = hn::Set(d, SumLanes(d, dot) / static_cast<float>(cols));
  ForGroup(cols, [&](size_t i, size_t count) {
    const VF n = hn::Mul(Centered(LoadAt(x, i, count), mean, count), s);
    const VF g = hn::Mul(LoadAt(dy, i, count), LoadAt(gain, i, count));
    VF v = hn::Mul(s, hn::NegMulAdd(n, mean_gn, hn::Sub(g, mean_g)));
    if (accumulate) v = hn::Add(v, LoadAt(dx, i, count));
    StoreAt(v, dx, i, count);
  });
}

void LayerBackward(const Matrix& x, const float* gain, int groups, const float* moments, const Matrix& dy,
                   const Matrix& dx, bool accumulate, float* scratch, int64_t block) {
  const int64_t width = x.cols / groups;
  WithElementType(x.dtype, [&](auto* x_type) {
    WithElementType(dy.dtype, [&](auto* y_type) {
      using TX = std::remove_pointer_t<decltype(x_type)>;
      using TY = std::remove_pointer_t<decltype(y_type)>;
      ParallelBlocks(x.rows, block, [&](int64_t begin, int64_t end) {
        float* partial = scratch + begin / block * 2 * x.cols;  // dgain | dbias
        std::fill(partial, partial + 2 * x.cols, 0.0f);
        for (int64_t r = begin; r < end; ++r) {
          for (int64_t g = 0; g < groups; ++g) {
            const int64_t at = g * width;
            GradGroup(x.Row<TX>(r) + at, gain + at, moments + (r * groups + g) * 2,
                      static_cast<size_t>(width), dy.Row<TY>(r) + at, dx.Row<TX>(r) + at, accumulate,
                      partial + at, partial + x.cols + at);
          }
        }
      });
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

int64_t LayerNormGradScratch(int64_t rows, int64_t cols) {
  return BlockCount(rows, kGradBlock) * 2 * cols;
}

void LayerNormGrad(const Matrix& x, const float* gain, int groups, const float* moments, const Matrix& dy,
                   const Matrix& dx, bool accumulate, float* dgain, float* dbias, float* scratch) {
  FLASHLM_DISPATCH(LayerBackward)(x, gain, groups, moments, dy, dx, accumulate, scratch, kGradBlock);
  const int64_t blocks = BlockCount(x.rows, kGradBlock);
  AddBlocks(scratch, blocks, 2 * x.cols, x.cols, dgain);
  AddBlocks(scratch + x.cols, blocks, 2 * x.cols, x.cols, dbias);
}

}  // namespace flashlm::kernels
#endif  // HWY_ONCE
