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

}  // namespace flashlm::kernels::ref
