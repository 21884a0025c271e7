#include "kernels/route/route.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/parallel.h"
#include "kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/route/route.cc"
#include "hwy/foreach_target.h"
#include "kernels/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace flashlm::kernels::HWY_NAMESPACE {

constexpr int64_t kRowsPerTask = 64;

template <class T>
void AddRow(const T* x, size_t cols, T* y) {
  ForLanes(cols, [&](auto lanes, size_t i) { lanes.Store(hn::Add(lanes.Load(y + i), lanes.Load(x + i)), y + i); });
}

void AddFetched(const Matrix& x, const int32_t* index, const Matrix& y) {
  Dispatch(x.dtype, [&]<class T>() {
    ParallelBlocks(y.rows, kRowsPerTask, [&](int64_t begin, int64_t end) {
      for (int64_t n = begin; n < end; ++n) AddRow(x.Row<T>(index[n]), static_cast<size_t>(y.cols), y.Row<T>(n));
    });
  });
}

template <class TX, class TY>
void ScaleRow(const TX* x, float scale, const TY* base, size_t cols, TY* y) {
  const DF d;
  const VF s = hn::Set(d, scale);
  ForLanes(cols, [&](auto lanes, size_t i) {
    const VF product = hn::Mul(s, lanes.Load(x + i));
    lanes.Store(base == nullptr ? product : hn::Add(lanes.Load(base + i), product), y + i);
  });
}

template <class TX, class TY>
float ScaleGradRow(const TX* x, float scale, const TY* dy, size_t cols, TX* dx) {
  const DF d;
  const VF s = hn::Set(d, scale);
  VF dot = hn::Zero(d);
  ForLanes(cols, [&](auto lanes, size_t i) {
    const VF upstream = lanes.Load(dy + i);
    dot = hn::MulAdd(upstream, lanes.Load(x + i), dot);
    lanes.Store(hn::Mul(s, upstream), dx + i);
  });
  return SumLanes(d, dot);
}

void ScaleForward(const Matrix& x, const int32_t* index, const float* scale, const Matrix* base, const Matrix& y) {
  Dispatch(x.dtype, y.dtype, [&]<class TX, class TY>() {
    ParallelBlocks(y.rows, kRowsPerTask, [&](int64_t begin, int64_t end) {
      for (int64_t n = begin; n < end; ++n) {
        ScaleRow(x.Row<TX>(index == nullptr ? n : index[n]), scale[n], base == nullptr ? nullptr : base->Row<TY>(n),
                 static_cast<size_t>(y.cols), y.Row<TY>(n));
      }
    });
  });
}

void ScaleBackward(const Matrix& x, const int32_t* index, const float* scale, const Matrix& dy, const Matrix& dx,
                   float* dscale) {
  Dispatch(x.dtype, dy.dtype, [&]<class TX, class TY>() {
    ParallelBlocks(dy.rows, kRowsPerTask, [&](int64_t begin, int64_t end) {
      for (int64_t n = begin; n < end; ++n) {
        const int64_t row = index == nullptr ? n : index[n];
        dscale[n] =
            ScaleGradRow(x.Row<TX>(row), scale[n], dy.Row<TY>(n), static_cast<size_t>(dy.cols), dx.Row<TX>(row));
      }
    });
  });
}

}  // namespace flashlm::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace flashlm::kernels {
namespace {

constexpr int64_t kRows = 64;  // of a task

HWY_EXPORT(AddFetched);
HWY_EXPORT(ScaleForward);
HWY_EXPORT(ScaleBackward);

void CopyRow(const Matrix& x, int64_t from, const Matrix& y, int64_t to) {
  const auto size = static_cast<int64_t>(SizeOf(x.dtype));
  const char* source = static_cast<const char*>(x.data) + from * x.stride * size;
  std::memcpy(static_cast<char*>(y.data) + to * y.stride * size, source, static_cast<size_t>(x.cols * size));
}

}  // namespace

void Route(const Matrix& logits, float* probabilities, int32_t* choice) {
  Dispatch(logits.dtype, [&]<class T>() {
    ParallelBlocks(logits.rows, kRows, [&](int64_t begin, int64_t end) {
      for (int64_t n = begin; n < end; ++n) {
        const T* row = logits.Row<T>(n);
        float* p = probabilities + n * logits.cols;
        for (int64_t k = 0; k < logits.cols; ++k) p[k] = ToFloat(row[k]);
        const float* largest = std::max_element(p, p + logits.cols);
        choice[n] = static_cast<int32_t>(largest - p);
        const float top = *largest;
        float sum = 0;
        for (int64_t k = 0; k < logits.cols; ++k) sum += p[k] = std::exp(p[k] - top);
        for (int64_t k = 0; k < logits.cols; ++k) p[k] /= sum;
      }
    });
  });
}

void RouteGrad(const float* probabilities, const int32_t* choice, const float* gradient, const Matrix& dlogits) {
  Dispatch(dlogits.dtype, [&]<class T>() {
    ParallelBlocks(dlogits.rows, kRows, [&](int64_t begin, int64_t end) {
      for (int64_t n = begin; n < end; ++n) {
        const float* p = probabilities + n * dlogits.cols;
        const float weight = gradient[n] * p[choice[n]];
        for (int64_t k = 0; k < dlogits.cols; ++k) {
          dlogits.Row<T>(n)[k] = FromFloat<T>(weight * ((k == choice[n] ? 1.0f : 0.0f) - p[k]));
        }
      }
    });
  });
}

void MoveRows(const Matrix& x, const int32_t* index, const Matrix& y) {
  ParallelBlocks(x.rows, kRows, [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) CopyRow(x, n, y, index[n]);
  });
}

void FetchRows(const Matrix& x, const int32_t* index, const Matrix& y, bool accumulate) {
  if (accumulate) return FLASHLM_DISPATCH(AddFetched)(x, index, y);
  ParallelBlocks(y.rows, kRows, [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) CopyRow(x, index[n], y, n);
  });
}

void ScaleRows(const Matrix& x, const int32_t* index, const float* scale, const Matrix* base, const Matrix& y) {
  FLASHLM_DISPATCH(ScaleForward)(x, index, scale, base, y);
}

void ScaleRowsGrad(const Matrix& x, const int32_t* index, const float* scale, const Matrix& dy, const Matrix& dx,
                   float* dscale) {
  FLASHLM_DISPATCH(ScaleBackward)(x, index, scale, dy, dx, dscale);
}

}  // namespace flashlm::kernels
#endif  // HWY_ONCE
