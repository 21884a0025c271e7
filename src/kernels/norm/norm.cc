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
#include "kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace flashlm::kernels::HWY_NAMESPACE {

template <class T>
void NormRow(const float* x, const float* gain, float eps, size_t cols, T* y, float* inv_rms) {
  const DF d;
  VF squares = hn::Zero(d);
  ForVectors(
      cols,
      [&](size_t i) {
        const VF v = hn::LoadU(d, x + i);
        squares = hn::MulAdd(v, v, squares);
      },
      [&](size_t i, size_t n) {
        const VF v = LoadPartial(d, x + i, n);
        squares = hn::MulAdd(v, v, squares);
      });
  const float scale = 1.0f / std::sqrt(SumLanes(d, squares) / static_cast<float>(cols) + eps);
  if (inv_rms != nullptr) *inv_rms = scale;
  const VF s = hn::Set(d, scale);
  ForVectors(
      cols, [&](size_t i) { StoreF32(hn::Mul(hn::Mul(hn::LoadU(d, x + i), s), hn::LoadU(d, gain + i)), d, y + i); },
      [&](size_t i, size_t n) {
        StorePartial(hn::Mul(hn::Mul(LoadPartial(d, x + i, n), s), LoadPartial(d, gain + i, n)), d, y + i, n);
      });
}

void Forward(const Matrix& x, const float* gain, float eps, const Matrix& y, float* inv_rms) {
  WithElementType(y.dtype, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    ParallelBlocks(x.rows, 16, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        NormRow(x.Row<float>(r), gain, eps, static_cast<size_t>(x.cols), y.Row<T>(r), inv_rms ? inv_rms + r : nullptr);
      }
    });
  });
}

// With n = x * s (s = inv_rms) and g = dy * gain: dx = s * (g - n * mean(g * n)); dgain += dy * n.
template <class T>
void GradRow(const float* x, const float* gain, float s, size_t cols, const T* dy, float* dx, bool accumulate,
             float* dgain) {
  const DF d;
  const VF vs = hn::Set(d, s);
  VF dot = hn::Zero(d);
  ForVectors(
      cols,
      [&](size_t i) {
        const VF n = hn::Mul(hn::LoadU(d, x + i), vs), g = LoadF32(d, dy + i);
        const VF gn = hn::Mul(g, n);
        dot = hn::MulAdd(gn, hn::LoadU(d, gain + i), dot);
        hn::StoreU(hn::Add(hn::LoadU(d, dgain + i), gn), d, dgain + i);
      },
      [&](size_t i, size_t n_left) {
        const VF n = hn::Mul(LoadPartial(d, x + i, n_left), vs), g = LoadPartial(d, dy + i, n_left);
        const VF gn = hn::Mul(g, n);
        dot = hn::MulAdd(gn, LoadPartial(d, gain + i, n_left), dot);
        StorePartial(hn::Add(LoadPartial(d, dgain + i, n_left), gn), d, dgain + i, n_left);
      });
  const VF mean = hn::Set(d, SumLanes(d, dot) / static_cast<float>(cols));
  const auto gradient = [&](VF vx, VF g, VF vgain) {
    return hn::Mul(vs, hn::NegMulAdd(hn::Mul(vx, vs), mean, hn::Mul(g, vgain)));
  };
  ForVectors(
      cols,
      [&](size_t i) {
        VF v = gradient(hn::LoadU(d, x + i), LoadF32(d, dy + i), hn::LoadU(d, gain + i));
        if (accumulate) v = hn::Add(v, hn::LoadU(d, dx + i));
        hn::StoreU(v, d, dx + i);
      },
      [&](size_t i, size_t n) {
        VF v = gradient(LoadPartial(d, x + i, n), LoadPartial(d, dy + i, n), LoadPartial(d, gain + i, n));
        if (accumulate) v = hn::Add(v, LoadPartial(d, dx + i, n));
        StorePartial(v, d, dx + i, n);
      });
}

void Backward(const Matrix& x, const float* gain, const float* inv_rms, const Matrix& dy, const Matrix& dx,
              bool accumulate, float* scratch, int64_t block) {
  WithElementType(dy.dtype, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    ParallelBlocks(x.rows, block, [&](int64_t begin, int64_t end) {
      float* partial = scratch + begin / block * x.cols;
      std::fill(partial, partial + x.cols, 0.0f);
      for (int64_t r = begin; r < end; ++r) {
        GradRow(x.Row<float>(r), gain, inv_rms[r], static_cast<size_t>(x.cols), dy.Row<T>(r), dx.Row<float>(r),
                accumulate, partial);
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
