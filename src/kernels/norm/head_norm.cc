#include "kernels/norm/head_norm.h"

#include <algorithm>
#include <cmath>

#include "base/parallel.h"
#include "kernels/blocks.h"
#include "kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/norm/head_norm.cc"
#include "hwy/foreach_target.h"
#include "kernels/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace flashlm::kernels::HWY_NAMESPACE {

// y = x / rms(x) * gain of one head; returns 1 / rms.
template <class T>
HWY_INLINE float NormHead(const T* x, const float* gain, float eps, size_t dim, T* y) {
  const DF d;
  VF squares = hn::Zero(d);
  ForLanes(dim, [&](auto lanes, size_t i) {
    const VF v = lanes.Load(x + i);
    squares = hn::MulAdd(v, v, squares);
  });
  const float inverse = 1.0f / std::sqrt(SumLanes(d, squares) / static_cast<float>(dim) + eps);
  const VF s = hn::Set(d, inverse);
  ForLanes(dim, [&](auto lanes, size_t i) {
    lanes.Store(hn::Mul(hn::Mul(lanes.Load(x + i), s), lanes.Load(gain + i)), y + i);
  });
  return inverse;
}

// With n = x / rms and g = dy * gain: dx = (g - n * mean(g * n)) / rms; dgain += dy * n.
template <class T>
HWY_INLINE void GradHead(const T* x, const float* gain, float inverse, size_t dim, const T* dy, T* dx, float* dgain) {
  const DF d;
  const VF s = hn::Set(d, inverse);
  VF dot = hn::Zero(d);
  ForLanes(dim, [&](auto lanes, size_t i) {
    const VF gn = hn::Mul(lanes.Load(dy + i), hn::Mul(lanes.Load(x + i), s));
    dot = hn::MulAdd(gn, lanes.Load(gain + i), dot);
    lanes.Store(hn::Add(lanes.Load(dgain + i), gn), dgain + i);
  });
  const VF mean = hn::Set(d, SumLanes(d, dot) / static_cast<float>(dim));
  ForLanes(dim, [&](auto lanes, size_t i) {
    const VF n = hn::Mul(lanes.Load(x + i), s), g = hn::Mul(lanes.Load(dy + i), lanes.Load(gain + i));
    lanes.Store(hn::Mul(s, hn::NegMulAdd(n, mean, g)), dx + i);
  });
}

void HeadForward(const Matrix& x, const float* gains, int64_t parts, int64_t dim, float eps, const Matrix& y,
                 float* inv_rms) {
  const int64_t runs = x.cols / dim, heads = runs / parts;
  Dispatch(x.dtype, [&]<class T>() {
    ParallelBlocks(x.rows, 32, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        for (int64_t run = 0; run < runs; ++run) {
          const float inverse = NormHead(x.Row<T>(r) + run * dim, gains + run / heads * dim, eps,
                                         static_cast<size_t>(dim), y.Row<T>(r) + run * dim);
          if (inv_rms != nullptr) inv_rms[r * runs + run] = inverse;
        }
      }
    });
  });
}

void HeadBackward(const Matrix& x, const float* gains, int64_t parts, int64_t dim, const float* inv_rms,
                  const Matrix& dy, const Matrix& dx, float* scratch, int64_t block) {
  const int64_t runs = x.cols / dim, heads = runs / parts;
  Dispatch(x.dtype, [&]<class T>() {
    ParallelBlocks(x.rows, block, [&](int64_t begin, int64_t end) {
      float* partial = scratch + begin / block * parts * dim;
      std::fill(partial, partial + parts * dim, 0.0f);
      for (int64_t r = begin; r < end; ++r) {
        for (int64_t run = 0; run < runs; ++run) {
          const int64_t at = run * dim, part = run / heads * dim;
          GradHead(x.Row<T>(r) + at, gains + part, inv_rms[r * runs + run], static_cast<size_t>(dim), dy.Row<T>(r) + at,
                   dx.Row<T>(r) + at, partial + part);
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

constexpr int64_t kGradBlock = 64;  // rows per partial sum of the gains' gradient

HWY_EXPORT(HeadForward);
HWY_EXPORT(HeadBackward);

}  // namespace

void HeadNorm(const Matrix& x, const float* gains, int64_t parts, int64_t dim, float eps, const Matrix& y,
              float* inv_rms) {
  FLASHLM_DISPATCH(HeadForward)(x, gains, parts, dim, eps, y, inv_rms);
}

int64_t HeadNormGradScratch(int64_t rows, int64_t parts, int64_t dim) {
  return BlockCount(rows, kGradBlock) * parts * dim;
}

void HeadNormGrad(const Matrix& x, const float* gains, int64_t parts, int64_t dim, const float* inv_rms,
                  const Matrix& dy, const Matrix& dx, float* dgains, float* scratch) {
  FLASHLM_DISPATCH(HeadBackward)(x, gains, parts, dim, inv_rms, dy, dx, scratch, kGradBlock);
  AddBlocks(scratch, BlockCount(x.rows, kGradBlock), parts * dim, parts * dim, dgains);
}

}  // namespace flashlm::kernels
#endif  // HWY_ONCE
