#include "kernels/attention/differential.h"

#include <cmath>

#include "base/parallel.h"
#include "kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/attention/differential.cc"
#include "hwy/foreach_target.h"
#include "kernels/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace flashlm::kernels::HWY_NAMESPACE {

constexpr float kDifferentialEps = 1e-6f;

// One head: y = z / rms(z), z = first - lambda * second; returns 1 / rms(z).
template <class T>
HWY_INLINE float Subtract(const T* first, const T* second, float lambda, size_t dim, T* y) {
  const DF d;
  const VF factor = hn::Set(d, lambda);
  VF squares = hn::Zero(d);
  ForLanes(dim, [&](auto lanes, size_t i) {
    const VF z = hn::NegMulAdd(factor, lanes.Load(second + i), lanes.Load(first + i));
    squares = hn::MulAdd(z, z, squares);
  });
  const float inverse = 1.0f / std::sqrt(SumLanes(d, squares) / static_cast<float>(dim) + kDifferentialEps);
  const VF s = hn::Set(d, inverse);
  ForLanes(dim, [&](auto lanes, size_t i) {
    const VF z = hn::NegMulAdd(factor, lanes.Load(second + i), lanes.Load(first + i));
    lanes.Store(hn::Mul(z, s), y + i);
  });
  return inverse;
}

// dz = (dy - y * mean(dy * y)) / rms; dfirst = dz, dsecond = -lambda dz. Returns -<second, dz>.
template <class T>
HWY_INLINE float SubtractGrad(const T* second, float lambda, const T* y, float inverse, const T* dy, size_t dim,
                              T* dfirst, T* dsecond) {
  const DF d;
  VF dot = hn::Zero(d), dlambda = hn::Zero(d);
  ForLanes(dim, [&](auto lanes, size_t i) { dot = hn::MulAdd(lanes.Load(dy + i), lanes.Load(y + i), dot); });
  const VF mean = hn::Set(d, SumLanes(d, dot) / static_cast<float>(dim));
  const VF s = hn::Set(d, inverse), factor = hn::Set(d, -lambda);
  ForLanes(dim, [&](auto lanes, size_t i) {
    const VF dz = hn::Mul(s, hn::NegMulAdd(lanes.Load(y + i), mean, lanes.Load(dy + i)));
    dlambda = hn::NegMulAdd(lanes.Load(second + i), dz, dlambda);
    lanes.Store(dz, dfirst + i);
    lanes.Store(hn::Mul(factor, dz), dsecond + i);
  });
  return SumLanes(d, dlambda);
}

void DifferentialForward(const Matrix& x, float lambda, int64_t dim, const Matrix& y, float* inv_rms) {
  const int64_t heads = y.cols / dim;
  Dispatch(x.dtype, [&]<class T>() {
    ParallelBlocks(x.rows, 32, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        for (int64_t h = 0; h < heads; ++h) {
          const T* first = x.Row<T>(r) + h * dim;
          const float inverse =
              Subtract(first, first + y.cols, lambda, static_cast<size_t>(dim), y.Row<T>(r) + h * dim);
          if (inv_rms != nullptr) inv_rms[r * heads + h] = inverse;
        }
      }
    });
  });
}

void DifferentialBackward(const Matrix& x, float lambda, int64_t dim, const Matrix& y, const float* inv_rms,
                          const Matrix& dy, const Matrix& dx, float* partial, int64_t block) {
  const int64_t heads = y.cols / dim;
  Dispatch(x.dtype, [&]<class T>() {
    ParallelBlocks(x.rows, block, [&](int64_t begin, int64_t end) {
      float sum = 0;
      for (int64_t r = begin; r < end; ++r) {
        for (int64_t h = 0; h < heads; ++h) {
          const int64_t at = h * dim;
          sum +=
              SubtractGrad(x.Row<T>(r) + y.cols + at, lambda, y.Row<T>(r) + at, inv_rms[r * heads + h],
                           dy.Row<T>(r) + at, static_cast<size_t>(dim), dx.Row<T>(r) + at, dx.Row<T>(r) + y.cols + at);
        }
      }
      partial[begin / block] = sum;
    });
  });
}

}  // namespace flashlm::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace flashlm::kernels {
namespace {

constexpr int64_t kGradBlock = 32;  // rows per partial sum of lambda's gradient

HWY_EXPORT(DifferentialForward);
HWY_EXPORT(DifferentialBackward);

}  // namespace

void Differential(const Matrix& x, float lambda, int64_t dim, const Matrix& y, float* inv_rms) {
  FLASHLM_DISPATCH(DifferentialForward)(x, lambda, dim, y, inv_rms);
}

int64_t DifferentialGradScratch(int64_t rows) { return (rows + kGradBlock - 1) / kGradBlock; }

float DifferentialGrad(const Matrix& x, float lambda, int64_t dim, const Matrix& y, const float* inv_rms,
                       const Matrix& dy, const Matrix& dx, float* scratch) {
  FLASHLM_DISPATCH(DifferentialBackward)(x, lambda, dim, y, inv_rms, dy, dx, scratch, kGradBlock);
  double sum = 0;
  for (int64_t b = 0; b < DifferentialGradScratch(x.rows); ++b) sum += scratch[b];
  return static_cast<float>(sum);
}

}  // namespace flashlm::kernels
#endif  // HWY_ONCE
