// The definitions of the vector routines, templated on the number type so that complex-step differentiation applies.
// All matrices are dense, row-major.
#pragma once

#include <cstdint>

namespace flashlm::kernels::ref {

// y = a x + b y.
template <class S>
void Axpby(S a, const S* x, S b, S* y, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] = a * x[i] + b * y[i];
}

template <class S>
S SumOfSquares(const S* x, int64_t n) {
  S sum(0);
  for (int64_t i = 0; i < n; ++i) sum += x[i] * x[i];
  return sum;
}

// sums[C] += the sum over the rows of x[N,C].
template <class S>
void SumRows(const S* x, int rows, int cols, S* sums) {
  for (int r = 0; r < rows; ++r) {
    for (int c = 0; c < cols; ++c) sums[c] += x[r * cols + c];
  }
}

// y[N] = x[N,C] . w[C].
template <class S>
void RowDot(const S* x, const S* w, int rows, int cols, S* y) {
  for (int r = 0; r < rows; ++r) {
    y[r] = S(0);
    for (int c = 0; c < cols; ++c) y[r] += x[r * cols + c] * w[c];
  }
}

}  // namespace flashlm::kernels::ref
