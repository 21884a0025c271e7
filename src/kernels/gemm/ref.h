// The definition of a matrix product, also what runs with FLASHLM_ISA=scalar.
#pragma once

#include "base/parallel.h"
#include "kernels/matrix.h"

namespace flashlm::kernels::ref {

inline float At(const Matrix& m, int64_t r, int64_t c) {
  return m.dtype == DType::kBF16 ? ToFloat(m.Row<BFloat16>(r)[c]) : m.Row<float>(r)[c];
}

inline void MatMul(const Matrix& a, bool transpose_a, const Matrix& b, bool transpose_b, const Matrix& c,
                   bool accumulate) {
  const int64_t k = transpose_a ? a.rows : a.cols;
  ParallelFor(c.rows, [&](int64_t r) {
    for (int64_t col = 0; col < c.cols; ++col) {
      float sum = accumulate ? At(c, r, col) : 0.0f;
      for (int64_t i = 0; i < k; ++i) {
        sum += (transpose_a ? At(a, i, r) : At(a, r, i)) * (transpose_b ? At(b, col, i) : At(b, i, col));
      }
      if (c.dtype == DType::kBF16) {
        c.Row<BFloat16>(r)[col] = ToBFloat16(sum);
      } else {
        c.Row<float>(r)[col] = sum;
      }
    }
  });
}

// y[N,O] (f32) = q[N,I] (int8) W^T, w int8 [O,I].
inline void IntegerMatMul(const Matrix& q, const int8_t* w, const Matrix& y) {
  ParallelFor(q.rows, [&](int64_t r) {
    for (int64_t o = 0; o < y.cols; ++o) {
      int64_t sum = 0;
      for (int64_t i = 0; i < q.cols; ++i) sum += int64_t{q.Row<int8_t>(r)[i]} * w[o * q.cols + i];
      y.Row<float>(r)[o] = static_cast<float>(sum);
    }
  });
}

}  // namespace flashlm::kernels::ref
