#include "kernels/norm/norm.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/parallel.h"
#include "kernels/blocks.h"
#include "kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/norm/norm.cc"
#include "hwy/foreach_target.h"
#include "kernels/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace flashlm::kernels::HWY_NAMESPACE {

template <class T>
void NormRow(const float* x, const float* gain, float eps, int64_t cols, T* y, float* inv_rms) {
  const DF d;
  VF squares = hn::Zero(d);
  ForLanes(static_cast<size_t>(cols), [&](auto lanes, size_t i) {
    const VF v = lanes.Load(x + i);
    squares = hn::MulAdd(v, v, squares);
  });
  const float scale = 1.0f / std::sqrt(SumLanes(d, squares) / static_cast<float>(cols) + eps);
  if (inv_rms != nullptr) *inv_rms = scale;
  const VF s = hn::Set(d, scale);
  MapRow(
      cols, [=](VF v, VF g) { return hn::Mul(hn::Mul(v, s), g); }, y, x, gain);
}

void Forward(const Matrix& x, const float* gain, float eps, const Matrix& y, float* inv_rms) {
  Dispatch(y.dtype, [&]<class T>() {
    ParallelBlocks(x.rows, 16, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        NormRow(x.Row<float>(r), gain, eps, x.cols, y.Row<T>(r), inv_rms ? inv_rms + r : nullptr);
      }
    });
  });
}

// With n = x * s (s = inv_rms) and g = dy * gain: dx = s * (g - n * mean(g * n)); dgain += dy * n.
template <class T>
void GradRow(const float* x, const float* gain, float s, int64_t cols, const T* dy, float* dx, bool accumulate,
             float* dgain) {
  const DF d;
  const VF vs = hn::Set(d, s);
  VF dot = hn::Zero(d);
  ForLanes(static_cast<size_t>(cols), [&](auto lanes, size_t i) {
    const VF n = hn::Mul(lanes.Load(x + i), vs), gn = hn::Mul(lanes.Load(dy + i), n);
    dot = hn::MulAdd(gn, lanes.Load(gain + i), dot);
    lanes.Store(hn::Add(lanes.Load(dgain + i), gn), dgain + i);
  });
  const VF mean = hn::Set(d, SumLanes(d, dot) / static_cast<float>(cols));
  const auto gradient = [=](VF vx, VF g, VF vgain) {
    return hn::Mul(vs, hn::NegMulAdd(hn::Mul(vx, vs), mean, hn::Mul(g, vgain)));
  };
  MapRowInto(cols, accumulate, gradient, dx, x, dy, gain);
}

void Backward(const Matrix& x, const float* gain, const float* inv_rms, const Matrix& dy, const Matrix& dx,
              bool accumulate, float* scratch, int64_t block) {
  Dispatch(dy.dtype, [&]<class T>() {
    ParallelBlocks(x.rows, block, [&](int64_t begin, int64_t end) {
      float* partial = scratch + begin / block * x.cols;
      std::fill(partial, partial + x.cols, 0.0f);
      for (int64_t r = begin; r < end; ++r) {
        GradRow(x.Row<float>(r), gain, inv_rms[r], x.cols, dy.Row<T>(r), dx.Row<float>(r), accumulate, partial);
      }
    });
  });
}

}  // namespace flashlm::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace flashlm::kernels {
namespace {

constexpr int64_t kGradBlock = 64;  // rows per partial sum of the gain's gradient

HWY_EXPORT(Forward);
HWY_EXPORT(Backward);

}  // namespace

void RmsNorm(const Matrix& x, const float* gain, float eps, const Matrix& y, float* inv_rms) {
  FLASHLM_DISPATCH(Forward)(x, gain, eps, y, inv_rms);
}

int64_t RmsNormGradScratch(int64_t rows, int64_t cols) { return BlockCount(rows, kGradBlock) * cols; }

void RmsNormGrad(const Matrix& x, const float* gain, const float* inv_rms, const Matrix& dy, const Matrix& dx,
                 bool accumulate, float* dgain, float* scratch) {
  FLASHLM_DISPATCH(Backward)(x, gain, inv_rms, dy, dx, accumulate, scratch, kGradBlock);
  AddBlocks(scratch, BlockCount(x.rows, kGradBlock), x.cols, x.cols, dgain);
}

}  // namespace flashlm::kernels
#endif  // HWY_ONCE
